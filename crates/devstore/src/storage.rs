//! The source of truth: one redb file. A write that was acknowledged has been synced to disk.
//!
//! Each index has two tables. `docs/<uuid>` holds the documents under the sequence number of their last
//! write, so that a scan in that order is a stable `_shard_doc` order and the newest writes are a suffix.
//! `ids/<uuid>` leads from the id to the sequence number. `gone/<uuid>` keeps the ids of deleted documents
//! until the full-text index has heard of them.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeFrom;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use redb::{
    Database, ReadTransaction, ReadableDatabase, ReadableTable, ReadableTableMetadata,
    TableDefinition, WriteTransaction,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::errors::Problem;
use crate::mapping::Mapping;

const CATALOGUE: TableDefinition<&str, &[u8]> = TableDefinition::new("catalogue");
const NEXT: TableDefinition<&str, u64> = TableDefinition::new("next_sequence_numbers");
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
    /// Whether the index has a full-text index. Those with a dot hold small records and are read through.
    pub(crate) fn has_full_text(&self) -> bool {
        !self.name.starts_with('.')
    }

    pub(crate) fn is_hidden(&self) -> bool {
        self.name.starts_with('.')
            || self
                .settings
                .get("hidden")
                .is_some_and(|hidden| hidden == "true")
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

/// A document as it lies in the file, not copied.
pub(crate) struct Row<'r> {
    pub(crate) version: u64,
    pub(crate) id: &'r str,
    pub(crate) source: &'r str,
}

impl<'r> Row<'r> {
    fn encode(version: u64, id: &str, source: &str) -> Vec<u8> {
        let mut row = Vec::with_capacity(10 + id.len() + source.len());
        row.extend_from_slice(&version.to_le_bytes());
        row.extend_from_slice(&(id.len() as u16).to_le_bytes());
        row.extend_from_slice(id.as_bytes());
        row.extend_from_slice(source.as_bytes());
        row
    }

    pub(crate) fn decode(row: &'r [u8]) -> Result<Row<'r>, Problem> {
        let broken = || Problem::internal("a row of the file is damaged");
        let (version, rest) = row.split_first_chunk::<8>().ok_or_else(broken)?;
        let (length, rest) = rest.split_first_chunk::<2>().ok_or_else(broken)?;
        let (id, source) = rest
            .split_at_checked(usize::from(u16::from_le_bytes(*length)))
            .ok_or_else(broken)?;
        Ok(Row {
            version: u64::from_le_bytes(*version),
            id: std::str::from_utf8(id).map_err(Problem::internal)?,
            source: std::str::from_utf8(source).map_err(Problem::internal)?,
        })
    }

    fn to_document(&self, seq_no: u64) -> Document {
        Document {
            seq_no,
            version: self.version,
            id: self.id.to_owned(),
            source: self.source.to_owned(),
        }
    }
}

/// The names of the tables of one index.
struct Names {
    docs: String,
    ids: String,
    gone: String,
}

impl Names {
    fn of(uuid: &str) -> Names {
        Names {
            docs: format!("docs/{uuid}"),
            ids: format!("ids/{uuid}"),
            gone: format!("gone/{uuid}"),
        }
    }
    fn docs(&self) -> TableDefinition<'_, u64, &'static [u8]> {
        TableDefinition::new(&self.docs)
    }
    fn ids(&self) -> TableDefinition<'_, &'static str, u64> {
        TableDefinition::new(&self.ids)
    }
    fn gone(&self) -> TableDefinition<'_, u64, &'static str> {
        TableDefinition::new(&self.gone)
    }
}

/// A stable view of the documents of one index.
pub(crate) struct View {
    transaction: ReadTransaction,
    names: Names,
    uuid: String,
}

impl View {
    pub(crate) fn get(&self, id: &str) -> Result<Option<Document>, Problem> {
        let Some(seq_no) = self.transaction.open_table(self.names.ids())?.get(id)? else {
            return Ok(None);
        };
        self.look(seq_no.value(), |row| Ok(row.to_document(seq_no.value())))
    }

    /// Looks at a document without copying it.
    pub(crate) fn look<T>(
        &self,
        seq_no: u64,
        look: impl FnOnce(Row<'_>) -> Result<T, Problem>,
    ) -> Result<Option<T>, Problem> {
        let row = self
            .transaction
            .open_table(self.names.docs())?
            .get(seq_no)?;
        row.map(|row| look(Row::decode(row.value())?)).transpose()
    }

    /// The mapping of the index as it is in this view.
    pub(crate) fn mapping(&self, index: &Index) -> Result<Mapping, Problem> {
        match self
            .transaction
            .open_table(CATALOGUE)?
            .get(index.name.as_str())?
        {
            Some(text) => Ok(serde_json::from_slice::<Index>(text.value())?.mapping),
            None => Err(Problem::missing_index(&index.name)),
        }
    }

    pub(crate) fn count(&self) -> Result<u64, Problem> {
        Ok(self.transaction.open_table(self.names.docs())?.len()?)
    }

    /// The sequence number that the next write will get.
    pub(crate) fn next(&self) -> Result<u64, Problem> {
        Ok(self
            .transaction
            .open_table(NEXT)?
            .get(self.uuid.as_str())?
            .map_or(0, |next| next.value()))
    }

    /// Reads documents in the order of their sequence numbers until `visit` says stop. Memory: one document.
    pub(crate) fn scan(
        &self,
        range: RangeFrom<u64>,
        mut visit: impl FnMut(u64, Row<'_>) -> Result<bool, Problem>,
    ) -> Result<(), Problem> {
        for entry in self
            .transaction
            .open_table(self.names.docs())?
            .range(range)?
        {
            let (seq_no, row) = entry?;
            if !visit(seq_no.value(), Row::decode(row.value())?)? {
                break;
            }
        }
        Ok(())
    }

    /// The ids deleted at `from` or later.
    pub(crate) fn gone(&self, from: u64) -> Result<Vec<String>, Problem> {
        let table = self.transaction.open_table(self.names.gone())?;
        table
            .range(from..)?
            .map(|entry| Ok(entry?.1.value().to_owned()))
            .collect()
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
    pub(crate) fn open(file: &Path) -> Result<Storage, redb::Error> {
        let database = Database::builder()
            .set_cache_size(CACHE_BYTES)
            .create(file)?;
        let transaction = database.begin_write()?;
        let mut catalogue = Catalogue::new();
        for entry in transaction.open_table(CATALOGUE)?.iter()? {
            let (name, text) = entry?;
            let index: Index = serde_json::from_slice(text.value()).map_err(|error| {
                redb::Error::Corrupted(format!("record of index {}: {error}", name.value()))
            })?;
            catalogue.insert(index.name.clone(), Arc::new(index));
        }
        transaction.open_table(NEXT)?;
        transaction.open_table(KEYS)?;
        transaction.commit()?;
        Ok(Storage {
            database,
            catalogue: RwLock::new(Arc::new(catalogue)),
            writer: Mutex::new(()),
        })
    }

    pub(crate) fn catalogue(&self) -> Arc<Catalogue> {
        self.catalogue
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub(crate) fn view(&self, index: &Index) -> Result<View, Problem> {
        Ok(View {
            transaction: self.database.begin_read()?,
            names: Names::of(&index.uuid),
            uuid: index.uuid.clone(),
        })
    }

    /// Runs `change` as one transaction: all of it is durable when this returns `Ok`, none of it after an `Err`.
    /// Writers take turns.
    pub(crate) fn write<T>(
        &self,
        change: impl FnOnce(&mut Batch) -> Result<T, Problem>,
    ) -> Result<T, Problem> {
        let _turn = lock(&self.writer);
        let mut batch = Batch {
            transaction: self.database.begin_write()?,
            catalogue: self.catalogue(),
            changed: BTreeSet::new(),
            dirty: false,
        };
        let result = change(&mut batch)?;
        if !batch.dirty && batch.changed.is_empty() {
            return Ok(result);
        }
        {
            let mut table = batch.transaction.open_table(CATALOGUE)?;
            for name in &batch.changed {
                match batch.catalogue.get(name) {
                    Some(index) => table.insert(
                        name.as_str(),
                        serde_json::to_vec(index.as_ref())?.as_slice(),
                    )?,
                    None => table.remove(name.as_str())?,
                };
            }
        }
        batch.transaction.commit()?;
        *self
            .catalogue
            .write()
            .unwrap_or_else(PoisonError::into_inner) = batch.catalogue;
        Ok(result)
    }

    /// Forgets the deletions before `until`: the full-text index knows them.
    pub(crate) fn forget_gone(&self, index: &Index, until: u64) -> Result<(), Problem> {
        self.write(|batch| {
            if batch
                .catalogue
                .get(&index.name)
                .is_some_and(|known| known.uuid == index.uuid)
            {
                batch
                    .transaction
                    .open_table(Names::of(&index.uuid).gone())?
                    .retain_in(..until, |_, _| false)?;
                batch.dirty = true;
            }
            Ok(())
        })
    }

    pub(crate) fn keys(&self) -> Result<BTreeMap<String, Value>, Problem> {
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
    pub(crate) fn set_index(&mut self, index: Index) -> Result<Arc<Index>, Problem> {
        let names = Names::of(&index.uuid);
        self.transaction.open_table(names.docs())?;
        self.transaction.open_table(names.ids())?;
        self.transaction.open_table(names.gone())?;
        let index = Arc::new(index);
        self.changed.insert(index.name.clone());
        Arc::make_mut(&mut self.catalogue).insert(index.name.clone(), index.clone());
        Ok(index)
    }

    pub(crate) fn drop_index(&mut self, index: &Index) -> Result<(), Problem> {
        let names = Names::of(&index.uuid);
        self.transaction.delete_table(names.docs())?;
        self.transaction.delete_table(names.ids())?;
        self.transaction.delete_table(names.gone())?;
        self.transaction
            .open_table(NEXT)?
            .remove(index.uuid.as_str())?;
        self.changed.insert(index.name.clone());
        Arc::make_mut(&mut self.catalogue).remove(&index.name);
        Ok(())
    }

    pub(crate) fn get(&self, index: &Index, id: &str) -> Result<Option<Document>, Problem> {
        let names = Names::of(&index.uuid);
        let Some(seq_no) = self
            .transaction
            .open_table(names.ids())?
            .get(id)?
            .map(|seq_no| seq_no.value())
        else {
            return Ok(None);
        };
        let table = self.transaction.open_table(names.docs())?;
        let row = table.get(seq_no)?;
        row.map(|row| Ok(Row::decode(row.value())?.to_document(seq_no)))
            .transpose()
    }

    /// All documents of a small index.
    pub(crate) fn all(&self, index: &Index) -> Result<Vec<Document>, Problem> {
        let table = self.transaction.open_table(Names::of(&index.uuid).docs())?;
        let rows = table.iter()?.map(|entry| {
            let (seq_no, row) = entry?;
            Ok(Row::decode(row.value())?.to_document(seq_no.value()))
        });
        rows.collect()
    }

    /// Uses up the next sequence number.
    pub(crate) fn take_number(&mut self, index: &Index) -> Result<u64, Problem> {
        let mut table = self.transaction.open_table(NEXT)?;
        let number = table
            .get(index.uuid.as_str())?
            .map_or(0, |next| next.value());
        table.insert(index.uuid.as_str(), number + 1)?;
        self.dirty = true;
        Ok(number)
    }

    /// Writes a document in the place of `former`. Returns its sequence number and version.
    pub(crate) fn put(
        &mut self,
        index: &Index,
        id: &str,
        source: &str,
        former: Option<&Document>,
    ) -> Result<(u64, u64), Problem> {
        let (number, names) = (self.take_number(index)?, Names::of(&index.uuid));
        let version = former.map_or(1, |former| former.version + 1);
        let mut docs = self.transaction.open_table(names.docs())?;
        if let Some(former) = former {
            docs.remove(former.seq_no)?;
        }
        docs.insert(number, Row::encode(version, id, source).as_slice())?;
        self.transaction
            .open_table(names.ids())?
            .insert(id, number)?;
        Ok((number, version))
    }

    /// Removes a document. Returns the sequence number and version of the deletion.
    pub(crate) fn remove(
        &mut self,
        index: &Index,
        former: &Document,
    ) -> Result<(u64, u64), Problem> {
        let (number, names) = (self.take_number(index)?, Names::of(&index.uuid));
        self.transaction
            .open_table(names.docs())?
            .remove(former.seq_no)?;
        self.transaction
            .open_table(names.ids())?
            .remove(former.id.as_str())?;
        if index.has_full_text() {
            self.transaction
                .open_table(names.gone())?
                .insert(number, former.id.as_str())?;
        }
        Ok((number, former.version + 1))
    }

    pub(crate) fn set_key(&mut self, id: &str, record: &Value) -> Result<(), Problem> {
        self.dirty = true;
        self.transaction
            .open_table(KEYS)?
            .insert(id, serde_json::to_vec(record)?.as_slice())?;
        Ok(())
    }
}
