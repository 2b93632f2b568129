//! Data sources that do what a test says. A source type is a constant, so its behaviour is found by the
//! value of its field `host`.

use serde_json::value::RawValue;
use std::{
    collections::HashMap,
    sync::{
        Arc, LazyLock, Mutex,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::sync::watch;
use tributary_sdk::{
    Access, Body, Cursor, Document, Emitter, End, Error, ErrorKind, Features, Field, Finding,
    Listing, Promises, Result, Run, Session, Setup, Source, SourceType, Unit, async_trait,
};

/// What a call does.
#[derive(Clone, Debug)]
pub enum Act {
    Answer,
    Fail(ErrorKind, &'static str),
    Hang,
    Panic,
}

impl Act {
    async fn perform(&self) -> Result<()> {
        match self {
            Self::Answer => Ok(()),
            Self::Fail(kind, text) => Err(Error::new(*kind, *text)),
            Self::Hang => std::future::pending().await,
            Self::Panic => panic!("scripted panic"),
        }
    }
}

/// How a data source behaves; may be changed while the service runs.
#[derive(Debug)]
pub struct Behaviour {
    pub ping: Mutex<Act>,
    pub findings: Mutex<Vec<Finding>>,
    pub rule_findings: Mutex<Vec<Finding>>,
    pub documents: Mutex<Vec<&'static str>>,
    /// What a walk does after it has emitted its documents.
    pub walk: Mutex<Act>,
    /// Walks wait, after the first half of their documents, until this is true.
    pub open: watch::Sender<bool>,
    pub build_panics: Mutex<bool>,
    /// A folder that the account may not read.
    pub denied: Mutex<bool>,
    pub sessions: AtomicUsize,
    pub pings: AtomicUsize,
    pub seen_runs: Mutex<Vec<Run>>,
}

impl Default for Behaviour {
    fn default() -> Self {
        Self {
            ping: Mutex::new(Act::Answer),
            findings: Mutex::default(),
            rule_findings: Mutex::default(),
            documents: Mutex::new(vec!["a", "b", "c"]),
            walk: Mutex::new(Act::Answer),
            open: watch::Sender::new(true),
            build_panics: Mutex::default(),
            denied: Mutex::default(),
            sessions: AtomicUsize::default(),
            pings: AtomicUsize::default(),
            seen_runs: Mutex::default(),
        }
    }
}

static BEHAVIOURS: LazyLock<Mutex<HashMap<String, Arc<Behaviour>>>> = LazyLock::new(Mutex::default);
static NEXT_HOST: AtomicU64 = AtomicU64::new(1);

/// A data source of its own; the answer is what to put into the field `host`.
pub fn data_source() -> (String, Arc<Behaviour>) {
    let host = format!("host-{}", NEXT_HOST.fetch_add(1, Ordering::SeqCst));
    let behaviour = Arc::new(Behaviour::default());
    let mut behaviours = BEHAVIOURS.lock().unwrap();
    behaviours.insert(host.clone(), Arc::clone(&behaviour));
    (host, behaviour)
}

static HOST: Field<String> = Field::text("host", "Host").order(1);
static ACCESS: Field<bool> = Field::toggle(
    "use_document_level_security",
    "Document-level security",
    false,
)
.order(2);

/// A source with no features beyond basic rules.
pub static PLAIN: SourceType = SourceType {
    service_type: "plain",
    name: "Plain",
    features: Features::BASIC,
    fields: &[&HOST],
    build,
};

/// A source with all features.
pub static RICH: SourceType = SourceType {
    service_type: "rich",
    name: "Rich",
    features: Features {
        basic_rules: true,
        advanced_rules: true,
        document_level_security: true,
        incremental: true,
    },
    fields: &[&HOST, &ACCESS],
    build,
};

pub static ALL: &[&SourceType] = &[&PLAIN, &RICH];

fn build(setup: &Setup<'_>) -> Result<Arc<dyn Source>> {
    let host = HOST.get(setup.values)?;
    let behaviour = BEHAVIOURS.lock().unwrap().get(&host).cloned();
    let behaviour = behaviour.ok_or_else(|| Error::invalid_config("no such host"))?;
    if *behaviour.build_panics.lock().unwrap() {
        panic!("scripted panic in build");
    }
    Ok(Arc::new(Scripted(behaviour)))
}

#[derive(Clone)]
struct Scripted(Arc<Behaviour>);

#[async_trait]
impl Source for Scripted {
    async fn ping(&self) -> Result<()> {
        self.0.pings.fetch_add(1, Ordering::SeqCst);
        let act = self.0.ping.lock().unwrap().clone();
        act.perform().await
    }

    async fn validate(&self) -> Result<Vec<Finding>> {
        Ok(self.0.findings.lock().unwrap().clone())
    }

    async fn check_rules(&self, _: &RawValue) -> Result<Vec<Finding>> {
        Ok(self.0.rule_findings.lock().unwrap().clone())
    }

    async fn open(&self, run: &Run) -> Result<Box<dyn Session>> {
        self.0.sessions.fetch_add(1, Ordering::SeqCst);
        self.0.seen_runs.lock().unwrap().push(run.clone());
        Ok(Box::new(self.clone()))
    }
}

impl Scripted {
    async fn emit(&self, out: &Emitter, access: Access) -> Result<End> {
        let documents = self.0.documents.lock().unwrap().clone();
        let half = documents.len().div_ceil(2);
        for (position, id) in documents.into_iter().enumerate() {
            if position == half {
                self.wait_until_open().await;
            }
            let body = Body::new().put("name", id)?;
            out.upsert(Document::new(id, body, access.clone())).await?;
        }
        self.wait_until_open().await;
        let act = self.0.walk.lock().unwrap().clone();
        act.perform().await?;
        Ok(End::complete())
    }

    async fn wait_until_open(&self) {
        let mut open = self.0.open.subscribe();
        open.wait_for(|open| *open).await.unwrap();
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

    async fn walk(&self, unit: &Unit, _: Option<Cursor>, out: &Emitter) -> Result<End> {
        if *self.0.denied.lock().unwrap() {
            let why = Error::new(ErrorKind::Forbidden, "the account may not read this folder");
            out.gap(unit.scope.child("folder", "secret"), why).await?;
        }
        self.emit(out, Access::Unrestricted).await
    }

    async fn identities(&self, _: Option<Cursor>, out: &Emitter) -> Result<End> {
        self.emit(out, Access::tokens(["user:someone"])).await
    }
}

/// Time enough for anything that does not wait for something.
pub const SOON: Duration = Duration::from_millis(500);
