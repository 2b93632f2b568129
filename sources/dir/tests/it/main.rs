//! The source over real trees.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod configuration;
mod confirm;
mod content;
mod documents;
mod golden;
mod hostile;
mod running;
mod tree;
