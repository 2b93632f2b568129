//! Writing and reading documents.

use crate::engines::{administrator, client, connection, engines, index, source, target};
use serde_json::json;
use tributary_elastic::{Client, Credentials, ElasticTarget};
use tributary_engine::{Action, Operation, Source, Target, TargetErrorKind, Version};
use tributary_sdk::{DocId, Secret};

fn delete(id: &str, version: Version) -> Operation {
    Operation {
        id: id.into(),
        action: Action::Delete(version),
    }
}

#[tokio::test]
async fn writes_changes_and_deletes_by_version() {
    for engine in engines().await {
        let target = target(engine, "target-basics").await;
        let answers = target
            .bulk(&[
                index("a", &json!({"n": 1, "t": "x"})),
                index("b", &json!({"n": 2})),
                index("odd \"id\"\n/é", &json!({})),
            ])
            .await
            .unwrap();
        let statuses: Vec<_> = answers.iter().map(|answer| answer.status).collect();
        assert_eq!(statuses, [201, 201, 201]);
        let ids: Vec<DocId> = ["b", "none", "odd \"id\"\n/é", "a"]
            .map(DocId::from)
            .to_vec();
        let stored = target.stored(&ids).await.unwrap();
        assert!(stored[1].is_none());
        for (position, answer) in [(3, 0), (0, 1), (2, 2)] {
            let stored = stored[position].as_ref().unwrap();
            assert_eq!(Some(stored.version), answers[answer].version);
        }
        assert_eq!(
            stored[3].as_ref().unwrap().source.get(),
            r#"{"n":1,"t":"x"}"#
        );

        let known = answers[0].version.unwrap();
        let newer = Operation {
            id: "a".into(),
            action: Action::Update(source(&json!({"n": 5}))),
        };
        let newer = target.bulk(&[newer]).await.unwrap()[0].version.unwrap();
        let answers = target
            .bulk(&[
                delete("a", known),
                delete("b", newer),
                delete("none", known),
            ])
            .await
            .unwrap();
        assert!(answers.iter().all(|answer| !answer.is_done()));
        assert_eq!(answers[0].status, 409);
        let error = answers[0].error.as_ref().unwrap();
        assert_eq!(error.kind, "version_conflict_engine_exception");
        // A document that is not there has no version either.
        assert_eq!(answers[2].status, 409);
        let answers = target.bulk(&[delete("a", newer)]).await.unwrap();
        assert!(answers[0].is_done());
        assert_eq!(target.count().await.unwrap(), 2);
        assert!(target.bulk(&[]).await.unwrap().is_empty());
    }
}

/// DESIGN §3: who may read a document changes alone; where there is no document, none may appear.
#[tokio::test]
async fn a_change_of_fields_makes_no_document() {
    for engine in engines().await {
        let target = target(engine, "target-changes").await;
        target.bulk(&[index("a", &json!({"n": 1}))]).await.unwrap();
        let change = |id: &str| Operation {
            id: id.into(),
            action: Action::Update(source(&json!({"t": "x"}))),
        };
        let answers = target.bulk(&[change("a"), change("b")]).await.unwrap();
        assert!(answers[0].is_done());
        assert_eq!(answers[1].status, 404);
        let ids = ["a", "b"].map(DocId::from);
        let stored = target.stored(&ids).await.unwrap();
        assert_eq!(
            stored[0].as_ref().unwrap().source.get(),
            r#"{"n":1,"t":"x"}"#
        );
        assert!(stored[1].is_none());
    }
}

#[tokio::test]
async fn names_the_field_that_is_refused() {
    for engine in engines().await {
        let target = target(engine, "target-fields").await;
        target
            .bulk(&[index("a", &json!({"n": 1, "o": {"p": 1}, "k": "x"}))])
            .await
            .unwrap();
        let answers = target
            .bulk(&[
                index("b", &json!({"n": "secret-value"})),
                index("c", &json!({"o": 5})),
                index("d", &json!({"o": {"p": {"q": 1}}})),
                index("e", &json!({"n": 3})),
            ])
            .await
            .unwrap();
        let fields: Vec<_> = answers
            .iter()
            .map(|answer| answer.error.as_ref().and_then(|error| error.field.clone()))
            .collect();
        let field = |name: &str| Some(name.to_owned());
        assert_eq!(fields, [field("n"), field("o"), field("o.p"), None]);
        assert!(answers[3].is_done());
        let reason = &answers[0].error.as_ref().unwrap().reason;
        assert!(!reason.contains("secret-value"), "{reason}");
        assert!(
            reason.contains("failed to parse field [n] of type [long]"),
            "{reason}"
        );
    }
}

/// DESIGN §4: such an id has to be hashed before.
#[tokio::test]
async fn one_id_over_512_bytes_fails_the_whole_request() {
    for engine in engines().await {
        let target = target(engine, "target-long-ids").await;
        let longest = "é".repeat(256);
        assert!(target.bulk(&[index(&longest, &json!({}))]).await.unwrap()[0].is_done());
        let error = target
            .bulk(&[
                index("a", &json!({})),
                index(&format!("{longest}x"), &json!({})),
            ])
            .await
            .unwrap_err();
        assert_eq!(error.kind, TargetErrorKind::Rejected);
        assert!(error.message.contains("512"), "{error}");
        assert_eq!(target.count().await.unwrap(), 1);
    }
}

#[tokio::test]
async fn streams_bodies_of_many_pieces_compressed_or_not() {
    for engine in engines().await {
        for compress in [false, true] {
            let name = format!("target-large-{compress}");
            let mut connection = connection(engine, &name).await;
            connection.compress = compress;
            let target = ElasticTarget::new(Client::new(connection).unwrap(), &name, None);
            target.prepare(false).await.unwrap();
            let operations: Vec<_> = (0..300_usize)
                .map(|n| Operation {
                    id: n.to_string().into(),
                    action: Action::Index(Source::new(
                        format!("{{\"n\":{n},\n\"t\":\"line\"").into_bytes(),
                        (n % 3 == 0).then(|| "QUJD".repeat(n * 100).into_bytes()),
                    )),
                })
                .collect();
            let answers = target.bulk(&operations).await.unwrap();
            assert_eq!(answers.len(), 300);
            assert!(answers.iter().all(tributary_engine::Answer::is_done));
            let stored = target.stored(&["297".into(), "1".into()]).await.unwrap();
            let length = |at: usize| stored[at].as_ref().unwrap().source.get().len();
            assert!(length(0) > 4 * 29_700 && length(1) < 40);
            assert_eq!(target.count().await.unwrap(), 300);
        }
    }
}

/// More than one answer may hold: asked for in parts.
#[tokio::test]
async fn reads_documents_that_are_large_together() {
    for engine in engines().await {
        let target = target(engine, "target-large-stored").await;
        let text = "QUJD".repeat(2 << 20).into_bytes();
        let ids: Vec<DocId> = ["a", "b", "c"].map(DocId::from).to_vec();
        for id in &ids {
            let operation = Operation {
                id: id.clone(),
                action: Action::Index(Source::new(
                    format!("{{\"name\":\"{id}\",\"v\":null").into_bytes(),
                    Some(text.clone()),
                )),
            };
            assert!(target.bulk(&[operation]).await.unwrap()[0].status >= 200);
        }
        let stored = target.stored(&ids).await.unwrap();
        for (id, stored) in ids.iter().zip(stored) {
            let source = stored.unwrap().source;
            assert!(source.get().starts_with(&format!("{{\"name\":\"{id}\"")));
            assert!(source.get().len() > 8 << 20);
        }
    }
}

#[tokio::test]
async fn tells_a_blocked_index() {
    for engine in engines().await {
        let target = target(engine, "target-blocked").await;
        for (block, word) in [
            ("read_only_allow_delete", "disk"),
            ("write", "blocked writes"),
            ("read_only", "blocked writes"),
        ] {
            let set = |value: serde_json::Value| json!({format!("index.blocks.{block}"): value});
            let path = "/target-blocked/_settings";
            engine
                .expect("PUT", path, Some(&set(json!(true))))
                .await
                .unwrap();
            let error = target.bulk(&[index("a", &json!({}))]).await.unwrap_err();
            assert_eq!(error.kind, TargetErrorKind::Blocked, "{error}");
            assert!(
                error.message.contains(word) && error.message.contains("target-blocked"),
                "{error}"
            );
            engine
                .expect("PUT", path, Some(&set(json!(null))))
                .await
                .unwrap();
        }
        assert!(target.bulk(&[index("a", &json!({}))]).await.unwrap()[0].is_done());
        engine
            .expect("POST", "/target-blocked/_close", None)
            .await
            .unwrap();
        let error = target.bulk(&[index("a", &json!({}))]).await.unwrap_err();
        assert_eq!(error.kind, TargetErrorKind::Blocked, "{error}");
        let error = target.prepare(false).await.unwrap_err();
        assert!(error.message.contains("closed"), "{error}");
    }
}

#[tokio::test]
async fn a_missing_pipeline_is_not_the_fault_of_the_documents() {
    for engine in engines().await {
        let client = client(engine, "target-pipeline").await;
        let target = ElasticTarget::new(client.clone(), "target-pipeline", Some("no-such".into()));
        target.prepare(false).await.unwrap();
        let operations = [index("a", &json!({})), index("b", &json!({}))];
        let error = target.bulk(&operations).await.unwrap_err();
        assert_eq!(error.kind, TargetErrorKind::NotFound, "{error}");
        assert!(error.message.contains("no-such"), "{error}");

        let pipeline = json!({"processors": [{"set": {"field": "passed", "value": true}}]});
        let path = "/_ingest/pipeline/target-a%2Fb";
        engine.expect("PUT", path, Some(&pipeline)).await.unwrap();
        let target = ElasticTarget::new(client, "target-pipeline", Some("target-a/b".into()));
        assert!(target.bulk(&operations).await.unwrap()[1].is_done());
        let stored = target.stored(&["a".into()]).await.unwrap();
        assert_eq!(
            stored[0].as_ref().unwrap().source.get(),
            r#"{"passed":true}"#
        );
    }
}

#[tokio::test]
async fn tells_missing_privileges_and_bad_credentials() {
    for engine in engines()
        .await
        .into_iter()
        .filter(|engine| engine.credentials().is_some())
    {
        let mine = client(engine, "target-mine").await;
        let foreign = ElasticTarget::new(mine.clone(), "target-foreign", None);
        let error = foreign.prepare(false).await.unwrap_err();
        assert_eq!(error.kind, TargetErrorKind::Forbidden, "{error}");
        ElasticTarget::new(administrator(engine), "target-foreign", None)
            .prepare(false)
            .await
            .unwrap();
        let error = foreign.bulk(&[index("a", &json!({}))]).await.unwrap_err();
        assert_eq!(error.kind, TargetErrorKind::Forbidden, "{error}");
        for part in ["target-foreign", "write", "new API key"] {
            assert!(error.message.contains(part), "{error}");
        }
        for (credentials, word) in [
            (
                Credentials::ApiKey(Secret::new("bm90OmE=")),
                "API key is not accepted",
            ),
            (
                Credentials::Basic {
                    username: "elastic".to_owned(),
                    password: Secret::new("hush-hush"),
                },
                "user name and password are not accepted",
            ),
        ] {
            let client = mine.with_credentials(&credentials).unwrap();
            let error = ElasticTarget::new(client, "target-mine", None)
                .count()
                .await
                .unwrap_err();
            assert_eq!(error.kind, TargetErrorKind::Unauthorised, "{error}");
            assert!(
                error.message.contains(word) && !error.message.contains("hush"),
                "{error}"
            );
        }
        let anonymous = tributary_elastic::Connection::new(engine.url());
        let error = Client::new(anonymous).unwrap().info().await.unwrap_err();
        assert!(error.message.contains("none are configured"), "{error}");
    }
}
