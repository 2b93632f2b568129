//! Sync jobs.

use serde_json::{Value, json};

use super::{
    CONNECTORS, JOBS, UNSUPPORTED_TRANSITION, all, edit, find, page, passes, refuse_state, write,
};
use crate::dates;
use crate::documents::merge;
use crate::engine::Engine;
use crate::errors::{Problem, Result};
use crate::http::{Call, Reply};
use crate::indices::target;
use crate::schema;

const ACCESS_CONTROL_PREFIX: &str = ".search-acl-filter-";

pub(super) fn create(engine: &Engine, call: &Call) -> Result<Reply> {
    let body = call.object("job.post")?;
    let connector_id = body["id"].as_str().unwrap_or_default();
    if connector_id.is_empty() {
        return Err(Problem::validation(
            "[id] of the connector cannot be null or empty.",
        ));
    }
    let (id, now) = (engine.random_name()?, dates::now());
    engine.storage.write(|batch| {
        let (_, _, connector) = find(engine, batch, CONNECTORS, connector_id)?;
        let Some(index_name) = connector["index_name"].as_str() else {
            refuse_state!("Cannot start a sync for connector [{connector_id}] with no index attached.")
        };
        if connector["service_type"].as_str().unwrap_or_default().is_empty() {
            refuse_state!("Cannot start a sync for connector [{connector_id}] with no service type defined.");
        }
        let job_type = body["job_type"].as_str().unwrap_or("full");
        let prefix = if job_type == "access_control" { ACCESS_CONTROL_PREFIX } else { "" };
        let (index_name, filtering) = (format!("{prefix}{index_name}"), &connector["filtering"][0]["active"]);
        // What the connector is now; later changes of it do not reach this job.
        let mut snapshot = json!({"id": connector_id, "filtering": filtering, "index_name": index_name});
        for key in ["language", "pipeline", "service_type", "configuration"] {
            if let Some(value) = connector.get(key) {
                snapshot[key] = value.clone();
            }
        }
        let job = json!({
            "connector": snapshot, "created_at": now, "deleted_document_count": 0, "indexed_document_count": 0,
            "indexed_document_volume": 0, "job_type": job_type, "last_seen": now, "metadata": {}, "status": "pending",
            "total_document_count": 0, "trigger_method": body["trigger_method"].as_str().unwrap_or("on_demand"),
        });
        let index = target(engine, batch, JOBS, true)?;
        write(batch, &index, &id, &job, None)
    })?;
    Reply::with(201, json!({"id": id}))
}

pub(super) fn list(engine: &Engine, call: &Call) -> Result<Reply> {
    for parameter in ["status", "job_type"] {
        let words = call
            .params
            .text(parameter)
            .filter(|words| !words.is_empty());
        for word in words.into_iter().flat_map(|words| words.split(',')) {
            schema::check(parameter, &json!(word))?;
        }
    }
    let mut jobs = all(engine, JOBS, |job| {
        passes(call, "status", &job["status"])
            && passes(call, "connector_id", &job["connector"]["id"])
            && passes(call, "job_type", &job["job_type"])
    })?;
    jobs.reverse();
    jobs.sort_by_key(|job| std::cmp::Reverse(dates::millis_of(&job["created_at"])));
    page(call, &jobs)
}

pub(super) fn show(engine: &Engine, id: &str) -> Result<Reply> {
    let job = all(engine, JOBS, |job| job["id"] == id)?.pop();
    Reply::ok(job.ok_or_else(|| Problem::not_found(id))?)
}

pub(super) fn delete(engine: &Engine, id: &str) -> Result<Reply> {
    engine.storage.write(|batch| {
        let (index, document, _) = find(engine, batch, JOBS, id)?;
        batch.remove(&index, &document)
    })?;
    Reply::ok(json!({"acknowledged": true}))
}

/// The updates `PUT /_connector/_sync_job/{id}/{change}`.
pub(super) fn change(engine: &Engine, call: &Call, id: &str, change: &str) -> Result<Reply> {
    let mut body = match change {
        "_check_in" | "_cancel" => json!({}),
        "_claim" | "_error" | "_stats" => call.object(&format!("job.{change}"))?,
        _ => {
            return Err(Problem::unsupported(format!(
                "[PUT /_connector/_sync_job/{id}/{change}]"
            )));
        }
    };
    edit(engine, JOBS, id, |_, job| {
        let (now, status) = (
            json!(dates::now()),
            job["status"].as_str().unwrap_or_default(),
        );
        let partial = match (change, status) {
            ("_check_in", _) => json!({"last_seen": now}),
            ("_claim", _) => {
                let mut partial =
                    json!({"status": "in_progress", "last_seen": now, "started_at": now});
                partial["worker_hostname"] = body["worker_hostname"].take();
                if body["sync_cursor"].is_object() {
                    job["connector"]["sync_cursor"] = body["sync_cursor"].take();
                }
                partial
            }
            ("_cancel", "pending" | "suspended") => json!({
                "status": "canceled", "cancelation_requested_at": now, "canceled_at": now, "completed_at": now
            }),
            ("_cancel", "in_progress") => {
                json!({"status": "canceling", "cancelation_requested_at": now})
            }
            ("_error", "in_progress" | "canceling") => {
                json!({"status": "error", "error": body["error"]})
            }
            ("_stats", _) => {
                if body["last_seen"].is_null() {
                    body["last_seen"] = now;
                }
                body.take()
            }
            _ => {
                let next = if change == "_cancel" {
                    "canceling"
                } else {
                    "error"
                };
                refuse_state!(
                    "Invalid transition attempt from [{status}] to [{next}]. {UNSUPPORTED_TRANSITION}"
                )
            }
        };
        if let (Value::Object(job), Value::Object(mut partial)) = (job, partial) {
            partial.retain(|_, value| !value.is_null());
            merge(job, partial);
        }
        Ok(())
    })
}
