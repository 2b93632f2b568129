//! The source of truth: one redb file. A write that was acknowledged has been synced to disk.
//!
//! Documents lie under the sequence number of their last write, so that a scan in that order is a stable
//! `_shard_doc` order, and what the full-text index has not seen yet is always the end of it.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use redb::{Database, ReadOnlyTable, ReadableDatabase, ReadableTable, TableDefinition};
use redb::{ReadTransaction, WriteTransaction};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::errors::{Problem, Result};
use crate::mapping::Mapping;

type InIndex<K> = (&'static str, K);
/// Name of an index to what is known of it.
const CATALOGUE: TableDefinition<&str, &[u8]> = TableDefinition::new("catalogue");
/// Uuid of an index to its next sequence number and its number of documents.
const COUNTS: TableDefinition<&str, (u64, u64)> = TableDefinition::new("counts");
const DOCUMENTS: TableDefinition<InIndex<u64>, &[u8]> = TableDefinition::new("documents");
/// Id to sequence number.
const IDS: TableDefinition<InIndex<&str>, u64> = TableDefinition::new("ids");
/// Ids of deleted documents, until the full-text index has heard of them.
const GONE: TableDefinition<InIndex<u64>, &str> = TableDefinition::new("gone");
const KEYS: TableDefinition<&str, &[u8]> = TableDefinition::new("api_keys");
/// Memory that redb may use for pages of the file.
const CACHE_BYTES: usize = 32 << 20;

/// Locks a mutex whose data stays consistent even if a holder panicked.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What is known of an index besides its documents.
#[derive(Clone, Default, Debug, Serialize, Deserialize)]
pub(crate) struct Index {
    pub(crate) name: String,
    pub(crate) uuid: String,
    pub(crate) history_uuid: String,
    pub(crate) created_at: i64,
    pub(crate) aliases: Map<String, Value>,
    pub(crate) settings: Map<String, Value>,
    pub(crate) mapping: Mapping,
}

impl Index {
    /// Whether it has a full-text index. Indices with a dot hold small records and are read through.
    pub(crate) fn has_full_text(&self) -> bool {
        !self.name.starts_with('.')
    }

    pub(crate) fn is_hidden(&self) -> bool {
        self.name.starts_with('.') || self.settings.get("hidden") == Some(&Value::from("true"))
    }

    fn numbers(&self, from: u64) -> RangeInclusive<(&str, u64)> {
        (self.uuid.as_str(), from)..=(self.uuid.as_str(), u64::MAX)
    }
}

pub(crate) type Catalogue = BTreeMap<String, Arc<Index>>;

/// A stored document.
#[derive(Debug, Clone)]
pub(crate) struct Document {
    pub(crate) seq_no: u64,
    pub(crate) version: u64,
    pub(crate) id: String,
    pub(crate) source: String,
}

/// A document as it lies in the file, not copied: version, length of the id, id, source.
pub(crate) struct Row<'r> {
    pub(crate) seq_no: u64,
    pub(crate) version: u64,
    pub(crate) id: &'r str,
    pub(crate) source: &'r str,
}

impl<'r> Row<'r> {
    fn decode(seq_no: u64, row: &'r [u8]) -> Result<Row<'r>> {
        let broken = || Problem::internal("a row of the file is damaged");
        let (version, rest) = row.split_first_chunk::<8>().ok_or_else(broken)?;
        let (length, rest) = rest.split_first_chunk::<2>().ok_or_else(broken)?;
        let text = std::str::from_utf8(rest).map_err(Problem::internal)?;
        let length = usize::from(u16::from_le_bytes(*length));
        let (id, source) = text.split_at_checked(length).ok_or_else(broken)?;
        Ok(Row {
            seq_no,
            version: u64::from_le_bytes(*version),
            id,
            source,
        })
    }

    fn copy(&self) -> Document {
        let (id, source) = (self.id.to_owned(), self.source.to_owned());
        Document {
            seq_no: self.seq_no,
            version: self.version,
            id,
            source,
        }
    }
}

/// A stable view of the documents of one index.
pub(crate) struct View {
    index: Arc<Index>,
    transaction: ReadTransaction,
    documents: ReadOnlyTable<InIndex<u64>, &'static [u8]>,
    /// The sequence number that the next write will get.
    pub(crate) next: u64,
    pub(crate) count: u64,
}

impl View {
    pub(crate) fn get(&self, id: &str) -> Result<Option<Document>> {
        let ids = self.transaction.open_table(IDS)?;
        let seq_no = ids
            .get((self.index.uuid.as_str(), id))?
            .map(|found| found.value());
        seq_no.map_or(Ok(None), |seq_no| self.look(seq_no, |row| Ok(row.copy())))
    }

    /// Looks at a document without copying it.
    pub(crate) fn look<T>(
        &self,
        at: u64,
        look: impl FnOnce(Row) -> Result<T>,
    ) -> Result<Option<T>> {
        let row = self.documents.get((self.index.uuid.as_str(), at))?;
        row.map(|row| look(Row::decode(at, row.value())?))
            .transpose()
    }

    /// Reads documents in the order of their sequence numbers until `visit` says stop. Memory: one document.
    pub(crate) fn scan(&self, from: u64, mut visit: impl FnMut(Row) -> Result<bool>) -> Result<()> {
        for entry in self.documents.range(self.index.numbers(from))? {
            let (key, row) = entry?;
            if !visit(Row::decode(key.value().1, row.value())?)? {
                break;
            }
        }
        Ok(())
    }

    /// The mapping of the index as it is in this view.
    pub(crate) fn mapping(&self) -> Result<Mapping> {
        let record = self
            .transaction
            .open_table(CATALOGUE)?
            .get(self.index.name.as_str())?;
        let record = record.ok_or_else(|| Problem::missing_index(&self.index.name))?;
        Ok(serde_json::from_slice::<Index>(record.value())?.mapping)
    }

    /// The ids deleted at `from` or later.
    pub(crate) fn gone(&self, from: u64) -> Result<Vec<String>> {
        let gone = self
            .transaction
            .open_table(GONE)?
            .range(self.index.numbers(from))?;
        gone.map(|entry| Ok(entry?.1.value().to_owned())).collect()
    }
}

/// The file and the catalogue of its indices.
pub(crate) struct Storage {
    database: Database,
    catalogue: RwLock<Arc<Catalogue>>,
    writer: Mutex<()>,
}

impl Storage {
    /// Opens or makes the file. A file that another process has open is an error.
    pub(crate) fn open(file: &Path) -> std::result::Result<Storage, redb::Error> {
        let database = Database::builder()
            .set_cache_size(CACHE_BYTES)
            .create(file)?;
        let transaction = database.begin_write()?;
        let mut catalogue = Catalogue::new();
        for entry in transaction.open_table(CATALOGUE)?.iter()? {
            let index: Index = serde_json::from_slice(entry?.1.value())
                .map_err(|error| redb::Error::Corrupted(format!("record of an index: {error}")))?;
            catalogue.insert(index.name.clone(), Arc::new(index));
        }
        transaction.open_table(COUNTS)?;
        transaction.open_table(DOCUMENTS)?;
        transaction.open_table(IDS)?;
        transaction.open_table(GONE)?;
        transaction.open_table(KEYS)?;
        transaction.commit()?;
        let (catalogue, writer) = (RwLock::new(Arc::new(catalogue)), Mutex::new(()));
        Ok(Storage {
            database,
            catalogue,
            writer,
        })
    }

    pub(crate) fn catalogue(&self) -> Arc<Catalogue> {
        self.catalogue
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub(crate) fn view(&self, index: &Arc<Index>) -> Result<View> {
        let transaction = self.database.begin_read()?;
        let documents = transaction.open_table(DOCUMENTS)?;
        let counts = transaction.open_table(COUNTS)?.get(index.uuid.as_str())?;
        let (next, count) = counts.map(|counts| counts.value()).unwrap_or_default();
        Ok(View {
            index: index.clone(),
            transaction,
            documents,
            next,
            count,
        })
    }

    /// Runs `change` as one transaction: all of it is durable when this returns `Ok`, none of it after an
    /// `Err`. Writers take turns.
    pub(crate) fn write<T>(&self, change: impl FnOnce(&mut Batch) -> Result<T>) -> Result<T> {
        let _turn = lock(&self.writer);
        let (transaction, catalogue) = (self.database.begin_write()?, self.catalogue());
        let mut batch = Batch {
            transaction,
            catalogue,
            changed: BTreeSet::new(),
            dirty: false,
        };
        let result = change(&mut batch)?;
        for name in &batch.changed {
            let mut table = batch.transaction.open_table(CATALOGUE)?;
            match batch.catalogue.get(name) {
                Some(index) => table.insert(name.as_str(), &*serde_json::to_vec(&**index)?)?,
                None => table.remove(name.as_str())?,
            };
        }
        if batch.dirty || !batch.changed.is_empty() {
            batch.transaction.commit()?;
            *self
                .catalogue
                .write()
                .unwrap_or_else(PoisonError::into_inner) = batch.catalogue;
        }
        Ok(result)
    }

    pub(crate) fn keys(&self) -> Result<BTreeMap<String, Value>> {
        let table = self.database.begin_read()?.open_table(KEYS)?;
        let keys = table.iter()?.map(|entry| {
            let (id, record) = entry?;
            Ok((
                id.value().to_owned(),
                serde_json::from_slice(record.value())?,
            ))
        });
        keys.collect()
    }
}

/// One write transaction in the making.
pub(crate) struct Batch {
    transaction: WriteTransaction,
    catalogue: Arc<Catalogue>,
    changed: BTreeSet<String>,
    dirty: bool,
}

impl Batch {
    pub(crate) fn catalogue(&self) -> &Catalogue {
        &self.catalogue
    }

    /// Adds an index or replaces what is known of it.
    pub(crate) fn set_index(&mut self, index: Index) -> Arc<Index> {
        let index = Arc::new(index);
        self.changed.insert(index.name.clone());
        Arc::make_mut(&mut self.catalogue).insert(index.name.clone(), index.clone());
        index
    }

    pub(crate) fn drop_index(&mut self, index: &Index) -> Result<()> {
        let uuid = index.uuid.as_str();
        let ids = (uuid, "")..(&*format!("{uuid}\0"), "");
        self.transaction
            .open_table(DOCUMENTS)?
            .retain_in(index.numbers(0), |_, _| false)?;
        self.transaction
            .open_table(IDS)?
            .retain_in(ids, |_, _| false)?;
        self.forget_gone(index, u64::MAX)?;
        self.transaction.open_table(COUNTS)?.remove(uuid)?;
        self.changed.insert(index.name.clone());
        Arc::make_mut(&mut self.catalogue).remove(&index.name);
        Ok(())
    }

    /// Forgets the deletions before `until`: the full-text index knows them.
    pub(crate) fn forget_gone(&mut self, index: &Index, until: u64) -> Result<()> {
        self.dirty = true;
        let uuid = index.uuid.as_str();
        let mut gone = self.transaction.open_table(GONE)?;
        Ok(gone.retain_in((uuid, 0)..(uuid, until), |_, _| false)?)
    }

    pub(crate) fn get(&self, index: &Index, id: &str) -> Result<Option<Document>> {
        let ids = self.transaction.open_table(IDS)?;
        let Some(seq_no) = ids
            .get((index.uuid.as_str(), id))?
            .map(|found| found.value())
        else {
            return Ok(None);
        };
        let documents = self.transaction.open_table(DOCUMENTS)?;
        let row = documents.get((index.uuid.as_str(), seq_no))?;
        row.map(|row| Ok(Row::decode(seq_no, row.value())?.copy()))
            .transpose()
    }

    /// All documents of a small index.
    pub(crate) fn all(&self, index: &Index) -> Result<Vec<Document>> {
        let documents = self.transaction.open_table(DOCUMENTS)?;
        let rows = documents.range(index.numbers(0))?.map(|entry| {
            let (key, row) = entry?;
            Ok(Row::decode(key.value().1, row.value())?.copy())
        });
        rows.collect()
    }

    /// Uses up the next sequence number; `change` is what the write does to the number of documents.
    pub(crate) fn take_number(&mut self, index: &Index, change: i64) -> Result<u64> {
        let mut counts = self.transaction.open_table(COUNTS)?;
        let now = counts
            .get(index.uuid.as_str())?
            .map(|counts| counts.value());
        let (next, count) = now.unwrap_or_default();
        counts.insert(
            index.uuid.as_str(),
            (next + 1, count.saturating_add_signed(change)),
        )?;
        self.dirty = true;
        Ok(next)
    }

    /// Writes a document in the place of `former`. Returns its sequence number and version.
    pub(crate) fn put(
        &mut self,
        index: &Index,
        id: &str,
        source: &str,
        former: Option<&Document>,
    ) -> Result<(u64, u64)> {
        let number = self.take_number(index, i64::from(former.is_none()))?;
        let (uuid, version) = (
            index.uuid.as_str(),
            former.map_or(1, |former| former.version + 1),
        );
        let length = u16::try_from(id.len()).map_err(Problem::internal)?;
        let row = [
            &version.to_le_bytes()[..],
            &length.to_le_bytes(),
            id.as_bytes(),
            source.as_bytes(),
        ];
        let mut documents = self.transaction.open_table(DOCUMENTS)?;
        if let Some(former) = former {
            documents.remove((uuid, former.seq_no))?;
        }
        documents.insert((uuid, number), row.concat().as_slice())?;
        self.transaction
            .open_table(IDS)?
            .insert((uuid, id), number)?;
        Ok((number, version))
    }

    /// Removes a document. Returns the sequence number and version of the deletion.
    pub(crate) fn remove(&mut self, index: &Index, former: &Document) -> Result<(u64, u64)> {
        let (number, uuid) = (self.take_number(index, -1)?, index.uuid.as_str());
        self.transaction
            .open_table(DOCUMENTS)?
            .remove((uuid, former.seq_no))?;
        self.transaction
            .open_table(IDS)?
            .remove((uuid, former.id.as_str()))?;
        if index.has_full_text() {
            self.transaction
                .open_table(GONE)?
                .insert((uuid, number), former.id.as_str())?;
        }
        Ok((number, former.version + 1))
    }

    pub(crate) fn set_key(&mut self, id: &str, record: &Value) -> Result<()> {
        self.dirty = true;
        self.transaction
            .open_table(KEYS)?
            .insert(id, &*serde_json::to_vec(record)?)?;
        Ok(())
    }
}
