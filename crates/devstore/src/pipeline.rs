//! The built-in ingest pipeline `search-default-ingestion`, before 9.0 called `ent-search-generic-ingestion`.
//!
//! It does what Elasticsearch's pipeline of that name does, except that it reads text formats only: what is in a
//! PDF or an office file stays unread, and the document says so in `_ingestion_errors`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use crate::errors::{Result, refuse};
use crate::http::Reply;

/// Names under which the pipeline exists.
const NAMES: [&str; 2] = ["search-default-ingestion", "ent-search-generic-ingestion"];
/// Characters taken from a file unless `_attachment_indexed_chars` says otherwise, as in Elasticsearch.
const INDEXED_CHARACTERS: i64 = 100_000;
const HELPER_FIELDS: &str = "_attachment _attachment_indexed_chars _extracted_attachment _extract_binary_content _reduce_whitespace _run_ml_inference";
/// First bytes of formats that are not text although they may have no zero byte: PDF, ZIP, old Office, RTF, gzip.
const FORMATS: [&[u8]; 5] = [
    b"%PDF",
    b"PK\x03\x04",
    b"\xd0\xcf\x11\xe0",
    b"{\\rtf",
    b"\x1f\x8b",
];
/// Elements inside a word or sentence: their tags leave no gap.
const INLINE: &str = " a abbr b cite code em font i kbd mark q s small span strong sub u ";

/// Runs the pipeline of that name, if it is one, over a document.
pub(crate) fn run(name: &str, document: &mut Map<String, Value>) -> Result<()> {
    if matches!(name, "" | "_none") {
        return Ok(());
    }
    if !NAMES.contains(&name) {
        refuse!(
            "illegal_argument_exception",
            "pipeline with id [{name}] does not exist"
        );
    }
    if document.get("_extract_binary_content") == Some(&json!(true)) {
        let limit = document
            .get("_attachment_indexed_chars")
            .and_then(Value::as_i64);
        let limit = usize::try_from(limit.unwrap_or(INDEXED_CHARACTERS)).unwrap_or(usize::MAX);
        match extract(document.get("_attachment").unwrap_or(&Value::Null)) {
            Ok(text) if text.trim().is_empty() => {}
            Ok(text) => {
                let text: String = text.trim().chars().take(limit).collect();
                document.insert("body".to_owned(), json!(text));
            }
            Err(why) => note(document, name, "attachment", &why),
        }
        if let Some(Value::String(body)) = document.get_mut("body") {
            *body = body.replace('\u{fffd}', "");
        }
    }
    if document.get("_reduce_whitespace") == Some(&json!(true)) {
        match document.get_mut("body") {
            None | Some(Value::Null) => {}
            Some(Value::String(body)) => {
                let words = body.split([' ', '\t', '\n', '\u{b}', '\u{c}', '\r']);
                let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
                *body = words.join(" ");
            }
            Some(_) => note(document, name, "gsub", "field [body] is not a text"),
        }
    }
    for field in HELPER_FIELDS.split(' ') {
        document.shift_remove(field);
    }
    Ok(())
}

fn note(document: &mut Map<String, Value>, pipeline: &str, processor: &str, why: &str) {
    let message = json!(format!(
        "Processor '{processor}' in pipeline '{pipeline}' failed with message '{why}'"
    ));
    match document
        .entry("_ingestion_errors")
        .or_insert_with(|| json!([]))
    {
        Value::Array(errors) => errors.push(message),
        other => *other = json!([other.take(), message]),
    }
}

/// The text of a file given in base64, or why there is none.
fn extract(attachment: &Value) -> std::result::Result<String, String> {
    let encoded = match attachment {
        Value::Null => return Ok(String::new()),
        value => value.as_str().ok_or("field [_attachment] is not a text")?,
    };
    let decoded = STANDARD.decode(encoded.replace(['\r', '\n'], ""));
    let bytes = decoded.map_err(|error| format!("field [_attachment] is not base64: {error}"))?;
    let units = |join: fn([u8; 2]) -> u16| -> Vec<u16> {
        let pairs = bytes[2..].chunks_exact(2);
        pairs.map(|pair| join([pair[0], pair[1]])).collect()
    };
    let is_binary = bytes.iter().take(8192).any(|byte| *byte == 0);
    let text = match bytes.get(..2) {
        Some([0xff, 0xfe]) => String::from_utf16_lossy(&units(u16::from_le_bytes)).into(),
        Some([0xfe, 0xff]) => String::from_utf16_lossy(&units(u16::from_be_bytes)).into(),
        _ if is_binary || FORMATS.iter().any(|start| bytes.starts_with(start)) => {
            return Err("this store reads text formats only, see docs/store.md".to_owned());
        }
        _ => String::from_utf8_lossy(&bytes),
    };
    let text = text.trim_start_matches('\u{feff}').trim_start();
    let opens = |first: char| first.is_ascii_alphabetic() || first == '!';
    let is_marked_up = match text.strip_prefix('<') {
        Some(after) => after.starts_with(opens) || after.starts_with("?xml"),
        None => false,
    };
    Ok(if is_marked_up {
        strip_tags(text)
    } else {
        text.to_owned()
    })
}

/// Drops tags, comments, scripts and styles; resolves entities. Every input ends: each step goes forward.
fn strip_tags(text: &str) -> String {
    let mut plain = String::with_capacity(text.len() / 2);
    let mut rest = text;
    while let Some(at) = rest.find(['<', '&']) {
        plain.push_str(&rest[..at]);
        rest = &rest[at..];
        let opens_tag = |next: char| next.is_ascii_alphabetic() || matches!(next, '/' | '!' | '?');
        if let Some(comment) = rest.strip_prefix("<!--") {
            rest = comment.split_once("-->").map_or("", |(_, after)| after);
        } else if let Some(data) = rest.strip_prefix("<![CDATA[") {
            let (data, after) = data.split_once("]]>").unwrap_or((data, ""));
            plain.push_str(data);
            rest = after;
        } else if rest.starts_with('<') && rest[1..].starts_with(opens_tag) {
            let (tag, after) = rest.split_at(tag_end(rest));
            let name = tag[1..].trim_start_matches('/');
            let end = name.find(|letter: char| !letter.is_ascii_alphanumeric());
            let name = name[..end.unwrap_or(name.len())].to_ascii_lowercase();
            let hides = matches!(name.as_str(), "script" | "style");
            rest = if hides {
                skip_element(after, &name)
            } else {
                after
            };
            if !INLINE.contains(&format!(" {name} ")) {
                plain.push('\n');
            }
        } else {
            let end = rest
                .bytes()
                .take(12)
                .position(|byte| byte == b';')
                .unwrap_or(0);
            let (entity, after) = rest.split_at(end + 1);
            match htmlescape::decode_html(entity) {
                Ok(character) => plain.push_str(&character.replace('\u{a0}', " ")),
                Err(_) => plain.push_str(entity),
            }
            rest = after;
        }
    }
    plain + rest
}

/// The length of the tag at the start of `text`, quoted attribute values taken as one.
fn tag_end(text: &str) -> usize {
    let mut quote = None;
    for (at, byte) in text.bytes().enumerate() {
        match (quote, byte) {
            (None, b'>') => return at + 1,
            (None, b'"' | b'\'') if text[..at].ends_with('=') => quote = Some(byte),
            (Some(open), byte) if open == byte => quote = None,
            _ => {}
        }
    }
    text.len()
}

/// What follows the closing tag of a script or style; all of it is gone if there is none.
fn skip_element<'t>(text: &'t str, name: &str) -> &'t str {
    let close = format!("</{name}");
    let mut places = text.as_bytes().windows(close.len());
    let at = places.position(|window| window.eq_ignore_ascii_case(close.as_bytes()));
    at.map_or("", |at| &text[at + tag_end(&text[at..])..])
}

/// `GET _ingest/pipeline` with or without a name.
pub(crate) fn show(name: Option<&&str>) -> Result<Reply> {
    let about = json!({
        "version": 1, "description": "Built into the store: reads text formats, sets [body], tidies white space",
        "_meta": {"managed": true, "managed_by": "tributary-store"}, "processors": []
    });
    let known = NAMES
        .iter()
        .filter(|known| name.is_none_or(|name| name == *known));
    let shown: Map<String, Value> = known
        .map(|known| ((*known).to_owned(), about.clone()))
        .collect();
    let status = if shown.is_empty() { 404 } else { 200 };
    Ok((status, Value::Object(shown)))
}
