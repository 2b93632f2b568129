//! What the service needs from the world around it. Everything comes in here, so that all of it can
//! run without a network, a disk or a real clock.

use crate::Registry;
use async_trait::async_trait;
use std::{fmt, io, path::PathBuf, sync::Arc};
use tributary_engine::{Clock, Files, Target, TargetError};
use tributary_protocol::{
    Ledger,
    records::{Records, RecordsError},
};
use tributary_sdk::Secret;
use tributary_state::Folder;

/// The world around the service.
#[derive(Clone)]
pub struct Host {
    /// The records of connectors and sync jobs.
    pub records: Arc<dyn Records>,
    /// What became of single documents.
    pub ledger: Arc<dyn Ledger>,
    /// The server that keeps them.
    pub server: Arc<dyn Server>,
    /// The indices that jobs write to.
    pub targets: Arc<dyn TargetFactory>,
    /// Scratch files.
    pub files: Arc<dyn FilesFactory>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// The service types that this program can sync.
    pub registry: Registry,
    /// The name of this machine: `worker_hostname` of the jobs it claims.
    pub hostname: String,
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Host")
            .field("registry", &self.registry)
            .field("hostname", &self.hostname)
            .finish_non_exhaustive()
    }
}

/// The server that keeps records and indices.
#[async_trait]
pub trait Server: Send + Sync {
    /// Asks who it is.
    ///
    /// *Behaviour.* One cheap request, not tried again inside. `Unavailable` means that it may
    /// answer later; any other error, that it never will as things are.
    async fn greet(&self) -> Result<Greeting, RecordsError>;
}

/// Who the server is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Greeting {
    /// Product and version, as `Elasticsearch 9.4.3`.
    pub product: String,
    /// Why this version may not do; a sentence for the user.
    pub warning: Option<String>,
}

/// What a job asks for.
#[derive(Clone, Copy, Debug)]
pub struct TargetRequest<'a> {
    /// The index, as it is configured: a name or an alias.
    pub index: &'a str,
    /// The ingest pipeline.
    pub pipeline: &'a str,
    /// The connector's own API key, for writes to its content index only; without it the service's
    /// credentials are used.
    pub api_key: Option<&'a Secret>,
}

/// Makes the indices that jobs write to.
#[async_trait]
pub trait TargetFactory: Send + Sync {
    /// The index of a job.
    ///
    /// *Behaviour.* Called once per job. Does not create the index; [`Target::prepare`] does. A
    /// default pipeline that this server lacks is replaced by the one it has, or by none; any other
    /// pipeline is taken as it is. `Unavailable` may pass and is tried again.
    async fn target(&self, request: TargetRequest<'_>) -> Result<Arc<dyn Target>, TargetError>;
}

/// Makes room for files.
#[async_trait]
pub trait FilesFactory: Send + Sync {
    /// Room for one purpose, private to it, empty at first.
    ///
    /// *Behaviour.* `purpose` is for people who look at the disk. The room is freed when the answer
    /// is dropped.
    async fn room(&self, purpose: &str) -> io::Result<Room>;

    /// The folder in which is kept what is known of the index of a connector.
    ///
    /// *Behaviour.* Outlives the process. Nobody else gets it before the answer is dropped: an error of
    /// kind `WouldBlock` says that somebody has it.
    async fn state(&self, connector: &str, index: &str) -> io::Result<StateRoom>;

    /// The same folder as it is now, to be read only, whoever else has it. What is read may be in the
    /// middle of a change.
    async fn peek(&self, connector: &str, index: &str) -> io::Result<Arc<dyn Folder>>;
}

/// A folder that is ours as long as this lives.
pub struct StateRoom {
    /// The folder.
    pub folder: Arc<dyn Folder>,
    /// Gives it back.
    pub owner: Box<dyn Send + Sync>,
}

impl fmt::Debug for StateRoom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StateRoom")
    }
}

/// Room for scratch files; freed when dropped.
pub struct Room {
    /// The files of the engine.
    pub files: Arc<dyn Files>,
    /// A folder for the source.
    pub folder: PathBuf,
    /// In place of what outlives the process, if that cannot be used.
    pub state: Arc<dyn Folder>,
    /// Frees the room.
    pub owner: Box<dyn Send + Sync>,
}

impl fmt::Debug for Room {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Room")
            .field("folder", &self.folder)
            .finish_non_exhaustive()
    }
}
