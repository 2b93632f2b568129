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
use crate::errors::Problem;
use crate::http::{Call, Reply};
use crate::search::fulltext::FullText;
use crate::search::points::Points;
use crate::storage::{Index, Storage, lock};

pub(crate) struct Engine {
    pub(crate) storage: Storage,
    pub(crate) points: Points,
    texts: Mutex<HashMap<String, Arc<FullText>>>,
    keys: Mutex<BTreeMap<String, Value>>,
    random: File,
    folder: PathBuf,
    closing: AtomicBool,
}

impl Engine {
    /// Opens the store in a folder that exists.
    pub(crate) fn open(folder: &Path) -> Result<Engine, redb::Error> {
        let storage = Storage::open(&folder.join("store.redb"))?;
        let keys = storage
            .keys()
            .map_err(|problem| redb::Error::Corrupted(problem.reason))?;
        Ok(Engine {
            storage,
            points: Points::default(),
            texts: Mutex::default(),
            keys: Mutex::new(keys),
            random: File::open("/dev/urandom")?,
            folder: folder.to_owned(),
            closing: AtomicBool::new(false),
        })
    }

    /// Makes background work end at the next document.
    pub(crate) fn close(&self) {
        self.closing.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Relaxed)
    }

    /// An unguessable name: 20 characters of base64 for ids, as Elasticsearch makes them.
    pub(crate) fn random_name(&self) -> Result<String, Problem> {
        let mut bytes = [0; 15];
        (&self.random).read_exact(&mut bytes)?;
        Ok(URL_SAFE_NO_PAD.encode(bytes))
    }

    /// The full-text index of an index, opened when first asked for.
    pub(crate) fn full_text(&self, index: &Index) -> Result<Arc<FullText>, Problem> {
        let mut texts = lock(&self.texts);
        if let Some(text) = texts.get(&index.uuid) {
            return Ok(text.clone());
        }
        let text = Arc::new(FullText::open(&self.text_folder(index))?);
        texts.insert(index.uuid.clone(), text.clone());
        Ok(text)
    }

    fn text_folder(&self, index: &Index) -> PathBuf {
        self.folder.join("search").join(&index.uuid)
    }

    pub(crate) fn drop_full_text(&self, index: &Index) {
        lock(&self.texts).remove(&index.uuid);
        // What is left behind is only space: the name is never used again.
        let _ = std::fs::remove_dir_all(self.text_folder(index));
    }

    /// Brings every full-text index up to date, so that searches need not wait.
    pub(crate) fn catch_up(&self) -> Result<(), Problem> {
        for index in self
            .storage
            .catalogue()
            .values()
            .filter(|index| index.has_full_text())
        {
            self.full_text(index)?.view(self, index)?;
        }
        self.points.drop_expired();
        Ok(())
    }

    /// The name of the key if `encoded` (base64 of `id:key`) is one that this store has issued.
    pub(crate) fn check_key(&self, encoded: &str) -> Option<String> {
        let decoded = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
        let (id, key) = decoded.split_once(':')?;
        let keys = lock(&self.keys);
        let record = keys
            .get(id)
            .filter(|record| record["invalidated"] == false)?;
        crate::http::same(record["key"].as_str()?, key)
            .then(|| record["name"].as_str().unwrap_or_default().to_owned())
    }

    /// `POST _security/api_key`: issues a key. Its role descriptors are kept but never enforced.
    pub(crate) fn issue_key(&self, call: &Call) -> Result<Reply, Problem> {
        let body = call.object("api_key")?;
        let (id, key) = (self.random_name()?, self.random_name()?);
        let record = json!({
            "key": key, "name": body["name"], "creation": dates::now(), "invalidated": false,
            "role_descriptors": body["role_descriptors"], "metadata": body["metadata"],
        });
        self.storage.write(|batch| batch.set_key(&id, &record))?;
        lock(&self.keys).insert(id.clone(), record);
        let encoded = STANDARD.encode(format!("{id}:{key}"));
        Reply::ok(&json!({"id": id, "name": body["name"], "api_key": key, "encoded": encoded}))
    }

    /// `DELETE _security/api_key`: the keys named by `ids` or `id` are refused from now on.
    pub(crate) fn invalidate_keys(&self, call: &Call) -> Result<Reply, Problem> {
        let body = call.object("invalidate_api_key")?;
        let wanted = body["ids"].as_array().cloned().unwrap_or_default();
        let mut invalidated = Vec::new();
        let mut keys = lock(&self.keys);
        for id in wanted
            .iter()
            .chain(body.get("id"))
            .filter_map(Value::as_str)
        {
            if let Some(record) = keys
                .get_mut(id)
                .filter(|record| record["invalidated"] == false)
            {
                record["invalidated"] = json!(true);
                self.storage.write(|batch| batch.set_key(id, record))?;
                invalidated.push(id);
            }
        }
        Reply::ok(
            &json!({"invalidated_api_keys": invalidated, "previously_invalidated_api_keys": [], "error_count": 0}),
        )
    }
}
