//! What a run in progress has noted, entry after entry. A run that was interrupted goes on from here.
//!
//! An entry counts when it was made safe. A crash may leave a torn entry at the end: it and whatever
//! follows are cut off when the journal is opened again. Anything else that is wrong with it means that
//! the run begins anew.

use crate::{
    Folder, Result, StateError,
    block::{self, Blocks},
};
use serde::{Serialize, de::DeserializeOwned};
use std::sync::Arc;

const WHAT: u8 = b'j';
const FORMAT: u16 = 1;
#[cfg(fuzzing)]
pub(crate) const FILE: (u8, u16) = (WHAT, FORMAT);
const ENTRY: u8 = b'e';

/// A journal that is being written.
pub struct Journal {
    folder: Arc<dyn Folder>,
    name: String,
    pending: Vec<u8>,
}

impl Journal {
    /// Begins a journal; a file of that name is replaced. Its name is safe when this returns.
    ///
    /// # Errors
    /// The disk.
    pub async fn create(folder: Arc<dyn Folder>, name: &str) -> Result<Self> {
        let begun = async {
            folder.remove(name).await?;
            folder.append(name, block::header(WHAT, FORMAT)).await?;
            folder.sync(name).await?;
            folder.sync_names().await
        };
        begun.await.map_err(|error| StateError::io(name, error))?;
        Ok(Self {
            folder,
            name: name.to_owned(),
            pending: Vec::new(),
        })
    }

    /// Opens a journal to go on with it, and hands out the entries that count, one after the other: a
    /// long run has many, and most of them are overtaken by later ones.
    ///
    /// # Errors
    /// There is none, it is of another version, an entry is not what is expected, or the disk.
    pub async fn resume<T: DeserializeOwned>(
        folder: Arc<dyn Folder>,
        name: &str,
        mut take: impl FnMut(T),
    ) -> Result<Self> {
        let mut blocks = Blocks::open(Arc::clone(&folder), name, WHAT, FORMAT).await?;
        let end = loop {
            let position = blocks.position();
            let entry = match blocks.next().await {
                Ok(None) => break position,
                Err(StateError::Damaged { .. }) => break position,
                Err(error) => return Err(error),
                Ok(Some((ENTRY, content))) => serde_json::from_slice(content),
                Ok(Some(_)) => return Err(blocks.damaged("it has an entry of an unknown kind")),
            };
            take(entry.map_err(|error| {
                let what = format!("an entry cannot be read: {error}");
                StateError::damaged(name, what)
            })?);
        };
        let cut = folder.truncate(name, end).await;
        cut.map_err(|error| StateError::io(name, error))?;
        Ok(Self {
            folder,
            name: name.to_owned(),
            pending: Vec::new(),
        })
    }

    /// Adds an entry. It counts after [`Journal::sync`].
    ///
    /// # Errors
    /// The entry cannot be written as JSON, or is larger than 8 MiB.
    pub fn push<T: Serialize>(&mut self, entry: &T) -> Result<()> {
        let content = serde_json::to_vec(entry).map_err(|error| {
            StateError::damaged(&self.name, format!("an entry cannot be written: {error}"))
        })?;
        if content.len() > block::MOST {
            return Err(StateError::damaged(&self.name, "an entry is too large"));
        }
        block::put(&mut self.pending, ENTRY, &content);
        Ok(())
    }

    /// Makes all entries so far safe.
    ///
    /// # Errors
    /// The disk. Then the journal must not be used any more: what it holds is known only after a
    /// [`Journal::resume`].
    pub async fn sync(&mut self) -> Result<()> {
        let bytes = std::mem::take(&mut self.pending);
        let written = async {
            self.folder.append(&self.name, bytes).await?;
            self.folder.sync(&self.name).await
        };
        written
            .await
            .map_err(|error| StateError::io(&self.name, error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MemoryFolder;

    async fn resumed(folder: &Arc<MemoryFolder>) -> Result<(Journal, Vec<u32>)> {
        let mut entries = Vec::new();
        let journal = Journal::resume(folder.clone(), "run", |entry| entries.push(entry)).await?;
        Ok((journal, entries))
    }

    async fn entries(folder: &Arc<MemoryFolder>) -> Result<Vec<u32>> {
        resumed(folder).await.map(|(_, entries)| entries)
    }

    #[tokio::test]
    async fn what_was_made_safe_is_there_after_a_crash() {
        let folder = Arc::new(MemoryFolder::default());
        let mut journal = Journal::create(folder.clone(), "run").await.unwrap();
        journal.push(&1).unwrap();
        journal.push(&2).unwrap();
        journal.sync().await.unwrap();
        journal.push(&3).unwrap();
        folder.crash();
        let (mut journal, found) = resumed(&folder).await.unwrap();
        assert_eq!(found, [1, 2]);
        journal.push(&4).unwrap();
        journal.sync().await.unwrap();
        folder.crash();
        assert_eq!(entries(&folder).await.unwrap(), [1, 2, 4]);
    }

    #[tokio::test]
    async fn a_torn_end_is_cut_off_wherever_it_is_torn() {
        let folder = Arc::new(MemoryFolder::default());
        let mut journal = Journal::create(folder.clone(), "run").await.unwrap();
        for number in 100..103 {
            journal.push(&number).unwrap();
        }
        journal.sync().await.unwrap();
        let whole = folder.read("run", 0, usize::MAX).await.unwrap();
        let entry = (whole.len() - block::HEADER) / 3;
        for at in block::HEADER..=whole.len() {
            folder.alter("run", |bytes| {
                bytes.clone_from(&whole);
                bytes.truncate(at);
            });
            let (mut journal, found) = resumed(&folder).await.unwrap();
            assert_eq!(found.len(), (at - block::HEADER) / entry);
            journal.push(&7).unwrap();
            journal.sync().await.unwrap();
            assert_eq!(entries(&folder).await.unwrap().last(), Some(&7));
        }
    }

    #[tokio::test]
    async fn a_journal_that_is_none_is_an_error() {
        let folder = Arc::new(MemoryFolder::default());
        assert!(entries(&folder).await.is_err());
        let mut journal = Journal::create(folder.clone(), "run").await.unwrap();
        journal.push(&"text").unwrap();
        journal.sync().await.unwrap();
        assert!(entries(&folder).await.is_err());
        folder.alter("run", |bytes| bytes[3] = b'x');
        assert!(entries(&folder).await.is_err());
    }
}
