//! The calls of the connector API, and answers that get lost.

use crate::fake::{Fake, Reply, StoppedClock};
use serde_json::{Map, Value, json};
use std::sync::Arc;
use tributary_elastic::{ElasticRecords, Mode};
use tributary_protocol::{
    Connector, FilteringValidation, JobType, TriggerMethod,
    connector::NewConnector,
    records::{ConnectorChange, JobChange, Records, RecordsErrorKind, Seen, Versioned},
};

const SEEN: Seen = Seen {
    seq_no: 7,
    primary_term: 2,
};

async fn records(mode: Mode, replies: Vec<Reply>) -> (Fake, ElasticRecords, Arc<StoppedClock>) {
    let probe = (mode == Mode::Api).then(|| Reply::new(200, r#"{"count":0,"results":[]}"#));
    let fake = Fake::start(probe.into_iter().chain(replies)).await;
    let clock = StoppedClock::new();
    let records = ElasticRecords::new(fake.client(&clock), mode);
    (fake, records, clock)
}

fn updated() -> Reply {
    Reply::new(200, r#"{"result":"updated","_seq_no":9,"_primary_term":2}"#)
}

fn document(source: Value) -> Reply {
    let document =
        json!({"_id": "c1", "_seq_no": 8, "_primary_term": 2, "found": true, "_source": source});
    Reply::new(200, document.to_string())
}

fn conflict() -> Reply {
    let body = json!({"error": {"type": "version_conflict_engine_exception", "reason": "x"}, "status": 409});
    Reply::new(409, body.to_string())
}

fn connector() -> Versioned<Connector> {
    let new = NewConnector {
        index_name: Some("music"),
        service_type: Some("dir"),
        ..NewConnector::default()
    };
    let now = chrono::DateTime::from_timestamp(1_795_590_161, 0).unwrap();
    Versioned {
        record: Connector::from_source("c1", &Connector::new_document(&new, now)).unwrap(),
        seen: SEEN,
    }
}

fn claim() -> JobChange {
    JobChange::Claim {
        worker_hostname: "host-1".to_owned(),
        sync_cursor: Some(json!({"a": 1})),
        metadata: Map::new(),
    }
}

#[tokio::test]
async fn calls_the_api_as_the_sheet_says() {
    let (fake, records, _) = records(
        Mode::Api,
        vec![
            updated(),
            updated(),
            updated(),
            updated(),
            updated(),
            Reply::new(201, r#"{"id":"j9"}"#),
            document(json!({"status": "suspended"})),
            updated(),
        ],
    )
    .await;
    let checked = |problems| ConnectorChange::FilteringChecked(FilteringValidation::of(problems));
    records
        .change_connector("c/1", &ConnectorChange::CheckIn, None)
        .await
        .unwrap();
    records
        .change_connector("c1", &checked(Vec::new()), None)
        .await
        .unwrap();
    let stats = JobChange::Stats {
        indexed: 3,
        indexed_bytes: 5 << 20,
        deleted: 1,
        metadata: Map::new(),
    };
    records.change_job("j1", &stats, None).await.unwrap();
    records
        .change_job("j1", &JobChange::Cancel, None)
        .await
        .unwrap();
    let id = records
        .create_job(
            &connector(),
            JobType::AccessControl,
            TriggerMethod::OnDemand,
        )
        .await
        .unwrap();
    assert_eq!(id, "j9");
    records.change_job("j1", &claim(), None).await.unwrap();
    let seen = fake.seen();
    let lines: Vec<_> = seen.iter().map(crate::fake::Seen::line).collect();
    assert_eq!(
        lines,
        [
            "GET /_connector?size=1",
            "PUT /_connector/c%2F1/_check_in",
            "PUT /_connector/c1/_filtering/_validation",
            "PUT /_connector/c1/_filtering/_activate",
            "PUT /_connector/_sync_job/j1/_stats",
            "PUT /_connector/_sync_job/j1/_cancel",
            "POST /_connector/_sync_job",
            "GET /.elastic-connectors-sync-jobs/_doc/j1",
            "PUT /_connector/_sync_job/j1/_claim",
        ]
    );
    assert!(seen[1].body.is_empty() && seen[3].body.is_empty() && seen[5].body.is_empty());
    assert_eq!(
        seen[2].json(),
        json!({"validation": {"state": "valid", "errors": []}})
    );
    assert_eq!(
        seen[4].json(),
        json!({"deleted_document_count": 1, "indexed_document_count": 3, "indexed_document_volume": 5})
    );
    assert_eq!(
        seen[6].json(),
        json!({"id": "c1", "job_type": "access_control", "trigger_method": "on_demand"})
    );
    assert_eq!(
        seen[8].json(),
        json!({"worker_hostname": "host-1", "sync_cursor": {"a": 1}})
    );
}

/// The API knows no condition, so a change with one is made on the index.
#[tokio::test]
async fn a_condition_is_never_dropped() {
    let (fake, records, _) = records(Mode::Api, vec![updated(), updated()]).await;
    assert_eq!(records.mode().await.unwrap(), Mode::Api);
    records
        .change_connector("c1", &ConnectorChange::CheckIn, Some(SEEN))
        .await
        .unwrap();
    let stats = JobChange::Stats {
        indexed: 3,
        indexed_bytes: 0,
        deleted: 0,
        metadata: Map::new(),
    };
    let written = records.change_job("j1", &stats, Some(SEEN)).await.unwrap();
    let (seq_no, primary_term) = (9, 2);
    let expected = Seen {
        seq_no,
        primary_term,
    };
    assert_eq!(written, Some(expected));
    let seen = fake.seen();
    assert_eq!(
        seen[1].line(),
        "POST /.elastic-connectors/_update/c1?refresh=true&require_alias=true&if_seq_no=7&if_primary_term=2"
    );
    assert_eq!(
        seen[1].json(),
        json!({"doc": {"last_seen": "2026-11-25T07:02:41.123456+00:00"}})
    );
    // The heartbeat of a lease costs no refresh.
    assert_eq!(
        seen[2].line(),
        "POST /.elastic-connectors-sync-jobs/_update/j1?require_alias=true&if_seq_no=7&if_primary_term=2"
    );
}

/// The heartbeat of a lease is sent again by whoever keeps the lease, and not in between.
#[tokio::test]
async fn a_conditional_progress_report_is_sent_once() {
    let (fake, records, _) = records(Mode::Api, vec![Reply::new(503, ""), updated()]).await;
    assert_eq!(records.mode().await.unwrap(), Mode::Api);
    let stats = JobChange::Stats {
        indexed: 3,
        indexed_bytes: 0,
        deleted: 0,
        metadata: Map::new(),
    };
    let error = records
        .change_job("j1", &stats, Some(SEEN))
        .await
        .unwrap_err();
    assert_eq!(error.kind, RecordsErrorKind::Unavailable);
    assert_eq!(fake.seen().len(), 2);
}

/// The mark of a lease has no place in the API's call.
#[tokio::test]
async fn a_claim_with_metadata_is_made_on_the_index() {
    let job = || document(json!({"status": "pending"}));
    let (fake, records, _) = records(Mode::Api, vec![job(), updated()]).await;
    let mark = json!({"tributary": {"lease": {"nonce": "n"}}});
    let claim = JobChange::Claim {
        worker_hostname: "host-1".to_owned(),
        sync_cursor: None,
        metadata: mark.as_object().cloned().unwrap(),
    };
    records.change_job("j1", &claim, None).await.unwrap();
    assert_eq!(fake.seen()[2].json()["doc"]["metadata"], mark);
}

#[tokio::test]
async fn what_a_server_lacks_is_done_directly() {
    let missing = || {
        Reply::new(
            400,
            r#"{"error":"no handler found for uri [/_connector/_sync_job/j1/_claim] and method [PUT]"}"#,
        )
    };
    let job = || document(json!({"status": "pending"}));
    let (fake, claimed, _) = records(Mode::Api, vec![job(), missing(), job(), updated()]).await;
    claimed.change_job("j1", &claim(), None).await.unwrap();
    let update = fake.seen()[4].clone();
    assert!(
        update.path.ends_with("&if_seq_no=8&if_primary_term=2"),
        "{}",
        update.path
    );
    assert_eq!(update.json()["doc"]["status"], "in_progress");

    // The whole API is not there, or our key may not use it.
    for (status, body) in [
        (
            400,
            r#"{"error":{"type":"illegal_argument_exception","reason":"request [/_connector] contains unrecognized parameter: [size]"},"status":400}"#,
        ),
        (405, ""),
        (
            403,
            r#"{"error":{"type":"security_exception","reason":"action [cluster:admin/xpack/connector/list] is unauthorized"}}"#,
        ),
    ] {
        let fake = Fake::start([Reply::new(status, body), updated(), updated()]).await;
        let records = ElasticRecords::new(fake.client(&StoppedClock::new()), Mode::Api);
        for _ in 0..2 {
            records
                .change_connector("c1", &ConnectorChange::CheckIn, None)
                .await
                .unwrap();
        }
        assert_eq!(records.mode().await.unwrap(), Mode::Direct);
        assert_eq!(fake.seen().len(), 3);
    }
    // Trouble is not the absence of the API.
    let fake = Fake::start((0..6).map(|_| Reply::new(503, ""))).await;
    let records = ElasticRecords::new(fake.client(&StoppedClock::new()), Mode::Api);
    assert_eq!(
        records.mode().await.unwrap_err().kind,
        RecordsErrorKind::Unavailable
    );
}

#[tokio::test]
async fn our_own_change_is_recognised_after_a_lost_answer() {
    let ours = json!({"last_seen": "2026-11-25T07:02:51.123456+00:00", "x": 1});
    // The clock moves by the waits, so the texts must be those of the first attempt.
    let first = json!({"last_seen": "2026-11-25T07:02:41.123456+00:00"});
    for (stored, kind) in [(first, None), (ours, Some(RecordsErrorKind::Conflict))] {
        let replies = vec![Reply::new(502, ""), conflict(), document(stored)];
        let (fake, records, clock) = records(Mode::Direct, replies).await;
        let changed = records
            .change_connector("c1", &ConnectorChange::CheckIn, Some(SEEN))
            .await;
        assert_eq!(changed.err().map(|error| error.kind), kind);
        assert_eq!((fake.seen().len(), clock.waits()), (3, vec![10]));
    }
    // Without a lost answer, a conflict is one.
    let (fake, records, _) = records(Mode::Direct, vec![conflict()]).await;
    let error = records
        .change_connector("c1", &ConnectorChange::CheckIn, Some(SEEN))
        .await
        .unwrap_err();
    assert_eq!(
        (error.kind, fake.seen().len()),
        (RecordsErrorKind::Conflict, 1)
    );
}

#[tokio::test]
async fn a_lost_answer_makes_no_second_job() {
    // Directly: the same id is sent again.
    let (fake, direct, _) = records(Mode::Direct, vec![Reply::new(504, ""), conflict()]).await;
    let id = direct
        .create_job(&connector(), JobType::Full, TriggerMethod::OnDemand)
        .await
        .unwrap();
    let seen = fake.seen();
    assert_eq!(seen[0].path, seen[1].path);
    assert_eq!(
        seen[0].line(),
        format!("PUT /.elastic-connectors-sync-jobs/_create/{id}?refresh=true&require_alias=true")
    );
    assert_eq!(seen[0].json()["status"], "pending");

    // By the API: a job that waits already is as good.
    let listed = |hits: Value| Reply::new(200, json!({"hits": {"hits": hits}}).to_string());
    let job =
        json!({"_id": "j7", "_seq_no": 1, "_primary_term": 1, "_source": {"status": "pending"}});
    let (fake, api, _) = records(Mode::Api, vec![Reply::new(502, ""), listed(json!([job]))]).await;
    let id = api
        .create_job(&connector(), JobType::Full, TriggerMethod::OnDemand)
        .await
        .unwrap();
    assert_eq!(id, "j7");
    let query = fake.seen()[2].json();
    assert_eq!(query["sort"][0]["created_at"]["order"], "desc");
    assert_eq!(query["size"], 1);
    let (fake, api, _) = records(Mode::Api, vec![Reply::new(502, ""), listed(json!([]))]).await;
    let error = api
        .create_job(&connector(), JobType::Full, TriggerMethod::OnDemand)
        .await
        .unwrap_err();
    assert_eq!(
        (error.kind, fake.seen().len()),
        (RecordsErrorKind::Unavailable, 3)
    );
    // Refused for sure: again.
    let replies = vec![Reply::new(429, ""), Reply::new(201, r#"{"id":"j8"}"#)];
    let (_, api, _) = records(Mode::Api, replies).await;
    let id = api
        .create_job(&connector(), JobType::Full, TriggerMethod::OnDemand)
        .await
        .unwrap();
    assert_eq!(id, "j8");
}

#[tokio::test]
async fn somebody_faster_makes_us_decide_anew() {
    let job = |status: &str| document(json!({"status": status}));
    // Unconditional: read again.
    let replies = vec![job("pending"), conflict(), job("suspended"), updated()];
    let (fake, claiming, _) = records(Mode::Direct, replies).await;
    claiming.change_job("j1", &claim(), None).await.unwrap();
    assert_eq!(fake.seen().len(), 4);
    // Somebody else has claimed it in between.
    let replies = vec![job("pending"), conflict(), job("in_progress")];
    let (_, claiming, _) = records(Mode::Direct, replies).await;
    let error = claiming.change_job("j1", &claim(), None).await.unwrap_err();
    assert_eq!(error.kind, RecordsErrorKind::Rejected);
    // A result is for the draft that was checked: it is not written over another one.
    let replies = vec![document(json!({})), conflict()];
    let (fake, checking, _) = records(Mode::Direct, replies).await;
    let change = ConnectorChange::FilteringChecked(FilteringValidation::of(Vec::new()));
    let error = checking
        .change_connector("c1", &change, None)
        .await
        .unwrap_err();
    assert_eq!(
        (error.kind, fake.seen().len()),
        (RecordsErrorKind::Conflict, 2)
    );
}

#[tokio::test]
async fn creates_what_is_missing_of_index_and_alias() {
    let there = || Reply::new(200, "");
    let missing = || Reply::new(404, "");
    let exists = || {
        Reply::new(
            400,
            r#"{"error":{"type":"resource_already_exists_exception","reason":"x"}}"#,
        )
    };
    for (replies, lines) in [
        (
            vec![there(), there()],
            vec![
                "HEAD /.elastic-connectors",
                "HEAD /.elastic-connectors-sync-jobs",
            ],
        ),
        (
            vec![missing(), updated(), missing(), exists(), updated()],
            vec![
                "HEAD /.elastic-connectors",
                "PUT /.elastic-connectors-v1",
                "HEAD /.elastic-connectors-sync-jobs",
                "PUT /.elastic-connectors-sync-jobs-v1",
                "POST /_aliases",
            ],
        ),
    ] {
        let (fake, records, _) = records(Mode::Direct, replies).await;
        records.prepare().await.unwrap();
        let seen: Vec<_> = fake.seen().iter().map(crate::fake::Seen::line).collect();
        assert_eq!(seen, lines);
    }
    // Nothing there yet: nothing is listed.
    let none = || {
        Reply::new(
            404,
            r#"{"error":{"type":"index_not_found_exception","reason":"no such index"}}"#,
        )
    };
    let (_, records, _) = records(Mode::Direct, vec![none(), none(), none()]).await;
    assert!(
        records
            .connectors(&Default::default())
            .await
            .unwrap()
            .is_empty()
    );
    assert!(records.jobs(&Default::default()).await.unwrap().is_empty());
    assert!(records.job("j1").await.unwrap().is_none());
}

#[tokio::test]
async fn one_odd_record_does_not_hide_the_others() {
    let hit = |id: &str, source: Value| json!({"_id": id, "_seq_no": 1, "_primary_term": 1, "_source": source});
    let hits = json!([
        hit("a", json!({"status": "nonsense"})),
        hit("b", json!({"status": "pending"})),
        hit("c", json!({}))
    ]);
    let listed = Reply::new(200, json!({"hits": {"hits": hits}}).to_string());
    let (_, listing, _) = records(Mode::Direct, vec![listed]).await;
    let jobs = listing.jobs(&Default::default()).await.unwrap();
    assert_eq!(jobs.len(), 1);
    assert_eq!(jobs[0].record.id, "b");
    let (_, reading, _) = records(Mode::Direct, vec![document(json!({"status": 7}))]).await;
    let error = reading.job("c1").await.unwrap_err();
    assert_eq!(error.kind, RecordsErrorKind::Rejected);
    assert!(
        error.message.contains("c1") && error.message.contains("status"),
        "{error}"
    );
}
