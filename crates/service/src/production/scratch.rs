//! Scratch files on disk.

use super::state::{self, DiskFolder};
use crate::{FilesFactory, Room, StateRoom};
use async_trait::async_trait;
use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};
use tempfile::TempDir;
use tributary_engine::Files;
use tributary_state::Folder;

/// Our folders in the folder for temporary files begin so.
const PREFIX: &str = "tributary-";
/// Held locked as long as the process lives.
const LOCK: &str = "lock";

/// A folder that only this process may read, emptied when it ends. What a killed process left behind
/// is removed by the next one.
#[derive(Clone, Debug)]
pub struct ScratchFolders(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// Declared before the folder: unlocked before it is removed.
    _lock: File,
    folder: TempDir,
    /// Where state is kept.
    state: PathBuf,
    count: AtomicU64,
}

impl ScratchFolders {
    /// A new folder in `base`, such as the system's folder for temporary files; what outlives the process
    /// is kept in `state`.
    ///
    /// # Errors
    /// The folder cannot be made or written to.
    pub fn new(base: &Path, state: &Path) -> io::Result<Self> {
        fs::create_dir_all(base)?;
        let mut builder = tempfile::Builder::new();
        builder.prefix(PREFIX);
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o700));
        let folder = builder.tempdir_in(base)?;
        // Locked before it has its name: nobody may see it unlocked.
        let unnamed = folder.path().join("new-lock");
        let lock = File::create(&unnamed)?;
        lock.lock()?;
        fs::rename(&unnamed, folder.path().join(LOCK))?;
        remove_left_behind(base, folder.path());
        Ok(Self(Arc::new(Inner {
            _lock: lock,
            folder,
            state: state.to_owned(),
            count: AtomicU64::new(0),
        })))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.0.folder.path()
    }
}

/// Removes folders of ours whose process has died: nobody holds their lock. Whatever cannot be looked
/// at or removed is left alone.
fn remove_left_behind(base: &Path, own: &Path) {
    let Ok(entries) = fs::read_dir(base) else {
        return;
    };
    for entry in entries.flatten() {
        let path = entry.path();
        let is_ours = entry.file_name().to_string_lossy().starts_with(PREFIX)
            && path != own
            && has_same_owner(&path, own);
        if !is_ours {
            continue;
        }
        // A folder without the file is just being made, or is not what we think.
        let Ok(lock) = File::open(path.join(LOCK)) else {
            continue;
        };
        if lock.try_lock().is_ok() && fs::remove_dir_all(&path).is_ok() {
            tracing::info!("removed {}, which a process left behind", path.display());
        }
    }
}

/// Whether both are real folders of the same user; links are not followed.
#[cfg(unix)]
fn has_same_owner(a: &Path, b: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    match (fs::symlink_metadata(a), fs::symlink_metadata(b)) {
        (Ok(a), Ok(b)) => a.is_dir() && b.is_dir() && a.uid() == b.uid(),
        _ => false,
    }
}

#[cfg(not(unix))]
fn has_same_owner(a: &Path, _: &Path) -> bool {
    fs::symlink_metadata(a).is_ok_and(|metadata| metadata.is_dir())
}

#[async_trait]
impl FilesFactory for ScratchFolders {
    async fn room(&self, purpose: &str) -> io::Result<Room> {
        let number = self.0.count.fetch_add(1, Ordering::Relaxed);
        let path = self.path().join(format!("{number}-{}", word(purpose)));
        let folders = self.clone();
        blocking(move || {
            let owner = Owner {
                path,
                _folders: folders,
            };
            let (files, folder) = (owner.path.join("engine"), owner.path.join("source"));
            let state = owner.path.join("state");
            fs::create_dir_all(&files)?;
            fs::create_dir_all(&state)?;
            fs::create_dir_all(&folder)?;
            Ok(Room {
                files: Arc::new(ScratchFiles(DiskFolder(files))),
                folder,
                state: Arc::new(DiskFolder(state)),
                owner: Box::new(owner),
            })
        })
        .await
    }

    async fn state(&self, connector: &str, index: &str) -> io::Result<StateRoom> {
        state::open(&self.0.state, connector, index).await
    }

    async fn peek(&self, connector: &str, index: &str) -> io::Result<Arc<dyn Folder>> {
        state::peek(&self.0.state, connector, index).await
    }
}

/// A text as a part of a file name.
pub(super) fn word(text: &str) -> String {
    let plain = |letter: char| match letter.is_ascii_alphanumeric() {
        true => letter,
        false => '-',
    };
    text.chars().map(plain).take(60).collect()
}

/// Removes a room's folder when dropped.
struct Owner {
    path: PathBuf,
    /// The parent folder stays as long as there are rooms.
    _folders: ScratchFolders,
}

impl Drop for Owner {
    fn drop(&mut self) {
        let path = std::mem::take(&mut self.path);
        let remove = move || {
            if let Err(error) = fs::remove_dir_all(&path)
                && error.kind() != io::ErrorKind::NotFound
            {
                tracing::warn!("cannot remove {}: {error}", path.display());
            }
        };
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn_blocking(remove)),
            Err(_) => remove(),
        }
    }
}

/// The scratch files of one job: a folder in which what does not exist is empty.
struct ScratchFiles(DiskFolder);

#[async_trait]
impl Files for ScratchFiles {
    async fn append(&self, name: &str, bytes: Vec<u8>) -> io::Result<()> {
        self.0.append(name, bytes).await
    }

    async fn read(&self, name: &str, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        match self.0.read(name, offset, length).await {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            read => read,
        }
    }

    async fn remove(&self, name: &str) -> io::Result<()> {
        self.0.remove(name).await
    }
}

pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(io::Error::other(error)),
    }
}
