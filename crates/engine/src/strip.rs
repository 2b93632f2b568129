//! Taking one field out of a document.

use crate::target::Source;
use serde_json::value::RawValue;
use std::mem;
use tributary_sdk::json::members;

/// Takes a field out of a document; `false` if it has no such field, or if the field is one of those
/// without which a document must not be written: its id, and who may read it. The name may be a path
/// (`a.b`): then the innermost named object loses its member.
pub(crate) fn strip_field(source: &mut Source, field: &str) -> bool {
    if matches!(field, "id" | "_allow_access_control")
        || field.starts_with("_allow_access_control.")
    {
        return false;
    }
    if field == "_attachment" {
        let has_attachment = source.has_attachment();
        *source = mem::take(source).without_attachment();
        return has_attachment;
    }
    let whole = [source.open_text(), b"}"].concat();
    let Some(mut text) = serde_json::from_slice(&whole)
        .ok()
        .and_then(|document| without(document, field).or_else(|| without_parent(document, field)))
    else {
        return false;
    };
    text.pop();
    if text == "{" {
        text.clear();
    }
    *source = mem::take(source).with_open_text(text.into_bytes());
    true
}

/// As [`without`], for a sub-field of the mapping: no document has it by its name, it comes with the
/// field that it is one of. An object is no such field: what the path names is not in it, so it stays.
fn without_parent(document: &RawValue, path: &str) -> Option<String> {
    let (parent, _) = path.rsplit_once('.')?;
    let is_ours = matches!(parent, "id" | "_allow_access_control");
    if is_ours || is_object_at(document, parent) {
        return None;
    }
    without(document, parent)
}

/// Whether a path leads to an object, or to an array with one.
fn is_object_at(value: &RawValue, path: &str) -> bool {
    if value.get().starts_with('[') {
        let items: Vec<&RawValue> = serde_json::from_str(value.get()).unwrap_or_default();
        return items.iter().any(|item| is_object_at(item, path));
    }
    if path.is_empty() {
        return value.get().starts_with('{');
    }
    let members = members(value).unwrap_or_default();
    members.iter().any(|(name, value)| {
        let rest = path.strip_prefix(name.as_str());
        let rest = rest.and_then(|rest| match rest {
            "" => Some(""),
            _ => rest.strip_prefix('.'),
        });
        rest.is_some_and(|rest| is_object_at(value, rest))
    })
}

/// The text of an object without the member a path names, or of an array of such objects: the whole
/// path may be one key, or lead through objects, or through arrays of objects. Everything else stays
/// as it is, to the digit. `None` if there is no such member.
fn without(value: &RawValue, path: &str) -> Option<String> {
    if value.get().starts_with('[') {
        let items: Vec<&RawValue> = serde_json::from_str(value.get()).ok()?;
        let changed: Vec<_> = items.iter().map(|item| without(item, path)).collect();
        changed.iter().any(Option::is_some).then_some(())?;
        let texts: Vec<&str> = items
            .iter()
            .zip(&changed)
            .map(|(item, changed)| changed.as_deref().unwrap_or(item.get()))
            .collect();
        return Some(format!("[{}]", texts.join(",")));
    }
    let members = members(value).ok()?;
    let mut is_changed = false;
    let mut text = String::from("{");
    for (name, value) in members {
        if name == path {
            is_changed = true;
            continue;
        }
        let rest = path.strip_prefix(name.as_str());
        let rest = rest.and_then(|rest| rest.strip_prefix('.'));
        let changed = rest.and_then(|rest| without(value, rest));
        is_changed |= changed.is_some();
        if text.len() > 1 {
            text.push(',');
        }
        text.push_str(&serde_json::to_string(&name).ok()?);
        text.push(':');
        text.push_str(changed.as_deref().unwrap_or(value.get()));
    }
    text.push('}');
    is_changed.then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strip(text: &str, attachment: Option<&str>, field: &str) -> Option<String> {
        let open = text.strip_suffix('}').unwrap();
        let attachment = attachment.map(|text| text.as_bytes().to_vec());
        let mut source = Source::new(open.as_bytes().to_vec(), attachment);
        let is_stripped = strip_field(&mut source, field);
        is_stripped.then(|| String::from_utf8(source.to_text()).unwrap())
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
            (
                r#"{"a":1.10,"b":2,"c":[123456789012345678901234567890,1e400]}"#,
                None,
                "b",
                Some(r#"{"a":1.10,"c":[123456789012345678901234567890,1e400]}"#),
            ),
            (
                r#"{"a":[[{"b":0.10}],2],"a.b":3}"#,
                None,
                "a.b",
                Some(r#"{"a":[[{}],2]}"#),
            ),
            (r#"{"a":1,"a":2,"b":3}"#, None, "a", Some(r#"{"b":3}"#)),
            // A sub-field of the mapping.
            (r#"{"a":"x","b":2}"#, None, "a.raw", Some(r#"{"b":2}"#)),
            (
                r#"{"o":[{"a":"x"},{"a":["y"]}],"b":2}"#,
                None,
                "o.a.raw",
                Some(r#"{"o":[{},{}],"b":2}"#),
            ),
            (r#"{"a":{"c":1},"b":2}"#, None, "a.raw", None),
            (r#"{"a":["x",[{"c":1}]],"b":2}"#, None, "a.raw", None),
            (r#"{"id":"1","a":1}"#, None, "id.raw", None),
            (r#"{"":1,"b":2}"#, None, "", Some(r#"{"b":2}"#)),
            (
                r#"{"a":{"":1,"c":3}}"#,
                None,
                "a.",
                Some(r#"{"a":{"c":3}}"#),
            ),
            (r#"{"..":1,"b":2}"#, None, "..", Some(r#"{"b":2}"#)),
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
