//! The life of the service and of jobs: cancel, stop, outages, schedules, rights.

use crate::{
    engine::{Engine, Login},
    scenarios,
    service::{Ready, Service, Setup, name, until},
};
use anyhow::Result;
use serde_json::{Value, json};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tributary_protocol::JobType;
use tributary_testkit::{
    faults::{CannedAnswer, Fault, FaultProxy, Rule},
    servers::shared,
};

scenarios!(
    a_running_job_is_canceled_within_ten_seconds,
    a_stopped_service_suspends_its_job_and_the_next_one_takes_it,
    schedules_start_jobs,
    an_index_that_is_away_for_a_while_fails_nothing,
    trouble_on_the_way_loses_nothing,
    a_missing_privilege_is_named,
    wrong_credentials_are_named,
    job_types_without_a_feature_end_with_a_clear_error,
);

/// A table whose reading takes a second for five rows.
pub(crate) async fn slow_source(engine: &Arc<Engine>, rows: usize) -> Result<Ready> {
    let server = shared::postgres().await?;
    let database = name("slow").replace('-', "_");
    server.psql(&format!("CREATE DATABASE {database}")).await?;
    for statement in [
        "CREATE TABLE t (id int PRIMARY KEY, v text)",
        &format!("INSERT INTO t SELECT n, 'v' FROM generate_series(1, {rows}) n"),
    ] {
        server.psql_in(&database, statement).await?;
    }
    let values = json!({
        "host": server.host(), "port": server.port(), "username": server.user(), "password": server.password(),
        "database": database, "schema": "public", "tables": "*", "fetch_size": 5,
    });
    let ready = Ready::new(engine, "postgresql", values).await?;
    let now = chrono::Utc::now().to_rfc3339();
    let rules =
        json!([{"tables": ["t"], "query": "SELECT id, v, pg_sleep(0.2)::text AS s FROM t"}]);
    let part = json!({
        "advanced_snippet": {"created_at": now, "updated_at": now, "value": rules},
        "rules": [{"id": "DEFAULT", "policy": "include", "field": "_", "rule": "regex", "value": ".*", "order": 0,
            "created_at": now, "updated_at": now}],
        "validation": {"state": "valid", "errors": []},
    });
    let filtering = json!([{"domain": "DEFAULT", "active": part, "draft": part}]);
    engine
        .change_connector(&ready.connector, json!({"filtering": filtering}))
        .await?;
    Ok(ready)
}

pub(crate) async fn begun(ready: &Ready) -> Result<String> {
    let job = ready
        .engine
        .start_job(&ready.connector, JobType::Full)
        .await?;
    let look = || ready.engine.job(&job);
    until("the job to run", &ready.service, look, |job| {
        job["status"] == "in_progress"
    })
    .await?;
    Ok(job)
}

async fn a_running_job_is_canceled_within_ten_seconds(engine: Arc<Engine>) -> Result<()> {
    let ready = slow_source(&engine, 300).await?;
    let job = begun(&ready).await?;
    let begin = Instant::now();
    engine.cancel_job(&job).await?;
    let record = ready.until_ended(&job).await?;
    let took = begin.elapsed();
    assert_eq!(record["status"], "canceled", "{record}");
    assert!(took < Duration::from_secs(10), "{took:?}");
    assert!(
        record["canceled_at"].is_string() && record["completed_at"].is_string(),
        "{record}"
    );
    Ok(())
}

async fn a_stopped_service_suspends_its_job_and_the_next_one_takes_it(
    engine: Arc<Engine>,
) -> Result<()> {
    let mut ready = slow_source(&engine, 300).await?;
    let job = begun(&ready).await?;
    let (took, code) = ready.service.terminate().await?;
    assert_eq!(code, Some(0), "{}", ready.service.log());
    assert!(took < Duration::from_secs(15), "{took:?}");
    let record = engine.job(&job).await?;
    assert_eq!(
        (&record["status"], &record["completed_at"]),
        (&json!("suspended"), &Value::Null)
    );
    // Quick now: the rules are gone. But the job keeps its own copy of them.
    let login = engine.login(&ready.index).await?;
    let connectors = [(ready.connector.as_str(), "postgresql")];
    let setup = Setup {
        url: engine.url(),
        login: &login,
        connectors: &connectors,
        more: "",
    };
    ready.service = Service::start(setup).await?;
    let look = || engine.job(&job);
    until("the job to run again", &ready.service, look, |job| {
        job["status"] == "in_progress"
    })
    .await?;
    engine.cancel_job(&job).await?;
    assert_eq!(ready.until_ended(&job).await?["status"], "canceled");
    Ok(())
}

fn small_folder() -> Result<tempfile::TempDir> {
    let folder = tempfile::tempdir()?;
    for number in 0..20 {
        std::fs::write(
            folder.path().join(format!("{number}.txt")),
            format!("file {number}"),
        )?;
    }
    Ok(folder)
}

async fn schedules_start_jobs(engine: Arc<Engine>) -> Result<()> {
    let folder = small_folder()?;
    let ready = Ready::new(
        &engine,
        "dir",
        json!({"directory": folder.path(), "pattern": "*"}),
    )
    .await?;
    let off = json!({"enabled": false, "interval": "0 0 0 * * ?"});
    let scheduling = json!({"full": {"enabled": true, "interval": "0/2 * * * * ?"}, "incremental": off, "access_control": off});
    engine
        .change_connector(&ready.connector, json!({"scheduling": scheduling}))
        .await?;
    let look = || async { Ok(Value::from(engine.jobs(&ready.connector).await?)) };
    let done = |jobs: &Value| {
        let jobs = jobs.as_array().map_or(&[][..], Vec::as_slice);
        jobs.iter()
            .filter(|job| job["trigger_method"] == "scheduled" && job["status"] == "completed")
            .count()
            >= 2
    };
    until("two scheduled jobs", &ready.service, look, done).await?;
    let record = engine.connector(&ready.connector).await?;
    assert!(record["last_sync_scheduled_at"].is_string());
    Ok(())
}

/// A connector whose service speaks to the engine through a proxy.
async fn behind_proxy(
    engine: &Arc<Engine>,
    folder: &tempfile::TempDir,
) -> Result<(FaultProxy, Ready)> {
    let proxy = FaultProxy::start(engine.url()).await?;
    let connector = name("proxied");
    let index = format!("search-{connector}");
    engine.create_connector(&connector, "dir", &index).await?;
    let login = engine.login(&index).await?;
    let url = proxy.url();
    let setup = Setup {
        url: &url,
        login: &login,
        connectors: &[(&connector, "dir")],
        more: "elasticsearch.retry_interval: 1\nelasticsearch.request_timeout: 5\n",
    };
    let service = Service::start(setup).await?;
    let ready = Ready {
        engine: Arc::clone(engine),
        service,
        connector,
        index,
    };
    ready.until_status("needs_configuration").await?;
    engine
        .configure(
            &ready.connector,
            json!({"directory": folder.path(), "pattern": "*"}),
        )
        .await?;
    ready.until_status("connected").await?;
    Ok((proxy, ready))
}

async fn an_index_that_is_away_for_a_while_fails_nothing(engine: Arc<Engine>) -> Result<()> {
    let folder = small_folder()?;
    let (proxy, mut ready) = behind_proxy(&engine, &folder).await?;
    let slow = Rule::new("slow", Fault::Forward)
        .path_contains("/_bulk")
        .delay(Duration::from_secs(2));
    proxy.set_rules([slow]);
    let job = begun(&ready).await?;
    proxy.refuse().await?;
    tokio::time::sleep(Duration::from_secs(15)).await; // the outage itself
    assert!(ready.service.is_running(), "{}", ready.service.log());
    proxy.set_rules([]);
    proxy.listen().await?;
    let record = ready.until_ended(&job).await?;
    assert_eq!(
        record["status"],
        "completed",
        "{record}\n{}",
        ready.service.log()
    );
    assert_eq!(engine.documents(&ready.index).await?.len(), 20);
    Ok(())
}

async fn trouble_on_the_way_loses_nothing(engine: Arc<Engine>) -> Result<()> {
    let folder = small_folder()?;
    let (proxy, ready) = behind_proxy(&engine, &folder).await?;
    let busy = CannedAnswer::status(429).header("retry-after", "1");
    proxy.set_rules([
        Rule::new("busy", Fault::Answer(busy))
            .path_contains("/_bulk")
            .nth(1),
        Rule::new("ill", Fault::Answer(CannedAnswer::status(503)))
            .path_contains("/_bulk")
            .nth(2),
        Rule::new("lost", Fault::LoseAnswer)
            .path_contains("/_bulk")
            .nth(3),
    ]);
    let job = ready.sync_well().await?;
    assert_eq!(job["indexed_document_count"], 20, "{job}");
    assert_eq!(engine.documents(&ready.index).await?.len(), 20);
    let rules: Vec<_> = proxy
        .exchanges()
        .into_iter()
        .filter_map(|exchange| exchange.rule)
        .collect();
    assert!(
        ["busy", "ill", "lost"]
            .iter()
            .all(|rule| rules.iter().any(|hit| hit == rule)),
        "{rules:?}"
    );
    Ok(())
}

async fn a_missing_privilege_is_named(engine: Arc<Engine>) -> Result<()> {
    if !engine.has_roles() {
        return Ok(()); // keys have no roles here
    }
    let folder = small_folder()?;
    let ready = Ready::new(
        &engine,
        "dir",
        json!({"directory": folder.path(), "pattern": "*"}),
    )
    .await?;
    drop(ready.service);
    let names = json!([{"names": [".elastic-connectors*"], "privileges": ["all"]}]);
    let login = engine.api_key(&ready.index, names).await?;
    let connectors = [(ready.connector.as_str(), "dir")];
    let setup = Setup {
        url: engine.url(),
        login: &login,
        connectors: &connectors,
        more: "",
    };
    let ready = Ready {
        service: Service::start(setup).await?,
        engine: Arc::clone(&engine),
        connector: ready.connector.clone(),
        index: ready.index.clone(),
    };
    let job = ready.sync().await?;
    assert_eq!(job["status"], "error");
    let error = job["error"].as_str().unwrap_or_default();
    assert!(
        error.contains(&ready.index) && error.contains("API key"),
        "{error}"
    );
    Ok(())
}

async fn wrong_credentials_are_named(engine: Arc<Engine>) -> Result<()> {
    if !engine.has_security() {
        return Ok(()); // everybody may do everything here
    }
    let login = Login::Basic("elastic".into(), "wrong-hunter2".into());
    let setup = Setup {
        url: engine.url(),
        login: &login,
        connectors: &[("x", "dir")],
        more: "service.preflight_max_attempts: 1\n",
    };
    let mut service = Service::start(setup).await?;
    let code = service.ended().await?;
    assert_eq!(code, Some(4), "{}", service.log());
    let log = service.log();
    assert!(
        log.contains("password") && log.contains(engine.url()) && !log.contains("hunter2"),
        "{log}"
    );
    Ok(())
}

async fn job_types_without_a_feature_end_with_a_clear_error(engine: Arc<Engine>) -> Result<()> {
    let folder = small_folder()?;
    let ready = Ready::new(
        &engine,
        "dir",
        json!({"directory": folder.path(), "pattern": "*"}),
    )
    .await?;
    for job_type in [JobType::AccessControl, JobType::Incremental] {
        let job = engine.start_job(&ready.connector, job_type).await?;
        let record = ready.until_ended(&job).await?;
        assert_eq!(record["status"], "error", "{record}");
        assert!(
            record["error"]
                .as_str()
                .is_some_and(|error| error.contains("dir")),
            "{record}"
        );
    }
    ready.sync_well().await?;
    Ok(())
}
