use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::harness::{Server, start};

async fn numbers(count: usize) -> Server {
    let server = start().await;
    let lines: Vec<Value> = (0..count)
        .flat_map(|n| {
            [
                json!({"index": {"_id": format!("{n:05}")}}),
                json!({"n": n, "even": n % 2 == 0, "text": "all"}),
            ]
        })
        .collect();
    server.bulk("/m/_bulk", &lines).await;
    server
}

async fn open(server: &Server) -> String {
    let answer = server
        .ok("POST", "/m/_pit?keep_alive=1m", Value::Null)
        .await;
    answer["id"].as_str().unwrap().to_owned()
}

/// Reads all pages of a search and returns the hits.
async fn read(server: &Server, mut body: Value) -> Vec<Value> {
    let mut hits = Vec::new();
    loop {
        let answer = server.ok("POST", "/_search", body.clone()).await;
        assert_eq!(answer["pit_id"], body["pit"]["id"]);
        let page = answer["hits"]["hits"].as_array().unwrap().clone();
        let Some(last) = page.last() else { return hits };
        body["search_after"] = last["sort"].clone();
        hits.extend(page);
    }
}

#[tokio::test]
async fn a_scan_of_ids_is_stable_while_writes_go_on() {
    let server = numbers(2500).await;
    let id = open(&server).await;
    let body = json!({"pit": {"id": id, "keep_alive": "1m"}, "size": 1000, "_source": false, "sort": ["_shard_doc"], "seq_no_primary_term": true, "track_total_hits": false});
    let first = server.ok("POST", "/_search", body.clone()).await;
    assert!(first["hits"].get("total").is_none());
    for n in 0..500 {
        let (old, new) = (format!("/m/_doc/{:05}", n * 5), format!("/m/_doc/new{n}"));
        if n % 100 == 0 {
            server.ok("DELETE", &old, Value::Null).await;
            server.ok("PUT", &new, json!({"n": -1})).await;
            server
                .ok(
                    "PUT",
                    &format!("/m/_doc/{:05}", n * 5 + 1),
                    json!({"n": -2}),
                )
                .await;
        }
    }
    let hits = read(&server, body).await;
    assert_eq!(hits.len(), 2500);
    let ids: BTreeSet<&str> = hits
        .iter()
        .map(|hit| hit["_id"].as_str().unwrap())
        .collect();
    assert_eq!(ids.len(), 2500);
    assert!(ids.iter().all(|id| !id.starts_with("new")));
    assert!(
        hits.iter()
            .all(|hit| hit["_seq_no"].as_u64().unwrap() < 2500
                && hit["_primary_term"] == 1
                && hit.get("_source").is_none())
    );
    let again = open(&server).await;
    let hits = read(
        &server,
        json!({"pit": {"id": again}, "size": 1000, "_source": false, "sort": ["_shard_doc"]}),
    )
    .await;
    assert_eq!(hits.len(), 2500);
    assert!(hits.iter().any(|hit| hit["_id"] == "new0"));
}

#[tokio::test]
async fn a_point_can_be_queried_and_sorted() {
    let server = numbers(300).await;
    let id = open(&server).await;
    server
        .ok(
            "PUT",
            "/m/_doc/late",
            json!({"n": 1, "even": true, "text": "all"}),
        )
        .await;
    let body = json!({"pit": {"id": id}, "size": 50, "query": {"term": {"even": true}}, "sort": [{"n": "desc"}]});
    let hits = read(&server, body).await;
    assert_eq!(hits.len(), 150);
    assert_eq!(hits[0]["_source"]["n"], 298);
    assert_eq!(
        hits[0]["sort"].as_array().unwrap().len(),
        2,
        "the tie-breaker is part of the sort values"
    );
    let body =
        json!({"pit": {"id": id}, "query": {"match": {"text": "all"}}, "track_total_hits": true});
    assert_eq!(
        server.ok("POST", "/_search", body).await["hits"]["total"]["value"],
        300
    );
}

#[tokio::test]
async fn a_closed_point_is_gone() {
    let server = numbers(3).await;
    let id = open(&server).await;
    assert_eq!(
        server.ok("DELETE", "/_pit", json!({"id": id})).await,
        json!({"succeeded": true, "num_freed": 1})
    );
    assert_eq!(
        server
            .raw("DELETE", "/_pit", &json!({"id": id}).to_string())
            .await,
        (404, json!({"succeeded": true, "num_freed": 0}))
    );
    let (kind, _) = server
        .refused(404, "POST", "/_search", json!({"pit": {"id": id}}))
        .await;
    assert_eq!(kind, "search_context_missing_exception");
    server.refused(400, "DELETE", "/_pit", json!({})).await;
    server
        .refused(404, "POST", "/absent/_pit?keep_alive=1m", Value::Null)
        .await;
    let open = open(&server).await;
    server
        .refused(400, "POST", "/m/_search", json!({"pit": {"id": open}}))
        .await;
}

#[tokio::test]
async fn a_point_outlives_its_index() {
    let server = numbers(20).await;
    let id = open(&server).await;
    assert_eq!(
        server
            .found("m", json!({"match": {"text": "all"}}))
            .await
            .len(),
        20
    );
    server.ok("DELETE", "/m", Value::Null).await;
    let hits = read(
        &server,
        json!({"pit": {"id": id}, "size": 7, "sort": ["_shard_doc"]}),
    )
    .await;
    assert_eq!(hits.len(), 20);
    let words = json!({"pit": {"id": id}, "query": {"match": {"text": "all"}}});
    let found = server.ok("POST", "/_search", words).await;
    assert_eq!(found["hits"]["total"]["value"], 20);
}

#[tokio::test]
async fn a_scan_of_a_point_can_go_backwards() {
    let server = numbers(30).await;
    let id = open(&server).await;
    let body =
        json!({"pit": {"id": id}, "size": 8, "sort": [{"_shard_doc": "desc"}], "_source": false});
    let hits = read(&server, body).await;
    assert_eq!(hits.len(), 30);
    assert_eq!(
        (&hits[0]["_id"], &hits[29]["_id"]),
        (&json!("00029"), &json!("00000"))
    );
}
