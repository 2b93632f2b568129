//! What a source hands over: a document, who may read it, and where its bytes are.

use crate::{
    Error, ErrorKind, Memo, Result, Scope,
    json::{FieldName, JsonWriter, members, write_value},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::value::RawValue;
use std::{collections::BTreeSet, fmt, ops::Range, sync::Arc};

/// The `_id` of a document as the source names it. The engine replaces one of more than 512 bytes by
/// its hash (service sheet §5).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DocId(Arc<str>);

impl DocId {
    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<T: Into<Arc<str>>> From<T> for DocId {
    fn from(id: T) -> Self {
        Self(id.into())
    }
}

impl fmt::Display for DocId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One document.
#[derive(Debug)]
pub struct Document {
    /// The `_id`.
    pub id: DocId,
    /// The fields, already JSON.
    pub body: Body,
    /// Who may read it. There is no default: forgetting it must not compile.
    pub access: Access,
    /// Its `_timestamp`.
    pub stamp: Stamp,
    /// The data source's own version of it (an ETag, a change number), if there is one.
    pub version: Option<String>,
    /// The file that belongs to it; read later, through [`crate::Session::fetch`].
    pub attachment: Option<Attachment>,
    /// Where it lives, if that is finer than the unit (a folder within the walked share). A gap in
    /// another folder then does not keep it alive.
    pub home: Option<Scope>,
}

impl Document {
    /// A document without stamp, version, file or finer home.
    pub fn new(id: impl Into<DocId>, body: Body, access: Access) -> Self {
        Self {
            id: id.into(),
            body,
            access,
            stamp: Stamp::None,
            version: None,
            attachment: None,
            home: None,
        }
    }

    /// The bytes it holds: what its permit costs.
    pub fn size(&self) -> usize {
        let file = self.attachment.as_ref();
        let file = file.map_or(0, |file| file.key.size() + file.name.len());
        self.id.as_str().len() + self.body.size() + self.access.size() + file
    }
}

/// Who may read a document. The engine alone turns this into a field of the index.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Access {
    /// Everybody, on purpose.
    Unrestricted,
    /// Whoever carries one of these tokens. None at all means nobody.
    Tokens(BTreeSet<String>),
    /// The list could not be read: nobody. Says why.
    Unreadable(String),
}

impl Access {
    /// Whoever carries one of these tokens.
    pub fn tokens<T: Into<String>>(tokens: impl IntoIterator<Item = T>) -> Self {
        Self::Tokens(tokens.into_iter().map(Into::into).collect())
    }

    /// The bytes it holds, about.
    pub fn size(&self) -> usize {
        /// A token in a set, besides its text.
        const TOKEN: usize = 32;
        match self {
            Self::Unrestricted => 0,
            Self::Tokens(tokens) => tokens.iter().map(|token| token.len() + TOKEN).sum(),
            Self::Unreadable(why) => why.len(),
        }
    }
}

/// The exact text of `_timestamp`, and whether it says anything about this document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stamp {
    /// When this very document changed.
    Item(String),
    /// When something around it changed (its table), or "now". Never makes a document count as
    /// changed. Shared by many documents, so cheap to clone.
    Group(Arc<str>),
    /// Unknown.
    None,
}

/// A file that belongs to a document. A reference: the bytes are read later, if they are wanted.
#[derive(Clone, Debug)]
pub struct Attachment {
    /// Whatever the source needs to find it again.
    pub key: Memo,
    /// The file name, with its extension: the engine decides by it whether the content is wanted.
    pub name: String,
    /// Its size in bytes, if the listing said so.
    pub size: Option<u64>,
    /// Changes exactly when the bytes do. Without it the file is read at every full sync.
    pub version: Option<String>,
}

/// A document the engine asks about, and all that the source gets to find it by.
#[derive(Debug)]
pub struct DocRef {
    /// The `_id`. Often a hash, so not enough to find the item.
    pub id: DocId,
    /// The document as the index holds it.
    pub stored: Box<RawValue>,
}

impl DocRef {
    /// The stored fields that `T` names. An `Err` here is an honest [`Presence::Unknown`].
    pub fn read<T: DeserializeOwned>(&self) -> Result<T> {
        serde_json::from_str(self.stored.get()).map_err(|error| {
            let message = "the stored document lacks a field of ours";
            Error::new(ErrorKind::BadResponse, message)
                .with("id", &self.id)
                .caused_by(error)
        })
    }
}

/// The answer to "is it still there?".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// The data source says that it does not exist.
    Gone,
    /// It exists.
    Present,
    /// Cannot tell. Never wrong.
    Unknown,
}

/// Only the engine writes these (service sheet §5; DESIGN §3).
const OWNED: [&str; 8] = [
    "id",
    "_id",
    "_timestamp",
    "_attachment",
    "_allow_access_control",
    "_extract_binary_content",
    "_reduce_whitespace",
    "_run_ml_inference",
];

pub(crate) fn is_owned(name: &str) -> bool {
    OWNED.contains(&name)
}

/// The JSON text of one object, written once, field after field; no tree is built. The closing
/// brace comes last, because the engine adds its own fields after those of the source.
#[derive(Debug, Default)]
pub struct Body {
    text: Vec<u8>,
    /// Where volatile fields stand in the text.
    volatile: Vec<Range<usize>>,
}

impl Body {
    /// Bytes that the engine's own fields take, about, besides the id. A source that makes many documents
    /// of one size leaves room for them, so that the text need not move.
    pub const ENGINE_FIELDS: usize = 176;

    /// An object without fields.
    pub fn new() -> Self {
        Self::default()
    }

    /// An object without fields, and room for so many bytes of them.
    pub fn with_capacity(bytes: usize) -> Self {
        Self {
            text: Vec::with_capacity(bytes),
            volatile: Vec::new(),
        }
    }

    /// Adds a field. Names that belong to the engine are a mistake of the source. The same name twice
    /// stands twice in the text: the source sees to it that it does not happen.
    pub fn put<T: Serialize + ?Sized>(mut self, name: &str, value: &T) -> Result<Self> {
        if is_owned(name) {
            return Err(Error::internal("this field belongs to the engine").with("field", name));
        }
        self.write(name, value)?;
        Ok(self)
    }

    /// As [`Body::put_with`], for a field that may change although the document did not (when it was last
    /// looked at): a document in which nothing else changed is not written again.
    pub fn put_volatile_with(&mut self, name: &FieldName, write: impl FnOnce(JsonWriter<'_>)) {
        let start = self.text.len();
        self.put_with(name, write);
        self.volatile.push(start..self.text.len());
    }

    /// For the engine: the text so far without its volatile fields.
    pub fn lasting_pieces(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.volatile.iter().map(|range| range.end));
        let ends = self.volatile.iter().map(|range| range.start);
        let ends = ends.chain(std::iter::once(self.text.len()));
        starts.zip(ends).map(|(start, end)| &self.text[start..end])
    }

    /// Adds a field whose name was prepared, with a value that `write` writes; `null` if it writes
    /// nothing. For sources with many documents of one shape.
    pub fn put_with(&mut self, name: &FieldName, write: impl FnOnce(JsonWriter<'_>)) {
        self.text
            .push(if self.text.is_empty() { b'{' } else { b',' });
        self.text.extend_from_slice(name.as_key());
        write_value(&mut self.text, write);
    }

    /// Adds every member of an object of the data source as it stands, except those in `without` and
    /// those that belong to the engine.
    pub fn put_all(mut self, object: &RawValue, without: &[&str]) -> Result<Self> {
        for (name, value) in members(object)? {
            if !is_owned(&name) && !without.contains(&name.as_str()) {
                self.write(&name, value)?;
            }
        }
        Ok(self)
    }

    /// The bytes it holds.
    pub fn size(&self) -> usize {
        self.text.capacity().max(2)
    }

    /// For the engine: the text so far, `{` and the fields, without the closing brace; nothing at all
    /// if there are no fields.
    pub fn as_open_text(&self) -> &[u8] {
        &self.text
    }

    /// For the engine: as [`Body::put`], for its own fields too.
    pub fn write<T: Serialize + ?Sized>(&mut self, name: &str, value: &T) -> Result<()> {
        let start = self.text.len();
        self.text.push(if start == 0 { b'{' } else { b',' });
        JsonWriter(&mut self.text).text(name);
        self.text.push(b':');
        serde_json::to_writer(&mut self.text, value).map_err(|error| {
            self.text.truncate(start);
            Error::internal("a field cannot be written as JSON")
                .with("field", name)
                .caused_by(error)
        })
    }

    /// For the engine: as [`Body::as_open_text`], handed over.
    pub fn into_open_text(self) -> Vec<u8> {
        self.text
    }

    /// For the engine: the finished object.
    pub fn into_text(mut self) -> Vec<u8> {
        if self.text.is_empty() {
            self.text.push(b'{');
        }
        self.text.push(b'}');
        self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(body: Body) -> String {
        String::from_utf8(body.into_text()).unwrap()
    }

    #[test]
    fn writes_fields_in_order() {
        let name = FieldName::new("na\"me").unwrap();
        let mut body = Body::new().put("a", &1).unwrap();
        body.put_with(&name, |value| value.text("x"));
        body.put_with(&name, |_| {});
        assert_eq!(text(body), r#"{"a":1,"na\"me":"x","na\"me":null}"#);
        assert_eq!(text(Body::new()), "{}");
    }

    #[test]
    fn refuses_what_belongs_to_the_engine() {
        assert!(Body::new().put("_timestamp", "x").is_err());
        assert!(FieldName::new("id").is_err());
        let object = RawValue::from_string(r#"{"id":1,"keep":1.50,"drop":2}"#.into()).unwrap();
        let body = Body::new().put_all(&object, &["drop"]).unwrap();
        assert_eq!(text(body), r#"{"keep":1.50}"#);
        let array = RawValue::from_string("[1]".into()).unwrap();
        assert!(Body::new().put_all(&array, &[]).is_err());
    }
}
