//! The binary, and what it is used with: a store, configuration files, HTTP.

use serde_json::Value;
use std::{
    fmt,
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child, ChildStdout, Command},
};
use tributary_devstore::{Store, StoreConfig};

/// How long anything may take before a test gives up. Nothing waits this long when all is well.
pub(crate) const LIMIT: Duration = Duration::from_secs(90);

pub(crate) const PASSWORD: &str = "correct-horse";

/// A call of the binary.
pub(crate) struct Program {
    command: Command,
}

impl Program {
    /// In this folder, with an environment that knows nothing of Elasticsearch.
    pub(crate) fn in_folder(folder: &Path, arguments: &str) -> Self {
        let arguments = arguments.split_whitespace();
        Self::called(Path::new(env!("CARGO_BIN_EXE_tributary")), folder).args(arguments)
    }

    /// By the path of the binary, or of a link to it.
    pub(crate) fn called(path: &Path, folder: &Path) -> Self {
        let mut command = Command::new(path);
        command
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        for (name, _) in std::env::vars_os() {
            let is_ours = name.to_string_lossy().starts_with("ELASTICSEARCH_");
            if is_ours || name == "NO_COLOR" {
                command.env_remove(name);
            }
        }
        Self { command }
    }

    pub(crate) fn args<S: AsRef<std::ffi::OsStr>>(
        mut self,
        arguments: impl IntoIterator<Item = S>,
    ) -> Self {
        self.command.args(arguments);
        self
    }

    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    /// Runs it to its end.
    pub(crate) async fn ended(mut self) -> Ended {
        let output = tokio::time::timeout(LIMIT, self.command.output()).await;
        let output = output.expect("it does not end").unwrap();
        Ended {
            code: output.status.code(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Starts it; its standard error goes into the file `log` of this folder.
    pub(crate) fn start(mut self, log: &Path) -> Running {
        let file = std::fs::File::create(log).unwrap();
        let mut child = self.command.stderr(file).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Running {
            child,
            lines,
            log: log.to_owned(),
        }
    }
}

/// What came of a call.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ended {
    #[track_caller]
    pub(crate) fn with_code(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self}");
        self
    }

    /// Standard error holds all of these.
    #[track_caller]
    pub(crate) fn complaining(self, texts: &[&str]) -> Self {
        for text in texts {
            assert!(self.err.contains(text), "{text:?} is not in\n{self}");
        }
        assert!(!self.err.contains("RUST_BACKTRACE"), "{self}");
        self
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error} in\n{self}"))
    }
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "exit code {:?}\n--- out\n{}\n--- err\n{}",
            self.code, self.out, self.err
        )
    }
}

/// A running process.
pub(crate) struct Running {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    log: PathBuf,
}

impl Running {
    /// The next line of standard output.
    pub(crate) async fn line(&mut self) -> String {
        let line = tokio::time::timeout(LIMIT, self.lines.next_line()).await;
        match line.map(Result::unwrap) {
            Ok(Some(line)) => line,
            other => panic!("no line but {other:?}:\n{}", self.log()),
        }
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    /// Sends a signal by its name: `INT`, `TERM`.
    pub(crate) async fn signal(&self, name: &str) {
        let id = self.child.id().expect("it has ended").to_string();
        let sent = Command::new("kill")
            .args(["-s", name, &id])
            .status()
            .await
            .unwrap();
        assert!(sent.success());
    }

    /// Waits for its end; the exit code, and how long it took.
    pub(crate) async fn ended(mut self) -> (Option<i32>, Duration) {
        let begun = Instant::now();
        let status = tokio::time::timeout(LIMIT, self.child.wait()).await;
        let status = status.unwrap_or_else(|_| panic!("it does not end:\n{}", self.log()));
        (status.unwrap().code(), begun.elapsed())
    }

    /// Waits until the log holds this text.
    pub(crate) async fn logged(&self, text: &str) {
        until(&format!("{text:?} in the log"), || async {
            self.log().contains(text).then_some(())
        })
        .await;
    }
}

/// Waits for something; looks often.
pub(crate) async fn until<T, F>(what: &str, mut look: impl FnMut() -> F) -> T
where
    F: Future<Output = Option<T>>,
{
    let begun = Instant::now();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(begun.elapsed() < LIMIT, "waited in vain for {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// A store, a folder for files, and calls against both.
pub(crate) struct World {
    pub(crate) store: Store,
    pub(crate) folder: TempDir,
    http: reqwest::Client,
}

impl World {
    pub(crate) async fn new() -> Self {
        provide_tls();
        let folder = tempfile::tempdir().unwrap();
        let store = Store::start(StoreConfig {
            folder: folder.path().join("store"),
            listen: ([127, 0, 0, 1], 0).into(),
            password: Some(PASSWORD.to_owned()),
        });
        Self {
            store: store.await.unwrap(),
            folder,
            http: reqwest::Client::builder().no_proxy().build().unwrap(),
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A call of the binary that finds the store by its environment.
    pub(crate) fn program(&self, arguments: &str) -> Program {
        Program::in_folder(self.folder.path(), arguments)
            .env("ELASTICSEARCH_URL", &self.store.url())
            .env("ELASTICSEARCH_PASSWORD", PASSWORD)
    }

    /// A service for these connectors of type `dir`, at this address of the store.
    pub(crate) fn service(&self, url: &str, connectors: &[&str], more: &str) -> Running {
        let mut text = format!(
            "elasticsearch:\n  host: {url}\n  username: elastic\n  password: {PASSWORD}\n  retry_interval: 1\n\
             service:\n  idling: 1\n  health_address: off\n{more}connectors:\n"
        );
        for id in connectors {
            text.push_str(&format!("  - connector_id: {id}\n    service_type: dir\n"));
        }
        std::fs::write(self.path("service.yml"), text).unwrap();
        Program::in_folder(self.folder.path(), "run -c service.yml")
            .start(&self.path("service.log"))
    }

    /// Makes a connector for a folder of files with these texts, under this id and index.
    pub(crate) async fn connector(&self, id: &str, files: &[(&str, &str)]) -> PathBuf {
        let folder = self.path(&format!("files-{id}"));
        std::fs::create_dir_all(&folder).unwrap();
        for (name, text) in files {
            std::fs::write(folder.join(name), text).unwrap();
        }
        let arguments = format!(
            "connector create --id {id} --service-type dir --index-name {id} --field directory={}",
            folder.display()
        );
        self.program(&arguments).ended().await.with_code(0);
        folder
    }

    /// A record, by its path in the API.
    pub(crate) async fn get(&self, path: &str) -> Value {
        let request = self.http.get(format!("{}{path}", self.store.url()));
        let answer = request
            .basic_auth("elastic", Some(PASSWORD))
            .send()
            .await
            .unwrap();
        serde_json::from_str(&answer.text().await.unwrap()).unwrap()
    }
}

/// A client of ours needs it before its first use.
pub(crate) fn provide_tls() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
}

/// A port that nothing listens on.
pub(crate) fn closed_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}
