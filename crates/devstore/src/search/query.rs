//! The query language: from JSON to a tree in which every field is resolved.

use std::collections::HashSet;

use serde_json::{Value, json};

use crate::dates;
use crate::errors::{Problem, Result, refuse};
use crate::mapping::{Field, Kind, key_of, number_of};
use crate::schema;
use crate::search::strings;
use crate::search::text::{distinct, words};
use crate::select::glob;
use crate::storage::Index;

/// Most values that one `terms` query may have, as in Elasticsearch.
const TERMS_LIMIT: usize = 65_536;

/// Fields stand for themselves or by the path of their values.
#[derive(Clone, Debug)]
pub(crate) enum Query {
    All,
    Nothing,
    /// At least so many of the words stand in the field.
    Words(String, Vec<String>, usize),
    /// The words stand one after the other; if true, the last may be the beginning of a word.
    Phrase(String, Vec<String>, bool),
    /// The field has one of the values, in the form of `key_of`.
    Exact(Field, HashSet<String>),
    /// A word of a text, or the whole value, fits the pattern; if true, in any case.
    Pattern(Field, String, bool),
    /// The value lies between the edges.
    Range(Field, Edge, Edge),
    Exists(String),
    Ids(HashSet<String>),
    Bool(Bool),
    /// Any of them; the best one gives the score.
    Best(Vec<Query>),
    Boosted(Box<Query>, f32),
    /// A match gives a score of one.
    Constant(Box<Query>),
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Bool {
    pub(crate) must: Vec<Query>,
    pub(crate) filter: Vec<Query>,
    pub(crate) should: Vec<Query>,
    pub(crate) must_not: Vec<Query>,
    /// How many of `should` must match.
    pub(crate) required: usize,
}

/// One end of a range, and whether it belongs to the range; `None` if the range is open there.
pub(crate) type Edge = Option<(Value, bool)>;

/// Parses one query object, `{"term": {…}}`.
pub(crate) fn parse(query: &Value, index: &Index) -> Result<Query> {
    let (name, body) = only_entry(query, "query")?;
    let (mut field, mut options) = ("", body.clone());
    if schema::lists("unsupported_queries", name) {
        return Err(Problem::unsupported(format!("the query [{name}]")));
    }
    if !schema::knows(&format!("query.{name}")) {
        refuse!("parsing_exception", "unknown query [{name}]");
    }
    // Queries on one field: `{"field": value}` or `{"field": {options}}`.
    let value_key = match name {
        "match" | "match_phrase" | "match_phrase_prefix" => "query",
        "term" | "prefix" | "wildcard" => "value",
        _ => "",
    };
    if !value_key.is_empty() || name == "range" {
        let (name, inner) = only_entry(body, name)?;
        (field, options) = (name, inner.clone());
        if !options.is_object() && !value_key.is_empty() {
            options = json!({value_key: inner});
        }
    }
    schema::check(&format!("query.{name}"), &options)?;
    let text = |key: &str| options.get(key).map(plain_text).unwrap_or_default();
    let each = |key: &str| {
        many(&options[key])
            .map(|query| parse(query, index))
            .collect::<Result<Vec<_>>>()
    };
    let parsed = match name {
        "match_all" => Query::All,
        "match" => match_words(index, field, &options["query"], &options)?,
        "match_phrase" | "match_phrase_prefix" => {
            phrase(index, field, &text("query"), name.ends_with("prefix"))
        }
        "multi_match" => multi_match(&options, index)?,
        "term" => exact(index, field, &[options["value"].clone()])?,
        "terms" => return terms(&options, index),
        "range" => range(index, field, &options)?,
        "prefix" | "wildcard" => {
            let star = if name == "prefix" { "*" } else { "" };
            let pattern = format!("{}{}{star}", text("value"), text("wildcard"));
            if pattern.contains('?') || (name == "prefix" && text("value").contains('*')) {
                return Err(Problem::unsupported(format!(
                    "[{pattern}] in a [{name}] query"
                )));
            }
            let ignore_case = options["case_insensitive"] == true;
            let pattern = if ignore_case {
                pattern.to_lowercase()
            } else {
                pattern
            };
            let found = index.mapping.field(field);
            let found = found.filter(|field| matches!(field.kind, Kind::Text | Kind::Keyword));
            found.map_or(Query::Nothing, |field| {
                Query::Pattern(field, pattern, ignore_case)
            })
        }
        "exists" => index
            .mapping
            .field(&text("field"))
            .map_or(Query::Nothing, |field| Query::Exists(field.path)),
        "ids" => Query::Ids(many(&options["values"]).map(plain_text).collect()),
        "bool" => {
            let (must, filter, should) = (each("must")?, each("filter")?, each("should")?);
            let alone = must.is_empty() && filter.is_empty() && !should.is_empty();
            let minimum = options.get("minimum_should_match");
            let required = minimum.map_or(Ok(usize::from(alone)), |minimum| {
                required(minimum, should.len())
            })?;
            let must_not = each("must_not")?;
            Query::Bool(Bool {
                must,
                filter,
                should,
                must_not,
                required,
            })
        }
        "constant_score" => Query::Constant(Box::new(parse(&options["filter"], index)?)),
        "dis_max" => Query::Best(each("queries")?),
        "query_string" | "simple_query_string" => {
            let fields = options.get("fields").or(options.get("default_field"));
            let fields = fields_of(fields.unwrap_or(&json!("*")), index);
            let all = text("default_operator").eq_ignore_ascii_case("and");
            strings::parse(&text("query"), &fields, index, all, name == "query_string")?
        }
        _ => Query::Nothing,
    };
    boosted(parsed, &options)
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

/// The items of a list, or the one value that stands for a list of one.
fn many(value: &Value) -> std::slice::Iter<'_, Value> {
    match value {
        Value::Null => [].iter(),
        Value::Array(items) => items.iter(),
        one => std::slice::from_ref(one).iter(),
    }
}

fn plain_text(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

fn boosted(query: Query, options: &Value) -> Result<Query> {
    match options["boost"].as_f64() {
        None => Ok(query),
        Some(boost) if boost >= 0.0 => Ok(Query::Boosted(Box::new(query), boost as f32)),
        Some(_) => refuse!("illegal_argument_exception", "[boost] must not be negative"),
    }
}

fn terms(options: &Value, index: &Index) -> Result<Query> {
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
        Some(values) if values.len() > TERMS_LIMIT => {
            refuse!(
                "illegal_argument_exception",
                "[terms] query has more than the allowed maximum of [{TERMS_LIMIT}] values"
            )
        }
        Some(values) => boosted(exact(index, field, values)?, options),
    }
}

/// The path of a text field.
fn text_path(index: &Index, field: &str) -> Option<String> {
    let field = index
        .mapping
        .field(field)
        .filter(|field| field.kind == Kind::Text);
    field.map(|field| field.path)
}

/// Words on one field; on a field that is not a text the whole value.
fn match_words(index: &Index, field: &str, value: &Value, options: &Value) -> Result<Query> {
    let Some(path) = text_path(index, field) else {
        return exact(index, field, std::slice::from_ref(value));
    };
    let words = distinct(&plain_text(value));
    let required = required_words(options, words.len())?;
    Ok(if words.is_empty() {
        Query::Nothing
    } else {
        Query::Words(path, words, required)
    })
}

fn required_words(options: &Value, count: usize) -> Result<usize> {
    match (
        options["operator"].as_str(),
        options.get("minimum_should_match"),
    ) {
        (Some("and" | "AND"), _) => Ok(count),
        (_, Some(minimum)) => Ok(required(minimum, count)?.max(1)),
        _ => Ok(1),
    }
}

/// `minimum_should_match`: a number or a percentage, negative for what may be missing.
fn required(minimum: &Value, count: usize) -> Result<usize> {
    let (text, total) = (plain_text(minimum), count as i64);
    let Ok(number) = text
        .trim_end_matches('%')
        .trim()
        .parse::<i32>()
        .map(i64::from)
    else {
        refuse!(
            "illegal_argument_exception",
            "[minimum_should_match] cannot be [{text}]"
        )
    };
    let wanted = if text.ends_with('%') {
        total * number / 100
    } else {
        number
    };
    Ok(if number < 0 { total + wanted } else { wanted }.max(0) as usize)
}

/// A phrase on one field; on a field that is not a text the whole value.
pub(crate) fn phrase(index: &Index, field: &str, text: &str, open_end: bool) -> Query {
    let Some(path) = text_path(index, field) else {
        return exact(index, field, &[json!(text)]).unwrap_or(Query::Nothing);
    };
    let words: Vec<String> = words(text).map(|word| word.text).collect();
    if words.is_empty() {
        Query::Nothing
    } else {
        Query::Phrase(path, words, open_end)
    }
}

/// Field names with their boosts. A pattern stands for the text and keyword fields that it fits.
fn fields_of(value: &Value, index: &Index) -> Vec<(String, f32)> {
    let mut found = Vec::new();
    for name in many(value).map(plain_text) {
        let (pattern, boost) = name.split_once('^').unwrap_or((&name, "1"));
        let boost = boost.parse().unwrap_or(1.0);
        if !pattern.contains('*') {
            found.push((pattern.to_owned(), boost));
            continue;
        }
        for (name, field) in index
            .mapping
            .fields
            .iter()
            .filter(|(name, _)| glob(pattern, name))
        {
            let is_searched =
                field.kind == Kind::Text || (field.kind == Kind::Keyword && field.path == *name);
            found.extend(is_searched.then(|| (name.clone(), boost)));
        }
    }
    found
}

fn multi_match(options: &Value, index: &Index) -> Result<Query> {
    let kind = options["type"].as_str().unwrap_or("best_fields");
    let fields = fields_of(options.get("fields").unwrap_or(&json!("*")), index);
    let text = plain_text(&options["query"]);
    // A text is no number: a field that cannot hold it does not match, which is no error here.
    let on_one = |field: &str, text: &str| match kind {
        "phrase" | "phrase_prefix" => phrase(index, field, text, kind == "phrase_prefix"),
        _ => match_words(index, field, &json!(text), options).unwrap_or(Query::Nothing),
    };
    let on_each = |text: &str| -> Vec<Query> {
        let each = fields.iter();
        each.map(|(field, boost)| Query::Boosted(Box::new(on_one(field, text)), *boost))
            .collect()
    };
    let (should, required) = match kind {
        "most_fields" => (on_each(&text), 1),
        // Each word in any of the fields.
        "cross_fields" => {
            let words = distinct(&text);
            let each = words
                .iter()
                .map(|word| Query::Best(on_each(word)))
                .collect();
            (each, required_words(options, words.len())?)
        }
        _ => return Ok(Query::Best(on_each(&text))),
    };
    Ok(Query::Bool(Bool {
        should,
        required,
        ..Bool::default()
    }))
}

/// A field that has one of the values.
pub(crate) fn exact(index: &Index, name: &str, values: &[Value]) -> Result<Query> {
    let mut texts = values.iter().map(plain_text);
    if name == "_id" {
        return Ok(Query::Ids(texts.collect()));
    }
    if name == "_index" {
        let fits = texts.any(|text| text == index.name || index.aliases.contains_key(&text));
        return Ok(if fits { Query::All } else { Query::Nothing });
    }
    let Some(field) = index.mapping.field(name) else {
        return Ok(Query::Nothing);
    };
    if matches!(field.kind, Kind::Object(_) | Kind::Opaque) {
        return Ok(Query::Nothing);
    }
    let mut keys = HashSet::new();
    for value in values {
        let Some(key) =
            key_of(field.kind, &from_mathematics(field.kind, value)).filter(|_| !value.is_array())
        else {
            refuse!(
                "query_shard_exception",
                "failed to create query: {value} does not fit the type of field [{name}]"
            )
        };
        keys.insert(key);
    }
    Ok(Query::Exact(field, keys))
}

/// Resolves `now-1d` for dates.
fn from_mathematics(kind: Kind, value: &Value) -> Value {
    match (kind, value.as_str().and_then(dates::mathematics)) {
        (Kind::Date, Some(millis)) => json!(millis),
        _ => value.clone(),
    }
}

fn range(index: &Index, name: &str, options: &Value) -> Result<Query> {
    let Some(field) = index.mapping.field(name) else {
        return Ok(Query::Nothing);
    };
    let edge = |keys: [(&str, bool); 3]| -> Result<Edge> {
        let given = keys.into_iter().find(|(key, _)| !options[*key].is_null());
        let Some((key, inclusive)) = given else {
            return Ok(None);
        };
        let value = from_mathematics(field.kind, &options[key]);
        let fits = match field.kind {
            Kind::Date => dates::millis_of(&value).is_some(),
            Kind::Integer(..) | Kind::Float => number_of(&value).is_some(),
            _ => true,
        };
        if !fits {
            refuse!(
                "query_shard_exception",
                "failed to create query: {value} does not fit a range of field [{name}]"
            );
        }
        Ok(Some((value, inclusive)))
    };
    let low = edge([("gte", true), ("gt", false), ("from", true)])?;
    let high = edge([("lte", true), ("lt", false), ("to", true)])?;
    Ok(Query::Range(field, low, high))
}
