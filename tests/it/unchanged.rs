//! What is unchanged is not sent again, and an interrupted sync goes on.

use crate::{
    engine::Engine,
    scenarios,
    service::{Ready, Service, Setup, name, until},
};
use anyhow::{Context, Result};
use serde_json::{Value, json};
use std::{path::Path, sync::Arc};
use tempfile::TempDir;
use tributary_protocol::JobType;
use tributary_testkit::servers::shared;

scenarios!(
    only_what_changed_is_sent,
    what_somebody_else_did_to_the_index_is_put_right,
    a_stopped_sync_goes_on_where_it_was,
);

const FILES: u64 = 30;

fn write(folder: &Path, number: u64, text: &str) -> Result<()> {
    let path = folder.join(format!("file{number:02}.txt"));
    Ok(std::fs::write(path, text)?)
}

async fn filled(engine: &Arc<Engine>) -> Result<(TempDir, Ready)> {
    let folder = tempfile::tempdir()?;
    for number in 0..FILES {
        write(folder.path(), number, &format!("text {number}"))?;
    }
    let values = json!({"directory": folder.path(), "pattern": "*.txt"});
    let ready = Ready::new(engine, "dir", values).await?;
    assert_eq!(counts(&ready.sync_well().await?), (FILES, 0, 0));
    Ok((folder, ready))
}

/// Indexed, unchanged, deleted.
fn counts(job: &Value) -> (u64, u64, u64) {
    let unchanged = &job["metadata"]["tributary"]["counters"]["unchanged"];
    (
        job["indexed_document_count"].as_u64().unwrap_or(0),
        unchanged.as_u64().unwrap_or(0),
        job["deleted_document_count"].as_u64().unwrap_or(0),
    )
}

async fn only_what_changed_is_sent(engine: Arc<Engine>) -> Result<()> {
    let (folder, ready) = filled(&engine).await?;
    let second = ready.sync_well().await?;
    assert_eq!(counts(&second), (0, FILES, 0), "{second}");
    assert_eq!(second["total_document_count"], FILES);
    write(folder.path(), 3, "a narwhal came by")?;
    std::fs::remove_file(folder.path().join("file07.txt"))?;
    write(folder.path(), 40, "new")?;
    let third = ready.sync_well().await?;
    assert_eq!(counts(&third), (2, FILES - 2, 1), "{third}");
    if engine.has_extraction() {
        assert_eq!(engine.search(&ready.index, "narwhal").await?.len(), 1);
    }
    assert_eq!(counts(&ready.sync_well().await?), (0, FILES, 0));
    Ok(())
}

async fn what_somebody_else_did_to_the_index_is_put_right(engine: Arc<Engine>) -> Result<()> {
    let (_folder, ready) = filled(&engine).await?;
    let index = &ready.index;
    let documents = engine.documents(index).await?;
    let ids: Vec<_> = documents.keys().cloned().collect();
    let [changed, deleted] = [&ids[3], &ids[7]];
    let path = |id: &str| format!("{index}/_doc/{id}?refresh=true");
    // A field that the mapping has already: a new one would make it another mapping.
    let foreign = json!({"id": "foreign"});
    engine
        .call("PUT", &path(changed), Some(foreign.clone()))
        .await?;
    engine.call("DELETE", &path(deleted), None).await?;
    engine.call("PUT", &path("stranger"), Some(foreign)).await?;
    let second = ready.sync_well().await?;
    let log = ready.service.log();
    assert_eq!(counts(&second), (2, FILES - 2, 0), "{second}\n{log}");
    // The folder cannot tell about something that is no file, so it goes when it is missed again.
    assert_eq!(counts(&ready.sync_well().await?), (0, FILES, 1));
    assert_eq!(engine.documents(index).await?.len(), ids.len());
    // The index is made anew, and filled by nobody.
    engine.call("DELETE", index, None).await?;
    let third = ready.sync_well().await?;
    assert_eq!(counts(&third), (FILES, 0, 0), "{third}");
    assert_eq!(counts(&ready.sync_well().await?), (0, FILES, 0));
    Ok(())
}

async fn a_stopped_sync_goes_on_where_it_was(engine: Arc<Engine>) -> Result<()> {
    const ROWS: u64 = 20_000;
    let server = shared::postgres().await?;
    let database = name("resume").replace('-', "_");
    server.psql(&format!("CREATE DATABASE {database}")).await?;
    let fill = format!(
        "CREATE TABLE t AS SELECT n AS id, repeat('lorem ', 200) AS v FROM generate_series(1, {ROWS}) n"
    );
    for statement in [fill.as_str(), "ALTER TABLE t ADD PRIMARY KEY (id)"] {
        server.psql_in(&database, statement).await?;
    }
    let values = json!({
        "host": server.host(), "port": server.port(), "username": server.user(), "password": server.password(),
        "database": database, "schema": "public", "tables": "*",
    });
    let state = tempfile::tempdir()?;
    // A small pool, so that a checkpoint is acknowledged long before the end.
    let more = format!(
        "service.state_dir: {}\nelasticsearch.bulk.queue_max_mem_size: 2\n",
        state.path().display()
    );
    let mut ready = Ready::new(&engine, "postgresql", values).await?;
    let login = engine.login(&ready.index).await?;
    let connectors = [(ready.connector.as_str(), "postgresql")];
    let setup = || Setup {
        url: engine.url(),
        login: &login,
        connectors: &connectors,
        more: &more,
    };
    ready.service.terminate().await?;
    ready.service = Service::start(setup()).await?;
    let job = engine.start_job(&ready.connector, JobType::Full).await?;
    let index = format!("{}/_count", ready.index);
    let count = || async {
        engine
            .call("GET", &index, None)
            .await
            .or_else(|_| Ok(json!({})))
    };
    until("a third of the documents", &ready.service, count, |count| {
        count["count"].as_u64() > Some(ROWS / 3)
    })
    .await?;
    let (_, code) = ready.service.terminate().await?;
    assert_eq!(code, Some(0), "{}", ready.service.log());
    let record = engine.job(&job).await?;
    assert_eq!(record["status"], "suspended", "{record}");
    ready.service = Service::start(setup()).await?;
    let record = ready.until_ended(&job).await?;
    assert_eq!(record["status"], "completed", "{record}");
    let log = ready.service.log();
    assert!(log.contains("goes on where it was interrupted"), "{log}");
    assert_eq!(counts(&record), (ROWS, 0, 0), "{record}");
    assert_eq!(record["total_document_count"], ROWS);
    let requests =
        |record: &Value| record["metadata"]["tributary"]["counters"]["requests"].as_u64();
    requests(&record).context("requests")?;
    assert_eq!(counts(&ready.sync_well().await?), (0, ROWS, 0));
    Ok(())
}
