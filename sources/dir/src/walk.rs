//! The walk: every file that the pattern lists, in one order, with bounded memory. Blocking.
//!
//! The order is that of the names on the path, compared as bytes, one name after the other; a folder
//! is read where its name stands. So a walk can go on after any path, even if that is gone by then.
//!
//! A folder is read in portions: the lowest names that fit, then the next ones, by listing it again.
//! Folders further up give their portions back when memory is short, and list again later. So memory
//! depends neither on the number of files nor on the size of a folder.

use crate::{
    api::{Entry, Facts, FileSystem, Kind, says_nothing_there},
    plan::{Plan, There, shown},
};
use std::{
    collections::VecDeque,
    ffi::{OsStr, OsString},
    io, mem,
    ops::Bound,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    vec,
};
use tributary_files::{Positions, path_text};
use tributary_sdk::{Error, ErrorKind, Result, Scope};

/// What all names that wait may take, in bytes.
pub(crate) const MEMORY: usize = 16 * 1024 * 1024;
/// What a waiting name takes besides its bytes.
const NAME_OVERHEAD: usize = 64;
/// How many names are listed, or looked at, between two looks at whether anybody still listens.
const LISTEN_EVERY: usize = 1024;

/// A file that the pattern lists.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) path: PathBuf,
    pub(crate) facts: Facts,
    /// The scope of its folder.
    pub(crate) home: Scope,
}

/// What a walk comes by.
#[derive(Debug)]
pub(crate) enum Event {
    File(Found),
    /// A file is there, but nothing can be learnt about it.
    Skip {
        path: PathBuf,
        why: String,
    },
    /// A folder could not be read, or not to its end.
    Gap(Scope, Error),
}

/// Where events go. An error ends the walk.
pub(crate) trait Outlet {
    fn event(&mut self, event: Event) -> Result<()>;

    /// Called where nothing was found for a while: does anybody still listen?
    fn listening(&mut self) -> Result<()>;
}

/// Folders further down share the scope of the last one that has its own: a scope holds all of its
/// path, so that deep trees would fill the memory with them.
const SCOPES: usize = 64;

/// The scope of a folder, `depth` names below the directory, in the scope of its parent.
pub(crate) fn folder_scope(parent: &Scope, name: &[u8], depth: usize) -> Scope {
    match depth {
        ..=SCOPES => parent.child("folder", &path_text(name)),
        _ => parent.clone(),
    }
}

/// Walks the directory, or what follows after a path in it. `memory` bounds the names that wait. An
/// error is about the directory as a whole.
pub(crate) fn walk(
    files: &dyn FileSystem,
    plan: &Plan,
    after: Option<&Path>,
    memory: usize,
    out: &mut dyn Outlet,
) -> Result<()> {
    let resume = after.map(|path| path.iter().map(OsStr::to_owned).collect());
    let mut walk = Walk {
        files,
        plan,
        memory,
        out,
        path: plan.root.clone(),
        folders: vec![Folder::new(Scope::root(), plan.pattern.start(), resume)],
    };
    plan.check_root(files)?;
    let mut count = 0_usize;
    while let Some(folder) = walk.folders.last_mut() {
        match folder.names.next() {
            Some(entry) => {
                count += 1;
                if count.is_multiple_of(LISTEN_EVERY) {
                    walk.out.listening()?;
                }
                walk.entry(entry)?;
            }
            None if !folder.is_complete => walk.list()?,
            None => {
                walk.folders.pop();
                if !walk.folders.is_empty() {
                    walk.path.pop();
                }
            }
        }
    }
    plan.check_root(files)
}

struct Walk<'a> {
    files: &'a dyn FileSystem,
    plan: &'a Plan,
    memory: usize,
    out: &'a mut dyn Outlet,
    /// Of the innermost folder.
    path: PathBuf,
    /// From the directory itself to the innermost folder.
    folders: Vec<Folder>,
}

struct Folder {
    scope: Scope,
    at: Positions,
    /// The next names, in order.
    names: vec::IntoIter<Entry>,
    /// The bytes that `names` took when it was filled.
    held: usize,
    /// Names up to this one are done.
    from: Bound<OsString>,
    /// `names` are the last.
    is_complete: bool,
    /// Whether it was said that it could not be read.
    is_gap: bool,
    /// The names that lead to where the last walk stopped, if that is in this folder.
    resume: VecDeque<OsString>,
}

impl Folder {
    fn new(scope: Scope, at: Positions, resume: Option<VecDeque<OsString>>) -> Self {
        let resume = resume.unwrap_or_default();
        Self {
            scope,
            at,
            names: Vec::new().into_iter(),
            held: 0,
            from: resume
                .front()
                .cloned()
                .map_or(Bound::Unbounded, Bound::Included),
            is_complete: false,
            is_gap: false,
            resume,
        }
    }

    /// Gives the names back, to be listed again later.
    fn forget(&mut self) -> usize {
        if self.names.len() > 0 {
            self.is_complete = false;
        }
        self.names = Vec::new().into_iter();
        mem::take(&mut self.held)
    }

    /// Nothing more is read here.
    fn give_up(&mut self) {
        self.forget();
        self.is_complete = true;
    }
}

impl Walk<'_> {
    /// Lists the innermost folder, as far as memory goes.
    fn list(&mut self) -> Result<()> {
        let Some(folder) = self.folders.last_mut() else {
            return Ok(());
        };
        let mut portion = Portion {
            from: mem::replace(&mut folder.from, Bound::Unbounded),
            names: Vec::new(),
            held: 0,
            limit: self.memory / 2,
            end: None,
        };
        for name in self.plan.pattern.names(folder.at).map(OsStr::from_bytes) {
            if portion.has_place_for(name) {
                portion.add(Entry {
                    name: name.to_owned(),
                    kind: Kind::Unknown,
                });
            }
        }
        let at = folder.at;
        let read = match self.plan.pattern.needs_listing(at) {
            true => self.read_names(at, &mut portion)?,
            false => Ok(()),
        };
        portion.sort();
        let Some(folder) = self.folders.last_mut() else {
            return Ok(());
        };
        folder.is_complete = portion.end.is_none() || read.is_err();
        folder.held = portion.held;
        folder.names = portion.names.into_iter();
        folder.from = portion.from;
        self.make_room();
        match read {
            Ok(()) => Ok(()),
            Err(error) => self.unlisted(error),
        }
    }

    /// Reads the names of the innermost folder. The inner error is about the folder.
    fn read_names(&mut self, at: Positions, portion: &mut Portion) -> Result<io::Result<()>> {
        let entries = match self.files.list(&self.path) {
            Ok(entries) => entries,
            Err(error) => return Ok(Err(error)),
        };
        for (count, entry) in entries.enumerate() {
            if (count + 1).is_multiple_of(LISTEN_EVERY) {
                self.out.listening()?;
            }
            let entry = match entry {
                Ok(entry) => entry,
                Err(error) => return Ok(Err(error)),
            };
            // In this order, because a large folder is listed many times.
            if portion.has_place_for(&entry.name) && is_wanted(self.plan, at, &entry) {
                portion.add(entry);
            }
        }
        Ok(Ok(()))
    }

    /// The outermost folders give their names back first: they are needed last.
    fn make_room(&mut self) {
        let mut held: usize = self.folders.iter().map(|folder| folder.held).sum();
        let inner = self.folders.len().saturating_sub(1);
        for folder in self.folders.iter_mut().take(inner) {
            if held <= self.memory / 2 {
                return;
            }
            held -= folder.forget();
        }
    }

    /// The innermost folder could not be listed. Names that were found nevertheless are still read.
    fn unlisted(&mut self, error: io::Error) -> Result<()> {
        let is_root = self.folders.len() == 1;
        let Some(folder) = self.folders.last_mut() else {
            return Ok(());
        };
        if is_root {
            return Err(self.plan.lost(error));
        }
        if says_nothing_there(&error) {
            // It vanished, which is no gap, unless everything did.
            folder.give_up();
            return self.plan.check_root(self.files);
        }
        folder.is_gap = true;
        let gap = Event::Gap(folder.scope.clone(), folder_error(&self.path, error));
        self.out.event(gap)
    }

    /// The next name of the innermost folder.
    fn entry(&mut self, entry: Entry) -> Result<()> {
        let depth = self.folders.len();
        let Some(folder) = self.folders.last_mut() else {
            return Ok(());
        };
        let Entry { name, kind } = entry;
        let mut resume = mem::take(&mut folder.resume);
        let is_on_the_way = resume.pop_front().is_some_and(|first| first == name);
        // The walk stopped after this very file.
        let is_done = is_on_the_way && resume.is_empty();
        let resume = (is_on_the_way && !is_done).then_some(resume);

        let at = folder.at;
        let lists = !is_done && self.plan.pattern.lists(at, name.as_bytes());
        let is_plain = kind == Kind::File;
        if is_plain && !lists {
            folder.from = Bound::Excluded(name);
            return Ok(());
        }
        self.path.push(&name);
        match self.plan.look(self.files, &self.path, kind) {
            Ok(There::Folder { is_link, .. }) => {
                let inside = self.plan.pattern.enter(at, name.as_bytes(), is_link);
                if !inside.is_empty() {
                    let scope = folder_scope(&folder.scope, name.as_bytes(), depth);
                    folder.from = Bound::Excluded(name);
                    self.folders.push(Folder::new(scope, inside, resume));
                    return Ok(());
                }
            }
            Ok(There::File(facts)) if lists => {
                let path = self.path.clone();
                let home = folder.scope.clone();
                self.out.event(Event::File(Found { path, facts, home }))?;
            }
            Ok(There::File(_) | There::Nothing) => {}
            Err(error) => self.unknown(&name, kind, lists, error)?,
        }
        self.path.pop();
        if let Some(folder) = self.folders.last_mut() {
            folder.from = Bound::Excluded(name);
        }
        Ok(())
    }

    /// Nothing can be learnt about a name. If that goes for its whole folder, the folder is the gap.
    fn unknown(&mut self, name: &OsStr, kind: Kind, lists: bool, error: io::Error) -> Result<()> {
        let depth = self.folders.len();
        let Some(folder) = self.folders.last_mut() else {
            return Ok(());
        };
        let parent = self.path.parent().unwrap_or(&self.path);
        if let Err(error) = self.files.about(&parent.join(".")) {
            if depth == 1 {
                return Err(self.plan.lost(error));
            }
            folder.give_up();
            if folder.is_gap {
                return Ok(());
            }
            let gap = Event::Gap(folder.scope.clone(), folder_error(parent, error));
            return self.out.event(gap);
        }
        if lists {
            let why = format!("nothing can be learnt about this file: {error}");
            let path = self.path.clone();
            self.out.event(Event::Skip { path, why })?;
        }
        let inside = match kind {
            Kind::File | Kind::Other => Positions::default(),
            kind => {
                let is_link = kind == Kind::Link;
                self.plan.pattern.enter(folder.at, name.as_bytes(), is_link)
            }
        };
        if inside.is_empty() {
            return Ok(());
        }
        let scope = folder_scope(&folder.scope, name.as_bytes(), depth);
        let gap = Event::Gap(scope, folder_error(&self.path, error));
        self.out.event(gap)
    }
}

/// The lowest names of a folder that fit.
struct Portion {
    from: Bound<OsString>,
    names: Vec<Entry>,
    held: usize,
    limit: usize,
    /// This name, and those behind it, were left out.
    end: Option<OsString>,
}

impl Portion {
    /// Whether the name is neither done nor left for later.
    fn has_place_for(&self, name: &OsStr) -> bool {
        let is_done = match &self.from {
            Bound::Unbounded => false,
            Bound::Included(from) => name < from,
            Bound::Excluded(from) => name <= from,
        };
        !is_done && self.end.as_ref().is_none_or(|end| name < end)
    }

    fn add(&mut self, entry: Entry) {
        self.held += cost(&entry);
        self.names.push(entry);
        if self.held > self.limit && self.names.len() > 1 {
            self.cut();
        }
    }

    /// Leaves out the upper quarter.
    fn cut(&mut self) {
        let keep = self.names.len() - self.names.len().div_ceil(4);
        let order = |a: &Entry, b: &Entry| a.name.cmp(&b.name);
        self.names.select_nth_unstable_by(keep, order);
        self.end = self.names.drain(keep..).next().map(|entry| entry.name);
        self.held = self.names.iter().map(cost).sum();
    }

    fn sort(&mut self) {
        // A name that was both looked for and listed: the listing knows its kind.
        self.names
            .sort_unstable_by(|a, b| a.name.cmp(&b.name).then(a.kind.cmp(&b.kind)));
        self.names
            .dedup_by(|later, earlier| later.name == earlier.name);
        self.names.shrink_to_fit();
    }
}

fn cost(entry: &Entry) -> usize {
    entry.name.len() + NAME_OVERHEAD
}

/// Whether an entry can be, or lead to, a file that is listed.
fn is_wanted(plan: &Plan, at: Positions, entry: &Entry) -> bool {
    let name = entry.name.as_bytes();
    let enters = |is_link| !plan.pattern.enter(at, name, is_link).is_empty();
    match entry.kind {
        Kind::File => plan.pattern.lists(at, name),
        Kind::Folder => enters(false),
        Kind::Link => plan.pattern.lists(at, name) || enters(true),
        Kind::Unknown => plan.pattern.lists(at, name) || enters(false),
        Kind::Other => false,
    }
}

fn folder_error(path: &Path, error: io::Error) -> Error {
    let (kind, message) = match error.kind() {
        io::ErrorKind::PermissionDenied => (
            ErrorKind::Forbidden,
            "the account of the service may not read this folder; give it the rights to read and to search it (r and x)",
        ),
        io::ErrorKind::InvalidFilename => (
            ErrorKind::Unsupported,
            "the path of this folder is longer than this system allows; name a directory further down in a connector of its own",
        ),
        _ => (ErrorKind::Unavailable, "this folder could not be read"),
    };
    Error::new(kind, message)
        .with("folder", shown(path))
        .caused_by(error)
}
