//! The records of jobs, in every place where they can be kept.

use crate::records::{claim, end, map, places};
use serde_json::{Value, json};
use tributary_protocol::{
    JobStatus, JobType, TriggerMethod,
    connector::NewConnector,
    records::{JobChange, JobFilter, Records, RecordsErrorKind},
};

#[tokio::test]
async fn a_job_goes_from_pending_to_its_end() {
    for place in places().await {
        let (connector, id) = place.pending_job(JobType::Full).await;
        let job = place.job(&id).await.record;
        assert_eq!(job.status, JobStatus::Pending, "{}", place.name);
        assert_eq!(job.job_type, JobType::Full);
        assert_eq!(job.trigger_method, TriggerMethod::Scheduled);
        assert_eq!(job.connector.id.as_ref(), Some(&connector.record.id));
        assert_eq!(job.connector.index_name, connector.record.index_name);
        assert!(job.created_at.is_some() && job.started_at.is_none());

        place
            .change_job(
                &id,
                JobChange::Claim {
                    worker_hostname: "host-1".to_owned(),
                    sync_cursor: Some(json!({"since": 7})),
                    metadata: map(json!({})),
                },
            )
            .await;
        let job = place.job(&id).await.record;
        assert_eq!(job.status, JobStatus::InProgress, "{}", place.name);
        assert_eq!(job.worker_hostname.as_deref(), Some("host-1"));
        assert_eq!(job.connector.sync_cursor, Some(json!({"since": 7})));
        assert!(job.started_at.is_some());
        let error = place
            .records
            .change_job(&id, &claim(), None)
            .await
            .unwrap_err();
        assert_eq!(
            error.kind,
            RecordsErrorKind::Rejected,
            "{}: {error}",
            place.name
        );

        let stats = |indexed, metadata| JobChange::Stats {
            indexed,
            indexed_bytes: indexed << 20,
            deleted: 1,
            metadata: map(metadata),
        };
        place.change_job(&id, stats(3, json!({"a": 1}))).await;
        place.change_job(&id, stats(5, json!({"b": 2}))).await;
        let job = place.job(&id).await.record;
        assert_eq!(job.counters.indexed_document_count, 5, "{}", place.name);
        assert_eq!(job.counters.indexed_document_volume, 5);
        assert_eq!(
            Value::Object(job.metadata),
            json!({"a": 1, "b": 2}),
            "{}",
            place.name
        );

        let mut last = end(JobStatus::Suspended);
        last.metadata = map(json!({"c": 3}));
        place.change_job(&id, JobChange::Ended(last)).await;
        let job = place.job(&id).await.record;
        assert_eq!(job.status, JobStatus::Suspended, "{}", place.name);
        assert!(job.completed_at.is_none());
        place.change_job(&id, claim()).await;
        place
            .change_job(&id, JobChange::Ended(end(JobStatus::Completed)))
            .await;
        let job = place.job(&id).await.record;
        assert_eq!(job.status, JobStatus::Completed, "{}", place.name);
        assert_eq!(
            (
                job.counters.indexed_document_count,
                job.total_document_count
            ),
            (40, Some(38))
        );
        assert!(job.completed_at.is_some());
        assert_eq!(Value::Object(job.metadata), json!({"a": 1, "b": 2, "c": 3}));
        for change in [
            claim(),
            JobChange::Cancel,
            JobChange::Ended(end(JobStatus::Error)),
        ] {
            let error = place
                .records
                .change_job(&id, &change, None)
                .await
                .unwrap_err();
            assert_eq!(
                error.kind,
                RecordsErrorKind::Rejected,
                "{}: {error}",
                place.name
            );
        }
        let error = place
            .records
            .change_job("no-such", &claim(), None)
            .await
            .unwrap_err();
        assert_eq!(
            error.kind,
            RecordsErrorKind::NotFound,
            "{}: {error}",
            place.name
        );
        let error = place
            .records
            .change_job("no-such", &stats(1, json!({})), None)
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

#[tokio::test]
async fn a_job_is_canceled_at_once_or_asked_to_stop() {
    for place in places().await {
        let (_, waiting) = place.pending_job(JobType::Full).await;
        place.change_job(&waiting, JobChange::Cancel).await;
        let job = place.job(&waiting).await.record;
        assert_eq!(job.status, JobStatus::Canceled, "{}", place.name);
        assert!(job.completed_at.is_some() && job.cancelation_requested_at.is_some());

        let (_, running) = place.pending_job(JobType::Incremental).await;
        let before = place.job(&running).await.seen;
        place
            .records
            .change_job(&running, &claim(), Some(before))
            .await
            .unwrap();
        let error = place
            .records
            .change_job(&running, &claim(), Some(before))
            .await
            .unwrap_err();
        assert_eq!(
            error.kind,
            RecordsErrorKind::Conflict,
            "{}: {error}",
            place.name
        );
        place.change_job(&running, JobChange::Cancel).await;
        let job = place.job(&running).await.record;
        assert_eq!(job.status, JobStatus::Canceling, "{}", place.name);
        place
            .change_job(&running, JobChange::Ended(end(JobStatus::Canceled)))
            .await;
        let job = place.job(&running).await.record;
        assert!(job.canceled_at.is_some(), "{}", place.name);
    }
}

#[tokio::test]
async fn lists_jobs_by_what_is_asked_for() {
    for place in places().await {
        let connector = place.connector("dir").await;
        let mut ids = Vec::new();
        for job_type in [JobType::Full, JobType::AccessControl, JobType::Full] {
            let made = place
                .records
                .create_job(&connector, job_type, TriggerMethod::OnDemand)
                .await;
            ids.push(made.unwrap());
        }
        place.change_job(&ids[2], claim()).await;
        let list = async |change: fn(&mut JobFilter)| {
            let mut filter = JobFilter {
                connector_ids: vec![connector.record.id.clone()],
                oldest_first: true,
                ..JobFilter::default()
            };
            change(&mut filter);
            let listed = place.records.jobs(&filter).await.unwrap();
            listed
                .into_iter()
                .map(|job| job.record.id)
                .collect::<Vec<_>>()
        };
        assert_eq!(list(|_| ()).await, ids, "{}", place.name);
        let newest = list(|filter| {
            filter.oldest_first = false;
            filter.limit = 2;
        });
        assert_eq!(newest.await, [&*ids[2], &*ids[1]], "{}", place.name);
        let pending =
            list(|filter| filter.statuses = vec![JobStatus::Pending, JobStatus::Suspended]);
        assert_eq!(pending.await, ids[..2], "{}", place.name);
        let access = list(|filter| filter.job_types = vec![JobType::AccessControl]);
        assert_eq!(access.await, ids[1..2], "{}", place.name);
        let later = list(|filter| {
            filter.created_since = Some(chrono::Utc::now() + chrono::TimeDelta::hours(1))
        });
        assert!(later.await.is_empty(), "{}", place.name);
        let none = list(|filter| filter.connector_ids = vec!["no-such".to_owned()]);
        assert!(none.await.is_empty());
        let access = place.job(&ids[1]).await.record;
        let index = connector.record.index_name.as_deref().unwrap();
        assert_eq!(
            access.connector.index_name.unwrap(),
            format!(".search-acl-filter-{index}"),
            "{}",
            place.name
        );
    }
}

#[tokio::test]
async fn a_connector_without_an_index_has_no_jobs() {
    for place in places().await {
        let id = place
            .records
            .create_connector(None, &NewConnector::default())
            .await
            .unwrap();
        let connector = place.read(&id).await;
        let error = place
            .records
            .create_job(&connector, JobType::Full, TriggerMethod::OnDemand)
            .await
            .unwrap_err();
        assert_eq!(
            error.kind,
            RecordsErrorKind::Rejected,
            "{}: {error}",
            place.name
        );
    }
}
