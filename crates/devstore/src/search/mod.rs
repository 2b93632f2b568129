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

use serde_json::{Value, json};

use crate::engine::Engine;
use crate::errors::{Problem, Result, refuse};
use crate::http::{Call, Reply};
use crate::indices::{resolve, shards};
use crate::schema;
use crate::search::points::Part;
use crate::search::query::Query;
use crate::search::sort::{By, Criterion};
use crate::select::Selection;
use crate::storage::{Index, Row};

/// Furthest result that `from` and `size` may reach, as in Elasticsearch.
const WINDOW: u64 = 10_000;

/// A search as the client asked for it.
struct Request {
    /// The body, with what stands in the address in the place of what stands in the body.
    body: Value,
    from: usize,
    size: usize,
    sort: Vec<Criterion>,
    source: Selection,
    /// How far matches are counted; zero: not at all.
    track: u64,
    slice: Option<(u64, u64)>,
}

impl Request {
    fn parse(call: &Call) -> Result<Request> {
        let (mut body, params) = (call.any_object()?, &call.params);
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
            let parts = text.split(',').map(|part| {
                part.rsplit_once(':')
                    .map_or(json!(part), |(name, order)| json!({name: order}))
            });
            body["sort"] = parts.collect();
        }
        schema::check("search", &body)?;
        let (from, size) = (
            body["from"].as_u64().unwrap_or(0),
            body["size"].as_u64().unwrap_or(10),
        );
        if from.saturating_add(size) > WINDOW {
            refuse!(
                "illegal_argument_exception",
                "Result window is too large, from + size must not exceed [{WINDOW}]"
            );
        }
        let mut sort = sort::parse(&body["sort"])?;
        if body["pit"].is_object()
            && !sort.is_empty()
            && !sort.iter().any(|criterion| criterion.by == By::ShardDoc)
        {
            sort.push(Criterion::new("_shard_doc"));
        }
        if body["search_after"]
            .as_array()
            .is_some_and(|after| after.len() != sort.len() || from > 0)
        {
            refuse!(
                "illegal_argument_exception",
                "search_after needs from = 0 and as many values as sort has: {}",
                sort.len()
            );
        }
        let slice = body
            .get("slice")
            .and_then(|slice| Some((slice["id"].as_u64()?, slice["max"].as_u64()?)));
        if slice.is_some_and(|(id, max)| max < 2 || id >= max) {
            refuse!(
                "illegal_argument_exception",
                "[slice] needs a max greater than 1 and an id lower than max"
            );
        }
        let source = Selection::of_params(params)
            .map_or_else(|| Selection::of_body(&body["_source"]), Ok)?;
        let track = match &body["track_total_hits"] {
            Value::Bool(tracked) => u64::from(*tracked) * u64::MAX,
            limit => limit.as_u64().unwrap_or(WINDOW),
        };
        Ok(Request {
            body,
            from: from as usize,
            size: size as usize,
            sort,
            source,
            track,
            slice,
        })
    }

    /// One hit as the answer shows it.
    fn hit(&self, part: &Part, query: &Query, found: Ranked, row: &Row) -> Result<Value> {
        let mut hit = json!({"_index": part.index.name, "_id": row.id, "_score": null});
        if self.by_score() {
            hit["_score"] = json!(found.score);
        }
        if self.body["version"] == true {
            hit["_version"] = json!(row.version);
        }
        if self.body["seq_no_primary_term"] == true {
            hit["_seq_no"] = json!(found.seq_no);
            hit["_primary_term"] = json!(1);
        }
        if self.source.nothing && !self.body["highlight"].is_object() {
            hit["sort"] = found.keys.into();
            return Ok(hit);
        }
        let source = serde_json::from_str(row.source)?;
        if self.body["highlight"].is_object() {
            let highlight =
                highlight::highlight(&self.body["highlight"], query, &part.index, &source)?;
            hit["highlight"] = json!(highlight);
        }
        if !self.source.nothing {
            hit["_source"] = self.source.apply(source);
        }
        if !self.sort.is_empty() {
            hit["sort"] = found.keys.into();
        }
        Ok(hit)
    }

    fn by_score(&self) -> bool {
        self.sort.is_empty() || self.sort.iter().any(|criterion| criterion.by == By::Score)
    }
}

/// A match on its way to the page.
struct Ranked {
    keys: Vec<Value>,
    score: f32,
    part: usize,
    seq_no: u64,
}

/// The sequence number in the order over all parts: Elasticsearch has the shard in the upper bits too.
fn shard_doc(part: usize, seq_no: u64) -> u64 {
    ((part as u64) << 48) | seq_no
}

pub(crate) fn search(engine: &Engine, call: &Call, expression: Option<&str>) -> Result<Reply> {
    let begin = Instant::now();
    let request = Request::parse(call)?;
    let (point, query) = (&request.body["pit"], request.body.get("query").cloned());
    let query = query.unwrap_or_else(|| json!({"match_all": {}}));
    let (parts, queries) = match point["id"].as_str() {
        Some(_) if expression.is_some() => {
            return Err(Problem::validation(
                "[indices] cannot be used with point in time",
            ));
        }
        Some(id) => {
            let parts = engine.points.get(id, point["keep_alive"].as_str())?;
            let queries = parts.iter().map(|part| query::parse(&query, &part.index));
            let queries = queries.collect::<Result<Vec<_>>>()?;
            (parts, queries)
        }
        None => parts_of(engine, call, expression.unwrap_or("_all"), &query)?,
    };
    let (ranked, total) = rank(engine, &request, &parts, &queries)?;
    let mut hits = Vec::with_capacity(ranked.len());
    for found in ranked.into_iter().skip(request.from) {
        let (part, query) = (&parts[found.part], &queries[found.part]);
        hits.extend(
            part.view
                .look(found.seq_no, |row| request.hit(part, query, found, &row))?,
        );
    }
    let mut found = json!({"max_score": null, "hits": hits});
    if request.track > 0 {
        let relation = if total > request.track { "gte" } else { "eq" };
        found["total"] = json!({"value": total.min(request.track), "relation": relation});
    }
    if request.by_score() {
        let scores = found["hits"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|hit| hit["_score"].as_f64());
        found["max_score"] = json!(scores.reduce(f64::max));
    }
    let took = begin.elapsed().as_millis() as u64;
    let mut body =
        json!({"took": took, "timed_out": false, "_shards": shards(parts.len()), "hits": found});
    if !point.is_null() {
        body["pit_id"] = point["id"].clone();
    }
    Reply::ok(body)
}

type PartsAndQueries = (Arc<Vec<Part>>, Vec<Query>);

/// The views of the indices of an expression, and the query for each of them.
fn parts_of(
    engine: &Engine,
    call: &Call,
    expression: &str,
    query: &Value,
) -> Result<PartsAndQueries> {
    let indices = resolve(&engine.storage.catalogue(), expression, &call.params)?;
    // Where there is nothing to search in, a wrong query is still wrong.
    query::parse(query, &Index::default())?;
    let queries = indices
        .iter()
        .map(|index| query::parse(query, index))
        .collect::<Result<Vec<_>>>()?;
    let parts = indices
        .iter()
        .zip(&queries)
        .map(|(index, query)| Part::for_query(engine, index, query));
    Ok((Arc::new(parts.collect::<Result<_>>()?), queries))
}

/// Finds the first `from + size` matches in the wanted order, and how many there are (counted up to just beyond
/// `track`). Memory: twice that many keys.
fn rank(
    engine: &Engine,
    request: &Request,
    parts: &[Part],
    queries: &[Query],
) -> Result<(Vec<Ranked>, u64)> {
    let (wanted, score) = (request.from + request.size, [Criterion::new("_score")]);
    let order: &[Criterion] = if request.sort.is_empty() {
        &score
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
    let compare_keys = |left: &[Value], right: &[Value]| {
        let pairs = order.iter().zip(left.iter().zip(right));
        pairs.fold(Ordering::Equal, |sum, (by, (left, right))| {
            sum.then_with(|| by.compare(left, right))
        })
    };
    let compare = |left: &Ranked, right: &Ranked| {
        let tie = || (left.part, left.seq_no).cmp(&(right.part, right.seq_no));
        compare_keys(&left.keys, &right.keys).then_with(tie)
    };
    let min_score = request.body["min_score"]
        .as_f64()
        .map_or(f32::MIN, |score| score as f32);
    let (mut ranked, mut total): (Vec<Ranked>, u64) = (Vec::new(), 0);
    for (number, (part, query)) in parts.iter().zip(queries).enumerate() {
        order
            .iter()
            .try_for_each(|criterion| criterion.check(&part.index))?;
        let after = request.body["search_after"].as_array().map(|after| {
            let pairs = order.iter().zip(after);
            pairs
                .map(|(criterion, value)| criterion.after(&part.index, value))
                .collect::<Result<Vec<_>>>()
        });
        let after = after.transpose()?;
        // All documents of an index are counted already.
        let is_all = matches!(query, Query::All) && request.slice.is_none() && min_score <= 1.0;
        let counted = is_all || request.track == 0;
        total += if is_all { part.view.count } else { 0 };
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
                if request.slice.is_some_and(|(id, max)| seq_no % max != id) || score < min_score {
                    return Ok(true);
                }
                total += u64::from(!is_all);
                let key =
                    |by: &Criterion| by.key(&part.index, source, score, shard_doc(number, seq_no));
                let keys: Vec<Value> = order.iter().map(key).collect();
                let is_before = after
                    .as_ref()
                    .is_some_and(|after| compare_keys(&keys, after) != Ordering::Greater);
                let is_over = in_scan_order && ranked.len() >= wanted;
                if !is_before && !is_over {
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
                let sorted = in_scan_order || wanted == 0 || (request.sort.is_empty() && is_all);
                let is_full = sorted && ranked.len() >= wanted;
                Ok(!(is_full && (counted || total > request.track)))
            },
        )?;
    }
    ranked.sort_unstable_by(compare);
    ranked.truncate(wanted);
    Ok((ranked, total))
}

/// The query of `_count` and `_delete_by_query`, which take nothing else.
fn only_query(call: &Call) -> Result<Value> {
    let body = call.object("only_query")?;
    Ok(match (call.params.text("q"), body.get("query")) {
        (Some(text), _) => json!({"query_string": {"query": text}}),
        (None, Some(query)) => query.clone(),
        (None, None) => json!({"match_all": {}}),
    })
}

pub(crate) fn count(engine: &Engine, call: &Call, expression: &str) -> Result<Reply> {
    let (parts, queries) = parts_of(engine, call, expression, &only_query(call)?)?;
    let mut count = 0;
    for (part, query) in parts.iter().zip(&queries) {
        if matches!(query, Query::All) {
            count += part.view.count;
            continue;
        }
        part.visit(engine, query, 0, false, &mut |_, _, _| {
            count += 1;
            Ok(true)
        })?;
    }
    Reply::ok(json!({"count": count, "_shards": shards(parts.len())}))
}

/// Deletes what a query finds, a thousand documents at a time. A document that was written meanwhile stays.
pub(crate) fn delete_by_query(engine: &Engine, call: &Call, expression: &str) -> Result<Reply> {
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
            engine.storage.write(|batch| {
                for seq_no in chunk {
                    let id = part
                        .view
                        .look(*seq_no, |row| Ok(row.id.to_owned()))?
                        .unwrap_or_default();
                    let document = batch.get(&part.index, &id)?;
                    if let Some(document) = document.filter(|document| document.seq_no == *seq_no) {
                        batch.remove(&part.index, &document)?;
                        deleted += 1;
                    }
                }
                Ok(())
            })?;
        }
    }
    let status = if total > deleted && call.params.text("conflicts") != Some("proceed") {
        409
    } else {
        200
    };
    let body = json!({
        "took": begin.elapsed().as_millis() as u64, "timed_out": false, "total": total, "deleted": deleted,
        "batches": batches, "version_conflicts": total - deleted, "noops": 0, "retries": {"bulk": 0, "search": 0},
        "throttled_millis": 0, "requests_per_second": -1.0, "throttled_until_millis": 0, "failures": [],
    });
    Reply::with(status, body)
}
