use serde_json::{Value, json};

use crate::harness::{Server, start};

async fn with_connector() -> Server {
    let server = start().await;
    server.ok("PUT", "/_connector/c", json!({"index_name": "music", "name": "My music", "service_type": "dir", "language": "en"})).await;
    server
}

async fn get(server: &Server, id: &str) -> Value {
    server
        .ok("GET", &format!("/_connector/{id}"), Value::Null)
        .await
}

/// Sends a change that must answer `updated`.
async fn update(server: &Server, change: &str, body: Value) {
    let answer = server
        .ok("PUT", &format!("/_connector/c/{change}"), body.clone())
        .await;
    assert_eq!(answer, json!({"result": "updated"}), "{change} {body}");
}

/// Sends a change that must be refused; returns the reason.
async fn refused(server: &Server, change: &str, body: Value) -> String {
    server
        .refused(400, "PUT", &format!("/_connector/c/{change}"), body)
        .await
        .1
}

#[tokio::test]
async fn a_new_connector_has_the_defaults_of_the_protocol() {
    let server = start().await;
    let (status, answer) = server.raw("PUT", "/_connector/c", "").await;
    assert_eq!(
        (status, answer),
        (201, json!({"result": "created", "id": "c"}))
    );
    let connector = get(&server, "c").await;
    let at = connector["filtering"][0]["active"]["rules"][0]["created_at"].clone();
    let rules = json!({
        "advanced_snippet": {"created_at": at, "updated_at": at, "value": {}},
        "rules": [{"id": "DEFAULT", "field": "_", "policy": "include", "rule": "regex", "value": ".*", "order": 0, "created_at": at, "updated_at": at}],
        "validation": {"state": "valid", "errors": []},
    });
    let schedule = json!({"enabled": false, "interval": "0 0 0 * * ?"});
    for (key, value) in [
        ("id", json!("c")),
        ("status", json!("created")),
        ("name", json!("")),
        ("index_name", Value::Null),
        ("language", Value::Null),
        ("service_type", Value::Null),
        ("is_native", json!(false)),
        ("sync_now", json!(false)),
        ("deleted", json!(false)),
        ("configuration", json!({})),
        ("custom_scheduling", json!({})),
        ("last_synced", Value::Null),
        (
            "filtering",
            json!([{"domain": "DEFAULT", "active": rules, "draft": rules}]),
        ),
        (
            "scheduling",
            json!({"full": schedule, "incremental": schedule, "access_control": schedule}),
        ),
    ] {
        assert_eq!(connector[key], value, "{key}");
    }
    for key in [
        "api_key_id",
        "api_key_secret_id",
        "description",
        "error",
        "features",
        "last_seen",
        "pipeline",
        "sync_cursor",
    ] {
        assert!(connector.get(key).is_none(), "{key}");
    }
    // The id is not part of the stored document, and both names of the index work.
    for index in [".elastic-connectors", ".elastic-connectors-v1"] {
        let document = server
            .ok("GET", &format!("/{index}/_doc/c"), Value::Null)
            .await;
        assert_eq!(document["_index"], ".elastic-connectors-v1");
        assert!(document["_source"].get("id").is_none());
    }
    for method in ["POST", "PUT"] {
        server
            .refused(501, method, "/_connector", json!({"description": "d"}))
            .await;
    }
}

#[tokio::test]
async fn putting_again_starts_over() {
    let server = with_connector().await;
    update(&server, "_check_in", Value::Null).await;
    let answer = server
        .ok("PUT", "/_connector/c", json!({"index_name": "music"}))
        .await;
    assert_eq!(answer, json!({"result": "updated", "id": "c"}));
    let connector = get(&server, "c").await;
    assert_eq!(
        (
            &connector["status"],
            &connector["name"],
            &connector["service_type"]
        ),
        (&json!("created"), &json!(""), &Value::Null)
    );
    let reason = server
        .refused(
            400,
            "PUT",
            "/_connector/other",
            json!({"index_name": "music"}),
        )
        .await
        .1;
    assert_eq!(reason, "Index name [music] is used by another connector.");
    server
        .refused(501, "PUT", "/_connector/other", json!({"unknown": 1}))
        .await;
    for body in [
        json!({"index_name": "Wrong"}),
        json!({"name": 5}),
        json!({"is_native": "x"}),
    ] {
        server.refused(400, "PUT", "/_connector/other", body).await;
    }
    server
        .refused(404, "GET", "/_connector/other", Value::Null)
        .await;
    assert_eq!(
        server
            .refused(404, "GET", "/_connector/x", Value::Null)
            .await,
        (
            "resource_not_found_exception".into(),
            "connector [x] not found".into()
        )
    );
    server
        .refused(404, "PUT", "/_connector/x/_check_in", Value::Null)
        .await;
    server
        .refused(400, "PUT", "/_connector//_check_in", Value::Null)
        .await;
}

#[tokio::test]
async fn lists_are_sorted_and_paged() {
    let server = start().await;
    assert_eq!(
        server.ok("GET", "/_connector", Value::Null).await,
        json!({"count": 0, "results": []})
    );
    for (id, index, name, kind) in [
        ("1", "c-index", "Alpha", "dir"),
        ("2", "a-index", "Beta", "jira"),
        ("3", "b-index", "Gamma", "dir"),
    ] {
        server.ok("PUT", &format!("/_connector/{id}"), json!({"index_name": index, "name": name, "service_type": kind, "description": format!("for {name}")})).await;
    }
    server
        .ok("PUT", "/_connector/4", json!({"name": "Delta"}))
        .await;
    let list = async |parameters: &str| {
        let answer = server
            .ok("GET", &format!("/_connector{parameters}"), Value::Null)
            .await;
        let ids: Vec<String> = answer["results"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one["id"].as_str().unwrap().to_owned())
            .collect();
        (answer["count"].as_u64().unwrap(), ids.join(""))
    };
    for (parameters, count, ids) in [
        ("", 4, "2314"),
        ("?size=2", 4, "23"),
        ("?from=2&size=100", 4, "14"),
    ] {
        assert_eq!(
            list(parameters).await,
            (count, ids.to_owned()),
            "{parameters}"
        );
    }
    server
        .refused(400, "GET", "/_connector?size=-1", Value::Null)
        .await;
    // One that is marked as deleted is not there any more, neither for readers nor for changes.
    let deleted = json!({"doc": {"deleted": true}});
    server
        .ok("POST", "/.elastic-connectors/_update/2", deleted)
        .await;
    assert_eq!(list("").await, (3, "314".to_owned()));
    server
        .refused(404, "GET", "/_connector/2", Value::Null)
        .await;
    server
        .refused(404, "PUT", "/_connector/2/_check_in", Value::Null)
        .await;
    server
        .ok("PUT", "/_connector/5", json!({"index_name": "a-index"}))
        .await;
}

#[tokio::test]
async fn values_of_a_configuration_are_set() {
    let server = with_connector().await;
    let whole = json!({"directory": {"label": "Directory", "type": "str", "value": "/data"}, "pattern": {"label": "Pattern"}});
    let change = json!({"doc": {"configuration": whole}});
    server
        .ok("POST", "/.elastic-connectors/_update/c", change)
        .await;
    let before = get(&server, "c").await["last_seen"].clone();
    update(&server, "_check_in", Value::Null).await;
    assert_ne!(get(&server, "c").await["last_seen"], before);
    update(
        &server,
        "_configuration",
        json!({"values": {"directory": "/other", "pattern": 5}}),
    )
    .await;
    let configuration = get(&server, "c").await["configuration"].clone();
    assert_eq!(
        (
            &configuration["directory"]["value"],
            &configuration["pattern"]["value"]
        ),
        (&json!("/other"), &json!(5))
    );
    assert_eq!(configuration["directory"]["label"], "Directory");
    assert_eq!(get(&server, "c").await["status"], "configured");
    let reason = refused(
        &server,
        "_configuration",
        json!({"values": {"directory": 2, "b": 3}}),
    )
    .await;
    assert_eq!(
        reason,
        "Unknown [configuration] field in the request payload: [b]"
    );
    let configuration = get(&server, "c").await["configuration"].clone();
    assert_eq!(configuration["directory"]["value"], "/other");
    refused(&server, "_configuration", json!({})).await;
    refused(&server, "_configuration", json!({"values": [1]})).await;
    let whole = json!({"configuration": {}});
    server
        .refused(501, "PUT", "/_connector/c/_configuration", whole)
        .await;
}

#[tokio::test]
async fn sync_rules_go_from_draft_to_active() {
    let server = with_connector().await;
    let mut filtering = get(&server, "c").await["filtering"].clone();
    filtering[0]["draft"]["rules"][0]["value"] = json!("x");
    filtering[0]["draft"]["validation"]["state"] = json!("edited");
    let draft = json!({"doc": {"filtering": filtering}});
    server
        .ok("POST", "/.elastic-connectors/_update/c", draft)
        .await;
    let reason = refused(&server, "_filtering/_activate", Value::Null).await;
    assert!(reason.contains("[edited]"), "{reason}");
    let errors = json!([{"ids": ["a"], "messages": ["no"]}]);
    let invalid = json!({"validation": {"state": "invalid", "errors": errors}});
    update(&server, "_filtering/_validation", invalid).await;
    let seen = get(&server, "c").await["filtering"][0]["draft"]["validation"].clone();
    assert_eq!(seen, json!({"state": "invalid", "errors": errors}));
    refused(&server, "_filtering/_activate", Value::Null).await;
    let valid = json!({"validation": {"state": "valid", "errors": []}});
    update(&server, "_filtering/_validation", valid).await;
    update(&server, "_filtering/_activate", Value::Null).await;
    let filtering = get(&server, "c").await["filtering"][0].clone();
    assert_eq!(filtering["active"], filtering["draft"]);
    assert_eq!(filtering["active"]["rules"][0]["value"], "x");
    for (change, body) in [
        ("_filtering", json!({"rules": []})),
        ("_scheduling", json!({})),
        ("_unheard_of", json!({})),
    ] {
        let path = format!("/_connector/c/{change}");
        server.refused(501, "PUT", &path, body).await;
    }
}

#[tokio::test]
async fn records_are_documents_too() {
    let server = with_connector().await;
    let got = server
        .ok("GET", "/.elastic-connectors/_doc/c", Value::Null)
        .await;
    let path = format!(
        "/.elastic-connectors/_update/c?if_seq_no={}&if_primary_term={}",
        got["_seq_no"], got["_primary_term"]
    );
    server
        .ok(
            "POST",
            &path,
            json!({"doc": {"last_sync_status": "in_progress"}}),
        )
        .await;
    server
        .refused(
            409,
            "POST",
            &path,
            json!({"doc": {"last_sync_status": "error"}}),
        )
        .await;
    assert_eq!(get(&server, "c").await["last_sync_status"], "in_progress");
    let body = json!({"query": {"bool": {"filter": [{"term": {"service_type": "dir"}}, {"term": {"last_sync_status": "in_progress"}}], "must_not": [{"term": {"deleted": true}}]}}, "seq_no_primary_term": true});
    assert_eq!(server.ids(".elastic-connectors", body.clone()).await, ["c"]);
    assert_eq!(server.ids(".elastic-connectors-v1", body).await, ["c"]);
    assert_eq!(
        server
            .found(".elastic-connectors", json!({"ids": {"values": ["c"]}}))
            .await,
        ["c"]
    );
    assert!(
        server
            .found(
                ".elastic-connectors",
                json!({"exists": {"field": "configuration.x"}})
            )
            .await
            .is_empty()
    );
    let seen = server.ok("GET", "/.elastic-connectors", Value::Null).await;
    assert_eq!(
        seen[".elastic-connectors-v1"]["mappings"]["dynamic"],
        "false"
    );
    // Either index made by a client, or by a write to the name of the alias, is the same.
    let other = start().await;
    other
        .ok(
            "PUT",
            "/.elastic-connectors-v1",
            json!({"aliases": {".elastic-connectors": {}}, "settings": {"hidden": true}}),
        )
        .await;
    other
        .ok(
            "PUT",
            "/.elastic-connectors-sync-jobs/_doc/j",
            json!({"status": "pending", "connector": {"id": "c"}}),
        )
        .await;
    assert_eq!(
        other
            .ok("GET", "/_connector/_sync_job/j", Value::Null)
            .await["status"],
        "pending"
    );
    other
        .ok(
            "PUT",
            "/.elastic-connectors/_doc/c",
            json!({"status": "created"}),
        )
        .await;
    assert_eq!(get(&other, "c").await["status"], "created");
    other
        .ok(
            "PUT",
            "/.search-acl-filter-music/_doc/u",
            json!({"identity": {"email": "x"}, "created_at": "2024-01-01"}),
        )
        .await;
    let seen = other
        .ok("GET", "/.search-acl-filter-music", Value::Null)
        .await;
    assert_eq!(
        seen[".search-acl-filter-music"]["mappings"]["properties"],
        json!({"created_at": {"type": "date"}})
    );
}
