//! A raw bulk loader: bodies made before, sent over a few connections, answers not looked at. Nothing
//! that reads its answers can be much faster.

use anyhow::Result;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

const DOCUMENTS_IN_BODY: usize = 2500;
const CONNECTIONS: usize = 4;

/// Sends so many documents of the size that our sync sends for a row; how long it took.
pub(crate) async fn load(url: &str, documents: usize) -> Result<Duration> {
    let mut body = String::new();
    for number in 0..DOCUMENTS_IN_BODY {
        body.push_str(&format!(
            "{{\"index\":{{\"_id\":\"bench_public_measured_{number}\"}}}}\n"
        ));
        body.push_str(&format!(
            "{{\"text\":\"{}\",\"id\":\"{number}\"}}\n",
            "x".repeat(620)
        ));
    }
    let body = bytes::Bytes::from(body);
    let client = reqwest::Client::new();
    let begin = Instant::now();
    let mut tasks = JoinSet::new();
    for _ in 0..CONNECTIONS {
        let (client, body) = (client.clone(), body.clone());
        let url = format!("{url}/loaded/_bulk?filter_path=errors");
        tasks.spawn(async move {
            for _ in 0..documents.div_ceil(CONNECTIONS * DOCUMENTS_IN_BODY) {
                let request = client
                    .post(&url)
                    .header("content-type", "application/x-ndjson");
                request
                    .body(body.clone())
                    .send()
                    .await?
                    .error_for_status()?
                    .bytes()
                    .await?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(task) = tasks.join_next().await {
        task??;
    }
    Ok(begin.elapsed())
}
