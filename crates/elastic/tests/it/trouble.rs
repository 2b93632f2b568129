//! A server in trouble in the middle of a sync: the sync waits, or ends and names the cause. No document
//! is lost or doubled, and the counters are right.

use crate::{
    engines::{client, connection, engines},
    jobs::{Step, act, document, good, good_id, ids, sync, sync_with},
};
use serde_json::{Value, json};
use std::{sync::Arc, time::Duration};
use tributary_elastic::{Client, Connection, Credentials, ElasticTarget};
use tributary_engine::{Outcome, Verdict};
use tributary_sdk::Secret;
use tributary_testkit::{
    faults::{CannedAnswer, Fault, FaultProxy, RealAnswer, Rule},
    servers::SearchEngine,
};

const LIMIT: Duration = Duration::from_secs(60);

fn why(outcome: &Outcome) -> &str {
    match &outcome.verdict {
        Verdict::Failed(why) => why,
        other => panic!("{other}"),
    }
}

async fn put(engine: &SearchEngine, index: &str, id: &str) {
    let path = format!("/{index}/_doc/{id}?refresh=true");
    engine
        .expect("PUT", &path, Some(&json!({"title": id})))
        .await
        .unwrap();
}

/// Waits until so many documents can be counted.
async fn until_count(engine: &SearchEngine, index: &str, count: usize) {
    let look = async {
        loop {
            let path = format!("/{index}/_refresh");
            engine.call("POST", &path, None).await.unwrap();
            let path = format!("/{index}/_count");
            let answer = engine.call("GET", &path, None).await.unwrap();
            if answer.body["count"] == count {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(LIMIT, look).await.unwrap();
}

async fn behind_proxy(engine: &SearchEngine, index: &str) -> (Arc<FaultProxy>, Arc<ElasticTarget>) {
    let proxy = FaultProxy::start(&engine.url()).await.unwrap();
    let mut connection = connection(engine, index).await;
    connection.host = proxy.url();
    connection.request_timeout = Duration::from_secs(3);
    let target = ElasticTarget::new(Client::new(connection).unwrap(), index, None);
    (Arc::new(proxy), Arc::new(target))
}

/// Every second item was carried out, but the answer says otherwise.
fn half_failed(status: u16, kind: &'static str) -> Fault {
    Fault::change(move |answer: &mut RealAnswer| {
        let mut body: Value = serde_json::from_slice(&answer.body).unwrap();
        for item in body["items"].as_array_mut().unwrap().iter_mut().step_by(2) {
            for outcome in item.as_object_mut().unwrap().values_mut() {
                *outcome = json!({"status": status, "error": {"type": kind, "reason": "scripted"}});
            }
        }
        answer.body = body.to_string().into_bytes();
    })
}

#[tokio::test]
async fn trouble_that_passes_loses_and_doubles_nothing() {
    let busy = CannedAnswer::status(429).header("retry-after", "1");
    let page = CannedAnswer::status(502).body("<html>bad gateway</html>");
    let faults = [
        Fault::DropRequest,
        Fault::CutRequest { after: 700 },
        Fault::LoseAnswer,
        Fault::CutAnswer { after: 200 },
        Fault::GarbleAnswer,
        Fault::Hang,
        Fault::DripAnswer {
            bytes: 200,
            every: Duration::from_millis(100),
        },
        Fault::Answer(busy),
        Fault::status(429),
        Fault::status(503),
        Fault::Answer(page),
        Fault::AnswerUnread(CannedAnswer::status(503)),
        Fault::status(413),
        half_failed(429, "es_rejected_execution_exception"),
        half_failed(503, "unavailable_shards_exception"),
        half_failed(500, "some_exception"),
    ];
    for engine in engines().await {
        for (number, fault) in faults.iter().enumerate() {
            let index = format!("trouble-passes-{number}");
            put(engine, &index, "old").await;
            let (proxy, target) = behind_proxy(engine, &index).await;
            // The second of the requests, the fourth and so on, deletions included; and the scan once.
            let bulk = Rule::new("bulk", fault.clone()).path_contains("_bulk");
            let mut rules = vec![bulk.after(1).every(2).times(3)];
            if !matches!(fault, Fault::ChangeAnswer(_)) {
                rules.push(
                    Rule::new("scan", fault.clone())
                        .path_contains("_search")
                        .times(1),
                );
            }
            proxy.set_rules(rules);
            let outcome = sync_with(target, good(0..60), |settings| {
                settings.chunk_entries = Some(21);
            });
            let outcome = outcome.await;
            let hits = proxy
                .exchanges()
                .iter()
                .filter(|exchange| exchange.rule.is_some())
                .count();
            assert!(hits >= 3, "{fault:?}: only {hits} requests were hit");
            if matches!(fault, Fault::Answer(_)) && format!("{fault:?}").contains("413") {
                // Nothing but a body is too large: of the scan that is no answer to wait for.
                assert!(why(&outcome).contains("413"), "{fault:?}");
                assert_eq!(outcome.counters.indexed, 60, "{fault:?}");
                continue;
            }
            assert_eq!(outcome.verdict, Verdict::Completed, "{fault:?}");
            let expected = (0..60).map(good_id).collect();
            assert_eq!(ids(engine, &index).await, expected, "{fault:?}");
            let counters = &outcome.counters;
            assert_eq!((counters.indexed, counters.failed), (60, 0), "{fault:?}");
            assert_eq!((counters.extracted, counters.deleted), (60, 1), "{fault:?}");
            assert!(
                outcome.oddities.is_empty(),
                "{fault:?}: {:?}",
                outcome.oddities
            );
            assert_eq!(outcome.total_documents, Some(60), "{fault:?}");
        }
    }
}

/// The disk is full and emptied again; somebody blocks writes, or closes the index, and thinks better of it.
#[tokio::test]
async fn a_block_in_mid_sync_is_waited_for() {
    for engine in engines().await {
        let set = |name: &str, value: Value| {
            let name = format!("index.blocks.{name}");
            ("PUT", "_settings", Some(json!({name: value})))
        };
        for (name, begin, end) in [
            (
                "disk",
                set("read_only_allow_delete", json!(true)),
                set("read_only_allow_delete", json!(null)),
            ),
            (
                "write",
                set("write", json!(true)),
                set("write", json!(null)),
            ),
            ("closed", ("POST", "_close", None), ("POST", "_open", None)),
        ] {
            let index = format!("trouble-blocked-{name}");
            put(engine, &index, "old").await;
            let (proxy, target) = behind_proxy(engine, &index).await;
            let there = index.clone();
            let block = move || async move {
                until_count(engine, &there, 11).await;
                let (method, what, body) = begin;
                engine
                    .expect(method, &format!("/{there}/{what}"), body.as_ref())
                    .await
                    .unwrap();
            };
            let (watched, there) = (Arc::clone(&proxy), index.clone());
            let lift = move || async move {
                let before = bulks(&watched.exchanges());
                let more = watched.wait_for("requests in vain", LIMIT, |exchanges| {
                    bulks(exchanges) >= before + 2
                });
                more.await.unwrap();
                let (method, what, body) = end;
                engine
                    .expect(method, &format!("/{there}/{what}"), body.as_ref())
                    .await
                    .unwrap();
            };
            let mut steps = good(0..10);
            steps.push(act(block));
            steps.extend(good(10..20));
            steps.push(act(lift));
            steps.extend(good(20..30));
            let outcome = sync(target, steps).await;
            assert_eq!(outcome.verdict, Verdict::Completed, "{name}");
            assert_eq!(
                ids(engine, &index).await,
                (0..30).map(good_id).collect(),
                "{name}"
            );
            let counters = &outcome.counters;
            assert_eq!(
                (counters.indexed, counters.failed, counters.deleted),
                (30, 0, 1),
                "{name}"
            );
            assert!(
                counters.retried > 0 && outcome.oddities.is_empty(),
                "{name}"
            );
        }
    }
}

fn bulks(exchanges: &[tributary_testkit::faults::Exchange]) -> usize {
    exchanges
        .iter()
        .filter(|exchange| exchange.target.contains("_bulk"))
        .count()
}

/// A key and its id.
async fn key(engine: &SearchEngine, index: &str, more: Value) -> (Connection, String) {
    let mut body = json!({"name": index, "role_descriptors": {"connector-role": {
        "cluster": ["monitor"], "index": [{"names": [index], "privileges": ["all"]}],
    }}});
    for (name, value) in more.as_object().unwrap() {
        body[name] = value.clone();
    }
    let key = engine
        .expect("POST", "/_security/api_key", Some(&body))
        .await
        .unwrap();
    let encoded = Secret::new(key["encoded"].as_str().unwrap());
    let connection = Connection::new(engine.url()).with_credentials(Credentials::ApiKey(encoded));
    (connection, key["id"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn an_api_key_that_loses_its_rights_in_mid_sync_ends_it_by_name() {
    for engine in engines()
        .await
        .into_iter()
        .filter(|engine| engine.credentials().is_some())
    {
        for (what, words) in [
            ("expires", &["401", "API key"][..]),
            ("invalidated", &["401", "API key is not accepted"]),
            (
                "narrowed",
                &[
                    "403",
                    "trouble-key-narrowed",
                    "lacks an index privilege",
                    "write",
                ],
            ),
        ] {
            let index = format!("trouble-key-{what}");
            put(engine, &index, "old").await;
            let more = match what {
                "expires" => json!({"expiration": "4s"}),
                _ => json!({}),
            };
            let (connection, id) = key(engine, &index, more).await;
            let client = Client::new(connection).unwrap();
            let (asking, there) = (client.clone(), index.clone());
            let change = move || async move {
                until_count(engine, &there, 11).await;
                match what {
                    "expires" => {
                        let expired = async {
                            while asking.ping().await.is_ok() {
                                tokio::time::sleep(Duration::from_millis(100)).await;
                            }
                        };
                        tokio::time::timeout(LIMIT, expired).await.unwrap();
                    }
                    "invalidated" => {
                        let body = json!({"ids": [id]});
                        engine
                            .expect("DELETE", "/_security/api_key", Some(&body))
                            .await
                            .unwrap();
                    }
                    _ => {
                        let role = json!({"index": [{"names": [there], "privileges": ["read"]}]});
                        let body = json!({"role_descriptors": {"connector-role": role}});
                        let path = format!("/_security/api_key/{id}");
                        engine.expect("PUT", &path, Some(&body)).await.unwrap();
                    }
                }
            };
            let mut steps = good(0..10);
            steps.push(act(change));
            steps.extend(good(10..20));
            let outcome = sync(Arc::new(ElasticTarget::new(client, &index, None)), steps).await;
            for word in words {
                assert!(why(&outcome).contains(word), "{what}: {}", why(&outcome));
            }
            assert_eq!(
                (outcome.counters.indexed, outcome.counters.deleted),
                (10, 0),
                "{what}"
            );
            assert_eq!(
                ids(engine, &index).await.len(),
                11,
                "{what}: what is there stays"
            );
        }
    }
}

/// A bulk request makes an index that is missing; the rest of a sync must not stand there alone and be
/// called complete.
#[tokio::test]
async fn an_index_deleted_in_mid_sync_ends_it_by_name() {
    for engine in engines().await {
        for (name, is_made_anew) in [("deleted", false), ("replaced", true)] {
            let index = format!("trouble-{name}");
            let client = client(engine, &index).await;
            let there = index.clone();
            let delete = move || async move {
                until_count(engine, &there, 10).await;
                engine
                    .expect("DELETE", &format!("/{there}"), None)
                    .await
                    .unwrap();
                if is_made_anew {
                    // By somebody, who has filled it, too.
                    for number in 0..3 {
                        put(engine, &there, &format!("theirs-{number}")).await;
                    }
                }
            };
            let mut steps = good(0..10);
            steps.push(act(delete));
            steps.extend(good(10..20));
            let outcome = sync(Arc::new(ElasticTarget::new(client, &index, None)), steps).await;
            for word in [
                index.as_str(),
                "while the sync ran",
                "deleted and made anew",
                "start a full sync",
            ] {
                assert!(why(&outcome).contains(word), "{name}: {}", why(&outcome));
            }
            assert_eq!(outcome.counters.deleted, 0, "{name}");
            let left = ids(engine, &index).await;
            for number in 0..3 {
                let theirs = format!("theirs-{number}");
                assert_eq!(left.contains(&theirs), is_made_anew, "{name}: {left:?}");
            }
        }
    }
}

#[tokio::test]
async fn an_index_deleted_after_the_last_request_is_noticed_too() {
    for engine in engines().await {
        let index = "trouble-deleted-late";
        let delete = move || async move {
            until_count(engine, index, 10).await;
            engine
                .expect("DELETE", &format!("/{index}"), None)
                .await
                .unwrap();
        };
        let mut steps = good(0..10);
        steps.push(act(delete));
        let target = ElasticTarget::new(client(engine, index).await, index, None);
        let outcome = sync(Arc::new(target), steps).await;
        for word in [index, "deleted", "while the sync ran"] {
            assert!(why(&outcome).contains(word), "{}", why(&outcome));
        }
        let answer = engine
            .call("GET", &format!("/{index}"), None)
            .await
            .unwrap();
        assert_eq!(answer.status, 404, "it must not come back");
    }
}

/// The documents of the index that the alias stands for now are not strangers to be deleted.
#[tokio::test]
async fn an_alias_given_to_another_index_or_taken_away_in_mid_sync_ends_it_by_name() {
    for engine in engines().await {
        for is_swapped in [true, false] {
            let alias = format!("trouble-alias-{is_swapped}");
            let (old, new) = (format!("{alias}-v1"), format!("{alias}-v2"));
            let body = json!({"aliases": {&alias: {}}});
            engine
                .expect("PUT", &format!("/{old}"), Some(&body))
                .await
                .unwrap();
            for number in 0..3 {
                put(engine, &new, &format!("theirs-{number}")).await;
            }
            let target = ElasticTarget::new(client(engine, &alias).await, &alias, None);
            let (there, index) = (alias.clone(), new.clone());
            let change = move || async move {
                until_count(engine, &there, 10).await;
                let mut actions = vec![json!({"remove": {"index": old, "alias": there}})];
                if is_swapped {
                    actions.push(json!({"add": {"index": index, "alias": there}}));
                }
                let body = json!({"actions": actions});
                engine
                    .expect("POST", "/_aliases", Some(&body))
                    .await
                    .unwrap();
            };
            let mut steps = good(0..10);
            steps.push(act(change));
            steps.extend(good(10..20));
            let outcome = sync(Arc::new(target), steps).await;
            assert!(why(&outcome).contains(&alias), "{}", why(&outcome));
            assert_eq!(outcome.counters.deleted, 0);
            let left = ids(engine, &new).await;
            let theirs = left.iter().filter(|id| id.starts_with("theirs-")).count();
            assert_eq!(theirs, 3, "{left:?}");
            if is_swapped {
                assert!(
                    why(&outcome).contains("given to another one"),
                    "{}",
                    why(&outcome)
                );
            } else {
                let answer = engine
                    .call("GET", &format!("/{alias}"), None)
                    .await
                    .unwrap();
                assert_eq!(
                    answer.status, 404,
                    "the name must not come back as an index"
                );
            }
        }
    }
}

#[tokio::test]
async fn a_pipeline_deleted_in_mid_sync_ends_it_by_name() {
    for engine in engines().await {
        let index = "trouble-pipeline";
        let path = "/_ingest/pipeline/trouble-pipeline";
        let body = json!({"processors": [{"set": {"field": "passed", "value": true}}]});
        engine.expect("PUT", path, Some(&body)).await.unwrap();
        let client = client(engine, index).await;
        let target = ElasticTarget::new(client, index, Some("trouble-pipeline".into()));
        let delete = move || async move {
            until_count(engine, index, 10).await;
            engine.expect("DELETE", path, None).await.unwrap();
        };
        let mut steps: Vec<Step> = good(0..10);
        steps.push(act(delete));
        steps.push(document("late", &[("title", "\"x\"")]));
        let outcome = sync(Arc::new(target), steps).await;
        assert!(
            why(&outcome).contains("trouble-pipeline"),
            "{}",
            why(&outcome)
        );
        assert_eq!(outcome.counters.indexed, 10);
        assert_eq!(ids(engine, index).await.len(), 10);
    }
}
