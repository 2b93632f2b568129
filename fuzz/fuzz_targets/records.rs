//! Records of connectors, sync jobs and the ledger, as anybody may have written them.
#![no_main]

use chrono::{DateTime, Utc};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use std::time::Duration;
use tributary_fuzz::within;
use tributary_protocol::{
    Connector, JobType, LedgerRecord, SyncJob, configuration, identity::TokenField, timestamp,
};

const TYPES: [JobType; 3] = [JobType::Full, JobType::Incremental, JobType::AccessControl];

fn read(value: &Value) {
    if let Some(time) = timestamp::from_value(value) {
        let text = Value::String(timestamp::to_text(time));
        let again = timestamp::from_value(&text).expect("a time that we wrote");
        assert_eq!(timestamp::to_text(again), timestamp::to_text(time));
    }
    let Value::Object(source) = value else {
        return;
    };
    let now = DateTime::<Utc>::UNIX_EPOCH;
    if let Ok(connector) = Connector::from_source("c", source) {
        connector.is_gate_open();
        connector.is_heartbeat_due(Duration::from_secs(30), now);
        for kind in TYPES {
            connector.last_status(kind);
            connector.is_syncing(kind);
            connector.last_scheduled_at(kind);
        }
    }
    if let Ok(job) = SyncJob::from_source("j", source) {
        job.is_idle(now);
    }
    if let Ok(record) = LedgerRecord::from_source("l", source) {
        let again = LedgerRecord::from_source("l", &record.to_source());
        let again = again.expect("a record that we wrote");
        assert_eq!(again.to_source(), record.to_source());
    }
    TokenField::of_mapping(source);
    for key in source.keys() {
        configuration::value(source, key);
    }
}

fuzz_target!(|content: &[u8]| {
    within(256, content.len(), || {
        if let Ok(value) = serde_json::from_slice(content) {
            read(&value);
        }
    });
});
