use serde_json::{Value, json};
use tributary_devstore::Store;

use crate::harness::{Server, config, start};

async fn fill(server: &Server) {
    let lines: Vec<Value> = (0..200)
        .flat_map(|n| {
            [
                json!({"index": {"_id": format!("d{n}")}}),
                json!({"n": n, "text": format!("word{n} all")}),
            ]
        })
        .collect();
    server.bulk("/m/_bulk", &lines).await;
    server.ok("DELETE", "/m/_doc/d0", Value::Null).await;
    server
        .ok("PUT", "/m/_doc/d1", json!({"n": 1000, "text": "changed"}))
        .await;
}

async fn check(server: &Server) {
    assert_eq!(
        server.ok("GET", "/m/_count", Value::Null).await["count"],
        199
    );
    assert_eq!(
        server
            .found("m", json!({"match": {"text": "changed"}}))
            .await,
        ["d1"]
    );
    assert!(
        server
            .found("m", json!({"match": {"text": "word0 word1"}}))
            .await
            .is_empty()
    );
    let all = server
        .ok(
            "POST",
            "/m/_search",
            json!({"query": {"match": {"text": "all"}}}),
        )
        .await;
    assert_eq!(all["hits"]["total"]["value"], 198);
    assert_eq!(
        server.ok("GET", "/m/_doc/d1", Value::Null).await["_seq_no"],
        201
    );
    let stats = server
        .ok("GET", "/m/_stats?level=shards", Value::Null)
        .await;
    assert_eq!(
        stats["indices"]["m"]["shards"]["0"][0]["seq_no"]["max_seq_no"],
        201
    );
}

#[tokio::test]
async fn what_was_written_is_there_after_a_stop() {
    let server = start().await;
    fill(&server).await;
    let history = server
        .ok("GET", "/m/_stats?level=shards", Value::Null)
        .await["indices"]["m"]["shards"]["0"][0]["commit"]
        .clone();
    let Server { store, folder, .. } = server;
    store.stop().await.unwrap();
    let server = Server::again(folder).await;
    check(&server).await;
    let after = server
        .ok("GET", "/m/_stats?level=shards", Value::Null)
        .await["indices"]["m"]["shards"]["0"][0]["commit"]
        .clone();
    assert_eq!(after, history);
    // Numbers go on where they were, also after a deletion was the last write.
    server.ok("DELETE", "/m/_doc/d1", Value::Null).await;
    let Server { store, folder, .. } = server;
    store.stop().await.unwrap();
    let server = Server::again(folder).await;
    assert_eq!(
        server.ok("PUT", "/m/_doc/d1", json!({})).await["_seq_no"],
        203
    );
}

#[tokio::test]
async fn what_was_written_is_there_after_a_drop() {
    let server = start().await;
    fill(&server).await;
    // The full-text index has seen a part only.
    assert_eq!(
        server.found("m", json!({"match": {"text": "word7"}})).await,
        ["d7"]
    );
    server
        .ok(
            "PUT",
            "/m/_doc/d7",
            json!({"n": 7, "text": "word7 all again"}),
        )
        .await;
    server
        .ok("PUT", "/m/_doc/d1", json!({"n": 1000, "text": "changed"}))
        .await;
    let Server { store, folder, .. } = server;
    drop(store);
    let server = Server::again(folder).await;
    assert_eq!(
        server.found("m", json!({"match": {"text": "again"}})).await,
        ["d7"]
    );
    assert_eq!(
        server
            .found("m", json!({"match": {"text": "changed"}}))
            .await,
        ["d1"]
    );
    assert_eq!(
        server.ok("GET", "/m/_count", Value::Null).await["count"],
        199
    );
}

fn copy(from: &std::path::Path, to: &std::path::Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else if entry.file_name() != ".tantivy-writer.lock" {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// The files as a killed process leaves them: taken while the store runs, right after the acknowledgement.
#[tokio::test]
async fn what_was_acknowledged_survives_a_killed_process() {
    let server = start().await;
    fill(&server).await;
    let killed = tempfile::tempdir().unwrap();
    std::fs::copy(
        server.folder.path().join("store.redb"),
        killed.path().join("store.redb"),
    )
    .unwrap();
    let after = Server::again(killed).await;
    check(&after).await;
}

#[tokio::test]
async fn a_damaged_full_text_index_is_made_again() {
    let server = start().await;
    fill(&server).await;
    check(&server).await;
    let Server { store, folder, .. } = server;
    store.stop().await.unwrap();
    let copied = tempfile::tempdir().unwrap();
    copy(folder.path(), copied.path());
    for index in std::fs::read_dir(copied.path().join("search")).unwrap() {
        std::fs::write(index.unwrap().path().join("meta.json"), "garbage").unwrap();
    }
    let server = Server::again(copied).await;
    check(&server).await;
}

#[tokio::test]
async fn a_stopped_store_frees_its_port() {
    let server = start().await;
    let address = server.store.address();
    let Server { store, folder, .. } = server;
    store.stop().await.unwrap();
    let mut same = config(folder.path(), None);
    same.listen = address;
    let store = Store::start(same).await.unwrap();
    assert_eq!(store.address(), address);
    store.stop().await.unwrap();
}
