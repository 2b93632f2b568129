//! What can be wrong with state.

use std::io;

/// Why a file of the state cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The disk is full, broken or not ours.
    #[error("the file {name} of the state cannot be used: {source}")]
    Io {
        /// The file.
        name: String,
        /// What the system says.
        source: io::Error,
    },
    /// Not as it was written: cut short, altered, or not a file of ours. Nothing in it counts.
    #[error("the file {name} of the state is damaged: {what}")]
    Damaged {
        /// The file.
        name: String,
        /// What is wrong with it.
        what: String,
    },
    /// Written by another version of Tributary.
    #[error(
        "the file {name} of the state has format version {found}, and this version of Tributary reads {known}"
    )]
    UnknownVersion {
        /// The file.
        name: String,
        /// The version in the file.
        found: u16,
        /// The version we read.
        known: u16,
    },
}

impl StateError {
    pub(crate) fn io(name: &str, source: io::Error) -> Self {
        let name = name.to_owned();
        Self::Io { name, source }
    }

    pub(crate) fn damaged(name: &str, what: impl Into<String>) -> Self {
        let (name, what) = (name.to_owned(), what.into());
        Self::Damaged { name, what }
    }
}

/// What reading and writing state comes to.
pub type Result<T> = std::result::Result<T, StateError>;
