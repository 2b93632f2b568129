use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::harness::{Server, start};

/// Puts a document through the pipeline and returns what is stored.
async fn ingest(server: &Server, document: Value) -> Value {
    server
        .ok(
            "PUT",
            "/m/_doc/1?pipeline=search-default-ingestion",
            document,
        )
        .await;
    server.ok("GET", "/m/_source/1", Value::Null).await
}

fn file(content: &[u8]) -> Value {
    json!({"_attachment": STANDARD.encode(content), "_extract_binary_content": true, "_reduce_whitespace": true, "_run_ml_inference": true})
}

#[tokio::test]
async fn the_text_of_files_becomes_the_body() {
    let server = start().await;
    for (content, body) in [
        (&b"  plain \n\n text\t "[..], "plain text"),
        ("\u{feff}# Überschrift\n* Punkt".as_bytes(), "# Überschrift * Punkt"),
        (b"name,age\nAnna,5\n", "name,age Anna,5"),
        (br#"{"key": "<value>"}"#, r#"{"key": "<value>"}"#),
        (b"bad \xff\xfe bytes", "bad bytes"),
        (b"fn main() { a < b }", "fn main() { a < b }"),
        (b"<html><head><title>T</title><style>p{color:red}</style></head><body><p>One<br>two &amp; caf&eacute;</p><script>if (a<b) { x = '</p>' }</script><p><b>W</b>ord &#20140;&#x6771;</body>", "T One two & café W ord 京東"),
        (b"<?xml version=\"1.0\"?><a x=\"1>2\"><b>in</b><!-- no --><![CDATA[raw]]></a>", "in raw"),
        (b"<!DOCTYPE html><p title='a > b'>x &nbsp; 1 < 2 &unknown; <script>never closed", "x 1 < 2 &unknown;"),
    ] {
        let stored = ingest(&server, file(content)).await;
        assert_eq!(stored, json!({"body": body}), "{}", String::from_utf8_lossy(content));
    }
    server.ok("POST", "/m/_refresh", Value::Null).await;
    ingest(&server, file("<p>Größe</p>".as_bytes())).await;
    assert_eq!(
        server.found("m", json!({"match": {"body": "größe"}})).await,
        ["1"]
    );
}

#[tokio::test]
async fn a_file_that_cannot_be_read_says_so() {
    let server = start().await;
    for content in [
        &b"%PDF-1.7 ..."[..],
        b"PK\x03\x04....",
        b"\xd0\xcf\x11\xe0....",
        b"a\0b",
    ] {
        let stored = ingest(&server, file(content)).await;
        assert_eq!(
            stored.as_object().unwrap().keys().collect::<Vec<_>>(),
            ["_ingestion_errors"]
        );
        let note = stored["_ingestion_errors"][0].as_str().unwrap();
        assert!(
            note.contains("attachment") && note.contains("docs/store.md"),
            "{note}"
        );
    }
    let mut document = file(b"");
    document["_attachment"] = json!("***");
    let stored = ingest(&server, document).await;
    assert!(
        stored["_ingestion_errors"][0]
            .as_str()
            .unwrap()
            .contains("base64")
    );
    assert_eq!(ingest(&server, file(b"")).await, json!({}));
}

#[tokio::test]
async fn flags_switch_the_steps() {
    let server = start().await;
    let kept = ingest(&server, json!({"a": 1, "body": "  x \n y  ", "_attachment": "%%%", "_extract_binary_content": false, "_reduce_whitespace": false})).await;
    assert_eq!(kept, json!({"a": 1, "body": "  x \n y  "}));
    let tidied = ingest(
        &server,
        json!({"body": "  x \n\u{b} y\u{a0} ", "_reduce_whitespace": true}),
    )
    .await;
    assert_eq!(tidied, json!({"body": "x y\u{a0}"}));
    let long = file("é".repeat(150_000).as_bytes());
    assert_eq!(
        ingest(&server, long).await["body"]
            .as_str()
            .unwrap()
            .chars()
            .count(),
        100_000
    );
    // A number must not change on its way through the pipeline.
    let numbers = ingest(
        &server,
        json!({"n": 0.1, "m": 123_456_789.123_456_79, "_run_ml_inference": true}),
    )
    .await;
    assert_eq!(numbers.to_string(), r#"{"n":0.1,"m":123456789.12345679}"#);
}

#[tokio::test]
async fn the_pipeline_runs_where_elasticsearch_runs_it() {
    let server = start().await;
    let flags = json!({"body": " a  b ", "_reduce_whitespace": true});
    let lines = [
        json!({"index": {"_id": "1"}}),
        flags.clone(),
        json!({"update": {"_id": "1"}}),
        json!({"doc": {"_reduce_whitespace": true, "body": "c  d"}}),
    ];
    let answer = server
        .bulk("/m/_bulk?pipeline=ent-search-generic-ingestion", &lines)
        .await;
    assert_eq!(answer["errors"], false);
    // As in Elasticsearch it does not see a part of a document.
    assert_eq!(
        server.ok("GET", "/m/_source/1", Value::Null).await,
        json!({"body": "c  d", "_reduce_whitespace": true})
    );
    let path = "/m/_doc/3?pipeline=_none";
    server.ok("PUT", path, flags.clone()).await;
    assert_eq!(server.ok("GET", "/m/_source/3", Value::Null).await, flags);
    let (_, reason) = server
        .refused(400, "PUT", "/m/_doc/1?pipeline=absent", json!({}))
        .await;
    assert_eq!(reason, "pipeline with id [absent] does not exist");
    server
        .refused(400, "PUT", "/m/_doc/1?pipeline=absent", json!({}))
        .await;
    for name in ["search-default-ingestion", "ent-search-generic-ingestion"] {
        let shown = server
            .ok("GET", &format!("/_ingest/pipeline/{name}"), Value::Null)
            .await;
        assert_eq!(shown[name]["version"], 1);
    }
    assert_eq!(
        server.raw("GET", "/_ingest/pipeline/absent", "").await,
        (404, json!({}))
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 6, ..ProptestConfig::default() })]
    #[test]
    fn any_markup_becomes_text_without_its_scripts(pieces in proptest::collection::vec("(<|</|<!--|-->|<!\\[CDATA\\[|\\]\\]>|&#?x?[0-9a-f]{0,8};?|&[a-z]{0,8};?|<(p|b|script|STYLE)[ a-z=\"'>]{0,9}|>|[é京 a-z\"'=]{0,4})", 1..200)) {
        tokio::runtime::Runtime::new().unwrap().block_on(async {
            let server = start().await;
            for chunk in pieces.chunks(12) {
                let markup = format!("<p>kept</p><script>hidden</script>{}", chunk.concat());
                let stored = ingest(&server, file(markup.as_bytes())).await;
                let body = stored["body"].as_str().unwrap();
                assert!(body.starts_with("kept") && !body.contains("hidden"), "{markup}: {stored}");
            }
        });
    }
}
