use serde_json::{Value, json};

use crate::harness::{Server, start};

async fn with_connector() -> Server {
    let server = start().await;
    server
        .ok(
            "PUT",
            "/_connector/c",
            json!({"index_name": "music", "service_type": "dir", "language": "en"}),
        )
        .await;
    server
        .ok(
            "POST",
            "/.elastic-connectors/_update/c",
            json!({"doc": {"configuration": {"directory": {"label": "Directory", "value": "/data"}}}}),
        )
        .await;
    let pipeline = json!({"pipeline": {"name": "p", "extract_binary_content": true, "reduce_whitespace": true, "run_ml_inference": true}});
    server
        .ok(
            "POST",
            "/.elastic-connectors/_update/c",
            json!({"doc": pipeline}),
        )
        .await;
    server
}

async fn job(server: &Server, body: Value) -> String {
    let (status, answer) = server
        .raw("POST", "/_connector/_sync_job", &body.to_string())
        .await;
    assert_eq!(status, 201, "{answer}");
    answer["id"].as_str().unwrap().to_owned()
}

async fn get(server: &Server, id: &str) -> Value {
    server
        .ok("GET", &format!("/_connector/_sync_job/{id}"), Value::Null)
        .await
}

#[tokio::test]
async fn a_job_takes_a_snapshot_of_its_connector() {
    let server = with_connector().await;
    let id = job(&server, json!({"id": "c"})).await;
    server
        .ok(
            "PUT",
            "/_connector/c/_configuration",
            json!({"values": {"directory": "/later"}}),
        )
        .await;
    let full = get(&server, &id).await;
    for (key, value) in [
        ("id", json!(id)),
        ("status", json!("pending")),
        ("job_type", json!("full")),
        ("trigger_method", json!("on_demand")),
        ("deleted_document_count", json!(0)),
        ("indexed_document_count", json!(0)),
        ("indexed_document_volume", json!(0)),
        ("total_document_count", json!(0)),
        ("last_seen", full["created_at"].clone()),
    ] {
        assert_eq!(full[key], value, "{key}");
    }
    let connector = &full["connector"];
    assert_eq!(
        (
            &connector["id"],
            &connector["index_name"],
            &connector["service_type"],
            &connector["language"]
        ),
        (&json!("c"), &json!("music"), &json!("dir"), &json!("en"))
    );
    assert_eq!(
        (
            &connector["configuration"]["directory"]["value"],
            &connector["pipeline"]["name"]
        ),
        (&json!("/data"), &json!("p"))
    );
    assert_eq!(connector["filtering"]["rules"][0]["id"], "DEFAULT");
    assert_eq!(
        (
            &connector["filtering"]["validation"]["state"],
            connector.get("sync_cursor")
        ),
        (&json!("valid"), None)
    );
    let id = job(
        &server,
        json!({"id": "c", "job_type": "access_control", "trigger_method": "scheduled"}),
    )
    .await;
    let access = get(&server, &id).await;
    assert_eq!(
        (
            &access["connector"]["index_name"],
            &access["trigger_method"]
        ),
        (&json!(".search-acl-filter-music"), &json!("scheduled"))
    );
    for (status, body) in [
        (400, json!({})),
        (404, json!({"id": ""})),
        (501, json!({"id": "c", "job_type": "partial"})),
        (501, json!({"id": "c", "trigger_method": "x"})),
        (501, json!({"id": "c", "more": 1})),
    ] {
        server
            .refused(status, "POST", "/_connector/_sync_job", body)
            .await;
    }
    assert_eq!(
        server
            .refused(
                404,
                "POST",
                "/_connector/_sync_job",
                json!({"id": "absent"})
            )
            .await
            .1,
        "connector [absent] not found"
    );
    server.ok("PUT", "/_connector/bare", Value::Null).await;
    server
        .refused(400, "POST", "/_connector/_sync_job", json!({"id": "bare"}))
        .await;
    server
        .ok(
            "POST",
            "/.elastic-connectors/_update/bare",
            json!({"doc": {"index_name": "x"}}),
        )
        .await;
    server
        .refused(400, "POST", "/_connector/_sync_job", json!({"id": "bare"}))
        .await;
}

#[tokio::test]
async fn a_job_that_is_not_there_is_named() {
    let server = with_connector().await;
    let seen = server.refused(404, "GET", "/_connector/_sync_job/x", Value::Null);
    assert_eq!(seen.await.1, "connector sync job [x] not found");
    let claim = json!({"worker_hostname": "w"});
    for (change, body) in [
        ("_check_in", Value::Null),
        ("_cancel", Value::Null),
        ("_claim", claim),
    ] {
        let path = format!("/_connector/_sync_job/x/{change}");
        let refused = server.refused(404, "PUT", &path, body).await;
        assert_eq!(refused.1, "connector sync job [x] not found");
    }
}

#[tokio::test]
async fn a_job_is_claimed_and_counted() {
    let server = with_connector().await;
    let id = job(&server, json!({"id": "c"})).await;
    let path = |change: &str| format!("/_connector/_sync_job/{id}/{change}");
    for body in [
        json!({}),
        json!({"worker_hostname": null}),
        json!({"worker_hostname": "w", "sync_cursor": 5}),
    ] {
        server.refused(400, "PUT", &path("_claim"), body).await;
    }
    let updated = json!({"result": "updated"});
    assert_eq!(
        server
            .ok(
                "PUT",
                &path("_claim"),
                json!({"worker_hostname": "w", "sync_cursor": {"at": 1}})
            )
            .await,
        updated
    );
    let claimed = get(&server, &id).await;
    assert_eq!(
        (
            &claimed["status"],
            &claimed["worker_hostname"],
            &claimed["connector"]["sync_cursor"]
        ),
        (&json!("in_progress"), &json!("w"), &json!({"at": 1}))
    );
    assert_eq!(claimed["started_at"], claimed["last_seen"]);
    assert_eq!(
        server.ok("PUT", &path("_check_in"), Value::Null).await,
        updated
    );
    assert_ne!(get(&server, &id).await["last_seen"], claimed["last_seen"]);
    let counts = json!({"deleted_document_count": 1, "indexed_document_count": 2, "indexed_document_volume": 3, "total_document_count": 4, "metadata": {"a": 1}});
    assert_eq!(server.ok("PUT", &path("_stats"), counts).await, updated);
    let counts = json!({"deleted_document_count": 5, "indexed_document_count": 2, "indexed_document_volume": 3, "metadata": {"b": 2}, "last_seen": "2024-01-01T00:00:00Z"});
    server.ok("PUT", &path("_stats"), counts).await;
    let counted = get(&server, &id).await;
    assert_eq!(
        (
            &counted["deleted_document_count"],
            &counted["total_document_count"],
            &counted["metadata"]
        ),
        (&json!(5), &json!(4), &json!({"a": 1, "b": 2}))
    );
    assert_eq!(counted["last_seen"], "2024-01-01T00:00:00Z");
    for body in [
        json!({"deleted_document_count": 1, "indexed_document_count": 2}),
        json!({"deleted_document_count": -1, "indexed_document_count": 2, "indexed_document_volume": 3}),
        json!({"deleted_document_count": 1, "indexed_document_count": 2, "indexed_document_volume": 3, "total_document_count": -1}),
        json!({"deleted_document_count": 1, "indexed_document_count": 2, "indexed_document_volume": 3, "metadata": 5}),
        json!({"deleted_document_count": "1", "indexed_document_count": 2, "indexed_document_volume": 3}),
    ] {
        server.refused(400, "PUT", &path("_stats"), body).await;
    }
    assert_eq!(get(&server, &id).await["connector"]["id"], "c");
    server
        .refused(501, "PUT", &path("_error"), json!({"error": "x"}))
        .await;
    server
        .refused(501, "PUT", &path("_finish"), json!({}))
        .await;
}

#[tokio::test]
async fn canceling_depends_on_the_status() {
    let server = with_connector().await;
    for status in [
        "pending",
        "suspended",
        "in_progress",
        "canceling",
        "canceled",
        "completed",
        "error",
    ] {
        let id = job(&server, json!({"id": "c"})).await;
        server
            .ok(
                "POST",
                &format!("/.elastic-connectors-sync-jobs/_update/{id}"),
                json!({"doc": {"status": status}}),
            )
            .await;
        let (answered, _) = server
            .raw("PUT", &format!("/_connector/_sync_job/{id}/_cancel"), "")
            .await;
        let after = get(&server, &id).await;
        match status {
            "pending" | "suspended" => {
                assert_eq!((answered, &after["status"]), (200, &json!("canceled")));
                assert!(after["canceled_at"].is_string());
                assert_eq!(
                    (&after["canceled_at"], &after["completed_at"]),
                    (&after["cancelation_requested_at"], &after["canceled_at"])
                );
            }
            "in_progress" => {
                assert_eq!(
                    (answered, &after["status"], after.get("canceled_at")),
                    (200, &json!("canceling"), None)
                );
                assert!(after["cancelation_requested_at"].is_string());
            }
            _ => assert_eq!((answered, &after["status"]), (400, &json!(status))),
        }
    }
}

#[tokio::test]
async fn records_that_somebody_garbled_break_nothing() {
    let server = with_connector().await;
    let garbled = json!({"status": "pending", "connector": [{"id": "c"}, {}]});
    server
        .ok("PUT", "/.elastic-connectors-sync-jobs/_doc/j", garbled)
        .await;
    let claim = json!({"worker_hostname": "w", "sync_cursor": {"at": null}});
    server
        .ok("PUT", "/_connector/_sync_job/j/_claim", claim)
        .await;
    let garbled = json!({"doc": {"filtering": [{"draft": 5}]}});
    server
        .ok("POST", "/.elastic-connectors/_update/c", garbled)
        .await;
    let valid = json!({"validation": {"state": "valid", "errors": []}});
    server
        .refused(400, "PUT", "/_connector/c/_filtering/_validation", valid)
        .await;
    server
        .refused(
            400,
            "PUT",
            "/_connector/c/_filtering/_activate",
            Value::Null,
        )
        .await;
    server
        .ok("PUT", "/_connector/c/_check_in", Value::Null)
        .await;
}
