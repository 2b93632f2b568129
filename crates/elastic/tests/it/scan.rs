//! Listing ids.

use crate::engines::{client, engines, index, scanned, target};
use serde_json::json;
use tributary_elastic::ElasticTarget;
use tributary_engine::{Action, Operation, Target, TargetErrorKind, Version};
use tributary_testkit::servers::SearchEngine;

async fn filled(target: &ElasticTarget, count: usize) -> Vec<(String, Version)> {
    let mut written = Vec::new();
    for chunk in (0..count).collect::<Vec<_>>().chunks(5000) {
        let operations: Vec<_> = chunk
            .iter()
            .map(|n| index(&format!("doc-{n}"), &json!({})))
            .collect();
        for (n, answer) in chunk.iter().zip(target.bulk(&operations).await.unwrap()) {
            written.push((format!("doc-{n}"), answer.version.unwrap()));
        }
    }
    written
}

#[tokio::test]
async fn lists_every_id_with_its_version_over_several_shards() {
    for engine in engines().await {
        let body = json!({"settings": {"number_of_shards": 3, "number_of_replicas": 0}});
        engine
            .expect("PUT", "/scan-shards", Some(&body))
            .await
            .unwrap();
        let target = target(engine, "scan-shards").await;
        let mut written = filled(&target, 32_000).await;
        let (gone, version) = written.swap_remove(31_999);
        let delete = Operation {
            id: gone.as_str().into(),
            action: Action::Delete(version),
        };
        assert!(target.bulk(&[delete]).await.unwrap()[0].is_done());
        written.sort();
        assert!(scanned(&target).await == written);
        nothing_is_held(engine).await;
        // A listing that nobody finishes frees what it holds.
        let mut scan = target.scan().await.unwrap();
        assert!(scan.next().await.unwrap().is_some());
        drop(scan);
        nothing_is_held(engine).await;
    }
}

/// The server learns of it in the background.
async fn nothing_is_held(engine: &SearchEngine) {
    for _ in 0..2000 {
        let stats = engine
            .expect("GET", "/scan-shards/_stats/search", None)
            .await
            .unwrap();
        if stats["_all"]["total"]["search"]["open_contexts"] == 0 {
            return;
        }
    }
    panic!("a listing stayed open");
}

#[tokio::test]
async fn goes_page_by_page_through_a_small_window() {
    for engine in engines().await {
        let body = json!({"settings": {"index.max_result_window": 70}});
        engine
            .expect("PUT", "/scan-window", Some(&body))
            .await
            .unwrap();
        let target = target(engine, "scan-window").await;
        let mut written = filled(&target, 210).await;
        written.sort();
        assert_eq!(scanned(&target).await, written);
    }
}

#[tokio::test]
async fn lists_nothing_of_an_empty_index_and_fails_without_one() {
    for engine in engines().await {
        let target = target(engine, "scan-empty").await;
        assert!(scanned(&target).await.is_empty());
        let target = ElasticTarget::new(client(engine, "scan-missing").await, "scan-missing", None);
        let error = target.scan().await.err().unwrap();
        assert_eq!(error.kind, TargetErrorKind::NotFound, "{error}");
        assert!(error.message.contains("scan-missing"), "{error}");
        assert_eq!(
            target.count().await.unwrap_err().kind,
            TargetErrorKind::NotFound
        );
        assert_eq!(
            target.stored(&["a".into()]).await.unwrap_err().kind,
            TargetErrorKind::NotFound
        );
    }
}

/// An index that is hidden is listed like any other.
#[tokio::test]
async fn lists_a_hidden_index() {
    for engine in engines().await {
        let name = ".search-acl-filter-scan-hidden";
        let body = json!({"settings": {"hidden": true}});
        engine
            .expect("PUT", &format!("/{name}"), Some(&body))
            .await
            .unwrap();
        let target = ElasticTarget::new(client(engine, "scan-hidden").await, name, None);
        target.prepare(false).await.unwrap();
        target
            .bulk(&[index("user@example.com", &json!({}))])
            .await
            .unwrap();
        assert_eq!(scanned(&target).await.len(), 1);
        assert_eq!(target.count().await.unwrap(), 1);
    }
}
