use std::io::Write;
use std::time::{Duration, Instant};

use anyhow::Result;
use serde_json::{Value, json};
use tributary_testkit::bulk_stub::{BulkCounts, BulkStub, BulkStubOptions};
use tributary_testkit::faults::{CannedAnswer, Fault, FaultProxy, Rule};

use crate::client::plain;

const FILTER: &str =
    "filter_path=errors,items.*._seq_no,items.*._primary_term,items.*.status,items.*.error";

fn body(count: usize) -> String {
    (0..count)
        .map(|n| format!("{{\"index\":{{\"_id\":\"{n}\"}}}}\n{{\"text\":\"row {n}\"}}\n"))
        .collect()
}

#[tokio::test]
async fn items_are_counted_plain_and_compressed() -> Result<()> {
    let stub = BulkStub::start(BulkStubOptions::default()).await?;
    let client = plain()?;
    let body = body(5_000);
    let url = format!("{}/mine/_bulk?{FILTER}", stub.url());
    let answer: Value = serde_json::from_str(
        &client
            .post(&url)
            .body(body.clone())
            .send()
            .await?
            .text()
            .await?,
    )?;
    assert_eq!(answer["errors"], json!(false));
    let items = answer["items"].as_array().unwrap();
    assert_eq!(items.len(), 5_000);
    assert_eq!(
        items[4_999],
        json!({ "index": { "_seq_no": 4_999, "_primary_term": 1, "status": 201 } })
    );

    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(body.as_bytes())?;
    let compressed = encoder.finish()?;
    let bytes = (body.len() + compressed.len()) as u64;
    let request = client
        .post(format!("{}/_bulk", stub.url()))
        .header("content-encoding", "gzip");
    let answer: Value =
        serde_json::from_str(&request.body(compressed).send().await?.text().await?)?;
    assert_eq!(answer["items"][0]["index"]["_id"], "0");
    assert_eq!(answer["items"][0]["index"]["_seq_no"], 5_000);
    assert_eq!(
        stub.counts(),
        BulkCounts {
            requests: 2,
            items: 10_000,
            bytes
        }
    );
    Ok(())
}

#[tokio::test]
async fn latency_is_waited_for() -> Result<()> {
    let latency = Duration::from_millis(50);
    let stub = BulkStub::start(BulkStubOptions {
        latency,
        upstream: None,
    })
    .await?;
    let began = Instant::now();
    plain()?
        .post(format!("{}/i/_bulk", stub.url()))
        .body(body(1))
        .send()
        .await?;
    assert!(began.elapsed() >= latency);
    assert_eq!(
        plain()?
            .get(format!("{}/i/_count", stub.url()))
            .send()
            .await?
            .status(),
        200
    );
    assert_eq!(
        plain()?
            .get(format!("{}/_connector/x", stub.url()))
            .send()
            .await?
            .status(),
        404
    );
    Ok(())
}

#[tokio::test]
async fn everything_else_goes_to_the_upstream() -> Result<()> {
    let upstream = FaultProxy::start("http://127.0.0.1:9").await?;
    upstream.set_rules([Rule::new(
        "fine",
        Fault::Answer(CannedAnswer::status(299).body("upstream")),
    )]);
    let stub = BulkStub::start(BulkStubOptions {
        upstream: Some(upstream.url()),
        ..Default::default()
    })
    .await?;
    let client = plain()?;
    assert_eq!(
        client
            .get(format!("{}/i/_count?q", stub.url()))
            .send()
            .await?
            .text()
            .await?,
        "upstream"
    );
    let own_records = client
        .post(format!("{}/.records/_bulk", stub.url()))
        .body(body(2))
        .send()
        .await?;
    assert_eq!(own_records.status(), 299);
    assert_eq!(
        client
            .post(format!("{}/i/_bulk", stub.url()))
            .body(body(2))
            .send()
            .await?
            .status(),
        200
    );
    let seen: Vec<_> = upstream
        .exchanges()
        .into_iter()
        .map(|one| (one.target, one.request_bytes))
        .collect();
    assert_eq!(
        seen,
        [
            ("/i/_count?q".to_owned(), 0),
            ("/.records/_bulk".to_owned(), body(2).len() as u64)
        ]
    );
    assert_eq!(stub.counts().items, 2);
    Ok(())
}
