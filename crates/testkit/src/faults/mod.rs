//! A reverse proxy for HTTP/1.1 that fails on request.
//!
//! Put it between the tested program and any server; give it [`Rule`]s, change them while it runs, and look at what
//! went through. Bodies are streamed: a request of any size needs a few buffers of 64 KiB.
//!
//! ```no_run
//! # async fn example() -> anyhow::Result<()> {
//! use std::time::Duration;
//! use tributary_testkit::faults::{CannedAnswer, Fault, FaultProxy, Rule};
//!
//! let proxy = FaultProxy::start("http://127.0.0.1:9200").await?;
//! proxy.set_rules([
//!     Rule::new("busy", Fault::Answer(CannedAnswer::status(429).header("retry-after", "1")))
//!         .method("POST")
//!         .path_contains("/_bulk")
//!         .times(3),
//!     Rule::new("lost", Fault::LoseAnswer).path_contains("/_bulk").nth(5),
//! ]);
//! // ... point the program at proxy.url() ...
//! proxy
//!     .wait_for("the fifth bulk", Duration::from_secs(30), |exchanges| {
//!         exchanges.iter().any(|exchange| exchange.rule.as_deref() == Some("lost"))
//!     })
//!     .await?;
//! proxy.refuse().await?; // the port is closed
//! proxy.listen().await?; // and open again
//! # Ok(())
//! # }
//! ```

mod exchange;
mod record;
mod rule;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

use crate::gate::{Gate, Handler};
use record::Recorder;
pub use record::{Exchange, Outcome};
use rule::Script;
pub use rule::{CannedAnswer, Fault, RealAnswer, Request, Rule};

/// A running proxy on a free port of 127.0.0.1. It ends when it is dropped.
#[derive(Debug)]
pub struct FaultProxy {
    gate: Gate,
    shared: Arc<Shared>,
    tls: bool,
}

/// What the connections share.
#[derive(Debug)]
struct Shared {
    /// Host and port.
    upstream: String,
    script: Mutex<Script>,
    /// Counts changes of the script: what hangs looks up.
    script_version: watch::Sender<u64>,
    recorder: Recorder,
    keep_bodies: AtomicUsize,
    failed_handshakes: watch::Sender<u64>,
}

impl Shared {
    fn script(&self) -> MutexGuard<'_, Script> {
        self.script.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl FaultProxy {
    /// Starts a proxy in front of a server such as `http://127.0.0.1:9200`. It begins without rules.
    ///
    /// # Errors
    /// The address is not of that form, or no port is free.
    pub async fn start(upstream: &str) -> Result<Self> {
        Self::begin(upstream, None).await
    }

    /// As [`FaultProxy::start`], with TLS towards the client (see
    /// [`certificates::server_config`](crate::certificates::server_config)); the server is still spoken to in clear.
    ///
    /// # Errors
    /// As [`FaultProxy::start`].
    pub async fn start_tls(upstream: &str, config: Arc<rustls::ServerConfig>) -> Result<Self> {
        Self::begin(upstream, Some(TlsAcceptor::from(config))).await
    }

    async fn begin(upstream: &str, tls: Option<TlsAcceptor>) -> Result<Self> {
        let address = upstream
            .strip_prefix("http://")
            .map(|rest| rest.trim_end_matches('/'))
            .with_context(|| format!("\"{upstream}\" does not begin with http://"))?;
        if address.contains('/') || !address.contains(':') {
            bail!("\"{upstream}\" must be http://HOST:PORT");
        }
        let shared = Arc::new(Shared {
            upstream: address.to_owned(),
            script: Mutex::default(),
            script_version: watch::Sender::new(0),
            recorder: Recorder::new(),
            keep_bodies: AtomicUsize::new(0),
            failed_handshakes: watch::Sender::new(0),
        });
        let has_tls = tls.is_some();
        let handler: Handler = {
            let shared = Arc::clone(&shared);
            Arc::new(move |stream| {
                let (shared, tls) = (Arc::clone(&shared), tls.clone());
                Box::pin(async move {
                    match tls {
                        None => exchange::serve(&shared, stream).await,
                        Some(tls) => match tls.accept(stream).await {
                            Ok(stream) => exchange::serve(&shared, stream).await,
                            Err(_) => {
                                shared.failed_handshakes.send_modify(|count| *count += 1);
                            }
                        },
                    }
                })
            })
        };
        Ok(Self {
            gate: Gate::open(handler).await?,
            shared,
            tls: has_tls,
        })
    }

    /// `http://127.0.0.1:PORT` (`https` with TLS); it stays the same while the proxy lives.
    pub fn url(&self) -> String {
        format!(
            "{}://127.0.0.1:{}",
            if self.tls { "https" } else { "http" },
            self.gate.port()
        )
    }

    /// The port alone.
    pub fn port(&self) -> u16 {
        self.gate.port()
    }

    /// Replaces all rules; counts begin anew. Requests that hang are dropped.
    pub fn set_rules(&self, rules: impl IntoIterator<Item = Rule>) {
        self.shared.script().set(rules.into_iter().collect());
        self.shared
            .script_version
            .send_modify(|version| *version += 1);
    }

    /// Adds a rule behind the others; their counts go on.
    pub fn add_rule(&self, rule: Rule) {
        self.shared.script().add(vec![rule]);
    }

    /// Removes the rules of this name. Requests that hang are dropped.
    pub fn remove_rule(&self, name: &str) {
        self.shared.script().remove(name);
        self.shared
            .script_version
            .send_modify(|version| *version += 1);
    }

    /// Everything is forwarded again. Requests that hang are dropped.
    pub fn clear_rules(&self) {
        self.set_rules([]);
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

    /// Closes all connections of this moment, busy or idle; new ones are accepted.
    ///
    /// # Errors
    /// The proxy's runtime has ended.
    pub async fn close_connections(&self) -> Result<()> {
        self.gate.close_connections().await
    }

    /// From now on keeps the first `bytes` of each request's body in its record.
    pub fn keep_bodies(&self, bytes: usize) {
        self.shared.keep_bodies.store(bytes, Ordering::Relaxed);
    }

    /// All exchanges so far, in the order of arrival.
    pub fn exchanges(&self) -> Vec<Exchange> {
        self.shared.recorder.all()
    }

    /// Forgets the exchanges that are over.
    pub fn forget_exchanges(&self) {
        self.shared.recorder.forget();
    }

    /// TLS handshakes that failed: clients that do not trust the certificate, or have none to show.
    pub fn failed_handshakes(&self) -> u64 {
        *self.shared.failed_handshakes.borrow()
    }

    /// Waits until so many TLS handshakes have failed. (The client may know of a failure before the proxy does.)
    ///
    /// # Errors
    /// They have not within `limit`.
    pub async fn wait_for_failed_handshakes(&self, count: u64, limit: Duration) -> Result<()> {
        let mut failed = self.shared.failed_handshakes.subscribe();
        let waited = tokio::time::timeout(limit, failed.wait_for(|failed| *failed >= count)).await;
        if waited.is_err() {
            bail!(
                "{count} failed handshakes: not within {} s, only {}",
                limit.as_secs_f32(),
                self.failed_handshakes()
            );
        }
        Ok(())
    }

    /// Waits until the exchanges so far fulfil a condition, looking at each change.
    ///
    /// # Errors
    /// They do not within `limit`; the message holds `what` and the last exchanges.
    pub async fn wait_for(
        &self,
        what: &str,
        limit: Duration,
        condition: impl FnMut(&[Exchange]) -> bool,
    ) -> Result<()> {
        self.shared.recorder.wait_for(what, limit, condition).await
    }
}
