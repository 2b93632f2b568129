//! Servers of their own, with settings that nobody else can bear.

use crate::{
    engines::{administrator, index},
    fake::{Fake, Reply, StoppedClock},
};
use serde_json::json;
use tributary_elastic::ElasticTarget;
use tributary_engine::{Target, TargetErrorKind};
use tributary_testkit::servers::{
    ElasticsearchOptions, EngineChoice, OpenSearchOptions, SearchEngine, engines_from_environment,
};

/// The answer comes while the body is still on its way.
#[tokio::test]
async fn tells_a_request_that_is_too_large() {
    let settings = vec![("http.max_content_length".to_owned(), "1mb".to_owned())];
    for choice in engines_from_environment().unwrap() {
        let engine = match choice {
            EngineChoice::Elasticsearch => {
                SearchEngine::elasticsearch(ElasticsearchOptions {
                    security: false,
                    settings: settings.clone(),
                    ..Default::default()
                })
                .await
            }
            EngineChoice::OpenSearch => {
                SearchEngine::opensearch(OpenSearchOptions {
                    settings: settings.clone(),
                    ..Default::default()
                })
                .await
            }
            _ => continue,
        }
        .unwrap();
        let target = ElasticTarget::new(administrator(&engine), "limits", None);
        target.prepare(false).await.unwrap();
        for (count, size) in [(11, 100_000), (400, 100_000), (3, 5_000_000)] {
            let operations: Vec<_> = (0..count)
                .map(|n| index(&n.to_string(), &json!({"t": "x".repeat(size)})))
                .collect();
            // Each time: a connection that was cut by the server must not be mistaken for a fault.
            for _ in 0..20 {
                let error = target.bulk(&operations).await.unwrap_err();
                assert_eq!(
                    error.kind,
                    TargetErrorKind::TooLarge,
                    "{choice:?} {count}: {error}"
                );
            }
        }
        assert_eq!(target.count().await.unwrap(), 0);
    }
}

/// A request that is larger than all the memory for requests is refused with the word of a busy moment.
#[tokio::test]
async fn a_request_that_can_never_be_taken_is_no_busy_server() {
    for (own, kind) in [
        (200, TargetErrorKind::TooLarge),
        (50, TargetErrorKind::Busy { retry_after: None }),
    ] {
        let reason = format!(
            "rejected execution of coordinating operation [coordinating_and_primary_bytes=90, \
             replica_bytes=0, all_bytes=90, coordinating_operation_bytes={own}, max_coordinating_bytes=100]"
        );
        let error = json!({"type": "es_rejected_execution_exception", "reason": reason});
        let body = json!({"error": error, "status": 429}).to_string();
        let fake = Fake::start([Reply::new(429, body)]).await;
        let client = fake.client(&StoppedClock::new());
        let target = ElasticTarget::new(client, "limits", None);
        let error = target.bulk(&[index("a", &json!({}))]).await.unwrap_err();
        assert_eq!(error.kind, kind, "{error}");
    }
}
