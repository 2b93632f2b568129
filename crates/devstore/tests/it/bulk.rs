use std::io::Write;

use proptest::prelude::*;
use serde_json::{Value, json};

use crate::harness::{JsonBody, start};

#[tokio::test]
async fn each_item_has_its_own_result() {
    let server = start().await;
    server.ok("PUT", "/m/_doc/old", json!({"n": 1})).await;
    let answer = server
        .bulk(
            "/m/_bulk?refresh=true",
            &[
                json!({"index": {"_id": "1"}}),
                json!({"n": 1}),
                json!({"create": {"_id": "old"}}),
                json!({"n": 2}),
                json!({"update": {"_id": "old"}}),
                json!({"doc": {"n": 1}}),
                json!({"update": {"_id": "absent"}}),
                json!({"doc": {"n": 1}}),
                json!({"update": {"_id": "made"}}),
                json!({"doc": {"n": 1}, "doc_as_upsert": true}),
                json!({"delete": {"_id": "old"}}),
                json!({"delete": {"_id": "absent"}}),
                json!({"index": {"_id": "wrong"}}),
                json!({"n": "no number"}),
                json!({"index": {"_index": "other"}}),
                json!({"x": 1}),
                json!({"delete": {"_index": "nowhere", "_id": "1"}}),
                json!({"index": {"_index": "Wrong", "_id": "1"}}),
                json!({}),
                json!({"index": {"_id": "1", "if_seq_no": 1, "if_primary_term": 1}}),
                json!({"n": 5}),
                json!({"index": {"_id": "1", "if_seq_no": 1, "if_primary_term": 1}}),
                json!({"n": 6}),
            ],
        )
        .await;
    assert_eq!(answer["errors"], true);
    let items = answer["items"].as_array().unwrap();
    let summary: Vec<(String, u64, Value)> = items
        .iter()
        .map(|item| {
            let (word, item) = item.as_object().unwrap().iter().next().unwrap();
            let said = item
                .get("result")
                .or_else(|| item["error"].get("type"))
                .unwrap();
            (word.clone(), item["status"].as_u64().unwrap(), said.clone())
        })
        .collect();
    let expected = [
        ("index", 201, "created"),
        ("create", 409, "version_conflict_engine_exception"),
        ("update", 200, "noop"),
        ("update", 404, "document_missing_exception"),
        ("update", 501, "not_supported_exception"),
        ("delete", 200, "deleted"),
        ("delete", 404, "not_found"),
        ("index", 400, "document_parsing_exception"),
        ("index", 201, "created"),
        ("delete", 404, "index_not_found_exception"),
        ("index", 400, "invalid_index_name_exception"),
        ("index", 200, "updated"),
        ("index", 409, "version_conflict_engine_exception"),
    ];
    let expected: Vec<(String, u64, Value)> = expected
        .map(|(word, status, said)| (word.to_owned(), status, json!(said)))
        .into();
    assert_eq!(summary, expected);
    assert_eq!(items[7]["index"]["_id"], "wrong");
    assert!(
        items[7]["index"]["error"]["reason"]
            .as_str()
            .unwrap()
            .contains("[n]")
    );
    assert_eq!(
        (
            &items[0]["index"]["_seq_no"],
            &items[0]["index"]["_primary_term"]
        ),
        (&json!(1), &json!(1))
    );
    assert_eq!(
        server.ok("GET", "/other/_count", Value::Null).await["count"],
        1
    );
    assert_eq!(server.found("m", json!({"match_all": {}})).await, ["1"]);
}

#[tokio::test]
async fn a_request_that_is_wrong_as_a_whole_writes_nothing() {
    let server = start().await;
    let good = "{\"index\":{\"_index\":\"m\",\"_id\":\"1\"}}\n{\"a\":1}\n";
    let long = "x".repeat(513);
    for (body, kind) in [
        (String::new(), "illegal_argument_exception"),
        ("\n\n".to_owned(), "illegal_argument_exception"),
        (
            format!("{good}{{\"index\":{{\"_index\":\"m\",\"_id\":\"{long}\"}}}}\n{{}}\n"),
            "action_request_validation_exception",
        ),
        (
            format!("{good}{{\"delete\":{{\"_index\":\"m\",\"_id\":\"{long}\"}}}}\n"),
            "action_request_validation_exception",
        ),
        (
            format!("{good}{{\"delete\":{{\"_index\":\"m\"}}}}\n"),
            "action_request_validation_exception",
        ),
        (
            format!("{good}{{\"index\":{{}}}}\n{{}}\n"),
            "action_request_validation_exception",
        ),
        (
            format!("{good}{{\"index\":{{\"_index\":\"m\"}}}}\n"),
            "illegal_argument_exception",
        ),
        (
            format!("{good}{{\"upsert\":{{\"_index\":\"m\"}}}}\n{{}}\n"),
            "illegal_argument_exception",
        ),
        (
            format!("{good}{{\"index\":{{\"_index\":\"m\"}},\"create\":{{}}}}\n{{}}\n"),
            "illegal_argument_exception",
        ),
        (format!("{good}[]\n{{}}\n"), "illegal_argument_exception"),
        (
            format!("{good}garbage\n{{}}\n"),
            "illegal_argument_exception",
        ),
        (
            format!("{good}{{\"index\":{{\"_index\":\"m\",\"_id\":[]}}}}\n{{}}\n"),
            "illegal_argument_exception",
        ),
        (
            format!(
                "{good}{{\"index\":{{\"_index\":\"m\",\"_id\":\"1\",\"if_seq_no\":-1,\"if_primary_term\":1}}}}\n{{}}\n"
            ),
            "illegal_argument_exception",
        ),
    ] {
        let (status, answer) = server.raw("POST", "/_bulk", &body).await;
        assert_eq!(
            (status, &answer["error"]["type"]),
            (400, &json!(kind)),
            "{body}: {answer}"
        );
    }
    let unknown = format!("{good}{{\"index\":{{\"_index\":\"m\",\"what\":1}}}}\n{{}}\n");
    assert_eq!(server.raw("POST", "/_bulk", &unknown).await.0, 501);
    server.refused(404, "GET", "/m", Value::Null).await;
    // A garbled source is the trouble of its item alone.
    let (status, answer) = server
        .raw(
            "POST",
            "/_bulk",
            &format!("{good}{{\"index\":{{\"_index\":\"m\"}}}}\n{{\"a\":\n"),
        )
        .await;
    assert_eq!(
        (status, &answer["items"][1]["index"]["status"]),
        (200, &json!(400)),
        "{answer}"
    );
    assert_eq!(answer["items"][0]["index"]["status"], 201);
}

#[tokio::test]
async fn a_packed_body_is_unpacked_and_answers_are_filtered() {
    let server = start().await;
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    for number in 0..500 {
        writeln!(
            packer,
            "{}\n{}",
            json!({"index": {"_id": number.to_string()}}),
            json!({"n": number})
        )
        .unwrap();
    }
    let packed = packer.finish().unwrap();
    let path = "/m/_bulk?filter_path=errors,items.*._seq_no,items.*.status,items.*.error";
    let request = server
        .request("POST", path)
        .header("content-encoding", "gzip")
        .header("content-type", "application/x-ndjson");
    let answer: Value = request.body(packed).send().await.unwrap().json_body().await;
    assert_eq!(answer["errors"], false);
    assert_eq!(answer.get("took"), None);
    assert_eq!(answer["items"].as_array().unwrap().len(), 500);
    assert_eq!(
        answer["items"][499],
        json!({"index": {"_seq_no": 499, "status": 201}})
    );
    let request = server
        .request("POST", "/m/_bulk")
        .header("content-encoding", "gzip")
        .header("content-type", "application/x-ndjson");
    assert_eq!(
        request.body("not packed").send().await.unwrap().status(),
        400
    );
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused() {
    let server = start().await;
    let line = format!(
        "{}\n{{\"a\":\"{}\"}}\n",
        json!({"index": {"_index": "m"}}),
        "x".repeat(1 << 20)
    );
    let request = server
        .request("POST", "/_bulk")
        .header("content-type", "application/x-ndjson")
        .body(line.repeat(101));
    assert_eq!(request.send().await.unwrap().status(), 413);
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packer.write_all(&vec![b' '; 101 << 20]).unwrap();
    let request = server
        .request("POST", "/_bulk")
        .header("content-encoding", "gzip")
        .header("content-type", "application/x-ndjson");
    assert_eq!(
        request
            .body(packer.finish().unwrap())
            .send()
            .await
            .unwrap()
            .status(),
        413
    );
    server.refused(404, "GET", "/m", Value::Null).await;
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 30, ..ProptestConfig::default() })]
    #[test]
    fn no_bulk_body_breaks_the_store(lines in proptest::collection::vec("(\\{\"(index|update|delete|create)\":\\{(\"_id\":(\"a\"|1|null|\\[\\]|\"\"))?\\}\\}|\\{\"(doc|a|a\\.b|_id)\":(1|\"x\"|\\{\\}|\\[1,\\[2\\]\\]|null|1e400)\\}|\\PC{0,12})", 0..8)) {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let server = start().await;
            let body: String = lines.iter().map(|line| format!("{line}\n")).collect();
            let (status, answer) = server.raw("POST", "/m/_bulk", &body).await;
            assert!(matches!(status, 200 | 400 | 501), "{body}: {answer}");
            assert_eq!(server.raw("GET", "/", "").await.0, 200);
        });
    }
}
