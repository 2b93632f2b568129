//! The places in a text where a query was found.

use std::ops::Range;

use serde_json::{Value, json};

use crate::errors::Result;
use crate::mapping::Kind;
use crate::schema;
use crate::search::text::words;
use crate::search::words::walk;
use crate::select::{glob, many, plain_text};
use crate::storage::Index;

/// How hits are marked.
struct Style {
    tags: [String; 2],
    escapes: bool,
    /// Length of a piece in bytes.
    size: usize,
    /// Most pieces of a field; zero: the whole text.
    count: usize,
}

impl Style {
    fn of(spec: &Value, options: &Value) -> Style {
        let option = |key: &str| options.get(key).or(spec.get(key));
        let tag = |key: &str, default: &str| match option(key).and_then(|tag| many(tag).next()) {
            Some(tag) => plain_text(tag),
            None => default.to_owned(),
        };
        let number = |key: &str, default: u64| {
            option(key).and_then(Value::as_u64).unwrap_or(default) as usize
        };
        Style {
            tags: [tag("pre_tags", "<em>"), tag("post_tags", "</em>")],
            escapes: option("encoder").is_some_and(|encoder| encoder == "html"),
            size: number("fragment_size", 100).max(18),
            count: number("number_of_fragments", 5),
        }
    }

    fn plain(&self, text: &str) -> String {
        match self.escapes {
            true => htmlescape::encode_minimal(text),
            false => text.to_owned(),
        }
    }

    /// A part of the text with the hits in it marked.
    fn mark(&self, text: &str, part: Range<usize>, hits: &[Range<usize>]) -> String {
        let (mut marked, mut at, [before, after]) = (String::new(), part.start, &self.tags);
        for hit in hits {
            marked += &self.plain(&text[at..hit.start]);
            marked += &format!("{before}{}{after}", self.plain(&text[hit.clone()]));
            at = hit.end;
        }
        marked + &self.plain(&text[at..part.end])
    }

    /// Pieces of the text around the hits.
    fn pieces(&self, text: &str, mut hits: &[Range<usize>]) -> Vec<String> {
        if self.count == 0 {
            return vec![self.mark(text, 0..text.len(), hits)];
        }
        let (mut pieces, mut floor) = (Vec::new(), 0);
        while let Some(first) = hits.first() {
            let start = text.floor_char_boundary(first.start.saturating_sub(self.size / 3));
            // Begin between two words where there is a gap near by.
            let gap = text[start..first.start].find(' ').filter(|_| start > floor);
            let start = gap.map_or(start, |gap| start + gap + 1).max(floor);
            let end = text.ceil_char_boundary((start + self.size).max(first.end));
            let (now, later) = hits.split_at(hits.partition_point(|hit| hit.end <= end));
            let end = later.first().map_or(end, |next| end.min(next.start));
            pieces.push(self.mark(text, start..end, now).trim().to_owned());
            (hits, floor) = (later, end);
        }
        pieces
    }
}

/// The `highlight` object of one hit; empty if nothing is found in the wanted fields. `marks` are paths of fields and
/// patterns for words.
pub(crate) fn highlight(
    spec: &Value,
    marks: &[(String, String)],
    index: &Index,
    source: &Value,
) -> Result<Value> {
    let mut highlights = json!({});
    let groups = many(&spec["fields"]).filter_map(Value::as_object).flatten();
    for (pattern, options) in groups {
        schema::check("highlight_style", options)?;
        let style = Style::of(spec, options);
        let fields = index.mapping.fields.iter();
        for (name, field) in
            fields.filter(|(name, field)| field.kind == Kind::Text && glob(pattern, name))
        {
            let mut pieces = Vec::new();
            walk(source, "", &mut |path, value| {
                if path != field.path {
                    return;
                }
                let text = plain_text(value);
                let is_hit = |(path, pattern): &(String, String), word: &str| {
                    *path == field.path && glob(pattern, word)
                };
                let hits =
                    words(&text).filter(|(word, _)| marks.iter().any(|mark| is_hit(mark, word)));
                let hits: Vec<Range<usize>> = hits.map(|(_, place)| place).collect();
                if !hits.is_empty() {
                    pieces.extend(style.pieces(&text, &hits));
                }
            });
            if style.count > 0 {
                pieces.truncate(style.count);
            }
            if !pieces.is_empty() {
                highlights[name] = json!(pieces);
            }
        }
    }
    Ok(highlights)
}
