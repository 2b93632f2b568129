//! Sync jobs.

use serde_json::{Value, json};

use super::{CONNECTORS, JOBS, all, edit, find, page, passes, refused, stored, write};
use crate::dates;
use crate::documents::merge;
use crate::engine::Engine;
use crate::errors::Problem;
use crate::http::{Call, Reply};
use crate::indices::target;
use crate::schema;

const ACCESS_CONTROL_PREFIX: &str = ".search-acl-filter-";

pub(super) fn create(engine: &Engine, call: &Call) -> Result<Reply, Problem> {
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
            return Err(refused(format!("Cannot start a sync for connector [{connector_id}] with no index attached.")));
        };
        if connector["service_type"].as_str().unwrap_or_default().is_empty() {
            return Err(refused(format!("Cannot start a sync for connector [{connector_id}] with no service type defined.")));
        }
        let job_type = body["job_type"].as_str().unwrap_or("full");
        let index_name = if job_type == "access_control" { format!("{ACCESS_CONTROL_PREFIX}{index_name}") } else { index_name.to_owned() };
        // What the connector is now; later changes of it do not reach this job.
        let mut snapshot = json!({"id": connector_id, "filtering": connector["filtering"][0]["active"], "index_name": index_name});
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
    Reply::with(201, &json!({"id": id}))
}

pub(super) fn list(engine: &Engine, call: &Call) -> Result<Reply, Problem> {
    for (parameter, shape) in [("status", "status"), ("job_type", "job_type")] {
        for word in call
            .params
            .text(parameter)
            .into_iter()
            .flat_map(|words| words.split(','))
        {
            schema::check(shape, &json!(word))?;
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

pub(super) fn show(engine: &Engine, id: &str) -> Result<Reply, Problem> {
    Reply::ok(&stored(engine, JOBS, id)?.ok_or_else(|| Problem::not_found(id))?)
}

pub(super) fn delete(engine: &Engine, id: &str) -> Result<Reply, Problem> {
    engine.storage.write(|batch| {
        let (index, document, _) = find(engine, batch, JOBS, id)?;
        batch.remove(&index, &document)
    })?;
    Reply::ok(&json!({"acknowledged": true}))
}

/// The updates `PUT /_connector/_sync_job/{id}/{change}`.
pub(super) fn change(
    engine: &Engine,
    call: &Call,
    id: &str,
    change: &str,
) -> Result<Reply, Problem> {
    let mut body = match change {
        "_check_in" | "_cancel" => Value::Null,
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
            job["status"].as_str().unwrap_or_default().to_owned(),
        );
        match (change, status.as_str()) {
            ("_check_in", _) => job["last_seen"] = now,
            ("_claim", _) => {
                job["worker_hostname"] = body["worker_hostname"].clone();
                job["status"] = json!("in_progress");
                job["last_seen"] = now.clone();
                job["started_at"] = now;
                if body["sync_cursor"].is_object() {
                    job["connector"]["sync_cursor"] = body["sync_cursor"].clone();
                }
            }
            ("_cancel", "pending" | "suspended") => {
                job["status"] = json!("canceled");
                for key in ["cancelation_requested_at", "canceled_at", "completed_at"] {
                    job[key] = now.clone();
                }
            }
            ("_cancel", "in_progress") => {
                job["status"] = json!("canceling");
                job["cancelation_requested_at"] = now;
            }
            ("_error", "in_progress" | "canceling") => {
                job["status"] = json!("error");
                job["error"] = body["error"].clone();
            }
            ("_stats", _) => {
                if body["last_seen"].is_null() {
                    body["last_seen"] = now;
                }
                let given = std::mem::take(&mut body);
                let given = given
                    .as_object()
                    .into_iter()
                    .flatten()
                    .filter(|(_, value)| !value.is_null());
                let given = given
                    .map(|(key, value)| (key.clone(), value.clone()))
                    .collect();
                if let Value::Object(job) = job {
                    merge(job, given);
                }
            }
            (_, status) => {
                let next = if change == "_cancel" {
                    "canceling"
                } else {
                    "error"
                };
                return Err(refused(format!(
                    "Invalid transition attempt from [{status}] to [{next}]. Such a status transition is not supported by the Connector Protocol."
                )));
            }
        }
        Ok(())
    })
}
