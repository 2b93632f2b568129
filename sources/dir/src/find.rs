//! One path, looked up as a walk would come by it.

use crate::{
    api::{FileSystem, Kind, says_nothing_there},
    plan::{Plan, There},
    walk::{Found, folder_scope},
};
use std::{ffi::OsStr, io, os::unix::ffi::OsStrExt, path::Path};
use tributary_sdk::Scope;

/// What a walk would do with a path.
#[derive(Debug)]
pub(crate) enum Looked {
    /// List it.
    Listed(Found),
    /// Not list it: the pattern does not lead there, or there is something that is not a file.
    NotListed,
    /// Not find it. `device` is that of the last folder on the way that is there.
    Missing { device: u64 },
}

/// Looks up a path below the directory, name by name, because it matters which of them are links.
pub(crate) fn find(files: &dyn FileSystem, plan: &Plan, path: &[&[u8]]) -> io::Result<Looked> {
    let Some((name, folders)) = path.split_last() else {
        return Ok(Looked::NotListed);
    };
    let mut device = files.about(&plan.root)?.device;
    let mut whole = plan.root.clone();
    let mut at = plan.pattern.start();
    let mut home = Scope::root();
    for (depth, folder) in (1..).zip(folders) {
        whole.push(OsStr::from_bytes(folder));
        match plan.look(files, &whole, Kind::Unknown)? {
            There::Folder { is_link, facts } => {
                at = plan.pattern.enter(at, folder, is_link);
                device = facts.map_or(device, |facts| facts.device);
            }
            There::Nothing => return nothing(files, &whole, device),
            There::File(_) => return Ok(Looked::NotListed),
        }
        if at.is_empty() {
            return Ok(Looked::NotListed);
        }
        home = folder_scope(&home, folder, depth);
    }
    if !plan.pattern.lists(at, name) {
        return Ok(Looked::NotListed);
    }
    whole.push(OsStr::from_bytes(name));
    match plan.look(files, &whole, Kind::Unknown)? {
        There::File(facts) => Ok(Looked::Listed(Found {
            path: whole,
            facts,
            home,
        })),
        There::Folder { .. } => Ok(Looked::NotListed),
        There::Nothing => nothing(files, &whole, device),
    }
}

/// Tells nothing at all from something that is never read.
fn nothing(files: &dyn FileSystem, path: &Path, device: u64) -> io::Result<Looked> {
    match files.about(path) {
        Ok(_) => Ok(Looked::NotListed),
        Err(error) if says_nothing_there(&error) => Ok(Looked::Missing { device }),
        Err(error) => Err(error),
    }
}

/// The names of a path below the directory; `None` if it lies elsewhere or is not a path of ours.
pub(crate) fn names_below<'a>(root: &Path, path: &'a [u8]) -> Option<Vec<&'a [u8]>> {
    let root = root.as_os_str().as_bytes();
    let below = path.strip_prefix(root)?;
    let below = match root.ends_with(b"/") {
        true => below,
        false => below.strip_prefix(b"/")?,
    };
    let names: Vec<&[u8]> = below.split(|byte| *byte == b'/').collect();
    let is_name = |name: &&[u8]| !matches!(*name, b"" | b"." | b"..") && !name.contains(&0);
    names.iter().all(is_name).then_some(names)
}
