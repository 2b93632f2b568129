//! Files in memory, for tests.

use crate::Folder;
use async_trait::async_trait;
use std::{
    collections::BTreeMap,
    io,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// A folder in memory that loses at a crash what was not made safe.
#[derive(Debug, Default)]
pub struct MemoryFolder(Mutex<Disk>);

#[derive(Clone, Debug, Default)]
struct Disk {
    files: BTreeMap<String, File>,
    safe_names: BTreeMap<String, usize>,
    contents: BTreeMap<usize, Vec<u8>>,
    next: usize,
    calls: usize,
    failing_call: Option<usize>,
}

/// What a name stands for: a content, and how much of it is safe.
#[derive(Clone, Debug)]
struct File {
    content: usize,
    bytes: Vec<u8>,
}

impl MemoryFolder {
    /// The `n`th call from now on (from 1) finds the disk full.
    pub fn fail_at(&self, n: usize) {
        let mut disk = self.disk();
        disk.failing_call = Some(disk.calls + n);
    }

    /// The process dies, and the machine with it: what was not made safe is gone.
    pub fn crash(&self) {
        let mut disk = self.disk();
        let files = disk.safe_names.iter().map(|(name, content)| {
            let bytes = disk.contents.get(content).cloned().unwrap_or_default();
            let content = *content;
            (name.clone(), File { content, bytes })
        });
        disk.files = files.collect();
        disk.failing_call = None;
    }

    /// Changes a file behind everybody's back.
    pub fn alter(&self, name: &str, change: impl FnOnce(&mut Vec<u8>)) {
        if let Some(file) = self.disk().files.get_mut(name) {
            change(&mut file.bytes);
        }
    }

    fn disk(&self) -> MutexGuard<'_, Disk> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn step(&self) -> io::Result<MutexGuard<'_, Disk>> {
        let mut disk = self.disk();
        disk.calls += 1;
        if disk.failing_call == Some(disk.calls) {
            return Err(io::Error::new(io::ErrorKind::StorageFull, "no space left"));
        }
        Ok(disk)
    }
}

fn absent(name: &str) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, format!("there is no file {name}"))
}

#[async_trait]
impl Folder for MemoryFolder {
    async fn read(&self, name: &str, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        let disk = self.step()?;
        let file = &disk.files.get(name).ok_or_else(|| absent(name))?.bytes;
        let start = usize::try_from(offset)
            .unwrap_or(usize::MAX)
            .min(file.len());
        let end = start.saturating_add(length).min(file.len());
        Ok(file[start..end].to_vec())
    }

    async fn append(&self, name: &str, bytes: Vec<u8>) -> io::Result<()> {
        let mut disk = self.step()?;
        if !disk.files.contains_key(name) {
            let content = disk.next;
            disk.next += 1;
            let bytes = Vec::new();
            disk.files.insert(name.to_owned(), File { content, bytes });
        }
        if let Some(file) = disk.files.get_mut(name) {
            file.bytes.extend(bytes);
        }
        Ok(())
    }

    async fn truncate(&self, name: &str, length: u64) -> io::Result<()> {
        let mut disk = self.step()?;
        let file = disk.files.get_mut(name).ok_or_else(|| absent(name))?;
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        if file.bytes.len() < length {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        file.bytes.truncate(length);
        Ok(())
    }

    async fn sync(&self, name: &str) -> io::Result<()> {
        let mut disk = self.step()?;
        let file = disk.files.get(name).ok_or_else(|| absent(name))?.clone();
        disk.contents.insert(file.content, file.bytes);
        Ok(())
    }

    async fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut disk = self.step()?;
        let file = disk.files.remove(from).ok_or_else(|| absent(from))?;
        disk.files.insert(to.to_owned(), file);
        Ok(())
    }

    async fn remove(&self, name: &str) -> io::Result<()> {
        self.step()?.files.remove(name);
        Ok(())
    }

    async fn sync_names(&self) -> io::Result<()> {
        let mut disk = self.step()?;
        let names = disk.files.iter();
        let names = names.map(|(name, file)| (name.clone(), file.content));
        disk.safe_names = names.collect();
        Ok(())
    }

    async fn list(&self) -> io::Result<Vec<(String, u64)>> {
        let disk = self.step()?;
        let files = disk.files.iter();
        Ok(files
            .map(|(name, file)| (name.clone(), file.bytes.len() as u64))
            .collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_crash_takes_what_was_not_made_safe() {
        let folder = MemoryFolder::default();
        folder.append("a", b"12".to_vec()).await.unwrap();
        folder.sync("a").await.unwrap();
        folder.append("a", b"3".to_vec()).await.unwrap();
        folder.append("b", b"x".to_vec()).await.unwrap();
        folder.sync_names().await.unwrap();
        folder.rename("a", "c").await.unwrap();
        assert_eq!(folder.read("c", 1, 9).await.unwrap(), b"23");
        folder.crash();
        let files = folder.list().await.unwrap();
        assert_eq!(files, [("a".to_owned(), 2), ("b".to_owned(), 0)]);
    }

    #[tokio::test]
    async fn a_full_disk_is_an_error_once() {
        let folder = MemoryFolder::default();
        folder.fail_at(2);
        folder.append("a", vec![1]).await.unwrap();
        let error = folder.append("a", vec![2]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        assert_eq!(folder.read("a", 0, 9).await.unwrap(), [1]);
    }
}
