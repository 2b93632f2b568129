//! The places in a text where a query was found.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tantivy::snippet::{Snippet, SnippetGenerator};
use tantivy::tokenizer::TextAnalyzer;

use crate::errors::Result;
use crate::mapping::Kind;
use crate::schema;
use crate::search::query::Mark;
use crate::search::text::{PathTokenizer, words};
use crate::search::words::WORDS;
use crate::select::{entries, glob, many, plain_text, walk};
use crate::storage::Index;

/// The best pieces of a text in their order, with the words marked that `is_hit` takes.
fn pieces(text: &str, options: &Value, is_hit: impl Fn(&str) -> bool) -> Vec<String> {
    let hits = words(text).filter(|(word, _)| is_hit(word));
    let hits = hits.map(|(word, _)| (word, 1.0)).collect();
    let number = |key: &str, default| options[key].as_u64().unwrap_or(default) as usize;
    let (size, count) = (
        number("fragment_size", 100),
        number("number_of_fragments", 5),
    );
    let size = if count == 0 { usize::MAX } else { size.max(18) };
    let cutter = TextAnalyzer::from(PathTokenizer);
    let generator = SnippetGenerator::new(hits, cutter, WORDS, size);
    let (mut pieces, mut parts) = (BTreeMap::new(), vec![(0, text.len())]);
    // The best piece first, then those before and behind it.
    while let Some((start, end)) = parts.pop().filter(|_| pieces.len() < count.max(1)) {
        let snippet = generator.snippet(&text[start..end]);
        if !snippet.highlighted().is_empty() {
            let place = snippet.fragment_range();
            pieces.insert(start + place.start, marked(&snippet, options));
            parts.extend([(start, start + place.start), (start + place.end, end)]);
        }
    }
    pieces.into_values().collect()
}

fn marked(snippet: &Snippet, options: &Value) -> String {
    let tag = |key: &str, default: &str| {
        let given = many(&options[key]).next();
        given.map_or(default.to_owned(), plain_text)
    };
    let (before, after) = (tag("pre_tags", "<em>"), tag("post_tags", "</em>"));
    let plain = |text: &str| match options["encoder"].as_str() {
        Some("html") => htmlescape::encode_minimal(text),
        _ => text.to_owned(),
    };
    let (fragment, mut marked, mut at) = (snippet.fragment(), String::new(), 0);
    for hit in snippet.highlighted() {
        marked += &plain(&fragment[at..hit.start]);
        marked += &format!("{before}{}{after}", plain(&fragment[hit.clone()]));
        at = hit.end;
    }
    marked + &plain(&fragment[at..])
}

/// The `highlight` object of one hit, with pieces of every value in which something is found.
pub(crate) fn of(spec: &Value, marks: &[Mark], index: &Index, source: &Value) -> Result<Value> {
    let mut highlights = json!({});
    for (pattern, own) in many(&spec["fields"]).flat_map(entries) {
        schema::check("highlight", own)?;
        let mut options = spec.clone();
        entries(own).for_each(|(key, value)| options[key] = value.clone());
        let mut found: Vec<(String, Value)> = Vec::new();
        walk(source, "", &mut |path, value| {
            let field = index.mapping.field(path).filter(|_| glob(pattern, path));
            let fits = |mark: &Mark, word: &str| mark.path == path && glob(&mark.pattern, word);
            let is_hit = |word: &str| marks.iter().any(|mark| fits(mark, word));
            if field.is_some_and(|field| field.kind == Kind::Text) {
                found.extend(
                    pieces(&plain_text(value), &options, is_hit)
                        .iter()
                        .map(|piece| (path.to_owned(), json!(piece))),
                );
            }
        });
        for (path, piece) in found {
            match &mut highlights[path] {
                Value::Array(pieces) => pieces.push(piece),
                pieces => *pieces = json!([piece]),
            }
        }
    }
    Ok(highlights)
}
