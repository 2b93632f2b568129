//! The source of truth: one redb file. A write that was acknowledged has been synced to disk.
//!
//! Documents lie under the sequence number of their last write, so that a scan in that order is a stable
//! `_shard_doc` order, and what the full-text index has not seen yet is always the end of it. A deletion leaves a row
//! without a source, so that the full-text index hears of it.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use redb::{Database, ReadOnlyTable, ReadTransaction, WriteTransaction};
use redb::{ReadableDatabase, ReadableTable, TableDefinition};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::errors::{Problem, Result};
use crate::mapping::Mapping;

/// The uuid of an index, and what lies under it.
type InIndex<K> = (&'static str, K);
/// Version, id and source of a document; no source means that it was deleted.
type Row<'r> = (u64, &'r str, &'r str);
/// Name of an index to what is known of it.
const CATALOGUE: TableDefinition<&str, &str> = TableDefinition::new("catalogue");
/// Uuid of an index to its next sequence number and its number of documents.
const COUNTS: TableDefinition<&str, (u64, u64)> = TableDefinition::new("counts");
const DOCUMENTS: TableDefinition<InIndex<u64>, Row<'static>> = TableDefinition::new("documents");
/// Id to sequence number.
const IDS: TableDefinition<InIndex<&str>, u64> = TableDefinition::new("ids");
const KEYS: TableDefinition<&str, &str> = TableDefinition::new("api_keys");
/// Memory that redb may use for pages of the file.
const CACHE_BYTES: usize = 32 << 20;

/// Locks a mutex whose data stays consistent even if a holder panicked.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What is known of an index besides its documents.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Index {
    pub(crate) name: String,
    pub(crate) uuid: String,
    pub(crate) mapping: Mapping,
}

impl Index {
    fn numbers(&self, from: u64) -> RangeInclusive<(&str, u64)> {
        (self.uuid.as_str(), from)..=(self.uuid.as_str(), u64::MAX)
    }
}

pub(crate) type Catalogue = BTreeMap<String, Arc<Index>>;

fn read_catalogue(table: &impl ReadableTable<&'static str, &'static str>) -> Result<Catalogue> {
    let indices = table.iter()?.map(|entry| {
        let (name, index) = entry?;
        let index = serde_json::from_str(index.value())?;
        Ok((name.value().to_owned(), Arc::new(index)))
    });
    indices.collect()
}

/// A stored document.
pub(crate) struct Document {
    pub(crate) seq_no: u64,
    pub(crate) version: u64,
    pub(crate) id: String,
    pub(crate) source: String,
}

impl Document {
    fn of(seq_no: u64, (version, id, source): Row) -> Document {
        let (id, source) = (id.to_owned(), source.to_owned());
        Document {
            seq_no,
            version,
            id,
            source,
        }
    }

    pub(crate) fn parsed(&self) -> Result<Value> {
        Ok(serde_json::from_str(&self.source)?)
    }
}

/// A stable view of one index and its documents.
pub(crate) struct View {
    pub(crate) index: Arc<Index>,
    transaction: ReadTransaction,
    documents: ReadOnlyTable<InIndex<u64>, Row<'static>>,
    /// The sequence number that the next write will get, and the number of documents.
    pub(crate) counts: (u64, u64),
}

impl View {
    pub(crate) fn get(&self, id: &str) -> Result<Option<Document>> {
        let ids = self.transaction.open_table(IDS)?;
        let seq_no = ids.get((self.index.uuid.as_str(), id))?;
        seq_no.map_or(Ok(None), |seq_no| self.at(seq_no.value()))
    }

    /// The document whose last write has this number.
    pub(crate) fn at(&self, seq_no: u64) -> Result<Option<Document>> {
        let row = self.documents.get((self.index.uuid.as_str(), seq_no))?;
        Ok(row.map(|row| Document::of(seq_no, row.value())))
    }

    /// The documents in the order of their sequence numbers, with the deleted ones.
    pub(crate) fn scan(&self, from: u64) -> Result<impl Iterator<Item = Result<Document>>> {
        let rows = self.documents.range(self.index.numbers(from))?;
        Ok(rows.map(|row| {
            let (key, row) = row?;
            Ok(Document::of(key.value().1, row.value()))
        }))
    }

    /// The documents in the order of their sequence numbers.
    pub(crate) fn live(&self, from: u64) -> Result<impl Iterator<Item = Result<Document>>> {
        let is_there = |document: &Document| !document.source.is_empty();
        let documents = self.scan(from)?;
        Ok(documents.filter(move |document| document.as_ref().map_or(true, is_there)))
    }
}

/// The name of an index, where the name of the protocol is an alias.
pub(crate) fn real(name: &str) -> &str {
    match name {
        ".elastic-connectors" => ".elastic-connectors-v1",
        ".elastic-connectors-sync-jobs" => ".elastic-connectors-sync-jobs-v1",
        name => name,
    }
}

/// The file.
pub(crate) struct Storage(Database);

impl Storage {
    /// Opens or makes the file. A file that another process has open is an error.
    pub(crate) fn open(file: &Path) -> std::result::Result<Storage, redb::Error> {
        let mut builder = Database::builder();
        let database = builder.set_cache_size(CACHE_BYTES).create(file)?;
        let transaction = database.begin_write()?;
        transaction.open_table(CATALOGUE)?;
        transaction.open_table(COUNTS)?;
        transaction.open_table(DOCUMENTS)?;
        transaction.open_table(IDS)?;
        transaction.open_table(KEYS)?;
        transaction.commit()?;
        Ok(Storage(database))
    }

    pub(crate) fn catalogue(&self) -> Result<Catalogue> {
        read_catalogue(&self.0.begin_read()?.open_table(CATALOGUE)?)
    }

    /// The index of a name as it is now.
    pub(crate) fn view(&self, name: &str) -> Result<View> {
        let transaction = self.0.begin_read()?;
        let index = transaction.open_table(CATALOGUE)?.get(real(name))?;
        let index = index.ok_or_else(|| Problem::missing_index(name))?;
        let index: Arc<Index> = Arc::new(serde_json::from_str(index.value())?);
        let counts = transaction.open_table(COUNTS)?.get(index.uuid.as_str())?;
        Ok(View {
            counts: counts.map(|counts| counts.value()).unwrap_or_default(),
            documents: transaction.open_table(DOCUMENTS)?,
            index,
            transaction,
        })
    }

    /// Runs `change` as one transaction: all of it is durable when this returns `Ok`, none of it after an
    /// `Err`. Writers take turns.
    pub(crate) fn write<T>(&self, change: impl FnOnce(&mut Batch) -> Result<T>) -> Result<T> {
        let transaction = self.0.begin_write()?;
        let catalogue = read_catalogue(&transaction.open_table(CATALOGUE)?)?;
        let mut batch = Batch {
            transaction,
            catalogue,
        };
        let result = change(&mut batch)?;
        batch.transaction.commit()?;
        Ok(result)
    }

    /// The secret of an API key.
    pub(crate) fn key(&self, id: &str) -> Result<Option<String>> {
        let key = self.0.begin_read()?.open_table(KEYS)?.get(id)?;
        Ok(key.map(|key| key.value().to_owned()))
    }
}

/// One write transaction in the making.
pub(crate) struct Batch {
    transaction: WriteTransaction,
    pub(crate) catalogue: Catalogue,
}

impl Batch {
    /// Adds an index or replaces what is known of it.
    pub(crate) fn set_index(&mut self, index: Index) -> Result<Arc<Index>> {
        let mut catalogue = self.transaction.open_table(CATALOGUE)?;
        catalogue.insert(&*index.name, &*serde_json::to_string(&index)?)?;
        let index = Arc::new(index);
        self.catalogue.insert(index.name.clone(), index.clone());
        Ok(index)
    }

    pub(crate) fn drop_index(&mut self, index: &Index) -> Result<()> {
        let (transaction, uuid) = (&self.transaction, index.uuid.as_str());
        let ids = (uuid, "")..(&*format!("{uuid}\0"), "");
        let mut documents = transaction.open_table(DOCUMENTS)?;
        documents.retain_in(index.numbers(0), |_, _| false)?;
        transaction.open_table(IDS)?.retain_in(ids, |_, _| false)?;
        transaction.open_table(COUNTS)?.remove(uuid)?;
        transaction.open_table(CATALOGUE)?.remove(&*index.name)?;
        Ok(())
    }

    pub(crate) fn get(&self, index: &Index, id: &str) -> Result<Option<Document>> {
        let (ids, uuid) = (self.transaction.open_table(IDS)?, index.uuid.as_str());
        let number = ids.get((uuid, id))?.map_or(u64::MAX, |found| found.value());
        let documents = self.transaction.open_table(DOCUMENTS)?;
        let row = documents.get((uuid, number))?;
        Ok(row.map(|row| Document::of(number, row.value())))
    }

    /// Writes a document in the place of `former`, or deletes it where there is no `source`. Returns the sequence number
    /// and the version.
    pub(crate) fn put(
        &mut self,
        index: &Index,
        id: &str,
        source: &str,
        former: Option<&Document>,
    ) -> Result<(u64, u64)> {
        let (transaction, uuid) = (&self.transaction, index.uuid.as_str());
        let mut counts = transaction.open_table(COUNTS)?;
        let now = counts.get(uuid)?.map(|counts| counts.value());
        let (number, count) = now.unwrap_or_default();
        let change = i64::from(!source.is_empty()) - i64::from(former.is_some());
        counts.insert(uuid, (number + 1, count.saturating_add_signed(change)))?;
        let mut documents = transaction.open_table(DOCUMENTS)?;
        let version = former.map_or(1, |former| former.version + 1);
        if let Some(former) = former {
            documents.remove((uuid, former.seq_no))?;
        }
        documents.insert((uuid, number), (version, id, source))?;
        let mut ids = transaction.open_table(IDS)?;
        match source {
            "" => ids.remove((uuid, id))?,
            _ => ids.insert((uuid, id), number)?,
        };
        Ok((number, version))
    }

    pub(crate) fn set_key(&mut self, id: &str, key: &str) -> Result<()> {
        self.transaction.open_table(KEYS)?.insert(id, key)?;
        Ok(())
    }
}
