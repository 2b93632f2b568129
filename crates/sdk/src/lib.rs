//! What the author of a source must know: contract, documents, fields, rules, errors. No I/O.
//!
//! Read in this order: [`contract`], [`document`], [`config`], [`emitter`].

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod config;
mod content_sink;
pub mod contract;
pub mod document;
pub mod emitter;
pub mod error;
pub mod json;
pub mod rules;
mod scope;
mod secret;
pub mod stop;
mod unit;

pub use async_trait::async_trait;
pub use config::{Field, SourceOptions, Values};
pub use contract::{
    Features, Finding, JobKind, Listing, Promises, Run, Session, Setup, Source, SourceType,
};
pub use document::{Access, Attachment, Body, DocId, DocRef, Document, Presence, Stamp};
pub use emitter::{ContentSink, Emitter, UnitSink};
pub use error::{Error, ErrorKind, Result};
pub use json::{FieldName, JsonWriter};
pub use scope::Scope;
pub use secret::Secret;
pub use stop::{StopSignal, StopSource};
pub use unit::{Cursor, End, Memo, Mode, Unit, UnitKey};
