//! Everything that a running store holds: the file, the full-text indices, open points in time.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::errors::Result;
use crate::search::points::Points;
use crate::search::words::FullText;
use crate::storage::{Index, Storage, lock};

pub(crate) struct Engine {
    pub(crate) storage: Storage,
    pub(crate) points: Points,
    texts: Mutex<HashMap<String, Arc<FullText>>>,
    folder: PathBuf,
}

/// An unguessable name: 20 characters of base64, as Elasticsearch makes them for ids.
pub(crate) fn random_name() -> Result<String> {
    let mut bytes = [0; 15];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

impl Engine {
    /// Opens the store in a folder that exists.
    pub(crate) fn open(folder: &Path) -> std::result::Result<Engine, redb::Error> {
        Ok(Engine {
            storage: Storage::open(&folder.join("store.redb"))?,
            points: Points::default(),
            texts: Mutex::default(),
            folder: folder.join("search"),
        })
    }

    /// The full-text index of an index, opened when first asked for.
    pub(crate) fn full_text(&self, index: &Index) -> Result<Arc<FullText>> {
        let mut texts = lock(&self.texts);
        if let Some(text) = texts.get(&index.uuid) {
            return Ok(text.clone());
        }
        // Small records that change often: what is searched for them costs no disk.
        let is_small = index.name.starts_with('.');
        let folder = (!is_small).then(|| self.folder.join(&index.uuid));
        let text = Arc::new(FullText::open(folder.as_deref())?);
        texts.insert(index.uuid.clone(), text.clone());
        Ok(text)
    }

    pub(crate) fn drop_full_text(&self, index: &Index) {
        lock(&self.texts).remove(&index.uuid);
        // What is left behind is only space: the name is never used again.
        let _ = std::fs::remove_dir_all(self.folder.join(&index.uuid));
    }
}
