//! What a restart and a restored snapshot leave of an index, on servers of their own (DESIGN §5, [E]).

use crate::engines::{administrator, index};
use serde_json::{Value, json};
use tributary_elastic::ElasticTarget;
use tributary_engine::{Target, Version};
use tributary_state::{Token, Trust};
use tributary_testkit::servers::{
    ElasticsearchOptions, EngineChoice, OpenSearchOptions, SearchEngine, TestFolder,
    engines_from_environment,
};

/// An engine that may keep snapshots in a folder.
async fn engine(choice: EngineChoice, folder: &TestFolder) -> Option<SearchEngine> {
    if !engines_from_environment().unwrap().contains(&choice) {
        return None;
    }
    let settings = vec![("path.repo".to_owned(), folder.path().display().to_string())];
    let engine = match choice {
        EngineChoice::Elasticsearch => {
            SearchEngine::elasticsearch(ElasticsearchOptions {
                settings,
                heap: "512m".into(),
                ..ElasticsearchOptions::default()
            })
            .await
        }
        EngineChoice::OpenSearch => {
            SearchEngine::opensearch(OpenSearchOptions {
                settings,
                heap: "512m".into(),
            })
            .await
        }
        EngineChoice::Store | EngineChoice::Elasticsearch8 => return None,
    };
    Some(engine.unwrap())
}

async fn write(target: &ElasticTarget, ids: std::ops::Range<usize>, n: usize) -> Vec<Version> {
    let documents: Vec<_> = ids
        .map(|id| index(&format!("d{id}"), &json!({"n": n})))
        .collect();
    let answers = target.bulk(&documents).await.unwrap();
    let versions = answers.iter().map(|answer| answer.version.unwrap());
    versions.collect()
}

async fn token(target: &ElasticTarget) -> Token {
    let token = target.token().await.unwrap();
    token.expect("the server tells enough")
}

async fn call(engine: &SearchEngine, method: &str, path: &str, body: Option<Value>) {
    engine.expect(method, path, body.as_ref()).await.unwrap();
}

async fn restart_and_restore(choice: EngineChoice) {
    let folder = TestFolder::new("snapshots").unwrap();
    let Some(engine) = engine(choice, &folder).await else {
        return;
    };
    let target = ElasticTarget::new(administrator(&engine), "history", None);
    target.prepare(false).await.unwrap();
    let written = write(&target, 0..20, 1).await;

    // A restart moves the primary term of new writes, and nothing else.
    let before = token(&target).await;
    engine.restart().await.unwrap();
    let healthy = "/_cluster/health/history?wait_for_status=yellow&timeout=60s";
    call(&engine, "GET", healthy, None).await;
    assert_eq!(before.compare(&token(&target).await), Trust::Current);
    let later = write(&target, 20..21, 1).await;
    assert!(later[0].primary_term > written[0].primary_term);
    let stored = target.stored(&["d3".into()]).await.unwrap();
    assert_eq!(stored[0].as_ref().unwrap().version, written[3]);

    // A snapshot, one write, and how the index is then.
    let repository = json!({"type": "fs", "settings": {"location": folder.path()}});
    call(&engine, "PUT", "/_snapshot/repository", Some(repository)).await;
    let what = json!({"indices": "history", "include_global_state": false});
    let snapshot = "/_snapshot/repository/one";
    let at = format!("{snapshot}?wait_for_completion=true");
    call(&engine, "PUT", &at, Some(what.clone())).await;
    write(&target, 21..22, 1).await;
    let before = token(&target).await;

    // Restored over the closed index, and another write: the numbers are as they were.
    call(&engine, "POST", "/history/_close", None).await;
    let at = format!("{snapshot}/_restore?wait_for_completion=true");
    call(&engine, "POST", &at, Some(what)).await;
    call(&engine, "GET", healthy, None).await;
    write(&target, 30..31, 2).await;
    let now = token(&target).await;
    assert_eq!(now.count, before.count);
    let numbers = |token: &Token| -> Vec<i64> {
        let shards = token.shards.values();
        shards.map(|shard| shard.max_seq_no).collect()
    };
    assert_eq!(numbers(&now), numbers(&before));
    let trust = before.compare(&now);
    assert!(matches!(trust, Trust::None(_)), "{trust:?}");
}

#[tokio::test]
async fn a_restart_changes_nothing_and_a_restored_snapshot_everything_elasticsearch() {
    restart_and_restore(EngineChoice::Elasticsearch).await;
}

#[tokio::test]
async fn a_restart_changes_nothing_and_a_restored_snapshot_everything_opensearch() {
    restart_and_restore(EngineChoice::OpenSearch).await;
}
