//! The query language: from JSON to a tree in which every field is resolved.

use std::collections::HashSet;

use serde_json::{Map, Value, json};

use crate::dates;
use crate::errors::Problem;
use crate::mapping::{Field, Kind, key_of, number_of};
use crate::schema;
use crate::search::strings;
use crate::search::text::{distinct, words};
use crate::select::glob;
use crate::storage::Index;

/// Most values that one `terms` query may have, as in Elasticsearch.
const TERMS_LIMIT: usize = 65_536;

#[derive(Clone, Debug)]
pub(crate) enum Query {
    All,
    Nothing,
    /// At least `required` of the words stand in the field.
    Words {
        path: String,
        words: Vec<String>,
        required: usize,
    },
    /// The words stand one after the other; the last may be the beginning of a word.
    Phrase {
        path: String,
        words: Vec<String>,
        open_end: bool,
    },
    /// The field has one of the values, in the form of `key_of`.
    Exact {
        field: Field,
        keys: HashSet<String>,
    },
    /// A word of a text, or the whole value, fits a pattern.
    Pattern {
        field: Field,
        pattern: String,
        ignore_case: bool,
    },
    Range {
        field: Field,
        low: Option<Edge>,
        high: Option<Edge>,
    },
    Exists {
        path: String,
    },
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

/// One end of a range.
#[derive(Clone, Debug)]
pub(crate) struct Edge {
    pub(crate) value: Value,
    pub(crate) inclusive: bool,
}

/// Parses one query object, `{"term": {…}}`.
pub(crate) fn parse(query: &Value, index: &Index) -> Result<Query, Problem> {
    let (name, body) = only_entry(query, "[query] malformed, expected one query")?;
    if schema::lists("unsupported_queries", name) {
        return Err(Problem::unsupported(format!("the query [{name}]")));
    }
    if name == "terms" {
        return terms(body, index);
    }
    let value_key = match name {
        "match" | "match_phrase" | "match_phrase_prefix" => Some("query"),
        "term" | "prefix" | "wildcard" => Some("value"),
        "range" => Some(""),
        _ => None,
    };
    // Queries on one field: `{"field": value}` or `{"field": {options}}`.
    let (field, options) = match value_key {
        None => ("", body.clone()),
        Some(key) => {
            let (field, inner) = only_entry(body, &format!("[{name}] query requires one field"))?;
            let short = !inner.is_object() && !key.is_empty();
            (
                field,
                if short {
                    json!({key: inner})
                } else {
                    inner.clone()
                },
            )
        }
    };
    let known = matches!(
        name,
        "match_all" | "match_none" | "multi_match" | "exists" | "ids" | "bool" | "dis_max"
    ) || matches!(
        name,
        "constant_score" | "query_string" | "simple_query_string"
    );
    if value_key.is_none() && !known {
        return Err(Problem::parsing(format!("unknown query [{name}]")));
    }
    schema::check(&format!("query.{name}"), &options)?;
    let text = |key: &str| options.get(key).map(plain_text).unwrap_or_default();
    let parsed = match name {
        "match_all" => Query::All,
        "match" => match_words(index, field, &options["query"], &options)?,
        "match_phrase" => phrase(index, field, &text("query"), false),
        "match_phrase_prefix" => phrase(index, field, &text("query"), true),
        "multi_match" => multi_match(&options, index)?,
        "term" => exact(index, field, &[&options["value"]])?,
        "range" => range(index, field, &options)?,
        "prefix" => pattern(
            index,
            field,
            &format!("{}*", text("value").replace('*', "")),
            &options,
        ),
        "wildcard" if text("value").contains('?') => {
            return Err(Problem::unsupported("[?] in a [wildcard] query"));
        }
        "wildcard" => pattern(index, field, &(text("wildcard") + &text("value")), &options),
        "exists" => match index.mapping.field(&text("field")) {
            Some(field) => Query::Exists { path: field.path },
            None => Query::Nothing,
        },
        "ids" => Query::Ids(many(&options["values"]).map(plain_text).collect()),
        "bool" => {
            let list = |key: &str| {
                many(&options[key])
                    .map(|query| parse(query, index))
                    .collect::<Result<Vec<_>, _>>()
            };
            let (must, filter, should) = (list("must")?, list("filter")?, list("should")?);
            let required = match options.get("minimum_should_match") {
                Some(minimum) => required(minimum, should.len())?,
                None => usize::from(must.is_empty() && filter.is_empty() && !should.is_empty()),
            };
            Query::Bool(Bool {
                must,
                filter,
                should,
                must_not: list("must_not")?,
                required,
            })
        }
        "constant_score" => Query::Constant(Box::new(parse(&options["filter"], index)?)),
        "dis_max" => Query::Best(
            many(&options["queries"])
                .map(|query| parse(query, index))
                .collect::<Result<_, _>>()?,
        ),
        "query_string" | "simple_query_string" => {
            let fields = options.get("fields").or(options.get("default_field"));
            let all = text("default_operator").eq_ignore_ascii_case("and");
            let fields = fields_of(fields.unwrap_or(&json!("*")), index);
            strings::parse(&text("query"), &fields, index, all, name == "query_string")?
        }
        _ => Query::Nothing,
    };
    boosted(parsed, &options)
}

/// The only entry of an object.
fn only_entry<'v>(value: &'v Value, message: &str) -> Result<(&'v str, &'v Value), Problem> {
    let mut entries = value.as_object().into_iter().flatten();
    match (entries.next(), entries.next()) {
        (Some((name, value)), None) => Ok((name, value)),
        _ => Err(Problem::parsing(message)),
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

fn boosted(query: Query, options: &Value) -> Result<Query, Problem> {
    match options
        .get("boost")
        .map(|boost| boost.as_f64().unwrap_or(-1.0))
    {
        None => Ok(query),
        Some(boost) if boost >= 0.0 => Ok(Query::Boosted(Box::new(query), boost as f32)),
        Some(_) => Err(Problem::illegal("[boost] must be a number of zero or more")),
    }
}

fn terms(body: &Value, index: &Index) -> Result<Query, Problem> {
    let mut fields: Map<String, Value> = body.as_object().cloned().unwrap_or_default();
    let boost = json!({"boost": fields.remove("boost").unwrap_or(json!(1))});
    let fields = Value::Object(fields);
    let (field, values) = only_entry(&fields, "[terms] query requires one field")?;
    let values = values
        .as_array()
        .ok_or_else(|| Problem::parsing("[terms] query requires a list of values"))?;
    if values.len() > TERMS_LIMIT {
        return Err(Problem::illegal(format!(
            "[terms] query has more than the allowed maximum of [{TERMS_LIMIT}] values"
        )));
    }
    boosted(
        exact(index, field, &values.iter().collect::<Vec<_>>())?,
        &boost,
    )
}

/// Words on one field; on a field that is not a text the whole value.
fn match_words(
    index: &Index,
    field: &str,
    value: &Value,
    options: &Value,
) -> Result<Query, Problem> {
    let Some(found) = index
        .mapping
        .field(field)
        .filter(|field| field.kind == Kind::Text)
    else {
        return exact(index, field, &[value]);
    };
    let words = distinct(&plain_text(value));
    let required = required_words(options, words.len())?;
    Ok(if words.is_empty() {
        Query::Nothing
    } else {
        Query::Words {
            path: found.path,
            words,
            required,
        }
    })
}

fn required_words(options: &Value, count: usize) -> Result<usize, Problem> {
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
fn required(minimum: &Value, count: usize) -> Result<usize, Problem> {
    let text = plain_text(minimum);
    let number = text
        .strip_suffix('%')
        .unwrap_or(&text)
        .trim()
        .parse::<i32>();
    let number = number
        .map_err(|_| Problem::illegal(format!("[minimum_should_match] cannot be [{text}]")))?;
    let total = count as i64;
    let wanted = if text.ends_with('%') {
        total * i64::from(number) / 100
    } else {
        i64::from(number)
    };
    Ok(if number < 0 { total + wanted } else { wanted }.max(0) as usize)
}

/// A phrase on one field; on a field that is not a text the whole value.
pub(crate) fn phrase(index: &Index, field: &str, text: &str, open_end: bool) -> Query {
    let Some(found) = index
        .mapping
        .field(field)
        .filter(|field| field.kind == Kind::Text)
    else {
        return exact(index, field, &[&json!(text)]).unwrap_or(Query::Nothing);
    };
    let words: Vec<String> = words(text).map(|word| word.text).collect();
    if words.is_empty() {
        Query::Nothing
    } else {
        Query::Phrase {
            path: found.path,
            words,
            open_end,
        }
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
        for (name, field) in index.mapping.fields() {
            let searched =
                field.kind == Kind::Text || (field.kind == Kind::Keyword && field.path == name);
            if searched && glob(pattern, name) {
                found.push((name.to_owned(), boost));
            }
        }
    }
    found.sort_by(|left, right| left.0.cmp(&right.0));
    found
}

fn multi_match(options: &Value, index: &Index) -> Result<Query, Problem> {
    let kind = options["type"].as_str().unwrap_or("best_fields");
    let fields = fields_of(options.get("fields").unwrap_or(&json!("*")), index);
    let text = plain_text(&options["query"]);
    // A text is no number: a field that cannot hold it does not match, which is no error here.
    let on_each = |text: &str| -> Vec<Query> {
        let on_one = |field: &str| match kind {
            "phrase" | "phrase_prefix" => phrase(index, field, text, kind == "phrase_prefix"),
            _ => match_words(index, field, &json!(text), options).unwrap_or(Query::Nothing),
        };
        fields
            .iter()
            .map(|(field, boost)| Query::Boosted(Box::new(on_one(field)), *boost))
            .collect()
    };
    Ok(match kind {
        "most_fields" => Query::Bool(Bool {
            should: on_each(&text),
            required: 1,
            ..Bool::default()
        }),
        // Each word in any of the fields.
        "cross_fields" => {
            let words = distinct(&text);
            let required = required_words(options, words.len())?;
            let should = words
                .iter()
                .map(|word| Query::Best(on_each(word)))
                .collect();
            Query::Bool(Bool {
                should,
                required,
                ..Bool::default()
            })
        }
        _ => Query::Best(on_each(&text)),
    })
}

/// A field that has one of the values.
pub(crate) fn exact(index: &Index, name: &str, values: &[&Value]) -> Result<Query, Problem> {
    let mut texts = values.iter().copied().map(plain_text);
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
    let key = |value: &&Value| {
        let wrong =
            || format!("failed to create query: {value} does not fit the type of field [{name}]");
        let key = key_of(field.kind, &from_mathematics(field.kind, value));
        key.ok_or_else(|| Problem::new(400, "query_shard_exception", wrong()))
    };
    Ok(Query::Exact {
        keys: values.iter().map(key).collect::<Result<_, _>>()?,
        field,
    })
}

fn pattern(index: &Index, name: &str, pattern: &str, options: &Value) -> Query {
    let ignore_case = options["case_insensitive"] == true;
    match index
        .mapping
        .field(name)
        .filter(|field| matches!(field.kind, Kind::Text | Kind::Keyword))
    {
        Some(field) if ignore_case => Query::Pattern {
            field,
            pattern: pattern.to_lowercase(),
            ignore_case,
        },
        Some(field) => Query::Pattern {
            field,
            pattern: pattern.to_owned(),
            ignore_case,
        },
        None => Query::Nothing,
    }
}

/// Resolves `now-1d` for dates.
fn from_mathematics(kind: Kind, value: &Value) -> Value {
    match (kind, value.as_str().and_then(dates::mathematics)) {
        (Kind::Date, Some(millis)) => Value::from(millis),
        _ => value.clone(),
    }
}

fn range(index: &Index, name: &str, options: &Value) -> Result<Query, Problem> {
    let Some(field) = index.mapping.field(name) else {
        return Ok(Query::Nothing);
    };
    let edge = |keys: [&str; 3]| {
        let Some((key, value)) = keys
            .into_iter()
            .find_map(|key| Some((key, options.get(key).filter(|value| !value.is_null())?)))
        else {
            return Ok(None);
        };
        let value = from_mathematics(field.kind, value);
        let fits = match field.kind {
            Kind::Date => dates::millis_of(&value).is_some(),
            Kind::Integer(..) | Kind::Float => number_of(&value).is_some(),
            _ => true,
        };
        let wrong =
            || format!("failed to create query: {value} does not fit a range of field [{name}]");
        let inclusive = matches!(key, "gte" | "lte" | "from" | "to");
        if fits {
            Ok(Some(Edge { value, inclusive }))
        } else {
            Err(Problem::new(400, "query_shard_exception", wrong()))
        }
    };
    Ok(Query::Range {
        low: edge(["gte", "gt", "from"])?,
        high: edge(["lte", "lt", "to"])?,
        field,
    })
}
