//! A file system in memory, for the tests of the walk: lists in an odd order, counts calls, fails at
//! any of them.

use crate::{
    api::{Entries, Entry, Facts, FileSystem, Kind, Reader},
    config::Settings,
    plan::Plan,
    walk::{Event, Found, Outlet, walk},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};
use tributary_files::{Moment, Pattern};
use tributary_sdk::{Error, Result, Scope};

pub(crate) const ROOT: &str = "/r";

/// Which call fails, and how.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fault {
    pub(crate) call: usize,
    pub(crate) kind: io::ErrorKind,
    /// All calls below the same folder fail from then on, as without the right to search it.
    pub(crate) lasts: bool,
}

#[derive(Default)]
pub(crate) struct FakeFiles {
    folders: BTreeMap<PathBuf, BTreeMap<String, Kind>>,
    pub(crate) fault: Option<Fault>,
    pub(crate) calls: Arc<AtomicUsize>,
    pub(crate) lists: AtomicUsize,
    broken: std::sync::Mutex<Option<PathBuf>>,
}

impl FakeFiles {
    /// The folders on the way come by themselves; what is below a file is left out.
    pub(crate) fn new<'a>(files: impl IntoIterator<Item = &'a str>) -> Self {
        let mut fake = Self::default();
        fake.folders.entry(ROOT.into()).or_default();
        for file in files {
            fake.add(file);
        }
        fake
    }

    fn add(&mut self, file: &str) {
        let mut folder = PathBuf::from(ROOT);
        let mut names: Vec<&str> = file.split('/').collect();
        let Some(last) = names.pop() else { return };
        for name in names {
            let entries = self.folders.entry(folder.clone()).or_default();
            if *entries.entry(name.into()).or_insert(Kind::Folder) != Kind::Folder {
                return;
            }
            folder.push(name);
            self.folders.entry(folder.clone()).or_default();
        }
        let entries = self.folders.entry(folder).or_default();
        entries.entry(last.into()).or_insert(Kind::File);
    }

    /// All files, as paths below the root.
    pub(crate) fn files(&self) -> BTreeSet<String> {
        let mut files = BTreeSet::new();
        for (folder, entries) in &self.folders {
            for (name, _) in entries.iter().filter(|(_, kind)| **kind == Kind::File) {
                let path = folder.join(name);
                files.insert(below(&path));
            }
        }
        files
    }

    fn call(&self, path: &Path) -> io::Result<()> {
        let call = self.calls.fetch_add(1, Ordering::Relaxed);
        let Some(fault) = self.fault else {
            return Ok(());
        };
        let mut broken = self.broken.lock().unwrap();
        if call == fault.call {
            if fault.lasts {
                *broken = path.parent().map(Path::to_owned);
            }
            return Err(fault.kind.into());
        }
        match &*broken {
            // As text: `x/.` is in `x`.
            Some(folder) if path.starts_with(folder) && path.as_os_str() != folder.as_os_str() => {
                Err(fault.kind.into())
            }
            _ => Ok(()),
        }
    }

    fn kind(&self, path: &Path) -> io::Result<Kind> {
        // `x/.` is `x` here.
        let path: PathBuf = path.components().collect();
        if self.folders.contains_key(&path) {
            return Ok(Kind::Folder);
        }
        let name = path.file_name().and_then(|name| name.to_str());
        let entries = path.parent().and_then(|parent| self.folders.get(parent));
        let kind = entries
            .zip(name)
            .and_then(|(entries, name)| entries.get(name));
        kind.copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

impl FileSystem for FakeFiles {
    fn list(&self, folder: &Path) -> io::Result<Entries> {
        self.lists.fetch_add(1, Ordering::Relaxed);
        self.call(&folder.join("*"))?;
        let entries = self.folders.get(folder).ok_or(io::ErrorKind::NotFound)?;
        let entry = |(name, kind): (&String, &Kind)| Entry {
            name: name.into(),
            kind: *kind,
        };
        let mut names: Vec<Entry> = entries.iter().map(entry).collect();
        names.sort_by_cached_key(|entry| {
            entry
                .name
                .to_string_lossy()
                .bytes()
                .rev()
                .collect::<Vec<_>>()
        });
        let (calls, fault) = (Arc::clone(&self.calls), self.fault);
        Ok(Box::new(names.into_iter().map(move |entry| {
            let call = calls.fetch_add(1, Ordering::Relaxed);
            match fault {
                Some(fault) if fault.call == call => Err(fault.kind.into()),
                _ => Ok(entry),
            }
        })))
    }

    fn about_link(&self, path: &Path) -> io::Result<Facts> {
        self.call(path)?;
        let kind = self.kind(path)?;
        let moment = Moment::default();
        Ok(Facts {
            kind,
            mode: 0,
            inode: 1,
            device: 1,
            links: 1,
            user: 0,
            group: 0,
            size: 0,
            modified: moment,
            changed: moment,
            accessed: moment,
        })
    }

    fn about(&self, path: &Path) -> io::Result<Facts> {
        self.about_link(path)
    }

    fn real_path(&self, path: &Path) -> io::Result<PathBuf> {
        Ok(path.to_owned())
    }

    fn open(&self, _: &Path) -> io::Result<(Facts, Reader)> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

/// A path below the root.
pub(crate) fn below(path: &Path) -> String {
    let below = path.strip_prefix(ROOT).unwrap();
    below.to_str().unwrap().to_owned()
}

pub(crate) fn plan(files: &dyn FileSystem, pattern: &str) -> Plan {
    let settings = Settings {
        directory: ROOT.into(),
        pattern: Pattern::new(pattern).unwrap(),
        allowed: None,
    };
    Plan::new(files, &settings).unwrap()
}

/// All that a walk came by.
#[derive(Default)]
pub(crate) struct Seen {
    pub(crate) files: Vec<String>,
    pub(crate) homes: Vec<Scope>,
    pub(crate) skipped: Vec<String>,
    pub(crate) gaps: Vec<(Scope, Error)>,
    /// So many more looks, then nobody listens.
    pub(crate) patience: Option<usize>,
}

impl Outlet for Seen {
    fn event(&mut self, event: Event) -> Result<()> {
        match event {
            Event::File(Found { path, home, .. }) => {
                self.files.push(below(&path));
                self.homes.push(home);
            }
            Event::Skip { path, .. } => self.skipped.push(below(&path)),
            Event::Gap(scope, error) => self.gaps.push((scope, error)),
        }
        Ok(())
    }

    fn listening(&mut self) -> Result<()> {
        match &mut self.patience {
            None => Ok(()),
            Some(0) => Err(Error::stopped()),
            Some(patience) => {
                *patience -= 1;
                Ok(())
            }
        }
    }
}

pub(crate) fn walked(files: &FakeFiles, plan: &Plan, after: Option<&str>, memory: usize) -> Seen {
    let mut seen = Seen::default();
    walk(files, plan, after.map(Path::new), memory, &mut seen).unwrap();
    seen
}
