//! Sync jobs.

use serde_json::{Value, json};

use super::{CONNECTORS, JOBS, edit, find, write};
use crate::dates;
use crate::documents::merge;
use crate::engine::random_name;
use crate::errors::{Result, STATE, refuse, unsupported};
use crate::http::{Call, Reply};

const ACCESS_CONTROL_PREFIX: &str = ".search-acl-filter-";

pub(super) fn create(call: &Call) -> Result<Reply> {
    let body = call.object("job.post")?;
    let connector_id = body["id"].as_str().unwrap_or_default();
    let (id, now) = (random_name()?, dates::now());
    call.engine.storage.write(|batch| {
        let (_, connector) = find(batch, CONNECTORS, connector_id)?;
        let connector = Value::Object(connector);
        let (index, service_type) = (connector["index_name"].as_str(), &connector["service_type"]);
        let (Some(index), true) = (index, service_type.is_string()) else {
            refuse!(STATE, "Connector [{connector_id}] has no index attached or no service type.")
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

/// The updates `PUT /_connector/_sync_job/{id}/{change}`.
pub(super) fn change(call: &Call, id: &str, change: &str) -> Result<Reply> {
    let mut body = match change {
        "_check_in" | "_cancel" => json!({}),
        "_claim" | "_error" | "_stats" => call.object(&format!("job.{change}"))?,
        _ => unsupported!("[PUT /_connector/_sync_job/{id}/{change}]"),
    };
    let now = json!(dates::now());
    edit(call, JOBS, id, |job| {
        let status = job
            .get("status")
            .and_then(Value::as_str)
            .unwrap_or_default();
        match (change, status) {
            ("_claim", _) => {
                body["connector"] = json!({"sync_cursor": body["sync_cursor"].take()});
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
            ("_cancel" | "_error", _) => {
                let next = if change == "_error" {
                    "error"
                } else {
                    "canceling"
                };
                refuse!(
                    STATE,
                    "Invalid transition attempt from [{status}] to [{next}]."
                );
            }
            _ if body["last_seen"].is_null() => body["last_seen"] = now,
            _ => {}
        }
        without_nulls(&mut body);
        if let Value::Object(body) = body {
            merge(job, body);
        }
        Ok(())
    })
}

fn without_nulls(value: &mut Value) {
    if let Value::Object(object) = value {
        object.values_mut().for_each(without_nulls);
        object.retain(|_, value| !value.is_null());
    }
}
