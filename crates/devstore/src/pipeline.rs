//! The built-in ingest pipeline `search-default-ingestion`, before 9.0 called `ent-search-generic-ingestion`.
//!
//! It does what Elasticsearch's pipeline of that name does, except that it reads text formats only: what is in a
//! PDF or an office file stays unread, and the document says so in `_ingestion_errors`.

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use regex::{Captures, Regex};
use serde_json::{Map, Value, json};

use crate::errors::{ILLEGAL, Result, refuse};
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
        refuse!(ILLEGAL, "pipeline with id [{name}] does not exist");
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

/// What is not text in HTML and XML. Scripts and styles go with what is in them, and one that is not closed hides all
/// that follows.
static MARKUP: LazyLock<Option<Regex>> = LazyLock::new(|| {
    let markup = r#"(?isx) <!--.*?(?:-->|\z) | <!\[CDATA\[(?<data>.*?)(?:\]\]>|\z) | &\#?\w{1,10};
        | <script\b.*?(?:</script[^>]*>?|\z) | <style\b.*?(?:</style[^>]*>?|\z)
        | <(?:[/!?]+(?<close>[a-z0-9]*)|(?<open>[a-z][a-z0-9]*))
          (?:=\s*"[^"]*(?:"|\z) | =\s*'[^']*(?:'|\z) | [^>])*>?"#;
    Regex::new(markup).ok()
});

/// Drops tags, comments, scripts and styles; resolves entities.
fn strip_tags(text: &str) -> String {
    let plain = |found: &Captures| {
        let name = found.name("open").or(found.name("close"));
        let name = name.map(|name| format!(" {} ", name.as_str().to_lowercase()));
        match (found.name("data"), name) {
            (Some(data), _) => data.as_str().to_owned(),
            (None, Some(name)) if INLINE.contains(&name) => String::new(),
            _ => match htmlescape::decode_html(&found[0]) {
                _ if found[0].starts_with("<!--") => String::new(),
                _ if found[0].starts_with('<') => "\n".to_owned(),
                Ok(character) => character.replace('\u{a0}', " "),
                Err(_) => found[0].to_owned(),
            },
        }
    };
    match &*MARKUP {
        Some(markup) => markup.replace_all(text, plain).into_owned(),
        None => text.to_owned(),
    }
}

/// `GET _ingest/pipeline/{name}`.
pub(crate) fn show(name: &str) -> Result<Reply> {
    if !NAMES.contains(&name) {
        return Ok((404, json!({})));
    }
    let about = "Built into the store: reads text formats, sets [body], tidies white space";
    Ok((
        200,
        json!({name: {"version": 1, "description": about, "processors": []}}),
    ))
}
