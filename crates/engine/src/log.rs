//! A list of documents and their versions in a scratch file, written and read in order.

use crate::{
    clock::Files,
    target::{Scanned, Version},
};
use std::{io, sync::Arc};
use tributary_sdk::DocId;

/// Bytes collected before they are written, and read at once.
const PAGE: usize = 64 * 1024;
/// Bytes of a row besides the id: its length, `_seq_no`, `_primary_term`.
const FRAME: usize = 2 + 8 + 8;

/// Writes a list.
pub(crate) struct LogWriter {
    files: Arc<dyn Files>,
    name: String,
    buffer: Vec<u8>,
    page: usize,
    count: u64,
}

impl LogWriter {
    /// `share`: how many lists are written at the same time; their buffers together stay small.
    pub(crate) fn new(files: Arc<dyn Files>, name: String, share: usize) -> Self {
        Self {
            files,
            name,
            buffer: Vec::new(),
            page: (16 * PAGE / share.max(1)).min(PAGE),
            count: 0,
        }
    }

    /// Adds a row. Ids of an index have at most 512 bytes.
    pub(crate) async fn push(&mut self, row: &Scanned) -> io::Result<()> {
        let id = row.id.as_str().as_bytes();
        let length = u16::try_from(id.len())
            .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "an id is too long"))?;
        self.buffer.extend_from_slice(&length.to_le_bytes());
        self.buffer
            .extend_from_slice(&row.version.seq_no.to_le_bytes());
        self.buffer
            .extend_from_slice(&row.version.primary_term.to_le_bytes());
        self.buffer.extend_from_slice(id);
        self.count += 1;
        if self.buffer.len() >= self.page {
            self.flush().await?;
        }
        Ok(())
    }

    async fn flush(&mut self) -> io::Result<()> {
        let bytes = std::mem::take(&mut self.buffer);
        self.files.append(&self.name, bytes).await
    }

    /// Rows written.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// Ends the list, to read it.
    pub(crate) async fn close(mut self) -> io::Result<LogReader> {
        if !self.buffer.is_empty() {
            self.flush().await?;
        }
        Ok(LogReader {
            files: self.files,
            name: self.name,
            offset: 0,
            buffer: Vec::new(),
            start: 0,
            remaining: self.count,
        })
    }
}

/// Reads a list from the beginning.
pub(crate) struct LogReader {
    files: Arc<dyn Files>,
    name: String,
    offset: u64,
    buffer: Vec<u8>,
    start: usize,
    remaining: u64,
}

impl LogReader {
    /// The next row; `None` at the end.
    pub(crate) async fn next(&mut self) -> io::Result<Option<Scanned>> {
        if self.remaining == 0 {
            return Ok(None);
        }
        self.fill(FRAME).await?;
        let frame = &self.buffer[self.start..self.start + FRAME];
        let length = usize::from(u16::from_le_bytes([frame[0], frame[1]]));
        let version = Version {
            seq_no: number(&frame[2..10]),
            primary_term: number(&frame[10..18]),
        };
        self.fill(FRAME + length).await?;
        let id = &self.buffer[self.start + FRAME..self.start + FRAME + length];
        let id = std::str::from_utf8(id).map_err(|_| torn())?;
        let row = Scanned {
            id: DocId::from(id),
            version,
        };
        self.start += FRAME + length;
        self.remaining -= 1;
        Ok(Some(row))
    }

    /// At most so many rows; none at the end.
    pub(crate) async fn next_batch(&mut self, most: usize) -> io::Result<Vec<Scanned>> {
        let mut batch = Vec::with_capacity(most);
        while batch.len() < most
            && let Some(row) = self.next().await?
        {
            batch.push(row);
        }
        Ok(batch)
    }

    async fn fill(&mut self, needed: usize) -> io::Result<()> {
        while self.buffer.len() - self.start < needed {
            self.buffer.drain(..self.start);
            self.start = 0;
            let bytes = self.files.read(&self.name, self.offset, PAGE).await?;
            if bytes.is_empty() {
                return Err(torn());
            }
            self.offset += bytes.len() as u64;
            self.buffer.extend_from_slice(&bytes);
        }
        Ok(())
    }

    /// Removes the file.
    pub(crate) async fn remove(self) -> io::Result<()> {
        self.files.remove(&self.name).await
    }
}

fn number(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .rev()
        .fold(0, |number, byte| number << 8 | u64::from(*byte))
}

fn torn() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "a scratch file was cut short")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::MemoryFiles;

    #[tokio::test]
    async fn reads_back_what_was_written() {
        let files: Arc<dyn Files> = Arc::new(MemoryFiles::default());
        for count in [0_u64, 1, 5000] {
            let mut writer = LogWriter::new(Arc::clone(&files), format!("log-{count}"), 1);
            let row = |number: u64| Scanned {
                id: DocId::from("ü".repeat(number as usize % 200)),
                version: Version {
                    seq_no: number << 33,
                    primary_term: number + 1,
                },
            };
            for number in 0..count {
                writer.push(&row(number)).await.unwrap();
            }
            assert_eq!(writer.count(), count);
            let mut reader = writer.close().await.unwrap();
            for number in 0..count {
                assert_eq!(reader.next().await.unwrap(), Some(row(number)));
            }
            assert_eq!(reader.next().await.unwrap(), None);
            reader.remove().await.unwrap();
        }
    }

    #[tokio::test]
    async fn a_file_that_lost_its_end_is_an_error() {
        let files: Arc<dyn Files> = Arc::new(MemoryFiles::default());
        let mut writer = LogWriter::new(Arc::clone(&files), "log".into(), 1);
        let version = Version {
            seq_no: 1,
            primary_term: 1,
        };
        let row = Scanned {
            id: "a".into(),
            version,
        };
        writer.push(&row).await.unwrap();
        let mut reader = writer.close().await.unwrap();
        files.remove("log").await.unwrap();
        files.append("log", vec![1, 0, 0]).await.unwrap();
        assert!(reader.next().await.is_err());
    }
}
