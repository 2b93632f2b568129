//! Scratch files in memory.

use async_trait::async_trait;
use std::{
    collections::HashMap,
    io,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};
use tributary_engine::Files;

/// Scratch files that are vectors; a chosen call fails.
#[derive(Debug, Default)]
pub struct MemoryFiles {
    files: Mutex<HashMap<String, Vec<u8>>>,
    calls: AtomicUsize,
    failing_call: Option<usize>,
}

impl MemoryFiles {
    /// The `n`th call (from 1) finds the disk full.
    pub fn failing_at(n: usize) -> Self {
        Self {
            failing_call: Some(n),
            ..Self::default()
        }
    }

    /// Calls made so far.
    pub fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    fn step(&self) -> io::Result<()> {
        let call = self.calls.fetch_add(1, Ordering::SeqCst) + 1;
        if self.failing_call == Some(call) {
            return Err(io::Error::new(io::ErrorKind::StorageFull, "no space left"));
        }
        Ok(())
    }
}

#[async_trait]
impl Files for MemoryFiles {
    async fn append(&self, name: &str, bytes: Vec<u8>) -> io::Result<()> {
        self.step()?;
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        files.entry(name.into()).or_default().extend(bytes);
        Ok(())
    }

    async fn read(&self, name: &str, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        self.step()?;
        let files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        let file = files.get(name).map_or(&[][..], Vec::as_slice);
        let start = file
            .len()
            .min(usize::try_from(offset).unwrap_or(usize::MAX));
        let end = file.len().min(start.saturating_add(length));
        Ok(file[start..end].to_vec())
    }

    async fn remove(&self, name: &str) -> io::Result<()> {
        self.step()?;
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        files.remove(name);
        Ok(())
    }
}
