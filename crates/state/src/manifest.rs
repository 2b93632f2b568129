//! What one unit holds: a row for each document, in the order of the walk.
//!
//! Rows are written when the index has acknowledged them, in blocks of some 32 KiB. Ids share their
//! beginnings with the one before (in a block; each block stands alone), sequence numbers are
//! differences: about 20 bytes a row where ids are alike. A manifest that counts is sealed: its last
//! block says how many rows there are. One that is being written is used only up to a [`Position`] that
//! a checkpoint has noted.

use crate::{
    Folder, Result, StateError,
    block::{self, Blocks},
    varint::{self, Input},
};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use tributary_sdk::{DocId, Scope};

const WHAT: u8 = b'm';
const FORMAT: u16 = 2;
#[cfg(fuzzing)]
pub(crate) const FILE: (u8, u16) = (WHAT, FORMAT);
const ROWS: u8 = b'r';
const SEAL: u8 = b's';
/// A block is closed when it has so many bytes.
const BLOCK: usize = 32 << 10;
/// Closed blocks are written together.
const PENDING: usize = 256 << 10;

const MISSED: u8 = 0b0001;
const HOME: u8 = 0b0010;
const SAME_HOME: u8 = 0b0100;
const HELD: u8 = 0b1000;
const FATE_SHIFT: u8 = 4;

/// What became of a document in the walk that met it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Fate {
    /// Written.
    Indexed = 0,
    /// Refused by the index; whatever the index has of it stays.
    Failed = 1,
    /// Too large to be sent; whatever the index has of it stays.
    TooLarge = 2,
    /// The source cannot hand it over; whatever the index has of it stays.
    Skipped = 3,
    /// The index has it as it is.
    Unchanged = 4,
    /// Not sent for another good reason; it exists.
    #[default]
    Seen = 5,
    /// Kept out by rules: for the index it does not exist.
    Filtered = 6,
    /// Not met, and kept all the same.
    Kept = 7,
}

impl Fate {
    const ALL: [Self; 8] = [
        Self::Indexed,
        Self::Failed,
        Self::TooLarge,
        Self::Skipped,
        Self::Unchanged,
        Self::Seen,
        Self::Filtered,
        Self::Kept,
    ];
}

/// Which write of a document it is; both parts together name it (`_seq_no`, `_primary_term`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version {
    /// `_seq_no`.
    pub seq_no: u64,
    /// `_primary_term`.
    pub primary_term: u64,
}

/// What is known of one document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Its `_id` in the index.
    pub id: DocId,
    /// What became of it.
    pub fate: Fate,
    /// A keyed hash of what we wrote; 0 if the index may have something else.
    pub fingerprint: u64,
    /// Our last write of it; `None` if what the index has of it, if anything, is not known.
    pub version: Option<Version>,
    /// Where it lives, if that is finer than the unit.
    pub home: Option<Scope>,
    /// The last full sync did not meet it, and nobody could say whether it is gone.
    pub missed: bool,
}

/// How far a manifest is written and safe.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// Bytes of the file.
    pub length: u64,
    /// Rows in them.
    pub rows: u64,
}

/// The row before, from which the next one is told.
#[derive(Default)]
struct Last {
    id: String,
    version: Version,
    home: Option<Scope>,
}

/// Writes a manifest. After an error it must not be used any more: what the file holds is known only up to
/// the last [`Position`].
pub struct ManifestWriter {
    folder: Arc<dyn Folder>,
    name: String,
    block: Vec<u8>,
    last: Last,
    pending: Vec<u8>,
    position: Position,
}

impl ManifestWriter {
    /// Begins a manifest; a file of that name is replaced.
    ///
    /// # Errors
    /// The disk.
    pub async fn create(folder: Arc<dyn Folder>, name: &str) -> Result<Self> {
        let removed = folder.remove(name).await;
        removed.map_err(|error| StateError::io(name, error))?;
        let start = Position::default();
        let mut writer = Self::at(folder, name, start);
        writer.pending = block::header(WHAT, FORMAT);
        Ok(writer)
    }

    /// Goes on with a manifest that was safe up to here; what was written after that is cut off.
    ///
    /// # Errors
    /// The file is shorter, not a manifest, or the disk.
    pub async fn resume(folder: Arc<dyn Folder>, name: &str, position: Position) -> Result<Self> {
        Blocks::open(Arc::clone(&folder), name, WHAT, FORMAT).await?;
        let cut = folder.truncate(name, position.length).await;
        cut.map_err(|error| match error.kind() {
            std::io::ErrorKind::UnexpectedEof => StateError::damaged(name, "it is too short"),
            _ => StateError::io(name, error),
        })?;
        Ok(Self::at(folder, name, position))
    }

    fn at(folder: Arc<dyn Folder>, name: &str, position: Position) -> Self {
        Self {
            folder,
            name: name.to_owned(),
            block: Vec::new(),
            last: Last::default(),
            pending: Vec::new(),
            position,
        }
    }

    /// Adds a row.
    ///
    /// # Errors
    /// The disk.
    pub async fn push(&mut self, row: &Row) -> Result<()> {
        encode(&mut self.block, &self.last, row);
        self.last.id.clear();
        self.last.id.push_str(row.id.as_str());
        self.last.version = row.version.unwrap_or(self.last.version);
        self.last.home.clone_from(&row.home);
        self.position.rows += 1;
        if self.block.len() >= BLOCK {
            self.close_block();
        }
        if self.pending.len() >= PENDING {
            self.write().await?;
        }
        Ok(())
    }

    /// How far the manifest is written, as of now; safe after the next [`ManifestWriter::sync`].
    pub fn mark(&mut self) -> Position {
        self.close_block();
        Position {
            length: self.position.length + self.pending.len() as u64,
            rows: self.position.rows,
        }
    }

    /// Makes all rows so far safe from a crash. The name of a new file is safe only after
    /// [`Folder::sync_names`].
    ///
    /// # Errors
    /// The disk.
    pub async fn sync(&mut self) -> Result<Position> {
        self.close_block();
        self.write().await?;
        let synced = self.folder.sync(&self.name).await;
        synced.map_err(|error| StateError::io(&self.name, error))?;
        Ok(self.position)
    }

    /// Ends the manifest, and makes it safe. Returns the number of rows.
    ///
    /// # Errors
    /// The disk.
    pub async fn seal(mut self) -> Result<u64> {
        self.close_block();
        let mut content = Vec::new();
        varint::put(&mut content, self.position.rows);
        block::put(&mut self.pending, SEAL, &content);
        Ok(self.sync().await?.rows)
    }

    fn close_block(&mut self) {
        if !self.block.is_empty() {
            block::put(&mut self.pending, ROWS, &self.block);
            self.block.clear();
            self.last = Last::default();
        }
    }

    async fn write(&mut self) -> Result<()> {
        let bytes = std::mem::take(&mut self.pending);
        self.position.length += bytes.len() as u64;
        let written = self.folder.append(&self.name, bytes).await;
        written.map_err(|error| StateError::io(&self.name, error))
    }
}

fn encode(out: &mut Vec<u8>, last: &Last, row: &Row) {
    let id = row.id.as_str().as_bytes();
    let before = last.id.as_bytes();
    let same = id.iter().zip(before).take_while(|(a, b)| a == b).count();
    let is_same_home = row.home.is_some() && row.home == last.home;
    let mut flags = (row.fate as u8) << FATE_SHIFT;
    if row.missed {
        flags |= MISSED;
    }
    if row.version.is_some() {
        flags |= HELD;
    }
    if row.home.is_some() {
        flags |= if is_same_home { SAME_HOME } else { HOME };
    }
    out.push(flags);
    varint::put(out, same as u64);
    varint::put(out, (id.len() - same) as u64);
    out.extend_from_slice(&id[same..]);
    if let Some(version) = row.version {
        out.extend(row.fingerprint.to_le_bytes());
        let difference = |now: u64, before: u64| now.wrapping_sub(before) as i64;
        varint::put_signed(out, difference(version.seq_no, last.version.seq_no));
        let term = difference(version.primary_term, last.version.primary_term);
        varint::put_signed(out, term);
    }
    if let (Some(home), false) = (&row.home, is_same_home) {
        // A scope is a list of texts, which can be written.
        let text = serde_json::to_vec(home).unwrap_or_default();
        varint::put(out, text.len() as u64);
        out.extend(text);
    }
}

/// `None`: that is no row.
fn decode(input: &mut Input<'_>, last: &mut Last) -> Option<Row> {
    let flags = input.bytes(1)?[0];
    let same = input.length()?;
    let length = input.length()?;
    let rest = input.bytes(length)?;
    let mut id = std::mem::take(&mut last.id).into_bytes();
    if same > id.len() {
        return None;
    }
    id.truncate(same);
    id.extend_from_slice(rest);
    last.id = String::from_utf8(id).ok()?;
    let (mut fingerprint, mut version) = (0, None);
    if flags & HELD != 0 {
        fingerprint = input.fixed()?;
        let before = last.version;
        last.version = Version {
            seq_no: before.seq_no.wrapping_add(input.signed()? as u64),
            primary_term: before.primary_term.wrapping_add(input.signed()? as u64),
        };
        version = Some(last.version);
    }
    last.home = match flags & (HOME | SAME_HOME) {
        0 => None,
        HOME => {
            let length = input.length()?;
            Some(serde_json::from_slice(input.bytes(length)?).ok()?)
        }
        SAME_HOME => Some(last.home.take()?),
        _ => return None,
    };
    Some(Row {
        id: last.id.as_str().into(),
        fate: *Fate::ALL.get(usize::from(flags >> FATE_SHIFT))?,
        fingerprint,
        version,
        home: last.home.clone(),
        missed: flags & MISSED != 0,
    })
}

/// Reads a manifest in its order, one block in memory at a time.
pub struct ManifestReader {
    blocks: Blocks,
    rows: u64,
    /// Where to stop; `None`: at the seal.
    until: Option<Position>,
    is_over: bool,
}

impl ManifestReader {
    /// Opens a manifest that was sealed.
    ///
    /// # Errors
    /// Not a manifest, of another version, or the disk.
    pub async fn open(folder: Arc<dyn Folder>, name: &str) -> Result<Self> {
        Self::until(folder, name, None).await
    }

    /// Opens a sealed manifest to read it from here on: a position that [`ManifestReader::position`] told.
    ///
    /// # Errors
    /// As [`ManifestReader::open`].
    pub async fn open_at(folder: Arc<dyn Folder>, name: &str, from: Position) -> Result<Self> {
        let mut reader = Self::until(folder, name, None).await?;
        if from.length > 0 {
            reader.blocks.seek(from.length);
            reader.rows = from.rows;
        }
        Ok(reader)
    }

    /// How far it was read.
    pub fn position(&self) -> Position {
        Position {
            length: self.blocks.position(),
            rows: self.rows,
        }
    }

    /// Opens the part of a manifest that was safe at a checkpoint.
    ///
    /// # Errors
    /// As [`ManifestReader::open`].
    pub async fn open_part(
        folder: Arc<dyn Folder>,
        name: &str,
        position: Position,
    ) -> Result<Self> {
        Self::until(folder, name, Some(position)).await
    }

    async fn until(folder: Arc<dyn Folder>, name: &str, until: Option<Position>) -> Result<Self> {
        Ok(Self {
            blocks: Blocks::open(folder, name, WHAT, FORMAT).await?,
            rows: 0,
            until,
            is_over: false,
        })
    }

    /// The next rows; `None` when all were read, and not before it is certain that these are all.
    ///
    /// # Errors
    /// The file is damaged, or the disk. Nothing that was read before counts then.
    pub async fn next(&mut self) -> Result<Option<Vec<Row>>> {
        if self.is_over {
            return Ok(None);
        }
        if let Some(until) = self.until {
            let position = self.blocks.position();
            if position >= until.length {
                self.is_over = true;
                let is_whole = position == until.length && self.rows == until.rows;
                return match is_whole {
                    true => Ok(None),
                    false => Err(self.blocks.damaged("it is not as the checkpoint noted it")),
                };
            }
        }
        let block = match self.blocks.next().await? {
            Some((ROWS, content)) => rows(content),
            Some((SEAL, content)) if self.until.is_none() => {
                self.is_over = true;
                let count = Input(content).number();
                if count != Some(self.rows) {
                    return Err(self.blocks.damaged("it lacks rows"));
                }
                return match self.blocks.next().await? {
                    None => Ok(None),
                    Some(_) => Err(self.blocks.damaged("it goes on after its end")),
                };
            }
            Some(_) => return Err(self.blocks.damaged("it has a block of an unknown kind")),
            None => return Err(self.blocks.damaged("it ends too early")),
        };
        let rows = block.ok_or_else(|| self.blocks.damaged("a row cannot be read"))?;
        self.rows += rows.len() as u64;
        Ok(Some(rows))
    }
}

fn rows(content: &[u8]) -> Option<Vec<Row>> {
    let (mut input, mut last) = (Input(content), Last::default());
    let mut rows = Vec::new();
    while !input.is_empty() {
        rows.push(decode(&mut input, &mut last)?);
    }
    Some(rows)
}

#[cfg(test)]
#[path = "manifest_tests.rs"]
mod tests;
