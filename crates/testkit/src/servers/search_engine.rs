//! A real Elasticsearch or OpenSearch node, from the kits in `tests/engines`.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use bytes::Bytes;
use serde_json::{Value, json};
use tokio::sync::{Mutex, MutexGuard};

use super::folder::TestFolder;
use super::ports::free_port;
use super::process::{ServerProcess, read_log};

const USER: &str = "elastic";
const PASSWORD: &str = "changeme";
const CALL_LIMIT: Duration = Duration::from_secs(120);
const PORT_ATTEMPTS: usize = 3;

/// Which product runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SearchEngineKind {
    /// Elasticsearch of the given major version.
    Elasticsearch(ElasticsearchVersion),
    /// OpenSearch 3.
    OpenSearch,
}

/// The Elasticsearch versions that the kit knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ElasticsearchVersion {
    /// 9.4.3
    #[default]
    V9,
    /// 8.19.8
    V8,
}

impl ElasticsearchVersion {
    fn number(self) -> &'static str {
        match self {
            Self::V9 => "9.4.3",
            Self::V8 => "8.19.8",
        }
    }
}

/// How to start an Elasticsearch. The default: version 9, security on, 1 GB of heap.
#[derive(Debug, Clone)]
pub struct ElasticsearchOptions {
    /// Which version.
    pub version: ElasticsearchVersion,
    /// Security: user `elastic`, password `changeme`, API keys and roles, over plain HTTP.
    pub security: bool,
    /// Node settings (`name`, `value`).
    pub settings: Vec<(String, String)>,
    /// Heap as Java writes it, such as `512m`.
    pub heap: String,
}

impl Default for ElasticsearchOptions {
    fn default() -> Self {
        Self {
            version: ElasticsearchVersion::V9,
            security: true,
            settings: Vec::new(),
            heap: "1g".into(),
        }
    }
}

/// How to start an OpenSearch. The default: 1 GB of heap. It has no security plug-in.
#[derive(Debug, Clone)]
pub struct OpenSearchOptions {
    /// Node settings (`name`, `value`).
    pub settings: Vec<(String, String)>,
    /// Heap as Java writes it, such as `512m`.
    pub heap: String,
}

impl Default for OpenSearchOptions {
    fn default() -> Self {
        Self {
            settings: Vec::new(),
            heap: "1g".into(),
        }
    }
}

/// A running search engine, one node. Killed on drop.
#[derive(Debug)]
pub struct SearchEngine {
    // before the folder: the server must be gone when its files go
    process: Mutex<Option<ServerProcess>>,
    kind: SearchEngineKind,
    security: bool,
    settings: Vec<(String, String)>,
    heap: String,
    port: u16,
    folder: TestFolder,
    client: reqwest::Client,
    exclusive: Mutex<()>,
}

/// An answer of a search engine.
#[derive(Debug, Clone)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// The body as text.
    pub text: String,
    /// The body as JSON; null if it is none.
    pub body: Value,
}

impl SearchEngine {
    /// Starts an Elasticsearch and waits until it answers a health call (with the password, if security is on).
    ///
    /// The first start on a machine fetches the server (0.9 GB; `scripts/setup-tests` does it beforehand).
    ///
    /// # Errors
    /// It cannot be fetched or does not start: the message holds the end of its log.
    pub async fn elasticsearch(options: ElasticsearchOptions) -> Result<Self> {
        let kind = SearchEngineKind::Elasticsearch(options.version);
        Self::start(kind, options.security, options.settings, options.heap).await
    }

    /// Starts an OpenSearch and waits until it answers a health call.
    ///
    /// The first start on a machine fetches the server (0.1 GB; `scripts/setup-tests` does it beforehand).
    ///
    /// # Errors
    /// It cannot be fetched or does not start: the message holds the end of its log.
    pub async fn opensearch(options: OpenSearchOptions) -> Result<Self> {
        Self::start(
            SearchEngineKind::OpenSearch,
            false,
            options.settings,
            options.heap,
        )
        .await
    }

    async fn start(
        kind: SearchEngineKind,
        security: bool,
        settings: Vec<(String, String)>,
        heap: String,
    ) -> Result<Self> {
        let mut engine = Self {
            process: Mutex::new(None),
            kind,
            security,
            settings,
            heap,
            port: 0,
            folder: TestFolder::new("engine")?,
            client: plain_client()?,
            exclusive: Mutex::new(()),
        };
        engine.resolve().await?;
        let mut attempt = 1;
        loop {
            engine.port = free_port()?;
            match engine.start_again().await {
                Ok(()) => return Ok(engine),
                Err(error)
                    if attempt < PORT_ATTEMPTS
                        && format!("{error:#}").contains("already in use") =>
                {
                    attempt += 1;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Which product this is.
    pub fn kind(&self) -> SearchEngineKind {
        self.kind
    }

    /// `http://127.0.0.1:PORT`; it stays the same over restarts.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The port alone.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// User and password of the superuser where security is on.
    pub fn credentials(&self) -> Option<(&'static str, &'static str)> {
        self.security.then_some((USER, PASSWORD))
    }

    /// The node's folder (`path.repo` of a snapshot repository may be a folder in it).
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Calls the engine as the superuser. `path` begins with a slash.
    ///
    /// # Errors
    /// No answer came. An answer of any status is `Ok`.
    pub async fn call(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Answer> {
        let body = body.map(|body| ("application/json", Bytes::from(body.to_string())));
        self.call_raw(method, path, body).await
    }

    /// As [`SearchEngine::call`], with a content type and bytes of the caller's (`application/x-ndjson` for bulk).
    ///
    /// # Errors
    /// As [`SearchEngine::call`].
    pub async fn call_raw(
        &self,
        method: &str,
        path: &str,
        body: Option<(&str, Bytes)>,
    ) -> Result<Answer> {
        let method =
            reqwest::Method::from_bytes(method.as_bytes()).context("not an HTTP method")?;
        let mut request = self
            .client
            .request(method.clone(), format!("{}{path}", self.url()));
        if let Some((user, password)) = self.credentials() {
            request = request.basic_auth(user, Some(password));
        }
        if let Some((content_type, body)) = body {
            request = request.header("content-type", content_type).body(body);
        }
        let response = request
            .send()
            .await
            .with_context(|| format!("{method} {path}"))?;
        let status = response.status().as_u16();
        let text = response
            .text()
            .await
            .with_context(|| format!("{method} {path}: the body"))?;
        let body = serde_json::from_str(&text).unwrap_or(Value::Null);
        Ok(Answer { status, text, body })
    }

    /// As [`SearchEngine::call`], for calls that must succeed: returns the JSON body.
    ///
    /// # Errors
    /// No answer came, or its status is not 2xx (the message holds the body).
    pub async fn expect(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Value> {
        let answer = self.call(method, path, body).await?;
        if !(200..300).contains(&answer.status) {
            bail!(
                "{method} {path} was answered {}: {}",
                answer.status,
                answer.text
            );
        }
        Ok(answer.body)
    }

    /// Makes an API key with the given role descriptors and returns it as the `Authorization: ApiKey` value.
    ///
    /// # Errors
    /// Security is off, or the descriptors are refused.
    pub async fn api_key(&self, name: &str, role_descriptors: &Value) -> Result<String> {
        let request = json!({ "name": name, "role_descriptors": role_descriptors });
        let answer = self
            .expect("POST", "/_security/api_key", Some(&request))
            .await?;
        let encoded = answer["encoded"]
            .as_str()
            .ok_or_else(|| anyhow!("no \"encoded\" in {answer}"))?;
        Ok(encoded.to_owned())
    }

    /// Deletes all indices (hidden ones too, the engine's own excepted), index templates of ours are kept.
    ///
    /// # Errors
    /// The engine refuses.
    pub async fn delete_all_indices(&self) -> Result<()> {
        let listed = self
            .expect(
                "GET",
                "/_cat/indices?format=json&h=index&expand_wildcards=all",
                None,
            )
            .await?;
        for index in listed.as_array().into_iter().flatten() {
            let Some(name) = index["index"].as_str() else {
                continue;
            };
            if name.starts_with(".security")
                || name.starts_with(".tasks")
                || name.starts_with(".geoip")
            {
                continue;
            }
            let answer = self.call("DELETE", &format!("/{name}"), None).await?;
            if answer.status != 200 && answer.status != 404 {
                bail!(
                    "DELETE /{name} was answered {}: {}",
                    answer.status,
                    answer.text
                );
            }
        }
        Ok(())
    }

    /// For tests that share this engine and use the same indices: one at a time while the guard lives.
    pub async fn exclusive(&self) -> MutexGuard<'_, ()> {
        self.exclusive.lock().await
    }

    /// Stops the node cleanly.
    ///
    /// # Errors
    /// It does not end within a minute (it is killed then).
    pub async fn stop(&self) -> Result<()> {
        match self.process.lock().await.take() {
            Some(process) => process.end("TERM").await,
            None => Ok(()),
        }
    }

    /// Kills the node at once, as a crash would.
    pub async fn kill(&self) {
        if let Some(process) = self.process.lock().await.take() {
            process.kill();
        }
    }

    /// Freezes the node: its port accepts connections, nothing answers.
    ///
    /// # Errors
    /// It does not run.
    pub async fn pause(&self) -> Result<()> {
        self.signal("STOP").await
    }

    /// Ends [`SearchEngine::pause`].
    ///
    /// # Errors
    /// It does not run.
    pub async fn resume(&self) -> Result<()> {
        self.signal("CONT").await
    }

    async fn signal(&self, signal: &str) -> Result<()> {
        match self.process.lock().await.as_ref() {
            Some(process) if process.signal(signal)? => Ok(()),
            _ => bail!("{:?} does not run", self.kind),
        }
    }

    /// Starts a stopped or killed node on the same data and port, and waits until it answers a health call.
    ///
    /// # Errors
    /// It does not start: the message holds the end of its log.
    pub async fn start_again(&self) -> Result<()> {
        let mut process = self.process.lock().await;
        if process
            .as_ref()
            .is_some_and(|process| matches!(process.exited(), Ok(None)))
        {
            return Ok(());
        }
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--"]).arg(self.kit());
        self.environment(&mut command);
        command.arg(self.folder.path()).arg(self.port.to_string());
        command.args(
            self.settings
                .iter()
                .map(|(name, value)| format!("{name}={value}")),
        );
        let started = ServerProcess::start(format!("{:?}", self.kind), command, &self.console())?;
        // data nodes that are not up yet make the health "red" or the call fail
        let health = "/_cluster/health?wait_for_status=yellow&timeout=1s";
        started
            .wait_ready(&[&self.server_log()], || async {
                let answer = self.call("GET", health, None).await?;
                if answer.status == 200 {
                    return Ok(true);
                }
                bail!(
                    "GET {health} was answered {}: {}",
                    answer.status,
                    answer.text
                )
            })
            .await?;
        *process = Some(started);
        Ok(())
    }

    /// [`SearchEngine::stop`], then [`SearchEngine::start_again`].
    ///
    /// # Errors
    /// As those.
    pub async fn restart(&self) -> Result<()> {
        self.stop().await?;
        self.start_again().await
    }

    /// The id of the node's process while it runs.
    pub async fn process_id(&self) -> Option<u32> {
        self.process.lock().await.as_ref().map(ServerProcess::id)
    }

    /// Everything the node logged so far.
    pub fn log(&self) -> String {
        read_log(&self.console()) + &read_log(&self.server_log())
    }

    fn console(&self) -> PathBuf {
        self.folder.join("console.log")
    }

    fn server_log(&self) -> PathBuf {
        self.folder.join("logs/server.log")
    }

    fn kit(&self) -> PathBuf {
        let name = match self.kind {
            SearchEngineKind::Elasticsearch(_) => "elasticsearch",
            SearchEngineKind::OpenSearch => "opensearch",
        };
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../../tests/engines")
            .join(name)
            .join("start.sh")
    }

    fn environment(&self, command: &mut Command) {
        command
            .env("HEAP", &self.heap)
            .env_remove("RESOLVE_ONLY")
            .env_remove("ELASTIC_PASSWORD");
        if let SearchEngineKind::Elasticsearch(version) = self.kind {
            command.env("ELASTICSEARCH_VERSION", version.number());
            if self.security {
                command.env("ELASTIC_PASSWORD", PASSWORD);
            }
        }
    }

    /// Fetches what is missing, without the time limit of a start.
    async fn resolve(&self) -> Result<()> {
        let mut command = Command::new(self.kit());
        self.environment(&mut command);
        command.env("RESOLVE_ONLY", "1");
        let mut command = tokio::process::Command::from(command);
        command.stdin(Stdio::null()).kill_on_drop(true);
        let output = command
            .output()
            .await
            .with_context(|| format!("cannot run {}", self.kit().display()))?;
        if !output.status.success() {
            bail!(
                "cannot fetch {:?}: {}",
                self.kind,
                String::from_utf8_lossy(&output.stderr).trim()
            );
        }
        Ok(())
    }
}

/// A client for plain HTTP, which keeps no connections: those would belong to the runtime of the test that opened
/// them, and an engine can be shared by tests.
fn plain_client() -> Result<reqwest::Client> {
    let provider = std::sync::Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let no_tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    Ok(reqwest::Client::builder()
        .tls_backend_preconfigured(no_tls)
        .no_proxy()
        .pool_max_idle_per_host(0)
        .timeout(CALL_LIMIT)
        .build()?)
}
