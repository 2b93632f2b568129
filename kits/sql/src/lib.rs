//! What sources of relational databases share: which tables, how columns and documents are named,
//! how values are written, advanced sync rules, retries. No driver.
//!
//! A source decodes what its driver hands out into a [`Value`]; the value knows its JSON form and
//! its text form in a document id. Both are those of the reference service (shared database sheet
//! §§D–F), so that an index that it filled stays as it is.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod decimal;
mod json;
mod naming;
mod python;
mod retry;
mod rules;
mod selection;
mod time;
mod value;

pub use decimal::Decimal;
pub use json::normalise_json;
pub use naming::{Columns, Naming, quote_identifier};
pub use python::{write_bytes_literal, write_float, write_ipv6};
pub use retry::with_attempts;
pub use rules::{Rule, parse_rules};
pub use selection::TableSelection;
pub use time::{Date, Interval, Time, Timestamp};
pub use value::Value;
