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
    let made = server
        .ok("POST", "/_connector", json!({"description": "d"}))
        .await;
    assert_eq!(made["result"], "created");
    assert_eq!(
        get(&server, made["id"].as_str().unwrap()).await["description"],
        "d"
    );
    assert_eq!(
        server.ok("PUT", "/_connector", Value::Null).await["id"]
            .as_str()
            .unwrap()
            .len(),
        20
    );
    let native = server
        .ok(
            "PUT",
            "/_connector/n",
            json!({"is_native": true, "index_name": "content-x"}),
        )
        .await;
    assert_eq!(native["result"], "created");
    assert_eq!(get(&server, "n").await["status"], "needs_configuration");
}

#[tokio::test]
async fn putting_again_starts_over() {
    let server = with_connector().await;
    update(&server, "_error", json!({"error": "x"})).await;
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
    for body in [
        json!({"index_name": "Wrong"}),
        json!({"is_native": true, "index_name": "x"}),
        json!({"unknown": 1}),
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
async fn lists_are_filtered_sorted_and_paged() {
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
        ("?index_name=a-index,c-index", 2, "21"),
        ("?connector_name=Alpha,Delta", 2, "14"),
        ("?service_type=dir", 2, "31"),
        ("?service_type=dir&connector_name=Gamma", 1, "3"),
        ("?query=index", 3, "231"),
        ("?query=Bet", 1, "2"),
        ("?query=for%20G", 1, "3"),
        ("?query=none", 0, ""),
    ] {
        assert_eq!(
            list(parameters).await,
            (count, ids.to_owned()),
            "{parameters}"
        );
    }
    server
        .refused(400, "GET", "/_connector?index_name=Wrong", Value::Null)
        .await;
    server
        .refused(400, "GET", "/_connector?size=-1", Value::Null)
        .await;
    server.ok("DELETE", "/_connector/2", Value::Null).await;
    assert_eq!(list("").await, (3, "314".to_owned()));
    assert_eq!(list("?include_deleted=true").await, (4, "2314".to_owned()));
}

#[tokio::test]
async fn deleting_is_soft_unless_asked_otherwise() {
    let server = with_connector().await;
    server
        .ok("POST", "/_connector/_sync_job", json!({"id": "c"}))
        .await;
    assert_eq!(
        server.ok("DELETE", "/_connector/c", Value::Null).await,
        json!({"acknowledged": true})
    );
    server
        .refused(404, "GET", "/_connector/c", Value::Null)
        .await;
    server
        .refused(404, "DELETE", "/_connector/c", Value::Null)
        .await;
    server
        .refused(404, "PUT", "/_connector/c/_check_in", Value::Null)
        .await;
    let kept = server
        .ok("GET", "/_connector/c?include_deleted=true", Value::Null)
        .await;
    assert_eq!(kept["deleted"], true);
    assert_eq!(
        server.ok("GET", "/_connector/_sync_job", Value::Null).await["count"],
        1
    );
    server
        .ok(
            "PUT",
            "/_connector/d",
            json!({"index_name": "music", "service_type": "dir"}),
        )
        .await;
    server
        .ok("POST", "/_connector/_sync_job", json!({"id": "d"}))
        .await;
    server
        .ok(
            "DELETE",
            "/_connector/d?hard=true&delete_sync_jobs=true",
            Value::Null,
        )
        .await;
    server
        .refused(
            404,
            "GET",
            "/_connector/d?include_deleted=true",
            Value::Null,
        )
        .await;
    let left = server.ok("GET", "/_connector/_sync_job", Value::Null).await;
    assert_eq!(
        (&left["count"], &left["results"][0]["connector"]["id"]),
        (&json!(1), &json!("c"))
    );
    server
        .refused(404, "DELETE", "/_connector/absent", Value::Null)
        .await;
}

#[tokio::test]
async fn small_updates_do_what_they_say() {
    let server = with_connector().await;
    update(&server, "_check_in", Value::Null).await;
    assert!(get(&server, "c").await["last_seen"].is_string());
    update(&server, "_name", json!({"name": "n", "description": "d"})).await;
    update(&server, "_api_key_id", json!({"api_key_id": "k"})).await;
    update(&server, "_pipeline", json!({"pipeline": {"name": "p", "extract_binary_content": true, "reduce_whitespace": false, "run_ml_inference": true}})).await;
    update(&server, "_last_sync", json!({"last_sync_status": "completed", "last_synced": "2024-01-01T00:00:00Z", "sync_cursor": {"a": 1}, "last_sync_error": null})).await;
    update(&server, "_last_sync", json!({"sync_cursor": {"b": 2}})).await;
    let connector = get(&server, "c").await;
    assert_eq!(
        (
            &connector["name"],
            &connector["description"],
            &connector["api_key_id"]
        ),
        (&json!("n"), &json!("d"), &json!("k"))
    );
    assert_eq!(
        (
            &connector["pipeline"]["reduce_whitespace"],
            &connector["sync_cursor"]
        ),
        (&json!(false), &json!({"a": 1, "b": 2}))
    );
    assert_eq!(connector["last_sync_status"], "completed");
    update(&server, "_error", json!({"error": "broken"})).await;
    assert_eq!(
        (
            &get(&server, "c").await["status"],
            &get(&server, "c").await["error"]
        ),
        (&json!("error"), &json!("broken"))
    );
    update(&server, "_error", json!({"error": ""})).await;
    assert_eq!(
        (
            &get(&server, "c").await["status"],
            &get(&server, "c").await["error"]
        ),
        (&json!("connected"), &Value::Null)
    );
    update(&server, "_service_type", json!({"service_type": "jira"})).await;
    assert_eq!(get(&server, "c").await["status"], "needs_configuration");
    update(&server, "_index_name", json!({"index_name": "other"})).await;
    assert_eq!(
        server
            .ok(
                "PUT",
                "/_connector/c/_index_name",
                json!({"index_name": "other"})
            )
            .await,
        json!({"result": "noop"})
    );
    update(&server, "_index_name", json!({"index_name": null})).await;
    update(&server, "_native", json!({"is_native": true})).await;
    for (change, body) in [
        ("_name", json!({})),
        ("_api_key_id", json!({})),
        ("_last_sync", json!({"last_synced": "soon"})),
        ("_last_sync", json!({"last_sync_status": "done"})),
        ("_last_sync", json!({"last_indexed_document_count": "5"})),
        ("_pipeline", json!({"pipeline": {"name": "p"}})),
        ("_error", json!({})),
        ("_error", json!({"error": 5})),
        ("_service_type", json!({"service_type": null})),
        ("_service_type", json!({"service_type": "x", "more": 1})),
        ("_index_name", json!({"index_name": "Wrong"})),
        ("_index_name", json!({"index_name": "not-native"})),
        ("_native", json!({"is_native": "yes"})),
    ] {
        refused(&server, change, body).await;
    }
    server
        .refused(501, "PUT", "/_connector/c/_unheard_of", json!({}))
        .await;
}

#[tokio::test]
async fn the_status_moves_only_as_the_protocol_allows() {
    let states = [
        "created",
        "needs_configuration",
        "configured",
        "connected",
        "error",
    ];
    let allowed = [
        ("created", "needs_configuration"),
        ("created", "error"),
        ("needs_configuration", "configured"),
        ("needs_configuration", "error"),
        ("configured", "needs_configuration"),
        ("configured", "configured"),
        ("configured", "connected"),
        ("configured", "error"),
        ("connected", "connected"),
        ("connected", "configured"),
        ("connected", "error"),
        ("error", "connected"),
        ("error", "configured"),
        ("error", "error"),
    ];
    let server = with_connector().await;
    for from in states {
        for to in states {
            server
                .ok(
                    "POST",
                    "/.elastic-connectors/_update/c",
                    json!({"doc": {"status": from}}),
                )
                .await;
            let (status, answer) = server
                .raw(
                    "PUT",
                    "/_connector/c/_status",
                    &json!({"status": to}).to_string(),
                )
                .await;
            if allowed.contains(&(from, to)) {
                assert_eq!(status, 200, "{from} to {to}: {answer}");
            } else {
                let reason = answer["error"]["reason"].as_str().unwrap();
                assert_eq!(status, 400);
                assert_eq!(
                    reason,
                    format!(
                        "Invalid transition attempt from [{from}] to [{to}]. Such a status transition is not supported by the Connector Protocol."
                    )
                );
            }
        }
    }
    refused(&server, "_status", json!({"status": "asleep"})).await;
}

#[tokio::test]
async fn a_configuration_is_replaced_or_its_values_are() {
    let server = with_connector().await;
    let field = json!({"label": "Directory", "type": "str", "display": "text", "order": 1, "value": "/data", "default_value": "", "tooltip": null, "options": null, "extra": 5,
        "validations": [{"type": "regex", "constraint": ".*"}], "depends_on": [{"field": "other", "value": true}], "ui_restrictions": ["advanced"]});
    let body = json!({"configuration": {"directory": field, "pattern": {"label": "Pattern", "required": true}}});
    let body_text = body.to_string().replace("\"options\":null,", "");
    let (status, answer) = server
        .raw("PUT", "/_connector/c/_configuration", &body_text)
        .await;
    assert_eq!((status, answer), (200, json!({"result": "updated"})));
    let connector = get(&server, "c").await;
    assert_eq!(connector["status"], "configured");
    assert_eq!(
        connector["configuration"]["directory"],
        json!({"default_value": "", "depends_on": [{"field": "other", "value": true}], "display": "text", "label": "Directory", "order": 1, "required": false,
            "sensitive": false, "tooltip": null, "type": "str", "ui_restrictions": ["advanced"], "validations": [{"type": "regex", "constraint": ".*"}], "value": "/data"})
    );
    assert_eq!(
        connector["configuration"]["pattern"],
        json!({"default_value": null, "label": "Pattern", "required": true, "sensitive": false, "value": null})
    );
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
    let reason = refused(
        &server,
        "_configuration",
        json!({"values": {"a": 1, "directory": 2, "b": 3}}),
    )
    .await;
    assert_eq!(
        reason,
        "Validation Failed: 1: Unknown [configuration] fields in the request payload: [a, b]. Remove them from request or register their schema first.;"
    );
    let reason = refused(
        &server,
        "_configuration",
        json!({"values": {}, "configuration": {}}),
    )
    .await;
    assert_eq!(
        reason,
        "Validation Failed: 1: [configuration] and [values] cannot both be provided in the same request.;"
    );
    assert_eq!(
        refused(&server, "_configuration", json!({})).await,
        "Validation Failed: 1: [configuration] and [values] cannot both be null.;"
    );
    for field in [
        json!({}),
        json!({"label": 5}),
        json!({"label": "x", "display": "hologram"}),
        json!({"label": "x", "validations": [{"type": "magic", "constraint": 1}]}),
        json!({"label": "x", "validations": [{"type": "less_than", "constraint": "many"}]}),
        json!({"label": "x", "value": [1]}),
        json!({"label": "x", "options": [{"label": "x"}]}),
        json!({"label": "x", "order": "first"}),
        json!(5),
    ] {
        refused(
            &server,
            "_configuration",
            json!({"configuration": {"f": field}}),
        )
        .await;
    }
    update(&server, "_configuration", json!({"configuration": {}})).await;
    assert_eq!(get(&server, "c").await["configuration"], json!({}));
}

#[tokio::test]
async fn schedules_and_features_are_laid_over() {
    let server = with_connector().await;
    update(
        &server,
        "_scheduling",
        json!({"scheduling": {"full": {"enabled": true, "interval": "0 0 12 * * ?"}}}),
    )
    .await;
    let scheduling = get(&server, "c").await["scheduling"].clone();
    assert_eq!(
        scheduling["full"],
        json!({"enabled": true, "interval": "0 0 12 * * ?"})
    );
    assert_eq!(scheduling["incremental"]["enabled"], false);
    for interval in [
        "0/5 * * * * ?",
        "0 0 0 ? * MON-FRI",
        "0 15 10 L * ?",
        "0 15 10 ? * 6L",
        "0 15 10 ? * 6#3",
        "0 0 0 15W * ? 2030",
        "0 0 0 LW jan,feb ?",
        "0 0-5,10/15 9-17 ? * sun",
    ] {
        server
            .ok(
                "PUT",
                "/_connector/c/_scheduling",
                json!({"scheduling": {"full": {"enabled": true, "interval": interval}}}),
            )
            .await;
    }
    for interval in [
        "61 0 0 * * ?",
        "0 0 0 * *",
        "0 0 0 * * *",
        "0 0 0 ? * ?",
        "",
        "0 0 24 * * ?",
        "0 0 0 32 * ?",
        "0 0 0 ? * 8",
        "0 0 0 ? * 6#6",
        "0 0 0 ? 13 MON",
        "a b c d e f",
        "0 0 0 * * ? 1900",
        "0 0 0 * * ? 2030 1",
        "0 /0 0 * * ?",
        "-1 0 0 * * ?",
    ] {
        refused(
            &server,
            "_scheduling",
            json!({"scheduling": {"full": {"enabled": true, "interval": interval}}}),
        )
        .await;
    }
    for body in [
        json!({"scheduling": {}}),
        json!({}),
        json!({"scheduling": {"hourly": {"enabled": true, "interval": "0 0 0 * * ?"}}}),
        json!({"scheduling": {"full": {"enabled": true}}}),
    ] {
        refused(&server, "_scheduling", body).await;
    }
    update(&server, "_features", json!({"features": {"document_level_security": {"enabled": true}, "sync_rules": {"basic": {"enabled": true}}}})).await;
    update(&server, "_features", json!({"features": {"incremental_sync": {"enabled": true}, "sync_rules": {"advanced": {"enabled": false}}}})).await;
    let features = get(&server, "c").await["features"].clone();
    assert_eq!(
        features,
        json!({"document_level_security": {"enabled": true}, "incremental_sync": {"enabled": true}, "sync_rules": {"basic": {"enabled": true}, "advanced": {"enabled": false}}})
    );
    for body in [
        json!({}),
        json!({"features": {"flying": {"enabled": true}}}),
        json!({"features": {"incremental_sync": true}}),
        json!({"features": {"incremental_sync": {"enabled": "x"}}}),
    ] {
        refused(&server, "_features", body).await;
    }
}

#[tokio::test]
async fn sync_rules_go_from_draft_to_active() {
    let server = with_connector().await;
    let rule = |id: &str, order: u64| json!({"id": id, "field": "title", "order": order, "policy": "exclude", "rule": "equals", "value": "x"});
    update(
        &server,
        "_filtering",
        json!({"rules": [rule("b", 5), rule("a", 1)]}),
    )
    .await;
    let draft = async || get(&server, "c").await["filtering"][0]["draft"].clone();
    let ids = |draft: &Value| {
        draft["rules"]
            .as_array()
            .unwrap()
            .iter()
            .map(|rule| {
                (
                    rule["id"].as_str().unwrap().to_owned(),
                    rule["order"].as_u64().unwrap(),
                )
            })
            .collect::<Vec<_>>()
    };
    assert_eq!(
        ids(&draft().await),
        [
            ("a".to_owned(), 1),
            ("b".to_owned(), 5),
            ("DEFAULT".to_owned(), 6)
        ]
    );
    assert_eq!(
        draft().await["validation"],
        json!({"state": "edited", "errors": []})
    );
    assert_eq!(
        get(&server, "c").await["filtering"][0]["active"]["rules"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    assert!(draft().await["rules"][0]["created_at"].is_string());
    let reason = refused(&server, "_filtering/_activate", Value::Null).await;
    assert!(reason.contains("[edited]"), "{reason}");
    update(
        &server,
        "_filtering/_validation",
        json!({"validation": {"state": "invalid", "errors": [{"ids": ["a"], "messages": ["no"]}]}}),
    )
    .await;
    refused(&server, "_filtering/_activate", Value::Null).await;
    update(
        &server,
        "_filtering",
        json!({"advanced_snippet": {"value": [{"path": "*"}]}}),
    )
    .await;
    assert_eq!(
        (
            &draft().await["advanced_snippet"]["value"],
            ids(&draft().await).len()
        ),
        (&json!([{"path": "*"}]), 3)
    );
    update(
        &server,
        "_filtering/_validation",
        json!({"validation": {"state": "valid", "errors": []}}),
    )
    .await;
    update(&server, "_filtering/_activate", Value::Null).await;
    let filtering = get(&server, "c").await["filtering"][0].clone();
    assert_eq!(filtering["active"], filtering["draft"]);
    update(&server, "_filtering", json!({"rules": []})).await;
    assert_eq!(ids(&draft().await), [("DEFAULT".to_owned(), 0)]);
    let mut whole = get(&server, "c").await["filtering"].clone();
    whole[0]["domain"] = json!("OTHER");
    whole[0]["draft"]["validation"]["state"] = json!("valid");
    update(&server, "_filtering", json!({"filtering": whole})).await;
    assert_eq!(get(&server, "c").await["filtering"][0]["domain"], "DEFAULT");
    for body in [
        json!({}),
        json!({"filtering": [], "rules": []}),
        json!({"filtering": [{}]}),
        json!({"rules": [{"id": "x"}]}),
        json!({"rules": [{"id": "x", "field": "f", "order": 0, "policy": "perhaps", "rule": "equals", "value": "x"}]}),
        json!({"rules": [{"id": "x", "field": "f", "order": 0, "policy": "include", "rule": "similar", "value": "x"}]}),
        json!({"rules": [{"id": "x", "field": "f", "order": "0", "policy": "include", "rule": "equals", "value": "x"}]}),
        json!({"rules": [{"id": "x", "field": "f", "order": 0, "policy": "include", "rule": "equals", "value": "x", "created_at": "soon"}]}),
        json!({"advanced_snippet": {"value": 5}}),
        json!({"rules": 5}),
    ] {
        refused(&server, "_filtering", body).await;
    }
    refused(
        &server,
        "_filtering/_validation",
        json!({"validation": {"state": "maybe", "errors": []}}),
    )
    .await;
    refused(
        &server,
        "_filtering/_validation",
        json!({"validation": {"state": "valid"}}),
    )
    .await;
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
    assert_eq!(
        seen[".elastic-connectors-v1"]["settings"]["index"]["hidden"],
        "true"
    );
    assert_eq!(
        seen[".elastic-connectors-v1"]["mappings"]["_meta"]["pipeline"]["default_name"],
        "search-default-ingestion"
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
