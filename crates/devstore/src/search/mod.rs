//! `_search`, `_count` and `_delete_by_query`.

mod highlight;
pub(crate) mod points;
mod query;
mod sort;
mod text;
pub(crate) mod words;

use std::sync::Arc;
use std::time::Instant;

use serde_json::{Value, json};

use crate::errors::{ILLEGAL, REQUEST, Result, refuse};
use crate::http::{Call, Reply};
use crate::indices::shards;
use crate::schema;
use crate::search::points::Part;
use crate::search::sort::{Key, Order};
use crate::select::Selection;

/// Furthest result that `from` and `size` may reach, as in Elasticsearch.
const WINDOW: u64 = 10_000;

/// The body of a search, with what stands in the address in the place of what stands in the body. A search for
/// everything has no query.
fn body_of(call: &Call) -> Result<Value> {
    let mut body = call.any_object()?;
    for key in ["from", "size"] {
        if let Some(number) = call.number(key)? {
            body[key] = json!(number);
        }
    }
    let (words, operator) = (call.param("q"), call.param("default_operator"));
    if !words.is_empty() {
        let operator = if operator.is_empty() { "or" } else { operator };
        let query = json!({"query": words, "default_operator": operator});
        body["query"] = json!({"simple_query_string": query});
    }
    schema::check("search", &body)?;
    if body["query"] == json!({"match_all": {}}) {
        body["query"] = Value::Null;
    }
    Ok(body)
}

pub(crate) fn search(call: &Call, name: Option<&str>) -> Result<Reply> {
    let (begin, body) = (Instant::now(), body_of(call)?);
    let (point, query) = (&body["pit"], &body["query"]);
    let number = |key: &str, default| body[key].as_u64().unwrap_or(default);
    let from = number("from", 0);
    let wanted = from.saturating_add(number("size", 10));
    if wanted > WINDOW {
        let rule = "from + size must be less than or equal to";
        refuse!(ILLEGAL, "Result window is too large, {rule}: [{WINDOW}]");
    }
    let part = match (point["id"].as_str(), name) {
        (Some(id), None) => call.engine.points.get(id, point["keep_alive"].as_str())?,
        (None, Some(name)) => Arc::new(Part::open(call, name, !query.is_null())?),
        _ => refuse!(
            REQUEST,
            "Validation Failed: 1: give an index or a point in time;"
        ),
    };
    let index = &part.view.index;
    let order = Order::read(&body["sort"], point.is_object(), index)?;
    let after = match body["search_after"].as_array() {
        Some(_) if from > 0 || body["sort"].is_null() => {
            refuse!(ILLEGAL, "search_after needs a sort and from = 0")
        }
        after => after.map(|after| order.after(after)).transpose()?,
    };
    let ((mut matches, total), marks) = if query.is_null() {
        // A scan begins behind the last page and ends with its own.
        let last = body["search_after"][0].as_u64().filter(|_| order.is_scan());
        let is_short = order.is_scan() || body["sort"].is_null();
        let most = if is_short {
            wanted as usize
        } else {
            usize::MAX
        };
        let numbers = part.view.numbers(last.map_or(0, |last| last + 1), most)?;
        let all = numbers.into_iter().map(|number| (number, 1.0));
        ((all.collect(), part.view.counts.1), Vec::new())
    } else {
        let (query, marks) = query::read(query, index)?;
        (part.matches(&*query)?, marks)
    };
    if let Some(least) = body["min_score"].as_f64() {
        matches.retain(|(_, score)| f64::from(*score) >= least);
    }
    type Ranked = (Vec<Key>, Vec<Value>, f32, u64);
    let compare = |left: &Ranked, right: &Ranked| order.compare(&left.0, &right.0);
    let mut ranked: Vec<Ranked> = Vec::new();
    for (seq_no, score) in matches {
        let mut source = Value::Null;
        if order.by_field() {
            source = part
                .view
                .at(seq_no)?
                .map_or(Ok(source), |seen| seen.parsed())?;
        }
        let (keys, shown) = order.keys(&source, score, seq_no);
        if after
            .as_ref()
            .is_none_or(|after| order.compare(&keys, after).is_gt())
        {
            ranked.push((keys, shown, score, seq_no));
        }
        if ranked.len() as u64 > 2 * wanted + 1000 {
            ranked.sort_by(compare);
            ranked.truncate(wanted as usize);
        }
    }
    ranked.sort_by(compare);
    let selection = Selection::of_source(call.param("_source"), &body["_source"])?;
    let (mut hits, mut best) = (Vec::new(), None);
    let page = ranked.into_iter().take(wanted as usize).skip(from as usize);
    for (_, sort, score, seq_no) in page {
        let Some(seen) = part.view.at(seq_no)? else {
            continue;
        };
        let mut hit = json!({"_index": index.name, "_id": seen.id, "_score": null});
        if order.by_score() {
            hit["_score"] = json!(score);
            best = Some(best.map_or(score, |best: f32| best.max(score)));
        }
        if body["seq_no_primary_term"] == true {
            hit["_seq_no"] = json!(seq_no);
            hit["_primary_term"] = json!(1);
        }
        if !body["sort"].is_null() {
            hit["sort"] = sort.into();
        }
        if body["highlight"].is_object() {
            hit["highlight"] = highlight::of(&body["highlight"], &marks, index, &seen.parsed()?)?;
        }
        if !selection.nothing {
            hit["_source"] = selection.apply(seen.parsed()?);
        }
        hits.push(hit);
    }
    let mut found = json!({"max_score": best, "hits": hits});
    let track = match &body["track_total_hits"] {
        Value::Bool(tracked) => u64::from(*tracked) * u64::MAX,
        limit => limit.as_u64().unwrap_or(WINDOW),
    };
    if track > 0 {
        let relation = if total > track { "gte" } else { "eq" };
        found["total"] = json!({"value": total.min(track), "relation": relation});
    }
    let took = begin.elapsed().as_millis() as u64;
    let mut answer = json!({"took": took, "timed_out": false, "_shards": shards(1), "hits": found});
    if point.is_object() {
        answer["pit_id"] = point["id"].clone();
    }
    Ok((200, answer))
}

/// What the query of a body, which may have nothing else, finds in an index.
fn found_by_query(call: &Call, name: &str) -> Result<(Part, Vec<u64>)> {
    let body = call.object("only_query")?;
    let query = body
        .get("query")
        .filter(|query| **query != json!({"match_all": {}}));
    let part = Part::open(call, name, query.is_some())?;
    let found = match query {
        None => part.view.numbers(0, usize::MAX)?,
        Some(query) => {
            let (query, _) = query::read(query, &part.view.index)?;
            let (matches, _) = part.matches(&*query)?;
            matches.into_iter().map(|(seq_no, _)| seq_no).collect()
        }
    };
    Ok((part, found))
}

pub(crate) fn count(call: &Call, name: &str) -> Result<Reply> {
    let count = match call.body.is_empty() {
        true => Part::open(call, name, false)?.view.counts.1,
        false => found_by_query(call, name)?.1.len() as u64,
    };
    Ok((200, json!({"count": count, "_shards": shards(1)})))
}

/// Deletes what a query finds. A document that was written meanwhile stays.
pub(crate) fn delete_by_query(call: &Call, name: &str) -> Result<Reply> {
    if call.body.is_empty() {
        refuse!(REQUEST, "Validation Failed: 1: query is missing;");
    }
    let (part, found) = found_by_query(call, name)?;
    let (view, total, mut deleted) = (&part.view, found.len(), 0);
    call.engine.storage.write(|batch| {
        for seq_no in found {
            let Some(seen) = view.at(seq_no)? else {
                continue;
            };
            let now = batch.get(&view.index, &seen.id)?;
            if now.is_some_and(|now| now.seq_no == seq_no) {
                batch.remove(&view.index, &seen)?;
                deleted += 1;
            }
        }
        Ok(())
    })?;
    let conflicts = total - deleted;
    let is_refused = conflicts > 0 && call.param("conflicts") != "proceed";
    let body =
        json!({"total": total, "deleted": deleted, "version_conflicts": conflicts, "failures": []});
    Ok((if is_refused { 409 } else { 200 }, body))
}
