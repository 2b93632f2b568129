//! The query language: from JSON to a query of the full-text library.

use std::ops::Bound;

use serde_json::{Value, json};
use tantivy::Term;
use tantivy::query::{AllQuery, BooleanQuery, BoostQuery, ConstScoreQuery, DisjunctionMaxQuery};
use tantivy::query::{EmptyQuery, Occur, PhraseQuery, Query, RangeQuery, TermQuery, TermSetQuery};
use tantivy::schema::{Field as TextField, IndexRecordOption};

use crate::errors::{Problem, Result, refuse};
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
pub(crate) type Clauses = Vec<(Occur, Found)>;

/// Reads the queries on one index.
pub(crate) struct Reading<'i> {
    pub(crate) index: &'i Index,
    /// What a highlight marks: the path of a field, and a pattern for the word.
    pub(crate) marks: Vec<(String, String)>,
}

/// Reads a whole query; besides, what a highlight marks.
pub(crate) fn read(query: &Value, index: &Index) -> Result<(Found, Vec<(String, String)>)> {
    let marks = Vec::new();
    let mut reading = Reading { index, marks };
    let found = reading.query(query)?;
    Ok((found, reading.marks))
}

pub(crate) fn nothing() -> Found {
    Box::new(EmptyQuery)
}

/// The same documents, all with this score.
fn constant(query: impl Query, score: f32) -> Found {
    Box::new(ConstScoreQuery::new(Box::new(query), score))
}

pub(crate) fn boolean(mut clauses: Clauses, required: usize) -> Found {
    let should = clauses
        .iter()
        .filter(|(occur, _)| *occur == Occur::Should)
        .count();
    if required > should {
        return nothing();
    }
    if required == 0 && !clauses.iter().any(|(occur, _)| *occur == Occur::Must) {
        clauses.push((Occur::Must, constant(AllQuery, 0.0)));
    }
    Box::new(BooleanQuery::with_minimum_required_clauses(
        clauses, required,
    ))
}

/// Any of them; the best one gives the score.
pub(crate) fn best(queries: Vec<Found>) -> Found {
    Box::new(DisjunctionMaxQuery::new(queries))
}

/// The only entry of an object.
fn only_entry<'v>(value: &'v Value, name: &str) -> Result<(&'v str, &'v Value)> {
    let mut entries = value.as_object().into_iter().flatten();
    match (entries.next(), entries.next()) {
        (Some((name, value)), None) => Ok((name, value)),
        _ => refuse!(
            "parsing_exception",
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
        refuse!(
            "illegal_argument_exception",
            "[minimum_should_match] cannot be [{given}]"
        )
    };
    let wanted = if given.ends_with('%') {
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
        if schema::lists("unsupported_queries", name) {
            return Err(Problem::unsupported(format!("the query [{name}]")));
        }
        if !schema::knows(&format!("query.{name}")) {
            refuse!("parsing_exception", "unknown query [{name}]");
        }
        // Queries on one field: `{"field": value}` or `{"field": {options}}`.
        let (mut field, mut options) = ("", body.clone());
        let key = match name {
            "match" | "match_phrase" => "query",
            "term" | "prefix" => "value",
            _ => "",
        };
        if !key.is_empty() || name == "range" {
            (field, options) = only_entry(body, name).map(|(name, inner)| (name, inner.clone()))?;
            if !options.is_object() && !key.is_empty() {
                options = json!({key: options});
            }
        }
        schema::check(&format!("query.{name}"), &options)?;
        let found = match name {
            "match_all" => Box::new(AllQuery),
            "match" => self.words(field, &options["query"], &options)?,
            "match_phrase" => self.phrase(field, &plain_text(&options["query"])),
            "multi_match" => self.multi_match(&options)?,
            "term" => self.exact(field, &[options["value"].clone()])?,
            "terms" => self.terms(&mut options)?,
            "range" => self.range(field, &options)?,
            "prefix" => self.prefix(field, &plain_text(&options["value"])),
            "exists" => match self.index.mapping.field(&plain_text(&options["field"])) {
                Some(field) => constant(TermSetQuery::new([presence(&field.path)]), 1.0),
                None => nothing(),
            },
            "ids" => self.exact("_id", many(&options["values"]).as_slice())?,
            "bool" => self.bool(&options)?,
            "simple_query_string" => self.simple_query_string(&options),
            _ => nothing(),
        };
        match options["boost"].as_f64() {
            None => Ok(found),
            Some(boost) if boost >= 0.0 => Ok(Box::new(BoostQuery::new(found, boost as f32))),
            Some(_) => refuse!("illegal_argument_exception", "[boost] must not be negative"),
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

    fn terms(&mut self, options: &mut Value) -> Result<Found> {
        if let Value::Object(options) = options {
            options.shift_remove("_name");
        }
        let mut fields = options.clone();
        fields
            .as_object_mut()
            .map(|fields| fields.shift_remove("boost"));
        let (field, values) = only_entry(&fields, "terms")?;
        match values.as_array() {
            None => refuse!(
                "parsing_exception",
                "[terms] query requires a list of values"
            ),
            Some(values) if values.len() > TERMS_LIMIT => refuse!(
                "illegal_argument_exception",
                "[terms] query has more than the allowed maximum of [{TERMS_LIMIT}] values"
            ),
            Some(values) => self.exact(field, values),
        }
    }

    /// The path of a text field.
    pub(crate) fn text_path(&self, name: &str) -> Option<String> {
        let field = self.index.mapping.field(name)?;
        (field.kind == Kind::Text).then_some(field.path)
    }

    fn word(&mut self, path: &str, word: String) -> Found {
        let term = term(WORDS, path, &word);
        self.marks.push((path.to_owned(), word));
        Box::new(TermQuery::new(term, IndexRecordOption::WithFreqs))
    }

    /// Words on one field; on a field that is not a text the whole value.
    fn words(&mut self, name: &str, value: &Value, options: &Value) -> Result<Found> {
        let words = distinct(&plain_text(value));
        let required = match plain_text(&options["operator"]).to_lowercase().as_str() {
            "and" => words.len(),
            _ => minimum(options, words.len(), 1)?.max(1),
        };
        let Some(path) = self.text_path(name) else {
            return self.exact(name, std::slice::from_ref(value));
        };
        let words = words
            .into_iter()
            .map(|word| (Occur::Should, self.word(&path, word)));
        Ok(boolean(words.collect(), required))
    }

    /// A phrase on one field; on a field that is not a text the whole value.
    pub(crate) fn phrase(&mut self, name: &str, text: &str) -> Found {
        let Some(path) = self.text_path(name) else {
            return self
                .exact(name, &[json!(text)])
                .unwrap_or_else(|_| nothing());
        };
        let mut words: Vec<String> = words(text).map(|(word, _)| word).collect();
        if words.len() < 2 {
            return words
                .pop()
                .map_or_else(nothing, |word| self.word(&path, word));
        }
        let terms = words.iter().map(|word| term(WORDS, &path, word)).collect();
        self.marks
            .extend(words.into_iter().map(|word| (path.clone(), word)));
        Box::new(PhraseQuery::new(terms))
    }

    /// Words or whole values that begin with a text.
    pub(crate) fn prefix(&mut self, name: &str, text: &str) -> Found {
        let Some(field) = self.index.mapping.field(name) else {
            return nothing();
        };
        let terms = match field.kind {
            Kind::Text => WORDS,
            Kind::Keyword => EXACT,
            _ => return nothing(),
        };
        if field.kind == Kind::Text {
            self.marks.push((field.path.clone(), format!("{text}*")));
        }
        let (low, high) = (text.to_owned(), format!("{text}{LAST}"));
        between(terms, &field, Bound::Included(low), Bound::Excluded(high))
    }

    /// Field names with their boosts. A pattern stands for the text and keyword fields that it fits.
    pub(crate) fn fields(&self, value: Option<&Value>) -> Vec<(String, f32)> {
        let mut found = Vec::new();
        for name in many(value.unwrap_or(&json!("*"))).map(plain_text) {
            let (pattern, boost) = name.split_once('^').unwrap_or((&name, "1"));
            let boost = boost.parse().ok().filter(|boost: &f32| boost.is_finite());
            let boost = boost.unwrap_or(1.0);
            if !pattern.contains('*') {
                found.push((pattern.to_owned(), boost));
                continue;
            }
            let all = self.index.mapping.fields.iter();
            let fits = all.filter(|(name, field)| {
                let is_searched = matches!(field.kind, Kind::Text | Kind::Keyword);
                is_searched && field.path == **name && glob(pattern, name)
            });
            found.extend(fits.map(|(name, _)| (name.clone(), boost)));
        }
        found
    }

    fn multi_match(&mut self, options: &Value) -> Result<Found> {
        minimum(options, 1, 1)?;
        let fields = self.fields(options.get("fields")).into_iter();
        let each = fields.map(|(name, boost)| {
            // A text is no number: a field that cannot hold it does not match, which is no error here.
            let found = self
                .words(&name, &options["query"], options)
                .unwrap_or_else(|_| nothing());
            Box::new(BoostQuery::new(found, boost)) as Found
        });
        Ok(best(each.collect()))
    }

    /// A field that has one of the values.
    pub(crate) fn exact(&mut self, name: &str, values: &[Value]) -> Result<Found> {
        if name == "_id" {
            let ids = values.iter().map(|value| id_term(&plain_text(value)));
            return Ok(constant(TermSetQuery::new(ids), 1.0));
        }
        if name == "_index" {
            let mut names = values.iter().map(plain_text);
            let index = self.index;
            let fits = names.any(|name| name == index.name || index.aliases.contains_key(&name));
            return Ok(if fits { Box::new(AllQuery) } else { nothing() });
        }
        let Some(field) = self.index.mapping.field(name) else {
            return Ok(nothing());
        };
        if matches!(field.kind, Kind::Object | Kind::Opaque) {
            return Ok(nothing());
        }
        let mut terms: Vec<Term> = Vec::new();
        for value in values {
            let Some(key) = field.key(value) else {
                refuse!(
                    "query_shard_exception",
                    "failed to create query: {value} does not fit the type of field [{name}]"
                )
            };
            if field.kind == Kind::Text {
                terms.push(term(WORDS, &field.path, &key));
                self.marks.push((field.path.clone(), key));
            } else {
                terms.extend(
                    field
                        .exact_key(value)
                        .map(|key| term(EXACT, &field.path, &key)),
                );
            }
        }
        Ok(match terms.as_slice() {
            [word] if field.kind == Kind::Text => {
                Box::new(TermQuery::new(word.clone(), IndexRecordOption::WithFreqs))
            }
            _ => constant(TermSetQuery::new(terms), 1.0),
        })
    }

    fn range(&mut self, name: &str, options: &Value) -> Result<Found> {
        let Some(field) = self.index.mapping.field(name) else {
            return Ok(nothing());
        };
        let edge = |key: &str, inclusive: bool, is_low: bool| -> Result<Option<Bound<String>>> {
            let value = &options[key];
            if value.is_null() {
                return Ok(None);
            }
            // Between two whole numbers the one below decides.
            let broken = number_of(value).filter(|number| number.fract() != 0.0);
            let (value, inclusive) = match broken {
                Some(number) if field.kind == Kind::Integer => (&json!(number.floor()), !is_low),
                _ => (value, inclusive),
            };
            match field.key(value) {
                Some(key) if inclusive => Ok(Some(Bound::Included(key))),
                Some(key) => Ok(Some(Bound::Excluded(key))),
                None => refuse!(
                    "query_shard_exception",
                    "failed to create query: {value} does not fit a range of field [{name}]"
                ),
            }
        };
        if matches!(field.kind, Kind::Object | Kind::Opaque) {
            return Ok(nothing());
        }
        let low = edge("gte", true, true)?.or(edge("gt", false, true)?);
        let high = edge("lte", true, false)?.or(edge("lt", false, false)?);
        let low = low.unwrap_or(Bound::Included(String::new()));
        let high = high.unwrap_or(Bound::Excluded(LAST.to_string()));
        let terms = if field.kind == Kind::Text {
            WORDS
        } else {
            EXACT
        };
        Ok(between(terms, &field, low, high))
    }
}

/// The words or values of a field between two edges.
fn between(terms: TextField, field: &Field, low: Bound<String>, high: Bound<String>) -> Found {
    let edge = |bound: Bound<String>| bound.map(|text| term(terms, &field.path, &text));
    constant(RangeQuery::new(edge(low), edge(high)), 1.0)
}
