//! The places in a text where a query was found.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use tantivy::query::Query;
use tantivy::snippet::{Snippet, SnippetGenerator};
use tantivy::tokenizer::TextAnalyzer;

use crate::errors::Result;
use crate::mapping::{Kind, Mapping};
use crate::schema::check;
use crate::search::words::{SEPARATOR, WORDS, WordTokenizer};
use crate::select::{entries, glob, many, plain_text, walk};

/// The `highlight` object of one hit, with the best piece of every value in which something is found.
pub(crate) fn of(spec: &Value, query: &dyn Query, fields: &Mapping, seen: &Value) -> Result<Value> {
    // The words that the query looks for, each behind the path of its field.
    let mut words = BTreeSet::new();
    query.query_terms(&mut |term, _| {
        if let Some(word) = term.value().as_str().filter(|_| term.field() == WORDS) {
            words.insert(word.to_owned());
        }
    });
    let mut highlights: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (pattern, options) in many(&spec["fields"]).flat_map(entries) {
        check("highlight", options, "")?;
        walk(seen, "", &mut |path, value| {
            if fields.kind(path) != Some(Kind::Text) || !glob(pattern, path) {
                return;
            }
            let word = |word: &String| {
                let word = word.strip_prefix(path)?.strip_prefix(SEPARATOR)?;
                Some((word.to_owned(), 1.0))
            };
            let hits = words.iter().filter_map(word).collect();
            let cutter = TextAnalyzer::from(WordTokenizer);
            let generator = SnippetGenerator::new(hits, cutter, WORDS, 100);
            let snippet = generator.snippet(&plain_text(value));
            if !snippet.highlighted().is_empty() {
                let pieces = highlights.entry(path.to_owned()).or_default();
                pieces.push(marked(&snippet));
            }
        });
    }
    Ok(json!(highlights))
}

/// A piece of a text with the words marked that were found.
fn marked(snippet: &Snippet) -> String {
    let (fragment, mut marked, mut at) = (snippet.fragment(), String::new(), 0);
    for hit in snippet.highlighted() {
        let (before, word) = (&fragment[at..hit.start], &fragment[hit.clone()]);
        marked += &format!("{before}<em>{word}</em>");
        at = hit.end;
    }
    marked + &fragment[at..]
}
