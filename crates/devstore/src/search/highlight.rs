//! The places in a text where a query was found.

use std::ops::Range;

use serde_json::{Map, Value, json};

use crate::errors::Result;
use crate::mapping::{Kind, key_of};
use crate::schema;
use crate::search::evaluate::values_at;
use crate::search::query::Query;
use crate::search::text::words;
use crate::select::glob;
use crate::storage::Index;

/// What a query looks for: the path of a field, and a pattern for the word.
fn wanted<'q>(query: &'q Query, found: &mut Vec<(&'q str, String)>) {
    match query {
        Query::Words(path, words, _) => {
            found.extend(words.iter().map(|word| (path.as_str(), word.clone())))
        }
        Query::Phrase(path, words, open_end) => {
            found.extend(words.iter().map(|word| (path.as_str(), word.clone())));
            found.extend(
                words
                    .last()
                    .filter(|_| *open_end)
                    .map(|word| (path.as_str(), format!("{word}*"))),
            );
        }
        Query::Exact(field, keys) if field.kind == Kind::Text => {
            found.extend(keys.iter().map(|key| (field.path.as_str(), key.clone())));
        }
        Query::Pattern(field, pattern, _) if field.kind == Kind::Text => {
            found.push((&field.path, pattern.clone()))
        }
        Query::Bool(clauses) => {
            let positive = clauses
                .must
                .iter()
                .chain(&clauses.filter)
                .chain(&clauses.should);
            positive.for_each(|query| wanted(query, found));
        }
        Query::Best(queries) => queries.iter().for_each(|query| wanted(query, found)),
        Query::Boosted(query, _) | Query::Constant(query) => wanted(query, found),
        _ => {}
    }
}

/// The text between two places with the hits marked.
fn mark(style: &Value, text: &str, range: Range<usize>, hits: &[Range<usize>]) -> String {
    let plain = |range: Range<usize>| {
        let part = text.get(range).unwrap_or_default();
        let escape = || {
            part.replace('&', "&amp;")
                .replace('<', "&lt;")
                .replace('>', "&gt;")
                .replace('"', "&quot;")
        };
        if style["encoder"] == "html" {
            escape()
        } else {
            part.to_owned()
        }
    };
    let tag = |key: &str| {
        style[key]
            .get(0)
            .unwrap_or(&style[key])
            .as_str()
            .unwrap_or_default()
            .to_owned()
    };
    let (mut marked, mut at) = (String::new(), range.start);
    for hit in hits {
        marked += &plain(at..hit.start);
        marked += &(tag("pre_tags") + &plain(hit.clone()) + &tag("post_tags"));
        at = hit.end;
    }
    marked + &plain(at..range.end)
}

/// Pieces of the text around the hits, at most `count`; the whole text if `count` is zero.
fn fragments(style: &Value, text: &str, mut hits: &[Range<usize>], count: usize) -> Vec<String> {
    if count == 0 {
        return vec![mark(style, text, 0..text.len(), hits)];
    }
    let size = style["fragment_size"]
        .as_u64()
        .map_or(100, |size| size.max(18) as usize);
    let (mut fragments, mut floor) = (Vec::new(), 0);
    while let Some(first) = hits.first().filter(|_| fragments.len() < count) {
        let start = text
            .floor_char_boundary(first.start.saturating_sub(size / 3))
            .max(floor);
        // Begin between two words where there is a gap near by.
        let gap = text
            .get(start..first.start)
            .and_then(|head| head.find(' '))
            .filter(|_| start > floor);
        let start = start + gap.map_or(0, |gap| gap + 1);
        let end = text.ceil_char_boundary((start + size).max(first.end));
        let (now, later) = hits.split_at(hits.iter().take_while(|hit| hit.end <= end).count());
        let end = later.first().map_or(end, |next| end.min(next.start));
        fragments.push(mark(style, text, start..end, now).trim().to_owned());
        (hits, floor) = (later, end);
    }
    fragments
}

/// The `highlight` object of one hit; empty if nothing is found in the wanted fields.
pub(crate) fn highlight(
    spec: &Value,
    query: &Query,
    index: &Index,
    source: &Value,
) -> Result<Map<String, Value>> {
    let mut found = Vec::new();
    wanted(query, &mut found);
    let groups = spec["fields"]
        .as_array()
        .map_or_else(|| std::slice::from_ref(&spec["fields"]), Vec::as_slice);
    let mut highlights = Map::new();
    for (pattern, options) in groups.iter().filter_map(Value::as_object).flatten() {
        schema::check("highlight_style", options)?;
        let mut style = json!({"pre_tags": "<em>", "post_tags": "</em>", "number_of_fragments": 5});
        for (key, value) in [spec, options]
            .into_iter()
            .filter_map(Value::as_object)
            .flatten()
        {
            style[key] = value.clone();
        }
        let count = style["number_of_fragments"]
            .as_u64()
            .map_or(5, |count| count as usize);
        for (name, field) in index
            .mapping
            .fields
            .iter()
            .filter(|(name, _)| glob(pattern, name))
        {
            let fits = |path: &str| path == field.path || style["require_field_match"] == false;
            let is_hit = |word: &str| {
                found
                    .iter()
                    .any(|(path, pattern)| fits(path) && glob(pattern, word))
            };
            let mut pieces = Vec::new();
            values_at(source, &field.path, &mut |value| {
                let text = key_of(field.kind, value)
                    .filter(|_| field.kind == Kind::Text)
                    .unwrap_or_default();
                let hits = words(&text)
                    .filter(|word| is_hit(&word.text))
                    .map(|word| word.place);
                let hits: Vec<Range<usize>> = hits.collect();
                if !hits.is_empty() && (count == 0 || pieces.len() < count) {
                    pieces.extend(fragments(&style, &text, &hits, count));
                }
                false
            });
            if !pieces.is_empty() {
                highlights.insert(name.clone(), json!(pieces));
            }
        }
    }
    Ok(highlights)
}
