//! Which names a sync can write to, and the field of permissions.

use crate::engines::{administrator, client, engines, index, scanned};
use serde_json::json;
use tributary_elastic::ElasticTarget;
use tributary_engine::{Target, TargetErrorKind};

#[tokio::test]
async fn creates_a_plain_index_once() {
    for engine in engines().await {
        let target = ElasticTarget::new(client(engine, "names-plain").await, "names-plain", None);
        target.prepare(false).await.unwrap();
        target.prepare(false).await.unwrap();
        let index = engine.expect("GET", "/names-plain", None).await.unwrap();
        assert_eq!(index["names-plain"]["mappings"], json!({}));
        assert_eq!(index["names-plain"]["aliases"], json!({}));
    }
}

/// With a key that names the alias alone, a point in time can be opened but not searched.
#[tokio::test]
async fn an_alias_of_one_index_is_as_good() {
    for engine in engines().await {
        let body = json!({"settings": {"number_of_shards": 2}, "aliases": {"names-alias": {}}});
        engine
            .expect("PUT", "/names-alias-v1", Some(&body))
            .await
            .unwrap();
        let target = ElasticTarget::new(client(engine, "names-alias").await, "names-alias", None);
        target.prepare(true).await.unwrap();
        let operations: Vec<_> = (0..50)
            .map(|n| index(&n.to_string(), &json!({"n": n})))
            .collect();
        let answers = target.bulk(&operations).await.unwrap();
        let mut written: Vec<_> = (0..50)
            .map(|n: usize| (n.to_string(), answers[n].version.unwrap()))
            .collect();
        written.sort();
        assert_eq!(scanned(&target).await, written);
        assert_eq!(target.count().await.unwrap(), 50);
        assert!(target.stored(&["7".into()]).await.unwrap()[0].is_some());

        // Somebody takes the alias away: it must not come back as an index.
        let actions =
            json!({"actions": [{"remove": {"index": "names-alias-v1", "alias": "names-alias"}}]});
        engine
            .expect("POST", "/_aliases", Some(&actions))
            .await
            .unwrap();
        let error = target.bulk(&operations[..2]).await.unwrap_err();
        assert_eq!(error.kind, TargetErrorKind::NotFound, "{error}");
    }
}

#[tokio::test]
async fn refuses_names_that_are_not_one_writable_index() {
    for engine in engines().await {
        for (name, aliases) in [
            (
                "names-one",
                json!({"names-both": {}, "names-read": {"is_write_index": false}}),
            ),
            ("names-two", json!({"names-both": {}})),
        ] {
            engine
                .expect(
                    "PUT",
                    &format!("/{name}"),
                    Some(&json!({"aliases": aliases})),
                )
                .await
                .unwrap();
        }
        for (name, words) in [
            ("names-both", &["names-one, names-two", "exactly one"][..]),
            ("names-read", &["names-one", "is_write_index"]),
            ("names-one,names-two", &["2 indices"]),
            ("names-o*e", &["names-one"]),
            ("Names-Upper", &["lowercase"]),
            ("names-none*", &["names-none*"]),
            ("_names", &["_names"]),
        ] {
            let target = ElasticTarget::new(administrator(engine), name, None);
            let error = target.prepare(false).await.unwrap_err();
            assert_eq!(error.kind, TargetErrorKind::Rejected, "{name}: {error}");
            for word in words {
                assert!(error.message.contains(word), "{name}: {error}");
            }
        }
    }
}

/// DESIGN §3: without the mapping, the field limit could make the permissions of a document vanish.
#[tokio::test]
async fn maps_the_permissions_before_anything_is_written() {
    for engine in engines().await {
        let name = "names-protected";
        let target = ElasticTarget::new(client(engine, name).await, name, None);
        target.prepare(true).await.unwrap();
        target.prepare(true).await.unwrap();
        let mapping = engine
            .expect("GET", &format!("/{name}/_mapping"), None)
            .await
            .unwrap();
        let field = &mapping[name]["mappings"]["properties"]["_allow_access_control"];
        assert_eq!(field["type"], "text");
        assert_eq!(field["fields"]["keyword"]["type"], "keyword");

        // A mapping that is there is left alone.
        let name = "names-protected-before";
        let body =
            json!({"mappings": {"properties": {"_allow_access_control": {"type": "keyword"}}}});
        engine
            .expect("PUT", &format!("/{name}"), Some(&body))
            .await
            .unwrap();
        let target = ElasticTarget::new(client(engine, name).await, name, None);
        target.prepare(true).await.unwrap();
        let mapping = engine
            .expect("GET", &format!("/{name}/_mapping"), None)
            .await
            .unwrap();
        let field = &mapping[name]["mappings"]["properties"]["_allow_access_control"];
        assert_eq!(field, &json!({"type": "keyword"}));

        // At the field limit, the job must not begin.
        let name = "names-protected-full";
        let body = json!({
            "settings": {"index.mapping.total_fields.limit": 2},
            "mappings": {"properties": {"a": {"type": "long"}, "b": {"type": "long"}}},
        });
        engine
            .expect("PUT", &format!("/{name}"), Some(&body))
            .await
            .unwrap();
        let target = ElasticTarget::new(client(engine, name).await, name, None);
        let error = target.prepare(true).await.unwrap_err();
        assert_eq!(error.kind, TargetErrorKind::Rejected, "{error}");
        assert!(
            error.message.contains("index.mapping.total_fields.limit"),
            "{error}"
        );
    }
}

/// The same fact from the other side: what would happen without the mapping.
#[tokio::test]
async fn beyond_the_field_limit_an_unmapped_field_is_not_indexed() {
    for engine in engines().await {
        let is_opensearch = engine.credentials().is_none();
        if is_opensearch {
            // OpenSearch has no `ignore_dynamic_beyond_limit`.
            continue;
        }
        for protected in [false, true] {
            let name = format!("names-beyond-{protected}");
            engine
                .expect("PUT", &format!("/{name}"), None)
                .await
                .unwrap();
            let target = ElasticTarget::new(client(engine, &name).await, &name, None);
            target.prepare(protected).await.unwrap();
            let limit = json!({
                "index.mapping.total_fields.limit": if protected { 2 } else { 1 },
                "index.mapping.total_fields.ignore_dynamic_beyond_limit": true,
            });
            engine
                .expect("PUT", &format!("/{name}/_settings"), Some(&limit))
                .await
                .unwrap();
            let document = json!({"_allow_access_control": ["access:nobody"], "title": "x"});
            assert!(target.bulk(&[index("a", &document)]).await.unwrap()[0].is_done());
            target.count().await.unwrap();
            let query = json!({"query": {"exists": {"field": "_allow_access_control"}}});
            let found = engine
                .expect("POST", &format!("/{name}/_count"), Some(&query))
                .await
                .unwrap();
            assert_eq!(found["count"], u64::from(protected));
        }
    }
}
