//! What a run reads: the directory as it was found, the pattern, and where links may lead.

use crate::{
    api::{Facts, FileSystem, Kind, says_nothing_there},
    config::Settings,
};
use std::{
    io,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};
use tributary_files::{Pattern, path_text};
use tributary_sdk::{Error, ErrorKind, Result};

/// A directory that was there and readable when the plan was made.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) root: PathBuf,
    pub(crate) pattern: Pattern,
    identity: Identity,
    /// Resolved. `None`: everywhere.
    allowed: Option<Vec<PathBuf>>,
}

/// Which folder it is, whatever its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Identity {
    device: u64,
    inode: u64,
}

impl Identity {
    /// Goes into the folder: that mounts what is mounted on demand, needs the right to search the
    /// folder, and fails if it is none.
    fn of(files: &dyn FileSystem, folder: &Path) -> io::Result<Self> {
        let facts = files.about(&folder.join("."))?;
        Ok(Self {
            device: facts.device,
            inode: facts.inode,
        })
    }
}

/// What a path leads to.
#[derive(Debug)]
pub(crate) enum There {
    /// Nothing, or nothing that is ever read.
    Nothing,
    Folder {
        is_link: bool,
        /// Unless the listing said all.
        facts: Option<Facts>,
    },
    File(Facts),
}

impl Plan {
    /// Looks at the directory. Whatever is wrong with it is an error that names it and the way out.
    pub(crate) fn new(files: &dyn FileSystem, settings: &Settings) -> Result<Self> {
        let root = &settings.directory;
        let because = |error| root_error(root, error);
        let identity = Identity::of(files, root).map_err(|error| match files.about(root) {
            Ok(facts) if facts.kind != Kind::Folder => {
                let message = "'Directory path' does not name a directory; choose the one that holds the files";
                Error::invalid_config(message).with("directory", shown(root))
            }
            _ => because(error),
        })?;
        let plan = Self {
            root: root.clone(),
            pattern: settings.pattern.clone(),
            identity,
            allowed: resolve(files, settings)?,
        };
        if plan.pattern.needs_listing(plan.pattern.start()) {
            drop(files.list(root).map_err(because)?);
        }
        Ok(plan)
    }

    /// An error if the directory is not there any more, or another one has taken its place: then what
    /// is not found says nothing.
    pub(crate) fn check_root(&self, files: &dyn FileSystem) -> Result<()> {
        match Identity::of(files, &self.root) {
            Ok(identity) if identity == self.identity => Ok(()),
            Ok(_) => {
                let message = "the directory was replaced, mounted or unmounted while it was being read; the next sync reads what is there now";
                let error = Error::new(ErrorKind::Unavailable, message);
                Err(error.with("directory", shown(&self.root)))
            }
            Err(error) => Err(self.lost(error)),
        }
    }

    /// The directory itself could not be read in mid-walk. Never a denied scope: that would count as
    /// a success.
    pub(crate) fn lost(&self, error: io::Error) -> Error {
        let message = "the directory could not be read any more while it was being read; check that it exists, is mounted, and may be read by the account of the service";
        Error::new(ErrorKind::Unavailable, message)
            .with("directory", shown(&self.root))
            .caused_by(error)
    }

    /// Looks at a path of which `kind` is known. Nothing there is no error.
    pub(crate) fn look(
        &self,
        files: &dyn FileSystem,
        path: &Path,
        kind: Kind,
    ) -> io::Result<There> {
        match self.try_look(files, path, kind) {
            Err(error) if says_nothing_there(&error) => Ok(There::Nothing),
            outcome => outcome,
        }
    }

    fn try_look(&self, files: &dyn FileSystem, path: &Path, kind: Kind) -> io::Result<There> {
        let own = match kind {
            Kind::Other => return Ok(There::Nothing),
            Kind::Folder => {
                return Ok(There::Folder {
                    is_link: false,
                    facts: None,
                });
            }
            Kind::Link => None,
            Kind::File | Kind::Unknown => Some(files.about_link(path)?),
        };
        let (is_link, facts) = match own {
            Some(facts) if facts.kind != Kind::Link => (false, facts),
            _ if self.may_lead_to(files, path)? => (true, files.about(path)?),
            _ => return Ok(There::Nothing),
        };
        Ok(match facts.kind {
            Kind::File => There::File(facts),
            Kind::Folder => There::Folder {
                is_link,
                facts: Some(facts),
            },
            _ => There::Nothing,
        })
    }

    /// Whether what the path leads to lies in an allowed directory. Free of charge without a list.
    pub(crate) fn may_lead_to(&self, files: &dyn FileSystem, path: &Path) -> io::Result<bool> {
        let Some(allowed) = &self.allowed else {
            return Ok(true);
        };
        let real = files.real_path(path)?;
        Ok(allowed.iter().any(|directory| real.starts_with(directory)))
    }

    /// Whether [`Plan::may_lead_to`] can refuse anything.
    pub(crate) fn is_confined(&self) -> bool {
        self.allowed.is_some()
    }
}

/// The allowed directories without links; an error if the directory lies in none of them. One that
/// is not there allows nothing.
fn resolve(files: &dyn FileSystem, settings: &Settings) -> Result<Option<Vec<PathBuf>>> {
    let Some(allowed) = &settings.allowed else {
        return Ok(None);
    };
    let root = &settings.directory;
    let real = files
        .real_path(root)
        .map_err(|error| root_error(root, error))?;
    let allowed: Vec<PathBuf> = allowed
        .iter()
        .filter_map(|directory| files.real_path(directory).ok())
        .collect();
    if allowed.iter().any(|directory| real.starts_with(directory)) {
        return Ok(Some(allowed));
    }
    let message = "'Directory path' lies outside of the directories that this service may read; choose one inside, or add it to sources.dir.allowed_directories in config.yml";
    Err(Error::invalid_config(message)
        .with("directory", shown(root))
        .with("resolved", shown(&real)))
}

fn root_error(root: &Path, error: io::Error) -> Error {
    let (kind, message) = match error.kind() {
        io::ErrorKind::PermissionDenied => (
            ErrorKind::Forbidden,
            "the account of the service may not read the directory; give it the rights to read and to search it (r and x)",
        ),
        io::ErrorKind::InvalidFilename => (
            ErrorKind::InvalidConfig,
            "'Directory path' is longer than this system allows; choose a shorter one",
        ),
        _ if says_nothing_there(&error) => (
            ErrorKind::NotFound,
            "'Directory path' names nothing on the host of this service; create or mount the directory, or correct the path",
        ),
        _ => (
            ErrorKind::Unavailable,
            "the directory cannot be read; check that its disk or share works",
        ),
    };
    Error::new(kind, message)
        .with("directory", shown(root))
        .caused_by(error)
}

/// A path for people.
pub(crate) fn shown(path: &Path) -> String {
    path_text(path.as_os_str().as_bytes())
}
