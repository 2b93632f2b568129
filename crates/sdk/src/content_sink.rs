//! Where the content of a file is collected.

use crate::{
    Error, ErrorKind, Result,
    emitter::{Budget, Permit},
};
use base64::Engine as _;

/// Where the bytes of a file go. Its room is reserved before the first byte is asked for; the bytes
/// are kept as base64 text, the form in which they travel.
#[derive(Debug)]
pub struct ContentSink {
    text: Vec<u8>,
    /// Bytes that do not fill a group of three yet.
    rest: Vec<u8>,
    written: usize,
    limit: usize,
    permit: Permit,
}

impl ContentSink {
    /// For the engine: waits for room for a file of the size that the listing named, or of `limit`
    /// if it named none. Never accepts more than `limit` bytes.
    pub async fn reserve(budget: &Budget, named: Option<u64>, limit: usize) -> Result<Self> {
        let size = named
            .and_then(|size| usize::try_from(size).ok())
            .map_or(limit, |size| size.min(limit));
        let permit = budget.content.take(encoded_len(size)).await?;
        Ok(Self {
            text: Vec::new(),
            rest: Vec::new(),
            written: 0,
            limit: size,
            permit,
        })
    }

    /// Adds bytes; refuses more than were reserved.
    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.written += bytes.len();
        if self.written > self.limit {
            let message = "the file is larger than was announced";
            return Err(Error::new(ErrorKind::BadResponse, message).with("limit", self.limit));
        }
        self.grow(encoded_len(self.written));
        let mut bytes = bytes;
        if !self.rest.is_empty() {
            let missing = (3 - self.rest.len()).min(bytes.len());
            self.rest.extend_from_slice(&bytes[..missing]);
            bytes = &bytes[missing..];
            if self.rest.len() == 3 {
                encode(&mut self.text, &self.rest);
                self.rest.clear();
            }
        }
        let whole = bytes.len() - bytes.len() % 3;
        encode(&mut self.text, &bytes[..whole]);
        self.rest.extend_from_slice(&bytes[whole..]);
        Ok(())
    }

    /// Makes room for so much text: in leaps, but never beyond what the limit can need, nor all of
    /// that at once. The size that was named may be wrong, and the limit may be far off.
    fn grow(&mut self, needed: usize) {
        /// The first leap.
        const LEAP: usize = 64 * 1024;
        if needed > self.text.capacity() {
            let leap = self.text.capacity().saturating_mul(2).max(LEAP);
            let room = leap.min(encoded_len(self.limit)).max(needed);
            self.text.reserve_exact(room - self.text.len());
        }
    }

    /// Takes back what was written, to begin again after a failure.
    pub fn restart(&mut self) {
        self.text.clear();
        self.rest.clear();
        self.written = 0;
    }

    /// The bytes written so far.
    pub fn written(&self) -> usize {
        self.written
    }

    /// For the engine: the base64 text, and the permit to hold until it is acknowledged.
    pub fn finish(mut self) -> (Vec<u8>, Permit) {
        let rest = std::mem::take(&mut self.rest);
        encode(&mut self.text, &rest);
        self.text.shrink_to_fit();
        self.permit.shrink_to(self.text.len());
        (self.text, self.permit)
    }
}

fn encoded_len(bytes: usize) -> usize {
    bytes.div_ceil(3).saturating_mul(4)
}

fn encode(out: &mut Vec<u8>, bytes: &[u8]) {
    let start = out.len();
    out.resize(start + encoded_len(bytes.len()), 0);
    // The room is exactly what standard base64 takes, so this cannot fail.
    let _ = base64::engine::general_purpose::STANDARD.encode_slice(bytes, &mut out[start..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_file_takes_the_memory_of_its_bytes_and_not_of_its_limit() {
        let budget = Budget::new(1, 1000);
        for (named, limit) in [
            (None, usize::MAX),
            (Some(u64::MAX), usize::MAX),
            (None, 1 << 40),
        ] {
            let mut sink = ContentSink::reserve(&budget, named, limit).await.unwrap();
            sink.write(&[0; 100_000]).unwrap();
            sink.write(&[0; 100_000]).unwrap();
            assert!(sink.text.capacity() < 600_000, "{}", sink.text.capacity());
        }
        let mut sink = ContentSink::reserve(&budget, Some(70_000), 80_000)
            .await
            .unwrap();
        for _ in 0..7 {
            sink.write(&[0; 10_000]).unwrap();
        }
        assert_eq!(sink.text.capacity(), encoded_len(70_000));
    }

    #[tokio::test]
    async fn content_is_base64_whatever_the_pieces() {
        let budget = Budget::new(1, 1000);
        let bytes: Vec<u8> = (0..=255).collect();
        let expected = base64::engine::general_purpose::STANDARD.encode(&bytes);
        for piece in [1, 2, 3, 4, 7, 256] {
            let mut sink = ContentSink::reserve(&budget, Some(256), 300).await.unwrap();
            sink.write(b"false start").unwrap();
            sink.restart();
            for part in bytes.chunks(piece) {
                sink.write(part).unwrap();
            }
            assert!(sink.write(b"x").is_err(), "more than announced");
            drop(sink);
            let mut sink = ContentSink::reserve(&budget, Some(256), 300).await.unwrap();
            for part in bytes.chunks(piece) {
                sink.write(part).unwrap();
            }
            let (text, permit) = sink.finish();
            assert_eq!(budget.content.free(), 1000 - text.len());
            assert_eq!(String::from_utf8(text).unwrap(), expected);
            drop(permit);
        }
        let empty = ContentSink::reserve(&budget, Some(0), 300).await.unwrap();
        assert_eq!(empty.finish().0, b"");
    }
}
