//! `_search`, `_count` and `_delete_by_query`.

mod highlight;
pub(crate) mod points;
mod query;
mod sort;
mod strings;
pub(crate) mod text;
pub(crate) mod words;

use std::cmp::Ordering;
use std::sync::Arc;
use std::time::Instant;

use serde_json::{Value, json};

use crate::errors::{Problem, Result, refuse};
use crate::http::{Call, Reply};
use crate::indices::{resolve, shards};
use crate::schema;
use crate::search::points::Part;
use crate::search::sort::{By, Criterion, Key};
use crate::select::{Selection, list};
use crate::storage::{Document, Index};

/// Furthest result that `from` and `size` may reach, as in Elasticsearch.
const WINDOW: u64 = 10_000;

/// A query as it is for one index.
pub(crate) struct Sought {
    query: query::Found,
    /// What a highlight marks: the path of a field, and a pattern for the word.
    marks: Vec<(String, String)>,
    /// Whether it finds everything; the full-text index is not asked then.
    pub(crate) is_all: bool,
}

impl Sought {
    fn read(query: &Value, index: &Index) -> Result<Sought> {
        let ((found, marks), is_all) = (query::read(query, index)?, is_all(query));
        Ok(Sought {
            query: found,
            marks,
            is_all,
        })
    }
}

fn is_all(query: &Value) -> bool {
    *query == json!({"match_all": {}})
}

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
}

impl Request {
    fn parse(call: &Call) -> Result<Request> {
        let mut body = call.any_object()?;
        for key in [
            "from",
            "size",
            "seq_no_primary_term",
            "version",
            "track_total_hits",
        ] {
            let text = call.param(key);
            if !text.is_empty() {
                body[key] = serde_json::from_str(text).unwrap_or(json!(text));
            }
        }
        let (text, operator) = (call.param("q"), call.param("default_operator"));
        if !text.is_empty() {
            let operator = if operator.is_empty() { "or" } else { operator };
            body["query"] =
                json!({"simple_query_string": {"query": text, "default_operator": operator}});
        }
        for part in list(call.param("sort")) {
            let (name, order) = part.split_once(':').unwrap_or((part, "asc"));
            match &mut body["sort"] {
                Value::Array(sort) => sort.push(json!({name: order})),
                sort => *sort = json!([{name: order}]),
            }
        }
        if body["query"].is_null() {
            body["query"] = json!({"match_all": {}});
        }
        body.as_object_mut()
            .map(|body| body.retain(|_, value| !value.is_null()));
        schema::check("search", &body)?;
        let number = |key: &str, default| body[key].as_u64().unwrap_or(default);
        let (from, size) = (number("from", 0), number("size", 10));
        if from.saturating_add(size) > WINDOW {
            refuse!(
                "illegal_argument_exception",
                "Result window is too large, from + size must be less than or equal to: [{WINDOW}]"
            );
        }
        let mut sort = sort::parse(&body["sort"])?;
        let has_tie_breaker = sort.iter().any(|criterion| criterion.by == By::ShardDoc);
        if body["pit"].is_object() && !sort.is_empty() && !has_tie_breaker {
            sort.push(Criterion::new("_shard_doc"));
        }
        let after = body["search_after"].as_array();
        if after.is_some_and(|after| after.len() != sort.len() || from > 0) {
            refuse!(
                "illegal_argument_exception",
                "search_after needs from = 0 and as many values as sort has: {}",
                sort.len()
            );
        }
        let track = match &body["track_total_hits"] {
            Value::Bool(tracked) => u64::from(*tracked) * u64::MAX,
            limit => limit.as_u64().unwrap_or(WINDOW),
        };
        Ok(Request {
            source: Selection::of_call(call, &body["_source"])?,
            from: from as usize,
            size: size as usize,
            body,
            sort,
            track,
        })
    }

    fn by_score(&self) -> bool {
        self.sort.is_empty() || self.sort.iter().any(|criterion| criterion.by == By::Score)
    }

    /// One hit as the answer shows it.
    fn hit(&self, part: &Part, sought: &Sought, found: &Ranked, row: Document) -> Result<Value> {
        let index = &part.view.index;
        let mut hit = json!({"_index": index.name, "_id": row.id, "_score": null});
        if self.by_score() {
            hit["_score"] = json!(found.score);
        }
        if self.body["version"] == true {
            hit["_version"] = json!(row.version);
        }
        if self.body["seq_no_primary_term"] == true {
            hit["_seq_no"] = json!(row.seq_no);
            hit["_primary_term"] = json!(1);
        }
        let (spec, mut source) = (&self.body["highlight"], Value::Null);
        if !self.source.nothing || spec.is_object() || needs_source(&self.sort) {
            source = serde_json::from_str(&row.source)?;
        }
        if !self.sort.is_empty() {
            let place = shard_doc(found.part, row.seq_no);
            let key = |by: &Criterion| by.key(index, &source, found.score, place).1;
            hit["sort"] = self.sort.iter().map(key).collect();
        }
        if spec.is_object() {
            hit["highlight"] = highlight::highlight(spec, &sought.marks, index, &source)?;
        }
        if !self.source.nothing {
            hit["_source"] = self.source.apply(source);
        }
        Ok(hit)
    }
}

/// A match on its way to the page.
struct Ranked {
    keys: Vec<Key>,
    score: f32,
    part: usize,
    seq_no: u64,
}

/// The sequence number in the order over all parts: Elasticsearch has the shard in the upper bits too.
fn shard_doc(part: usize, seq_no: u64) -> u64 {
    ((part as u64) << 48) | seq_no
}

fn needs_source(sort: &[Criterion]) -> bool {
    sort.iter()
        .any(|criterion| matches!(criterion.by, By::Field(_)))
}

pub(crate) fn search(call: &Call, expression: Option<&str>) -> Result<Reply> {
    let begin = Instant::now();
    let request = Request::parse(call)?;
    let (point, query) = (&request.body["pit"], &request.body["query"]);
    let parts = match (point["id"].as_str(), expression) {
        (Some(_), Some(_)) => {
            return Err(Problem::validation(
                "[indices] cannot be used with point in time",
            ));
        }
        (Some(id), None) => call.engine.points.get(id, point["keep_alive"].as_str())?,
        (None, expression) => parts_of(call, expression.unwrap_or("_all"), query)?,
    };
    let sought = parts
        .iter()
        .map(|part| Sought::read(query, &part.view.index));
    let sought = sought.collect::<Result<Vec<_>>>()?;
    let (ranked, total) = rank(&request, &parts, &sought)?;
    let mut hits = Vec::with_capacity(ranked.len());
    for found in ranked.iter().skip(request.from) {
        let part = &parts[found.part];
        if let Some(row) = part.view.at(found.seq_no)? {
            hits.push(request.hit(part, &sought[found.part], found, row)?);
        }
    }
    let mut found = json!({"max_score": null, "hits": null});
    if request.track > 0 {
        let relation = if total > request.track { "gte" } else { "eq" };
        found["total"] = json!({"value": total.min(request.track), "relation": relation});
    }
    if request.by_score() {
        let scores = hits.iter().filter_map(|hit| hit["_score"].as_f64());
        found["max_score"] = json!(scores.reduce(f64::max));
    }
    found["hits"] = hits.into();
    let took = begin.elapsed().as_millis() as u64;
    let mut body =
        json!({"took": took, "timed_out": false, "_shards": shards(parts.len()), "hits": found});
    if !point.is_null() {
        body["pit_id"] = point["id"].clone();
    }
    Ok((200, body))
}

/// The views of the indices of an expression.
fn parts_of(call: &Call, expression: &str, query: &Value) -> Result<Arc<Vec<Part>>> {
    // Where there is nothing to search in, a wrong query is still wrong.
    query::read(query, &Index::default())?;
    let indices = resolve(call, expression)?;
    let parts = indices
        .iter()
        .map(|index| Part::for_query(call.engine, index, query));
    Ok(Arc::new(parts.collect::<Result<_>>()?))
}

/// Finds the first `from + size` matches in the wanted order, and how many there are. Memory: the numbers of all
/// matches, and the keys of twice the wanted ones.
fn rank(request: &Request, parts: &[Part], sought: &[Sought]) -> Result<(Vec<Ranked>, u64)> {
    let (wanted, by_score) = (request.from + request.size, [Criterion::new("_score")]);
    let order = if request.sort.is_empty() {
        &by_score[..]
    } else {
        &request.sort[..]
    };
    let compare_keys = |left: &[Key], right: &[Key]| {
        let mut each = order.iter().zip(left.iter().zip(right));
        let orders = each.find_map(|(by, (left, right))| {
            Some(by.compare(left, right)).filter(|order| order.is_ne())
        });
        orders.unwrap_or(Ordering::Equal)
    };
    let compare = |left: &Ranked, right: &Ranked| {
        let tie = (left.part, left.seq_no).cmp(&(right.part, right.seq_no));
        compare_keys(&left.keys, &right.keys).then(tie)
    };
    let in_scan_order = matches!(order, [by] if by.by == By::ShardDoc && !by.descending);
    let (mut ranked, mut total): (Vec<Ranked>, u64) = (Vec::new(), 0);
    for (number, (part, sought)) in parts.iter().zip(sought).enumerate() {
        let index = &part.view.index;
        order
            .iter()
            .try_for_each(|criterion| criterion.check(index))?;
        let after = request.body["search_after"].as_array();
        let after = after.map(|after| {
            let pairs = order.iter().zip(after);
            pairs
                .map(|(criterion, value)| criterion.after(index, value))
                .collect::<Result<Vec<_>>>()
        });
        let after = after.transpose()?;
        // A scan begins behind the last page and ends with its own; all documents of an index are counted already.
        let last = request.body["search_after"][0]
            .as_u64()
            .filter(|_| in_scan_order);
        let from = last.map_or(0, |last| (last + 1).saturating_sub(shard_doc(number, 0)));
        let is_scan = in_scan_order || request.sort.is_empty();
        let most = if is_scan { wanted } else { usize::MAX };
        let mut matches = part.matches(sought, from, most)?;
        if let Some(least) = request.body["min_score"].as_f64() {
            matches.retain(|(_, score)| f64::from(*score) >= least);
        }
        total += if sought.is_all {
            part.view.count
        } else {
            matches.len() as u64
        };
        for (seq_no, score) in matches {
            let mut source = Value::Null;
            if needs_source(order)
                && let Some(row) = part.view.at(seq_no)?
            {
                source = serde_json::from_str(&row.source)?;
            }
            let place = shard_doc(number, seq_no);
            let keys = order
                .iter()
                .map(|by| by.key(index, &source, score, place).0);
            let keys: Vec<Key> = keys.collect();
            let is_wanted = |after: &Vec<Key>| compare_keys(&keys, after).is_gt();
            if after.as_ref().is_none_or(is_wanted) {
                let part = number;
                ranked.push(Ranked {
                    keys,
                    score,
                    part,
                    seq_no,
                });
            }
            if ranked.len() > wanted * 2 + 100 {
                ranked.sort_unstable_by(compare);
                ranked.truncate(wanted);
            }
        }
    }
    ranked.sort_unstable_by(compare);
    ranked.truncate(wanted);
    Ok((ranked, total))
}

/// What the query of a body finds, in each index of an expression.
fn found_by_query(call: &Call, expression: &str) -> Result<Vec<(Part, Vec<u64>)>> {
    let body = call.object("only_query")?;
    let all = json!({"match_all": {}});
    let query = body.get("query").unwrap_or(&all);
    query::read(query, &Index::default())?;
    let found = resolve(call, expression)?.into_iter().map(|index| {
        let part = Part::for_query(call.engine, &index, query)?;
        let sought = Sought::read(query, &part.view.index)?;
        let matches = part.matches(&sought, 0, usize::MAX)?.into_iter();
        Ok((part, matches.map(|(seq_no, _)| seq_no).collect()))
    });
    found.collect()
}

pub(crate) fn count(call: &Call, expression: &str) -> Result<Reply> {
    let found = found_by_query(call, expression)?;
    let count: usize = found.iter().map(|(_, matches)| matches.len()).sum();
    Ok((200, json!({"count": count, "_shards": shards(found.len())})))
}

/// Deletes what a query finds, a thousand documents at a time. A document that was written meanwhile stays.
pub(crate) fn delete_by_query(call: &Call, expression: &str) -> Result<Reply> {
    let begin = Instant::now();
    if call.body.is_empty() {
        return Err(Problem::validation("query is missing"));
    }
    let (mut total, mut deleted) = (0, 0);
    for (part, matches) in found_by_query(call, expression)? {
        total += matches.len();
        for chunk in matches.chunks(1000) {
            call.engine.storage.write(|batch| {
                for seq_no in chunk {
                    let Some(seen) = part.view.at(*seq_no)? else {
                        continue;
                    };
                    let now = batch.get(&part.view.index, &seen.id)?;
                    if now.is_some_and(|now| now.seq_no == *seq_no) {
                        batch.remove(&part.view.index, &seen)?;
                        deleted += 1;
                    }
                }
                Ok(())
            })?;
        }
    }
    let is_refused = total > deleted && call.param("conflicts") != "proceed";
    let took = begin.elapsed().as_millis() as u64;
    let body = json!({
        "took": took, "timed_out": false, "total": total, "deleted": deleted, "failures": [],
        "version_conflicts": total - deleted, "noops": 0,
    });
    Ok((if is_refused { 409 } else { 200 }, body))
}
