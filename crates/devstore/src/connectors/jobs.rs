//! Sync jobs.

use serde_json::{Value, json};

use super::changes::refuse_transition;
use super::{CONNECTORS, JOBS, all, edit, find, page, refuse_state, write};
use crate::dates;
use crate::documents::merge;
use crate::engine::random_name;
use crate::errors::{Problem, Result};
use crate::http::{Call, Reply};
use crate::indices::acknowledged;
use crate::schema;

const ACCESS_CONTROL_PREFIX: &str = ".search-acl-filter-";

pub(super) fn create(call: &Call) -> Result<Reply> {
    let body = call.object("job.post")?;
    let connector_id = body["id"].as_str().unwrap_or_default();
    if connector_id.is_empty() {
        return Err(Problem::validation(
            "[id] of the connector cannot be null or empty.",
        ));
    }
    let (id, now) = (random_name()?, dates::now());
    call.engine.storage.write(|batch| {
        let (_, _, connector) = find(batch, CONNECTORS, connector_id)?;
        let (index, service_type) = (connector["index_name"].as_str(), connector["service_type"].as_str());
        let (Some(index), Some(_)) = (index, service_type.filter(|kind| !kind.is_empty())) else {
            refuse_state!("Cannot start a sync for connector [{connector_id}] with no index attached or no service type defined.")
        };
        let job_type = body["job_type"].as_str().unwrap_or("full");
        let prefix = if job_type == "access_control" { ACCESS_CONTROL_PREFIX } else { "" };
        let (index, filtering) = (format!("{prefix}{index}"), &connector["filtering"][0]["active"]);
        // What the connector is now; later changes of it do not reach this job.
        let mut snapshot = json!({"id": connector_id, "filtering": filtering, "index_name": index});
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
        write(batch, JOBS, &id, &job)
    })?;
    Ok((201, json!({"id": id})))
}

pub(super) fn list(call: &Call) -> Result<Reply> {
    for parameter in ["status", "job_type"] {
        let mut words = crate::select::list(call.param(parameter)).into_iter();
        words.try_for_each(|word| schema::check(parameter, &json!(word)))?;
    }
    let filters = [
        ("status", "/status"),
        ("connector_id", "/connector/id"),
        ("job_type", "/job_type"),
    ];
    let mut jobs = all(call, JOBS, &filters)?;
    jobs.reverse();
    jobs.sort_by_key(|job| std::cmp::Reverse(dates::millis_of(&job["created_at"])));
    page(call, &jobs)
}

pub(super) fn delete(call: &Call, id: &str) -> Result<Reply> {
    call.engine.storage.write(|batch| {
        let (index, document, _) = find(batch, JOBS, id)?;
        batch.remove(&index, &document)
    })?;
    acknowledged()
}

/// The updates `PUT /_connector/_sync_job/{id}/{change}`.
pub(super) fn change(call: &Call, id: &str, change: &str) -> Result<Reply> {
    let shape = format!("job.{change}");
    if !schema::knows(&shape) {
        return call.unsupported();
    }
    let mut body = match change {
        "_check_in" | "_cancel" => json!({}),
        _ => call.object(&shape)?,
    };
    let now = json!(dates::now());
    edit(call, JOBS, id, |_, job| {
        let status = job
            .get("status")
            .and_then(Value::as_str)
            .unwrap_or_default();
        match (change, status) {
            ("_check_in", _) => body["last_seen"] = now,
            ("_claim", _) => {
                let cursor = body["sync_cursor"].take();
                if let Some(connector) = job.get_mut("connector").filter(|_| !cursor.is_null()) {
                    connector["sync_cursor"] = cursor;
                }
                body["status"] = json!("in_progress");
                body["last_seen"] = now.clone();
                body["started_at"] = now;
            }
            ("_cancel", "pending" | "suspended") => {
                body = json!({
                    "status": "canceled", "cancelation_requested_at": now, "canceled_at": now, "completed_at": now
                })
            }
            ("_cancel", "in_progress") => {
                body = json!({"status": "canceling", "cancelation_requested_at": now});
            }
            ("_error", "in_progress" | "canceling") => body["status"] = json!("error"),
            ("_stats", _) if body["last_seen"].is_null() => body["last_seen"] = now,
            ("_stats", _) => {}
            ("_cancel", _) => return refuse_transition(status, "canceling"),
            _ => return refuse_transition(status, "error"),
        }
        if let Value::Object(mut body) = body {
            body.retain(|_, value| !value.is_null());
            merge(job, body);
        }
        Ok(())
    })
}
