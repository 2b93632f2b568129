//! What became of single documents: listed, replayed, rehearsed.

use crate::{
    engine::Engine,
    scenarios,
    service::{Ready, Service, Setup, name},
};
use anyhow::Result;
use serde_json::{Value, json};
use std::{path::Path, sync::Arc};
use tributary_protocol::{JobType, indices::LEDGER_INDEX};
use tributary_testkit::servers::shared;

scenarios!(
    failures_are_listed_and_replayed_and_deletions_rehearsed_and_listed,
    a_mass_deletion_is_allowed_by_hand,
);

async fn restart(ready: &mut Ready, service_type: &str, state: &Path, more: &str) -> Result<()> {
    let login = ready.engine.login(&ready.index).await?;
    ready.service.kill().await?;
    ready.service = Service::start(Setup {
        url: ready.engine.url(),
        login: &login,
        connectors: &[(&ready.connector, service_type)],
        more: &format!("service.state_dir: {}\n{more}", state.display()),
    })
    .await?;
    Ok(())
}

async fn failures_are_listed_and_replayed_and_deletions_rehearsed_and_listed(
    engine: Arc<Engine>,
) -> Result<()> {
    let (folder, state) = (tempfile::tempdir()?, tempfile::tempdir()?);
    for number in 0..5 {
        let path = folder.path().join(format!("{number}.txt"));
        std::fs::write(path, format!("text {number}"))?;
    }
    let large = format!("a walrus {}", "and more ".repeat(300));
    std::fs::write(folder.path().join("large.txt"), large)?;
    let values = json!({"directory": folder.path(), "pattern": "*.txt"});
    let mut ready = Ready::new(&engine, "dir", values).await?;
    let small = "service.max_file_download_size: 1000\n";
    restart(&mut ready, "dir", state.path(), small).await?;
    let job = engine.start_job(&ready.connector, JobType::Full).await?;
    let first = ready.until_ended(&job).await?;
    assert_eq!(first["indexed_document_count"], 6, "{first}");
    let failures = ready.service.answer(&format!("job failures {job}")).await?;
    let [failure] = failures.as_array().unwrap().as_slice() else {
        panic!("{failures}");
    };
    for (key, value) in [
        ("outcome", "truncated"),
        ("stage", "content"),
        ("job_id", &job),
        ("connector_id", &ready.connector),
        ("index_name", &ready.index),
    ] {
        assert_eq!(failure[key], value, "{failure}");
    }
    assert!(
        failure["reason"].as_str().unwrap().contains("1000"),
        "{failure}"
    );
    // Its cause is removed.
    restart(&mut ready, "dir", state.path(), "").await?;
    let replayed = ready
        .service
        .answer(&format!("job replay {job} --wait"))
        .await?;
    assert_eq!(
        (&replayed["status"], &replayed["indexed_document_count"]),
        (&json!("completed"), &json!(1)),
        "{replayed}"
    );
    if engine.has_extraction() {
        assert_eq!(engine.search(&ready.index, "walrus").await?.len(), 1);
    }
    // A look at what would come changes nothing.
    std::fs::remove_file(folder.path().join("3.txt"))?;
    std::fs::write(folder.path().join("new.txt"), "new")?;
    let jobs = engine.jobs(&ready.connector).await?.len();
    let look = format!("job start --connector {} --dry-run", ready.connector);
    let rehearsed = ready.service.answer(&look).await?;
    let changes = &rehearsed["changes"];
    assert_eq!(changes["delete"]["count"], 1, "{rehearsed}");
    assert_eq!(changes["create"]["count"], 1, "{rehearsed}");
    assert_eq!(engine.documents(&ready.index).await?.len(), 6);
    assert_eq!(engine.jobs(&ready.connector).await?.len(), jobs);
    let gone = changes["delete"]["first"][0]["id"].clone();
    ready.sync_well().await?;
    let list = format!("job deletions --connector {}", ready.connector);
    let deleted = ready.service.answer(&list).await?;
    assert_eq!(deleted[0]["document_id"], gone, "{deleted}");
    assert_eq!(deleted[0]["outcome"], "deleted");
    assert!(deleted[0]["reason"].as_str().unwrap().contains("gone"));
    assert!(!deleted[0]["worker_hostname"].as_str().unwrap().is_empty());
    assert_eq!(deleted.as_array().unwrap().len(), 1);
    let count = format!("{LEDGER_INDEX}/_count");
    let count = engine.call("GET", &count, None).await?;
    assert!(count["count"].as_u64() >= Some(2), "{count}");
    // A slip of the pen is told from a job without failures.
    let (code, _, err) = ready.service.command("job failures nope").await?;
    assert!(code == Some(1) && err.contains("'nope'"), "{code:?} {err}");
    let (code, _, err) = ready.service.command("job replay nope").await?;
    assert!(code == Some(1) && err.contains("'nope'"), "{code:?} {err}");
    Ok(())
}

async fn a_mass_deletion_is_allowed_by_hand(engine: Arc<Engine>) -> Result<()> {
    let server = shared::postgres().await?;
    let database = name("brake").replace('-', "_");
    server.psql(&format!("CREATE DATABASE {database}")).await?;
    for statement in [
        "CREATE TABLE t AS SELECT n AS id, 'x' AS v FROM generate_series(1, 3000) n",
        "ALTER TABLE t ADD PRIMARY KEY (id)",
    ] {
        server.psql_in(&database, statement).await?;
    }
    let values = json!({
        "host": server.host(), "port": server.port(), "username": server.user(), "password": server.password(),
        "database": database, "schema": "public", "tables": "*",
    });
    let ready = Ready::new(&engine, "postgresql", values).await?;
    ready.sync_well().await?;
    server
        .psql_in(&database, "DELETE FROM t WHERE id > 500")
        .await?;
    let stopped = ready.sync().await?;
    assert_eq!(stopped["status"], "error", "{stopped}");
    let error = stopped["error"].as_str().unwrap_or_default();
    assert!(error.contains("--allow-deletes"), "{error}");
    let start = |more: &str| format!("job start --connector {} --wait {more}", ready.connector);
    let allowed = ready.service.answer(&start("--allow-deletes")).await?;
    let counts = |job: &Value| {
        let number = |key: &str| job[key].as_u64();
        (
            number("indexed_document_count"),
            number("deleted_document_count"),
        )
    };
    assert_eq!(counts(&allowed), (Some(0), Some(2500)), "{allowed}");
    let forced = ready.service.answer(&start("--force")).await?;
    assert_eq!(counts(&forced), (Some(500), Some(0)), "{forced}");
    Ok(())
}
