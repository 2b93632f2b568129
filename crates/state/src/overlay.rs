//! A folder that can be worked with while another one stays as it is.

use crate::Folder;
use async_trait::async_trait;
use std::{
    collections::HashSet,
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Bytes copied at once.
const PIECE: usize = 1 << 20;

/// Shows the files of one folder; whatever is changed, is changed in another one.
pub struct Overlay {
    /// Only read.
    base: Arc<dyn Folder>,
    /// Empty at first.
    top: Arc<dyn Folder>,
    /// Files of `base` that are not to be seen any more: removed, or replaced by one of `top`.
    hidden: Mutex<HashSet<String>>,
}

impl Overlay {
    /// Shows `base`, and keeps changes in `top`.
    pub fn new(base: Arc<dyn Folder>, top: Arc<dyn Folder>) -> Self {
        Self {
            base,
            top,
            hidden: Mutex::default(),
        }
    }

    fn hidden(&self) -> MutexGuard<'_, HashSet<String>> {
        self.hidden.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Brings a file of `base` where it can be changed.
    async fn lift(&self, name: &str) -> io::Result<()> {
        if self.hidden().contains(name) {
            return Ok(());
        }
        let mut offset = 0;
        loop {
            let piece = match self.base.read(name, offset, PIECE).await {
                Ok(piece) => piece,
                Err(error) if error.kind() == io::ErrorKind::NotFound => break,
                Err(error) => return Err(error),
            };
            if piece.is_empty() && offset > 0 {
                break;
            }
            let is_last = piece.len() < PIECE;
            offset += piece.len() as u64;
            self.top.append(name, piece).await?;
            if is_last {
                break;
            }
        }
        self.hidden().insert(name.to_owned());
        Ok(())
    }
}

#[async_trait]
impl Folder for Overlay {
    async fn read(&self, name: &str, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        let is_changed = self.hidden().contains(name);
        match is_changed {
            true => self.top.read(name, offset, length).await,
            false => self.base.read(name, offset, length).await,
        }
    }

    async fn append(&self, name: &str, bytes: Vec<u8>) -> io::Result<()> {
        self.lift(name).await?;
        self.top.append(name, bytes).await
    }

    async fn truncate(&self, name: &str, length: u64) -> io::Result<()> {
        self.lift(name).await?;
        self.top.truncate(name, length).await
    }

    async fn sync(&self, _: &str) -> io::Result<()> {
        Ok(())
    }

    async fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.lift(from).await?;
        self.top.rename(from, to).await?;
        self.hidden().insert(to.to_owned());
        Ok(())
    }

    async fn remove(&self, name: &str) -> io::Result<()> {
        self.hidden().insert(name.to_owned());
        self.top.remove(name).await
    }

    async fn sync_names(&self) -> io::Result<()> {
        Ok(())
    }

    async fn list(&self) -> io::Result<Vec<(String, u64)>> {
        let mut files = self.base.list().await?;
        let changed = self.top.list().await?;
        let hidden = self.hidden();
        files.retain(|(name, _)| !hidden.contains(name));
        files.extend(changed);
        files.sort();
        Ok(files)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MemoryFolder;

    #[tokio::test]
    async fn what_is_below_stays_as_it_is() {
        let base = Arc::new(MemoryFolder::default());
        let large = vec![7; PIECE + 5];
        for (name, bytes) in [("a", b"one".to_vec()), ("b", b"two".to_vec()), ("c", large)] {
            base.append(name, bytes).await.unwrap();
        }
        let before = base.list().await.unwrap();
        let over = Overlay::new(base.clone(), Arc::new(MemoryFolder::default()));
        assert_eq!(over.list().await.unwrap(), before);
        over.append("a", b"!".to_vec()).await.unwrap();
        assert_eq!(over.read("a", 0, 9).await.unwrap(), b"one!");
        over.rename("a", "b").await.unwrap();
        assert_eq!(over.read("b", 0, 9).await.unwrap(), b"one!");
        let error = over.read("a", 0, 9).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        over.truncate("c", PIECE as u64 + 1).await.unwrap();
        over.remove("b").await.unwrap();
        over.append("d", b"new".to_vec()).await.unwrap();
        let files = [("c".to_owned(), PIECE as u64 + 1), ("d".to_owned(), 3)];
        assert_eq!(over.list().await.unwrap(), files);
        // A file that was removed begins anew.
        over.append("b", b"x".to_vec()).await.unwrap();
        assert_eq!(over.read("b", 0, 9).await.unwrap(), b"x");
        assert_eq!(base.list().await.unwrap(), before);
        assert_eq!(base.read("b", 0, 9).await.unwrap(), b"two");
    }
}
