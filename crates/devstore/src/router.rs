//! Which path leads where. What is not here is answered 501.

use serde_json::{Map, Value, json};

use crate::bulk::bulk;
use crate::documents::{self, Action};
use crate::engine::Engine;
use crate::errors::Problem;
use crate::http::{Call, Reply, authenticate};
use crate::search::{self, points};
use crate::{connectors, indices, pipeline};

/// The interface version whose paths and bodies the store follows.
const VERSION: &str = "9.1.0";

pub(crate) fn route(engine: &Engine, call: &Call) -> Result<Reply, Problem> {
    let path: Vec<&str> = call.path.iter().map(String::as_str).collect();
    let method = if call.method == "HEAD" {
        "GET"
    } else {
        call.method.as_str()
    };
    match (method, path.as_slice()) {
        ("GET", []) => about(),
        ("GET", ["_cluster", "health", ..]) => health(engine),
        ("GET", ["_license"]) => Reply::ok(&json!({"license": {
            "status": "active", "uid": "00000000-0000-0000-0000-000000000000", "type": "basic", "issue_date": "2026-01-01T00:00:00.000Z",
            "issue_date_in_millis": 1_767_225_600_000_u64, "max_nodes": 1, "issued_to": "tributary-store", "issuer": "tributary-store", "start_date_in_millis": -1
        }})),
        ("GET", ["_ingest", "pipeline"]) => pipeline::show(None),
        ("GET", ["_ingest", "pipeline", name]) => pipeline::show(Some(name)),
        ("GET", ["_security", "_authenticate"]) => authenticate(&call.who),
        ("POST" | "PUT", ["_security", "api_key"]) => engine.issue_key(call),
        ("DELETE", ["_security", "api_key"]) => engine.invalidate_keys(call),
        ("GET" | "POST", ["_security", "user", "_has_privileges"]) => has_privileges(call),
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
        ("PUT", [index, "_settings"]) => indices::put_settings(engine, call, index),
        ("GET", ["_alias"]) => indices::show(engine, call, "_all", &["aliases"]),
        ("GET", ["_alias", alias] | [alias, "_alias"]) => {
            indices::show(engine, call, alias, &["aliases"])
        }
        ("PUT" | "POST", [index, "_alias" | "_aliases", alias]) => {
            indices::set_alias(engine, call, index, alias, true)
        }
        ("DELETE", [index, "_alias" | "_aliases", alias]) => {
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

fn about() -> Result<Reply, Problem> {
    Reply::ok(&json!({
        "name": "tributary", "cluster_name": "tributary-store", "cluster_uuid": "_na_",
        "version": {
            "number": VERSION, "build_flavor": "default", "build_type": "embedded", "distribution": "tributary-store", "build_hash": "unknown",
            "build_date": "2026-01-01T00:00:00.000Z", "build_snapshot": false, "lucene_version": "none",
            "minimum_wire_compatibility_version": "8.19.0", "minimum_index_compatibility_version": "8.0.0"
        },
        "tagline": "A small store that speaks to Elasticsearch's clients. It is not Elasticsearch."
    }))
}

fn health(engine: &Engine) -> Result<Reply, Problem> {
    let shards = engine.storage.catalogue().len();
    Reply::ok(&json!({
        "cluster_name": "tributary-store", "status": "green", "timed_out": false, "number_of_nodes": 1, "number_of_data_nodes": 1,
        "active_primary_shards": shards, "active_shards": shards, "relocating_shards": 0, "initializing_shards": 0,
        "unassigned_shards": 0, "delayed_unassigned_shards": 0, "number_of_pending_tasks": 0, "number_of_in_flight_fetch": 0,
        "task_max_waiting_in_queue_millis": 0, "active_shards_percent_as_number": 100.0
    }))
}

/// Whoever is let in may do everything.
fn has_privileges(call: &Call) -> Result<Reply, Problem> {
    let body = Value::Object(call.any_object()?);
    let all = |privileges: &Value| -> Map<String, Value> {
        let privileges = privileges
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str);
        privileges
            .map(|privilege| (privilege.to_owned(), json!(true)))
            .collect()
    };
    let mut index = Map::new();
    for group in body["index"].as_array().into_iter().flatten() {
        let names = group["names"]
            .as_array()
            .map_or_else(|| std::slice::from_ref(&group["names"]), Vec::as_slice);
        for name in names.iter().filter_map(Value::as_str) {
            index.insert(name.to_owned(), Value::Object(all(&group["privileges"])));
        }
    }
    Reply::ok(&json!({
        "username": crate::http::USER, "has_all_requested": true, "cluster": all(&body["cluster"]), "index": index, "application": {}
    }))
}
