//! The built-in ingest pipeline `search-default-ingestion`, before 9.0 called `ent-search-generic-ingestion`.
//!
//! It does what Elasticsearch's pipeline of that name does, except that it reads text formats only: what is in a
//! PDF or an office file stays unread, and the document says so in `_ingestion_errors`.

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use regex::{Captures, Regex};
use serde_json::{Value, json};

use crate::errors::{Result, refuse};
use crate::http::Reply;

/// Names under which the pipeline exists.
const NAMES: [&str; 2] = ["search-default-ingestion", "ent-search-generic-ingestion"];
/// Characters taken from a file, as in Elasticsearch.
const INDEXED_CHARACTERS: usize = 100_000;
const HELPER_FIELDS: &str = "_attachment _attachment_indexed_chars _extracted_attachment _extract_binary_content \
    _reduce_whitespace _run_ml_inference";
/// First bytes of formats that are not text although they may have no zero byte: PDF, ZIP, old Office, RTF, gzip.
const FORMATS: [&[u8]; 5] = [
    b"%PDF",
    b"PK\x03\x04",
    b"\xd0\xcf\x11\xe0",
    b"{\\rtf",
    b"\x1f\x8b",
];
/// Runs the pipeline of that name, if it is one, over a document.
pub(crate) fn run(name: &str, document: &mut Value) -> Result<()> {
    if matches!(name, "" | "_none") {
        return Ok(());
    }
    if !NAMES.contains(&name) {
        refuse!("pipeline with id [{name}] does not exist");
    }
    if document["_extract_binary_content"] == true {
        match extract(&document["_attachment"]) {
            Ok(text) if text.trim().is_empty() => {}
            Ok(text) => {
                let text = text.replace('\u{fffd}', "");
                let body: String = text.trim().chars().take(INDEXED_CHARACTERS).collect();
                document["body"] = json!(body);
            }
            Err(why) => {
                let what = "Processor 'attachment' in pipeline";
                let note = format!("{what} '{name}' failed with message '{why}'");
                document["_ingestion_errors"] = json!([note]);
            }
        }
    }
    if document["_reduce_whitespace"] == true
        && let Some(body) = document["body"].as_str()
    {
        let words = body.split([' ', '\t', '\n', '\u{b}', '\u{c}', '\r']);
        let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
        document["body"] = json!(words.join(" "));
    }
    if let Value::Object(document) = document {
        document.retain(|field, _| !HELPER_FIELDS.split(' ').any(|helper| helper == field));
    }
    Ok(())
}

/// The text of a file given in base64, or why there is none.
fn extract(attachment: &Value) -> std::result::Result<String, String> {
    let encoded = attachment.as_str().unwrap_or_default();
    let decoded = STANDARD.decode(encoded.replace(['\r', '\n'], ""));
    let bytes = decoded.map_err(|error| format!("field [_attachment] is not base64: {error}"))?;
    let is_binary = bytes.iter().take(8192).any(|byte| *byte == 0);
    if is_binary || FORMATS.iter().any(|start| bytes.starts_with(start)) {
        return Err("this store reads text formats only, see docs/store.md".to_owned());
    }
    let text = String::from_utf8_lossy(&bytes);
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
    let markup = r#"(?isx) <!--.*?(?:-->|\z) | <script\b.*?(?:</script[^>]*>?|\z) | <style\b.*?(?:</style[^>]*>?|\z)
        | <!\[CDATA\[ | \]\]> | <[/!?a-z](?:=\s*"[^"]*(?:"|\z) | =\s*'[^']*(?:'|\z) | [^>])*>? | &\#?\w{1,10};"#;
    Regex::new(markup).ok()
});

/// Makes gaps of tags, comments, scripts and styles; resolves entities.
fn strip_tags(text: &str) -> String {
    let plain = |found: &Captures| match htmlescape::decode_html(&found[0]) {
        _ if found[0].starts_with(['<', ']']) => "\n".to_owned(),
        Ok(character) => character.replace('\u{a0}', " "),
        Err(_) => found[0].to_owned(),
    };
    let markup = MARKUP.as_ref();
    markup.map_or_else(String::new, |markup| {
        markup.replace_all(text, plain).into_owned()
    })
}

/// `GET _ingest/pipeline/{name}`.
pub(crate) fn show(name: &str) -> Result<Reply> {
    if !NAMES.contains(&name) {
        return Ok((404, json!({})));
    }
    let about = "Built into the store: reads text formats, sets [body], tidies white space";
    let shown = json!({"version": 1, "description": about, "processors": []});
    Ok((200, json!({name: shown})))
}
