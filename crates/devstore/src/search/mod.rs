//! `_search`, `_count` and `_delete_by_query`.

pub(crate) mod evaluate;
pub(crate) mod fulltext;
mod highlight;
pub(crate) mod points;
pub(crate) mod query;
mod sort;
mod strings;
pub(crate) mod text;

use std::cmp::Ordering;
use std::sync::Arc;
use std::time::Instant;

use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use crate::engine::Engine;
use crate::errors::Problem;
use crate::http::{Call, Reply};
use crate::indices::resolve;
use crate::schema;
use crate::search::points::Part;
use crate::search::query::Query;
use crate::search::sort::{By, Criterion};
use crate::select::SourceFilter;
use crate::storage::Index;

/// Furthest result that `from` and `size` may reach, as in Elasticsearch.
const WINDOW: usize = 10_000;

/// A search as the client asked for it, from the body and the address.
struct Request {
    query: Value,
    from: usize,
    size: usize,
    sort: Vec<Criterion>,
    after: Option<Vec<Value>>,
    source: SourceFilter,
    highlight: Option<Value>,
    seq_no: bool,
    version: bool,
    min_score: f32,
    /// How far matches are counted; zero: not at all.
    track: u64,
    slice: Option<(u64, u64)>,
    point: Option<(String, Option<String>)>,
}

impl Request {
    fn parse(call: &Call) -> Result<Request, Problem> {
        // What stands in the address takes the place of what stands in the body.
        let mut body = Value::Object(call.any_object()?);
        let params = &call.params;
        for key in [
            "from",
            "size",
            "seq_no_primary_term",
            "version",
            "track_total_hits",
        ] {
            if let Some(text) = params.text(key) {
                body[key] = serde_json::from_str(if text.is_empty() { "true" } else { text })
                    .unwrap_or(json!(text));
            }
        }
        if let Some(text) = params.text("q") {
            let operator = params.text("default_operator").unwrap_or("or");
            body["query"] = json!({"query_string": {"query": text, "default_operator": operator}});
        }
        if let Some(text) = params.text("sort") {
            body["sort"] = sort::from_address(text);
        }
        schema::check("search", &body)?;
        let size = |key: &str, default: usize| {
            body[key]
                .as_u64()
                .map_or(default, |size| usize::try_from(size).unwrap_or(WINDOW + 1))
        };
        let (from, size, after) = (
            size("from", 0),
            size("size", 10),
            body["search_after"].as_array().cloned(),
        );
        let end = from.saturating_add(size);
        if end > WINDOW {
            let reason =
                format!("from + size must be less than or equal to: [{WINDOW}] but was [{end}]");
            return Err(Problem::illegal(format!(
                "Result window is too large, {reason}"
            )));
        }
        if after.is_some() && from > 0 {
            return Err(Problem::validation(
                "`from` parameter must be set to 0 when `search_after` is used",
            ));
        }
        let point = body.get("pit").map(|pit| {
            (
                text_of(&pit["id"]).unwrap_or_default(),
                text_of(&pit["keep_alive"]),
            )
        });
        let mut sort = body
            .get("sort")
            .map_or_else(|| Ok(Vec::new()), sort::parse)?;
        if point.is_some()
            && !sort.is_empty()
            && !sort.iter().any(|criterion| criterion.by == By::ShardDoc)
        {
            sort.push(Criterion::new("_shard_doc"));
        }
        if after
            .as_ref()
            .is_some_and(|after| after.len() != sort.len())
        {
            return Err(Problem::illegal(format!(
                "search_after must have as many values as sort has: {}",
                sort.len()
            )));
        }
        let slice = body.get("slice").map(|slice| {
            (
                slice["id"].as_u64().unwrap_or(0),
                slice["max"].as_u64().unwrap_or(0),
            )
        });
        if slice.is_some_and(|(id, max)| max < 2 || id >= max) {
            return Err(Problem::illegal(
                "[slice] needs a max greater than 1 and an id lower than max",
            ));
        }
        let source = match SourceFilter::of_params(params) {
            Some(filter) => filter,
            None => body
                .get("_source")
                .map_or_else(|| Ok(SourceFilter::default()), SourceFilter::of_body)?,
        };
        Ok(Request {
            query: body
                .get("query")
                .cloned()
                .unwrap_or_else(|| json!({"match_all": {}})),
            from,
            size,
            sort,
            after,
            source,
            highlight: body.get("highlight").cloned(),
            seq_no: body["seq_no_primary_term"] == true,
            version: body["version"] == true,
            min_score: body["min_score"]
                .as_f64()
                .map_or(f32::MIN, |score| score as f32),
            track: match &body["track_total_hits"] {
                Value::Bool(true) => u64::MAX,
                Value::Bool(false) => 0,
                limit => limit.as_u64().unwrap_or(WINDOW as u64),
            },
            slice,
            point,
        })
    }
}

fn text_of(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

/// A match on its way to the page.
struct Ranked {
    keys: Vec<Value>,
    score: f32,
    part: usize,
    seq_no: u64,
}

#[derive(Serialize)]
struct Hit {
    _index: String,
    _id: String,
    _score: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    _version: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    _seq_no: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    _primary_term: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    _source: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Map::is_empty")]
    highlight: Map<String, Value>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    sort: Vec<Value>,
}

#[derive(Serialize)]
struct Hits {
    #[serde(skip_serializing_if = "Option::is_none")]
    total: Option<Value>,
    max_score: Option<f32>,
    hits: Vec<Hit>,
}

#[derive(Serialize)]
struct Response {
    #[serde(skip_serializing_if = "Option::is_none")]
    pit_id: Option<String>,
    took: u64,
    timed_out: bool,
    _shards: Value,
    hits: Hits,
}

/// The sequence number in the order over all parts: Elasticsearch has the shard in the upper bits too.
fn shard_doc(part: usize, seq_no: u64) -> u64 {
    ((part as u64) << 48) | seq_no
}

pub(crate) fn search(
    engine: &Engine,
    call: &Call,
    expression: Option<&str>,
) -> Result<Reply, Problem> {
    let begin = Instant::now();
    let request = Request::parse(call)?;
    let (parts, queries) = match &request.point {
        Some(_) if expression.is_some() => {
            return Err(Problem::validation(
                "[indices] cannot be used with point in time. Do not specify any index with point in time.",
            ));
        }
        Some((id, keep_alive)) => {
            let parts = engine.points.get(id, keep_alive.as_deref())?;
            let queries = parts
                .iter()
                .map(|part| query::parse(&request.query, &part.index))
                .collect::<Result<Vec<_>, _>>()?;
            (parts, queries)
        }
        None => parts_of(engine, call, expression.unwrap_or("_all"), &request.query)?,
    };
    let (ranked, total) = rank(engine, &request, &parts, &queries)?;
    let by_score = request.sort.is_empty()
        || request
            .sort
            .iter()
            .any(|criterion| criterion.by == By::Score);
    let mut hits = Vec::with_capacity(ranked.len());
    for found in ranked.into_iter().skip(request.from) {
        let Some(part) = parts.get(found.part) else {
            continue;
        };
        let hit = part.view.look(found.seq_no, |row| {
            let highlight = match (&request.highlight, queries.get(found.part)) {
                (Some(spec), Some(query)) => highlight::highlight(
                    spec,
                    query,
                    &part.index,
                    &serde_json::from_str(row.source)?,
                )?,
                _ => Map::new(),
            };
            Ok(Hit {
                _index: part.index.name.clone(),
                _id: row.id.to_owned(),
                _score: by_score.then_some(found.score),
                _version: request.version.then_some(row.version),
                _seq_no: request.seq_no.then_some(found.seq_no),
                _primary_term: request.seq_no.then_some(1),
                _source: if request.source.is_hidden() {
                    None
                } else {
                    request.source.apply(row.source)?
                },
                highlight,
                sort: found.keys,
            })
        })?;
        hits.extend(hit);
    }
    let total = (request.track > 0).then(|| {
        let beyond = total > request.track;
        json!({"value": total.min(request.track), "relation": if beyond { "gte" } else { "eq" }})
    });
    let max_score = if by_score {
        hits.iter().filter_map(|hit| hit._score).reduce(f32::max)
    } else {
        None
    };
    Reply::ok(&Response {
        pit_id: request.point.map(|(id, _)| id),
        took: u64::try_from(begin.elapsed().as_millis()).unwrap_or(u64::MAX),
        timed_out: false,
        _shards: json!({"total": parts.len(), "successful": parts.len(), "skipped": 0, "failed": 0}),
        hits: Hits {
            total,
            max_score,
            hits,
        },
    })
}

type PartsAndQueries = (Arc<Vec<Part>>, Vec<Query>);

/// The views of the indices of an expression, and the query for each of them.
fn parts_of(
    engine: &Engine,
    call: &Call,
    expression: &str,
    query: &Value,
) -> Result<PartsAndQueries, Problem> {
    let indices: Vec<Arc<Index>> = resolve(&engine.storage.catalogue(), expression, &call.params)?;
    if indices.is_empty() {
        // Nothing to search in, yet a wrong query is still wrong.
        query::parse(query, &Index::default())?;
    }
    let queries = indices
        .iter()
        .map(|index| query::parse(query, index))
        .collect::<Result<Vec<_>, _>>()?;
    let parts = indices
        .iter()
        .zip(&queries)
        .map(|(index, query)| Part::for_query(engine, index, query))
        .collect::<Result<_, _>>()?;
    Ok((Arc::new(parts), queries))
}

/// Finds the first `from + size` matches in the wanted order, and how many there are (counted up to just beyond
/// `track`). Memory: twice that many keys.
fn rank(
    engine: &Engine,
    request: &Request,
    parts: &[Part],
    queries: &[Query],
) -> Result<(Vec<Ranked>, u64), Problem> {
    let wanted = request.from + request.size;
    let by_score = [Criterion::new("_score")];
    let order: &[Criterion] = if request.sort.is_empty() {
        &by_score
    } else {
        &request.sort
    };
    let wants_source = order
        .iter()
        .any(|criterion| matches!(criterion.by, By::Field(_)));
    let in_scan_order = matches!(
        order,
        [Criterion {
            by: By::ShardDoc,
            descending: false,
            ..
        }]
    );
    let compare = |left: &Ranked, right: &Ranked| {
        let keys = order
            .iter()
            .zip(left.keys.iter().zip(&right.keys))
            .map(|(criterion, (left, right))| criterion.compare(left, right));
        keys.fold(Ordering::Equal, Ordering::then)
            .then((left.part, left.seq_no).cmp(&(right.part, right.seq_no)))
    };
    let (mut ranked, mut total): (Vec<Ranked>, u64) = (Vec::new(), 0);
    for (number, (part, query)) in parts.iter().zip(queries).enumerate() {
        order
            .iter()
            .try_for_each(|criterion| criterion.check(&part.index))?;
        let after = match &request.after {
            Some(after) => Some(
                order
                    .iter()
                    .zip(after)
                    .map(|(criterion, value)| criterion.after(&part.index, value))
                    .collect::<Result<Vec<_>, _>>()?,
            ),
            None => None,
        };
        let is_before = |keys: &[Value]| {
            after.as_ref().is_some_and(|after| {
                let each = order
                    .iter()
                    .zip(keys.iter().zip(after))
                    .map(|(criterion, (key, after))| criterion.compare(key, after));
                each.fold(Ordering::Equal, Ordering::then) != Ordering::Greater
            })
        };
        // All documents of an index are counted already.
        let known =
            (matches!(query, Query::All) && request.slice.is_none() && request.min_score <= 1.0)
                .then(|| part.view.count())
                .transpose()?;
        let counted = known.is_some() || request.track == 0;
        total += known.unwrap_or(0);
        // Where nothing is to be counted a scan begins behind the last page.
        let last = after
            .as_ref()
            .and_then(|after| after.first()?.as_u64())
            .filter(|_| in_scan_order && counted);
        let from = last.map_or(0, |last| (last + 1).saturating_sub(shard_doc(number, 0)));
        part.visit(
            engine,
            query,
            from,
            wants_source,
            &mut |seq_no, score, source| {
                if request.slice.is_some_and(|(id, max)| seq_no % max != id)
                    || score < request.min_score
                {
                    return Ok(true);
                }
                total += u64::from(known.is_none());
                let keys: Vec<Value> = order
                    .iter()
                    .map(|criterion| {
                        criterion.key(&part.index, source, score, shard_doc(number, seq_no))
                    })
                    .collect();
                let is_full = in_scan_order && ranked.len() >= wanted;
                if !is_full && !is_before(&keys) {
                    ranked.push(Ranked {
                        keys,
                        score,
                        part: number,
                        seq_no,
                    });
                }
                if ranked.len() > wanted.saturating_mul(2).max(100) {
                    ranked.sort_unstable_by(compare);
                    ranked.truncate(wanted);
                }
                let full = ranked.len() >= wanted
                    && (in_scan_order
                        || wanted == 0
                        || (request.sort.is_empty() && matches!(query, Query::All)));
                Ok(!(full && (counted || total > request.track)))
            },
        )?;
    }
    ranked.sort_unstable_by(compare);
    ranked.truncate(wanted);
    if request.sort.is_empty() {
        ranked.iter_mut().for_each(|found| found.keys.clear());
    }
    Ok((ranked, total))
}

/// The query of `_count` and `_delete_by_query`, which take nothing else.
fn only_query(call: &Call) -> Result<Value, Problem> {
    let body = call.object("only_query")?;
    Ok(match (call.params.text("q"), body.get("query")) {
        (Some(text), _) => json!({"query_string": {"query": text}}),
        (None, Some(query)) => query.clone(),
        (None, None) => json!({"match_all": {}}),
    })
}

pub(crate) fn count(engine: &Engine, call: &Call, expression: &str) -> Result<Reply, Problem> {
    let (parts, queries) = parts_of(engine, call, expression, &only_query(call)?)?;
    let mut count = 0;
    for (part, query) in parts.iter().zip(&queries) {
        match query {
            Query::All => count += part.view.count()?,
            _ => part.visit(engine, query, 0, false, &mut |_, _, _| {
                count += 1;
                Ok(true)
            })?,
        }
    }
    let shards = parts.len();
    Reply::ok(
        &json!({"count": count, "_shards": {"total": shards, "successful": shards, "skipped": 0, "failed": 0}}),
    )
}

/// Deletes what a query finds, a thousand documents at a time. A document that was written meanwhile stays.
pub(crate) fn delete_by_query(
    engine: &Engine,
    call: &Call,
    expression: &str,
) -> Result<Reply, Problem> {
    let begin = Instant::now();
    if call.body.is_empty() && call.params.text("q").is_none() {
        return Err(Problem::validation("query is missing"));
    }
    let (parts, queries) = parts_of(engine, call, expression, &only_query(call)?)?;
    let (mut total, mut deleted, mut batches) = (0, 0, 0);
    for (part, query) in parts.iter().zip(&queries) {
        let mut matches = Vec::new();
        part.visit(engine, query, 0, false, &mut |seq_no, _, _| {
            matches.push(seq_no);
            Ok(true)
        })?;
        total += matches.len();
        for chunk in matches.chunks(1000) {
            batches += 1;
            deleted += engine.storage.write(|batch| {
                let mut deleted = 0;
                for seq_no in chunk {
                    let id = part
                        .view
                        .look(*seq_no, |row| Ok(row.id.to_owned()))?
                        .unwrap_or_default();
                    if let Some(document) = batch
                        .get(&part.index, &id)?
                        .filter(|document| document.seq_no == *seq_no)
                    {
                        batch.remove(&part.index, &document)?;
                        deleted += 1;
                    }
                }
                Ok(deleted)
            })?;
        }
    }
    let conflicts = total - deleted;
    let status = if conflicts > 0 && call.params.text("conflicts") != Some("proceed") {
        409
    } else {
        200
    };
    let took = u64::try_from(begin.elapsed().as_millis()).unwrap_or(u64::MAX);
    Reply::with(
        status,
        &json!({
            "took": took, "timed_out": false, "total": total, "deleted": deleted, "batches": batches, "version_conflicts": conflicts,
            "noops": 0, "retries": {"bulk": 0, "search": 0}, "throttled_millis": 0, "requests_per_second": -1.0,
            "throttled_until_millis": 0, "failures": [],
        }),
    )
}
