//! The other calls.

use crate::engines::{administrator, client, engines, index, target};
use serde_json::json;
use tributary_elastic::{Flavor, NeededPrivileges, RequestErrorKind};
use tributary_engine::Target;

#[tokio::test]
async fn knows_what_server_it_is() {
    for engine in engines().await {
        let client = client(engine, "admin-info").await;
        let info = client.info().await.unwrap();
        if engine.credentials().is_some() {
            assert_eq!(info.flavor, Flavor::Elasticsearch);
            assert!(client.license().await.unwrap().unwrap().is_active);
        } else {
            assert_eq!(info.flavor, Flavor::OpenSearch);
            assert!(client.license().await.unwrap().is_none());
        }
        client.ping().await.unwrap();
    }
}

#[tokio::test]
async fn lists_counts_cleans_and_deletes_indices() {
    for engine in engines().await {
        let target = target(engine, "admin-indices").await;
        target
            .bulk(&[index("a", &json!({"t": "x"})), index("b", &json!({}))])
            .await
            .unwrap();
        let client = administrator(engine);
        assert_eq!(client.count("admin-indices").await.unwrap(), 2);
        let listed = client.indices("admin-indic*").await.unwrap();
        assert_eq!(listed.len(), 1);
        assert_eq!(listed[0].name, "admin-indices");
        assert_eq!(listed[0].documents, Some(2));
        assert!(listed[0].bytes.unwrap() > 0);
        assert!(client.indices("admin-none*").await.unwrap().is_empty());
        assert!(client.indices("admin-none").await.unwrap().is_empty());
        assert_eq!(client.clean_index("admin-indices").await.unwrap(), 2);
        assert_eq!(client.count("admin-indices").await.unwrap(), 0);
        assert!(client.index_exists("admin-indices").await.unwrap());
        assert!(client.delete_index("admin-indices").await.unwrap());
        assert!(!client.delete_index("admin-indices").await.unwrap());
        assert!(!client.index_exists("admin-indices").await.unwrap());
        for pattern in ["*", "_all", "a,b", ""] {
            let error = client.delete_index(pattern).await.unwrap_err();
            assert_eq!(error.kind, RequestErrorKind::Rejected);
        }
    }
}

#[tokio::test]
async fn finds_words() {
    for engine in engines().await {
        let target = target(engine, "admin-search").await;
        target
            .bulk(&[
                index(
                    "a",
                    &json!({"title": "Der Bach", "body": "Der kühle Bach rauscht."}),
                ),
                index("b", &json!({"title": "Berg", "body": "Ein Berg."})),
            ])
            .await
            .unwrap();
        target.count().await.unwrap();
        let client = client(engine, "admin-search").await;
        let found = client
            .search("admin-search", "kühle bach", 5, &["body"])
            .await
            .unwrap();
        assert_eq!((found.total, &*found.hits[0].id), (1, "a"));
        assert!(found.hits[0].highlight["body"][0].contains("<em>Bach</em>"));
        assert!(found.hits[0].score > 0.0);
        for odd in ["\"", "( AND", "", "*:*", "a/b\\"] {
            client.search("admin-search", odd, 5, &[]).await.unwrap();
        }
    }
}

/// Kibana's key lacks `read_pipeline`.
#[tokio::test]
async fn says_whether_a_pipeline_exists_or_that_it_may_not_ask() {
    for engine in engines().await {
        let pipeline = json!({"processors": []});
        engine
            .expect("PUT", "/_ingest/pipeline/admin-there", Some(&pipeline))
            .await
            .unwrap();
        let all = administrator(engine);
        assert_eq!(
            all.pipeline_exists("admin-there").await.unwrap(),
            Some(true)
        );
        assert_eq!(
            all.pipeline_exists("admin-not-there").await.unwrap(),
            Some(false)
        );
        if engine.credentials().is_some() {
            let kibana = client(engine, "admin-pipeline").await;
            assert_eq!(kibana.pipeline_exists("admin-there").await.unwrap(), None);
        }
    }
}

#[tokio::test]
async fn says_which_privileges_are_missing() {
    for engine in engines().await {
        let client = client(engine, "admin-mine").await;
        let mut needed = NeededPrivileges::of_content(["admin-mine"], true);
        let answer = client.missing_privileges(&needed).await.unwrap();
        if engine.credentials().is_none() {
            assert_eq!(answer, None);
            continue;
        }
        assert_eq!(answer, Some(Vec::new()));
        let records = NeededPrivileges::of_records();
        assert_eq!(
            client.missing_privileges(&records).await.unwrap(),
            Some(Vec::new())
        );
        needed
            .indices
            .extend(NeededPrivileges::of_content(["admin-foreign"], false).indices);
        needed.cluster.push("manage_security".to_owned());
        let missing = client.missing_privileges(&needed).await.unwrap().unwrap();
        let texts: Vec<_> = missing.iter().map(ToString::to_string).collect();
        assert_eq!(
            texts,
            [
                "manage_security on the cluster",
                "create_index, maintenance, read, view_index_metadata, write on the index admin-foreign"
            ]
        );
    }
}

#[tokio::test]
async fn makes_a_key_that_can_do_what_a_sync_needs() {
    for engine in engines()
        .await
        .into_iter()
        .filter(|engine| engine.credentials().is_some())
    {
        let all = administrator(engine);
        let key = all.create_api_key("admin-key").await.unwrap();
        assert!(!key.id.is_empty());
        let mine = all
            .with_credentials(&tributary_elastic::Credentials::ApiKey(key.encoded))
            .unwrap();
        let needed =
            NeededPrivileges::of_content(["admin-key", ".search-acl-filter-admin-key"], true);
        assert_eq!(
            mine.missing_privileges(&needed).await.unwrap(),
            Some(Vec::new())
        );
        let error = mine.create_api_key("admin-key").await.unwrap_err();
        assert_eq!(error.kind, RequestErrorKind::Forbidden);
        assert!(error.message.contains("cluster privilege"), "{error}");
    }
}
