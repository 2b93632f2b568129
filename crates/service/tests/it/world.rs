//! A service, and all that is around it.

use crate::{
    records::MemoryRecords,
    source::{self, Behaviour, data_source},
};
use serde_json::{Value, json};
use std::{
    collections::HashMap,
    io,
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::task::JoinHandle;
use tributary_engine::{Clock, Target, TargetError};
use tributary_protocol::{
    Connector, JobStatus, JobType, SyncJob, TriggerMethod,
    connector::NewConnector,
    records::{RecordsError, RecordsErrorKind},
};
use tributary_sdk::{StopSource, async_trait};
use tributary_service::{
    Actions, Config, FilesFactory, Greeting, Host, Registry, Room, Server, Service, ServiceError,
    StateRoom, Status, TargetFactory, TargetRequest, config::ConnectorConfig,
};
use tributary_state::{Folder, MemoryFolder};
use tributary_testkit::memory::{MemoryFiles, MemoryLedger, MemoryTarget, VirtualClock};

/// What was asked of the target factory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    pub index: String,
    pub pipeline: String,
    pub api_key: Option<String>,
}

#[derive(Default)]
pub struct Targets {
    targets: Mutex<HashMap<String, Arc<MemoryTarget>>>,
    pub asked: Mutex<Vec<Asked>>,
}

impl Targets {
    pub fn index(&self, name: &str) -> Arc<MemoryTarget> {
        let mut targets = self.targets.lock().unwrap();
        Arc::clone(targets.entry(name.to_owned()).or_default())
    }
}

#[async_trait]
impl TargetFactory for Targets {
    async fn target(&self, request: TargetRequest<'_>) -> Result<Arc<dyn Target>, TargetError> {
        self.asked.lock().unwrap().push(Asked {
            index: request.index.to_owned(),
            pipeline: request.pipeline.to_owned(),
            api_key: request.api_key.map(|key| key.expose().to_owned()),
        });
        Ok(self.index(request.index))
    }
}

/// Counts the rooms that are not freed yet.
#[derive(Default)]
pub struct Rooms(Arc<AtomicUsize>);

struct Freed(Arc<AtomicUsize>);

impl Drop for Freed {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[async_trait]
impl FilesFactory for Rooms {
    async fn room(&self, _: &str) -> io::Result<Room> {
        self.0.fetch_add(1, Ordering::SeqCst);
        Ok(Room {
            files: Arc::new(MemoryFiles::default()),
            folder: PathBuf::new(),
            state: Arc::new(MemoryFolder::default()),
            owner: Box::new(Freed(Arc::clone(&self.0))),
        })
    }

    async fn peek(&self, _: &str, _: &str) -> io::Result<Arc<dyn Folder>> {
        Ok(Arc::new(MemoryFolder::default()))
    }

    async fn state(&self, _: &str, _: &str) -> io::Result<StateRoom> {
        Ok(StateRoom {
            folder: Arc::new(MemoryFolder::default()),
            owner: Box::new(()),
        })
    }
}

/// A server that answers after some attempts.
#[derive(Default)]
pub struct ScriptedServer {
    pub errors: Mutex<Vec<RecordsErrorKind>>,
    pub greeted: AtomicUsize,
}

#[async_trait]
impl Server for ScriptedServer {
    async fn greet(&self) -> Result<Greeting, RecordsError> {
        self.greeted.fetch_add(1, Ordering::SeqCst);
        match self.errors.lock().unwrap().pop() {
            Some(kind) => Err(RecordsError::new(kind, "http://es:9200 does not answer")),
            None => Ok(Greeting {
                product: "Elasticsearch 9.4.3".into(),
                warning: None,
            }),
        }
    }
}

/// Everything around the service.
pub struct World {
    pub records: Arc<MemoryRecords>,
    pub ledger: Arc<MemoryLedger>,
    pub targets: Arc<Targets>,
    pub server: Arc<ScriptedServer>,
    pub rooms: Arc<Rooms>,
    pub clock: Arc<VirtualClock>,
    pub config: Config,
}

impl Default for World {
    fn default() -> Self {
        let clock = Arc::new(VirtualClock::default());
        Self {
            records: Arc::new(MemoryRecords::new(clock.clone())),
            ledger: Arc::default(),
            targets: Arc::default(),
            server: Arc::default(),
            rooms: Arc::default(),
            clock,
            config: Config::default(),
        }
    }
}

impl World {
    /// Names a connector in config.yml.
    pub fn name(&mut self, id: &str, service_type: &str) {
        self.config.connectors.push(ConnectorConfig {
            connector_id: id.into(),
            service_type: service_type.into(),
            api_key: None,
        });
    }

    /// A new connector, as the API makes it, named in config.yml. Writes the index `index-<id>`.
    pub fn new_connector(&mut self, id: &str, service_type: &str) {
        self.name(id, service_type);
        let index = format!("index-{id}");
        let new = NewConnector {
            index_name: Some(&index),
            service_type: Some(service_type),
            ..NewConnector::default()
        };
        let document = Connector::new_document(&new, self.clock.utc());
        self.records.state().put_connector(id, document.into());
    }

    /// A connector that works, with a data source of its own.
    pub fn connector(&mut self, id: &str, service_type: &str) -> Arc<Behaviour> {
        self.new_connector(id, service_type);
        let (host, behaviour) = data_source();
        let source_type = Registry::new(source::ALL).find(service_type).unwrap();
        let mut configuration = source_type.configuration().to_map();
        configuration["host"]["value"] = host.into();
        let source = json!({
            "status": "configured",
            "configuration": configuration,
        });
        self.records.state().merge_connector(id, source);
        behaviour
    }

    /// A pending job of a connector.
    pub fn job(&self, id: &str, connector: &str, job_type: JobType) {
        let connector = self.records.read_connector(connector);
        let by = TriggerMethod::OnDemand;
        let source = SyncJob::new_document(&connector, job_type, by, self.clock.utc()).unwrap();
        self.records.state().put_job(id, source.into());
    }

    pub fn host(&self, hostname: &str) -> Host {
        Host {
            records: self.records.clone(),
            ledger: self.ledger.clone(),
            server: self.server.clone(),
            targets: self.targets.clone(),
            files: self.rooms.clone(),
            clock: self.clock.clone(),
            registry: Registry::new(source::ALL),
            hostname: hostname.into(),
        }
    }

    pub fn start(&self) -> Running {
        self.start_as("host-a", Actions::default())
    }

    pub fn start_as(&self, hostname: &str, actions: Actions) -> Running {
        self.run(self.host(hostname), actions)
    }

    /// Starts a service in other surroundings.
    pub fn run(&self, host: Host, actions: Actions) -> Running {
        let service = Service::new(self.config.clone(), host).with_actions(actions);
        let stop = StopSource::new();
        let status = service.status();
        let task = tokio::spawn(service.run(stop.signal()));
        Running { stop, status, task }
    }

    pub fn rooms_in_use(&self) -> usize {
        self.rooms.0.load(Ordering::SeqCst)
    }

    /// Waits, at most two virtual hours, until something is so.
    pub async fn until(&self, what: &str, is_so: impl Fn(&MemoryRecords) -> bool) {
        for _ in 0..72_000 {
            if is_so(&self.records) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let jobs = self.records.all_jobs();
        let errors: Vec<_> = jobs
            .iter()
            .map(|job| (&job.id, job.status, &job.error))
            .collect();
        panic!("never: {what}; jobs: {errors:?}");
    }

    /// Waits until a job has this status.
    pub async fn until_job(&self, id: &str, status: JobStatus) {
        let what = format!("job {id} is {status}");
        self.until(&what, |records| records.read_job(id).status == status)
            .await;
    }

    /// Waits until the connector's record says so too.
    pub async fn until_synced(&self, id: &str, status: JobStatus) {
        let what = format!("connector {id} is {status}");
        self.until(&what, |records| {
            records.read_connector(id).last_sync_status == Some(status)
        })
        .await;
    }

    pub fn ids(&self, index: &str) -> Vec<String> {
        self.targets.index(index).ids()
    }
}

/// A running service.
pub struct Running {
    pub stop: StopSource,
    pub status: Status,
    pub task: JoinHandle<Result<(), ServiceError>>,
}

impl Running {
    pub async fn end(self) -> Result<(), ServiceError> {
        self.stop.stop();
        self.task.await.unwrap()
    }
}

/// What a value of a record is, by its path.
pub fn at<'a>(source: &'a Value, pointer: &str) -> &'a Value {
    source.pointer(pointer).unwrap_or(&Value::Null)
}
