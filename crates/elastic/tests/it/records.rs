//! The records, in every place where they can be kept: the same scenarios everywhere.

use crate::engines::{administrator, client, engines, store};
use serde_json::{Map, Value, json};
use std::sync::atomic::{AtomicU32, Ordering};
use tempfile::TempDir;
use tributary_devstore::Store;
use tributary_elastic::{Client, ElasticRecords, Mode};
use tributary_protocol::{
    Connector, ConnectorStatus, Features, FilteringValidation, JobStatus, JobType, TriggerMethod,
    connector::NewConnector,
    records::{
        ConnectorChange, ConnectorFilter, JobChange, Records, RecordsErrorKind, SyncEnd, Versioned,
    },
    timestamp,
};
use tributary_sdk::rules::RuleProblem;

pub(crate) struct Place {
    pub(crate) name: String,
    pub(crate) records: ElasticRecords,
    /// For looking at records as they are stored.
    pub(crate) administrator: Client,
    expected: Mode,
    _store: Option<(Store, TempDir)>,
}

pub(crate) async fn places() -> Vec<Place> {
    let mut places = Vec::new();
    for engine in engines().await {
        // Where the API is not there, the wish for it must end with direct writing.
        for mode in [Mode::Api, Mode::Direct] {
            let client = client(engine, "records").await;
            places.push(Place {
                name: format!("{:?} {mode:?}", engine.kind()),
                records: ElasticRecords::new(client, mode),
                administrator: administrator(engine),
                expected: Mode::Direct,
                _store: None,
            });
        }
    }
    for mode in [Mode::Api, Mode::Direct] {
        let (client, store, folder) = store().await;
        places.push(Place {
            name: format!("store {mode:?}"),
            records: ElasticRecords::new(client.clone(), mode),
            administrator: client,
            expected: mode,
            _store: Some((store, folder)),
        });
    }
    for place in &places {
        place
            .records
            .prepare()
            .await
            .unwrap_or_else(|error| panic!("{}: {error}", place.name));
    }
    places
}

impl Place {
    /// A connector of its own for each test and place.
    pub(crate) async fn connector(&self, service_type: &str) -> Versioned<Connector> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let index = format!("records-{number}");
        let new = NewConnector {
            index_name: Some(&index),
            name: Some("Music"),
            service_type: Some(service_type),
            ..NewConnector::default()
        };
        let id = self.records.create_connector(None, &new).await.unwrap();
        self.read(&id).await
    }

    pub(crate) async fn read(&self, id: &str) -> Versioned<Connector> {
        self.records
            .connector(id)
            .await
            .unwrap()
            .unwrap_or_else(|| panic!("{}: {id}", self.name))
    }

    pub(crate) async fn job(&self, id: &str) -> Versioned<tributary_protocol::SyncJob> {
        self.records
            .job(id)
            .await
            .unwrap()
            .unwrap_or_else(|| panic!("{}: {id}", self.name))
    }

    pub(crate) async fn change(&self, id: &str, change: ConnectorChange) {
        self.records
            .change_connector(id, &change, None)
            .await
            .unwrap_or_else(|error| panic!("{}: {error}", self.name));
    }

    pub(crate) async fn change_job(&self, id: &str, change: JobChange) {
        self.records
            .change_job(id, &change, None)
            .await
            .unwrap_or_else(|error| panic!("{}: {error}", self.name));
    }

    pub(crate) async fn pending_job(&self, job_type: JobType) -> (Versioned<Connector>, String) {
        let connector = self.connector("dir").await;
        let id = self
            .records
            .create_job(&connector, job_type, TriggerMethod::Scheduled)
            .await
            .unwrap_or_else(|error| panic!("{}: {error}", self.name));
        (connector, id)
    }
}

pub(crate) fn claim() -> JobChange {
    JobChange::Claim {
        worker_hostname: "host-1".to_owned(),
        sync_cursor: None,
        metadata: Map::new(),
    }
}

pub(crate) fn end(status: JobStatus) -> Box<SyncEnd> {
    Box::new(SyncEnd {
        job_type: JobType::Full,
        status,
        error: (status == JobStatus::Error).then(|| "SyncFailed: no luck".to_owned()),
        indexed: 40,
        indexed_bytes: 7 << 20,
        deleted: 2,
        total: Some(38),
        sync_cursor: None,
        metadata: Map::new(),
        at: chrono::Utc::now(),
    })
}

pub(crate) fn map(value: Value) -> Map<String, Value> {
    value.as_object().cloned().unwrap()
}

#[tokio::test]
async fn finds_out_how_records_are_written() {
    for place in places().await {
        assert_eq!(
            place.records.mode().await.unwrap(),
            place.expected,
            "{}",
            place.name
        );
    }
}

#[tokio::test]
async fn prepares_indices_that_listings_can_use() {
    for place in places().await {
        place.records.prepare().await.unwrap();
        let listed = place
            .administrator
            .index_exists(".elastic-connectors")
            .await
            .unwrap();
        assert!(listed, "{}", place.name);
        let listed = place
            .administrator
            .index_exists(".elastic-connectors-sync-jobs-v1")
            .await
            .unwrap();
        assert!(listed, "{}", place.name);
    }
}

#[tokio::test]
async fn lists_the_connectors_that_a_service_handles() {
    for place in places().await {
        let one = place.connector("type-one").await.record;
        let two = place.connector("type-two").await.record;
        let list = async |ids: &[&str], types: &[&str]| {
            let filter = ConnectorFilter {
                ids: ids.iter().map(|id| (*id).to_owned()).collect(),
                service_types: types.iter().map(|kind| (*kind).to_owned()).collect(),
            };
            let listed = place.records.connectors(&filter).await.unwrap();
            listed
                .into_iter()
                .map(|found| found.record.id)
                .collect::<Vec<_>>()
        };
        assert_eq!(list(&[&one.id], &[]).await, [&*one.id], "{}", place.name);
        assert!(
            list(&[&one.id], &["type-two"]).await.contains(&two.id),
            "{}",
            place.name
        );
        assert!(list(&[], &["type-one"]).await.contains(&one.id));
        assert!(!list(&[], &["type-one"]).await.contains(&two.id));
        assert!(list(&["none"], &["type-none"]).await.is_empty());
        let all = list(&[], &[]).await;
        assert!(all.contains(&one.id) && all.contains(&two.id));
        // By index name: the number in it grows.
        let both = list(&[&two.id, &one.id], &[]).await;
        assert_eq!(both, [&*one.id, &*two.id], "{}", place.name);
        let found = place.records.connector("no-such").await.unwrap();
        assert!(found.is_none());
        let odd = place.records.connector("..").await.unwrap();
        assert!(odd.is_none());
    }
}

#[tokio::test]
async fn a_new_connector_is_as_the_protocol_says() {
    for place in places().await {
        let connector = place.connector("dir").await.record;
        assert_eq!(connector.status, ConnectorStatus::Created, "{}", place.name);
        assert_eq!(connector.name.as_deref(), Some("Music"));
        assert_eq!(connector.service_type.as_deref(), Some("dir"));
        assert!(connector.configuration.is_empty() && !connector.is_native && !connector.deleted);
        assert!(!connector.filtering.needs_validation());
        let new = NewConnector {
            index_name: connector.index_name.as_deref(),
            ..NewConnector::default()
        };
        let error = place
            .records
            .create_connector(None, &new)
            .await
            .unwrap_err();
        assert_eq!(
            error.kind,
            RecordsErrorKind::Rejected,
            "{}: {error}",
            place.name
        );
        let id = Some(&*connector.id);
        let error = place
            .records
            .create_connector(id, &NewConnector::default())
            .await
            .unwrap_err();
        assert!(error.message.contains(&connector.id), "{error}");
    }
}

#[tokio::test]
async fn every_change_of_a_connector_reads_back() {
    for place in places().await {
        let id = place.connector("dir").await.record.id;
        let configuration = map(json!({"path": {"label": "Path", "value": "", "type": "str"}}));
        let features = Features::from_map(map(json!({"sync_rules": {"basic": {"enabled": true}}})));
        place
            .change(
                &id,
                ConnectorChange::Prepare {
                    configuration: Some(configuration),
                    service_type: Some("dir".to_owned()),
                    features: Some(features.clone()),
                    status: Some(ConnectorStatus::NeedsConfiguration),
                },
            )
            .await;
        let read = place.read(&id).await.record;
        assert_eq!(
            read.status,
            ConnectorStatus::NeedsConfiguration,
            "{}",
            place.name
        );
        assert_eq!(read.features, Some(features));
        assert_eq!(read.configuration["path"]["label"], "Path");
        assert!(read.last_seen.is_none());

        place.change(&id, ConnectorChange::CheckIn).await;
        assert!(
            place.read(&id).await.record.last_seen.is_some(),
            "{}",
            place.name
        );

        let values = map(json!({"path": "/data"}));
        place
            .records
            .set_configuration_values(&id, &values)
            .await
            .unwrap();
        let read = place.read(&id).await.record;
        assert_eq!(
            read.configuration["path"]["value"], "/data",
            "{}",
            place.name
        );
        assert_eq!(read.configuration["path"]["label"], "Path");
        assert_eq!(read.status, ConnectorStatus::Configured);
        let unknown = map(json!({"no_such_field": 1}));
        let error = place
            .records
            .set_configuration_values(&id, &unknown)
            .await
            .unwrap_err();
        assert_eq!(
            error.kind,
            RecordsErrorKind::Rejected,
            "{}: {error}",
            place.name
        );
        assert!(error.message.contains("no_such_field"), "{error}");

        let status = |status, error: Option<&str>| ConnectorChange::Status {
            status,
            error: error.map(str::to_owned),
        };
        place
            .change(&id, status(ConnectorStatus::Error, Some("no route")))
            .await;
        let read = place.read(&id).await.record;
        assert_eq!(
            (read.status, read.error.as_deref()),
            (ConnectorStatus::Error, Some("no route"))
        );
        place
            .change(&id, status(ConnectorStatus::Connected, None))
            .await;
        let read = place.read(&id).await.record;
        assert_eq!(
            (read.status, read.error),
            (ConnectorStatus::Connected, None)
        );

        let at = timestamp::from_value(&json!("2026-11-25T07:02:41.123456+00:00")).unwrap();
        let job_type = JobType::Incremental;
        place
            .change(&id, ConnectorChange::Scheduled { job_type, at })
            .await;
        place
            .change(&id, ConnectorChange::SyncStarted(JobType::Full))
            .await;
        let read = place.read(&id).await.record;
        assert_eq!(
            read.last_incremental_sync_scheduled_at,
            Some(at),
            "{}",
            place.name
        );
        assert!(read.is_syncing(JobType::Full) && !read.is_syncing(JobType::AccessControl));
    }
}

/// A cursor that starts anew must not be mixed with the old one.
#[tokio::test]
async fn the_end_of_a_sync_replaces_the_cursor() {
    for place in places().await {
        let id = place.connector("dir").await.record.id;
        for cursor in [
            json!({"drives": {"a": 1, "b": 2}}),
            json!({"drives": {"b": 3}}),
            json!({}),
        ] {
            let mut end = end(JobStatus::Completed);
            end.sync_cursor = Some(cursor.clone());
            place.change(&id, ConnectorChange::SyncEnded(end)).await;
            let read = place.read(&id).await.record;
            let stored = read.sync_cursor.unwrap();
            assert_eq!(without_nulls(&stored), cursor, "{}", place.name);
            assert_eq!(read.last_sync_status, Some(JobStatus::Completed));
            assert_eq!(read.last_indexed_document_count, Some(40));
        }
        place
            .change(&id, ConnectorChange::SyncEnded(end(JobStatus::Error)))
            .await;
        let read = place.read(&id).await.record;
        assert_eq!(read.status, ConnectorStatus::Error);
        assert_eq!(read.last_sync_error.as_deref(), Some("SyncFailed: no luck"));
        assert_eq!(without_nulls(&read.sync_cursor.unwrap()), json!({}));
    }
}

fn without_nulls(value: &Value) -> Value {
    match value {
        Value::Object(map) => map
            .iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(key, value)| (key.clone(), without_nulls(value)))
            .collect(),
        other => other.clone(),
    }
}

#[tokio::test]
async fn a_checked_draft_becomes_active_only_if_it_is_valid() {
    for place in places().await {
        let connector = place.connector("dir").await;
        let id = &connector.record.id;
        let problem = RuleProblem {
            ids: vec!["r1".to_owned()],
            messages: vec!["no such field".to_owned()],
        };
        let checked =
            |problems| ConnectorChange::FilteringChecked(FilteringValidation::of(problems));
        place.change(id, checked(vec![problem])).await;
        let read = place.read(id).await;
        let state = read.record.filtering.draft.validation.state.as_str();
        assert_eq!(state, "invalid", "{}", place.name);
        assert_eq!(
            read.record.filtering.active.validation.state.as_str(),
            "valid"
        );
        // With a condition, the change is made directly everywhere.
        let change = checked(Vec::new());
        place
            .records
            .change_connector(id, &change, Some(read.seen))
            .await
            .unwrap();
        let valid = place.read(id).await.record;
        assert_eq!(
            valid.filtering.draft.validation.state.as_str(),
            "valid",
            "{}",
            place.name
        );
        let error = place
            .records
            .change_connector(id, &change, Some(read.seen))
            .await
            .unwrap_err();
        assert_eq!(
            error.kind,
            RecordsErrorKind::Conflict,
            "{}: {error}",
            place.name
        );
        place.change(id, checked(Vec::new())).await;
    }
}

#[tokio::test]
async fn a_condition_that_no_longer_holds_changes_nothing() {
    for place in places().await {
        let old = place.connector("dir").await;
        let id = &old.record.id;
        place.change(id, ConnectorChange::CheckIn).await;
        for change in [
            ConnectorChange::SyncStarted(JobType::Full),
            ConnectorChange::CheckIn,
            ConnectorChange::SyncEnded(end(JobStatus::Completed)),
        ] {
            let error = place
                .records
                .change_connector(id, &change, Some(old.seen))
                .await
                .unwrap_err();
            assert_eq!(
                error.kind,
                RecordsErrorKind::Conflict,
                "{}: {error}",
                place.name
            );
        }
        assert!(!place.read(id).await.record.is_syncing(JobType::Full));
        for (id, change) in [
            ("no-such", ConnectorChange::CheckIn),
            ("..", ConnectorChange::CheckIn),
            ("no-such", ConnectorChange::SyncStarted(JobType::Full)),
        ] {
            let error = place
                .records
                .change_connector(id, &change, None)
                .await
                .unwrap_err();
            assert_eq!(
                error.kind,
                RecordsErrorKind::NotFound,
                "{}: {error}",
                place.name
            );
        }
    }
}
