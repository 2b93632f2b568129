//! One round: change rows, begin a sync, kill, start again, compare.

use crate::{
    engine::Engine,
    service::{Ready, Service, Setup, name},
    table::{Changes, Table},
};
use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    fmt,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};
use tempfile::TempDir;
use tributary_protocol::JobType;
use tributary_simulation::dice::Dice;
use tributary_testkit::servers::EngineChoice;

/// When the service was killed, as the counters of the index tell it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moment {
    /// Some documents were written, and not all.
    Writing,
    /// Some were deleted, and not all.
    Deleting,
    /// Before the first, or after the last.
    Late,
}

/// What came of a round.
pub(crate) struct Round {
    pub(crate) moment: Moment,
    pub(crate) is_state_lost: bool,
    /// What is wrong; empty if nothing is.
    pub(crate) wrong: Vec<String>,
    changes: Changes,
    /// Writes and deletions that the index had seen when the service was dead.
    at_kill: (u64, u64),
    counts: (u64, u64, u64, u64),
}

impl fmt::Display for Round {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Changes {
            inserted,
            updated,
            deleted,
        } = self.changes;
        let moment = match self.moment {
            Moment::Writing => "writing",
            Moment::Deleting => "deleting",
            Moment::Late => "another time",
        };
        let state = match self.is_state_lost {
            true => "lost",
            false => "kept",
        };
        let (writes, deletions) = self.at_kill;
        let (indexed, unchanged, gone, total) = self.counts;
        write!(
            f,
            "+{inserted} ~{updated} -{deleted}; killed at {moment} after {writes} writes and {deletions} \
             deletions, state {state}; job: indexed {indexed}, unchanged {unchanged}, deleted {gone}, total \
             {total}; {}",
            match self.wrong.is_empty() {
                true => "well".to_owned(),
                false => format!("WRONG: {}", self.wrong.join("; ")),
            }
        )
    }
}

/// Servers, table and service, from round to round.
pub(crate) struct World {
    dice: Dice,
    table: Table,
    ready: Ready,
    state: PathBuf,
    _folder: TempDir,
    /// What the index had after the round before.
    before: BTreeMap<u64, String>,
}

impl World {
    pub(crate) async fn new(seed: u64, rows: u64) -> Result<Self> {
        let engine = Engine::of(EngineChoice::Elasticsearch).await?;
        let engine: Arc<Engine> = engine.context("ENGINES leaves out elasticsearch")?;
        let table = Table::new(name("chaos").replace('-', "_"), rows).await?;
        let folder = tempfile::tempdir()?;
        let mut ready = Ready::new(&engine, "postgresql", table.configuration()).await?;
        ready.service.kill().await?;
        let mut world = Self {
            dice: Dice::new(seed),
            table,
            ready,
            state: folder.path().join("state"),
            _folder: folder,
            before: BTreeMap::new(),
        };
        world.start().await?;
        let job = world.ready.sync_well().await?;
        world.before = world.table.rows().await?;
        if world.documents().await? != world.before {
            bail!("the index is not the table after the first sync: {job}");
        }
        Ok(world)
    }

    /// Starts the service. Small bulk requests, one after the other, so that a sync has many moments.
    async fn start(&mut self) -> Result<()> {
        let login = self.ready.engine.login(&self.ready.index).await?;
        let more = format!(
            "service.job_lease: 10\nservice.state_dir: {}\nelasticsearch.bulk.chunk_size: 100\n\
             elasticsearch.bulk.max_concurrency: 1\nelasticsearch.bulk.queue_max_mem_size: 1\n",
            self.state.display()
        );
        let connectors = [(self.ready.connector.as_str(), "postgresql")];
        self.ready.service = Service::start(Setup {
            url: self.ready.engine.url(),
            login: &login,
            connectors: &connectors,
            more: &more,
        })
        .await?;
        Ok(())
    }

    pub(crate) async fn round(&mut self, number: u64) -> Result<Round> {
        let is_of_deletions = number.is_multiple_of(5);
        let is_state_lost = number.is_multiple_of(2);
        let percent = match is_of_deletions {
            true => 15,
            false => self.dice.between(1, 6),
        };
        let changes = self.table.change(&mut self.dice, number, percent).await?;
        let rows = self.table.rows().await?;
        let (writes_before, deletions_before) = self.counters().await?;
        let expected = changes.inserted + changes.updated;
        let target = match is_of_deletions {
            true => self.dice.between(1, changes.deleted * 6 / 10),
            false => self.dice.between(1, expected * 8 / 10),
        };
        let job = self
            .ready
            .engine
            .start_job(&self.ready.connector, JobType::Full);
        let job = job.await?;
        self.reaches(
            &job,
            is_of_deletions,
            (writes_before, deletions_before),
            target,
        )
        .await?;
        self.ready.service.kill().await?;
        let (writes, deletions) = self.settled().await?;
        let at_kill = (writes - writes_before, deletions - deletions_before);
        let is_over = self.is_over(&self.ready.engine.job(&job).await?);
        let moment = match at_kill {
            _ if is_over => Moment::Late,
            (_, deleted) if deleted > 0 && deleted < changes.deleted => Moment::Deleting,
            (written, 0) if written > 0 && written < expected => Moment::Writing,
            _ => Moment::Late,
        };
        let mut wrong = self.missing("when the service was dead", &rows).await?;
        if is_state_lost {
            std::fs::remove_dir_all(&self.state)?;
        }
        self.start().await?;
        let record = self.ready.until_ended(&job).await?;
        let documents = self.documents().await?;
        let number_of = |pointer: &str| record.pointer(pointer).and_then(Value::as_u64);
        let count = |pointer: &str| number_of(pointer).unwrap_or(u64::MAX);
        let counts = (
            count("/indexed_document_count"),
            number_of("/metadata/tributary/counters/unchanged").unwrap_or(0),
            count("/deleted_document_count"),
            count("/total_document_count"),
        );
        let size = rows.len() as u64;
        if record["status"] != "completed" {
            wrong.push(format!(
                "the job is {}: {}",
                record["status"], record["error"]
            ));
        }
        if documents != rows {
            wrong.push(difference(&documents, &rows));
        }
        if counts.3 != size {
            wrong.push(format!("total {} for {size} rows", counts.3));
        }
        if counts.0.saturating_add(counts.1) != size {
            wrong.push(format!("indexed and unchanged are not {size}"));
        }
        // What was deleted before the kill need not have been noted.
        if counts.2 > changes.deleted || counts.2 < changes.deleted - at_kill.1 {
            wrong.push(format!("deleted {} of {}", counts.2, changes.deleted));
        }
        wrong.extend(self.deletions(&rows).await?);
        if !wrong.is_empty() {
            println!("{}", self.ready.service.log());
        }
        self.before = rows;
        Ok(Round {
            moment,
            is_state_lost,
            wrong,
            changes,
            at_kill,
            counts,
        })
    }

    fn is_over(&self, job: &Value) -> bool {
        job["completed_at"].is_string()
    }

    /// Waits until so much is written (or deleted), or the job is over.
    async fn reaches(
        &self,
        job: &str,
        is_of_deletions: bool,
        before: (u64, u64),
        target: u64,
    ) -> Result<()> {
        let begin = Instant::now();
        loop {
            let (writes, deletions) = self.counters().await?;
            let done = match is_of_deletions {
                true => deletions - before.1,
                false => writes - before.0,
            };
            if done >= target || self.is_over(&self.ready.engine.job(job).await?) {
                return Ok(());
            }
            if begin.elapsed() > Duration::from_secs(120) {
                bail!("nothing comes\n{}", self.ready.service.log());
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Writes and deletions that the index has seen.
    async fn counters(&self) -> Result<(u64, u64)> {
        let path = format!("{}/_stats/indexing", self.ready.index);
        let stats = self.ready.engine.call("GET", &path, None).await?;
        let indexing = &stats["_all"]["primaries"]["indexing"];
        let count = |name: &str| indexing[name].as_u64().context("no counter");
        Ok((count("index_total")?, count("delete_total")?))
    }

    /// The counters when no request of the dead service is being worked on any more.
    async fn settled(&self) -> Result<(u64, u64)> {
        let mut last = self.counters().await?;
        loop {
            tokio::time::sleep(Duration::from_millis(300)).await;
            let now = self.counters().await?;
            if now == last {
                return Ok(now);
            }
            last = now;
        }
    }

    /// Rows that the index had before and the table still has must be there at any time.
    async fn missing(&self, when: &str, rows: &BTreeMap<u64, String>) -> Result<Vec<String>> {
        let documents = self.documents().await?;
        let kept = rows.keys().filter(|id| self.before.contains_key(id));
        let missing: Vec<_> = kept.filter(|id| !documents.contains_key(id)).collect();
        Ok(match missing.first() {
            None => Vec::new(),
            Some(first) => vec![format!(
                "{} documents were missing {when}, such as {first}",
                missing.len()
            )],
        })
    }

    /// The ledger must name only rows that are gone.
    async fn deletions(&self, rows: &BTreeMap<u64, String>) -> Result<Vec<String>> {
        let connector = &self.ready.connector;
        let list = format!("job deletions --connector {connector} --limit 10000");
        let deletions = self.ready.service.answer(&list).await?;
        let mut wrong = Vec::new();
        for deletion in deletions.as_array().context("a list of deletions")? {
            let text = deletion["document_id"].as_str().context("no id")?;
            let id = text.rsplit('_').next().and_then(|id| id.parse().ok());
            let is_gone =
                id.is_some_and(|id| !rows.contains_key(&id) && self.table.gone.contains(&id));
            if !is_gone && wrong.is_empty() {
                wrong.push(format!("the ledger has {text} among the deletions"));
            }
        }
        Ok(wrong)
    }

    /// All documents: the id of the row, and its text. An `_id` of another row is an error.
    async fn documents(&self) -> Result<BTreeMap<u64, String>> {
        let (engine, index) = (&self.ready.engine, &self.ready.index);
        engine
            .call("POST", &format!("{index}/_refresh"), None)
            .await?;
        let mut documents = BTreeMap::new();
        let mut after = json!(null);
        loop {
            let mut query = json!({"size": 5000, "sort": [{"public_items_id": "asc"}], "track_total_hits": true});
            if !after.is_null() {
                query["search_after"] = after.clone();
            }
            let path = format!("{index}/_search");
            let mut answer = engine.call("POST", &path, Some(query)).await?;
            let total = answer["hits"]["total"]["value"].as_u64();
            let Value::Array(hits) = answer["hits"]["hits"].take() else {
                bail!("no hits: {answer}");
            };
            let Some(last) = hits.last() else {
                if total != Some(documents.len() as u64) {
                    bail!("{total:?} documents for {} rows", documents.len());
                }
                return Ok(documents);
            };
            after = last["sort"].clone();
            for hit in &hits {
                let source = &hit["_source"];
                let id = source["public_items_id"].as_u64().context("no id")?;
                let text = source["public_items_v"].as_str().context("no text")?;
                let expected = hit["_id"].as_str().context("no _id")?;
                if !expected.ends_with(&format!("_{id}")) {
                    bail!("{expected} is the document of row {id}");
                }
                documents.insert(id, text.to_owned());
            }
        }
    }
}

fn difference(documents: &BTreeMap<u64, String>, rows: &BTreeMap<u64, String>) -> String {
    let lacks = rows.keys().filter(|id| !documents.contains_key(id)).count();
    let more = documents.keys().filter(|id| !rows.contains_key(id)).count();
    let other = rows
        .iter()
        .filter(|(id, text)| documents.get(id).is_some_and(|found| found != *text));
    let (other, first) = (other.clone().count(), other.clone().next());
    format!(
        "the index lacks {lacks} rows, has {more} too many and {other} of another content ({first:?})"
    )
}
