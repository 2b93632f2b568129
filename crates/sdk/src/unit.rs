//! A piece of work, and the memos a source writes to itself about it.

use crate::{Error, ErrorKind, Result, Scope};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::value::RawValue;

/// A small JSON value that a source writes to itself; nobody else looks inside.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Memo(Box<RawValue>);

/// A position in a walk, or the position from which the next changes are read.
pub type Cursor = Memo;

impl Memo {
    /// Writes a memo.
    pub fn new<T: Serialize + ?Sized>(value: &T) -> Result<Self> {
        serde_json::value::to_raw_value(value)
            .map(Self)
            .map_err(|error| Error::internal("a memo cannot be written as JSON").caused_by(error))
    }

    /// Reads a memo of ours. It may be of an older version of the source, or have come back from the
    /// reference service; then the error is `DeadCursor`, and handing it on starts the walk again.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T> {
        serde_json::from_str(self.0.get()).map_err(|error| {
            let message = "a memo of this source is not readable";
            Error::new(ErrorKind::DeadCursor, message).caused_by(error)
        })
    }

    /// The bytes it takes.
    pub fn size(&self) -> usize {
        self.0.get().len()
    }
}

/// What a walk reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// All there is. What is not emitted counts as missing.
    Full,
    /// What changed since the cursor. What is not emitted is unchanged.
    Changes,
}

/// A piece of work: what one walk reads.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Unit {
    /// Where its documents live.
    pub scope: Scope,
    /// Several parts of one scope can be walked side by side. The scope is shown when all are.
    pub part: u32,
    /// Announced: the best this unit can do. Walked: what the engine asks for now.
    pub mode: Mode,
    /// What the walk needs to know; at most 4 KiB. Kept with the unit when a run is resumed.
    pub args: Option<Memo>,
}

/// The name of a unit from run to run.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct UnitKey {
    /// Its scope.
    pub scope: Scope,
    /// Its part.
    pub part: u32,
}

impl Unit {
    /// A unit that can only be read in full.
    pub fn new(scope: Scope) -> Self {
        Self {
            scope,
            part: 0,
            mode: Mode::Full,
            args: None,
        }
    }

    /// This unit can also be read by changes, once it has a cursor.
    pub fn or_changes(self) -> Self {
        Self {
            mode: Mode::Changes,
            ..self
        }
    }

    /// One of several parts of its scope.
    pub fn part(self, part: u32) -> Self {
        Self { part, ..self }
    }

    /// What its walk needs to know.
    pub fn with_args<T: Serialize>(self, args: &T) -> Result<Self> {
        Ok(Self {
            args: Some(Memo::new(args)?),
            ..self
        })
    }

    /// Reads what [`Unit::with_args`] wrote.
    pub fn args<T: DeserializeOwned>(&self) -> Result<T> {
        match &self.args {
            Some(args) => args.read(),
            None => Err(Error::internal("a unit without args").with("unit", &self.scope)),
        }
    }

    /// Its name from run to run.
    pub fn key(&self) -> UnitKey {
        UnitKey {
            scope: self.scope.clone(),
            part: self.part,
        }
    }
}

/// A walk that did not fail has read all of its unit.
#[derive(Debug, Default)]
pub struct End {
    /// From where the next changes are read: the position that was current *before* the first page
    /// was asked for. `None` if the unit cannot be read by changes.
    pub next: Option<Cursor>,
}

impl End {
    /// All was read; there is no reading by changes.
    pub fn complete() -> Self {
        Self::default()
    }

    /// All was read; the next changes are read from here.
    pub fn changes_from<T: Serialize>(next: &T) -> Result<Self> {
        Ok(Self {
            next: Some(Cursor::new(next)?),
        })
    }
}
