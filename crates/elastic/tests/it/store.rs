//! The small store is a server like any other.

use crate::engines::{index, scanned, store};
use serde_json::json;
use tributary_elastic::{ElasticTarget, Flavor, NeededPrivileges};
use tributary_engine::{Action, Operation, Target, Version};
use tributary_sdk::DocId;

#[tokio::test]
async fn a_target_works_on_the_store() {
    let (client, _store, _folder) = store().await;
    assert_eq!(client.info().await.unwrap().flavor, Flavor::TributaryStore);
    let pipeline = Some("search-default-ingestion".to_owned());
    let target = ElasticTarget::new(client, "store-target", pipeline);
    target.prepare(true).await.unwrap();
    target.prepare(true).await.unwrap();
    let mut operations: Vec<_> = (0..200)
        .map(|n| index(&format!("id-{n}"), &json!({"n": n})))
        .collect();
    operations.push(index("other", &json!({"n": 1})));
    let answers = target.bulk(&operations).await.unwrap();
    assert!(
        answers
            .iter()
            .all(|answer| answer.status == 201 && answer.version.is_some())
    );
    let mut written: Vec<(String, Version)> = operations
        .iter()
        .zip(&answers)
        .map(|(operation, answer)| (operation.id.to_string(), answer.version.unwrap()))
        .collect();
    written.sort();
    assert_eq!(scanned(&target).await, written);
    let delete = |version| Operation {
        id: "id-7".into(),
        action: Action::Delete(version),
    };
    let version = answers[7].version.unwrap();
    let wrong = Version {
        seq_no: version.seq_no + 1,
        ..version
    };
    let operations = [delete(wrong), index("x", &json!({"n": "text"}))];
    let answers = target.bulk(&operations).await.unwrap();
    assert_eq!(answers[0].status, 409);
    assert_eq!(
        answers[1].error.as_ref().unwrap().field.as_deref(),
        Some("n")
    );
    assert!(target.bulk(&[delete(version)]).await.unwrap()[0].is_done());
    assert_eq!(target.count().await.unwrap(), 200);
    let ids: Vec<DocId> = ["id-7", "id-8"].map(DocId::from).to_vec();
    let stored = target.stored(&ids).await.unwrap();
    assert!(stored[0].is_none());
    assert_eq!(stored[1].as_ref().unwrap().source.get(), r#"{"n":8}"#);
}

#[tokio::test]
async fn the_first_steps_work_on_the_store() {
    let (client, _store, _folder) = store().await;
    client.ping().await.unwrap();
    assert!(client.license().await.unwrap().is_some());
    let there = client
        .pipeline_exists("search-default-ingestion")
        .await
        .unwrap();
    assert_eq!(there, Some(true));
    assert!(!client.index_exists("store-search").await.unwrap());
    let target = ElasticTarget::new(client.clone(), "store-search", None);
    target.prepare(false).await.unwrap();
    let documents = [
        index("a", &json!({"body": "Der kühle Bach"})),
        index("b", &json!({"body": "Berg"})),
    ];
    target.bulk(&documents).await.unwrap();
    assert_eq!(client.count("store-search").await.unwrap(), 2);
    let found = client
        .search("store-search", "kühle bach", 5, &["body"])
        .await
        .unwrap();
    assert_eq!((found.total, &*found.hits[0].id), (1, "a"));
    let listed = client.indices("store-*").await.unwrap();
    assert_eq!(
        (&*listed[0].name, listed[0].documents),
        ("store-search", Some(2))
    );
    let needed = NeededPrivileges::of_content(["store-search"], true);
    let missing = client.missing_privileges(&needed).await.unwrap();
    assert!(missing.is_none_or(|missing| missing.is_empty()));
    assert!(client.delete_index("store-search").await.unwrap());
}
