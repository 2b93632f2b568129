//! Odd documents and odd mappings: each costs itself or one field, never a neighbour in the same bulk
//! request and never the sync.

use crate::{
    engines::{client, engines},
    jobs::{Step, document, good, good_id, ids, sync, sync_with, text},
};
use serde_json::json;
use std::{collections::BTreeMap, sync::Arc};
use tributary_elastic::ElasticTarget;
use tributary_engine::{Outcome, Target, Verdict};
use tributary_protocol::ledger::Stage;
use tributary_testkit::servers::{SearchEngine, SearchEngineKind};

/// What becomes of an odd document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// It is indexed as it is.
    Whole,
    /// It is indexed without this field.
    Without(&'static str),
    /// It is refused, and the reason names this field.
    Refused(&'static str),
}
use Fate::{Refused, Whole, Without};

/// Elasticsearch, Elasticsearch with a pipeline, OpenSearch (there a pipeline changes nothing).
type Fates = [Fate; 3];

fn is_opensearch(engine: &SearchEngine) -> bool {
    engine.kind() == SearchEngineKind::OpenSearch
}

fn nested(levels: usize, open: &str, close: &str) -> String {
    open.repeat(levels) + "1" + &close.repeat(levels)
}

const DEEP: &str = "d.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a";
const DEEPER: &str = "dd.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a";

/// Name of the document, its odd field, the JSON text of that, and what becomes of it.
fn odd_documents() -> Vec<(&'static str, &'static str, String, Fates)> {
    let text = |text: &str| text.to_owned();
    let all = |fate| [fate; 3];
    vec![
        (
            "object-for-text",
            "t",
            text(r#"{"x":1}"#),
            all(Without("t")),
        ),
        ("text-for-object", "o", text(r#""x""#), all(Without("o"))),
        ("text-for-number", "n", text(r#""abc""#), all(Without("n"))),
        ("no-date", "dt", text(r#""yesterday""#), all(Without("dt"))),
        ("large-for-long", "n", "1".repeat(100), all(Without("n"))),
        (
            "ten-thousand-digits",
            "big",
            "1".repeat(10_000),
            all(Without("big")),
        ),
        (
            "ten-thousand-decimals",
            "fine",
            format!("{{\"v\":[1.{}]}}", "1".repeat(10_000)),
            all(Without("fine.v")),
        ),
        (
            "immense-term",
            "k",
            format!("\"{}\"", "x".repeat(32_767)),
            all(Without("k")),
        ),
        (
            "largest-term",
            "k",
            format!("\"{}\"", "x".repeat(32_766)),
            all(Whole),
        ),
        (
            "immense-term-of-sub-field",
            "ms",
            format!("\"{}\"", "x".repeat(40_000)),
            all(Without("ms.raw")),
        ),
        ("nul-in-text", "z", text(r#""a\u0000b""#), all(Whole)),
        ("nul-in-name", "a\0b", text("1"), all(Whole)),
        (
            "lone-surrogate-in-text",
            "s",
            text(r#""a\ud800b""#),
            all(Whole),
        ),
        (
            "lone-surrogate-in-name",
            "p",
            text(r#"{"a\ud800b":1}"#),
            [Whole, Whole, Refused("p.a\\ud800b")],
        ),
        (
            "thousand-levels",
            "d",
            nested(1000, "{\"a\":", "}"),
            [Without(DEEP), Without("d"), Without("d")],
        ),
        (
            "two-thousand-levels",
            "dd",
            nested(2000, "{\"a\":", "}"),
            [Without(DEEPER), Without("dd"), Without("dd")],
        ),
        (
            "thousand-arrays",
            "da",
            nested(900, "[", "]"),
            [Whole, Whole, Without("da")],
        ),
        ("empty-name", "", text("1"), all(Without(""))),
        (
            "empty-name-inside",
            "e",
            text(r#"{"":1}"#),
            all(Without("e.")),
        ),
        (
            "blank-name",
            " ",
            text("1"),
            [Without(" "), Without(" "), Whole],
        ),
        ("one-dot", ".", text("1"), all(Without("."))),
        ("three-dots", "...", text("1"), all(Without("..."))),
        ("leading-dot", ".a", text("1"), all(Without(".a"))),
        ("two-dots-inside", "x..y", text("1"), all(Without("x..y"))),
        (
            "mixed-array",
            "m1",
            text(r#"[1,"a",{"b":1}]"#),
            all(Without("m1")),
        ),
        (
            "mixed-objects",
            "m2",
            text(r#"[{"b":1},3]"#),
            all(Without("m2")),
        ),
        (
            "mixed-texts",
            "m3",
            text(r#"["a",1,true,null,1.5]"#),
            [Whole, Whole, Without("m3")],
        ),
        (
            "metadata",
            "_source",
            text(r#""x""#),
            all(Without("_source")),
        ),
        ("long-name", "long-name-", text("1"), all(Whole)),
    ]
}

/// The one sentence about each document; two would be one too many.
fn sentences(outcome: &Outcome) -> BTreeMap<&str, &str> {
    let mut sentences = BTreeMap::new();
    for oddity in &outcome.oddities {
        assert_eq!(oddity.stage, Stage::Index);
        let first = sentences.insert(oddity.id.as_str(), oddity.reason.as_str());
        assert_eq!(first, None, "{}: {}", oddity.id, oddity.reason);
    }
    sentences
}

async fn mapped(engine: &SearchEngine, index: &str) {
    let body = json!({"mappings": {"properties": {
        "n": {"type": "long"}, "t": {"type": "text"}, "dt": {"type": "date"}, "k": {"type": "keyword"},
        "o": {"properties": {"p": {"type": "long"}}},
        "ms": {"type": "text", "fields": {"raw": {"type": "keyword"}}},
    }}});
    let path = format!("/{index}");
    engine.expect("PUT", &path, Some(&body)).await.unwrap();
}

#[tokio::test]
async fn an_odd_document_costs_one_field_or_itself() {
    for engine in engines().await {
        // The server has memory for one such thing at a time.
        let _alone = engine.exclusive().await;
        let pipeline =
            json!({"processors": [{"remove": {"field": "nothing", "ignore_missing": true}}]});
        let path = "/_ingest/pipeline/odd-pipeline";
        engine.expect("PUT", path, Some(&pipeline)).await.unwrap();
        for pipeline in [None, Some("odd-pipeline".to_owned())] {
            let place = match (is_opensearch(engine), &pipeline) {
                (true, _) => 2,
                (false, None) => 0,
                (false, Some(_)) => 1,
            };
            let index = format!("odd-documents-{}", pipeline.is_some());
            mapped(engine, &index).await;
            let mut steps = Vec::new();
            let mut good_ids = Vec::new();
            for (number, (id, name, text, _)) in odd_documents().into_iter().enumerate() {
                let long = name.repeat(if id == "long-name" { 500 } else { 1 });
                steps.extend(good(number..number + 1));
                steps.push(document(
                    id,
                    &[("title", "\"odd\""), (&long, &text), ("v", "7")],
                ));
                good_ids.push(good_id(number));
            }
            let client = client(engine, &index).await;
            let target = Arc::new(ElasticTarget::new(client, &index, pipeline.clone()));
            let outcome = sync(target, steps).await;
            let what = format!("{:?} {pipeline:?}", engine.kind());
            assert_eq!(outcome.verdict, Verdict::Completed, "{what}");

            let sentences = sentences(&outcome);
            let there = ids(engine, &index).await;
            let (mut failed, mut without) = (0, 0);
            for (id, name, _, fates) in odd_documents() {
                let sentence = sentences.get(id).copied().unwrap_or_default();
                let what = format!("{what} {id}: {sentence}");
                match fates[place] {
                    Whole => assert!(sentence.is_empty() && there.contains(id), "{what}"),
                    Without(field) => {
                        without += 1;
                        assert!(there.contains(id), "{what}");
                        let named = format!("indexed without the field {field}: ");
                        assert!(sentence.starts_with(&named), "{what}");
                        let text = text(engine, &index, id).await;
                        assert!(text.contains("\"v\":7"), "{what}: {text:.300}");
                        // A sub-field is in the mapping only.
                        let is_all_of_it = field == name || field == "ms.raw";
                        let key = format!("{}:", json!(name));
                        assert_eq!(text.contains(&key), !is_all_of_it, "{what}: {text:.300}");
                    }
                    Refused(field) => {
                        failed += 1;
                        assert!(!there.contains(id), "{what}");
                        assert!(sentence.contains(&format!("the field {field}")), "{what}");
                    }
                }
            }
            assert!(
                good_ids.iter().all(|id| there.contains(id)),
                "{what}: {there:?}"
            );
            let counters = &outcome.counters;
            assert_eq!(
                (counters.failed, counters.without_field),
                (failed, without),
                "{what}"
            );
            assert_eq!(counters.indexed as usize, there.len(), "{what}");
            assert_eq!(outcome.total_documents, Some(counters.indexed), "{what}");
            assert_eq!(sentences.len() as u64, failed + without, "{what}");
        }
    }
}

/// A source that writes a name twice: neither of the two values is the right one.
#[tokio::test]
async fn a_name_that_stands_twice_is_left_out() {
    for engine in engines().await {
        for pipeline in [None, Some("odd-pipeline-of-twice".to_owned())] {
            let body =
                json!({"processors": [{"remove": {"field": "nothing", "ignore_missing": true}}]});
            let path = "/_ingest/pipeline/odd-pipeline-of-twice";
            engine.expect("PUT", path, Some(&body)).await.unwrap();
            let index = format!("odd-twice-{}", pipeline.is_some());
            let mut steps = good(0..20);
            steps.push(document("twice", &[("a", "1"), ("b", "2"), ("a", "3")]));
            steps.push(document(
                "inside",
                &[("a", "1"), ("o", r#"{"x":1,"x":2,"y":3}"#)],
            ));
            steps.extend(good(20..40));
            let client = client(engine, &index).await;
            let target = Arc::new(ElasticTarget::new(client, &index, pipeline));
            let outcome = sync(target, steps).await;
            assert_eq!(outcome.verdict, Verdict::Completed);
            assert_eq!((outcome.counters.indexed, outcome.counters.failed), (42, 0));
            let sentences = sentences(&outcome);
            assert!(
                sentences["twice"].starts_with("indexed without the field a: "),
                "{sentences:?}"
            );
            assert!(
                sentences["inside"].starts_with("indexed without the field o.x: "),
                "{sentences:?}"
            );
            let kept = text(engine, &index, "twice").await;
            assert!(
                kept.contains("\"b\":2") && !kept.contains("\"a\":"),
                "{kept}"
            );
            let kept = text(engine, &index, "inside").await;
            assert!(
                kept.contains("{\"y\":3}") && kept.contains("\"a\":1"),
                "{kept}"
            );
        }
    }
}

#[tokio::test]
async fn fifty_thousand_fields_are_one_refused_document() {
    for engine in engines().await {
        // The server has memory for one such thing at a time.
        let _alone = engine.exclusive().await;
        let index = "odd-many-fields";
        let fields = (0..50_000).map(|n| (format!("f{n}"), n.to_string()));
        let mut steps = good(0..5);
        steps.push(Step::Document("many".into(), fields.collect()));
        steps.extend(good(5..10));
        let client = client(engine, index).await;
        let outcome = sync(Arc::new(ElasticTarget::new(client, index, None)), steps).await;
        assert_eq!(outcome.verdict, Verdict::Completed);
        assert_eq!((outcome.counters.indexed, outcome.counters.failed), (10, 1));
        let sentence = sentences(&outcome)["many"];
        for part in [
            "Limit of total fields [1000]",
            "raise index.mapping.total_fields.limit",
        ] {
            assert!(sentence.contains(part), "{sentence}");
        }
        assert_eq!(ids(engine, index).await.len(), 10);
    }
}

#[tokio::test]
async fn a_full_mapping_costs_the_documents_with_new_fields_only() {
    for engine in engines().await {
        for ignores in [false, true] {
            if ignores && is_opensearch(engine) {
                continue; // It has no `ignore_dynamic_beyond_limit`.
            }
            let index = format!("odd-full-{ignores}");
            // `title` has a sub-field; `id` and `_timestamp` are the engine's, the first with one too.
            let mut settings = json!({"index.mapping.total_fields.limit": 5});
            if ignores {
                settings["index.mapping.total_fields.ignore_dynamic_beyond_limit"] = json!(true);
            }
            let path = format!("/{index}");
            let body = json!({"settings": settings});
            engine.expect("PUT", &path, Some(&body)).await.unwrap();
            let client = client(engine, &index).await;
            let target = Arc::new(ElasticTarget::new(client, &index, None));
            // So that the mapping is full before the odd ones come.
            let outcome = sync(target.clone(), good(0..10)).await;
            assert_eq!(outcome.counters.indexed, 10);
            let mut steps = good(0..10);
            for number in 0..3 {
                let name = format!("new-{number}");
                steps.insert(
                    number * 4,
                    document(&name, &[(&name, "1"), ("title", "\"x\"")]),
                );
            }
            let outcome = sync(target.clone(), steps).await;
            assert_eq!(outcome.verdict, Verdict::Completed);
            let there = ids(engine, &index).await;
            let sentences = sentences(&outcome);
            if ignores {
                assert_eq!((there.len(), sentences.len()), (13, 0), "{sentences:?}");
            } else {
                assert_eq!((there.len(), sentences.len()), (10, 3), "{sentences:?}");
                assert!(sentences["new-1"].contains("raise index.mapping.total_fields.limit"));
            }
            // And it was said before.
            let findings = target.findings();
            assert_eq!(findings.len(), 1, "{findings:?}");
            let expected = format!("the mapping of the index {index} has 5 of the 5 fields");
            assert!(findings[0].starts_with(&expected), "{findings:?}");
            assert_eq!(
                findings[0].contains("are refused"),
                !ignores,
                "{findings:?}"
            );
        }
    }
}

/// What the server says in the end about a field more is what the warning counted.
#[tokio::test]
async fn a_mapping_with_hardly_any_room_is_spoken_of_before() {
    for engine in engines().await {
        for (index, fields, is_near) in [("odd-room-89", 89, false), ("odd-room-90", 90, true)] {
            let fields = (0..fields).map(|n| (format!("f{n}"), json!({"type": "long"})));
            let body = json!({
                "settings": {"index.mapping.total_fields.limit": 100},
                "mappings": {"properties": fields.collect::<serde_json::Map<_, _>>()},
            });
            engine
                .expect("PUT", &format!("/{index}"), Some(&body))
                .await
                .unwrap();
            let target = ElasticTarget::new(client(engine, index).await, index, None);
            target.prepare(false).await.unwrap();
            let findings = target.findings();
            assert_eq!(findings.len(), usize::from(is_near), "{findings:?}");
            if is_near {
                let knows = findings[0].contains("ignore_dynamic_beyond_limit");
                assert_eq!(knows, !is_opensearch(engine), "{findings:?}");
            }
        }
        let index = "odd-room-deep";
        let deep = (0..19).fold(
            json!({"type": "long"}),
            |inner, _| json!({"properties": {"a": inner}}),
        );
        let body = json!({"mappings": deep});
        engine
            .expect("PUT", &format!("/{index}"), Some(&body))
            .await
            .unwrap();
        let target = ElasticTarget::new(client(engine, index).await, index, None);
        target.prepare(false).await.unwrap();
        let findings = target.findings();
        assert!(
            findings[0].contains("19 levels deep, of the 20"),
            "{findings:?}"
        );
    }
}

/// What does not fit into the memory of the server is refused for ever, with the very word of a busy
/// moment (429). It must not be waited for.
#[tokio::test]
async fn texts_of_a_hundred_megabytes_cost_themselves() {
    for engine in engines().await {
        // The server has memory for one such thing at a time.
        let _alone = engine.exclusive().await;
        let index = "odd-large";
        let mut steps = good(0..5);
        for megabytes in [25, 55, 101] {
            let text = format!("\"{}\"", "x".repeat(megabytes << 20));
            steps.push(document(format!("large-{megabytes}"), &[("s", &text)]));
            steps.extend(good(megabytes..megabytes + 1));
        }
        steps.push(Step::File("file".into(), 20 << 20));
        steps.extend(good(200..205));
        let client = client(engine, index).await;
        let target = Arc::new(ElasticTarget::new(client, index, None));
        let outcome = sync_with(target, steps, |settings| {
            settings.max_text_size = 0;
            settings.max_file_size = 100 << 20;
        });
        let outcome = outcome.await;
        assert_eq!(outcome.verdict, Verdict::Completed);
        let there = ids(engine, index).await;
        let good = there.iter().filter(|id| id.starts_with("good-")).count();
        assert_eq!(good, 13, "{there:?}");
        assert!(there.contains("file"), "{there:?}");
        let reasons: Vec<_> = outcome
            .oddities
            .iter()
            .map(|odd| (odd.id.as_str(), &*odd.reason))
            .collect();
        let reason = |id: &str| reasons.iter().find(|(odd, _)| *odd == id).unwrap().1;
        assert!(reason("large-101").contains("larger than"), "{reasons:?}");
        if is_opensearch(engine) {
            assert!(
                reason("large-55").starts_with("indexed without the field s: "),
                "{reasons:?}"
            );
            assert_eq!(reasons.len(), 2, "{reasons:?}");
        } else {
            for id in ["large-25", "large-55", "file"] {
                assert!(reason(id).contains("a tenth of its heap"), "{reasons:?}");
            }
            assert!(
                reason("file").starts_with("indexed without the content"),
                "{reasons:?}"
            );
            assert_eq!(reasons.len(), 4, "{reasons:?}");
        }
    }
}
