//! The query language: from JSON to a query of the full-text library.

use std::ops::Bound;
use std::slice;
use std::sync::LazyLock;

use regex::Regex;
use serde_json::{Value, json};
use tantivy::Term;
use tantivy::query::{AllQuery, BooleanQuery, BoostQuery, ConstScoreQuery, DisjunctionMaxQuery};
use tantivy::query::{EmptyQuery, Occur, PhraseQuery, Query, RangeQuery, TermQuery, TermSetQuery};
use tantivy::schema::IndexRecordOption;

use crate::errors::{Result, refuse, unsupported};
use crate::mapping::{Kind, Mapping, number_of};
use crate::schema::check;
use crate::search::words::{EXACT, WORDS, term, words};
use crate::select::{many, plain_text};

/// Follows every character that may stand in a text.
const LAST: char = '\u{10ffff}';

pub(crate) type Found = Box<dyn Query>;
type Clauses = Vec<(Occur, Found)>;

/// Reads the queries on one index.
pub(crate) struct Reading<'m>(pub(crate) &'m Mapping);

fn nothing() -> Found {
    Box::new(EmptyQuery)
}

/// The same documents, all with this score.
fn constant(query: impl Query, score: f32) -> Found {
    Box::new(ConstScoreQuery::new(Box::new(query), score))
}

/// Of the clauses that are free at least `required` must match; one, if nothing is said and none else must.
fn boolean(mut clauses: Clauses, required: Option<u64>) -> Found {
    let count = |wanted| clauses.iter().filter(|clause| clause.0 == wanted).count();
    let (must, should) = (count(Occur::Must), count(Occur::Should));
    let required = required.map_or(should.min(1).saturating_sub(must), |least| least as usize);
    if required > should {
        return nothing();
    }
    if required + must == 0 {
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
        _ => refuse!("[{name}] malformed, an object with one entry is expected"),
    }
}

/// The keys of a query that are known.
fn keys_of(name: &str) -> Result<&'static str> {
    Ok(match name {
        "match_all" => "",
        "match" => "query!:text|number|bool operator:=and,or minimum_should_match:int",
        "multi_match" => "query!:text|number fields:text|list operator:=and,or type:=best_fields",
        "term" => "value!:text|number|bool",
        "terms" => "values!:list",
        "range" => "gte:any gt:any lte:any lt:any",
        "prefix" => "value!:text",
        "exists" => "field!:text",
        "ids" => "values!:text|list",
        "bool" => "must:any filter:any should:any must_not:any minimum_should_match:int",
        "simple_query_string" => "query!:text fields:text|list default_operator:=and,or,AND,OR",
        _ => unsupported!("the query [{name}]"),
    })
}

impl Reading<'_> {
    /// Reads one query object, `{"term": {…}}`.
    pub(crate) fn query(&self, query: &Value) -> Result<Found> {
        let (name, body) = only_entry(query, "query")?;
        let (keys, mut field, mut options) = (keys_of(name)?, "", body.clone());
        if matches!(name, "match" | "term" | "terms" | "prefix" | "range") {
            let (name, inner) = only_entry(body, name)?;
            // `{"field": value}` is short for `{"field": {"value": value}}`.
            (field, options) = match keys.split_once('!') {
                Some((key, _)) if !inner.is_object() => (name, json!({key: inner})),
                _ => (name, inner.clone()),
            };
        }
        check(name, &options, &format!("{keys} boost:number"))?;
        let found = match name {
            "match" => self.words(field, &options["query"], &options)?,
            "multi_match" => {
                let fields = self.fields(&options["fields"])?;
                self.in_any(&fields, &options["query"], &options)
            }
            "term" => self.exact(field, slice::from_ref(&options["value"]))?,
            "terms" => self.exact(field, many(&options["values"]).as_slice())?,
            "ids" => self.exact("_id", many(&options["values"]).as_slice())?,
            "range" => self.range(field, &options)?,
            "prefix" => self.prefix(field, &plain_text(&options["value"])),
            "exists" => self.range(&plain_text(&options["field"]), &json!({}))?,
            "bool" => self.bool(&options)?,
            "simple_query_string" => self.simple_query_string(&options)?,
            _ => Box::new(AllQuery),
        };
        match options["boost"].as_f64() {
            None => Ok(found),
            Some(boost) if boost >= 0.0 => Ok(Box::new(BoostQuery::new(found, boost as f32))),
            Some(_) => refuse!("[boost] must not be negative"),
        }
    }

    fn bool(&self, options: &Value) -> Result<Found> {
        let mut clauses = Clauses::new();
        for key in ["must", "filter", "should", "must_not"] {
            for query in many(&options[key]) {
                let found = self.query(query)?;
                clauses.push(match key {
                    "must" => (Occur::Must, found),
                    "filter" => (Occur::Must, constant(found, 0.0)),
                    "should" => (Occur::Should, found),
                    _ => (Occur::MustNot, found),
                });
            }
        }
        Ok(boolean(clauses, options["minimum_should_match"].as_u64()))
    }

    /// Words on one field, `or`, `and` or as a `phrase`; on a field that is not a text the whole value.
    fn words(&self, name: &str, value: &Value, options: &Value) -> Result<Found> {
        let Some((Kind::Text, path)) = self.0.field(name) else {
            return self.exact(name, slice::from_ref(value));
        };
        let text = plain_text(value);
        let terms = words(&text).map(|(word, _)| term(WORDS, path, &word));
        let terms: Vec<Term> = terms.collect();
        let required = match options["operator"].as_str() {
            Some("phrase") if terms.len() > 1 => {
                // A phrase that is used up breaks an exclusion (tantivy 0.27); a union with itself does not.
                let phrase = || -> Found { Box::new(PhraseQuery::new(terms.clone())) };
                return Ok(Box::new(DisjunctionMaxQuery::new(vec![phrase(), phrase()])));
            }
            Some("and") => terms.len() as u64,
            _ => options["minimum_should_match"].as_u64().unwrap_or(1),
        };
        let clauses = terms
            .into_iter()
            .map(|term| (Occur::Should, word_query(term)));
        Ok(boolean(clauses.collect(), Some(required.max(1))))
    }

    /// The best of some fields decides. A text is no number: a field that cannot hold it does not match.
    fn in_any(&self, fields: &[String], value: &Value, options: &Value) -> Found {
        let one = |name: &String| self.words(name, value, options).ok();
        let found = fields.iter().filter_map(one).collect();
        Box::new(DisjunctionMaxQuery::new(found))
    }

    /// Words or whole values that begin with a text.
    fn prefix(&self, name: &str, text: &str) -> Found {
        match self.0.field(name) {
            Some((kind @ (Kind::Text | Kind::Keyword), path)) => {
                let high = Bound::Excluded(format!("{text}{LAST}"));
                between(kind, path, Bound::Included(text.to_owned()), high)
            }
            _ => nothing(),
        }
    }

    /// The fields that are named, or all texts and keywords.
    fn fields(&self, names: &Value) -> Result<Vec<String>> {
        let names: Vec<String> = many(names).map(plain_text).collect();
        match names.iter().find(|name| name.contains(['*', '^'])) {
            Some(name) => unsupported!("a pattern or boost in the field [{name}]"),
            None if names.is_empty() => Ok(self.0.text_fields().cloned().collect()),
            None => Ok(names),
        }
    }

    /// A field that has one of the values.
    fn exact(&self, name: &str, values: &[Value]) -> Result<Found> {
        let Some((kind, path)) = self.0.field(name) else {
            return Ok(nothing());
        };
        let (mut terms, mut words) = (Vec::new(), Vec::new());
        for value in values {
            match kind.key(value) {
                Some(word) if kind == Kind::Text => {
                    words.push(word_query(term(WORDS, path, &word)))
                }
                Some(key) => terms.push(term(EXACT, path, &key)),
                None => refuse!("{value} does not fit the type of field [{name}]"),
            }
        }
        Ok(match kind {
            Kind::Text => Box::new(DisjunctionMaxQuery::new(words)),
            _ => constant(TermSetQuery::new(terms), 1.0),
        })
    }

    fn range(&self, name: &str, options: &Value) -> Result<Found> {
        let (kind, path) = match self.0.field(name) {
            Some((Kind::Object, _)) => unsupported!("[range] or [exists] on the object [{name}]"),
            Some(field) => field,
            None => return Ok(nothing()),
        };
        let mut low = Bound::Included(String::new());
        let mut high = Bound::Excluded(LAST.to_string());
        for edge in ["gt", "gte", "lt", "lte"] {
            let value = &options[edge];
            if value.is_null() {
                continue;
            }
            let is_broken = number_of(value).is_some_and(|number| number.fract() != 0.0);
            let key = kind
                .key(value)
                .filter(|_| kind != Kind::Integer || !is_broken);
            let Some(key) = key else {
                refuse!("{value} does not fit a range of field [{name}]")
            };
            let bound = if edge.ends_with('e') {
                Bound::Included
            } else {
                Bound::Excluded
            };
            *(if edge.starts_with('g') {
                &mut low
            } else {
                &mut high
            }) = bound(key);
        }
        Ok(between(kind, path, low, high))
    }
}

fn word_query(term: Term) -> Found {
    Box::new(TermQuery::new(term, IndexRecordOption::WithFreqs))
}

/// The words or values of a path between two edges.
fn between(kind: Kind, path: &str, low: Bound<String>, high: Bound<String>) -> Found {
    let field = if kind == Kind::Text { WORDS } else { EXACT };
    let edge = |bound: Bound<String>| bound.map(|text| term(field, path, &text));
    constant(RangeQuery::new(edge(low), edge(high)), 1.0)
}

/// A word or a phrase of `simple_query_string` with its sign; parentheses are gaps.
static PIECE: LazyLock<Option<Regex>> = LazyLock::new(|| {
    let piece = r#"(?<sign>[-+]|\|\s*)?(?:"(?<phrase>[^"]*)"?|(?<word>[^\s"()|]+))"#;
    Regex::new(piece).ok()
});

impl Reading<'_> {
    /// The little language of `simple_query_string`: words, "phrases", + and - before them, | between them.
    /// No text is an error.
    fn simple_query_string(&self, options: &Value) -> Result<Found> {
        let (text, fields) = (
            plain_text(&options["query"]),
            self.fields(&options["fields"])?,
        );
        let wants_all = plain_text(&options["default_operator"]).eq_ignore_ascii_case("and");
        let mut clauses = Clauses::new();
        for piece in PIECE.iter().flat_map(|piece| piece.captures_iter(&text)) {
            let part = |name: &str| piece.name(name).map(|part| part.as_str());
            let occur = match part("sign").map(str::trim) {
                Some("+") => Occur::Must,
                Some("-") => Occur::MustNot,
                Some(_) => {
                    // The clauses on both sides are free.
                    if let Some((occur @ Occur::Must, _)) = clauses.last_mut() {
                        *occur = Occur::Should;
                    }
                    Occur::Should
                }
                None if wants_all => Occur::Must,
                None => Occur::Should,
            };
            let (word, phrase) = (part("word").unwrap_or_default(), part("phrase"));
            let has_words = words(phrase.unwrap_or(word)).next().is_some();
            if word == "*" {
                clauses.push((occur, Box::new(AllQuery)));
            } else if has_words {
                let text = json!(phrase.unwrap_or(word));
                clauses.push((
                    occur,
                    self.in_any(&fields, &text, &json!({"operator": "phrase"})),
                ));
            }
        }
        Ok(match clauses.is_empty() {
            true => nothing(),
            false => boolean(clauses, None),
        })
    }
}
