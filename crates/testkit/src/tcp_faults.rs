//! A proxy for any protocol over TCP that fails on request: for databases, and for TLS that must stay end to end.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Result, bail};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::watch;

use crate::gate::{Gate, Handler};

const BUFFER: usize = 16 << 10;

/// What happens to a connection. Bytes are counted for each connection from its beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TcpFault {
    /// Everything passes.
    #[default]
    None,
    /// The connection is closed once so many bytes have reached the client.
    CutAfterReceived(u64),
    /// The connection is closed once so many bytes have reached the server.
    CutAfterSent(u64),
    /// Nothing more reaches the client after so many bytes; the connection stays open.
    StallAfterReceived(u64),
    /// Nothing more reaches the server after so many bytes; the connection stays open.
    StallAfterSent(u64),
}

/// What went through the proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TcpCounts {
    /// Connections that were accepted.
    pub accepted: u64,
    /// Connections that are open now.
    pub open: u64,
    /// Bytes that reached clients.
    pub received: u64,
    /// Bytes that reached the server.
    pub sent: u64,
    /// How often a fault took hold of a connection.
    pub faults: u64,
}

/// A running proxy on a free port of 127.0.0.1. It ends when it is dropped.
#[derive(Debug)]
pub struct TcpProxy {
    gate: Gate,
    shared: Arc<Shared>,
}

struct Shared {
    upstream: String,
    plan: Mutex<Plan>,
    plan_version: watch::Sender<u64>,
    counts: watch::Sender<TcpCounts>,
}

impl fmt::Debug for Shared {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Shared({})", self.upstream)
    }
}

#[derive(Debug, Default)]
struct Plan {
    fault: TcpFault,
    /// How many more connections it takes hold of.
    left: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    ToClient,
    ToServer,
}

enum Verdict {
    Pass(usize),
    Cut,
    Stall,
}

impl TcpProxy {
    /// Starts a proxy in front of a server given as `HOST:PORT`. It begins without a fault.
    ///
    /// # Errors
    /// No port is free.
    pub async fn start(upstream: &str) -> Result<Self> {
        let shared = Arc::new(Shared {
            upstream: upstream.to_owned(),
            plan: Mutex::default(),
            plan_version: watch::Sender::new(0),
            counts: watch::Sender::new(TcpCounts::default()),
        });
        let handler: Handler = {
            let shared = Arc::clone(&shared);
            Arc::new(move |stream| {
                let shared = Arc::clone(&shared);
                Box::pin(async move {
                    let _open = OpenConnection::new(&shared);
                    // whatever ends it, both sides see a closed connection
                    let _ = serve(&shared, stream).await;
                })
            })
        };
        Ok(Self {
            gate: Gate::open(handler).await?,
            shared,
        })
    }

    /// The port to connect to; it stays the same while the proxy lives.
    pub fn port(&self) -> u16 {
        self.gate.port()
    }

    /// From now on all connections, open ones too, meet this fault.
    pub fn set(&self, fault: TcpFault) {
        self.set_times(fault, u64::MAX);
    }

    /// As [`TcpProxy::set`], until it has taken hold of `times` connections; then everything passes again.
    ///
    /// A stalled connection stays stalled until the fault is changed or the connection is closed.
    pub fn set_times(&self, fault: TcpFault, times: u64) {
        *self
            .shared
            .plan
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Plan { fault, left: times };
        self.shared
            .plan_version
            .send_modify(|version| *version += 1);
    }

    /// Everything passes again; stalled connections go on.
    pub fn clear(&self) {
        self.set(TcpFault::None);
    }

    /// Closes the port and all connections; new ones are refused when this returns.
    ///
    /// # Errors
    /// The proxy's runtime has ended.
    pub async fn refuse(&self) -> Result<()> {
        self.gate.refuse().await
    }

    /// Opens the port again.
    ///
    /// # Errors
    /// Another process has taken it.
    pub async fn listen(&self) -> Result<()> {
        self.gate.listen().await
    }

    /// Closes all connections of this moment; new ones are accepted.
    ///
    /// # Errors
    /// The proxy's runtime has ended.
    pub async fn close_connections(&self) -> Result<()> {
        self.gate.close_connections().await
    }

    /// What went through so far.
    pub fn counts(&self) -> TcpCounts {
        *self.shared.counts.borrow()
    }

    /// Waits until the counts fulfil a condition.
    ///
    /// # Errors
    /// They do not within `limit`; the message holds `what` and the counts.
    pub async fn wait_for(
        &self,
        what: &str,
        limit: Duration,
        condition: impl FnMut(&TcpCounts) -> bool,
    ) -> Result<TcpCounts> {
        let mut counts = self.shared.counts.subscribe();
        match tokio::time::timeout(limit, counts.wait_for(condition)).await {
            Ok(Ok(counts)) => Ok(*counts),
            _ => bail!(
                "{what}: not within {} s; {:?}",
                limit.as_secs_f32(),
                self.counts()
            ),
        }
    }
}

struct OpenConnection<'a>(&'a Shared);

impl<'a> OpenConnection<'a> {
    fn new(shared: &'a Shared) -> Self {
        shared.counts.send_modify(|counts| {
            counts.accepted += 1;
            counts.open += 1;
        });
        Self(shared)
    }
}

impl Drop for OpenConnection<'_> {
    fn drop(&mut self) {
        self.0.counts.send_modify(|counts| counts.open -= 1);
    }
}

async fn serve(shared: &Shared, client: TcpStream) -> Result<()> {
    let server = TcpStream::connect(&shared.upstream).await?;
    let _ = server.set_nodelay(true);
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    tokio::try_join!(
        copy(shared, Direction::ToServer, from_client, to_server),
        copy(shared, Direction::ToClient, from_server, to_client),
    )?;
    Ok(())
}

async fn copy(
    shared: &Shared,
    direction: Direction,
    mut reader: OwnedReadHalf,
    mut writer: OwnedWriteHalf,
) -> Result<()> {
    let mut version = shared.plan_version.subscribe();
    let mut buffer = vec![0; BUFFER];
    let mut passed = 0_u64;
    let mut stalled = false;
    loop {
        let length = reader.read(&mut buffer).await?;
        if length == 0 {
            writer.shutdown().await?;
            return Ok(());
        }
        let mut rest = &buffer[..length];
        // also after the last byte, so that "after 100 bytes" cuts without a 101st
        loop {
            version.borrow_and_update();
            match shared.verdict(direction, passed, rest.len(), stalled) {
                Verdict::Pass(0) => break,
                Verdict::Pass(count) => {
                    stalled = false;
                    let (now, later) = rest.split_at(count);
                    writer.write_all(now).await?;
                    rest = later;
                    passed += count as u64;
                    shared.counts.send_modify(|counts| match direction {
                        Direction::ToClient => counts.received += count as u64,
                        Direction::ToServer => counts.sent += count as u64,
                    });
                }
                Verdict::Cut => bail!("cut"),
                Verdict::Stall => {
                    stalled = true;
                    version.changed().await?;
                }
            }
        }
    }
}

impl Shared {
    /// What happens to the next `length` bytes of a connection after `passed` ones.
    fn verdict(&self, direction: Direction, passed: u64, length: usize, stalled: bool) -> Verdict {
        let mut plan = self.plan.lock().unwrap_or_else(PoisonError::into_inner);
        let (its_direction, limit, cuts) = match plan.fault {
            TcpFault::None => return Verdict::Pass(length),
            TcpFault::CutAfterReceived(limit) => (Direction::ToClient, limit, true),
            TcpFault::CutAfterSent(limit) => (Direction::ToServer, limit, true),
            TcpFault::StallAfterReceived(limit) => (Direction::ToClient, limit, false),
            TcpFault::StallAfterSent(limit) => (Direction::ToServer, limit, false),
        };
        if its_direction != direction || (plan.left == 0 && !stalled) {
            return Verdict::Pass(length);
        }
        if passed < limit {
            return Verdict::Pass(
                usize::try_from(limit - passed)
                    .unwrap_or(usize::MAX)
                    .min(length),
            );
        }
        if !stalled {
            plan.left = plan.left.saturating_sub(1);
            self.counts.send_modify(|counts| counts.faults += 1);
        }
        if cuts { Verdict::Cut } else { Verdict::Stall }
    }
}
