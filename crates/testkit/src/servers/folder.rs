//! Temporary folders that do not outlive the tests, even killed ones.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Once;

use anyhow::{Context, Result};

const PREFIX: &str = "tributary-test-";

/// A temporary folder, removed on drop.
///
/// A process that is killed, or that ends with servers in a static, leaves its folders behind: the name holds the
/// process id, and the first folder made by a later process removes those whose process is gone.
#[derive(Debug)]
pub struct TestFolder {
    folder: tempfile::TempDir,
}

impl TestFolder {
    /// Makes a folder that every user may enter (servers that refuse to run as root need that).
    ///
    /// # Errors
    /// The temporary folder of the system cannot be written.
    pub fn new(name: &str) -> Result<Self> {
        static SWEEP: Once = Once::new();
        let namespace = process_namespace();
        SWEEP.call_once(|| remove_abandoned(&std::env::temp_dir(), namespace));
        let folder = tempfile::Builder::new()
            .prefix(&format!(
                "{PREFIX}{namespace}-{}-{name}-",
                std::process::id()
            ))
            .tempdir()
            .context("cannot make a temporary folder")?;
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755))?;
        Ok(Self { folder })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// A path inside it.
    pub fn join(&self, name: impl AsRef<Path>) -> PathBuf {
        self.folder.path().join(name)
    }
}

/// Process ids mean something only within one such namespace (containers can share a temporary folder).
fn process_namespace() -> u64 {
    fs::metadata("/proc/self/ns/pid").map_or(0, |namespace| namespace.ino())
}

fn remove_abandoned(parent: &Path, namespace: u64) {
    let Ok(entries) = fs::read_dir(parent) else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let Some(rest) = name.to_str().and_then(|name| name.strip_prefix(PREFIX)) else {
            continue;
        };
        let mut parts = rest.split('-');
        let owner_namespace = parts.next().and_then(|part| part.parse::<u64>().ok());
        let owner = parts.next().and_then(|part| part.parse::<u32>().ok());
        if let (Some(owner_namespace), Some(owner)) = (owner_namespace, owner)
            && owner_namespace == namespace
            && !Path::new(&format!("/proc/{owner}")).exists()
        {
            // another process may be removing it too, or another user own it: then it is theirs
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_folders_of_dead_processes_are_removed() {
        let parent = tempfile::tempdir().unwrap();
        let make = |name: String| {
            let path = parent.path().join(name);
            fs::create_dir(&path).unwrap();
            path
        };
        let dead = make(format!("{PREFIX}7-{}-x", u32::MAX));
        let alive = make(format!("{PREFIX}7-{}-x", std::process::id()));
        let elsewhere = make(format!("{PREFIX}8-{}-x", u32::MAX));
        let foreign = make("something-else".into());
        remove_abandoned(parent.path(), 7);
        assert!(!dead.exists());
        assert!(alive.exists() && elsewhere.exists() && foreign.exists());
    }
}
