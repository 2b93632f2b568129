//! From a document of the source to the operation that writes it (service sheet §5).

use crate::{
    job::{PipelineFlags, Settings},
    target::{Action, Operation, Source},
};
use chrono::{DateTime, Utc};
use md5::{Digest, Md5};
use serde_json::{Map, Value, value::RawValue};
use std::collections::HashMap;
use tributary_protocol::identity::{Identity, TokenField};
use tributary_sdk::{Access, DocId, Document, JsonWriter, Stamp};

/// What an access list that is empty or unreadable becomes. Never `[]`: Elasticsearch shows a document
/// with `[]` to everybody (DESIGN §3).
pub(crate) const NOBODY: &str = "access:nobody";

/// The longest `_id` in bytes; one longer id fails a whole bulk request [E].
const ID_LIMIT: usize = 512;

/// What stands around a text in a list: two quotation marks and a comma.
const PUNCTUATION: usize = 3;
/// The names of the fields of the engine, and what stands around them.
const NAMES: usize = 64;

/// The `_id` under which a document is kept: its own, or the MD5 of one that is too long.
pub(crate) fn index_id(id: &DocId) -> Option<DocId> {
    if id.as_str().len() <= ID_LIMIT {
        return None;
    }
    let digest = Md5::digest(id.as_str().as_bytes());
    let text: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    Some(DocId::from(text))
}

/// Puts documents together.
pub(crate) struct Assembler {
    /// `,"_extract_binary_content":true,…`, the same in every document.
    flags: Vec<u8>,
    /// `_timestamp` of documents that have none.
    now: String,
}

impl Assembler {
    pub(crate) fn new(settings: &Settings, now: String) -> Self {
        Self {
            flags: settings.flags.map(flags_text).unwrap_or_default(),
            now,
        }
    }

    /// `document` without its file, and the base64 text of the file.
    pub(crate) fn document(
        &self,
        id: DocId,
        text: Vec<u8>,
        stamp: &Stamp,
        access: &Access,
        attachment: Option<Vec<u8>>,
    ) -> Operation {
        let mut text = text;
        let stamp = self.stamp(stamp);
        let tokens = tokens(access);
        let listed = tokens.iter().flatten();
        let listed: usize = listed.map(|token| token.len() + PUNCTUATION).sum();
        // Left to itself, a full buffer doubles.
        text.reserve_exact(NAMES + stamp.len() + listed + id.as_str().len() + self.flags.len());
        let mut fields = Fields(&mut text);
        fields.text("_timestamp", stamp);
        if let Some(tokens) = tokens {
            fields.texts("_allow_access_control", &tokens);
        }
        fields.text("id", id.as_str());
        text.extend_from_slice(&self.flags);
        Operation {
            id,
            action: Action::Index(Source::new(text, attachment)),
        }
    }

    /// A person, and the query by which applications find what that person may see (service sheet §8).
    /// `None` if the source wrote something that is not JSON.
    pub(crate) fn identity(
        &self,
        id: DocId,
        document: Document,
        created_at: DateTime<Utc>,
    ) -> Option<Operation> {
        let identity = serde_json::from_slice(&document.body.into_text()).ok()?;
        let access_control = match document.access {
            Access::Tokens(tokens) => tokens.into_iter().collect(),
            Access::Unrestricted | Access::Unreadable(_) => Vec::new(),
        };
        let person = Identity {
            id: id.to_string(),
            identity,
            access_control,
        };
        let source = person.to_source(TokenField::default(), created_at);
        let mut text = serde_json::to_vec(&source).ok()?;
        text.pop();
        Some(Operation {
            id,
            action: Action::Index(Source::new(text, None)),
        })
    }

    /// Only who may read a document.
    pub(crate) fn access(&self, id: DocId, access: &Access) -> Operation {
        let mut text = Vec::new();
        match tokens(access) {
            Some(tokens) => Fields(&mut text).texts("_allow_access_control", &tokens),
            None => Fields(&mut text).null("_allow_access_control"),
        }
        Operation {
            id,
            action: Action::Update(Source::new(text, None)),
        }
    }

    fn stamp<'a>(&'a self, stamp: &'a Stamp) -> &'a str {
        match stamp {
            Stamp::Item(text) => text,
            Stamp::Group(text) => text,
            Stamp::None => &self.now,
        }
    }

    /// A document as sync rules see it: the fields of the source, its `_id` and `_timestamp`. A value
    /// that is no value for us (`1e400`, a thousand levels of nesting) is its text: rules about other
    /// fields hold. `None` if the source wrote something that is not a JSON object.
    pub(crate) fn view(&self, document: &Document) -> Option<Map<String, Value>> {
        let mut text = document.body.as_open_text().to_vec();
        if text.is_empty() {
            text.push(b'{');
        }
        text.push(b'}');
        let mut view: Map<String, Value> = match serde_json::from_slice(&text) {
            Ok(view) => view,
            Err(_) => {
                let view: HashMap<String, Box<RawValue>> = serde_json::from_slice(&text).ok()?;
                let value = |text: &RawValue| {
                    let value = serde_json::from_str(text.get());
                    value.unwrap_or_else(|_| Value::from(text.get()))
                };
                let fields = view.into_iter();
                fields.map(|(name, text)| (name, value(&text))).collect()
            }
        };
        view.insert("_id".into(), document.id.as_str().into());
        view.insert("_timestamp".into(), self.stamp(&document.stamp).into());
        Some(view)
    }
}

fn flags_text(flags: PipelineFlags) -> Vec<u8> {
    format!(
        ",\"_extract_binary_content\":{},\"_reduce_whitespace\":{},\"_run_ml_inference\":{}",
        flags.extract_binary_content, flags.reduce_whitespace, flags.run_ml_inference
    )
    .into_bytes()
}

/// The only place where access becomes a field: never an empty list.
fn tokens(access: &Access) -> Option<Vec<&str>> {
    match access {
        Access::Unrestricted => None,
        Access::Tokens(tokens) if !tokens.is_empty() => {
            Some(tokens.iter().map(String::as_str).collect())
        }
        Access::Tokens(_) | Access::Unreadable(_) => Some(vec![NOBODY]),
    }
}

/// Adds fields to the text of an object without its closing brace.
struct Fields<'a>(&'a mut Vec<u8>);

impl Fields<'_> {
    fn key(&mut self, name: &str) {
        self.0.push(if self.0.is_empty() { b'{' } else { b',' });
        JsonWriter::new(self.0).text(name);
        self.0.push(b':');
    }

    fn text(&mut self, name: &str, value: &str) {
        self.key(name);
        JsonWriter::new(self.0).text(value);
    }

    fn null(&mut self, name: &str) {
        self.key(name);
        JsonWriter::new(self.0).null();
    }

    fn texts(&mut self, name: &str, values: &[&str]) {
        self.key(name);
        JsonWriter::new(self.0).array(|array| {
            for value in values {
                array.element(|writer| writer.text(value));
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tributary_sdk::Body;

    fn assembled(access: Access, stamp: Stamp, flags: Option<PipelineFlags>) -> String {
        let settings = Settings {
            flags,
            ..Settings::default()
        };
        let assembler = Assembler::new(&settings, "now".into());
        let body = Body::new().put("a", &1).unwrap();
        let text = body.into_open_text();
        let operation = assembler.document("x".into(), text, &stamp, &access, None);
        let Action::Index(source) = operation.action else {
            panic!("not an index operation");
        };
        String::from_utf8(source.to_text()).unwrap()
    }

    #[test]
    fn adds_the_fields_of_the_engine_after_those_of_the_source() {
        assert_eq!(
            assembled(
                Access::Unrestricted,
                Stamp::None,
                Some(PipelineFlags::default())
            ),
            r#"{"a":1,"_timestamp":"now","id":"x","_extract_binary_content":true,"_reduce_whitespace":true,"_run_ml_inference":true}"#
        );
        assert_eq!(
            assembled(
                Access::tokens(["user:b", "user:a"]),
                Stamp::Item("then".into()),
                None
            ),
            r#"{"a":1,"_timestamp":"then","_allow_access_control":["user:a","user:b"],"id":"x"}"#
        );
    }

    #[test]
    fn a_large_document_takes_no_more_memory_than_its_fields() {
        let assembler = Assembler::new(&Settings::default(), "2026-01-01T00:00:00+00:00".into());
        let text = Body::new().put("a", &"x".repeat(1 << 20)).unwrap();
        let mut text = text.into_open_text();
        text.shrink_to_fit();
        let access = Access::tokens((0..1000).map(|number| format!("user:{number}")));
        let stamp = Stamp::None;
        let operation = assembler.document("x".into(), text, &stamp, &access, None);
        let Action::Index(source) = operation.action else {
            panic!("not an index operation");
        };
        let (length, room) = (source.open_text().len(), source.room());
        assert!(room < length + 1000, "{room} for {length}");
    }

    #[test]
    fn access_fails_closed() {
        let nobody =
            r#"{"a":1,"_timestamp":"now","_allow_access_control":["access:nobody"],"id":"x"}"#;
        let none = Access::tokens(Vec::<String>::new());
        assert_eq!(assembled(none, Stamp::None, None), nobody);
        let unreadable = Access::Unreadable("denied".into());
        assert_eq!(assembled(unreadable, Stamp::None, None), nobody);
    }

    #[test]
    fn a_long_id_becomes_its_hash() {
        assert_eq!(index_id(&"x".repeat(512).into()), None);
        let hashed = index_id(&"x".repeat(513).into()).unwrap();
        assert_eq!(
            hashed.as_str(),
            "d70999aa02d6479b04bc87c1c60a5073".to_owned()
        );
    }
}
