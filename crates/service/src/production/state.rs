//! What is remembered of each index, on disk.

use super::scratch::{blocking, word};
use crate::StateRoom;
use async_trait::async_trait;
use md5::{Digest, Md5};
use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    sync::Arc,
};
use tributary_state::Folder;

/// Held locked as long as a job uses the folder.
const LOCK: &str = "lock";
/// The state lies in here; the folder above it says what it is for.
const FILES: &str = "state";

/// A folder for the state of the index of a connector, in `base`. Nobody else uses it as long as the
/// answer lives.
///
/// # Errors
/// Another process uses it (`WouldBlock`), or it cannot be made or written to.
pub(super) async fn open(base: &Path, connector: &str, index: &str) -> io::Result<StateRoom> {
    let path = base.join(name(connector, index));
    blocking(move || {
        let files = path.join(FILES);
        let mut builder = fs::DirBuilder::new();
        // The ids of documents are nobody else's business.
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.recursive(true).create(&files)?;
        let lock = File::create(path.join(LOCK))?;
        lock.try_lock()
            .map_err(|_| io::Error::from(io::ErrorKind::WouldBlock))?;
        Ok(StateRoom {
            folder: Arc::new(DiskFolder(files)),
            owner: Box::new(lock),
        })
    })
    .await
}

/// The same folder, to be read only.
///
/// # Errors
/// It cannot be made.
pub(super) async fn peek(base: &Path, connector: &str, index: &str) -> io::Result<Arc<dyn Folder>> {
    let files = base.join(name(connector, index)).join(FILES);
    blocking(move || {
        fs::create_dir_all(&files)?;
        Ok(Arc::new(DiskFolder(files)) as Arc<dyn Folder>)
    })
    .await
}

/// The name of a folder: readable, and never the same for two.
fn name(connector: &str, index: &str) -> String {
    let digest = Md5::digest(format!("{}:{connector}{index}", connector.len()));
    let digest: String = digest
        .iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("{}-{digest}", word(index))
}

/// A folder on disk.
pub(super) struct DiskFolder(pub(super) PathBuf);

impl DiskFolder {
    async fn with<T: Send + 'static>(
        &self,
        name: &str,
        work: impl FnOnce(&Path) -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let path = self.path(name)?;
        blocking(move || {
            work(&path).map_err(|error| {
                let text = format!("cannot use {}: {error}", path.display());
                io::Error::new(error.kind(), text)
            })
        })
        .await
    }

    /// Names are short words of ours; anything else would leave the folder.
    fn path(&self, name: &str) -> io::Result<PathBuf> {
        let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
        if name.is_empty() || name.starts_with('.') || !name.chars().all(is_plain) {
            let message = format!("'{name}' cannot be the name of a file");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
        Ok(self.0.join(name))
    }
}

#[async_trait]
impl Folder for DiskFolder {
    async fn read(&self, name: &str, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        self.with(name, move |path| {
            let mut file = File::open(path)?;
            file.seek(SeekFrom::Start(offset))?;
            let mut bytes = Vec::new();
            let limit = u64::try_from(length).unwrap_or(u64::MAX);
            file.take(limit).read_to_end(&mut bytes)?;
            Ok(bytes)
        })
        .await
    }

    async fn append(&self, name: &str, bytes: Vec<u8>) -> io::Result<()> {
        self.with(name, move |path| {
            let mut file = OpenOptions::new().append(true).create(true).open(path)?;
            file.write_all(&bytes)
        })
        .await
    }

    async fn truncate(&self, name: &str, length: u64) -> io::Result<()> {
        self.with(name, move |path| {
            let file = OpenOptions::new().write(true).open(path)?;
            match file.metadata()?.len() < length {
                true => Err(io::ErrorKind::UnexpectedEof.into()),
                false => file.set_len(length),
            }
        })
        .await
    }

    async fn sync(&self, name: &str) -> io::Result<()> {
        self.with(name, |path| File::open(path)?.sync_all()).await
    }

    async fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let to = self.path(to)?;
        self.with(from, move |path| fs::rename(path, to)).await
    }

    async fn remove(&self, name: &str) -> io::Result<()> {
        self.with(name, |path| match fs::remove_file(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            result => result,
        })
        .await
    }

    async fn sync_names(&self) -> io::Result<()> {
        let path = self.0.clone();
        // Only Unix can, and has to.
        blocking(move || match cfg!(unix) {
            true => File::open(&path)?.sync_all(),
            false => Ok(()),
        })
        .await
    }

    async fn list(&self) -> io::Result<Vec<(String, u64)>> {
        let path = self.0.clone();
        blocking(move || {
            let mut files = Vec::new();
            for entry in fs::read_dir(&path)? {
                let entry = entry?;
                let metadata = entry.metadata()?;
                if metadata.is_file() {
                    let name = entry.file_name().to_string_lossy().into_owned();
                    files.push((name, metadata.len()));
                }
            }
            files.sort();
            Ok(files)
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_folder_keeps_what_is_written_and_has_one_owner() {
        let base = tempfile::tempdir().unwrap();
        let room = open(base.path(), "c", "search-a/b").await.unwrap();
        let folder = &room.folder;
        folder.append("m", b"123".to_vec()).await.unwrap();
        folder.append("m", b"45".to_vec()).await.unwrap();
        folder.truncate("m", 4).await.unwrap();
        let error = folder.truncate("m", 9).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        folder.sync("m").await.unwrap();
        folder.rename("m", "n").await.unwrap();
        folder.sync_names().await.unwrap();
        folder.remove("absent").await.unwrap();
        let error = folder.read("m", 0, 9).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        let second = open(base.path(), "c", "search-a/b").await;
        assert_eq!(second.unwrap_err().kind(), io::ErrorKind::WouldBlock);
        open(base.path(), "d", "search-a/b").await.unwrap();
        drop(room);
        let room = open(base.path(), "c", "search-a/b").await.unwrap();
        assert_eq!(room.folder.read("n", 1, 9).await.unwrap(), b"234");
        assert_eq!(room.folder.list().await.unwrap(), [("n".to_owned(), 4)]);
    }
}
