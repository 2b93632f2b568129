//! A source that does what a test says, and a way to run it.

use serde_json::{Map, Value, json, value::RawValue};
use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tributary_engine::{Counters, Job, Outcome, Rehearsal, Reporter, Settings, run};
use tributary_sdk::{
    Access, Attachment, Body, ContentSink, Cursor, DocRef, Document, Emitter, End, Error,
    ErrorKind, JobKind, Listing, Memo, Presence, Promises, Result, Run, Scope, Session, Source,
    Stamp, StopSource, Unit, UnitSink, async_trait,
    rules::{BasicRule, RuleSet},
};
use tributary_state::{MemoryFolder, Overlay};
use tributary_testkit::memory::{MemoryFiles, MemoryRecorder, MemoryTarget, VirtualClock};

/// What a walk does next.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Upsert(&'static str, Value),
    Document(Doc),
    Delete(&'static str),
    Access(&'static str, Access),
    Gap(&'static str, ErrorKind),
    Skip(&'static str),
    Child(usize),
    Fail(ErrorKind),
    /// Later, the walk can begin after this.
    Checkpoint,
    Sleep(u64),
    Panic,
}

/// A document with everything.
#[derive(Clone, Debug)]
pub(crate) struct Doc {
    pub(crate) id: String,
    pub(crate) body: Value,
    pub(crate) access: Access,
    pub(crate) stamp: Stamp,
    pub(crate) file: Option<(&'static str, Option<u64>)>,
    /// A field with a JSON text that no `Value` can hold.
    pub(crate) raw: Option<(&'static str, &'static str)>,
}

pub(crate) fn doc(id: impl Into<String>) -> Doc {
    Doc {
        id: id.into(),
        body: json!({"v": 1}),
        access: Access::Unrestricted,
        stamp: Stamp::None,
        file: None,
        raw: None,
    }
}

impl Doc {
    pub(crate) fn with_file(mut self, name: &'static str, size: Option<u64>) -> Self {
        self.file = Some((name, size));
        self
    }

    pub(crate) fn with_access(mut self, access: Access) -> Self {
        self.access = access;
        self
    }

    fn build(&self) -> Document {
        let mut body = Body::new();
        for (name, value) in self.body.as_object().unwrap() {
            body = body.put(name, value).unwrap();
        }
        if let Some((name, text)) = self.raw {
            let text = RawValue::from_string(text.into()).unwrap();
            body = body.put(name, &text).unwrap();
        }
        let mut document = Document::new(self.id.as_str(), body, self.access.clone());
        document.stamp = self.stamp.clone();
        document.attachment = self.file.map(|(name, size)| Attachment {
            key: Memo::new(name).unwrap(),
            name: name.into(),
            size,
            version: None,
        });
        document
    }
}

/// A source that follows a script: units `0..` with their steps.
#[derive(Default)]
pub(crate) struct Script {
    pub(crate) units: Vec<Vec<Step>>,
    /// The first so many units are announced; the others are children.
    pub(crate) announced: Option<usize>,
    pub(crate) announce_error: Option<ErrorKind>,
    pub(crate) promises: Promises,
    pub(crate) files: HashMap<&'static str, Vec<u8>>,
    /// Errors of the first reads of each file.
    pub(crate) file_errors: HashMap<&'static str, Vec<ErrorKind>>,
    pub(crate) answers: HashMap<&'static str, Presence>,
    pub(crate) confirm_error: Option<ErrorKind>,
    /// What single documents are now, if the source can read them.
    pub(crate) rereads: Option<HashMap<&'static str, Doc>>,
    pub(crate) open_error: Option<ErrorKind>,
    /// From where the next changes are read, if walks say so.
    pub(crate) next: Option<u64>,
    pub(crate) confirmed: Mutex<Vec<String>>,
    /// The units that were walked, in order.
    pub(crate) walks: Mutex<Vec<usize>>,
    pub(crate) walking: AtomicUsize,
    pub(crate) most_walking: AtomicUsize,
    pub(crate) reads: Mutex<HashMap<String, usize>>,
}

pub(crate) fn snapshot() -> Promises {
    Promises {
        listing: Listing::Snapshot,
        ids_stay: true,
        parallel: 4,
    }
}

pub(crate) fn scope(unit: usize) -> Scope {
    Scope::root().child("unit", &unit.to_string())
}

fn unit(number: usize) -> Unit {
    Unit::new(scope(number)).with_args(&number).unwrap()
}

fn error(kind: ErrorKind) -> Error {
    Error::new(kind, format!("scripted {}", kind.name()))
}

impl Script {
    pub(crate) fn of(units: Vec<Vec<Step>>) -> Self {
        Self {
            units,
            promises: snapshot(),
            ..Self::default()
        }
    }

    /// One unit with documents of these ids.
    pub(crate) fn docs(ids: &[&'static str]) -> Self {
        let steps = ids.iter().map(|id| Step::Upsert(id, json!({"v": 1})));
        Self::of(vec![steps.collect()])
    }

    pub(crate) fn promising(mut self, promises: Promises) -> Self {
        self.promises = promises;
        self
    }
}

#[derive(Clone)]
struct Scripted(Arc<Script>);

#[async_trait]
impl Source for Scripted {
    async fn ping(&self) -> Result<()> {
        Ok(())
    }

    async fn open(&self, _: &Run) -> Result<Box<dyn Session>> {
        match self.0.open_error {
            Some(kind) => Err(error(kind)),
            None => Ok(Box::new(self.clone())),
        }
    }
}

#[async_trait]
impl Session for Scripted {
    fn promises(&self) -> Promises {
        self.0.promises
    }

    async fn units(&self, out: &UnitSink) -> Result<()> {
        for number in 0..self.0.announced.unwrap_or(self.0.units.len()) {
            out.unit(unit(number)).await?;
        }
        self.0
            .announce_error
            .map_or(Ok(()), |kind| Err(error(kind)))
    }

    async fn walk(&self, unit: &Unit, from: Option<Cursor>, out: &Emitter) -> Result<End> {
        let script = &self.0;
        let walking = script.walking.fetch_add(1, Ordering::SeqCst) + 1;
        script.most_walking.fetch_max(walking, Ordering::SeqCst);
        let number: usize = unit.args()?;
        script.walks.lock().unwrap().push(number);
        let from: usize = from.map_or(Ok(0), |from| from.read())?;
        for (at, step) in script.units[number].iter().enumerate().skip(from) {
            match step {
                Step::Upsert(id, body) => {
                    let document = Doc {
                        body: body.clone(),
                        ..doc(*id)
                    };
                    out.upsert(document.build()).await?;
                }
                Step::Document(document) => out.upsert(document.build()).await?,
                Step::Delete(id) => out.delete(*id).await?,
                Step::Access(id, access) => out.access(*id, access.clone()).await?,
                Step::Gap(name, kind) => {
                    out.gap(unit.scope.child("part", name), error(*kind))
                        .await?;
                }
                Step::Skip(id) => out.skip(*id, "scripted skip").await?,
                Step::Child(number) => {
                    let child = Unit::new(unit.scope.child("child", &number.to_string()));
                    out.unit(child.with_args(number)?).await?;
                }
                Step::Fail(kind) => {
                    script.walking.fetch_sub(1, Ordering::SeqCst);
                    return Err(error(*kind));
                }
                Step::Checkpoint => out.checkpoint(&(at + 1)).await?,
                Step::Sleep(millis) => tokio::time::sleep(Duration::from_millis(*millis)).await,
                Step::Panic => panic!("scripted panic"),
            }
        }
        script.walking.fetch_sub(1, Ordering::SeqCst);
        match &script.next {
            Some(next) => End::changes_from(next),
            None => Ok(End::complete()),
        }
    }

    async fn identities(&self, from: Option<Cursor>, out: &Emitter) -> Result<End> {
        self.walk(&unit(0), from, out).await
    }

    async fn reread(&self, docs: &[DocRef], out: &Emitter) -> Result<()> {
        let rereads = self.0.rereads.as_ref();
        let rereads = rereads.ok_or_else(|| error(ErrorKind::Unsupported))?;
        for asked in docs {
            let stored: Map<String, Value> = asked.read().unwrap();
            assert!(!stored.is_empty());
            if let Some(document) = rereads.get(asked.id.as_str()) {
                out.upsert(document.build()).await?;
            }
        }
        Ok(())
    }

    async fn fetch(&self, file: &Attachment, to: &mut ContentSink) -> Result<()> {
        let read = {
            let mut reads = self.0.reads.lock().unwrap();
            let count = reads.entry(file.name.clone()).or_default();
            *count += 1;
            *count
        };
        let errors = self.0.file_errors.get(file.name.as_str());
        if let Some(kind) = errors.and_then(|errors| errors.get(read - 1)) {
            to.write(b"half")?;
            return Err(error(*kind));
        }
        let bytes = self.0.files.get(file.name.as_str());
        for piece in bytes.ok_or_else(|| error(ErrorKind::NotFound))?.chunks(5) {
            tokio::task::yield_now().await;
            to.write(piece)?;
        }
        Ok(())
    }

    async fn confirm(&self, docs: &[DocRef]) -> Result<Vec<Presence>> {
        assert!(!docs.is_empty() && docs.len() <= 100);
        if let Some(kind) = self.0.confirm_error {
            return Err(error(kind));
        }
        let mut confirmed = self.0.confirmed.lock().unwrap();
        let answer = |doc: &DocRef| {
            let stored: Map<String, Value> = doc.read().unwrap();
            assert!(!stored.is_empty());
            confirmed.push(doc.id.to_string());
            let known = self.0.answers.get(doc.id.as_str());
            known.copied().unwrap_or(Presence::Unknown)
        };
        Ok(docs.iter().map(answer).collect())
    }
}

/// Keeps what a job reports.
#[derive(Default)]
pub(crate) struct Reports(pub(crate) Mutex<Vec<Counters>>);

#[async_trait]
impl Reporter for Reports {
    async fn report(&self, counters: &Counters) {
        self.0.lock().unwrap().push(counters.clone());
    }
}

/// A job to be changed before it runs.
pub(crate) struct World {
    pub(crate) target: Arc<MemoryTarget>,
    pub(crate) files: Arc<MemoryFiles>,
    pub(crate) script: Arc<Script>,
    pub(crate) reports: Arc<Reports>,
    pub(crate) recorder: Arc<MemoryRecorder>,
    pub(crate) stop: StopSource,
    pub(crate) job: Job,
}

impl World {
    pub(crate) fn new(script: Script, target: MemoryTarget) -> Self {
        Self::over(Arc::new(script), Arc::new(target))
    }

    pub(crate) fn over(script: Arc<Script>, target: Arc<MemoryTarget>) -> Self {
        let files = Arc::new(MemoryFiles::default());
        let reports = Arc::new(Reports::default());
        let recorder = Arc::new(MemoryRecorder::default());
        let stop = StopSource::new();
        let mut request = Run::new(JobKind::Full);
        request.content = true;
        let job = Job {
            id: "job".into(),
            source: Arc::new(Scripted(Arc::clone(&script))),
            run: request,
            rules: RuleSet::compile(&[]).unwrap(),
            target: target.clone(),
            clock: Arc::new(VirtualClock::default()),
            files: files.clone(),
            folder: Arc::new(MemoryFolder::default()),
            origin: String::new(),
            reporter: reports.clone(),
            recorder: recorder.clone(),
            stop: stop.signal(),
            settings: Settings::default(),
        };
        Self {
            target,
            files,
            script,
            reports,
            recorder,
            stop,
            job,
        }
    }

    pub(crate) fn rules(mut self, rules: Value) -> Self {
        let rules: Vec<BasicRule> = serde_json::from_value(rules).unwrap();
        self.job.rules = RuleSet::compile(&rules).unwrap();
        self
    }

    pub(crate) fn settings(mut self, change: impl FnOnce(&mut Settings)) -> Self {
        change(&mut self.job.settings);
        self
    }

    /// With what an earlier run has left there.
    pub(crate) fn remembering(mut self, folder: &Arc<MemoryFolder>) -> Self {
        self.job.folder = folder.clone();
        self
    }

    /// Nothing is written: neither to the index nor to what is remembered.
    pub(crate) fn rehearsing(mut self) -> (Self, Arc<Rehearsal>) {
        let rehearsal = Arc::new(Rehearsal::new(self.target.clone()));
        self.job.target = rehearsal.clone();
        self.job.recorder = rehearsal.clone();
        let over = Overlay::new(self.job.folder, Arc::new(MemoryFolder::default()));
        self.job.folder = Arc::new(over);
        (self, rehearsal)
    }

    pub(crate) fn with_files(mut self, files: MemoryFiles) -> Self {
        self.files = Arc::new(files);
        self.job.files = self.files.clone();
        self
    }

    /// Runs the job; whatever it does, no id may be in flight twice.
    pub(crate) async fn run(self) -> Ran {
        let outcome = run(self.job).await;
        assert_eq!(
            self.target.clashes(),
            Vec::<String>::new(),
            "an id in flight twice"
        );
        Ran {
            outcome,
            target: self.target,
            script: self.script,
            reports: self.reports,
            recorder: self.recorder,
        }
    }
}

pub(crate) struct Ran {
    pub(crate) outcome: Outcome,
    pub(crate) target: Arc<MemoryTarget>,
    pub(crate) script: Arc<Script>,
    pub(crate) reports: Arc<Reports>,
    pub(crate) recorder: Arc<MemoryRecorder>,
}

impl Ran {
    pub(crate) fn counters(&self) -> &Counters {
        &self.outcome.counters
    }
}

/// A job over two units with these documents, between which documents move.
pub(crate) fn two_units(
    units: [&[&'static str]; 2],
    target: &Arc<MemoryTarget>,
    folder: &Arc<MemoryFolder>,
) -> World {
    let upsert = |id: &&'static str| Step::Upsert(id, json!({"v": 1}));
    let units = units.map(|ids| ids.iter().map(upsert).collect());
    let promises = Promises {
        ids_stay: false,
        ..snapshot()
    };
    let script = Script::of(units.into()).promising(promises);
    World::over(Arc::new(script), target.clone()).remembering(folder)
}

/// Lets both of two units remember "b", each in the version that the index has.
pub(crate) async fn let_both_know_b(target: &Arc<MemoryTarget>, folder: &Arc<MemoryFolder>) {
    let run = |units| two_units(units, target, folder).run();
    run([&["a", "b"], &["b", "c"]]).await;
    // Changed by somebody, so that both units have written it.
    target.put("b", json!({"v": 0}));
    run([&["a"], &["b", "c"]]).await;
    run([&["a", "b"], &["b", "c"]]).await;
}

/// Small and good enough (SplitMix64).
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut value = self.0;
        value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (value ^ (value >> 31)) % sides
    }
}
