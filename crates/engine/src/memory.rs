//! Scratch files in memory, for tests of this crate.

use crate::clock::Files;
use async_trait::async_trait;
use std::{collections::HashMap, io, sync::Mutex};

/// Scratch files that are vectors.
#[derive(Debug, Default)]
pub(crate) struct MemoryFiles(Mutex<HashMap<String, Vec<u8>>>);

#[async_trait]
impl Files for MemoryFiles {
    async fn append(&self, name: &str, bytes: Vec<u8>) -> io::Result<()> {
        let mut files = self.0.lock().unwrap();
        files.entry(name.into()).or_default().extend(bytes);
        Ok(())
    }

    async fn read(&self, name: &str, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        let files = self.0.lock().unwrap();
        let file = files.get(name).map_or(&[][..], Vec::as_slice);
        let start = file.len().min(offset as usize);
        Ok(file[start..file.len().min(start + length)].to_vec())
    }

    async fn remove(&self, name: &str) -> io::Result<()> {
        self.0.lock().unwrap().remove(name);
        Ok(())
    }
}
