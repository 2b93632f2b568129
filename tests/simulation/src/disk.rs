//! A disk that loses at a crash what was not made safe, and sometimes is full.

use crate::{dice::Dice, wire::Wire};
use async_trait::async_trait;
use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tributary_engine::Files;
use tributary_state::Folder;

/// Files and their names, as the process sees them and as they are after a crash.
#[derive(Debug, Default)]
pub struct Disk(Mutex<State>);

#[derive(Clone, Debug, Default)]
struct State {
    names: BTreeMap<String, usize>,
    safe_names: BTreeMap<String, usize>,
    /// Changes of names since they were made safe, in order.
    changes: Vec<BTreeMap<String, usize>>,
    contents: BTreeMap<usize, Content>,
    next: usize,
}

#[derive(Clone, Debug, Default)]
struct Content {
    bytes: Vec<u8>,
    safe: Vec<u8>,
}

impl Disk {
    /// The machine dies. Of what was not made safe, some is there, some in part, some not at all.
    pub fn crash(&self, dice: &mut Dice) {
        let mut state = self.state();
        let kept = dice.roll(state.changes.len() + 1);
        let names = match kept.checked_sub(1).and_then(|last| state.changes.get(last)) {
            Some(names) => names.clone(),
            None => state.safe_names.clone(),
        };
        state.changes.clear();
        state.names = names.clone();
        state.safe_names = names;
        for content in state.contents.values_mut() {
            if content.bytes != content.safe {
                content.bytes = torn(content, dice);
            }
            content.safe = content.bytes.clone();
        }
    }

    /// What a process in the same folder would find: for the oracle.
    pub fn copy(&self) -> Self {
        Self(Mutex::new(self.state().clone()))
    }

    /// A disk with nothing on it.
    pub fn clear(&self) {
        *self.state() = State::default();
    }

    /// All names.
    pub fn names(&self) -> Vec<String> {
        self.state().names.keys().cloned().collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A file that was being written when the machine died.
fn torn(content: &Content, dice: &mut Dice) -> Vec<u8> {
    let (safe, bytes) = (&content.safe, &content.bytes);
    if !bytes.starts_with(safe) || dice.percent(40) {
        return if dice.percent(80) {
            safe.clone()
        } else {
            bytes.clone()
        };
    }
    let mut torn = bytes[..safe.len() + dice.roll(bytes.len() - safe.len() + 1)].to_vec();
    if dice.percent(30) {
        // A block that was given to the file and never written.
        let from = safe.len() + dice.roll(torn.len() - safe.len() + 1);
        torn[from..].fill(0);
    }
    torn
}

impl State {
    fn find(&mut self, name: &str) -> io::Result<&mut Content> {
        let absent = || io::Error::new(io::ErrorKind::NotFound, format!("there is no file {name}"));
        let number = self.names.get(name).ok_or_else(absent)?;
        self.contents.get_mut(number).ok_or_else(absent)
    }

    fn read(&mut self, name: &str, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        let bytes = &self.find(name)?.bytes;
        let start = usize::try_from(offset)
            .unwrap_or(usize::MAX)
            .min(bytes.len());
        let end = start.saturating_add(length).min(bytes.len());
        Ok(bytes[start..end].to_vec())
    }

    fn list(&mut self) -> io::Result<Vec<(String, u64)>> {
        let names: Vec<_> = self.names.keys().cloned().collect();
        let mut listed = Vec::with_capacity(names.len());
        for name in names {
            let length = self.find(&name)?.bytes.len();
            listed.push((name, length as u64));
        }
        Ok(listed)
    }

    fn renamed(&mut self) {
        self.changes.push(self.names.clone());
    }
}

/// A disk as one attempt of a job reaches it.
pub struct WiredDisk {
    disk: Arc<Disk>,
    wire: Arc<Wire>,
}

impl WiredDisk {
    /// The disk behind this wire.
    pub fn new(disk: Arc<Disk>, wire: Arc<Wire>) -> Self {
        Self { disk, wire }
    }

    async fn step(&self, what: &str, name: &str) -> io::Result<MutexGuard<'_, State>> {
        self.wire.cross(format!("disk {what} {name}")).await;
        if self.wire.chance(self.wire.plan.disk, 1000) {
            self.wire.trace.note("the disk is full");
            self.wire.set_fatal();
            return Err(io::Error::new(io::ErrorKind::StorageFull, "no space left"));
        }
        Ok(self.disk.state())
    }
}

#[async_trait]
impl Folder for WiredDisk {
    async fn read(&self, name: &str, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        self.step("read", name).await?.read(name, offset, length)
    }

    async fn append(&self, name: &str, bytes: Vec<u8>) -> io::Result<()> {
        let mut state = self.step("append", name).await?;
        if !state.names.contains_key(name) {
            let number = state.next;
            state.next += 1;
            state.contents.insert(number, Content::default());
            state.names.insert(name.to_owned(), number);
            state.renamed();
        }
        state.find(name)?.bytes.extend(bytes);
        Ok(())
    }

    async fn truncate(&self, name: &str, length: u64) -> io::Result<()> {
        let mut state = self.step("truncate", name).await?;
        let content = state.find(name)?;
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        if content.bytes.len() < length {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        content.bytes.truncate(length);
        Ok(())
    }

    async fn sync(&self, name: &str) -> io::Result<()> {
        let mut state = self.step("sync", name).await?;
        let content = state.find(name)?;
        content.safe = content.bytes.clone();
        Ok(())
    }

    async fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.step("rename", from).await?;
        state.find(from)?;
        if let Some(number) = state.names.remove(from) {
            state.names.insert(to.to_owned(), number);
            state.renamed();
        }
        Ok(())
    }

    async fn remove(&self, name: &str) -> io::Result<()> {
        let mut state = self.step("remove", name).await?;
        if state.names.remove(name).is_some() {
            state.renamed();
        }
        Ok(())
    }

    async fn sync_names(&self) -> io::Result<()> {
        let mut state = self.step("sync_names", "").await?;
        state.safe_names = state.names.clone();
        state.changes.clear();
        Ok(())
    }

    async fn list(&self) -> io::Result<Vec<(String, u64)>> {
        self.step("list", "").await?.list()
    }
}

/// A disk without a wire, for the oracle. It is only read.
pub struct PlainDisk(pub Arc<Disk>);

#[async_trait]
impl Folder for PlainDisk {
    async fn read(&self, name: &str, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        self.0.state().read(name, offset, length)
    }

    async fn append(&self, _: &str, _: Vec<u8>) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    async fn truncate(&self, _: &str, _: u64) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    async fn sync(&self, _: &str) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    async fn rename(&self, _: &str, _: &str) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    async fn remove(&self, _: &str) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    async fn sync_names(&self) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    async fn list(&self) -> io::Result<Vec<(String, u64)>> {
        self.0.state().list()
    }
}

/// Scratch files are a disk that nobody looks at after a crash.
#[async_trait]
impl Files for WiredDisk {
    async fn append(&self, name: &str, bytes: Vec<u8>) -> io::Result<()> {
        Folder::append(self, name, bytes).await
    }

    async fn read(&self, name: &str, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        match Folder::read(self, name, offset, length).await {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            read => read,
        }
    }

    async fn remove(&self, name: &str) -> io::Result<()> {
        Folder::remove(self, name).await
    }
}
