//! The places in a text where a query was found.

use std::ops::Range;

use serde_json::{Map, Value, json};

use crate::errors::Problem;
use crate::mapping::{Kind, key_of};
use crate::schema;
use crate::search::evaluate::values_at;
use crate::search::query::Query;
use crate::search::text::words;
use crate::select::glob;
use crate::storage::Index;

/// Words that a query looks for: the path of the field, and a pattern for the word.
fn wanted<'q>(query: &'q Query, found: &mut Vec<(&'q str, String)>) {
    match query {
        Query::Words { path, words, .. }
        | Query::Phrase {
            path,
            words,
            open_end: false,
        } => found.extend(words.iter().map(|word| (path.as_str(), word.clone()))),
        Query::Phrase { path, words, .. } => {
            let last = words.len() - 1;
            found.extend(words.iter().enumerate().map(|(at, word)| {
                (
                    path.as_str(),
                    if at == last {
                        format!("{word}*")
                    } else {
                        word.clone()
                    },
                )
            }));
        }
        Query::Exact { field, keys } if field.kind == Kind::Text => {
            found.extend(keys.iter().map(|key| (field.path.as_str(), key.clone())))
        }
        Query::Pattern { field, pattern, .. } if field.kind == Kind::Text => {
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

/// How fragments are cut and marked.
struct Style {
    before: String,
    after: String,
    size: usize,
    count: usize,
    escape: bool,
    every_field: bool,
}

impl Style {
    /// Lays checked options over the style.
    fn with(mut self, options: &Value) -> Style {
        let number = |key: &str, default: usize| {
            options[key]
                .as_u64()
                .map_or(default, |number| number as usize)
        };
        let tag = |key: &str, default: String| {
            let tag = options[key].get(0).unwrap_or(&options[key]);
            tag.as_str().map_or(default, str::to_owned)
        };
        self.before = tag("pre_tags", self.before);
        self.after = tag("post_tags", self.after);
        self.size = number("fragment_size", self.size).max(18);
        self.count = number("number_of_fragments", self.count);
        self.escape |= options["encoder"] == "html";
        self.every_field |= options["require_field_match"] == false;
        self
    }

    /// The text between two places with the marks put in.
    fn mark(&self, text: &str, range: Range<usize>, hits: &[Range<usize>]) -> String {
        let plain = |range: Range<usize>| {
            let part = text.get(range).unwrap_or_default();
            if self.escape {
                part.replace('&', "&amp;")
                    .replace('<', "&lt;")
                    .replace('>', "&gt;")
                    .replace('"', "&quot;")
            } else {
                part.to_owned()
            }
        };
        let (mut marked, mut at) = (String::new(), range.start);
        for hit in hits {
            marked += &plain(at..hit.start);
            marked += &format!("{}{}{}", self.before, plain(hit.clone()), self.after);
            at = hit.end;
        }
        marked + &plain(at..range.end)
    }

    /// Fragments around the hits, at most `count`; the whole text if `count` is zero.
    fn fragments(&self, text: &str, hits: &[Range<usize>]) -> Vec<String> {
        if self.count == 0 {
            return vec![self.mark(text, 0..text.len(), hits)];
        }
        let (mut fragments, mut rest) = (Vec::new(), hits);
        let mut floor = 0;
        while let Some(first) = rest.first().filter(|_| fragments.len() < self.count) {
            let start = text
                .floor_char_boundary(first.start.saturating_sub(self.size / 3))
                .max(floor);
            // Begin and end between words where there is a gap near by.
            let head = text.get(start..first.start).unwrap_or_default();
            let start = if start == floor {
                start
            } else {
                start + head.find(char::is_whitespace).map_or(0, |at| at + 1)
            };
            let start = text.ceil_char_boundary(start);
            let end = text.ceil_char_boundary((start + self.size).max(first.end));
            let end = text
                .get(end..)
                .and_then(|tail| tail.find(char::is_whitespace))
                .filter(|at| *at < 30)
                .map_or(end, |at| end + at);
            let inside = rest.iter().take_while(|hit| hit.end <= end).count();
            let (now, later) = rest.split_at(inside);
            let end = later
                .first()
                .map_or(end, |next| if next.start < end { next.start } else { end });
            fragments.push(self.mark(text, start..end, now).trim().to_owned());
            (rest, floor) = (later, end);
        }
        fragments
    }
}

/// The `highlight` object of one hit; empty if nothing is found in the wanted fields.
pub(crate) fn highlight(
    spec: &Value,
    query: &Query,
    index: &Index,
    source: &Value,
) -> Result<Map<String, Value>, Problem> {
    let mut found = Vec::new();
    wanted(query, &mut found);
    let groups = spec["fields"]
        .as_array()
        .map_or_else(|| std::slice::from_ref(&spec["fields"]), Vec::as_slice);
    let mut highlights = Map::new();
    for (pattern, options) in groups.iter().filter_map(Value::as_object).flatten() {
        schema::check("highlight_style", options)?;
        let (before, after) = ("<em>".to_owned(), "</em>".to_owned());
        let style = Style {
            before,
            after,
            size: 100,
            count: 5,
            escape: false,
            every_field: false,
        };
        let style = style.with(spec).with(options);
        for (name, field) in index.mapping.fields() {
            if field.kind != Kind::Text || !glob(pattern, name) {
                continue;
            }
            let mut fragments = Vec::new();
            let fits = |path: &str| style.every_field || path == field.path;
            let is_hit = |word: &str| {
                found
                    .iter()
                    .any(|(path, pattern)| fits(path) && glob(pattern, word))
            };
            values_at(source, &field.path, &mut |value| {
                let text = key_of(Kind::Text, value).unwrap_or_default();
                let hits = words(&text)
                    .filter(|word| is_hit(&word.text))
                    .map(|word| word.place);
                let hits: Vec<Range<usize>> = hits.collect();
                if !hits.is_empty() && (style.count == 0 || fragments.len() < style.count) {
                    fragments.extend(style.fragments(&text, &hits));
                }
                false
            });
            if !fragments.is_empty() {
                highlights.insert(name.to_owned(), json!(fragments));
            }
        }
    }
    Ok(highlights)
}
