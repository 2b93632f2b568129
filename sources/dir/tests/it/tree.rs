//! A temporary tree and the source over it.

use serde_json::{Map, Value, json};
use std::{
    ffi::OsStr,
    os::unix::{ffi::OsStrExt, fs::symlink},
    path::{Path, PathBuf},
    sync::Arc,
};
use tempfile::TempDir;
use tributary_sdk::{
    JobKind, Result, Run, Session, Setup, Source, SourceOptions, StopSignal, Values,
};
use tributary_source_dir::DIR;
use tributary_testkit::walk::{Walked, walk_all};

/// The tree lies in a folder of its own, so that there is something beside it.
pub(crate) struct Tree {
    top: TempDir,
}

impl Tree {
    pub(crate) fn new<'a>(files: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let tree = Self {
            top: tempfile::tempdir().unwrap(),
        };
        std::fs::create_dir(tree.root()).unwrap();
        for (path, text) in files {
            tree.file(path, text);
        }
        tree
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.top.path().join("tree")
    }

    /// Beside the tree.
    pub(crate) fn beside(&self, name: &str) -> PathBuf {
        self.top.path().join(name)
    }

    pub(crate) fn path(&self, below: impl AsRef<OsStr>) -> PathBuf {
        self.root().join(Path::new(below.as_ref()))
    }

    pub(crate) fn file(&self, below: impl AsRef<OsStr>, text: &str) {
        let path = self.path(below);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    pub(crate) fn folder(&self, below: &str) {
        std::fs::create_dir_all(self.path(below)).unwrap();
    }

    pub(crate) fn link(&self, below: &str, target: impl AsRef<Path>) {
        symlink(target, self.path(below)).unwrap();
    }

    pub(crate) fn source(&self, pattern: &str) -> Arc<dyn Source> {
        let root = self.root();
        source(root.to_str().unwrap(), pattern, json!({})).unwrap()
    }

    pub(crate) async fn open(&self, pattern: &str) -> Arc<dyn Session> {
        open(&*self.source(pattern)).await.unwrap()
    }

    pub(crate) async fn walk(&self, pattern: &str) -> Walked {
        walk_all(self.open(pattern).await).await.unwrap()
    }

    /// The paths below the directory that a walk lists, in its order, as text.
    pub(crate) async fn lists(&self, pattern: &str) -> Vec<String> {
        self.paths(&self.walk(pattern).await)
    }

    pub(crate) fn paths(&self, walked: &Walked) -> Vec<String> {
        let root = format!("{}/", self.root().display());
        let path = |body: Map<String, Value>| body["path"].as_str().unwrap().to_owned();
        let ids = walked.documents.iter().map(|document| document.id.as_str());
        ids.map(|id| path(walked.body(id).unwrap()))
            .map(|path| path.strip_prefix(&root).unwrap().to_owned())
            .collect()
    }
}

pub(crate) async fn open(source: &dyn Source) -> Result<Arc<dyn Session>> {
    source.open(&Run::new(JobKind::Full)).await.map(Arc::from)
}

/// The source with this configuration and these options of `config.yml`.
pub(crate) fn source(directory: &str, pattern: &str, options: Value) -> Result<Arc<dyn Source>> {
    source_until(directory, pattern, options, StopSignal::never())
}

pub(crate) fn source_until(
    directory: &str,
    pattern: &str,
    options: Value,
    stop: StopSignal,
) -> Result<Arc<dyn Source>> {
    let configuration =
        json!({ "directory": { "value": directory }, "pattern": { "value": pattern } });
    let values = Values::new(DIR.fields, configuration.as_object().unwrap());
    DIR.check(&values)?;
    let options = SourceOptions::new(options.as_object().unwrap().clone());
    let source = (DIR.build)(&Setup::new(&values, &options, stop, std::env::temp_dir()))?;
    assert_eq!(values.unread(), Vec::<&str>::new());
    Ok(source)
}

pub(crate) fn os(bytes: &[u8]) -> &OsStr {
    OsStr::from_bytes(bytes)
}
