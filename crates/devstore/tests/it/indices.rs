use serde_json::{Value, json};

use crate::harness::{JsonBody, Server, client, config, start};

#[tokio::test]
async fn the_root_says_what_this_is() {
    let server = start().await;
    let response = server.request("GET", "/").send().await.unwrap();
    assert_eq!(response.headers()["x-elastic-product"], "Elasticsearch");
    let body: Value = response.json_body().await;
    assert_eq!(body["version"]["number"], "9.1.0");
    assert_eq!(body["version"]["build_flavor"], "default");
    assert_eq!(body["version"]["distribution"], "tributary-store");
    let head = server.request("HEAD", "/").send().await.unwrap();
    assert_eq!(head.status(), 200);
    assert_eq!(head.text().await.unwrap(), "");
    assert_eq!(
        server.ok("GET", "/_license", Value::Null).await["license"]["status"],
        "active"
    );
}

#[tokio::test]
async fn an_index_is_made_seen_and_deleted() {
    let server = start().await;
    assert_eq!(server.raw("HEAD", "/music", "").await.0, 404);
    let body = json!({
        "mappings": {"properties": {"title": {"type": "text"}, "year": {"type": "integer"}}},
        "settings": {"index.hidden": true, "number_of_shards": 1},
    });
    let made = server.ok("PUT", "/music", body).await;
    assert_eq!(
        made,
        json!({"acknowledged": true, "shards_acknowledged": true, "index": "music"})
    );
    assert_eq!(server.raw("HEAD", "/music", "").await.0, 200);
    let seen = server.ok("GET", "/music", Value::Null).await;
    assert_eq!(
        seen["music"]["mappings"]["properties"]["year"]["type"],
        "integer"
    );
    assert_eq!(seen["music"]["settings"]["index"]["number_of_shards"], "1");
    assert_eq!(
        seen["music"]["settings"]["index"]["uuid"]
            .as_str()
            .unwrap()
            .len(),
        20
    );
    let (kind, reason) = server.refused(400, "PUT", "/music", Value::Null).await;
    assert_eq!(kind, "resource_already_exists_exception");
    assert!(reason.contains("music"), "{reason}");
    // What would change what is done is not taken and forgotten.
    for body in [
        json!({"aliases": {"songs": {}}}),
        json!({"settings": {"index.default_pipeline": "p"}}),
        json!({"settings": {"index": {"final_pipeline": "p"}}}),
    ] {
        server.refused(501, "PUT", "/other", body).await;
    }
    server.ok("DELETE", "/music", Value::Null).await;
    let (kind, reason) = server.refused(404, "GET", "/music", Value::Null).await;
    assert_eq!(
        (kind.as_str(), reason.as_str()),
        ("index_not_found_exception", "no such index [music]")
    );
    server.refused(404, "DELETE", "/music", Value::Null).await;
}

#[tokio::test]
async fn an_index_that_is_made_again_is_another() {
    let server = start().await;
    server
        .ok("PUT", "/music/_doc/1", json!({"title": "one"}))
        .await;
    assert_eq!(
        server
            .found("music", json!({"match": {"title": "one"}}))
            .await,
        ["1"]
    );
    let uuid = |seen: Value| seen["music"]["settings"]["index"]["uuid"].clone();
    let before = uuid(server.ok("GET", "/music", Value::Null).await);
    server.ok("DELETE", "/music", Value::Null).await;
    server
        .ok("PUT", "/music/_doc/2", json!({"title": "one"}))
        .await;
    assert_ne!(uuid(server.ok("GET", "/music", Value::Null).await), before);
    assert_eq!(
        server
            .found("music", json!({"match": {"title": "one"}}))
            .await,
        ["2"]
    );
    assert_eq!(
        server.ok("GET", "/music/_doc/2", Value::Null).await["_seq_no"],
        0
    );
}

#[tokio::test]
async fn names_follow_the_rules() {
    let server = start().await;
    for name in [
        "Upper", "_lead", "-lead", "+lead", "a%20b", "a*b", "a%22b", "a%23b", "a:b", "a%2Cb",
    ] {
        let (kind, _) = server
            .refused(400, "PUT", &format!("/{name}/_doc/1"), json!({}))
            .await;
        assert_eq!(kind, "invalid_index_name_exception", "{name}");
    }
    assert_eq!(
        server
            .refused(400, "PUT", &format!("/{}", "x".repeat(256)), Value::Null)
            .await
            .0,
        "invalid_index_name_exception"
    );
    server
        .ok("PUT", &format!("/{}", "x".repeat(255)), Value::Null)
        .await;
    server.ok("PUT", "/%E4%BA%AC-é.1", Value::Null).await;
}

#[tokio::test]
async fn patterns_leave_hidden_indices_out() {
    let server = start().await;
    for index in ["a-1", "a-2", ".a-3"] {
        server
            .ok("PUT", &format!("/{index}/_doc/1"), json!({"n": 1}))
            .await;
    }
    let names = async |pattern: &str| {
        let stats = server
            .ok("GET", &format!("/{pattern}/_stats"), Value::Null)
            .await;
        let indices = stats["indices"].as_object().unwrap().keys().cloned();
        indices.collect::<Vec<_>>()
    };
    assert_eq!(names("*").await, ["a-1", "a-2"]);
    assert_eq!(names("a-*").await, ["a-1", "a-2"]);
    assert_eq!(names(".a*").await, [".a-3"]);
    assert!(names("nothing-*").await.is_empty());
    server
        .refused(404, "GET", "/absent/_stats", Value::Null)
        .await;
    server
        .refused(501, "GET", "/*/_stats?expand_wildcards=all", Value::Null)
        .await;
    server.refused(501, "GET", "/a-*/_count", Value::Null).await;
    for (method, path) in [("GET", "/*/_mapping"), ("GET", "/a-*"), ("DELETE", "/a-*")] {
        server.refused(501, method, path, Value::Null).await;
    }
}

#[tokio::test]
async fn fields_are_mapped_by_their_first_value() {
    let server = start().await;
    let document = json!({
        "text": "abc", "whole": 5, "broken": 1.5, "truth": true, "day": "2024-05-06", "moment": "2024-05-06T07:08:09.123Z",
        "year": "2024", "spaced": "2024-05-06 07:08:09", "local": "2024-05-06T07:08:09", "nothing": null, "none": [], "list": [null, 7], "deep": {"inner": "x", "empty": {}}, "dotted.name": 1,
    });
    server.ok("PUT", "/m/_doc/1", document).await;
    let properties =
        server.ok("GET", "/m/_mapping", Value::Null).await["m"]["mappings"]["properties"].clone();
    let text =
        json!({"type": "text", "fields": {"keyword": {"type": "keyword", "ignore_above": 256}}});
    assert_eq!(
        properties,
        json!({
            "text": text, "whole": {"type": "long"}, "broken": {"type": "float"}, "truth": {"type": "boolean"}, "day": {"type": "date"},
            "moment": {"type": "date"}, "year": text, "spaced": text, "local": {"type": "date"}, "list": {"type": "long"},
            "deep": {"type": "object", "properties": {"inner": text, "empty": {"type": "object"}}}, "dotted": {"type": "object", "properties": {"name": {"type": "long"}}},
        })
    );
}

#[tokio::test]
async fn a_value_that_does_not_fit_names_its_field() {
    let server = start().await;
    let first = json!({"n": 1, "o": {"x": 1}, "t": "text", "d": "2024-05-06", "b": true});
    server.ok("PUT", "/m/_doc/1", first).await;
    for (document, field) in [
        (json!({"n": "abc"}), "n"),
        (json!({"n": 18_446_744_073_709_551_615_u64}), "n"),
        (json!({"n": 1e300}), "n"),
        (json!({"n": {"x": 1}}), "n"),
        (json!({"o": 5}), "o"),
        (json!({"o": ["x"]}), "o"),
        (json!({"t": {"x": 1}}), "t"),
        (json!({"t.x": 1}), "t.x"),
        (json!({"d": "yesterday"}), "d"),
        (json!({"b": "perhaps"}), "b"),
        (json!({"new": [1, "two"]}), "new"),
        (json!({"new": 18_446_744_073_709_551_615_u64}), "new"),
        (json!({"_id": "x"}), "_id"),
    ] {
        let (kind, reason) = server
            .refused(400, "PUT", "/m/_doc/2", document.clone())
            .await;
        assert_eq!(kind, "document_parsing_exception", "{document}");
        assert!(
            reason.contains(&format!("[{field}]")),
            "{document}: {reason}"
        );
    }
    // Nothing of the refused documents has got into the mapping.
    let seen = server.ok("GET", "/m/_mapping", Value::Null).await;
    assert_eq!(
        seen["m"]["mappings"]["properties"]
            .as_object()
            .unwrap()
            .len(),
        5
    );
    for document in [
        json!({"n": "7"}),
        json!({"n": 7.9}),
        json!({"n": [1, 2]}),
        json!({"t": 5}),
        json!({"b": "true"}),
        json!({"d": 0}),
    ] {
        server.ok("PUT", "/m/_doc/2", document).await;
    }
    server
        .refused(400, "PUT", "/m/_doc/2", json!({"": 1}))
        .await;
}

#[tokio::test]
async fn a_mapping_can_grow_but_not_turn() {
    let server = start().await;
    server
        .ok(
            "PUT",
            "/m",
            json!({"mappings": {"dynamic": "strict", "properties": {"a": {"type": "keyword"}}}}),
        )
        .await;
    assert_eq!(
        server
            .refused(400, "PUT", "/m/_doc/1", json!({"b": 1}))
            .await
            .0,
        "document_parsing_exception"
    );
    server
        .ok(
            "PUT",
            "/m/_mapping",
            json!({"properties": {"b": {"type": "long"}}}),
        )
        .await;
    server
        .ok("PUT", "/m/_doc/1", json!({"a": "x", "b": 1}))
        .await;
    let (kind, reason) = server
        .refused(
            400,
            "PUT",
            "/m/_mapping",
            json!({"properties": {"b": {"type": "text"}}}),
        )
        .await;
    assert_eq!(kind, "illegal_argument_exception");
    assert!(
        reason.contains("mapper [b] cannot be changed from type [long] to [text]"),
        "{reason}"
    );
    for definition in [
        json!({"type": "nonsense"}),
        json!({"type": "geo_point"}),
        json!({"type": "text", "copy_to": "a"}),
        json!({"type": "text", "fields": {"stem": {"type": "text"}}}),
        json!({"type": "date", "format": "yyyy"}),
    ] {
        let body = json!({"properties": {"c": definition}});
        server.refused(501, "PUT", "/m/_mapping", body).await;
    }
    server
        .refused(400, "PUT", "/m/_mapping", json!({"properties": 5}))
        .await;
    server
        .refused(400, "PUT", "/m/_mapping", json!({"properties": {"c": 5}}))
        .await;
    // Fields that are not mapped are kept and not found.
    server
        .ok("PUT", "/quiet", json!({"mappings": {"dynamic": false}}))
        .await;
    server.ok("PUT", "/quiet/_doc/1", json!({"a": "x"})).await;
    assert!(
        server
            .found("quiet", json!({"term": {"a": "x"}}))
            .await
            .is_empty()
    );
    assert_eq!(
        server.ok("GET", "/quiet/_doc/1", Value::Null).await["_source"],
        json!({"a": "x"})
    );
}

#[tokio::test]
async fn the_number_of_fields_is_limited() {
    let server = start().await;
    let many: serde_json::Map<String, Value> = (0..1001)
        .map(|number| (format!("f{number}"), json!(1)))
        .collect();
    let (kind, reason) = server
        .refused(400, "PUT", "/m/_doc/1", Value::Object(many))
        .await;
    assert_eq!(kind, "illegal_argument_exception");
    assert!(
        reason.contains("Limit of total fields [1000] has been exceeded"),
        "{reason}"
    );
}

#[tokio::test]
async fn statistics_tell_of_every_write() {
    let server = start().await;
    let stats = async || {
        let stats = server
            .ok("GET", "/m/_stats?level=shards", Value::Null)
            .await;
        let shard = stats["indices"]["m"]["shards"]["0"][0].clone();
        assert_eq!(shard["routing"]["primary"], true);
        assert_eq!(
            stats["indices"]["m"]["primaries"]["docs"]["count"],
            shard["docs"]["count"]
        );
        (
            shard["seq_no"]["max_seq_no"].as_i64().unwrap(),
            shard["docs"]["count"].clone(),
            shard["commit"]["user_data"]["history_uuid"].clone(),
        )
    };
    server.ok("PUT", "/m", Value::Null).await;
    let (number, count, history) = stats().await;
    assert_eq!((number, count), (-1, json!(0)));
    server.ok("PUT", "/m/_doc/1", json!({"a": 1})).await;
    server.ok("PUT", "/m/_doc/1", json!({"a": 2})).await;
    server.ok("DELETE", "/m/_doc/1", Value::Null).await;
    let (number, count, same) = stats().await;
    assert_eq!((number, count), (2, json!(0)));
    assert_eq!(same, history);
    assert!(history.as_str().is_some_and(|history| history.len() > 10));
    server.ok("POST", "/m/_refresh", Value::Null).await;
    server
        .refused(404, "POST", "/absent/_refresh", Value::Null)
        .await;
    server
        .refused(404, "GET", "/absent/_stats", Value::Null)
        .await;
}

#[tokio::test]
async fn a_folder_and_a_port_serve_one_store() {
    let server = start().await;
    let error = tributary_devstore::Store::start(config(server.folder.path(), None))
        .await
        .err()
        .unwrap();
    assert!(
        error.to_string().contains("in use by another store"),
        "{error}"
    );
    let other = tempfile::tempdir().unwrap();
    let mut taken = config(other.path(), None);
    taken.listen = server.store.address();
    let error = tributary_devstore::Store::start(taken).await.err().unwrap();
    assert!(
        error
            .to_string()
            .contains(&format!("port {}", server.store.address().port())),
        "{error}"
    );
    // The folder of the failed start is free again, and the first store still serves.
    Server::again(other).await;
    assert_eq!(
        client()
            .get(server.store.url())
            .send()
            .await
            .unwrap()
            .status(),
        200
    );
    let file = tempfile::NamedTempFile::new().unwrap();
    let error = tributary_devstore::Store::start(config(file.path(), None))
        .await
        .err()
        .unwrap();
    assert!(
        error.to_string().contains("cannot use the folder"),
        "{error}"
    );
}

#[tokio::test]
async fn what_is_not_known_is_said_to_be_unsupported() {
    let server = start().await;
    server.ok("PUT", "/m", Value::Null).await;
    for (method, path) in [
        ("GET", "/_cat/indices"),
        ("POST", "/_search/scroll"),
        ("PUT", "/_index_template/x"),
        ("POST", "/_reindex"),
        ("POST", "/m/_update_by_query"),
        ("POST", "/m/_close"),
        ("PATCH", "/m"),
        ("POST", "/_connector/_secret"),
        ("GET", "/_connector/_secret/x"),
        ("PUT", "/_ingest/pipeline/mine"),
        ("POST", "/m/_search?scroll=1m"),
        ("GET", "/_nodes/stats"),
        ("GET", "/_cluster/health"),
        ("GET", "/_security/_authenticate"),
        ("POST", "/_security/user/_has_privileges"),
        ("DELETE", "/_security/api_key"),
        ("GET", "/_alias/m"),
        ("GET", "/m/_settings"),
        ("POST", "/_mget"),
        ("GET", "/_connector/_sync_job"),
        ("DELETE", "/_connector/_sync_job/x"),
        ("DELETE", "/_connector/x"),
        ("PUT", "/_connector/x/_status"),
    ] {
        let (kind, reason) = server.refused(501, method, path, Value::Null).await;
        assert_eq!(kind, "not_supported_exception", "{path}");
        assert!(reason.contains("docs/store.md"), "{path}: {reason}");
    }
}
