//! A recording HTTP proxy, of the kind that clients are told to use: `CONNECT` for TLS, whole addresses for the rest.

use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result, bail};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncWriteExt, copy, copy_bidirectional};
use tokio::net::TcpStream;

use crate::gate::{Gate, Handler};
use crate::http1::{Head, Reader, prepare_request};

/// A request that the proxy got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProxiedRequest {
    /// `CONNECT`, `GET`, ...
    pub method: String,
    /// `HOST:PORT` for `CONNECT`, the whole address otherwise.
    pub target: String,
    /// Whether it was let through; false means 407.
    pub let_through: bool,
}

/// A running proxy on a free port of 127.0.0.1. It ends when it is dropped.
#[derive(Debug)]
pub struct ForwardProxy {
    gate: Gate,
    requests: Arc<Mutex<Vec<ProxiedRequest>>>,
}

impl ForwardProxy {
    /// Starts a proxy that asks nobody for a password.
    ///
    /// # Errors
    /// No port is free.
    pub async fn start() -> Result<Self> {
        Self::begin(None).await
    }

    /// Starts a proxy that wants this user and password (basic authentication) and answers 407 without them.
    ///
    /// # Errors
    /// No port is free.
    pub async fn start_with_password(user: &str, password: &str) -> Result<Self> {
        Self::begin(Some(format!(
            "Basic {}",
            STANDARD.encode(format!("{user}:{password}"))
        )))
        .await
    }

    async fn begin(wanted: Option<String>) -> Result<Self> {
        let requests = Arc::new(Mutex::new(Vec::new()));
        let handler: Handler = {
            let requests = Arc::clone(&requests);
            Arc::new(move |stream| {
                let (requests, wanted) = (Arc::clone(&requests), wanted.clone());
                Box::pin(async move {
                    // whatever ends it, the client sees a closed connection
                    let _ = serve(stream, wanted.as_deref(), &requests).await;
                })
            })
        };
        Ok(Self {
            gate: Gate::open(handler).await?,
            requests,
        })
    }

    /// The port to connect to.
    pub fn port(&self) -> u16 {
        self.gate.port()
    }

    /// `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port())
    }

    /// All requests so far. Over a `CONNECT`, only that is seen.
    pub fn requests(&self) -> Vec<ProxiedRequest> {
        self.requests
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

/// One request a connection: what follows the first is passed on unseen, so the server is asked to close.
async fn serve(
    mut client: TcpStream,
    wanted: Option<&str>,
    requests: &Mutex<Vec<ProxiedRequest>>,
) -> Result<()> {
    loop {
        let mut reader = Reader::new(&mut client);
        let Some(head) = reader.head().await? else {
            return Ok(());
        };
        let (read_ahead, client_again) = reader.into_parts();
        let let_through =
            wanted.is_none_or(|wanted| head.get("proxy-authorization") == Some(wanted));
        requests
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(ProxiedRequest {
                method: head.word(0).to_owned(),
                target: head.word(1).to_owned(),
                let_through,
            });
        if let_through {
            return pass(head, &read_ahead, client_again).await;
        }
        let answer = Head::answer(
            407,
            [
                ("proxy-authenticate", "Basic realm=\"test\""),
                ("content-length", "0"),
            ]
            .map(|(name, value)| (name.to_owned(), value.to_owned())),
        );
        client_again.write_all(&answer.to_bytes()).await?;
        if head
            .get("content-length")
            .is_some_and(|length| length != "0")
            || head.get("transfer-encoding").is_some()
        {
            return Ok(());
        }
    }
}

async fn pass(mut head: Head, read_ahead: &[u8], client: &mut TcpStream) -> Result<()> {
    if head.word(0) == "CONNECT" {
        let mut server = TcpStream::connect(head.word(1)).await?;
        client.write_all(b"HTTP/1.1 200 connected\r\n\r\n").await?;
        server.write_all(read_ahead).await?;
        copy_bidirectional(client, &mut server).await?;
        return Ok(());
    }
    let target = head.word(1);
    let Some(rest) = target.strip_prefix("http://") else {
        bail!("\"{target}\" is not a whole address")
    };
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let address = if host.contains(':') {
        host.to_owned()
    } else {
        format!("{host}:80")
    };
    head.start = format!("{} /{path} HTTP/1.1", head.word(0));
    prepare_request(&mut head);
    let mut server = TcpStream::connect(&address)
        .await
        .with_context(|| address.clone())?;
    server.write_all(&head.to_bytes()).await?;
    server.write_all(read_ahead).await?;
    let (mut from_server, mut to_server) = server.split();
    let (mut from_client, mut to_client) = client.split();
    // the server closes after its one answer, the client perhaps never
    tokio::select! {
        result = copy(&mut from_server, &mut to_client) => { result?; }
        result = async {
            copy(&mut from_client, &mut to_server).await?;
            std::future::pending::<std::io::Result<()>>().await
        } => result?,
    }
    to_client.shutdown().await?;
    Ok(())
}
