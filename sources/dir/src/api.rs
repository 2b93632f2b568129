//! The calls to the file system, one function each. They block: never on a thread of the runtime.

use std::{
    ffi::OsString,
    fs::{File, Metadata, OpenOptions},
    io::{self, Read},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};
use tributary_files::Moment;

/// What is behind a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    File,
    Folder,
    Link,
    /// A pipe, socket or device: never opened.
    Other,
    /// Not looked at yet.
    Unknown,
}

/// A name in a folder.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) name: OsString,
    pub(crate) kind: Kind,
}

/// What the file system knows about a file.
#[derive(Clone, Debug)]
pub(crate) struct Facts {
    pub(crate) kind: Kind,
    pub(crate) mode: u32,
    pub(crate) inode: u64,
    pub(crate) device: u64,
    pub(crate) links: u64,
    pub(crate) user: u32,
    pub(crate) group: u32,
    pub(crate) size: u64,
    pub(crate) modified: Moment,
    pub(crate) changed: Moment,
    pub(crate) accessed: Moment,
}

pub(crate) type Entries = Box<dyn Iterator<Item = io::Result<Entry>>>;
pub(crate) type Reader = Box<dyn Read + Send>;

/// A file system. A trait, so that tests can make any call fail.
pub(crate) trait FileSystem: Send + Sync {
    /// The names in a folder, in no order, without `.` and `..`.
    fn list(&self, folder: &Path) -> io::Result<Entries>;

    /// About what the path names; if that is a link, about the link.
    fn about_link(&self, path: &Path) -> io::Result<Facts>;

    /// About what the path leads to.
    fn about(&self, path: &Path) -> io::Result<Facts>;

    /// The path without links.
    fn real_path(&self, path: &Path) -> io::Result<PathBuf>;

    /// Opens for reading, and says what was opened. Returns at once, also for a pipe.
    fn open(&self, path: &Path) -> io::Result<(Facts, Reader)>;
}

/// The file system of this host.
pub(crate) struct LocalFiles;

impl FileSystem for LocalFiles {
    fn list(&self, folder: &Path) -> io::Result<Entries> {
        let entries = std::fs::read_dir(folder)?;
        Ok(Box::new(entries.map(|entry| {
            let entry = entry?;
            // Fails only where the listing does not name the kind and the entry is gone already.
            let kind = entry.file_type().map_or(Kind::Unknown, kind);
            let name = entry.file_name();
            Ok(Entry { name, kind })
        })))
    }

    fn about_link(&self, path: &Path) -> io::Result<Facts> {
        std::fs::symlink_metadata(path).map(|metadata| facts(&metadata))
    }

    fn about(&self, path: &Path) -> io::Result<Facts> {
        std::fs::metadata(path).map(|metadata| facts(&metadata))
    }

    fn real_path(&self, path: &Path) -> io::Result<PathBuf> {
        std::fs::canonicalize(path)
    }

    fn open(&self, path: &Path) -> io::Result<(Facts, Reader)> {
        let file = match open_with(path, QUIETLY) {
            // Only the owner of a file may leave its access time alone.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => open_with(path, 0),
            outcome => outcome,
        }?;
        let facts = facts(&file.metadata()?);
        Ok((facts, Box::new(file)))
    }
}

/// Reading a file must not change the access time that its document shows.
#[cfg(target_os = "linux")]
const QUIETLY: i32 = libc::O_NOATIME;
#[cfg(not(target_os = "linux"))]
const QUIETLY: i32 = 0;

fn open_with(path: &Path, flags: i32) -> io::Result<File> {
    // A file may have become a pipe since it was listed; without these flags opening it could wait
    // for ever, or make a terminal ours.
    let flags = flags | libc::O_NONBLOCK | libc::O_NOCTTY;
    OpenOptions::new().read(true).custom_flags(flags).open(path)
}

fn kind(kind: std::fs::FileType) -> Kind {
    match kind {
        kind if kind.is_file() => Kind::File,
        kind if kind.is_dir() => Kind::Folder,
        kind if kind.is_symlink() => Kind::Link,
        _ => Kind::Other,
    }
}

fn facts(metadata: &Metadata) -> Facts {
    let moment = |seconds, nanoseconds| Moment {
        seconds,
        // Below 1,000,000,000 by the definition of `stat`.
        nanoseconds: u32::try_from(nanoseconds).unwrap_or_default(),
    };
    Facts {
        kind: kind(metadata.file_type()),
        mode: metadata.mode(),
        inode: metadata.ino(),
        device: metadata.dev(),
        links: metadata.nlink(),
        user: metadata.uid(),
        group: metadata.gid(),
        size: metadata.size(),
        modified: moment(metadata.mtime(), metadata.mtime_nsec()),
        changed: moment(metadata.ctime(), metadata.ctime_nsec()),
        accessed: moment(metadata.atime(), metadata.atime_nsec()),
    }
}

/// Whether the error says that there is nothing at this path: it vanished, a link leads nowhere, or
/// links lead in a circle.
pub(crate) fn says_nothing_there(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    ) || error.raw_os_error() == Some(libc::ELOOP)
}
