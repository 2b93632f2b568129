//! The index a job writes to, as the engine sees it.

use async_trait::async_trait;
use serde_json::value::RawValue;
use std::{fmt, time::Duration};
use tributary_sdk::DocId;
pub use tributary_state::{Token, Version};

/// One writable index, with the ingest pipeline its documents pass.
///
/// *Behaviour of all methods.* Several calls at once are allowed. The engine may drop a call at any
/// await; whether the request was carried out is then unknown, so everything the engine sends may be
/// sent again. An implementation does not retry: the engine does, in its own time. Nothing here blocks.
#[async_trait]
pub trait Target: Send + Sync {
    /// Makes sure that the index can be written to.
    ///
    /// *Behaviour.* Called once per job, before anything else. Creates the index, without mappings
    /// and settings, if neither index nor alias of the configured name exists. The name must stand
    /// for exactly one writable index; if it does not, the error says what it stands for. If `protected`,
    /// maps `_allow_access_control` as text with the sub-field `keyword` unless it is mapped already
    /// (DESIGN §3: with the field limit reached an unmapped field would vanish and the document be
    /// public).
    async fn prepare(&self, protected: bool) -> Result<(), TargetError>;

    /// What a person should know about the index, such as that it has hardly any room left: whole
    /// sentences, with the way out. Nothing of it keeps a job from being done.
    ///
    /// *Behaviour.* What `prepare` found; empty before. Nothing is sent.
    fn findings(&self) -> Vec<String>;

    /// Sends operations in one request.
    ///
    /// *Behaviour.* `Ok` has exactly one answer for each operation, in the same order; some may be
    /// failures. Operations take effect independently. `Err` means that no answer for the single
    /// operations exists: unless its kind says otherwise, any of them may have taken effect. Holds at
    /// most a small fixed buffer beyond the operations themselves.
    async fn bulk(&self, operations: &[Operation]) -> Result<Vec<Answer>, TargetError>;

    /// Lists the ids of all documents, with their versions.
    ///
    /// *Behaviour.* Every document that was acknowledged before the call and not deleted since is
    /// listed; documents written during the scan may be listed or not, and may be listed twice.
    async fn scan(&self) -> Result<Box<dyn Scan>, TargetError>;

    /// Reads documents as they are now.
    ///
    /// *Behaviour.* At most 100 ids; one answer for each, in order; `None` if there is no such
    /// document. Sees every acknowledged write.
    async fn stored(&self, ids: &[DocId]) -> Result<Vec<Option<Stored>>, TargetError>;

    /// In which version documents are now.
    ///
    /// *Behaviour.* At most 1,000 ids; otherwise as [`Target::stored`], of which it is the cheaper half.
    async fn versions(&self, ids: &[DocId]) -> Result<Vec<Option<Version>>, TargetError> {
        let mut versions = Vec::with_capacity(ids.len());
        for ids in ids.chunks(100) {
            let stored = self.stored(ids).await?;
            versions.extend(stored.into_iter().map(|stored| Some(stored?.version)));
        }
        Ok(versions)
    }

    /// Makes all acknowledged writes visible to searches and counts the documents.
    async fn count(&self) -> Result<u64, TargetError>;

    /// Takes the token by which the index can be recognised later, with all that was acknowledged.
    /// `None` where the server does not tell enough.
    async fn token(&self) -> Result<Option<Token>, TargetError>;
}

/// A running scan of ids.
///
/// *Behaviour.* Dropping it frees what it holds at the server, at the latest after some minutes.
#[async_trait]
pub trait Scan: Send {
    /// The next page, in no order; `None` when all were listed. After an `Err` the scan is over, and
    /// what was listed so far is not all there is.
    async fn next(&mut self) -> Result<Option<Vec<Scanned>>, TargetError>;
}

/// A document in a scan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scanned {
    /// Its `_id`.
    pub id: DocId,
    /// Its version at some moment of the scan.
    pub version: Version,
}

/// A document as the index holds it.
#[derive(Clone, Debug)]
pub struct Stored {
    /// Its version.
    pub version: Version,
    /// Its `_source`.
    pub source: Box<RawValue>,
}

/// One operation of a bulk request.
#[derive(Clone, Debug)]
pub struct Operation {
    /// The `_id`; at most 512 bytes (one longer id fails a whole request [E]).
    pub id: DocId,
    /// What to do with it.
    pub action: Action,
}

/// What an operation does.
#[derive(Clone, Debug)]
pub enum Action {
    /// Writes the whole document, whatever was there.
    Index(Source),
    /// Changes these fields of a document and leaves the others. A document that is not there stays
    /// so: the answer is 404.
    Update(Source),
    /// Deletes the document in this version, and in no other.
    Delete(Version),
}

/// The JSON text of a document, in one or two pieces: large content is never copied.
#[derive(Clone, Default)]
pub struct Source {
    /// `{` and the fields, without the closing brace; empty if there are no fields.
    open_text: Vec<u8>,
    /// Base64 text of `_attachment`.
    attachment: Option<Vec<u8>>,
}

const ATTACHMENT_KEY: &[u8] = b"\"_attachment\":\"";

impl Source {
    /// `open_text` is an object without its closing brace, or nothing; `attachment` is base64 text.
    pub fn new(open_text: Vec<u8>, attachment: Option<Vec<u8>>) -> Self {
        Self {
            open_text,
            attachment,
        }
    }

    /// The bytes of the finished text.
    pub fn len(&self) -> usize {
        let attachment = self.attachment.as_ref();
        let attachment = attachment.map_or(0, |text| ATTACHMENT_KEY.len() + text.len() + 1);
        let comma = usize::from(attachment > 0 && !self.open_text.is_empty());
        self.open_text.len().max(1) + comma + attachment + 1
    }

    /// Never: there are always the braces.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// Whether it carries `_attachment`.
    pub fn has_attachment(&self) -> bool {
        self.attachment.is_some()
    }

    /// The pieces that make up the finished text, in order; some may be empty.
    pub fn pieces(&self) -> [&[u8]; 5] {
        let open: &[u8] = if self.open_text.is_empty() {
            b"{"
        } else {
            &self.open_text
        };
        match &self.attachment {
            None => [open, b"}", b"", b"", b""],
            Some(text) => {
                let comma: &[u8] = if self.open_text.is_empty() { b"" } else { b"," };
                [open, comma, ATTACHMENT_KEY, text, b"\"}"]
            }
        }
    }

    /// The finished text in one piece.
    pub fn to_text(&self) -> Vec<u8> {
        self.pieces().concat()
    }

    pub(crate) fn open_text(&self) -> &[u8] {
        self.pieces()[0]
    }

    #[cfg(test)]
    pub(crate) fn room(&self) -> usize {
        self.open_text.capacity()
    }

    pub(crate) fn with_open_text(self, open_text: Vec<u8>) -> Self {
        Self::new(open_text, self.attachment)
    }

    /// The same document without its file.
    pub fn without_attachment(self) -> Self {
        Self::new(self.open_text, None)
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Source({} bytes)", self.len())
    }
}

/// What became of one operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// HTTP status of the single operation.
    pub status: u16,
    /// The version it made, if it was carried out and the server said so.
    pub version: Option<Version>,
    /// Why it was not carried out.
    pub error: Option<ItemError>,
}

impl Answer {
    /// Whether it was carried out.
    pub fn is_done(&self) -> bool {
        self.error.is_none() && (200..300).contains(&self.status)
    }
}

/// Why one operation failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ItemError {
    /// The server's word for it, such as `document_parsing_exception`.
    pub kind: String,
    /// The server's sentence, causes included.
    pub reason: String,
    /// The field of the document that it is about, if it names one.
    pub field: Option<String>,
}

/// Why a whole request failed. What follows from it is one table, in the engine.
#[derive(Clone, Debug)]
pub struct TargetError {
    /// What went wrong.
    pub kind: TargetErrorKind,
    /// A sentence for the user: what, at which index or address, and the way out.
    pub message: String,
}

/// What went wrong with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TargetErrorKind {
    /// No connection, no answer in time, an answer cut short, 5xx: may pass.
    Unavailable,
    /// 429: asked too much at once. Nothing was carried out.
    Busy {
        /// What the server asked us to wait.
        retry_after: Option<Duration>,
    },
    /// 413: the request is too large. Nothing was carried out.
    TooLarge,
    /// Writes are blocked (flood-stage disk, a read-only index): may pass when somebody acts.
    Blocked,
    /// 401: the credentials are not accepted.
    Unauthorised,
    /// 403: a privilege is missing.
    Forbidden,
    /// The index, alias or pipeline is not there.
    NotFound,
    /// 400 and other answers that repeating will not change. Nothing was carried out.
    Rejected,
}

impl TargetError {
    /// Puts kind and sentence together.
    pub fn new(kind: TargetErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
        }
    }
}

impl fmt::Display for TargetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for TargetError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_one_json_object_in_pieces() {
        for (open, attachment, expected) in [
            ("", None, "{}"),
            ("{\"a\":1", None, "{\"a\":1}"),
            ("", Some("QQ=="), "{\"_attachment\":\"QQ==\"}"),
            ("{\"a\":1", Some(""), "{\"a\":1,\"_attachment\":\"\"}"),
        ] {
            let attachment = attachment.map(|text| text.as_bytes().to_vec());
            let source = Source::new(open.as_bytes().to_vec(), attachment);
            assert_eq!(String::from_utf8(source.to_text()).unwrap(), expected);
            assert_eq!(source.len(), expected.len());
        }
    }
}
