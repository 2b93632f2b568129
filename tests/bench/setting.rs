//! The servers around a measured run.

use crate::process;
use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use std::{
    path::Path,
    process::Stdio,
    time::{Duration, Instant},
};
use tempfile::TempDir;
use tokio::process::{Child, Command};
use tributary_devstore::{Store, StoreConfig};
use tributary_testkit::{
    bulk_stub::{BulkStub, BulkStubOptions},
    servers::{Postgres, PostgresOptions},
};

/// One measured sync.
#[derive(Clone, Copy)]
pub(crate) struct Measured {
    pub(crate) documents: usize,
    pub(crate) wall: Duration,
    pub(crate) cpu: Duration,
    /// KiB.
    pub(crate) peak_rss: u64,
}

/// A store for the records and, before it, an endpoint that discards documents.
pub(crate) struct Setting {
    store: Store,
    pub(crate) stub: BulkStub,
    client: reqwest::Client,
    folder: TempDir,
}

/// A table in a PostgreSQL of its own.
pub(crate) struct Database {
    server: Postgres,
    rows: usize,
}

impl Database {
    /// How long `COPY` of the table into nothing takes.
    pub(crate) async fn copy(&self) -> Result<Duration> {
        let begin = Instant::now();
        let status = Command::new("psql")
            .arg(self.server.url("bench"))
            .args(["-q", "-c", "COPY measured TO STDOUT"])
            .stdout(Stdio::null())
            .status()
            .await?;
        if !status.success() {
            bail!("COPY failed");
        }
        Ok(begin.elapsed())
    }
}

/// A folder with so many text files of 1 KiB.
pub(crate) fn folder(files: usize) -> Result<TempDir> {
    let folder = tempfile::tempdir()?;
    for number in 0..files {
        let inner = folder.path().join(format!("{:02}", number % 50));
        std::fs::create_dir_all(&inner)?;
        let text = format!("{number} ").repeat(1024);
        std::fs::write(
            inner.join(format!("{number}.txt")),
            &text.as_bytes()[..1024],
        )?;
    }
    Ok(folder)
}

impl Setting {
    pub(crate) async fn start(latency: Duration) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let config = StoreConfig {
            folder: folder.path().join("store"),
            listen: ([127, 0, 0, 1], 0).into(),
            password: None,
        };
        let store = Store::start(config).await?;
        let upstream = Some(store.url());
        let stub = BulkStub::start(BulkStubOptions { latency, upstream }).await?;
        Ok(Self {
            store,
            stub,
            client: reqwest::Client::new(),
            folder,
        })
    }

    /// A database with a table of so many rows of about 300 bytes.
    pub(crate) async fn database(&self, rows: usize) -> Result<Database> {
        let server = Postgres::start(PostgresOptions::default()).await?;
        server.psql("CREATE DATABASE bench").await?;
        let sql = format!(
            "CREATE TABLE measured AS SELECT n::bigint AS id, 'person ' || n AS name, \
             md5(n::text) || md5((n + 1)::text) AS note, repeat('lorem ipsum ', 12) AS text, \
             (n * 7 % 100000)::int AS amount, n / 3.0::float8 AS share, n % 2 = 0 AS active, \
             timestamp '2020-01-01' + n * interval '1 second' AS changed \
             FROM generate_series(1, {rows}) AS n; \
             ALTER TABLE measured ADD PRIMARY KEY (id); VACUUM ANALYZE measured;"
        );
        for statement in sql
            .split(';')
            .filter(|statement| !statement.trim().is_empty())
        {
            server.psql_in("bench", statement).await?;
        }
        Ok(Database { server, rows })
    }

    pub(crate) async fn sync_database(&self, database: &Database) -> Result<Measured> {
        let server = &database.server;
        let values = json!({
            "host": server.host(), "port": server.port(), "username": server.user(),
            "password": server.password(), "database": "bench", "schema": "public", "tables": "measured",
        });
        self.sync("postgresql", values, database.rows).await
    }

    pub(crate) async fn sync_folder(&self, folder: &Path, files: usize) -> Result<Measured> {
        let values = json!({"directory": folder, "pattern": "**/*.txt"});
        self.sync("dir", values, files).await
    }

    /// From the start of the process until the connector was seen, and its memory (RSS and anonymous,
    /// KiB) some seconds later.
    pub(crate) async fn start_and_idle(&self) -> Result<(Duration, (u64, u64))> {
        let connector = self.connector("dir").await?;
        let begin = Instant::now();
        let mut child = self.spawn(&connector, "dir")?;
        loop {
            let record = self
                .call("GET", &format!("_connector/{connector}"), None)
                .await?;
            if record["last_seen"].is_string() {
                break;
            }
            if begin.elapsed() > Duration::from_secs(20) {
                bail!("no heartbeat after 20 seconds");
            }
        }
        let heartbeat = begin.elapsed();
        tokio::time::sleep(Duration::from_secs(5)).await;
        let id = child.id().context("the process ended")?;
        let idle = (
            process::memory(id, "VmRSS:")?,
            process::memory(id, "RssAnon:")?,
        );
        child.kill().await?;
        Ok((heartbeat, idle))
    }

    async fn sync(&self, service_type: &str, values: Value, documents: usize) -> Result<Measured> {
        let connector = self.connector(service_type).await?;
        let mut child = self.spawn(&connector, service_type)?;
        let id = child.id().context("the process ended")?;
        let path = format!("_connector/{connector}");
        self.wait(&path, |record| record["status"] == "needs_configuration")
            .await?;
        let values = json!({"values": values});
        self.call("PUT", &format!("{path}/_configuration"), Some(values))
            .await?;
        self.wait(&path, |record| record["status"] == "connected")
            .await?;
        let before = process::cpu(id)?;
        let job = json!({"id": connector, "job_type": "full"});
        let job = self.call("POST", "_connector/_sync_job", Some(job)).await?;
        let job = format!(
            "_connector/_sync_job/{}",
            job["id"].as_str().context("no job id")?
        );
        let record = self
            .wait(&job, |job| job["completed_at"].is_string())
            .await?;
        let cpu = process::cpu(id)?.saturating_sub(before);
        let peak_rss = process::memory(id, "VmHWM:")?;
        child.kill().await?;
        if record["status"] != "completed" || record["indexed_document_count"] != documents {
            bail!("the sync did not do its work: {record}");
        }
        let time = |name: &str| -> Result<chrono::DateTime<chrono::Utc>> {
            Ok(record[name]
                .as_str()
                .context("no time in the record")?
                .parse()?)
        };
        let wall = (time("completed_at")? - time("started_at")?).to_std()?;
        Ok(Measured {
            documents,
            wall,
            cpu,
            peak_rss,
        })
    }

    async fn connector(&self, service_type: &str) -> Result<String> {
        let id = format!("bench-{:x}", rand());
        let body =
            json!({"name": id, "index_name": format!("index-{id}"), "service_type": service_type});
        self.call("PUT", &format!("_connector/{id}"), Some(body))
            .await?;
        Ok(id)
    }

    fn spawn(&self, connector: &str, service_type: &str) -> Result<Child> {
        let config = self.folder.path().join(format!("{connector}.yml"));
        let text = format!(
            "elasticsearch.host: {}\nelasticsearch.username: elastic\nelasticsearch.password: none\n\
             service.idling: 1\nservice.health_address: 127.0.0.1:0\nservice.state_dir: {}\n\
             connectors:\n  - connector_id: {connector}\n    service_type: {service_type}\n",
            self.stub.url(),
            self.folder.path().join("state").display()
        );
        std::fs::write(&config, text)?;
        let log = std::fs::File::create(self.folder.path().join(format!("{connector}.log")))?;
        let child = Command::new(process::binary())
            .args(["run", "-c"])
            .arg(&config)
            .stdout(Stdio::null())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()?;
        Ok(child)
    }

    async fn wait(&self, path: &str, is_there: impl Fn(&Value) -> bool) -> Result<Value> {
        let begin = Instant::now();
        loop {
            let record = self.call("GET", path, None).await?;
            if is_there(&record) {
                return Ok(record);
            }
            if begin.elapsed() > Duration::from_secs(600) {
                bail!("waited ten minutes for {path}: {record}");
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn call(&self, method: &str, path: &str, body: Option<Value>) -> Result<Value> {
        let url = format!("{}/{path}", self.store.url());
        let mut request = self.client.request(method.parse()?, url);
        if let Some(body) = body {
            request = request
                .header("content-type", "application/json")
                .body(body.to_string());
        }
        let answer = request.send().await?;
        let status = answer.status();
        let text = answer.text().await?;
        if !status.is_success() {
            bail!("{method} {path}: {status} {text}");
        }
        Ok(serde_json::from_str(&text)?)
    }
}

fn rand() -> u128 {
    use std::hash::{BuildHasher, RandomState};
    u128::from(RandomState::new().hash_one(0))
}
