//! The HTTP server.

use crate::{Metrics, Probes, Report};
use axum::{
    Router,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use std::{future::Future, io, net::SocketAddr, sync::Arc};
use thiserror::Error;
use tokio::net::TcpListener;

/// The text format of Prometheus.
const METRICS_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

const PATHS: &str = "/metrics, /healthz and /readyz";

/// Why the port for metrics and health cannot be served.
#[derive(Debug, Error)]
pub enum AdminError {
    /// Another program listens there.
    #[error(
        "the address {address} for metrics and health is in use by another program. Set \
         '{key}' to a free one, or to 'off'."
    )]
    InUse {
        /// The address.
        address: SocketAddr,
        /// The key of config.yml that says it.
        key: &'static str,
    },
    /// The address is not one of this machine, or the port is not allowed.
    #[error(
        "the address {address} for metrics and health cannot be used: {cause}. Set '{key}' to an \
         address of this machine, such as 127.0.0.1:8585, or to 'off'."
    )]
    Refused {
        /// The address.
        address: SocketAddr,
        /// The key of config.yml that says it.
        key: &'static str,
        /// What the system said.
        #[source]
        cause: io::Error,
    },
    /// The system took the listener away.
    #[error("the server for metrics and health ended: {0}")]
    Ended(#[source] io::Error),
}

/// Metrics and health over HTTP: bound, not yet serving.
#[derive(Debug)]
pub struct Admin {
    listener: TcpListener,
    address: SocketAddr,
}

impl Admin {
    /// Takes the port; port 0 takes a free one. `key` is the key of config.yml that the address comes
    /// from, for errors.
    pub async fn bind(address: SocketAddr, key: &'static str) -> Result<Self, AdminError> {
        let refused = |cause: io::Error| match cause.kind() {
            io::ErrorKind::AddrInUse => AdminError::InUse { address, key },
            _ => AdminError::Refused {
                address,
                key,
                cause,
            },
        };
        let listener = TcpListener::bind(address).await.map_err(refused)?;
        let address = listener.local_addr().map_err(refused)?;
        Ok(Self { listener, address })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers until `stop` returns; requests that have begun are finished.
    pub async fn serve(
        self,
        metrics: Metrics,
        probes: Arc<dyn Probes>,
        stop: impl Future<Output = ()> + Send + 'static,
    ) -> Result<(), AdminError> {
        tracing::debug!(address = %self.address, "serving metrics and health");
        axum::serve(self.listener, router(metrics, probes))
            .with_graceful_shutdown(stop)
            .await
            .map_err(AdminError::Ended)
    }
}

#[derive(Clone)]
struct Shared {
    metrics: Metrics,
    probes: Arc<dyn Probes>,
}

fn router(metrics: Metrics, probes: Arc<dyn Probes>) -> Router {
    Router::new()
        .route("/metrics", get(show_metrics))
        .route("/healthz", get(live))
        .route("/readyz", get(ready))
        .fallback(async || (StatusCode::NOT_FOUND, format!("there are {PATHS}\n")))
        .with_state(Shared { metrics, probes })
}

async fn show_metrics(State(shared): State<Shared>) -> Response {
    let kind = [(header::CONTENT_TYPE, METRICS_TYPE)];
    (kind, shared.metrics.render()).into_response()
}

async fn live(State(shared): State<Shared>) -> Report {
    shared.probes.live()
}

async fn ready(State(shared): State<Shared>) -> Report {
    shared.probes.ready()
}
