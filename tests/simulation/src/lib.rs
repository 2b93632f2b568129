//! Histories of syncs made from a seed: a source that changes, an index that misbehaves, a disk that
//! forgets, a process that dies at any call; and an oracle that knows what must be true all the same.
//!
//! Read in this order: [`wire`], [`content`], [`index`], [`disk`], [`history`], [`oracle`].

pub mod attempt;
pub mod clock;
pub mod content;
pub mod dice;
pub mod disk;
pub mod history;
pub mod index;
pub mod oracle;
pub mod record;
pub mod source;
pub mod target;
pub mod wire;

pub use history::{Report, run_seed};
