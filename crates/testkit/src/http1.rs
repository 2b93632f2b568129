//! The little of HTTP/1.1 that a proxy needs: heads, and bodies as a stream of pieces.
//!
//! Written here because the servers of the usual libraries do their best to answer properly; these must not.

use anyhow::{Context, Result, bail};
use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Heads above this are refused.
const LARGEST_HEAD: usize = 256 << 10;
/// How much of a body is in memory at once.
const PIECE: usize = 64 << 10;

/// A connection, plain or TLS.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// The start line and the headers of a request or an answer.
#[derive(Debug, Clone)]
pub(crate) struct Head {
    pub(crate) start: String,
    pub(crate) headers: Vec<(String, String)>,
}

impl Head {
    pub(crate) fn answer(status: u16, headers: impl IntoIterator<Item = (String, String)>) -> Self {
        // the reason phrase means nothing to a client
        Self {
            start: format!("HTTP/1.1 {status} status"),
            headers: headers.into_iter().collect(),
        }
    }

    /// The `n`th word of the start line.
    pub(crate) fn word(&self, n: usize) -> &str {
        self.start.split(' ').nth(n).unwrap_or_default()
    }

    pub(crate) fn status(&self) -> Result<u16> {
        self.word(1)
            .parse()
            .with_context(|| format!("\"{}\" is not a status line", self.start))
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    pub(crate) fn remove(&mut self, name: &str) {
        self.headers
            .retain(|(key, _)| !key.eq_ignore_ascii_case(name));
    }

    pub(crate) fn set(&mut self, name: &str, value: impl Into<String>) {
        self.remove(name);
        self.headers.push((name.to_owned(), value.into()));
    }

    pub(crate) fn has_token(&self, name: &str, token: &str) -> bool {
        self.headers
            .iter()
            .filter(|(key, _)| key.eq_ignore_ascii_case(name))
            .flat_map(|(_, value)| value.split(','))
            .any(|value| value.trim().eq_ignore_ascii_case(token))
    }

    /// How the body of a request is framed.
    pub(crate) fn request_framing(&self) -> Result<Framing> {
        Ok(self.framing()?.unwrap_or(Framing::Length(0)))
    }

    /// How the body of an answer to `method` is framed.
    pub(crate) fn answer_framing(&self, method: &str) -> Result<Framing> {
        let status = self.status()?;
        if method == "HEAD" || status < 200 || status == 204 || status == 304 {
            return Ok(Framing::Length(0));
        }
        Ok(self.framing()?.unwrap_or(Framing::UntilClose))
    }

    fn framing(&self) -> Result<Option<Framing>> {
        if self.has_token("transfer-encoding", "chunked") {
            return Ok(Some(Framing::Chunked));
        }
        match self.get("content-length") {
            Some(length) => {
                let length = length
                    .parse()
                    .with_context(|| format!("content-length \"{length}\""))?;
                Ok(Some(Framing::Length(length)))
            }
            None => Ok(None),
        }
    }

    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(512);
        bytes.extend_from_slice(self.start.as_bytes());
        bytes.extend_from_slice(b"\r\n");
        for (name, value) in &self.headers {
            bytes.extend_from_slice(name.as_bytes());
            bytes.extend_from_slice(b": ");
            bytes.extend_from_slice(value.as_bytes());
            bytes.extend_from_slice(b"\r\n");
        }
        bytes.extend_from_slice(b"\r\n");
        bytes
    }
}

/// How the end of a body is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    Length(u64),
    Chunked,
    UntilClose,
}

/// The reading side of a connection with what was read ahead.
pub(crate) struct Reader<R> {
    stream: R,
    buffer: BytesMut,
}

impl<R: AsyncRead + Unpin> Reader<R> {
    pub(crate) fn new(stream: R) -> Self {
        Self {
            stream,
            buffer: BytesMut::new(),
        }
    }

    /// What was read ahead, and the stream.
    pub(crate) fn into_parts(self) -> (BytesMut, R) {
        (self.buffer, self.stream)
    }

    /// Reads more; false at the end of the stream. Can be dropped and called again without loss.
    async fn fill(&mut self) -> Result<bool> {
        self.buffer.reserve(PIECE);
        Ok(self.stream.read_buf(&mut self.buffer).await? > 0)
    }

    /// Reads a head; nothing if the stream ends before its first byte. Can be dropped and called again without loss.
    pub(crate) async fn head(&mut self) -> Result<Option<Head>> {
        loop {
            if let Some(end) = find_head_end(&self.buffer) {
                let bytes = self.buffer.split_to(end);
                return parse_head(&bytes).map(Some);
            }
            if self.buffer.len() > LARGEST_HEAD {
                bail!("a head of more than {LARGEST_HEAD} bytes");
            }
            if !self.fill().await? {
                if self.buffer.is_empty() {
                    return Ok(None);
                }
                bail!("the connection was closed within a head");
            }
        }
    }

    /// Returns when the other side has closed the connection or sent something unexpected.
    pub(crate) async fn closed(&mut self) {
        while matches!(self.fill().await, Ok(true)) && self.buffer.len() < LARGEST_HEAD {}
    }

    async fn line(&mut self) -> Result<BytesMut> {
        loop {
            if let Some(end) = memchr::memchr(b'\n', &self.buffer) {
                let mut line = self.buffer.split_to(end + 1);
                line.truncate(end);
                if line.last() == Some(&b'\r') {
                    line.truncate(line.len() - 1);
                }
                return Ok(line);
            }
            if self.buffer.len() > LARGEST_HEAD || !self.fill().await? {
                bail!("the connection was closed within a chunk head");
            }
        }
    }

    async fn take(&mut self, most: u64) -> Result<Bytes> {
        if self.buffer.is_empty() && !self.fill().await? {
            bail!("the connection was closed within a body");
        }
        let length = usize::try_from(most)
            .unwrap_or(usize::MAX)
            .min(self.buffer.len())
            .min(PIECE);
        Ok(self.buffer.split_to(length).freeze())
    }
}

fn find_head_end(buffer: &[u8]) -> Option<usize> {
    memchr::memmem::find(buffer, b"\r\n\r\n").map(|at| at + 4)
}

fn parse_head(bytes: &[u8]) -> Result<Head> {
    let text = String::from_utf8_lossy(bytes);
    let mut lines = text.split("\r\n");
    let start = lines.next().unwrap_or_default().to_owned();
    if start.split(' ').count() < 2 {
        bail!("\"{start}\" is not a start line of HTTP");
    }
    let mut headers = Vec::new();
    for line in lines.filter(|line| !line.is_empty()) {
        let Some((name, value)) = line.split_once(':') else {
            bail!("\"{line}\" is not a header")
        };
        headers.push((name.to_owned(), value.trim().to_owned()));
    }
    Ok(Head { start, headers })
}

/// A body that is read piece by piece.
pub(crate) struct Body {
    framing: Framing,
    chunk_left: u64,
    first_chunk: bool,
    done: bool,
}

impl Body {
    pub(crate) fn new(framing: Framing) -> Self {
        Self {
            framing,
            chunk_left: 0,
            first_chunk: true,
            done: framing == Framing::Length(0),
        }
    }

    /// The next piece (at most 64 KiB), nothing at the end. It must not be called again after it was dropped midway.
    pub(crate) async fn next<R: AsyncRead + Unpin>(
        &mut self,
        reader: &mut Reader<R>,
    ) -> Result<Option<Bytes>> {
        if self.done {
            return Ok(None);
        }
        match &mut self.framing {
            Framing::Length(left) => {
                let piece = reader.take(*left).await?;
                *left -= piece.len() as u64;
                self.done = *left == 0;
                Ok(Some(piece))
            }
            Framing::UntilClose => {
                if reader.buffer.is_empty() && !reader.fill().await? {
                    self.done = true;
                    return Ok(None);
                }
                Ok(Some(reader.take(u64::MAX).await?))
            }
            Framing::Chunked => {
                if self.chunk_left == 0 {
                    if !self.first_chunk {
                        reader.line().await?;
                    }
                    self.first_chunk = false;
                    let line = reader.line().await?;
                    let text = String::from_utf8_lossy(&line);
                    let size = text.split(';').next().unwrap_or_default().trim();
                    self.chunk_left = u64::from_str_radix(size, 16)
                        .with_context(|| format!("\"{text}\" is not a chunk size"))?;
                    if self.chunk_left == 0 {
                        while !reader.line().await?.is_empty() {}
                        self.done = true;
                        return Ok(None);
                    }
                }
                let piece = reader.take(self.chunk_left).await?;
                self.chunk_left -= piece.len() as u64;
                Ok(Some(piece))
            }
        }
    }

    /// Reads the rest and throws it away; returns its length.
    pub(crate) async fn drain<R: AsyncRead + Unpin>(
        &mut self,
        reader: &mut Reader<R>,
    ) -> Result<u64> {
        let mut length = 0;
        while let Some(piece) = self.next(reader).await? {
            length += piece.len() as u64;
        }
        Ok(length)
    }
}

/// Writes one piece of a body in its framing.
pub(crate) async fn write_piece<W: AsyncWrite + Unpin>(
    writer: &mut W,
    framing: Framing,
    piece: &[u8],
) -> Result<()> {
    if framing == Framing::Chunked {
        writer
            .write_all(format!("{:x}\r\n", piece.len()).as_bytes())
            .await?;
        writer.write_all(piece).await?;
        writer.write_all(b"\r\n").await?;
    } else {
        writer.write_all(piece).await?;
    }
    Ok(())
}

/// Writes the end of a body in its framing.
pub(crate) async fn write_end<W: AsyncWrite + Unpin>(
    writer: &mut W,
    framing: Framing,
) -> Result<()> {
    if framing == Framing::Chunked {
        writer.write_all(b"0\r\n\r\n").await?;
    }
    writer.flush().await?;
    Ok(())
}

/// Makes the head of a request fit for a new connection to `upstream`, on which it is the only one.
pub(crate) fn prepare_request(head: &mut Head) {
    for name in [
        "connection",
        "keep-alive",
        "proxy-connection",
        "proxy-authorization",
        "expect",
        "te",
    ] {
        head.remove(name);
    }
    head.set("connection", "close");
}

/// Makes the head of an answer fit for a connection that stays open; returns the framing in which to write the body.
pub(crate) fn prepare_answer(head: &mut Head, framing: Framing) -> Framing {
    for name in ["connection", "keep-alive", "transfer-encoding"] {
        head.remove(name);
    }
    match framing {
        Framing::Length(_) => framing,
        Framing::Chunked | Framing::UntilClose => {
            head.remove("content-length");
            head.set("transfer-encoding", "chunked");
            Framing::Chunked
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read_body(framing: Framing, bytes: &'static [u8]) -> Result<Vec<u8>> {
        let mut reader = Reader::new(bytes);
        let mut body = Body::new(framing);
        let mut all = Vec::new();
        while let Some(piece) = body.next(&mut reader).await? {
            all.extend_from_slice(&piece);
        }
        Ok(all)
    }

    #[tokio::test]
    async fn bodies_end_where_their_framing_says() {
        assert_eq!(
            read_body(Framing::Length(3), b"abcdef").await.unwrap(),
            b"abc"
        );
        assert_eq!(
            read_body(Framing::UntilClose, b"abcdef").await.unwrap(),
            b"abcdef"
        );
        let chunks = b"3;x=y\r\nabc\r\n10\r\n0123456789abcdef\r\n0\r\nTrailer: x\r\n\r\nrest";
        assert_eq!(
            read_body(Framing::Chunked, chunks).await.unwrap(),
            b"abc0123456789abcdef"
        );
    }

    #[tokio::test]
    async fn a_body_that_stops_early_is_an_error() {
        assert!(read_body(Framing::Length(7), b"abcdef").await.is_err());
        assert!(read_body(Framing::Chunked, b"3\r\nab").await.is_err());
        assert!(read_body(Framing::Chunked, b"3\r\nabc\r\n").await.is_err());
        assert!(
            read_body(Framing::Chunked, b"zz\r\nabc\r\n0\r\n\r\n")
                .await
                .is_err()
        );
    }

    #[tokio::test]
    async fn heads_are_read_one_after_the_other() {
        let mut reader = Reader::new(
            &b"GET /a?b=c HTTP/1.1\r\nHost: x\r\nX-Two:  2 \r\n\r\nPUT / HTTP/1.1\r\n\r\n"[..],
        );
        let first = reader.head().await.unwrap().unwrap();
        assert_eq!(
            (first.word(0), first.word(1), first.get("x-two")),
            ("GET", "/a?b=c", Some("2"))
        );
        assert_eq!(
            first.to_bytes(),
            b"GET /a?b=c HTTP/1.1\r\nHost: x\r\nX-Two: 2\r\n\r\n"
        );
        assert_eq!(reader.head().await.unwrap().unwrap().word(0), "PUT");
        assert!(reader.head().await.unwrap().is_none());
    }

    #[test]
    fn answers_without_a_body_are_known() {
        let head = |status| Head::answer(status, [("content-length".to_owned(), "5".to_owned())]);
        assert_eq!(
            head(200).answer_framing("HEAD").unwrap(),
            Framing::Length(0)
        );
        assert_eq!(head(304).answer_framing("GET").unwrap(), Framing::Length(0));
        assert_eq!(head(200).answer_framing("GET").unwrap(), Framing::Length(5));
        assert_eq!(
            Head::answer(200, []).answer_framing("GET").unwrap(),
            Framing::UntilClose
        );
    }
}
