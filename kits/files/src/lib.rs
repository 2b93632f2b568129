//! What sources of files share: patterns for paths, names that may not be text, moments of change.
//! Names are bytes, as file systems and shares hand them over. No I/O.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod glob;
mod moment;
mod name;
mod wildcard;

pub use glob::{Pattern, Positions};
pub use moment::Moment;
pub use name::{PathKey, path_from_text, path_id, path_text};
