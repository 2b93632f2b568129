//! Whole jobs of the engine over a real index: a source that follows a script.

use crate::engines::{administrator, scanned};
use serde_json::value::RawValue;
use std::{
    collections::BTreeSet,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex},
    time::Duration,
};
use tributary_elastic::ElasticTarget;
use tributary_engine::{Counters, Job, Outcome, Reporter, Settings, Target, run};
use tributary_sdk::{
    Access, Attachment, Body, ContentSink, Cursor, Document, Emitter, End, Error, ErrorKind,
    JobKind, Listing, Memo, Promises, Result, Run, Session, Source, StopSource, Unit, async_trait,
    rules::RuleSet,
};
use tributary_state::MemoryFolder;
use tributary_testkit::{
    memory::{MemoryFiles, MemoryRecorder, VirtualClock},
    servers::SearchEngine,
};

type Work = Pin<Box<dyn Future<Output = ()> + Send>>;
type Field = (String, String);

/// What the walk does next.
pub(crate) enum Step {
    /// Fields with JSON texts, in order, no matter how odd.
    Document(String, Vec<Field>),
    /// A document with a file of so many bytes.
    File(String, usize),
    /// Something a test does in the middle of the sync; the walk waits for it.
    Do(Box<dyn FnOnce() -> Work + Send + Sync>),
}

pub(crate) fn document(id: impl Into<String>, fields: &[(&str, &str)]) -> Step {
    let fields = fields.iter();
    let fields = fields.map(|(name, text)| ((*name).to_owned(), (*text).to_owned()));
    Step::Document(id.into(), fields.collect())
}

/// So many documents like any other, from this number on.
pub(crate) fn good(numbers: std::ops::Range<usize>) -> Vec<Step> {
    let numbers = numbers.map(|number| {
        let text = format!("\"document {number}\"");
        document(good_id(number), &[("title", &text)])
    });
    numbers.collect()
}

pub(crate) fn good_id(number: usize) -> String {
    format!("good-{number:04}")
}

pub(crate) fn act<F>(work: impl FnOnce() -> F + Send + Sync + 'static) -> Step
where
    F: Future<Output = ()> + Send + 'static,
{
    Step::Do(Box::new(move || Box::pin(work())))
}

#[derive(Clone)]
struct Scripted(Arc<Mutex<Vec<Step>>>);

#[async_trait]
impl Source for Scripted {
    async fn ping(&self) -> Result<()> {
        Ok(())
    }

    async fn open(&self, _: &Run) -> Result<Box<dyn Session>> {
        Ok(Box::new(self.clone()))
    }
}

#[async_trait]
impl Session for Scripted {
    fn promises(&self) -> Promises {
        Promises {
            listing: Listing::Snapshot,
            ids_stay: true,
            parallel: 1,
        }
    }

    async fn walk(&self, _: &Unit, _: Option<Cursor>, out: &Emitter) -> Result<End> {
        let steps = std::mem::take(&mut *self.0.lock().unwrap());
        for step in steps {
            match step {
                Step::Document(id, fields) => {
                    let mut body = Body::new();
                    for (name, text) in fields {
                        let text = RawValue::from_string(text).unwrap();
                        body.write(&name, &text)?;
                    }
                    let access = Access::Unrestricted;
                    out.upsert(Document::new(id.as_str(), body, access)).await?;
                }
                Step::File(id, size) => {
                    let body = Body::new().put("title", "with a file")?;
                    let mut document = Document::new(id.as_str(), body, Access::Unrestricted);
                    document.attachment = Some(Attachment {
                        key: Memo::new(&size)?,
                        name: format!("{id}.txt"),
                        size: Some(size as u64),
                        version: None,
                    });
                    out.upsert(document).await?;
                }
                Step::Do(work) => work().await,
            }
        }
        Ok(End::complete())
    }

    async fn fetch(&self, file: &Attachment, to: &mut ContentSink) -> Result<()> {
        let size = file
            .size
            .ok_or(Error::new(ErrorKind::NotFound, "no size"))?;
        let piece = vec![b'x'; 1 << 16];
        let mut left = size as usize;
        while left > 0 {
            let now = left.min(piece.len());
            to.write(&piece[..now])?;
            left -= now;
        }
        Ok(())
    }
}

struct Nobody;

#[async_trait]
impl Reporter for Nobody {
    async fn report(&self, _: &Counters) {}
}

/// Runs a full sync of this script, in real time; no job of a test may take longer than two minutes.
pub(crate) async fn sync(target: Arc<dyn Target>, steps: Vec<Step>) -> Outcome {
    sync_with(target, steps, |_| {}).await
}

pub(crate) async fn sync_with(
    target: Arc<dyn Target>,
    steps: Vec<Step>,
    change: impl FnOnce(&mut Settings),
) -> Outcome {
    let mut settings = Settings {
        flags: None,
        ..Settings::default()
    };
    change(&mut settings);
    let mut request = Run::new(JobKind::Full);
    request.content = true;
    let stop = StopSource::new();
    let job = Job {
        id: "job".into(),
        folder: Arc::new(MemoryFolder::default()),
        origin: String::new(),
        source: Arc::new(Scripted(Arc::new(Mutex::new(steps)))),
        run: request,
        rules: RuleSet::compile(&[]).unwrap(),
        target,
        clock: Arc::new(VirtualClock::default()),
        files: Arc::new(MemoryFiles::default()),
        reporter: Arc::new(Nobody),
        recorder: Arc::new(MemoryRecorder::default()),
        stop: stop.signal(),
        settings,
    };
    tokio::time::timeout(Duration::from_secs(300), run(job))
        .await
        .expect("the job to end")
}

/// The ids of all documents of an index.
pub(crate) async fn ids(engine: &SearchEngine, index: &str) -> BTreeSet<String> {
    let target = ElasticTarget::new(administrator(engine), index, None);
    let rows = scanned(&target).await.into_iter();
    rows.map(|(id, _)| id).collect()
}

/// The source of a document as text: no tree could hold some of them.
pub(crate) async fn text(engine: &SearchEngine, index: &str, id: &str) -> String {
    let path = format!("/{index}/_source/{id}");
    engine.call("GET", &path, None).await.unwrap().text
}
