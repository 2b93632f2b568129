//! Which path leads where. What is not here is answered 501.

use serde_json::{Value, json};

use crate::documents::{self, bulk, write};
use crate::errors::{Result, unsupported};
use crate::http::{Call, Reply};
use crate::search::{self, points};
use crate::{connectors, indices, pipeline, security};

pub(crate) fn route(call: &Call) -> Result<Reply> {
    match (call.method, call.path) {
        ("GET", [""]) => fixed("about"),
        ("GET", ["_license"]) => fixed("license"),
        ("GET", ["_ingest", "pipeline", name]) => pipeline::show(name),
        ("POST" | "PUT", ["_security", "api_key"]) => security::issue_key(call),
        (_, ["_connector", rest @ ..]) => connectors::route(call, rest),
        ("POST" | "PUT", ["_bulk"]) => bulk(call, ""),
        ("POST" | "PUT", [index, "_bulk"]) => bulk(call, index),
        ("GET" | "POST", [index, "_mget"]) => documents::get_many(call, index),
        ("GET" | "POST", ["_search"]) => search::search(call, None),
        ("GET" | "POST", [index, "_search"]) => search::search(call, Some(index)),
        ("GET" | "POST", [index, "_count"]) => search::count(call, index),
        ("POST", [index, "_delete_by_query"]) => search::delete_by_query(call, index),
        ("DELETE", ["_pit"]) => points::close(call),
        ("POST", [index, "_pit"]) => points::open(call, index),
        ("GET" | "POST", [index, "_refresh"]) => indices::refresh(call, index),
        ("GET", [index, "_stats"]) => indices::stats(call, index),
        ("GET", [index, "_mapping"]) => indices::show(call, index),
        ("PUT" | "POST", [index, "_mapping"]) => indices::put_mapping(call, index),
        ("GET", [index, "_doc" | "_source", id]) => documents::get(call, index, id),
        ("POST", [index, "_doc"]) => write(call, "index", index, None),
        ("PUT" | "POST", [index, "_doc", id]) => write(call, "index", index, Some(id)),
        ("DELETE", [index, "_doc", id]) => write(call, "delete", index, Some(id)),
        ("PUT" | "POST", [index, "_create", id]) => write(call, "create", index, Some(id)),
        ("POST", [index, "_update", id]) => write(call, "update", index, Some(id)),
        ("PUT", [index]) if !index.starts_with('_') => indices::create(call, index),
        ("DELETE", [index]) if !index.starts_with('_') => indices::delete(call, index),
        ("GET", [index]) if !index.starts_with('_') => indices::show(call, index),
        (method, path) => unsupported!("[{method} /{}]", path.join("/")),
    }
}

/// Answers that are always the same.
fn fixed(name: &str) -> Result<Reply> {
    let answers: Value = serde_json::from_str(include_str!("templates/answers.json"))?;
    Ok((200, json!(answers[name])))
}
