//! Which path leads where. What is not here is answered 501.

use serde_json::{Value, json};

use crate::bulk::bulk;
use crate::documents::{self, Action};
use crate::engine::Engine;
use crate::errors::{Problem, Result};
use crate::http::{Call, Reply};
use crate::search::{self, points};
use crate::{connectors, indices, pipeline};

pub(crate) fn route(engine: &Engine, call: &Call) -> Result<Reply> {
    let path: Vec<&str> = call.path.iter().map(String::as_str).collect();
    let method = if call.method == "HEAD" {
        "GET"
    } else {
        call.method.as_str()
    };
    match (method, path.as_slice()) {
        ("GET", []) => fixed("about"),
        ("GET", ["_cluster", "health", ..]) => fixed("health"),
        ("GET", ["_license"]) => fixed("license"),
        ("GET", ["_ingest", "pipeline", names @ ..]) if names.len() < 2 => {
            pipeline::show(names.first().copied())
        }
        ("GET", ["_security", "_authenticate"]) => call.authenticate(),
        ("POST" | "PUT", ["_security", "api_key"]) => engine.issue_key(call),
        ("DELETE", ["_security", "api_key"]) => engine.invalidate_keys(call),
        ("GET" | "POST", ["_security", "user", "_has_privileges"]) => call.has_privileges(),
        (_, ["_connector", rest @ ..]) => connectors::route(engine, call, method, rest),
        ("POST" | "PUT", ["_bulk"]) => bulk(engine, call, None),
        ("POST" | "PUT", [index, "_bulk"]) => bulk(engine, call, Some(index)),
        ("GET" | "POST", ["_mget"]) => documents::get_many(engine, call, None),
        ("GET" | "POST", [index, "_mget"]) => documents::get_many(engine, call, Some(index)),
        ("GET" | "POST", ["_search"]) => search::search(engine, call, None),
        ("GET" | "POST", [index, "_search"]) => search::search(engine, call, Some(index)),
        ("GET" | "POST", ["_count"]) => search::count(engine, call, "_all"),
        ("GET" | "POST", [index, "_count"]) => search::count(engine, call, index),
        ("POST", [index, "_delete_by_query"]) => search::delete_by_query(engine, call, index),
        ("DELETE", ["_pit"]) => points::close(engine, call),
        ("POST", [index, "_pit"]) => points::open(engine, call, index),
        ("GET" | "POST", ["_refresh"]) => indices::refresh(engine, call, "_all"),
        ("GET" | "POST", [index, "_refresh"]) => indices::refresh(engine, call, index),
        ("GET", ["_stats", ..]) => indices::stats(engine, call, "_all"),
        ("GET", [index, "_stats", ..]) => indices::stats(engine, call, index),
        ("GET", ["_mapping"]) => indices::show(engine, call, "_all", &["mappings"]),
        ("GET", [index, "_mapping"]) => indices::show(engine, call, index, &["mappings"]),
        ("PUT" | "POST", [index, "_mapping"]) => indices::put_mapping(engine, call, index),
        ("GET", [index, "_settings"]) => indices::show(engine, call, index, &["settings"]),
        ("GET", ["_alias"]) => indices::show(engine, call, "_all", &["aliases"]),
        ("GET", ["_alias", alias] | [alias, "_alias"]) => {
            indices::show(engine, call, alias, &["aliases"])
        }
        ("PUT" | "POST", [index, "_alias", alias]) => {
            indices::set_alias(engine, call, index, alias, true)
        }
        ("DELETE", [index, "_alias", alias]) => {
            indices::set_alias(engine, call, index, alias, false)
        }
        ("GET", [index, "_doc", id]) => documents::get(engine, call, index, id, false),
        ("GET", [index, "_source", id]) => documents::get(engine, call, index, id, true),
        ("POST", [index, "_doc"]) => documents::write(engine, call, Action::Index, index, None),
        ("PUT" | "POST", [index, "_doc", id]) => {
            documents::write(engine, call, Action::Index, index, Some(id))
        }
        ("DELETE", [index, "_doc", id]) => {
            documents::write(engine, call, Action::Delete, index, Some(id))
        }
        ("PUT" | "POST", [index, "_create", id]) => {
            documents::write(engine, call, Action::Create, index, Some(id))
        }
        ("POST", [index, "_update", id]) => {
            documents::write(engine, call, Action::Update, index, Some(id))
        }
        ("PUT", [index]) if !index.starts_with('_') => indices::create(engine, call, index),
        ("DELETE", [index]) if !index.starts_with('_') => indices::delete(engine, call, index),
        ("GET", [index]) if !index.starts_with('_') || *index == "_all" => {
            indices::show(engine, call, index, &["aliases", "mappings", "settings"])
        }
        _ => Err(Problem::unsupported(format!(
            "[{} /{}]",
            call.method,
            call.path.join("/")
        ))),
    }
}

/// Answers that are always the same.
fn fixed(name: &str) -> Result<Reply> {
    let answers: Value = serde_json::from_str(include_str!("templates/answers.json"))?;
    Reply::ok(json!(answers[name]))
}
