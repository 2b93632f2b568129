//! The little language of `simple_query_string`: words, "phrases", prefix*, + and - before them, | between them.
//! No text is an error; parentheses are gaps.

use serde_json::Value;
use tantivy::query::{AllQuery, BoostQuery, DisjunctionMaxQuery, Occur};

use crate::search::query::{Clauses, Found, Reading, boolean, nothing};
use crate::search::text::distinct;
use crate::select::plain_text;

/// The next word with its sign, or phrase without its quotation marks, and what comes after it.
fn next(text: &str) -> Option<(char, &str, bool, &str)> {
    let is_gap = |letter: char| letter.is_whitespace() || matches!(letter, '(' | ')');
    let text = text.trim_start_matches(is_gap);
    let sign = text.chars().next()?;
    if sign == '|' {
        return Some((sign, "", false, &text[1..]));
    }
    let unsigned = text.trim_start_matches(['+', '-']);
    if let Some(quoted) = unsigned.strip_prefix('"') {
        let (phrase, after) = quoted.split_once('"').unwrap_or((quoted, ""));
        return Some((sign, phrase, true, after));
    }
    let end = unsigned.find(|letter| is_gap(letter) || matches!(letter, '|' | '"'));
    let (word, after) = unsigned.split_at(end.unwrap_or(unsigned.len()));
    Some((sign, word, false, after))
}

impl Reading<'_> {
    pub(crate) fn simple_query_string(&mut self, options: &Value) -> Found {
        let (text, fields) = (
            plain_text(&options["query"]),
            self.fields(&options["fields"]),
        );
        let wants_all = plain_text(&options["default_operator"]).eq_ignore_ascii_case("and");
        let default = if wants_all {
            Occur::Must
        } else {
            Occur::Should
        };
        let (mut clauses, mut rest, mut joined) = (Clauses::new(), text.as_str(), default);
        while let Some((sign, word, is_phrase, after)) = next(rest) {
            rest = after;
            if sign == '|' {
                // The clauses on both sides are free.
                if let Some((occur @ Occur::Must, _)) = clauses.last_mut() {
                    *occur = Occur::Should;
                }
                joined = Occur::Should;
                continue;
            }
            let occur = match sign {
                '+' => Occur::Must,
                '-' => Occur::MustNot,
                _ => joined,
            };
            let marked = self.marks.len();
            let clause = self.clause(&fields, word, is_phrase);
            if occur == Occur::MustNot {
                self.marks.truncate(marked);
            }
            clauses.extend(clause.map(|clause| (occur, clause)));
            joined = default;
        }
        let has = |wanted: Occur| clauses.iter().any(|(occur, _)| *occur == wanted);
        let required = usize::from(!has(Occur::Must) && has(Occur::Should));
        match clauses.is_empty() {
            true => nothing(),
            false => boolean(clauses, required),
        }
    }

    /// One word or phrase in any of the fields; `None` if nothing of it is a word.
    fn clause(&mut self, fields: &[(String, f32)], text: &str, is_phrase: bool) -> Option<Found> {
        let words = distinct(text);
        if text == "*" && !is_phrase {
            return Some(Box::new(AllQuery));
        }
        let mut found: Vec<Found> = Vec::new();
        for (name, boost) in fields.iter().filter(|_| !words.is_empty()) {
            let query = match text.strip_suffix('*') {
                Some(start) if !is_phrase && words.len() < 2 => {
                    self.prefix(name, &start.to_lowercase())
                }
                _ => self.phrase(name, text).unwrap_or_else(|_| nothing()),
            };
            found.push(Box::new(BoostQuery::new(query, *boost)));
        }
        let is_empty = found.is_empty();
        (!is_empty).then(|| Box::new(DisjunctionMaxQuery::new(found)) as Found)
    }
}
