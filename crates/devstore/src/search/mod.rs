//! `_search`, `_count` and `_delete_by_query`.

mod highlight;
pub(crate) mod points;
mod query;
mod sort;
pub(crate) mod words;

use std::sync::Arc;
use std::time::Instant;

use serde_json::{Value, json};

use crate::documents::source_of;
use crate::errors::{Result, refuse};
use crate::http::{Call, Reply};
use crate::indices::shards;
use crate::schema::check;
use crate::search::points::Part;
use crate::search::query::Reading;
use crate::search::sort::Order;
use crate::search::words::matches;
use crate::select::plain_text;

/// Furthest result that `from` and `size` may reach, as in Elasticsearch.
const WINDOW: usize = 10_000;
const BODY: &str = "query:object from:int size:int sort:text|object|list search_after:list _source:bool|text|list \
    highlight:object seq_no_primary_term:bool track_total_hits:bool pit:object";

/// The body of a search, with what stands in the address in the place of what stands in the body.
fn body_of(call: &Call) -> Result<Value> {
    let mut body = call.any_object()?;
    for key in ["from", "size"] {
        if let Some(number) = call.number(key)? {
            body[key] = json!(number);
        }
    }
    if !call.param("q").is_empty() {
        body["query"] = json!({"simple_query_string": {"query": call.param("q")}});
    }
    check("search", &body, BODY)?;
    if let Some(point) = body.get("pit") {
        check("pit", point, "id!:text keep_alive:text")?;
    }
    if let Some(highlight) = body.get("highlight") {
        check("highlight", highlight, "fields!:object|list")?;
    }
    if body["query"].is_null() {
        body["query"] = json!({"match_all": {}});
    }
    Ok(body)
}

pub(crate) fn search(call: &Call, name: Option<&str>) -> Result<Reply> {
    let (begin, body) = (Instant::now(), body_of(call)?);
    let number = |key: &str, default| body[key].as_u64().unwrap_or(default);
    let from = number("from", 0);
    let wanted = from.saturating_add(number("size", 10)) as usize;
    if wanted > WINDOW {
        let rule = "from + size must be less than or equal to";
        refuse!("Result window is too large, {rule}: [{WINDOW}]");
    }
    let (sort, point) = (&body["sort"], &body["pit"]);
    let part = match name {
        Some(name) if point.is_null() => points::part(call, name)?,
        None if point.is_object() => points::get(call, &plain_text(&point["id"]))?,
        _ => refuse!("give either an index or a point in time"),
    };
    let (view, searcher) = &*part;
    let mapping = &view.index.mapping;
    let order = Order::read(sort, point.is_object(), mapping)?;
    let after = order.after(&body["search_after"])?;
    if after.is_some() && (from > 0 || sort.is_null()) {
        refuse!("search_after needs a sort and from = 0");
    }
    let query = Reading(mapping).query(&body["query"])?;
    let is_all = body["query"] == json!({"match_all": {}});
    let (found, total) = if is_all && (order.is_scan() || sort.is_null()) {
        // It begins behind the last page and ends with its own.
        let last = body["search_after"][0].as_u64();
        let documents = view.live(last.map_or(0, |last| last + 1))?.take(wanted);
        let found = documents.map(|document| Ok((document?.seq_no, 1.0)));
        (found.collect::<Result<_>>()?, view.counts.1)
    } else {
        let found = matches(searcher, &*query)?;
        let total = found.len() as u64;
        (found, total)
    };
    let mut ranked = Vec::new();
    for (seq_no, score) in found {
        let mut source = json!({});
        if order.by_field()
            && let Some(document) = view.at(seq_no)?
        {
            source = document.parsed()?;
        }
        source["_doc"] = json!(seq_no);
        source["_score"] = json!(score);
        let keys = order.keys(&source);
        if after
            .iter()
            .all(|after| order.compare(&keys, after).is_gt())
        {
            ranked.push((keys, seq_no, score));
        }
    }
    ranked.sort_by(|left, right| order.compare(&left.0, &right.0));
    ranked.truncate(wanted);
    let mut hits = Vec::new();
    for (keys, seq_no, score) in ranked.into_iter().skip(from as usize) {
        let Some(document) = view.at(seq_no)? else {
            continue;
        };
        let mut hit = json!({"_index": view.index.name, "_id": document.id, "_score": null});
        if order.by_score() {
            hit["_score"] = json!(score);
        }
        if body["seq_no_primary_term"] == true {
            hit["_seq_no"] = json!(seq_no);
            hit["_primary_term"] = json!(1);
        }
        if !sort.is_null() {
            hit["sort"] = keys.into_iter().map(|(_, shown)| shown).collect();
        }
        if body["highlight"].is_object() {
            let source = document.parsed()?;
            hit["highlight"] = highlight::of(&body["highlight"], &*query, mapping, &source)?;
        }
        if let Some(source) = source_of(call, &body["_source"], &document)? {
            hit["_source"] = source;
        }
        hits.push(hit);
    }
    let took = begin.elapsed().as_millis() as u64;
    let hits = json!({"max_score": null, "hits": hits});
    let mut answer = json!({"took": took, "timed_out": false, "_shards": shards(1), "hits": hits});
    if body["track_total_hits"] != false {
        answer["hits"]["total"] = json!({"value": total, "relation": "eq"});
    }
    if point.is_object() {
        answer["pit_id"] = point["id"].clone();
    }
    Ok((200, answer))
}

/// What the query of a body, which may have nothing else, finds in an index.
fn found_by_query(call: &Call, name: &str) -> Result<(Arc<Part>, Vec<u64>)> {
    let body = call.object("body", "query!:object")?;
    let part = points::part(call, name)?;
    let query = Reading(&part.0.index.mapping).query(&body["query"])?;
    let found = matches(&part.1, &*query)?.into_iter();
    let found = found.map(|(seq_no, _)| seq_no).collect();
    Ok((part, found))
}

pub(crate) fn count(call: &Call, name: &str) -> Result<Reply> {
    let count = if call.body.is_empty() {
        call.engine.storage.view(name)?.counts.1
    } else {
        found_by_query(call, name)?.1.len() as u64
    };
    Ok((200, json!({"count": count, "_shards": shards(1)})))
}

/// Deletes what a query finds. Nobody writes meanwhile, so there are no conflicts.
pub(crate) fn delete_by_query(call: &Call, name: &str) -> Result<Reply> {
    let deleted = call.engine.storage.write(|batch| {
        let (part, found) = found_by_query(call, name)?;
        for seq_no in &found {
            if let Some(seen) = part.0.at(*seq_no)? {
                batch.put(&part.0.index, &seen.id, "", Some(&seen))?;
            }
        }
        Ok(found.len())
    })?;
    let shown =
        json!({"total": deleted, "deleted": deleted, "version_conflicts": 0, "failures": []});
    Ok((200, shown))
}
