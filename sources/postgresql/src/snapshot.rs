//! One instant, seen by several connections.

use crate::{
    api,
    connect::{Connection, Server},
};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio_postgres::{Client, IsolationLevel, Transaction};
use tributary_sdk::{Error, ErrorKind, Result};

/// A read-only snapshot of the database.
///
/// With several connections the first, the keeper, does nothing but hold it, and the others import it
/// for each walk. With one connection all walks are parts of its transaction.
pub(crate) struct Snapshot {
    server: Arc<Server>,
    /// The exported snapshot; `None` with one connection.
    id: Option<String>,
    /// Held for the transaction it has open.
    _keeper: Option<Connection>,
    idle: Mutex<Vec<Connection>>,
    permits: Semaphore,
    parallel: usize,
}

impl Snapshot {
    /// Begins a transaction on `keeper`; all that is read in this session is read as of its first
    /// query.
    pub(crate) async fn begin(keeper: &Connection) -> Result<()> {
        let begin = format!(
            "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; {}",
            api::SETTINGS
        );
        let started = keeper.client().batch_execute(&begin).await;
        started.map_err(|error| keeper.place().explain(error))
    }

    /// Shares the snapshot of `keeper` with up to `wanted` walks. Where that is impossible, because
    /// the server does not export snapshots or accepts no more connections, one walk remains.
    pub(crate) async fn share(server: Arc<Server>, keeper: Connection, wanted: usize) -> Self {
        let mut walkers = Vec::new();
        let mut id = None;
        if wanted > 0
            && let Ok(exported) = api::export_snapshot(keeper.client()).await
        {
            while walkers.len() < wanted {
                match server.connect_once().await {
                    Ok(walker) => walkers.push(walker),
                    Err(_) => break,
                }
            }
            id = (!walkers.is_empty()).then_some(exported);
        }
        let keeper = match id {
            Some(_) => Some(keeper),
            None => {
                walkers.push(keeper);
                None
            }
        };
        let parallel = walkers.len();
        Self {
            server,
            id,
            _keeper: keeper,
            idle: Mutex::new(walkers),
            permits: Semaphore::new(parallel),
            parallel,
        }
    }

    /// How many walks may run side by side.
    pub(crate) fn parallel(&self) -> usize {
        self.parallel
    }

    /// A connection for a walk. Waits until one is free.
    pub(crate) async fn lease(&self) -> Result<Lease<'_>> {
        let permit = self.permits.acquire().await.map_err(|_| Error::stopped())?;
        let idle = {
            let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
            idle.retain(|connection| !connection.is_closed());
            idle.pop()
        };
        let connection = match (idle, &self.id) {
            (Some(connection), _) => connection,
            (None, Some(_)) => self.server.connect().await?,
            (None, None) => return Err(lost()),
        };
        Ok(Lease {
            snapshot: self,
            connection,
            _permit: permit,
        })
    }
}

fn lost() -> Error {
    let message = "the connection that held the snapshot was lost; what was not read yet is read by the next sync";
    Error::new(ErrorKind::Unavailable, message)
}

/// A connection of a snapshot, for one walk. It is closed when the lease is dropped, and used again
/// after [`Lease::give_back`].
pub(crate) struct Lease<'s> {
    snapshot: &'s Snapshot,
    connection: Connection,
    _permit: SemaphorePermit<'s>,
}

impl Lease<'_> {
    /// Sees the snapshot from here on.
    pub(crate) async fn enter(&mut self) -> Result<View<'_>> {
        let place = Arc::clone(self.connection.place());
        self.connection.set_busy(true);
        let Some(id) = &self.snapshot.id else {
            let client = self.connection.client();
            let saved = client.batch_execute("SAVEPOINT walk").await;
            return match saved {
                Ok(()) => Ok(View::Part(client)),
                Err(error) if error.code().is_none() => Err(lost().caused_by(error)),
                Err(error) => Err(place.explain(error)),
            };
        };
        let transaction = self
            .connection
            .client_mut()
            .build_transaction()
            .isolation_level(IsolationLevel::RepeatableRead)
            .read_only(true)
            .start()
            .await
            .map_err(|error| place.explain(error))?;
        // The id comes from the server and is digits and hyphens; doubling costs nothing.
        let import = format!(
            "SET TRANSACTION SNAPSHOT '{}'; {}",
            id.replace('\'', "''"),
            api::SETTINGS
        );
        if let Err(error) = transaction.batch_execute(&import).await {
            return Err(match error.code().map(|code| code.code()) {
                // No such snapshot, or its transaction is over: its keeper is gone.
                Some("22023" | "42704" | "55000") => lost().caused_by(error),
                _ => place.explain(error),
            });
        }
        Ok(View::Whole(transaction))
    }

    /// The walk is over and the connection can be used again.
    pub(crate) fn give_back(self) {
        self.connection.set_busy(false);
        let mut idle = self
            .snapshot
            .idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        idle.push(self.connection);
    }
}

/// The snapshot as a walk sees it.
pub(crate) enum View<'c> {
    /// A transaction of its own that imported the snapshot.
    Whole(Transaction<'c>),
    /// A part of the transaction that is the snapshot.
    Part(&'c Client),
}

impl View<'_> {
    pub(crate) fn client(&self) -> &Client {
        match self {
            Self::Whole(transaction) => transaction.client(),
            Self::Part(client) => client,
        }
    }

    /// Lets go of what the walk holds on the server, locks above all. An `Err`: the connection cannot
    /// be used again.
    pub(crate) async fn leave(self) -> std::result::Result<(), tokio_postgres::Error> {
        match self {
            Self::Whole(transaction) => transaction.rollback().await,
            Self::Part(client) => {
                client
                    .batch_execute("ROLLBACK TO SAVEPOINT walk; RELEASE SAVEPOINT walk")
                    .await
            }
        }
    }
}
