//! The ledger in files of this machine: a line of JSON for each record, a file for each day.

use crate::production::blocking;
use async_trait::async_trait;
use chrono::{DateTime, NaiveDate, Utc};
use serde_json::{Map, Value};
use std::{
    cmp::Reverse,
    collections::HashMap,
    fs::{self, File, OpenOptions},
    io::{self, BufRead, BufReader, Write},
    path::{Path, PathBuf},
};
use tributary_protocol::{
    Ledger, LedgerFilter, LedgerRecord,
    records::{RecordsError, RecordsErrorKind},
};

const SUFFIX: &str = ".ndjson";

/// The ledger in a folder, which is made when it is first needed. Several processes may use it at once.
#[derive(Clone, Debug)]
pub struct FileLedger(PathBuf);

impl FileLedger {
    /// In this folder.
    pub fn new(folder: PathBuf) -> Self {
        Self(folder)
    }

    /// Where it is.
    pub fn folder(&self) -> &Path {
        &self.0
    }

    async fn with<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Path) -> io::Result<T> + Send + 'static,
    ) -> Result<T, RecordsError> {
        let folder = self.0.clone();
        let done = blocking(move || {
            work(&folder).map_err(|error| {
                let text = format!("cannot keep records in {}: {error}", folder.display());
                io::Error::new(error.kind(), text)
            })
        });
        let rejected =
            |error: io::Error| RecordsError::new(RecordsErrorKind::Rejected, error.to_string());
        done.await.map_err(rejected)
    }
}

#[async_trait]
impl Ledger for FileLedger {
    async fn append(&self, records: &[LedgerRecord]) -> Result<(), RecordsError> {
        let Some(first) = records.first() else {
            return Ok(());
        };
        let name = format!("{}{SUFFIX}", first.created_at.date_naive());
        // What a crash left of a line must not spoil the next one.
        let mut text = String::from("\n");
        for record in records {
            text.push_str(&Value::Object(record.to_source()).to_string());
            text.push('\n');
        }
        self.with(move |folder| {
            let mut builder = fs::DirBuilder::new();
            // The ids of documents are nobody else's business.
            #[cfg(unix)]
            std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
            builder.recursive(true).create(folder)?;
            let path = folder.join(name);
            let is_new = !path.exists();
            let mut file = OpenOptions::new().append(true).create(true).open(path)?;
            file.write_all(text.as_bytes())?;
            file.sync_data()?;
            if is_new && cfg!(unix) {
                File::open(folder)?.sync_all()?;
            }
            Ok(())
        })
        .await
    }

    async fn list(&self, filter: &LedgerFilter) -> Result<Vec<LedgerRecord>, RecordsError> {
        let filter = filter.clone();
        self.with(move |folder| {
            let mut found = Vec::new();
            for (_, path) in days(folder)?.into_iter().rev() {
                if found.len() >= filter.limit {
                    break;
                }
                found.extend(read(&path, &filter)?);
            }
            found.truncate(filter.limit);
            Ok(found)
        })
        .await
    }

    async fn remove_before(&self, time: DateTime<Utc>) -> Result<u64, RecordsError> {
        self.with(move |folder| {
            let mut removed = 0;
            for (day, path) in days(folder)? {
                if day < time.date_naive() {
                    let lines = BufReader::new(File::open(&path)?).split(b'\n');
                    let is_record = |line: &io::Result<Vec<u8>>| {
                        line.as_ref().is_ok_and(|line| !line.is_empty())
                    };
                    removed += lines.filter(is_record).count() as u64;
                    fs::remove_file(path)?;
                }
            }
            Ok(removed)
        })
        .await
    }
}

/// The files, oldest first.
fn days(folder: &Path) -> io::Result<Vec<(NaiveDate, PathBuf)>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut days = Vec::new();
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name();
        let day = name.to_str().and_then(|name| name.strip_suffix(SUFFIX));
        if let Some(day) = day.and_then(|day| day.parse().ok()) {
            days.push((day, entry.path()));
        }
    }
    days.sort();
    Ok(days)
}

/// The newest records of a file that are wanted, newest first. Memory is bounded by the limit.
fn read(path: &Path, filter: &LedgerFilter) -> io::Result<Vec<LedgerRecord>> {
    let mut newest: HashMap<String, (usize, LedgerRecord)> = HashMap::new();
    let shrink = |newest: &mut HashMap<String, (usize, LedgerRecord)>| {
        let mut all: Vec<_> = newest.drain().map(|(_, found)| found).collect();
        all.sort_by_key(|(line, record)| Reverse((record.created_at, *line)));
        all.truncate(filter.limit);
        all
    };
    for (number, line) in BufReader::new(File::open(path)?).split(b'\n').enumerate() {
        let line = line?;
        let source: Option<Map<String, Value>> = serde_json::from_slice(&line).ok();
        let record = source.and_then(|source| LedgerRecord::from_source("", &source).ok());
        let Some(record) = record else {
            if !line.is_empty() {
                tracing::debug!(file = %path.display(), number, "a line is no record");
            }
            continue;
        };
        // The later word may be one that is not wanted.
        newest.remove(&record.record);
        if filter.accepts(&record) {
            newest.insert(record.record.clone(), (number, record));
        }
        if newest.len() > filter.limit.saturating_mul(2) + 1000 {
            let kept = shrink(&mut newest);
            let keyed = kept.into_iter();
            newest.extend(keyed.map(|found| (found.1.record.clone(), found)));
        }
    }
    let found = shrink(&mut newest).into_iter();
    Ok(found.map(|(_, record)| record).collect())
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use tributary_protocol::ledger::{LedgerOutcome, Stage};

    /// A record of the document of this number, on this day.
    pub(crate) fn record(number: u32, day: i64) -> LedgerRecord {
        let begin = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        LedgerRecord {
            record: format!("r{number}"),
            connector_id: "c".into(),
            job_id: "j".into(),
            index_name: "i".into(),
            document_id: format!("d{number}"),
            outcome: LedgerOutcome::Failed,
            stage: Stage::Index,
            reason: "why\n".into(),
            worker_hostname: "h".into(),
            created_at: begin + chrono::TimeDelta::days(day),
        }
    }

    fn all(limit: usize) -> LedgerFilter {
        LedgerFilter {
            limit,
            ..LedgerFilter::default()
        }
    }

    #[tokio::test]
    async fn the_last_word_about_a_document_counts_and_old_days_go() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = FileLedger::new(folder.path().join("ledger"));
        assert_eq!(ledger.list(&all(9)).await.unwrap(), []);
        let mut later = record(1, 0);
        later.outcome = LedgerOutcome::Kept;
        let batch = [record(1, 0), record(2, 0), later.clone()];
        ledger.append(&batch).await.unwrap();
        // What a crash leaves of a line.
        let torn = ledger.folder().join("2027-01-15.ndjson");
        let mut file = OpenOptions::new().append(true).open(torn).unwrap();
        file.write_all(b"{\"record\":\"r7").unwrap();
        ledger.append(&[record(3, 0)]).await.unwrap();
        ledger.append(&[record(4, 2)]).await.unwrap();
        let found = ledger.list(&all(9)).await.unwrap();
        let expected = [record(4, 2), record(3, 0), later, record(2, 0)];
        assert_eq!(found, expected);
        assert_eq!(ledger.list(&all(1)).await.unwrap(), [record(4, 2)]);
        let failed = LedgerFilter {
            outcomes: vec![LedgerOutcome::Failed],
            document_id: Some("d1".into()),
            ..all(9)
        };
        assert_eq!(ledger.list(&failed).await.unwrap(), []);
        let day = record(0, 2).created_at;
        assert!(ledger.remove_before(day).await.unwrap() >= 4);
        assert_eq!(ledger.list(&all(9)).await.unwrap(), [record(4, 2)]);
    }

    #[tokio::test]
    async fn a_folder_that_cannot_be_used_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        let ledger = FileLedger::new(file.join("ledger"));
        let error = ledger.append(&[record(1, 0)]).await.unwrap_err();
        assert!(error.to_string().contains("ledger"), "{error}");
    }
}
