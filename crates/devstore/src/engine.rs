//! Everything that a running store holds: the file, the full-text indices, open points in time, API keys.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use crate::dates;
use crate::errors::{Problem, Result};
use crate::http::{Call, Reply, same};
use crate::search::fulltext::FullText;
use crate::search::points::Points;
use crate::storage::{Index, Storage, lock};

pub(crate) struct Engine {
    pub(crate) storage: Storage,
    pub(crate) points: Points,
    /// Makes work on the full-text indices end at the next document.
    pub(crate) closing: AtomicBool,
    texts: Mutex<HashMap<String, Arc<FullText>>>,
    keys: Mutex<BTreeMap<String, Value>>,
    random: File,
    folder: PathBuf,
}

impl Engine {
    /// Opens the store in a folder that exists.
    pub(crate) fn open(folder: &Path) -> std::result::Result<Engine, redb::Error> {
        let storage = Storage::open(&folder.join("store.redb"))?;
        let keys = storage
            .keys()
            .map_err(|problem| redb::Error::Corrupted(problem.reason))?;
        let (points, texts, closing) =
            (Points::default(), Mutex::default(), AtomicBool::new(false));
        let (random, folder) = (File::open("/dev/urandom")?, folder.to_owned());
        Ok(Engine {
            storage,
            points,
            closing,
            texts,
            keys: Mutex::new(keys),
            random,
            folder,
        })
    }

    /// An unguessable name: 20 characters of base64, as Elasticsearch makes them for ids.
    pub(crate) fn random_name(&self) -> Result<String> {
        let mut bytes = [0; 15];
        (&self.random).read_exact(&mut bytes)?;
        Ok(URL_SAFE_NO_PAD.encode(bytes))
    }

    fn text_folder(&self, index: &Index) -> PathBuf {
        self.folder.join("search").join(&index.uuid)
    }

    /// The full-text index of an index, opened when first asked for. That of a deleted index is not made again.
    pub(crate) fn full_text(&self, index: &Index) -> Result<Arc<FullText>> {
        let mut texts = lock(&self.texts);
        let known = self
            .storage
            .catalogue()
            .get(&index.name)
            .map(|known| known.uuid.clone());
        if known.as_ref() != Some(&index.uuid) {
            return Err(Problem::missing_index(&index.name));
        }
        if let Some(text) = texts.get(&index.uuid) {
            return Ok(text.clone());
        }
        let text = Arc::new(FullText::open(&self.text_folder(index))?);
        texts.insert(index.uuid.clone(), text.clone());
        Ok(text)
    }

    pub(crate) fn drop_full_text(&self, index: &Index) {
        lock(&self.texts).remove(&index.uuid);
        // What is left behind is only space: the name is never used again.
        let _ = std::fs::remove_dir_all(self.text_folder(index));
    }

    /// Brings every full-text index up to date, so that searches need not wait.
    pub(crate) fn catch_up(&self) -> Result<()> {
        for index in self
            .storage
            .catalogue()
            .values()
            .filter(|index| index.has_full_text())
        {
            if !self.closing.load(Ordering::Relaxed) {
                self.full_text(index)?.view(self, index)?;
            }
        }
        self.points.drop_expired();
        Ok(())
    }

    /// The name of the key if `encoded` (base64 of `id:key`) is one that this store has issued.
    pub(crate) fn check_key(&self, encoded: &str) -> Option<Value> {
        let decoded = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
        let (id, key) = decoded.split_once(':')?;
        let keys = lock(&self.keys);
        let record = keys
            .get(id)
            .filter(|record| record["invalidated"] == false)?;
        same(record["key"].as_str()?, key).then(|| record["name"].clone())
    }

    /// `POST _security/api_key`: issues a key. Its role descriptors are kept but never enforced.
    pub(crate) fn issue_key(&self, call: &Call) -> Result<Reply> {
        let mut record = call.object("api_key")?;
        let (id, key, name) = (
            self.random_name()?,
            self.random_name()?,
            record["name"].clone(),
        );
        record["key"] = json!(key);
        record["creation"] = json!(dates::now());
        record["invalidated"] = json!(false);
        self.storage.write(|batch| batch.set_key(&id, &record))?;
        lock(&self.keys).insert(id.clone(), record);
        let encoded = STANDARD.encode(format!("{id}:{key}"));
        Reply::ok(json!({"id": id, "name": name, "api_key": key, "encoded": encoded}))
    }

    /// `DELETE _security/api_key`: the keys named by `ids` or `id` are refused from now on.
    pub(crate) fn invalidate_keys(&self, call: &Call) -> Result<Reply> {
        let body = call.object("invalidate_api_key")?;
        let (mut invalidated, mut keys) = (Vec::new(), lock(&self.keys));
        for id in body["ids"]
            .as_array()
            .into_iter()
            .flatten()
            .chain(body.get("id"))
        {
            let id = id.as_str().unwrap_or_default();
            if let Some(record) = keys
                .get_mut(id)
                .filter(|record| record["invalidated"] == false)
            {
                record["invalidated"] = json!(true);
                self.storage.write(|batch| batch.set_key(id, record))?;
                invalidated.push(id);
            }
        }
        Reply::ok(json!({
            "invalidated_api_keys": invalidated, "previously_invalidated_api_keys": [], "error_count": 0
        }))
    }

    /// The error for work that the end of the store interrupts.
    pub(crate) fn stopped() -> Problem {
        Problem::new(503, "node_closed_exception", "the store is being stopped")
    }
}
