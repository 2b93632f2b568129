//! Which path leads where. What is not here is answered 501.

use serde_json::{Value, json};

use crate::bulk::bulk;
use crate::documents::{self, Action};
use crate::errors::Result;
use crate::http::{Call, Reply};
use crate::search::{self, points};
use crate::{connectors, indices, pipeline, security};

pub(crate) fn route(call: &Call) -> Result<Reply> {
    match (call.method, call.path) {
        ("GET", []) => fixed("about"),
        ("GET", ["_cluster", "health"]) => fixed("health"),
        ("GET", ["_license"]) => fixed("license"),
        ("GET", ["_ingest", "pipeline", name @ ..]) if name.len() < 2 => {
            pipeline::show(name.first())
        }
        ("POST" | "PUT", ["_security", "api_key"]) => security::issue_key(call),
        ("DELETE", ["_security", "api_key"]) => security::invalidate_keys(call),
        (_, ["_connector", rest @ ..]) => connectors::route(call, rest),
        ("POST" | "PUT", ["_bulk"]) => bulk(call, ""),
        ("POST" | "PUT", [index, "_bulk"]) => bulk(call, index),
        ("GET" | "POST", [index, "_mget"]) => documents::get_many(call, index),
        ("GET" | "POST", ["_search"]) => search::search(call, None),
        ("GET" | "POST", [index, "_search"]) => search::search(call, Some(index)),
        ("GET" | "POST", ["_count"]) => search::count(call, "_all"),
        ("GET" | "POST", [index, "_count"]) => search::count(call, index),
        ("POST", [index, "_delete_by_query"]) => search::delete_by_query(call, index),
        ("DELETE", ["_pit"]) => points::close(call),
        ("POST", [index, "_pit"]) => points::open(call, index),
        ("GET" | "POST", ["_refresh"]) => indices::refresh(call, "_all"),
        ("GET" | "POST", [index, "_refresh"]) => indices::refresh(call, index),
        ("GET", ["_stats"]) => indices::stats(call, "_all"),
        ("GET", [index, "_stats"]) => indices::stats(call, index),
        ("GET", ["_mapping"]) => indices::show(call, "_all", &["mappings"]),
        ("GET", [index, "_mapping"]) => indices::show(call, index, &["mappings"]),
        ("PUT" | "POST", [index, "_mapping"]) => indices::put_mapping(call, index),
        ("GET", [index, "_settings"]) => indices::show(call, index, &["settings"]),
        ("GET", ["_alias", name] | [name, "_alias"]) => indices::show(call, name, &["aliases"]),
        ("PUT" | "POST", [index, "_alias", alias]) => indices::put_alias(call, index, alias),
        ("GET", [index, "_doc", id]) => documents::get(call, index, id),
        ("GET", [index, "_source", id]) => documents::get_source(call, index, id),
        ("POST", [index, "_doc"]) => documents::write(call, Action::Index, index, None),
        ("PUT" | "POST", [index, "_doc", id]) => {
            documents::write(call, Action::Index, index, Some(id))
        }
        ("DELETE", [index, "_doc", id]) => documents::write(call, Action::Delete, index, Some(id)),
        ("PUT" | "POST", [index, "_create", id]) => {
            documents::write(call, Action::Create, index, Some(id))
        }
        ("POST", [index, "_update", id]) => documents::write(call, Action::Update, index, Some(id)),
        (_, [index]) if index.starts_with('_') && *index != "_all" => call.unsupported(),
        ("PUT", [index]) => indices::create(call, index),
        ("DELETE", [index]) => indices::delete(call, index),
        ("GET", [index]) => indices::show(call, index, &["aliases", "mappings", "settings"]),
        _ => call.unsupported(),
    }
}

/// Answers that are always the same.
fn fixed(name: &str) -> Result<Reply> {
    let answers: Value = serde_json::from_str(include_str!("templates/answers.json"))?;
    Ok((200, json!(answers[name])))
}
