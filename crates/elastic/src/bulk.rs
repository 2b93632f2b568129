//! Bulk requests: the body on its way out, the answers on their way in.

mod answer;
mod body;

pub(crate) use answer::{FILTER, never_fits, read, unread};
pub(crate) use body::Encoder;

use crate::{RequestError, client::Client, transport::Reply};
use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use futures_util::stream;
use reqwest::{
    Body, Method, Response,
    header::{ACCEPT, CONTENT_ENCODING, CONTENT_TYPE},
};
use std::io::{self, Write};
use tokio::sync::mpsc;
use tributary_engine::Operation;

/// The size of the pieces in which a body is encoded and sent.
const PIECE: usize = 64 * 1024;
/// Pieces on their way to the socket.
const PIECES_AHEAD: usize = 2;
/// The largest answer: an item is about 80 bytes, one that failed up to some kilobytes.
const LARGEST_ANSWER: usize = 64 << 20;

/// Sends operations, once. At most a few pieces of the body exist at a time.
pub(crate) async fn send(
    client: &Client,
    path: &str,
    operations: &[Operation],
    what: &str,
) -> Result<Reply, RequestError> {
    let media = client.info().await?.media_types();
    let mut builder = client
        .builder(Method::POST, path)
        .header(ACCEPT, media.json)
        .header(CONTENT_TYPE, media.lines);
    let compress = client.compresses();
    if compress {
        builder = builder.header(CONTENT_ENCODING, "gzip");
    }
    let mut pieces = Pieces::new(operations, compress);
    let first = pieces.next();
    let response = match pieces.next() {
        // All in one piece: a body whose length is known.
        None => builder.body(first.unwrap_or_default()).send().await,
        Some(second) => {
            let (sender, mut receiver) = mpsc::channel::<Bytes>(PIECES_AHEAD);
            let body = stream::poll_fn(move |context| {
                receiver
                    .poll_recv(context)
                    .map(|piece| piece.map(Ok::<_, io::Error>))
            });
            let request = builder.body(Body::wrap_stream(body)).send();
            let feeding = async {
                for piece in first.into_iter().chain([second]).chain(pieces) {
                    // Nobody takes it any more: the answer came early, or the connection is gone.
                    if sender.send(piece).await.is_err() {
                        break;
                    }
                }
                drop(sender);
            };
            race(request, feeding).await
        }
    };
    let response = response.map_err(|error| client.fault(&error, what, false))?;
    client.read(response, what, LARGEST_ANSWER).await
}

/// The bytes of the whole body, not compressed.
pub(crate) fn length(operations: &[Operation]) -> u64 {
    let pieces = Pieces::new(operations, false);
    pieces.map(|piece| piece.len() as u64).sum()
}

/// Feeds the body until the answer comes; an early answer ends the feeding.
async fn race(
    request: impl Future<Output = reqwest::Result<Response>>,
    feeding: impl Future<Output = ()>,
) -> reqwest::Result<Response> {
    tokio::pin!(request);
    tokio::select! {
        biased;
        response = &mut request => return response,
        () = feeding => {}
    }
    request.await
}

/// The body of a request, piece by piece, compressed if wanted.
struct Pieces<'a> {
    encoder: Encoder<'a>,
    gzip: Option<GzEncoder<Vec<u8>>>,
    done: bool,
}

impl<'a> Pieces<'a> {
    fn new(operations: &'a [Operation], compress: bool) -> Self {
        Self {
            encoder: Encoder::new(operations),
            gzip: compress.then(|| GzEncoder::new(Vec::new(), Compression::fast())),
            done: false,
        }
    }

    /// Encodes until a compressed piece is full.
    fn compressed(&mut self, mut gzip: GzEncoder<Vec<u8>>) -> Option<Bytes> {
        let mut plain = Vec::with_capacity(PIECE);
        // Writing into a `Vec` does not fail; if it did, the request would end short of its last
        // newline, and the server would refuse it whole.
        while gzip.get_ref().len() < PIECE {
            plain.clear();
            self.encoder.fill(&mut plain, PIECE);
            if plain.is_empty() || gzip.write_all(&plain).is_err() {
                self.done = true;
                return gzip.finish().ok().map(Bytes::from);
            }
        }
        let piece = std::mem::take(gzip.get_mut());
        self.gzip = Some(gzip);
        Some(Bytes::from(piece))
    }
}

impl Iterator for Pieces<'_> {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        if self.done {
            return None;
        }
        if let Some(gzip) = self.gzip.take() {
            return self.compressed(gzip);
        }
        let mut piece = Vec::with_capacity(PIECE);
        self.encoder.fill(&mut piece, PIECE);
        self.done = piece.is_empty();
        (!self.done).then(|| Bytes::from(piece))
    }
}

#[cfg(fuzzing)]
pub(crate) mod fuzzing {
    use super::*;

    pub(crate) fn read(body: &[u8], operations: &[Operation]) -> Option<usize> {
        let verdicts = super::read(body, operations, "API key").ok()?;
        never_fits(&verdicts.answers, operations);
        unread(&verdicts.answers);
        Some(verdicts.answers.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::read::GzDecoder;
    use std::{io::Read, time::Instant};
    use tributary_engine::{Action, Source};

    #[test]
    fn compressed_and_plain_pieces_make_the_same_body() {
        let operations: Vec<_> = (0..5000_u32)
            .map(|n| Operation {
                id: format!("id-{n}").into(),
                action: Action::Index(Source::new(
                    format!(
                        "{{\"n\":{},\"t\":\"{}\"",
                        n.wrapping_mul(2_654_435_761),
                        "ab".repeat(60)
                    )
                    .into_bytes(),
                    (n % 1000 == 0).then(|| vec![b'A'; 200_000]),
                )),
            })
            .collect();
        let plain: Vec<Bytes> = Pieces::new(&operations, false).collect();
        assert!(plain.iter().all(|piece| piece.len() <= PIECE + 4096));
        let plain = plain.concat();
        let gzipped: Vec<Bytes> = Pieces::new(&operations, true).collect();
        let gzipped = gzipped.concat();
        assert!(gzipped.len() < plain.len() / 4);
        let mut unpacked = Vec::new();
        GzDecoder::new(&gzipped[..])
            .read_to_end(&mut unpacked)
            .unwrap();
        assert!(unpacked == plain);
        assert_eq!(plain.iter().filter(|byte| **byte == b'\n').count(), 10_000);
    }

    /// Prints what a document of 300 bytes costs on its way out, and its answer on the way in.
    /// `CARGO_PROFILE_TEST_OPT_LEVEL=3 cargo test -p tributary-elastic --lib measure -- --ignored --nocapture`
    #[test]
    #[ignore = "a measurement"]
    #[allow(clippy::print_stderr)]
    fn measure() {
        const COUNT: usize = 100_000;
        let operations: Vec<_> = (0..COUNT)
            .map(|n| Operation {
                id: format!("table_{n}").into(),
                action: Action::Index(Source::new(
                    format!("{{\"id\":\"table_{n}\",\"t\":\"{}\"", "word ".repeat(54)).into_bytes(),
                    None,
                )),
            })
            .collect();
        let item = r#"{"index":{"_seq_no":123456,"_primary_term":1,"status":201}}"#;
        let answer = format!(
            "{{\"errors\":false,\"items\":[{}]}}",
            vec![item; COUNT].join(",")
        );
        for _ in 0..5 {
            let begin = Instant::now();
            let bytes: usize = Pieces::new(&operations, false)
                .map(|piece| piece.len())
                .sum();
            let plain = begin.elapsed() / 100_000;
            let begin = Instant::now();
            let packed: usize = Pieces::new(&operations, true)
                .map(|piece| piece.len())
                .sum();
            let gzip = begin.elapsed() / 100_000;
            let begin = Instant::now();
            let read = read(answer.as_bytes(), &operations, "").unwrap();
            let parsed = begin.elapsed() / 100_000;
            assert!(bytes > packed && read.answers.len() == COUNT);
            eprintln!(
                "a document: encoding {plain:?}, with gzip {gzip:?}; reading its answer {parsed:?}"
            );
        }
    }
}
