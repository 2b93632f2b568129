//! Blocks with checksums: what all files of the state are made of.
//!
//! A file begins with twelve bytes: `tributary`, what it is (one letter), the version of its format (two
//! bytes). Then come blocks: length of the content (4 bytes), CRC-32 of kind and content (4 bytes), kind
//! (one byte), content. Numbers are little-endian.

use crate::{Folder, Result, StateError};
use std::{io, sync::Arc};

const MAGIC: &[u8; 9] = b"tributary";
/// Bytes of the beginning of a file.
pub(crate) const HEADER: usize = MAGIC.len() + 3;
/// Bytes around the content of a block.
const FRAME: usize = 9;
/// The largest content of a block; a longer one is damage.
pub(crate) const MOST: usize = 8 << 20;
/// Bytes read at once.
const PAGE: usize = 128 << 10;

/// The beginning of a file.
pub(crate) fn header(what: u8, version: u16) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    bytes.push(what);
    bytes.extend(version.to_le_bytes());
    bytes
}

/// Adds a block.
pub(crate) fn put(out: &mut Vec<u8>, kind: u8, content: &[u8]) {
    let length = u32::try_from(content.len()).unwrap_or(u32::MAX);
    out.extend(length.to_le_bytes());
    out.extend(checksum(kind, content).to_le_bytes());
    out.push(kind);
    out.extend_from_slice(content);
}

fn checksum(kind: u8, content: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&[kind]);
    hasher.update(content);
    hasher.finalize()
}

/// Reads the blocks of a file, one page in memory at a time.
pub(crate) struct Blocks {
    folder: Arc<dyn Folder>,
    name: String,
    /// Read, and not used yet.
    buffer: Vec<u8>,
    used: usize,
    /// Where the buffer ends in the file.
    offset: u64,
}

impl Blocks {
    /// Opens a file and checks its beginning.
    pub(crate) async fn open(
        folder: Arc<dyn Folder>,
        name: &str,
        what: u8,
        version: u16,
    ) -> Result<Self> {
        let mut blocks = Self {
            folder,
            name: name.to_owned(),
            buffer: Vec::new(),
            used: 0,
            offset: 0,
        };
        let is_there = blocks.fill(HEADER).await?;
        let Some(header) = blocks.buffer.get(..HEADER).filter(|_| is_there) else {
            return Err(blocks.damaged("it ends in its first bytes"));
        };
        if !header.starts_with(MAGIC) || header[MAGIC.len()] != what {
            return Err(blocks.damaged("it is not what its name says"));
        }
        let found = u16::from_le_bytes([header[HEADER - 2], header[HEADER - 1]]);
        if found != version {
            let (name, known) = (blocks.name, version);
            return Err(StateError::UnknownVersion { name, found, known });
        }
        blocks.used = HEADER;
        Ok(blocks)
    }

    /// The next block; `None` at the end of the file.
    pub(crate) async fn next(&mut self) -> Result<Option<(u8, &[u8])>> {
        if !self.fill(1).await? {
            return Ok(None);
        }
        if !self.fill(FRAME).await? {
            return Err(self.damaged("it ends in the middle of a block"));
        }
        let frame = &self.buffer[self.used..self.used + FRAME];
        let number = |at: usize| {
            let bytes = [frame[at], frame[at + 1], frame[at + 2], frame[at + 3]];
            u32::from_le_bytes(bytes)
        };
        let (length, expected, kind) = (number(0) as usize, number(4), frame[8]);
        if length > MOST {
            return Err(self.damaged("the length of a block is nonsense"));
        }
        if !self.fill(FRAME + length).await? {
            return Err(self.damaged("it ends in the middle of a block"));
        }
        let start = self.used + FRAME;
        self.used = start + length;
        if checksum(kind, &self.buffer[start..self.used]) != expected {
            return Err(self.damaged("the checksum of a block is wrong"));
        }
        Ok(Some((kind, &self.buffer[start..self.used])))
    }

    /// Where the next block begins.
    pub(crate) fn position(&self) -> u64 {
        self.offset - (self.buffer.len() - self.used) as u64
    }

    /// Goes on reading at the beginning of another block.
    pub(crate) fn seek(&mut self, offset: u64) {
        self.buffer.clear();
        self.used = 0;
        self.offset = offset;
    }

    pub(crate) fn damaged(&self, what: &str) -> StateError {
        StateError::damaged(&self.name, what)
    }

    /// Whether so many bytes could be made available.
    async fn fill(&mut self, wanted: usize) -> Result<bool> {
        if self.buffer.len() - self.used >= wanted {
            return Ok(true);
        }
        self.buffer.drain(..self.used);
        self.used = 0;
        while self.buffer.len() < wanted {
            let missing = (wanted - self.buffer.len()).max(PAGE);
            let read = self.folder.read(&self.name, self.offset, missing).await;
            let bytes = read.map_err(|error| match error.kind() {
                io::ErrorKind::NotFound => self.damaged("it is missing"),
                _ => StateError::io(&self.name, error),
            })?;
            if bytes.is_empty() {
                return Ok(false);
            }
            self.offset += bytes.len() as u64;
            self.buffer.extend(bytes);
        }
        Ok(true)
    }
}
