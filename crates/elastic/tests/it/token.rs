//! Whether an index is still as it was left, on the real servers (DESIGN §5, [E]).

use crate::engines::{administrator, client, engines, index, target};
use serde_json::{Value, json};
use tributary_elastic::{Client, ElasticTarget};
use tributary_engine::Target;
use tributary_state::{Token, Trust};
use tributary_testkit::servers::SearchEngine;

async fn token(target: &ElasticTarget) -> Token {
    target
        .token()
        .await
        .unwrap()
        .expect("the server tells enough")
}

/// A target whose pipelines may be read.
async fn filled(engine: &SearchEngine, name: &str) -> ElasticTarget {
    let target = ElasticTarget::new(administrator(engine), name, None);
    target.prepare(false).await.unwrap();
    let documents: Vec<_> = (0..20)
        .map(|n| index(&format!("d{n}"), &json!({"n": n})))
        .collect();
    let answers = target.bulk(&documents).await.unwrap();
    assert!(answers.iter().all(|answer| answer.is_done()));
    target
}

async fn call(engine: &SearchEngine, method: &str, path: &str, body: Value) {
    let path = format!("/{path}");
    engine.expect(method, &path, Some(&body)).await.unwrap();
}

fn is_none(trust: &Trust) -> bool {
    matches!(trust, Trust::None(_))
}

#[tokio::test]
async fn an_index_that_nobody_touched_is_current() {
    for engine in engines().await {
        let target = filled(engine, "token-quiet").await;
        let before = token(&target).await;
        assert_eq!(before.count, 20);
        call(engine, "POST", "token-quiet/_search", json!({})).await;
        for path in ["/token-quiet/_flush", "/token-quiet/_forcemerge"] {
            engine.expect("POST", path, None).await.unwrap();
        }
        let replicas = json!({"index": {"refresh_interval": "7s"}});
        call(engine, "PUT", "token-quiet/_settings", replicas).await;
        assert_eq!(before.compare(&token(&target).await), Trust::Current);
    }
}

#[tokio::test]
async fn what_somebody_else_wrote_is_noticed() {
    for engine in engines().await {
        let target = filled(engine, "token-written").await;
        let all = json!({"query": {"term": {"n": 3}}, "script": {"source": "ctx._source.n = 99"}});
        for (method, path, body) in [
            ("PUT", "token-written/_doc/foreign", json!({"n": 1})),
            ("PUT", "token-written/_doc/d1", json!({"n": 1})),
            ("DELETE", "token-written/_doc/d2", json!(null)),
            ("POST", "token-written/_update_by_query?refresh", all),
        ] {
            let before = token(&target).await;
            let body = (!body.is_null()).then_some(body);
            let at = format!("/{path}");
            engine.expect(method, &at, body.as_ref()).await.unwrap();
            let trust = before.compare(&token(&target).await);
            assert_eq!(trust, Trust::Reconcile, "{method} {path}");
        }
    }
}

#[tokio::test]
async fn another_mapping_pipeline_or_setting_means_that_nothing_is_known() {
    for engine in engines().await {
        let target = filled(engine, "token-changed").await;
        let pipeline =
            |value: u32| json!({"processors": [{"set": {"field": "x", "value": value}}]});
        let outer = json!({"processors": [{"pipeline": {"name": "token-inner"}}]});
        call(engine, "PUT", "_ingest/pipeline/token-inner", pipeline(1)).await;
        call(engine, "PUT", "_ingest/pipeline/token-outer", outer).await;
        for (path, body) in [
            (
                "token-changed/_mapping",
                json!({"properties": {"new": {"type": "keyword"}}}),
            ),
            (
                "token-changed/_settings",
                json!({"index": {"default_pipeline": "token-outer"}}),
            ),
            ("_ingest/pipeline/token-inner", pipeline(2)),
            (
                "token-changed/_settings",
                json!({"index": {"final_pipeline": "token-inner"}}),
            ),
        ] {
            let before = token(&target).await;
            call(engine, "PUT", path, body).await;
            let trust = before.compare(&token(&target).await);
            assert!(is_none(&trust), "{path}: {trust:?}");
            let now = token(&target).await;
            assert_eq!(now.compare(&token(&target).await), Trust::Current);
        }
    }
}

#[tokio::test]
async fn an_index_made_anew_is_another_one() {
    for engine in engines().await {
        let target = filled(engine, "token-remade").await;
        let before = token(&target).await;
        engine
            .expect("DELETE", "/token-remade", None)
            .await
            .unwrap();
        let again = filled(engine, "token-remade").await;
        let trust = before.compare(&token(&again).await);
        assert!(is_none(&trust), "{trust:?}");
    }
}

#[tokio::test]
async fn an_alias_that_was_swapped_stands_for_another_index() {
    for engine in engines().await {
        let _old = filled(engine, "token-old").await;
        let add = |name: &str| json!({"add": {"index": name, "alias": "token-alias"}});
        let remove = json!({"remove": {"index": "token-old", "alias": "token-alias"}});
        call(
            engine,
            "POST",
            "_aliases",
            json!({"actions": [add("token-old")]}),
        )
        .await;
        let target = ElasticTarget::new(administrator(engine), "token-alias", None);
        target.prepare(false).await.unwrap();
        let before = token(&target).await;
        let body = json!({"source": {"index": "token-old"}, "dest": {"index": "token-new"}});
        call(engine, "POST", "_reindex?refresh", body).await;
        let swap = json!({"actions": [remove, add("token-new")]});
        call(engine, "POST", "_aliases", swap).await;
        let trust = before.compare(&token(&target).await);
        assert!(is_none(&trust), "{trust:?}");
    }
}

/// Kibana's key lacks `read_pipeline`: what belongs to the server is trusted all the same, what
/// somebody made is not.
#[tokio::test]
async fn a_pipeline_that_may_not_be_read_is_trusted_only_if_it_is_the_servers_own() {
    for engine in engines().await {
        if engine.credentials().is_none() {
            continue;
        }
        let key: Client = client(engine, "token-key").await;
        for (pipeline, is_trusted) in [("search-default-ingestion", true), ("custom", false)] {
            let target = ElasticTarget::new(key.clone(), "token-key", Some(pipeline.to_owned()));
            target.prepare(false).await.unwrap();
            assert_eq!(token(&target).await.pipeline.is_some(), is_trusted);
        }
    }
}

#[tokio::test]
async fn an_index_that_is_gone_is_an_error() {
    for engine in engines().await {
        let target = target(engine, "token-gone").await;
        engine.expect("DELETE", "/token-gone", None).await.unwrap();
        assert!(target.token().await.is_err());
    }
}
