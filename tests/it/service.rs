//! The real binary as a service.

use crate::engine::{Engine, Login};
use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};
use tempfile::TempDir;
use tokio::{
    process::{Child, Command},
    sync::OnceCell,
};

/// How long anything may take before a test gives up. Nothing waits this long when all is well.
const LIMIT: Duration = Duration::from_secs(120);

/// The binary, as `cargo test --workspace` built it beside this test; where only this test was built,
/// it is built now if it is missing. Asking cargo in every case would build all dependencies again,
/// with the features that the binary alone wants.
pub(crate) async fn binary() -> Result<&'static Path> {
    static BINARY: OnceCell<PathBuf> = OnceCell::const_new();
    let path = BINARY.get_or_try_init(|| async {
        let this = std::env::current_exe()?;
        let folder = this.ancestors().nth(2).context("a test has a folder")?;
        let path = folder.join("tributary");
        if !path.exists() {
            let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
            let status = Command::new(cargo)
                .args(["build", "-q", "-p", "tributary", "--bin", "tributary"])
                .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
                .status()
                .await?;
            if !status.success() || !path.exists() {
                bail!("the binary could not be built");
            }
        }
        Ok(path)
    });
    path.await.map(PathBuf::as_path)
}

/// A running `tributary run`; killed on drop.
pub(crate) struct Service {
    child: Child,
    folder: TempDir,
    /// The variable that its configuration takes the secret from.
    secret: Option<(&'static str, String)>,
}

/// What the configuration file of a service says.
pub(crate) struct Setup<'a> {
    pub(crate) url: &'a str,
    pub(crate) login: &'a Login,
    pub(crate) connectors: &'a [(&'a str, &'a str)],
    /// More lines of YAML.
    pub(crate) more: &'a str,
}

impl Service {
    pub(crate) async fn start(setup: Setup<'_>) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let mut text = format!("elasticsearch.host: {}\n", setup.url);
        match setup.login {
            Login::Nothing => text.push_str("elasticsearch: {username: any, password: any}\n"),
            Login::Basic(user, _) => {
                text.push_str(&format!(
                    "elasticsearch:\n  username: {user}\n  password: ${{E2E_PASSWORD}}\n"
                ));
            }
            Login::ApiKey(_) => text.push_str("elasticsearch.api_key: ${E2E_API_KEY}\n"),
        }
        text.push_str("service:\n  idling: 1\n  heartbeat: 2\nservice.health_address: 127.0.0.1:0\nservice.log_level: DEBUG\n");
        text.push_str(setup.more);
        if !setup.more.contains("service.state_dir") {
            let state = folder.path().join("state");
            text.push_str(&format!("\nservice.state_dir: {}\n", state.display()));
        }
        text.push_str("\nconnectors:\n");
        for (id, service_type) in setup.connectors {
            text.push_str(&format!(
                "  - connector_id: {id}\n    service_type: {service_type}\n"
            ));
        }
        std::fs::write(folder.path().join("config.yml"), text)?;
        let mut command = Command::new(binary().await?);
        let secret = match setup.login {
            Login::Nothing => None,
            Login::Basic(_, password) => Some(("E2E_PASSWORD", password.clone())),
            Login::ApiKey(key) => Some(("E2E_API_KEY", key.clone())),
        };
        command.envs(secret.clone());
        let log = std::fs::File::create(folder.path().join("log"))?;
        let child = command
            .args(["run", "-c"])
            .arg(folder.path().join("config.yml"))
            .stdout(log.try_clone()?)
            .stderr(log)
            .kill_on_drop(true)
            .spawn()?;
        Ok(Self {
            child,
            folder,
            secret,
        })
    }

    /// Calls the binary with the configuration of this service; its exit code, standard output and
    /// standard error.
    pub(crate) async fn command(&self, arguments: &str) -> Result<(Option<i32>, String, String)> {
        let mut command = Command::new(binary().await?);
        command
            .args(arguments.split_whitespace())
            .arg("--config")
            .arg(self.folder.path().join("config.yml"))
            .envs(self.secret.clone());
        let output = tokio::time::timeout(LIMIT, command.output()).await??;
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Ok((
            output.status.code(),
            text(output.stdout),
            text(output.stderr),
        ))
    }

    /// As [`Service::command`]; it must go well, and answer in JSON.
    pub(crate) async fn answer(&self, arguments: &str) -> Result<Value> {
        let (code, out, err) = self.command(&format!("{arguments} -o json")).await?;
        if code != Some(0) {
            bail!("`{arguments}` ended with {code:?}: {err}\n{}", self.log());
        }
        serde_json::from_str(&out).with_context(|| out)
    }

    /// All it has logged so far.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// Asks it to end, and waits; how long it took, and its exit code.
    pub(crate) async fn terminate(&mut self) -> Result<(Duration, Option<i32>)> {
        let begin = Instant::now();
        let id = self.child.id().context("it has ended already")?;
        let status = Command::new("kill").arg(id.to_string()).status().await?;
        if !status.success() {
            bail!("kill failed");
        }
        let status = tokio::time::timeout(LIMIT, self.child.wait()).await??;
        Ok((begin.elapsed(), status.code()))
    }

    /// Ends it without a word (`kill -9`).
    pub(crate) async fn kill(&mut self) -> Result<()> {
        Ok(self.child.kill().await?)
    }

    /// Sends it a signal by name: `STOP` and `CONT` make it stand still and go on.
    pub(crate) async fn signal(&self, name: &str) -> Result<()> {
        let id = self.child.id().context("it has ended already")?;
        let mut command = Command::new("kill");
        let status = command.arg(format!("-{name}")).arg(id.to_string()).status();
        if !status.await?.success() {
            bail!("kill -{name} failed");
        }
        Ok(())
    }

    /// Waits for it to end by itself.
    pub(crate) async fn ended(&mut self) -> Result<Option<i32>> {
        let status = tokio::time::timeout(LIMIT, self.child.wait()).await;
        Ok(status.with_context(|| self.log())??.code())
    }

    pub(crate) fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }
}

/// Looks at a record again and again until it is as wanted.
pub(crate) async fn until<F>(
    what: &str,
    service: &Service,
    look: impl Fn() -> F,
    is_it: impl Fn(&Value) -> bool,
) -> Result<Value>
where
    F: Future<Output = Result<Value>>,
{
    let begin = Instant::now();
    loop {
        let last = look().await;
        if let Ok(record) = &last
            && is_it(record)
        {
            return last;
        }
        if begin.elapsed() > LIMIT {
            bail!(
                "waited in vain for {what}; last {last:?}\n{}",
                service.log()
            );
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// A connector that is set up and connected, and its service.
pub(crate) struct Ready {
    pub(crate) engine: Arc<Engine>,
    pub(crate) service: Service,
    pub(crate) connector: String,
    pub(crate) index: String,
}

impl Ready {
    /// Goes the way a person goes: connector, service, configuration, `connected`.
    pub(crate) async fn new(
        engine: &Arc<Engine>,
        service_type: &str,
        values: Value,
    ) -> Result<Self> {
        let connector = name(service_type);
        let index = format!("search-{connector}");
        engine
            .create_connector(&connector, service_type, &index)
            .await?;
        let login = engine.login(&index).await?;
        let setup = Setup {
            url: engine.url(),
            login: &login,
            connectors: &[(&connector, service_type)],
            more: "",
        };
        let service = Service::start(setup).await?;
        let ready = Self {
            engine: Arc::clone(engine),
            service,
            connector,
            index,
        };
        ready.until_status("needs_configuration").await?;
        engine.configure(&ready.connector, values).await?;
        ready.until_status("connected").await?;
        Ok(ready)
    }

    pub(crate) async fn until_status(&self, status: &str) -> Result<Value> {
        let look = || self.engine.connector(&self.connector);
        until(&format!("status {status}"), &self.service, look, |record| {
            record["status"] == status
        })
        .await
    }

    /// Runs a job to its end.
    pub(crate) async fn sync(&self) -> Result<Value> {
        let job = self
            .engine
            .start_job(&self.connector, tributary_protocol::JobType::Full)
            .await?;
        self.until_ended(&job).await
    }

    /// Waits for the end of a job, in its own record and then in that of its connector.
    pub(crate) async fn until_ended(&self, job: &str) -> Result<Value> {
        let look = || self.engine.job(job);
        let is_over = |job: &Value| {
            ["completed", "error", "canceled"].contains(&job["status"].as_str().unwrap_or(""))
        };
        let ended = until("the end of the job", &self.service, look, is_over).await?;
        let look = || self.engine.connector(&self.connector);
        let is_free = |record: &Value| {
            ["last_sync_status", "last_access_control_sync_status"]
                .iter()
                .all(|name| record[*name] != "in_progress")
        };
        until("the end of the sync", &self.service, look, is_free).await?;
        Ok(ended)
    }

    /// As [`Ready::sync`], and it must be a good one.
    pub(crate) async fn sync_well(&self) -> Result<Value> {
        let job = self.sync().await?;
        if job["status"] != "completed" {
            bail!("the job did not complete: {job}\n{}", self.service.log());
        }
        Ok(job)
    }
}

/// A name nobody else uses.
pub(crate) fn name(what: &str) -> String {
    use std::hash::{BuildHasher, RandomState};
    format!("{what}-{:x}", RandomState::new().hash_one(0))
}
