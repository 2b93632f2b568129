//! What Tributary remembers of an index from run to run, and how it is kept in files.
//!
//! The data source says what should exist, the index what exists. What is kept here is a cache of what
//! we wrote: it may save sending a document or listing an index, and can destroy nothing, because
//! deletions are conditional (DESIGN §5). So whatever is odd about a file (torn, of another version,
//! of another index) means that nothing is known, never a guess.
//!
//! No network, no clock; files are a small trait.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod block;
mod error;
mod folder;
#[cfg(fuzzing)]
pub mod fuzzing;
mod head;
mod journal;
mod manifest;
mod memory;
mod merge;
mod overlay;
mod token;
mod varint;

pub use error::{Result, StateError};
pub use folder::Folder;
pub use head::{Head, UnitState};
pub use journal::Journal;
pub use manifest::{Fate, ManifestReader, ManifestWriter, Position, Row, Version};
pub use memory::MemoryFolder;
pub use merge::{Listed, Merge, Spot};
pub use overlay::Overlay;
pub use token::{ShardToken, Token, Trust};
