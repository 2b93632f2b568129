//! The query language: from JSON to a query of the full-text library.

use std::ops::Bound;
use std::slice;

use serde_json::{Value, json};
use tantivy::query::{AllQuery, BooleanQuery, BoostQuery, ConstScoreQuery, DisjunctionMaxQuery};
use tantivy::query::{EmptyQuery, Occur, PhraseQuery, Query, RangeQuery, TermQuery, TermSetQuery};
use tantivy::schema::{Field as TextField, IndexRecordOption};

use crate::errors::{ILLEGAL, PARSING, Result, SHARD, refuse};
use crate::mapping::{Field, Kind, number_of};
use crate::schema;
use crate::search::text::{distinct, words};
use crate::search::words::{EXACT, WORDS, id_term, presence, term};
use crate::select::{glob, many, plain_text};
use crate::storage::Index;

/// Most values that one `terms` query may have, as in Elasticsearch.
const TERMS_LIMIT: usize = 65_536;
/// Follows every character that may stand in a text.
const LAST: char = '\u{10ffff}';

pub(crate) type Found = Box<dyn Query>;
type Clauses = Vec<(Occur, Found)>;

/// What a highlight marks: words of a field that fit a pattern.
pub(crate) struct Mark {
    pub(crate) path: String,
    pub(crate) pattern: String,
}

/// Reads the queries on one index.
struct Reading<'i> {
    index: &'i Index,
    marks: Vec<Mark>,
}

/// Reads a whole query; besides, what a highlight marks.
pub(crate) fn read(query: &Value, index: &Index) -> Result<(Found, Vec<Mark>)> {
    let marks = Vec::new();
    let mut reading = Reading { index, marks };
    let found = reading.query(query)?;
    Ok((found, reading.marks))
}

fn nothing() -> Found {
    Box::new(EmptyQuery)
}

/// The same documents, all with this score.
fn constant(query: impl Query, score: f32) -> Found {
    Box::new(ConstScoreQuery::new(Box::new(query), score))
}

/// At least `required` of the clauses that are free must match.
fn boolean(mut clauses: Clauses, required: usize) -> Found {
    let count = |wanted| clauses.iter().filter(|clause| clause.0 == wanted).count();
    if required > count(Occur::Should) {
        return nothing();
    }
    if required == 0 && count(Occur::Must) == 0 {
        clauses.push((Occur::Must, constant(AllQuery, 0.0)));
    }
    let query = BooleanQuery::with_minimum_required_clauses(clauses, required);
    Box::new(query)
}

/// The only entry of an object.
fn only_entry<'v>(value: &'v Value, name: &str) -> Result<(&'v str, &'v Value)> {
    let mut entries = value.as_object().into_iter().flatten();
    match (entries.next(), entries.next()) {
        (Some((name, value)), None) => Ok((name, value)),
        _ => refuse!(
            PARSING,
            "[{name}] malformed, an object with one entry is expected"
        ),
    }
}

/// `minimum_should_match`: a number or a percentage, negative for what may be missing.
fn minimum(options: &Value, count: usize, default: usize) -> Result<usize> {
    let Some(given) = options.get("minimum_should_match").map(plain_text) else {
        return Ok(default);
    };
    let number = given.trim_end_matches('%').trim().parse::<i32>();
    let (Ok(number), total) = (number.map(i64::from), count as i64) else {
        refuse!(ILLEGAL, "[minimum_should_match] cannot be [{given}]")
    };
    let is_percentage = given.ends_with('%');
    let wanted = if is_percentage {
        total * number / 100
    } else {
        number
    };
    let wanted = if number < 0 { total + wanted } else { wanted };
    Ok(usize::try_from(wanted).unwrap_or(0))
}

impl Reading<'_> {
    /// Reads one query object, `{"term": {…}}`.
    fn query(&mut self, query: &Value) -> Result<Found> {
        let (name, body) = only_entry(query, "query")?;
        // Queries on one field: `{"field": value}` or `{"field": {options}}`.
        let key = match name {
            "match" | "match_phrase" => "query",
            "term" | "prefix" => "value",
            _ => "",
        };
        let (mut field, mut options) = ("", body.clone());
        if !key.is_empty() || name == "range" {
            let (name, inner) = only_entry(body, name)?;
            let is_short = !inner.is_object() && !key.is_empty();
            options = if is_short {
                json!({key: inner})
            } else {
                inner.clone()
            };
            field = name;
        }
        schema::check(&format!("query.{name}"), &options)?;
        let found = match name {
            "match_all" => Box::new(AllQuery),
            "match" => self.words(field, &options["query"], &options)?,
            "match_phrase" => self.phrase(field, &plain_text(&options["query"]))?,
            "multi_match" => self.multi_match(&options)?,
            "term" => self.exact(field, slice::from_ref(&options["value"]))?,
            "terms" => self.terms(&options)?,
            "range" => self.range(field, &options)?,
            "prefix" => self.prefix(field, &plain_text(&options["value"])),
            "exists" => {
                let field = self.index.mapping.field(&plain_text(&options["field"]));
                let terms = field.map(|field| presence(&field.path));
                constant(TermSetQuery::new(terms), 1.0)
            }
            "ids" => self.exact("_id", many(&options["values"]).as_slice())?,
            "bool" => self.bool(&options)?,
            "simple_query_string" => self.simple_query_string(&options),
            _ => nothing(),
        };
        match options["boost"].as_f64() {
            None => Ok(found),
            Some(boost) if boost >= 0.0 => Ok(Box::new(BoostQuery::new(found, boost as f32))),
            Some(_) => refuse!(ILLEGAL, "[boost] must not be negative"),
        }
    }

    fn bool(&mut self, options: &Value) -> Result<Found> {
        let mut clauses = Clauses::new();
        for query in many(&options["must"]) {
            clauses.push((Occur::Must, self.query(query)?));
        }
        for query in many(&options["filter"]) {
            clauses.push((Occur::Must, constant(self.query(query)?, 0.0)));
        }
        let should = many(&options["should"]);
        let default = usize::from(clauses.is_empty() && should.len() > 0);
        let required = minimum(options, should.len(), default)?;
        for query in should {
            clauses.push((Occur::Should, self.query(query)?));
        }
        let marked = self.marks.len();
        for query in many(&options["must_not"]) {
            clauses.push((Occur::MustNot, self.query(query)?));
        }
        self.marks.truncate(marked);
        Ok(boolean(clauses, required))
    }

    fn terms(&mut self, options: &Value) -> Result<Found> {
        let mut fields = options.clone();
        fields
            .as_object_mut()
            .map(|fields| fields.shift_remove("boost"));
        let (field, values) = only_entry(&fields, "terms")?;
        match values.as_array() {
            None => refuse!(PARSING, "[terms] query requires a list of values"),
            Some(values) if values.len() > TERMS_LIMIT => {
                refuse!(
                    ILLEGAL,
                    "[terms] query has more than [{TERMS_LIMIT}] values"
                )
            }
            Some(values) => self.exact(field, values),
        }
    }

    fn mark(&mut self, path: &str, pattern: String) {
        let path = path.to_owned();
        self.marks.push(Mark { path, pattern });
    }

    /// The path of a text field.
    fn text_path(&self, name: &str) -> Option<String> {
        let field = self.index.mapping.field(name)?;
        (field.kind == Kind::Text).then_some(field.path)
    }

    fn word(&mut self, path: &str, word: String) -> Found {
        let term = term(WORDS, path, &word);
        self.mark(path, word);
        Box::new(TermQuery::new(term, IndexRecordOption::WithFreqs))
    }

    /// Words on one field; on a field that is not a text the whole value.
    fn words(&mut self, name: &str, value: &Value, options: &Value) -> Result<Found> {
        let words = distinct(&plain_text(value));
        let required = match options["operator"].as_str() {
            Some("and" | "AND") => words.len(),
            _ => minimum(options, words.len(), 1)?.max(1),
        };
        let Some(path) = self.text_path(name) else {
            return self.exact(name, slice::from_ref(value));
        };
        let mut clauses = Clauses::new();
        for word in words {
            clauses.push((Occur::Should, self.word(&path, word)));
        }
        Ok(boolean(clauses, required))
    }

    /// A phrase on one field; on a field that is not a text the whole value.
    fn phrase(&mut self, name: &str, text: &str) -> Result<Found> {
        let Some(path) = self.text_path(name) else {
            return self.exact(name, &[json!(text)]);
        };
        let mut found: Vec<Found> = Vec::new();
        let mut terms = Vec::new();
        for (word, _) in words(text) {
            terms.push(term(WORDS, &path, &word));
            found.push(self.word(&path, word));
        }
        Ok(match found.len() {
            0 | 1 => found.pop().unwrap_or_else(nothing),
            _ => Box::new(PhraseQuery::new(terms)),
        })
    }

    /// Words or whole values that begin with a text.
    fn prefix(&mut self, name: &str, text: &str) -> Found {
        let field = self.index.mapping.field(name);
        let is_text = |field: &Field| matches!(field.kind, Kind::Text | Kind::Keyword);
        let Some(field) = field.filter(is_text) else {
            return nothing();
        };
        self.mark(&field.path, format!("{text}*"));
        let high = Bound::Excluded(format!("{text}{LAST}"));
        between(&field, Bound::Included(text.to_owned()), high)
    }

    /// Field names with their boosts. A pattern stands for the text and keyword fields that it fits.
    fn fields(&self, value: &Value) -> Vec<(String, f32)> {
        let (mut found, all) = (Vec::new(), json!("*"));
        for name in many(if value.is_null() { &all } else { value }).map(plain_text) {
            let (pattern, boost) = name.split_once('^').unwrap_or((&name, "1"));
            let boost = boost.parse().ok().filter(|boost: &f32| boost.is_finite());
            let boost = boost.unwrap_or(1.0);
            if !pattern.contains('*') {
                found.push((pattern.to_owned(), boost));
                continue;
            }
            let mapping = &self.index.mapping;
            let is_searched = |name: &String| {
                let kind = mapping.field(name).map(|field| field.kind);
                matches!(kind, Some(Kind::Text | Kind::Keyword)) && glob(pattern, name)
            };
            let fits = mapping.fields.keys().filter(|name| is_searched(name));
            found.extend(fits.map(|name| (name.clone(), boost)));
        }
        found
    }

    fn multi_match(&mut self, options: &Value) -> Result<Found> {
        minimum(options, 1, 1)?;
        let mut each: Vec<Found> = Vec::new();
        for (name, boost) in self.fields(&options["fields"]) {
            // A text is no number: a field that cannot hold it does not match, which is no error here.
            if let Ok(found) = self.words(&name, &options["query"], options) {
                each.push(Box::new(BoostQuery::new(found, boost)));
            }
        }
        Ok(Box::new(DisjunctionMaxQuery::new(each)))
    }

    /// A field that has one of the values.
    fn exact(&mut self, name: &str, values: &[Value]) -> Result<Found> {
        if name == "_id" {
            let ids = values.iter().map(|value| id_term(&plain_text(value)));
            return Ok(constant(TermSetQuery::new(ids), 1.0));
        }
        let field = self.index.mapping.field(name);
        let Some(field) = field.filter(|field| field.kind != Kind::Object) else {
            return Ok(nothing());
        };
        let (mut terms, mut words) = (Vec::new(), Vec::new());
        for value in values {
            let Some(key) = field.key(value) else {
                refuse!(SHARD, "{value} does not fit the type of field [{name}]")
            };
            match field.exact_key(value) {
                _ if field.kind == Kind::Text => words.push(self.word(&field.path, key)),
                exact => terms.extend(exact.map(|key| term(EXACT, &field.path, &key))),
            }
        }
        match field.kind {
            Kind::Text => Ok(Box::new(DisjunctionMaxQuery::new(words))),
            _ => Ok(constant(TermSetQuery::new(terms), 1.0)),
        }
    }

    fn range(&mut self, name: &str, options: &Value) -> Result<Found> {
        let field = self.index.mapping.field(name);
        let Some(field) = field.filter(|field| field.kind != Kind::Object) else {
            return Ok(nothing());
        };
        let mut low = Bound::Included(String::new());
        let mut high = Bound::Excluded(LAST.to_string());
        for edge in ["gt", "gte", "lt", "lte"] {
            let value = &options[edge];
            if value.is_null() {
                continue;
            }
            let (is_low, mut is_included) = (edge.starts_with('g'), edge.ends_with('e'));
            let broken = number_of(value).filter(|number| number.fract() != 0.0);
            let mut key = field.key(value);
            // Between two whole numbers the one below decides.
            if let (Kind::Integer, Some(number)) = (field.kind, broken) {
                (key, is_included) = (field.key(&json!(number.floor())), !is_low);
            }
            let Some(key) = key else {
                refuse!(SHARD, "{value} does not fit a range of field [{name}]")
            };
            let bound = if is_included {
                Bound::Included(key)
            } else {
                Bound::Excluded(key)
            };
            *(if is_low { &mut low } else { &mut high }) = bound;
        }
        Ok(between(&field, low, high))
    }
}

/// The words or values of a field between two edges.
fn between(field: &Field, low: Bound<String>, high: Bound<String>) -> Found {
    let terms: TextField = if field.kind == Kind::Text {
        WORDS
    } else {
        EXACT
    };
    let edge = |bound: Bound<String>| bound.map(|text| term(terms, &field.path, &text));
    constant(RangeQuery::new(edge(low), edge(high)), 1.0)
}

/// The next word with its sign, or phrase without its quotation marks, and what comes after it.
fn next_word(text: &str) -> Option<(char, &str, bool, &str)> {
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
    /// The little language of `simple_query_string`: words, "phrases", prefix*, + and - before them, | between them.
    /// No text is an error; parentheses are gaps.
    fn simple_query_string(&mut self, options: &Value) -> Found {
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
        while let Some((sign, word, is_phrase, after)) = next_word(rest) {
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
