//! Two services on the same records: one falls silent, the other takes its job over.

use crate::{
    engine::Engine,
    life::{begun, slow_source},
    scenarios,
    service::{Ready, Service, Setup, until},
};
use anyhow::Result;
use serde_json::Value;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

scenarios!(
    a_job_goes_on_elsewhere_when_its_service_is_killed,
    a_service_that_stood_still_leaves_its_job_to_who_took_it,
);

const LEASE: Duration = Duration::from_secs(10);
const ROWS: usize = 40;

/// Another service for the same connector.
async fn service(ready: &Ready) -> Result<Service> {
    let login = ready.engine.login(&ready.index).await?;
    let more = format!("service.job_lease: {}\n", LEASE.as_secs());
    let setup = Setup {
        url: ready.engine.url(),
        login: &login,
        connectors: &[(&ready.connector, "postgresql")],
        more: &more,
    };
    Service::start(setup).await
}

fn nonce(job: &Value) -> &Value {
    &job["metadata"]["tributary"]["lease"]["nonce"]
}

/// A job that runs for a while; `ready` has its service, and a second one is there.
async fn running(engine: &Arc<Engine>) -> Result<(Ready, Service, String)> {
    let mut ready = slow_source(engine, ROWS).await?;
    ready.service = service(&ready).await?;
    let job = begun(&ready).await?;
    let second = service(&ready).await?;
    // Some of it is written already.
    let look = || async { Ok(engine.documents(&ready.index).await?.len().into()) };
    until("documents", &ready.service, look, |count| *count != 0).await?;
    Ok((ready, second, job))
}

/// Waits until the job has another holder.
async fn taken_over(ready: &Ready, by: &Service, job: &str, before: &Value) -> Result<()> {
    let look = || ready.engine.job(job);
    let is_taken = |record: &Value| {
        record["status"] == "in_progress" && nonce(record).is_string() && nonce(record) != before
    };
    until("the takeover", by, look, is_taken).await?;
    Ok(())
}

/// The job is done, and there is one job only.
async fn is_well(ready: &Ready, job: &str) -> Result<Value> {
    let record = ready.until_ended(job).await?;
    let log = ready.service.log();
    assert_eq!(record["status"], "completed", "{record}\n{log}");
    assert_eq!(record["total_document_count"], ROWS, "{record}");
    assert_eq!(ready.engine.jobs(&ready.connector).await?.len(), 1);
    assert_eq!(ready.engine.documents(&ready.index).await?.len(), ROWS);
    Ok(record)
}

async fn a_job_goes_on_elsewhere_when_its_service_is_killed(engine: Arc<Engine>) -> Result<()> {
    let (mut ready, second, job) = running(&engine).await?;
    let before = nonce(&engine.job(&job).await?).clone();
    assert!(before.is_string(), "{before}");
    ready.service.kill().await?;
    let begin = Instant::now();
    taken_over(&ready, &second, &job, &before).await?;
    let took = begin.elapsed();
    assert!(took < LEASE + Duration::from_secs(5), "{took:?}");
    ready.service = second;
    is_well(&ready, &job).await?;
    Ok(())
}

async fn a_service_that_stood_still_leaves_its_job_to_who_took_it(
    engine: Arc<Engine>,
) -> Result<()> {
    let (mut ready, second, job) = running(&engine).await?;
    let before = nonce(&engine.job(&job).await?).clone();
    ready.service.signal("STOP").await?;
    taken_over(&ready, &second, &job, &before).await?;
    let first = std::mem::replace(&mut ready.service, second);
    let record = is_well(&ready, &job).await?;
    first.signal("CONT").await?;
    let log = || async { Ok(Value::from(first.log())) };
    let has_noticed = |log: &Value| {
        log.as_str()
            .is_some_and(|log| log.contains("Another instance took the job over"))
    };
    until("the first service to notice", &first, log, has_noticed).await?;
    let has_let_go = |log: &Value| {
        log.as_str()
            .is_some_and(|log| log.contains("the sync ended: lost"))
    };
    until("the first service to let go", &first, log, has_let_go).await?;
    assert_eq!(engine.job(&job).await?, record);
    assert_eq!(engine.documents(&ready.index).await?.len(), ROWS);
    Ok(())
}
