//! Connectors and sync jobs as they are shown: never with a secret.

use crate::sources::REGISTRY;
use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Map, Value, json};
use tributary_protocol::{Connector, SyncJob};

/// What stands for a secret.
const MASK: &str = "***";

/// A moment for people.
pub(super) fn moment(time: Option<DateTime<Utc>>) -> String {
    time.map_or_else(String::new, |time| {
        time.format("%Y-%m-%d %H:%M:%S UTC").to_string()
    })
}

/// A moment for scripts.
fn iso(time: Option<DateTime<Utc>>) -> Value {
    time.map_or(Value::Null, |time| {
        time.to_rfc3339_opts(SecondsFormat::Millis, true).into()
    })
}

/// How long a job ran, or has been running at `now`.
pub(super) fn duration(job: &SyncJob, now: DateTime<Utc>) -> String {
    let Some(started) = job.started_at else {
        return String::new();
    };
    let seconds = (job.completed_at.unwrap_or(now) - started)
        .num_seconds()
        .max(0);
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m {}s", seconds / 60, seconds % 60),
        _ => format!("{}h {}m", seconds / 3600, seconds % 3600 / 60),
    }
}

/// The warning that the service left with a job that completed.
pub(super) fn warning(job: &SyncJob) -> Option<&str> {
    job.metadata.get("tributary")?.get("warning")?.as_str()
}

/// A connector with the names of the protocol.
pub(super) fn connector(connector: &Connector) -> Value {
    json!({
        "id": connector.id,
        "name": connector.name,
        "description": connector.description,
        "service_type": connector.service_type,
        "index_name": connector.index_name,
        "language": connector.language,
        "is_native": connector.is_native,
        "status": connector.status,
        "error": connector.error,
        "last_seen": iso(connector.last_seen),
        "last_synced": iso(connector.last_synced),
        "last_sync_status": connector.last_sync_status,
        "last_sync_error": connector.last_sync_error,
        "last_sync_scheduled_at": iso(connector.last_sync_scheduled_at),
        "last_incremental_sync_scheduled_at": iso(connector.last_incremental_sync_scheduled_at),
        "last_access_control_sync_status": connector.last_access_control_sync_status,
        "last_access_control_sync_error": connector.last_access_control_sync_error,
        "last_access_control_sync_scheduled_at":
            iso(connector.last_access_control_sync_scheduled_at),
        "last_indexed_document_count": connector.last_indexed_document_count,
        "last_deleted_document_count": connector.last_deleted_document_count,
        "scheduling": connector.scheduling,
        "pipeline": connector.pipeline,
        "features": connector.features,
        "api_key_id": connector.api_key_id,
        "configuration": masked(connector),
    })
}

/// A sync job with the names of the protocol; of the copy of its connector, only what is no secret.
pub(super) fn job(job: &SyncJob) -> Value {
    json!({
        "id": job.id,
        "job_type": job.job_type,
        "status": job.status,
        "error": job.error,
        "trigger_method": job.trigger_method,
        "connector": {
            "id": job.connector.id,
            "service_type": job.connector.service_type,
            "index_name": job.connector.index_name,
            "language": job.connector.language,
            "pipeline": job.connector.pipeline,
        },
        "created_at": iso(job.created_at),
        "started_at": iso(job.started_at),
        "last_seen": iso(job.last_seen),
        "cancelation_requested_at": iso(job.cancelation_requested_at),
        "canceled_at": iso(job.canceled_at),
        "completed_at": iso(job.completed_at),
        "worker_hostname": job.worker_hostname,
        "indexed_document_count": job.counters.indexed_document_count,
        "indexed_document_volume": job.counters.indexed_document_volume,
        "deleted_document_count": job.counters.deleted_document_count,
        "total_document_count": job.total_document_count,
        "metadata": job.metadata,
    })
}

/// The configuration of a connector. A value is shown only if its field is known to hold no secret.
pub(super) fn masked(connector: &Connector) -> Map<String, Value> {
    let source = connector
        .service_type
        .as_deref()
        .and_then(|name| REGISTRY.find(name).ok());
    let declared = |key: &str| {
        let mut fields = source?.fields.iter().map(|field| field.declaration());
        fields.find(|declaration| declaration.key == key)
    };
    let mask = |(key, field): (&String, &Value)| {
        let declared = declared(key).map(|declaration| declaration.sensitive);
        let recorded = field.get("sensitive").and_then(Value::as_bool);
        let is_open = match (declared, recorded) {
            (Some(true), _) | (_, Some(true)) | (None, None) => false,
            (Some(false), _) | (_, Some(false)) => true,
        };
        let mut field = field.clone();
        if !is_open {
            hide(&mut field);
        }
        (key.clone(), field)
    };
    connector.configuration.iter().map(mask).collect()
}

fn hide(field: &mut Value) {
    match field {
        Value::Object(properties) => {
            for name in ["value", "default_value"] {
                if let Some(value) = properties.get_mut(name) {
                    hide_value(value);
                }
            }
        }
        value => hide_value(value),
    }
}

fn hide_value(value: &mut Value) {
    // That nothing is set is no secret, and often the reason why somebody looks.
    if !value.is_null() && value.as_str() != Some("") {
        *value = MASK.into();
    }
}

/// The value of a field of a masked configuration, for people.
pub(super) fn value_text(field: &Value) -> String {
    match field.get("value").unwrap_or(field) {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        value => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(service_type: &str, configuration: Value) -> Connector {
        let source = json!({"service_type": service_type, "configuration": configuration});
        Connector::from_source("c1", source.as_object().unwrap()).unwrap()
    }

    #[test]
    fn only_what_is_known_to_be_no_secret_is_shown() {
        let shown = masked(&with(
            "postgresql",
            json!({
                "host": {"label": "Host", "value": "db.example"},
                // The record is wrong about it.
                "password": {"label": "Password", "sensitive": false, "value": "hunter2"},
                "old": {"label": "Old", "value": "hunter2"},
                "open": {"label": "Open", "sensitive": false, "value": "seen"},
                "port": 5432,
                "strange": "hunter2"
            }),
        ));
        let text = Value::Object(shown.clone()).to_string();
        assert!(!text.contains("hunter2"), "{text}");
        assert_eq!(value_text(&shown["host"]), "db.example");
        assert_eq!(value_text(&shown["open"]), "seen");
        assert_eq!(value_text(&shown["port"]), "5432");
        assert_eq!(value_text(&shown["password"]), "***");
    }

    #[test]
    fn without_the_source_the_record_alone_decides() {
        let shown = masked(&with(
            "somebody_elses",
            json!({
                "a": {"sensitive": false, "value": "seen"},
                "b": {"sensitive": true, "value": "hunter2", "default_value": "hunter2"},
                "c": {"value": "hunter2"},
                "d": {"sensitive": true, "value": ""}
            }),
        ));
        assert_eq!(value_text(&shown["a"]), "seen");
        assert_eq!(value_text(&shown["d"]), "");
        assert!(!Value::Object(shown).to_string().contains("hunter2"));
    }
}
