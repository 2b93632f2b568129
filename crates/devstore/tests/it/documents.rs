use serde_json::{Value, json};

use crate::harness::start;

#[tokio::test]
async fn a_document_lives_through_its_versions() {
    let server = start().await;
    let made = server.ok("PUT", "/m/_doc/a%2Fb", json!({"n": 1})).await;
    assert_eq!(
        (&made["result"], &made["_version"], &made["_seq_no"]),
        (&json!("created"), &json!(1), &json!(0))
    );
    assert_eq!(
        (&made["_id"], &made["_index"], &made["_primary_term"]),
        (&json!("a/b"), &json!("m"), &json!(1))
    );
    assert_eq!(made["_shards"]["failed"], 0);
    let again = server
        .ok("PUT", "/m/_doc/a%2Fb?refresh=true", json!({"n": 2}))
        .await;
    assert_eq!(
        (
            &again["result"],
            &again["_version"],
            &again["_shards"]["total"]
        ),
        (&json!("updated"), &json!(2), &json!(1))
    );
    let got = server.ok("GET", "/m/_doc/a%2Fb", Value::Null).await;
    assert_eq!(
        (&got["found"], &got["_source"], &got["_seq_no"]),
        (&json!(true), &json!({"n": 2}), &json!(1))
    );
    assert_eq!(
        server.ok("GET", "/m/_source/a%2Fb", Value::Null).await,
        json!({"n": 2})
    );
    assert_eq!(server.raw("HEAD", "/m/_doc/a%2Fb", "").await.0, 200);
    let gone = server.ok("DELETE", "/m/_doc/a%2Fb", Value::Null).await;
    assert_eq!(
        (&gone["result"], &gone["_version"], &gone["_seq_no"]),
        (&json!("deleted"), &json!(3), &json!(2))
    );
    assert_eq!(
        server.raw("GET", "/m/_doc/a%2Fb", "").await,
        (404, json!({"_index": "m", "_id": "a/b", "found": false}))
    );
    assert_eq!(server.raw("HEAD", "/m/_doc/a%2Fb", "").await.0, 404);
    let (status, answer) = server.raw("DELETE", "/m/_doc/a%2Fb", "").await;
    assert_eq!((status, &answer["result"]), (404, &json!("not_found")));
    server
        .refused(404, "GET", "/absent/_doc/1", Value::Null)
        .await;
    server
        .refused(404, "DELETE", "/absent/_doc/1", Value::Null)
        .await;
    assert_eq!(server.raw("GET", "/m/_source/1", "").await.0, 404);
}

#[tokio::test]
async fn sources_come_back_with_the_same_values_in_the_same_order() {
    let server = start().await;
    let source = r#"{"z": 1.10, "a": [ 0.1, 123456789.12345679, 1e-7 ], "text": "Ünïcode \u00e9 京", "big": 9223372036854775807}"#;
    let shown = r#"{"z":1.1,"a":[0.1,123456789.12345679,1e-7],"text":"Ünïcode é 京","big":9223372036854775807}"#;
    server.raw("PUT", "/m/_doc/1", source).await;
    let text = server
        .request("GET", "/m/_source/1")
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    assert_eq!(text, shown);
}

#[tokio::test]
async fn ids_are_made_where_none_is_given() {
    let server = start().await;
    let first = server.ok("POST", "/m/_doc", json!({})).await;
    let second = server.ok("POST", "/m/_doc", json!({})).await;
    assert_eq!(first["_id"].as_str().unwrap().len(), 20);
    assert_ne!(first["_id"], second["_id"]);
    let long = "x".repeat(513);
    let (kind, reason) = server
        .refused(400, "PUT", &format!("/m/_doc/{long}"), json!({}))
        .await;
    assert_eq!(kind, "action_request_validation_exception");
    assert!(
        reason.contains("must be no longer than 512 bytes"),
        "{reason}"
    );
    server
        .ok("PUT", &format!("/m/_doc/{}", "x".repeat(512)), json!({}))
        .await;
}

#[tokio::test]
async fn a_condition_that_does_not_hold_is_a_conflict() {
    let server = start().await;
    server.ok("PUT", "/m/_create/1", json!({"n": 1})).await;
    let (kind, reason) = server
        .refused(409, "PUT", "/m/_create/1", json!({"n": 2}))
        .await;
    assert_eq!(
        (kind.as_str(), reason.as_str()),
        (
            "version_conflict_engine_exception",
            "[1]: version conflict, document already exists"
        )
    );
    server
        .refused(501, "PUT", "/m/_doc/1?op_type=create", json!({"n": 2}))
        .await;
    server
        .ok(
            "PUT",
            "/m/_doc/1?if_seq_no=0&if_primary_term=1",
            json!({"n": 3}),
        )
        .await;
    for (method, path) in [
        ("PUT", "/m/_doc/1?if_seq_no=0&if_primary_term=1"),
        ("PUT", "/m/_doc/1?if_seq_no=1&if_primary_term=2"),
        ("DELETE", "/m/_doc/1?if_seq_no=0&if_primary_term=1"),
        ("POST", "/m/_update/1?if_seq_no=0&if_primary_term=1"),
        ("PUT", "/m/_doc/absent?if_seq_no=0&if_primary_term=1"),
        ("DELETE", "/m/_doc/absent?if_seq_no=0&if_primary_term=1"),
    ] {
        let (kind, _) = server
            .refused(409, method, path, json!({"doc": {"n": 4}}))
            .await;
        assert_eq!(kind, "version_conflict_engine_exception", "{method} {path}");
    }
    server
        .refused(400, "PUT", "/m/_doc/1?if_seq_no=1", json!({"n": 5}))
        .await;
    server
        .refused(
            400,
            "PUT",
            "/m/_doc/1?if_seq_no=-1&if_primary_term=1",
            json!({"n": 5}),
        )
        .await;
    server
        .refused(
            400,
            "PUT",
            "/m/_doc/1?if_seq_no=x&if_primary_term=1",
            json!({"n": 5}),
        )
        .await;
    assert_eq!(
        server.ok("GET", "/m/_doc/1", Value::Null).await["_source"],
        json!({"n": 3})
    );
    server
        .ok(
            "DELETE",
            "/m/_doc/1?if_seq_no=1&if_primary_term=1",
            Value::Null,
        )
        .await;
}

#[tokio::test]
async fn of_two_writers_with_the_same_condition_one_wins() {
    let server = start().await;
    server.ok("PUT", "/m/_doc/1", json!({"n": 0})).await;
    let mut tries = tokio::task::JoinSet::new();
    for number in 0..16 {
        let body = json!({"doc": {"n": number + 1}}).to_string();
        let request = server.request("POST", "/m/_update/1?if_seq_no=0&if_primary_term=1");
        let request = request
            .header("content-type", "application/json")
            .body(body);
        tries.spawn(async move { request.send().await.unwrap().status().as_u16() });
    }
    let mut statuses = tries.join_all().await;
    statuses.sort_unstable();
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 1);
    assert_eq!(statuses.iter().filter(|status| **status == 409).count(), 15);
}

#[tokio::test]
async fn updates_merge_and_notice_that_nothing_changes() {
    let server = start().await;
    server
        .ok(
            "PUT",
            "/m/_doc/1",
            json!({"a": {"x": 1, "y": 2}, "b": [1, 2], "c": "old"}),
        )
        .await;
    let updated = server
        .ok(
            "POST",
            "/m/_update/1",
            json!({"doc": {"a": {"y": 3}, "b": [9], "d.e": 1}}),
        )
        .await;
    assert_eq!(
        (
            &updated["result"],
            &updated["_version"],
            &updated["_seq_no"]
        ),
        (&json!("updated"), &json!(2), &json!(1))
    );
    let source = server.ok("GET", "/m/_source/1", Value::Null).await;
    assert_eq!(
        source,
        json!({"a": {"x": 1, "y": 3}, "b": [9], "c": "old", "d.e": 1})
    );
    let same = server
        .ok(
            "POST",
            "/m/_update/1",
            json!({"doc": {"a": {"y": 3}, "c": "old"}}),
        )
        .await;
    assert_eq!(
        (&same["result"], &same["_seq_no"], &same["_shards"]["total"]),
        (&json!("noop"), &json!(1), &json!(0))
    );
    assert_eq!(
        server
            .refused(404, "POST", "/m/_update/2", json!({"doc": {"c": 1}}))
            .await,
        (
            "document_missing_exception".into(),
            "[2]: document missing".into()
        )
    );
    for body in [
        json!({"script": {"source": "x"}}),
        json!({"doc": {}, "detect_noop": false}),
        json!({"document": {}}),
        json!({"doc": {}, "doc_as_upsert": true}),
        json!({"doc": {}, "upsert": {}}),
    ] {
        server.refused(501, "POST", "/m/_update/1", body).await;
    }
    server
        .refused(400, "POST", "/m/_update/1", json!({"doc": 5}))
        .await;
    server.refused(400, "POST", "/m/_update/1", json!({})).await;
    server
        .refused(
            400,
            "POST",
            "/m/_update/1",
            json!({"doc": {"a": "no object"}}),
        )
        .await;
}

#[tokio::test]
async fn many_documents_are_read_at_once() {
    let server = start().await;
    server
        .ok("PUT", "/m/_doc/1", json!({"a": 1, "b": {"c": 2, "d": 3}}))
        .await;
    server.ok("PUT", "/n/_doc/1", json!({"x": 1})).await;
    let got = server
        .ok("POST", "/m/_mget", json!({"ids": ["1", "2"]}))
        .await;
    assert_eq!(got["docs"][0]["_source"]["a"], 1);
    assert_eq!(
        (&got["docs"][1]["found"], &got["docs"][1]["_id"]),
        (&json!(false), &json!("2"))
    );
    let got = server
        .ok("POST", "/m/_mget?_source=b.*", json!({"ids": ["1"]}))
        .await;
    assert_eq!(got["docs"][0]["_source"], json!({"b": {"c": 2, "d": 3}}));
    server.refused(400, "POST", "/m/_mget", json!({})).await;
    let absent = server.refused(404, "POST", "/absent/_mget", json!({"ids": ["1"]}));
    assert_eq!(absent.await.0, "index_not_found_exception");
    server
        .refused(501, "POST", "/m/_mget", json!({"docs": [{"_id": "1"}]}))
        .await;
    let got = server
        .ok("GET", "/m/_doc/1?_source=a,b.d", Value::Null)
        .await;
    assert_eq!(got["_source"], json!({"a": 1, "b": {"d": 3}}));
    assert!(
        server
            .ok("GET", "/m/_doc/1?_source=false", Value::Null)
            .await
            .get("_source")
            .is_none()
    );
}

#[tokio::test]
async fn answers_are_cut_as_asked() {
    let server = start().await;
    server.ok("PUT", "/m/_doc/1", json!({"a": 1})).await;
    let cut = server
        .ok("GET", "/m/_doc/1?filter_path=_id,_source.*", Value::Null)
        .await;
    assert_eq!(cut, json!({"_id": "1", "_source": {"a": 1}}));
    let leaving_out = "/m/_doc/1?filter_path=_id,-_source";
    server.refused(501, "GET", leaving_out, Value::Null).await;
}
