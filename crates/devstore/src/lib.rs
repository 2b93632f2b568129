//! A small embedded store with Elasticsearch's interface, for trying Tributary out and for fast tests.
//!
//! It runs inside the process that starts it, keeps documents durably in one file, finds their words with a
//! full-text index, and knows the connector protocol. What it does not know it refuses with status 501.
//! `docs/store.md` says what it is and what it is not. For production use Elasticsearch or OpenSearch.

mod connectors;
mod dates;
mod documents;
mod engine;
mod errors;
mod http;
mod indices;
mod mapping;
mod pipeline;
mod router;
mod schema;
mod search;
mod security;
mod select;
mod storage;

use std::fmt;
use std::fs::DirBuilder;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use tokio::net::TcpListener;
use tokio::task::{JoinHandle, spawn_blocking};

use crate::engine::Engine;
use crate::http::Shared;

/// What a store needs to start. Nothing prints it, for it holds a password.
#[derive(Clone)]
pub struct StoreConfig {
    /// Where everything is kept. Made if it is not there. Only one store may use a folder at a time.
    pub folder: PathBuf,
    /// The address to listen on. Port 0 takes a free port, see [`Store::address`].
    pub listen: SocketAddr,
    /// The password of the user `elastic`. `None`: nobody is asked for credentials.
    pub password: Option<String>,
}

/// Why a store does not start or does not stop cleanly.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another program listens there.
    #[error("the store cannot listen on {0}: port {port} is already in use; choose another port, or stop the program that uses it", port = .0.port())]
    PortInUse(SocketAddr),
    /// The address cannot be listened on for another reason.
    #[error("the store cannot listen on {address}: {source}")]
    Listen {
        /// The address that was asked for.
        address: SocketAddr,
        /// What the operating system says.
        source: std::io::Error,
    },
    /// Another store, in this or another process, has the folder open.
    #[error(
        "the folder {0} is in use by another store; stop that one first, or choose another folder"
    )]
    FolderInUse(PathBuf),
    /// The folder or the file in it cannot be used.
    #[error("the store cannot use the folder {folder}: {reason}")]
    Folder {
        /// The folder that was asked for.
        folder: PathBuf,
        /// What went wrong.
        reason: String,
    },
    /// A task of the store ended in an unexpected way.
    #[error("the store failed: {0}")]
    Internal(String),
}

/// A running store. Dropping it stops it as well, without waiting for open requests of clients; no acknowledged
/// write is lost either way.
pub struct Store {
    address: SocketAddr,
    shared: Arc<Shared>,
    server: JoinHandle<()>,
}

impl Store {
    /// Opens the folder and listens. When this returns, requests are served.
    ///
    /// # Errors
    /// The port or the folder is in use, or cannot be used.
    pub async fn start(config: StoreConfig) -> Result<Store, StoreError> {
        let (address, password) = (config.listen, config.password);
        let failed = |source: std::io::Error| match source.kind() {
            ErrorKind::AddrInUse => StoreError::PortInUse(address),
            _ => StoreError::Listen { address, source },
        };
        let opening = spawn_blocking(move || open(&config.folder)).await;
        let opened = opening.map_err(|error| StoreError::Internal(error.to_string()))?;
        let engine = RwLock::new(Some(opened?));
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let shared = Arc::new(Shared { engine, password });
        let router = axum::Router::new().fallback(http::serve);
        let server = axum::serve(listener, router.with_state(shared.clone()));
        tracing::info!(%address, "the store is listening");
        Ok(Store {
            address,
            server: tokio::spawn(async move { server.await.unwrap_or_default() }),
            shared,
        })
    }

    /// The address that the store listens on, with the real port.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The address as `http://host:port`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Stops listening, lets the writes that are being worked on end, and closes the folder. Folder and port are free
    /// when this returns.
    ///
    /// # Errors
    /// The store ended in an unexpected way.
    pub async fn stop(mut self) -> Result<(), StoreError> {
        self.server.abort();
        let _ = (&mut self.server).await;
        let closing = spawn_blocking(move || drop(self)).await;
        closing.map_err(|error| StoreError::Internal(error.to_string()))
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.server.abort();
        // Waits for requests that are being worked on; the file is closed when this is done.
        let engine = self.shared.engine.write();
        engine.unwrap_or_else(PoisonError::into_inner).take();
    }
}

fn open(folder: &Path) -> Result<Engine, StoreError> {
    let unusable = |error: &dyn fmt::Display| StoreError::Folder {
        folder: folder.to_owned(),
        reason: error.to_string(),
    };
    // What is kept here may be confidential.
    let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.map_err(|error| unusable(&error))?;
    Engine::open(folder).map_err(|error| match error {
        redb::Error::DatabaseAlreadyOpen => StoreError::FolderInUse(folder.to_owned()),
        error => unusable(&error),
    })
}
