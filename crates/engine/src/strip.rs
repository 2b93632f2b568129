//! Taking one field out of a document.

use crate::target::Source;
use serde_json::{Map, Value};

/// The same document without a field; `None` if it has no such field, or if the field is one of those
/// without which a document must not be written: its id, and who may read it. The name may be a path
/// (`a.b`): then the innermost named object loses its member.
pub(crate) fn strip_field(source: &Source, field: &str) -> Option<Source> {
    if matches!(field, "id" | "_allow_access_control")
        || field.starts_with("_allow_access_control.")
    {
        return None;
    }
    if field == "_attachment" {
        return source
            .has_attachment()
            .then(|| source.clone().without_attachment());
    }
    let mut document: Map<String, Value> = serde_json::from_slice(&source.to_text()).ok()?;
    remove(&mut document, field).then_some(())?;
    let attachment = match document.shift_remove("_attachment") {
        Some(Value::String(text)) if source.has_attachment() => Some(text.into_bytes()),
        Some(other) => {
            document.insert("_attachment".into(), other);
            None
        }
        None => None,
    };
    let mut text = serde_json::to_vec(&document).ok()?;
    text.pop();
    if text == b"{" {
        text.clear();
    }
    Some(Source::new(text, attachment))
}

/// Removes the member a path names: the whole path may be one key, or lead through objects, or
/// through arrays of objects.
fn remove(object: &mut Map<String, Value>, path: &str) -> bool {
    if object.shift_remove(path).is_some() {
        return true;
    }
    let mut is_removed = false;
    for (position, _) in path.match_indices('.') {
        let (key, rest) = (&path[..position], &path[position + 1..]);
        match object.get_mut(key) {
            Some(Value::Object(inner)) => is_removed |= remove(inner, rest),
            Some(Value::Array(items)) => {
                for item in items {
                    if let Value::Object(inner) = item {
                        is_removed |= remove(inner, rest);
                    }
                }
            }
            _ => {}
        }
    }
    is_removed
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strip(text: &str, attachment: Option<&str>, field: &str) -> Option<String> {
        let open = text.strip_suffix('}').unwrap();
        let attachment = attachment.map(|text| text.as_bytes().to_vec());
        let source = Source::new(open.as_bytes().to_vec(), attachment);
        let stripped = strip_field(&source, field)?;
        Some(String::from_utf8(stripped.to_text()).unwrap())
    }

    #[test]
    fn takes_out_one_field_and_keeps_the_rest() {
        for (text, attachment, field, expected) in [
            (
                r#"{"a":1,"b":2,"c":3}"#,
                None,
                "b",
                Some(r#"{"a":1,"c":3}"#),
            ),
            (
                r#"{"a":{"b":1,"c":2}}"#,
                None,
                "a.b",
                Some(r#"{"a":{"c":2}}"#),
            ),
            (r#"{"a.b":1,"c":2}"#, None, "a.b", Some(r#"{"c":2}"#)),
            (
                r#"{"a":[{"b":1},{"b":2,"c":3}]}"#,
                None,
                "a.b",
                Some(r#"{"a":[{},{"c":3}]}"#),
            ),
            (
                r#"{"a":1}"#,
                Some("QQ=="),
                "a",
                Some(r#"{"_attachment":"QQ=="}"#),
            ),
            (
                r#"{"a":1}"#,
                Some("QQ=="),
                "_attachment",
                Some(r#"{"a":1}"#),
            ),
            (r#"{"a":1}"#, None, "x", None),
            (r#"{"a":1}"#, None, "_attachment", None),
            (r#"{"id":"1","a":1}"#, None, "id", None),
            (
                r#"{"_allow_access_control":["x"]}"#,
                None,
                "_allow_access_control",
                None,
            ),
        ] {
            assert_eq!(
                strip(text, attachment, field).as_deref(),
                expected,
                "{text} {field}"
            );
        }
    }
}
