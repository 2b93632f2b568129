//! A bulk endpoint that accepts everything and keeps nothing, for measurements of what feeds it.
//!
//! `POST .../_bulk` is answered here; the rest goes to a real engine or store behind ([`BulkStubOptions::upstream`]),
//! so that a sync finds its records, its index (which stays empty) and its id scan there. Bulk requests to an index
//! whose name begins with a dot go behind as well: a service's own records must be kept. Without an upstream a few
//! calls get a fixed answer and the others 404: enough for a raw bulk loader.
//!
//! Documents are not parsed: lines are counted, and of an action line the first word is read (`_id` and `_index` too
//! if the answer is to hold them).
//!
//! An item of the answer holds, of these fields and in this order, those that `filter_path` lets through (all if it
//! is missing): `_index`, `_id`, `_version` (1), `result`, `_seq_no` (rising by one for each item of the stub's life,
//! from 0), `_primary_term` (1), `status` (201 for index and create, 200 for update and delete). For
//! `filter_path=errors,items.*._seq_no,items.*._primary_term,items.*.status,items.*.error` that is
//! `{"errors":false,"items":[{"index":{"_seq_no":0,"_primary_term":1,"status":201}}]}`; for `filter_path=errors`,
//! `{"errors":false}`.

mod lines;

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use flate2::write::GzDecoder;
use tokio::io::{AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::net::TcpStream;

use crate::gate::{Gate, Handler};
use crate::http1::{
    Body, Framing, Head, Reader, prepare_answer, prepare_request, write_end, write_piece,
};
use lines::{Answering, Fields};

/// How to start a [`BulkStub`].
#[derive(Debug, Clone, Default)]
pub struct BulkStubOptions {
    /// Waited for before each bulk answer, after the request was read.
    pub latency: Duration,
    /// `http://HOST:PORT` of what answers everything else.
    pub upstream: Option<String>,
}

/// What the stub has accepted so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BulkCounts {
    /// Bulk requests.
    pub requests: u64,
    /// Items in them.
    pub items: u64,
    /// Bytes of their bodies as sent.
    pub bytes: u64,
}

/// A running stub on a free port of 127.0.0.1. It ends when it is dropped.
#[derive(Debug)]
pub struct BulkStub {
    gate: Gate,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    latency: Duration,
    upstream: Option<String>,
    next_seq_no: AtomicU64,
    requests: AtomicU64,
    bytes: AtomicU64,
}

impl BulkStub {
    /// Starts a stub.
    ///
    /// # Errors
    /// The upstream does not begin with `http://`, or no port is free.
    pub async fn start(options: BulkStubOptions) -> Result<Self> {
        let upstream = match &options.upstream {
            Some(url) => Some(
                url.strip_prefix("http://")
                    .with_context(|| format!("\"{url}\" does not begin with http://"))?
                    .trim_end_matches('/')
                    .to_owned(),
            ),
            None => None,
        };
        let shared = Arc::new(Shared {
            latency: options.latency,
            upstream,
            next_seq_no: AtomicU64::new(0),
            requests: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
        });
        let handler: Handler = {
            let shared = Arc::clone(&shared);
            Arc::new(move |stream| {
                let shared = Arc::clone(&shared);
                Box::pin(async move {
                    // whatever ends it, the client sees a closed connection
                    let _ = serve(&shared, stream).await;
                })
            })
        };
        Ok(Self {
            gate: Gate::open(handler).await?,
            shared,
        })
    }

    /// `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.gate.port())
    }

    /// What was accepted so far.
    pub fn counts(&self) -> BulkCounts {
        BulkCounts {
            requests: self.shared.requests.load(Ordering::Relaxed),
            items: self.shared.next_seq_no.load(Ordering::Relaxed),
            bytes: self.shared.bytes.load(Ordering::Relaxed),
        }
    }
}

async fn serve(shared: &Shared, stream: TcpStream) -> Result<()> {
    let (reader, mut writer) = tokio::io::split(stream);
    let mut reader = Reader::new(reader);
    while let Some(head) = reader.head().await? {
        if head.has_token("expect", "100-continue") {
            writer.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
        }
        let target = head.word(1).to_owned();
        let (path, query) = target.split_once('?').unwrap_or((&target, ""));
        let own = matches!(head.word(0), "POST" | "PUT")
            && path.ends_with("/_bulk")
            && !path.starts_with("/.");
        if own {
            bulk(shared, &head, path, query, &mut reader, &mut writer).await?;
        } else if let Some(upstream) = &shared.upstream {
            pass(upstream, head.clone(), &mut reader, &mut writer).await?;
        } else {
            Body::new(head.request_framing()?)
                .drain(&mut reader)
                .await?;
            let (status, body) = fixed_answer(head.word(0), path);
            answer(&mut writer, status, head.word(0), body.as_bytes()).await?;
        }
        if head.has_token("connection", "close") {
            break;
        }
    }
    Ok(())
}

type In = Reader<ReadHalf<TcpStream>>;
type Out = WriteHalf<TcpStream>;

async fn bulk(
    shared: &Shared,
    head: &Head,
    path: &str,
    query: &str,
    reader: &mut In,
    writer: &mut Out,
) -> Result<()> {
    let mut body = Body::new(head.request_framing()?);
    let index = path
        .trim_start_matches('/')
        .strip_suffix("/_bulk")
        .unwrap_or_default();
    let mut answering = Answering::new(Fields::of_query(query), index, &shared.next_seq_no);
    let mut bytes = 0;
    if head.has_token("content-encoding", "gzip") {
        let mut decoder = GzDecoder::new(answering);
        while let Some(piece) = body.next(reader).await? {
            bytes += piece.len() as u64;
            decoder.write_all(&piece)?;
        }
        answering = decoder.finish()?;
    } else {
        while let Some(piece) = body.next(reader).await? {
            bytes += piece.len() as u64;
            answering.feed(&piece);
        }
    }
    let answer_body = answering.finish();
    shared.requests.fetch_add(1, Ordering::Relaxed);
    shared.bytes.fetch_add(bytes, Ordering::Relaxed);
    if !shared.latency.is_zero() {
        tokio::time::sleep(shared.latency).await;
    }
    answer(writer, 200, "POST", &answer_body).await
}

async fn answer(writer: &mut Out, status: u16, method: &str, body: &[u8]) -> Result<()> {
    let head = Head::answer(
        status,
        [
            ("x-elastic-product", "Elasticsearch".to_owned()),
            ("content-type", "application/json".to_owned()),
            ("content-length", body.len().to_string()),
        ]
        .map(|(name, value)| (name.to_owned(), value)),
    );
    let mut bytes = head.to_bytes();
    if method != "HEAD" {
        bytes.extend_from_slice(body);
    }
    writer.write_all(&bytes).await?;
    writer.flush().await?;
    Ok(())
}

/// What a raw bulk loader may ask beside its bulks: the index is there and empty.
fn fixed_answer(method: &str, path: &str) -> (u16, &'static str) {
    let last = path.rsplit('/').next().unwrap_or_default();
    match (method, last) {
        ("GET" | "HEAD", "") => (
            200,
            r#"{"name":"stub","cluster_name":"stub","cluster_uuid":"stub","version":{"number":"9.4.3","build_flavor":"default"},"tagline":"You Know, for Search"}"#,
        ),
        ("HEAD", _) => (200, ""),
        ("POST" | "GET", "_refresh") => {
            (200, r#"{"_shards":{"total":1,"successful":1,"failed":0}}"#)
        }
        ("POST" | "GET", "_count") => (
            200,
            r#"{"count":0,"_shards":{"total":1,"successful":1,"skipped":0,"failed":0}}"#,
        ),
        ("POST", "_pit") => (
            200,
            r#"{"id":"stub","_shards":{"total":1,"successful":1,"skipped":0,"failed":0}}"#,
        ),
        ("DELETE", "_pit") => (200, r#"{"succeeded":true,"num_freed":1}"#),
        ("POST" | "GET", "_search") => (
            200,
            r#"{"pit_id":"stub","took":0,"timed_out":false,"_shards":{"total":1,"successful":1,"skipped":0,"failed":0},"hits":{"total":{"value":0,"relation":"eq"},"max_score":null,"hits":[]}}"#,
        ),
        _ => (
            404,
            r#"{"error":{"type":"resource_not_found_exception","reason":"the bulk stub has no upstream to ask"},"status":404}"#,
        ),
    }
}

async fn pass(upstream: &str, mut head: Head, reader: &mut In, writer: &mut Out) -> Result<()> {
    let method = head.word(0).to_owned();
    let framing = head.request_framing()?;
    let mut body = Body::new(framing);
    let (from_server, mut to_server) = tokio::io::split(TcpStream::connect(upstream).await?);
    let mut server = Reader::new(from_server);
    prepare_request(&mut head);
    to_server.write_all(&head.to_bytes()).await?;
    while let Some(piece) = body.next(reader).await? {
        write_piece(&mut to_server, framing, &piece).await?;
    }
    write_end(&mut to_server, framing).await?;
    let mut head = server
        .head()
        .await?
        .context("the upstream closed the connection without an answer")?;
    while (100..200).contains(&head.status()?) {
        head = server
            .head()
            .await?
            .context("the upstream closed the connection without an answer")?;
    }
    let framing = head.answer_framing(&method)?;
    let mut body = Body::new(framing);
    let out: Framing = prepare_answer(&mut head, framing);
    writer.write_all(&head.to_bytes()).await?;
    while let Some(piece) = body.next(&mut server).await? {
        write_piece(writer, out, &piece).await?;
    }
    write_end(writer, out).await
}
