//! The bytes of a file. Blocking.

use crate::{
    api::{Facts, FileSystem, Kind, Reader, says_nothing_there},
    plan::{Plan, shown},
};
use std::{
    io::{self, Read},
    path::Path,
};
use tributary_sdk::{Error, ErrorKind, Result};

/// Bytes that are read at once.
const PIECE: usize = 64 * 1024;

/// A part of a file.
pub(crate) struct Piece {
    pub(crate) bytes: Vec<u8>,
    /// Where the next one comes from; `None` at the end.
    pub(crate) rest: Option<Reader>,
}

/// Opens a file and reads its first piece; of the whole file at most `size` bytes are read.
pub(crate) fn first_piece(
    files: &dyn FileSystem,
    plan: &Plan,
    path: &Path,
    size: u64,
) -> Result<Piece> {
    let reader = open(files, plan, path)?;
    next_piece(Box::new(reader.take(size))).map_err(|error| error.with("file", shown(path)))
}

/// Opens a file for reading, unless it has become something else since it was listed.
fn open(files: &dyn FileSystem, plan: &Plan, path: &Path) -> Result<Reader> {
    let because = |error| file_error(path, error);
    let is_file = |facts: &Facts| match facts.kind {
        Kind::File => Ok(()),
        _ => Err(not_a_file(path)),
    };
    // Looked at first, because merely opening a device can do something.
    is_file(&files.about(path).map_err(because)?)?;
    let (facts, reader) = files.open(path).map_err(because)?;
    is_file(&facts)?;
    if plan.is_confined() {
        // What was opened is what the path leads to now, and that may be read.
        let may = plan.may_lead_to(files, path).map_err(because)?;
        let now = files.about(path).map_err(because)?;
        if !may || (now.device, now.inode) != (facts.device, facts.inode) {
            let message = "the file leads outside of sources.dir.allowed_directories";
            return Err(Error::new(ErrorKind::Forbidden, message).with("file", shown(path)));
        }
    }
    Ok(reader)
}

pub(crate) fn next_piece(mut reader: Reader) -> Result<Piece> {
    let mut bytes = Vec::new();
    let read = (&mut reader).take(PIECE as u64).read_to_end(&mut bytes);
    read.map_err(|error| {
        Error::new(ErrorKind::Unavailable, "the file could not be read").caused_by(error)
    })?;
    let rest = (bytes.len() == PIECE).then_some(reader);
    Ok(Piece { bytes, rest })
}

fn not_a_file(path: &Path) -> Error {
    let message = "there is no file any more, but something else";
    Error::new(ErrorKind::NotFound, message).with("file", shown(path))
}

pub(crate) fn file_error(path: &Path, error: io::Error) -> Error {
    let (kind, message) = if says_nothing_there(&error) {
        let message = "the file went away since it was listed";
        (ErrorKind::NotFound, message)
    } else if error.kind() == io::ErrorKind::PermissionDenied {
        let message = "the account of the service may not read this file; give it the right to (r)";
        (ErrorKind::Forbidden, message)
    } else {
        (ErrorKind::Unavailable, "the file could not be read")
    };
    Error::new(kind, message)
        .with("file", shown(path))
        .caused_by(error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        api::Entries,
        fake::{FakeFiles, plan},
    };
    use std::path::PathBuf;

    /// A file becomes a pipe between the look and the opening.
    struct Swapped(FakeFiles);

    impl FileSystem for Swapped {
        fn list(&self, folder: &Path) -> io::Result<Entries> {
            self.0.list(folder)
        }
        fn about_link(&self, path: &Path) -> io::Result<Facts> {
            self.0.about_link(path)
        }
        fn about(&self, path: &Path) -> io::Result<Facts> {
            self.0.about(path)
        }
        fn real_path(&self, path: &Path) -> io::Result<PathBuf> {
            self.0.real_path(path)
        }
        fn open(&self, path: &Path) -> io::Result<(Facts, Reader)> {
            let mut facts = self.about(path)?;
            facts.kind = Kind::Other;
            Ok((facts, Box::new(b"not of a file".as_slice())))
        }
    }

    #[test]
    fn what_was_opened_is_looked_at_once_more() {
        let files = Swapped(FakeFiles::new(["a"]));
        let plan = plan(&files, "*");
        match first_piece(&files, &plan, Path::new("/r/a"), 100) {
            Ok(piece) => panic!("{} bytes", piece.bytes.len()),
            Err(error) => assert_eq!(error.kind(), ErrorKind::NotFound),
        }
    }
}
