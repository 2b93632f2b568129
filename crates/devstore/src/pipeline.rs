//! The built-in ingest pipeline `search-default-ingestion`, before 9.0 called `ent-search-generic-ingestion`.
//!
//! It does what Elasticsearch's pipeline of that name does, except that it reads text formats only: what is in a
//! PDF or an office file stays unread, and the document says so in `_ingestion_errors`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde_json::{Map, Value, json};

use crate::errors::Problem;
use crate::http::Reply;

/// Names under which the pipeline exists.
pub(crate) const NAMES: [&str; 2] = ["search-default-ingestion", "ent-search-generic-ingestion"];
/// Characters taken from a file unless `_attachment_indexed_chars` says otherwise, as in Elasticsearch.
const INDEXED_CHARACTERS: usize = 100_000;
const HELPER_FIELDS: [&str; 6] = [
    "_attachment",
    "_attachment_indexed_chars",
    "_extracted_attachment",
    "_extract_binary_content",
    "_reduce_whitespace",
    "_run_ml_inference",
];
/// First bytes of formats that are not text, with their names.
const FORMATS: [(&[u8], &str); 9] = [
    (b"%PDF", "PDF"),
    (b"PK\x03\x04", "zip or office"),
    (b"\xd0\xcf\x11\xe0", "old office"),
    (b"{\\rtf", "RTF"),
    (b"\x89PNG", "PNG"),
    (b"\xff\xd8\xff", "JPEG"),
    (b"GIF8", "GIF"),
    (b"\x1f\x8b", "gzip"),
    (b"\x7fELF", "program"),
];

/// Runs the pipeline of that name over a document. Returns whether there was one.
pub(crate) fn run(name: Option<&str>, document: &mut Map<String, Value>) -> Result<bool, Problem> {
    match name {
        None | Some("" | "_none") => return Ok(false),
        Some(name) if NAMES.contains(&name) => {}
        Some(name) => {
            return Err(Problem::illegal(format!(
                "pipeline with id [{name}] does not exist"
            )));
        }
    }
    let name = name.unwrap_or_default();
    let is_on =
        |document: &Map<String, Value>, flag: &str| document.get(flag) == Some(&Value::Bool(true));
    if is_on(document, "_extract_binary_content") {
        if let Some(attachment) = document
            .get("_attachment")
            .filter(|attachment| !attachment.is_null())
        {
            match extract(attachment) {
                Ok(text) => {
                    let limit = document
                        .get("_attachment_indexed_chars")
                        .and_then(Value::as_i64);
                    let limit = limit.map_or(INDEXED_CHARACTERS, |limit| {
                        usize::try_from(limit).unwrap_or(usize::MAX)
                    });
                    let text: String = text.trim().chars().take(limit).collect();
                    if !text.is_empty() {
                        document.insert("body".to_owned(), json!(text));
                    }
                }
                Err(why) => note(document, name, "attachment", &why),
            }
        }
        if let Some(Value::String(body)) = document.get_mut("body") {
            *body = body.replace('\u{fffd}', "");
        }
    }
    if is_on(document, "_reduce_whitespace") {
        match document.get_mut("body") {
            None | Some(Value::Null) => {}
            Some(Value::String(body)) => *body = reduce_whitespace(body),
            Some(_) => note(document, name, "gsub", "field [body] is not a text"),
        }
    }
    for field in HELPER_FIELDS {
        document.shift_remove(field);
    }
    Ok(true)
}

fn note(document: &mut Map<String, Value>, pipeline: &str, processor: &str, why: &str) {
    let message =
        format!("Processor '{processor}' in pipeline '{pipeline}' failed with message '{why}'");
    let errors = document
        .entry("_ingestion_errors")
        .or_insert_with(|| json!([]));
    if !errors.is_array() {
        *errors = json!([errors.take()]);
    }
    if let Value::Array(errors) = errors {
        errors.push(json!(message));
    }
}

fn reduce_whitespace(text: &str) -> String {
    text.split([' ', '\t', '\n', '\u{b}', '\u{c}', '\r'])
        .filter(|word| !word.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
}

/// The text of a file given in base64, or why there is none.
fn extract(attachment: &Value) -> Result<String, String> {
    let indifferent =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let encoded = attachment
        .as_str()
        .ok_or("field [_attachment] is not a text")?;
    let engine = GeneralPurpose::new(&base64::alphabet::STANDARD, indifferent);
    let bytes = STANDARD
        .decode(encoded)
        .or_else(|_| engine.decode(encoded.replace(['\r', '\n'], "")))
        .map_err(|error| format!("field [_attachment] is not base64: {error}"))?;
    if let Some(units) = utf16(&bytes) {
        return Ok(plain(&String::from_utf16_lossy(&units)));
    }
    let head = bytes.get(..bytes.len().min(8192)).unwrap_or_default();
    let known = FORMATS
        .iter()
        .find(|(start, _)| bytes.starts_with(start))
        .map(|(_, name)| *name);
    if let Some(format) = known.or_else(|| head.contains(&0).then_some("binary")) {
        return Err(format!(
            "this store does not read {format} files, see docs/store.md"
        ));
    }
    Ok(plain(
        String::from_utf8_lossy(&bytes).trim_start_matches('\u{feff}'),
    ))
}

fn utf16(bytes: &[u8]) -> Option<Vec<u16>> {
    let (mark, rest) = bytes.split_first_chunk::<2>()?;
    let join: fn([u8; 2]) -> u16 = match mark {
        [0xff, 0xfe] => u16::from_le_bytes,
        [0xfe, 0xff] => u16::from_be_bytes,
        _ => return None,
    };
    Some(
        rest.chunks_exact(2)
            .map(|pair| join([pair[0], pair[1]]))
            .collect(),
    )
}

/// The text itself, without tags if it is HTML or XML.
fn plain(text: &str) -> String {
    let start: String = text
        .trim_start()
        .chars()
        .take(9)
        .collect::<String>()
        .to_ascii_lowercase();
    let marked_up = start.strip_prefix('<').is_some_and(|rest| {
        rest.starts_with(|first: char| first.is_ascii_alphabetic() || first == '!')
            || rest.starts_with("?xml")
    });
    if marked_up {
        strip_tags(text)
    } else {
        text.to_owned()
    }
}

/// Elements inside a word or sentence: their tags leave no gap.
const INLINE: [&str; 18] = [
    "a", "abbr", "b", "bdi", "cite", "code", "em", "font", "i", "kbd", "mark", "q", "s", "small",
    "span", "strong", "sub", "u",
];

/// Drops tags, comments, scripts and styles; resolves entities. Every input ends: each step goes forward.
fn strip_tags(text: &str) -> String {
    let mut plain = String::with_capacity(text.len() / 2);
    let mut rest = text;
    while let Some(at) = rest.find(['<', '&']) {
        plain.push_str(&rest[..at]);
        rest = &rest[at..];
        if rest.starts_with('&') {
            let (character, length) = entity(rest);
            plain.push_str(&character);
            rest = &rest[length..];
        } else if let Some(comment) = rest.strip_prefix("<!--") {
            rest = comment.split_once("-->").map_or("", |(_, after)| after);
        } else if let Some(data) = rest.strip_prefix("<![CDATA[") {
            let (data, after) = data.split_once("]]>").unwrap_or((data, ""));
            plain.push_str(data);
            rest = after;
        } else if rest[1..]
            .starts_with(|next: char| next.is_ascii_alphabetic() || matches!(next, '/' | '!' | '?'))
        {
            let end = tag_end(rest);
            let name: String = rest[1..end]
                .trim_start_matches('/')
                .chars()
                .take_while(char::is_ascii_alphanumeric)
                .collect();
            let name = name.to_ascii_lowercase();
            rest = &rest[end..];
            if matches!(name.as_str(), "script" | "style") && !rest.is_empty() {
                rest = skip_element(rest, &name);
            }
            if !INLINE.contains(&name.as_str()) {
                plain.push('\n');
            }
        } else {
            plain.push('<');
            rest = &rest[1..];
        }
    }
    plain.push_str(rest);
    plain
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
    let at = text
        .as_bytes()
        .windows(close.len())
        .position(|window| window.eq_ignore_ascii_case(close.as_bytes()));
    at.map_or("", |at| &text[at + tag_end(&text[at..])..])
}

/// Names of U+00A0 to U+00FF in their order.
const LATIN: &str = "nbsp iexcl cent pound curren yen brvbar sect uml copy ordf laquo not shy reg macr deg plusmn sup2 sup3 acute micro para middot cedil sup1 ordm raquo frac14 frac12 frac34 iquest Agrave Aacute Acirc Atilde Auml Aring AElig Ccedil Egrave Eacute Ecirc Euml Igrave Iacute Icirc Iuml ETH Ntilde Ograve Oacute Ocirc Otilde Ouml times Oslash Ugrave Uacute Ucirc Uuml Yacute THORN szlig agrave aacute acirc atilde auml aring aelig ccedil egrave eacute ecirc euml igrave iacute icirc iuml eth ntilde ograve oacute ocirc otilde ouml divide oslash ugrave uacute ucirc uuml yacute thorn yuml";
const OTHERS: [(&str, char); 15] = [
    ("amp", '&'),
    ("lt", '<'),
    ("gt", '>'),
    ("quot", '"'),
    ("apos", '\''),
    ("hellip", '…'),
    ("ndash", '–'),
    ("mdash", '—'),
    ("lsquo", '‘'),
    ("rsquo", '’'),
    ("ldquo", '“'),
    ("rdquo", '”'),
    ("bull", '•'),
    ("euro", '€'),
    ("trade", '™'),
];

/// The text of the entity at the start of `text` and its length. What is no entity stands for itself.
fn entity(text: &str) -> (String, usize) {
    let itself = ("&".to_owned(), 1);
    let Some(end) = text.bytes().take(12).position(|byte| byte == b';') else {
        return itself;
    };
    let name = &text[1..end];
    let character = if let Some(number) = name.strip_prefix('#') {
        let code = match number.strip_prefix(['x', 'X']) {
            Some(hexadecimal) => u32::from_str_radix(hexadecimal, 16).ok(),
            None => number.parse().ok(),
        };
        code.and_then(char::from_u32)
    } else {
        let latin = || {
            LATIN
                .split(' ')
                .zip('\u{a0}'..='\u{ff}')
                .find(|(latin, _)| *latin == name)
                .map(|(_, character)| character)
        };
        OTHERS
            .iter()
            .find(|(other, _)| *other == name)
            .map(|(_, character)| *character)
            .or_else(latin)
    };
    match character {
        Some('\u{a0}') => (" ".to_owned(), end + 1),
        Some(character) => (character.to_string(), end + 1),
        None => itself,
    }
}

/// `GET _ingest/pipeline/{id}`.
pub(crate) fn show(name: Option<&str>) -> Result<Reply, Problem> {
    let pipeline = json!({
        "version": 1,
        "description": "Generic Search ingest pipeline, built into the store: reads text formats, sets [body], tidies white space",
        "_meta": {"managed": true, "managed_by": "tributary-store"},
        "processors": [],
    });
    let shown: Map<String, Value> = NAMES
        .iter()
        .filter(|known| name.is_none_or(|name| name == **known))
        .map(|known| ((*known).to_owned(), pipeline.clone()))
        .collect();
    if shown.is_empty() {
        Reply::with(404, &shown)
    } else {
        Reply::ok(&shown)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{reduce_whitespace, strip_tags};

    #[test]
    fn tags_scripts_and_entities_are_resolved() {
        let check = |html: &str, text: &str| {
            assert_eq!(reduce_whitespace(&strip_tags(html)), text, "{html}")
        };
        check("<p>One<br>two</p><p>three", "One two three");
        check("<b>W</b>ord <a href='x>y'>link</a>", "Word link");
        check(
            "a<script>if (a < b) { '</p>' }</SCRIPT>b<style>p{}</style>c<!-- d -->e",
            "a b ce",
        );
        check(
            "Stra&szlig;e &amp; caf&eacute; &#20140;&#x6771; &nbsp;&unknown; 1 < 2",
            "Straße & café 京東 &unknown; 1 < 2",
        );
        check("<x><![CDATA[a <b> c]]></x>", "a <b> c");
        check("<script>never closed", "");
        check("<p title=\"a > b\">x", "x");
    }

    proptest! {
        #[test]
        fn any_text_can_be_stripped(text in "[<>&;a-z/!\\-\"'=#x0-9é京 ]{0,80}") {
            strip_tags(&text);
        }
    }
}
