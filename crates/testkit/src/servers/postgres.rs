//! A PostgreSQL server of the distribution's packages.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use tokio::sync::Mutex;

use super::folder::TestFolder;
use super::ports::free_port;
use super::process::{ServerProcess, is_root, read_log, run};

const USER: &str = "admin";
const PASSWORD: &str = "changeme";
const PORT_ATTEMPTS: usize = 5;

/// How clients over TCP prove who they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PostgresAuthentication {
    /// `scram-sha-256`.
    #[default]
    ScramSha256,
    /// `md5`.
    Md5,
    /// `password` (in clear).
    ClearText,
    /// `trust`: no password is asked for.
    Trust,
}

impl PostgresAuthentication {
    fn method(self) -> &'static str {
        match self {
            Self::ScramSha256 => "scram-sha-256",
            Self::Md5 => "md5",
            Self::ClearText => "password",
            Self::Trust => "trust",
        }
    }
}

/// TLS of the server.
#[derive(Debug, Clone)]
pub struct PostgresTls {
    /// Certificate chain in PEM.
    pub certificate_pem: String,
    /// Private key in PEM.
    pub key_pem: String,
    /// Authorities of client certificates in PEM; with it a client must show one of them (`clientcert=verify-ca`).
    pub client_authority_pem: Option<String>,
    /// Connections without TLS are refused.
    pub required: bool,
}

/// How to start a [`Postgres`]. The default: passwords by SCRAM, no TLS, `track_commit_timestamp` on.
#[derive(Debug, Clone, Default)]
pub struct PostgresOptions {
    /// How clients prove who they are.
    pub authentication: PostgresAuthentication,
    /// TLS, if any.
    pub tls: Option<PostgresTls>,
    /// Server settings (`name`, `value`), stronger than the defaults here.
    pub settings: Vec<(String, String)>,
    /// Lines of `pg_hba.conf` for TCP, instead of those that follow from the fields above.
    pub access_rules: Option<Vec<String>>,
}

/// A running PostgreSQL server. Killed on drop.
///
/// The superuser is `admin` with the password `changeme`; the database `postgres` is there.
#[derive(Debug)]
pub struct Postgres {
    // before the folder: the server must be gone when its files go
    process: Mutex<Option<ServerProcess>>,
    programs: PathBuf,
    port: u16,
    folder: TestFolder,
}

impl Postgres {
    /// Makes a new data folder, starts a server on it and waits until it answers a query.
    ///
    /// # Errors
    /// PostgreSQL is not installed, or the server does not start: the message holds the end of its log.
    pub async fn start(options: PostgresOptions) -> Result<Self> {
        let programs = programs()?;
        let folder = TestFolder::new("postgres")?;
        if is_root() {
            // the server refuses to run as root: its folder belongs to the user "postgres"
            run(
                command("chown", ["postgres:".as_ref(), folder.path().as_os_str()]),
                None,
            )
            .await
            .context("is the user \"postgres\" there? scripts/setup-tests installs the server")?;
        }
        initialise(&programs, &folder, options.authentication).await?;
        write_configuration(&folder, &options)?;

        let mut server = Self {
            process: Mutex::new(None),
            programs,
            port: 0,
            folder,
        };
        let mut attempt = 1;
        loop {
            server.port = free_port()?;
            match server.start_again().await {
                Ok(()) => return Ok(server),
                Err(error)
                    if attempt < PORT_ATTEMPTS
                        && format!("{error:#}").contains("Address already in use") =>
                {
                    attempt += 1;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// The address to connect to.
    pub fn host(&self) -> &'static str {
        "127.0.0.1"
    }

    /// The port to connect to; it stays the same over restarts.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The superuser's name.
    pub fn user(&self) -> &'static str {
        USER
    }

    /// The superuser's password.
    pub fn password(&self) -> &'static str {
        PASSWORD
    }

    /// `postgresql://admin:changeme@127.0.0.1:PORT/DATABASE`.
    pub fn url(&self, database: &str) -> String {
        format!(
            "postgresql://{USER}:{PASSWORD}@{}:{}/{database}",
            self.host(),
            self.port
        )
    }

    /// Runs SQL in the database `postgres`; see [`Postgres::psql_in`].
    ///
    /// # Errors
    /// As [`Postgres::psql_in`].
    pub async fn psql(&self, sql: &str) -> Result<String> {
        self.psql_in("postgres", sql).await
    }

    /// Runs SQL, any number of statements, as the superuser over the local socket (no password, no TLS), and
    /// returns the rows as text: one a line, columns parted by `|`. `\copy` and other commands of psql work.
    ///
    /// # Errors
    /// The first statement that fails, with the server's message.
    pub async fn psql_in(&self, database: &str, sql: &str) -> Result<String> {
        let mut psql = Command::new(self.programs.join("psql"));
        psql.env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("PGCLIENTENCODING", "UTF8")
            .args([
                "-X",
                "-q",
                "-A",
                "-t",
                "-v",
                "ON_ERROR_STOP=1",
                "-U",
                USER,
                "-d",
                database,
                "-p",
            ])
            .arg(self.port.to_string())
            .arg("-h")
            .arg(self.folder.path())
            .args(["-f", "-"]);
        let output = run(psql, Some(sql.to_owned())).await?;
        Ok(output.strip_suffix('\n').unwrap_or(&output).to_owned())
    }

    /// Ends all client connections but this call's own, as an administrator would; returns how many.
    ///
    /// # Errors
    /// The server does not answer.
    pub async fn terminate_backends(&self) -> Result<u64> {
        let count = self
            .psql(
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
                 WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'",
            )
            .await?;
        count
            .parse()
            .with_context(|| format!("psql answered \"{count}\" where a number was expected"))
    }

    /// Stops the server as on a clean shutdown: connections are ended, nothing is lost.
    ///
    /// # Errors
    /// It does not end within a minute (it is killed then).
    pub async fn stop(&self) -> Result<()> {
        match self.process.lock().await.take() {
            Some(process) => process.end("INT").await,
            None => Ok(()),
        }
    }

    /// Kills the server at once, as a crash would.
    pub async fn kill(&self) {
        if let Some(process) = self.process.lock().await.take() {
            process.kill();
        }
    }

    /// Starts a stopped or killed server on the same data and port, and waits until it answers a query.
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
        let data = self.data();
        // a killed postmaster leaves this behind; its children are gone with it
        let _ = fs::remove_file(data.join("postmaster.pid"));
        let mut server = as_server_user(&self.programs.join("postgres"), Some("KILL"));
        server
            .arg("-D")
            .arg(&data)
            .args(["-p", &self.port.to_string()]);
        server.current_dir(self.folder.path());
        let started = ServerProcess::start("PostgreSQL", server, &self.log_path())?;
        started
            .wait_ready(&[], || async { Ok(self.psql("SELECT 1").await? == "1") })
            .await?;
        *process = Some(started);
        Ok(())
    }

    /// [`Postgres::stop`], then [`Postgres::start_again`].
    ///
    /// # Errors
    /// As those.
    pub async fn restart(&self) -> Result<()> {
        self.stop().await?;
        self.start_again().await
    }

    /// The id of the server's main process while it runs.
    pub async fn process_id(&self) -> Option<u32> {
        self.process.lock().await.as_ref().map(ServerProcess::id)
    }

    /// Everything the server logged so far.
    pub fn log(&self) -> String {
        read_log(&self.log_path())
    }

    fn log_path(&self) -> PathBuf {
        self.folder.join("postgres.log")
    }

    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }
}

async fn initialise(
    programs: &Path,
    folder: &TestFolder,
    authentication: PostgresAuthentication,
) -> Result<()> {
    let password_file = folder.join("password");
    fs::write(&password_file, PASSWORD)?;
    let mut initdb = as_server_user(&programs.join("initdb"), None);
    initdb
        .arg("-D")
        .arg(folder.join("data"))
        .arg(format!("--pwfile={}", password_file.display()))
        .args([
            "-U",
            USER,
            "-E",
            "UTF8",
            "--locale=C.UTF-8",
            "--no-sync",
            "-A",
            authentication.method(),
        ])
        .current_dir(folder.path());
    run(initdb, None)
        .await
        .context("cannot make a PostgreSQL data folder")?;
    Ok(())
}

fn write_configuration(folder: &TestFolder, options: &PostgresOptions) -> Result<()> {
    let data = folder.join("data");
    let mut settings: Vec<(&str, String)> = vec![
        ("listen_addresses", "127.0.0.1".into()),
        (
            "unix_socket_directories",
            folder.path().display().to_string(),
        ),
        ("track_commit_timestamp", "on".into()),
        // tests do not pull the plug of the machine
        ("fsync", "off".into()),
        ("synchronous_commit", "off".into()),
        ("full_page_writes", "off".into()),
    ];
    if let Some(tls) = &options.tls {
        for (setting, file, text) in [
            ("ssl_cert_file", "server.pem", Some(&tls.certificate_pem)),
            ("ssl_key_file", "server.key", Some(&tls.key_pem)),
            (
                "ssl_ca_file",
                "clients.pem",
                tls.client_authority_pem.as_ref(),
            ),
        ] {
            if let Some(text) = text {
                let path = data.join(file);
                write_private(&data, &path, text)?;
                settings.push((setting, path.display().to_string()));
            }
        }
        settings.push(("ssl", "on".into()));
    }
    settings.extend(
        options
            .settings
            .iter()
            .map(|(name, value)| (name.as_str(), value.clone())),
    );

    // the last line of a name wins
    let mut lines = String::new();
    for (name, value) in settings {
        lines.push_str(&format!("{name} = '{}'\n", value.replace('\'', "''")));
    }
    let configuration = data.join("postgresql.conf");
    let original = fs::read_to_string(&configuration)?;
    fs::write(&configuration, format!("{original}\n{lines}"))?;

    let mut access = String::from("local all all trust\n");
    match &options.access_rules {
        Some(rules) => rules
            .iter()
            .for_each(|rule| access.push_str(&format!("{rule}\n"))),
        None => {
            let required = options.tls.as_ref().is_some_and(|tls| tls.required);
            let client = options
                .tls
                .as_ref()
                .is_some_and(|tls| tls.client_authority_pem.is_some());
            access.push_str(&format!(
                "{} all all 127.0.0.1/32 {}{}\n",
                if required || client {
                    "hostssl"
                } else {
                    "host"
                },
                options.authentication.method(),
                if client { " clientcert=verify-ca" } else { "" },
            ));
        }
    }
    fs::write(data.join("pg_hba.conf"), access)?;
    Ok(())
}

/// Writes a file that belongs to the owner of `sample` and that only it may read.
fn write_private(sample: &Path, path: &Path, text: &str) -> Result<()> {
    use std::os::unix::fs::MetadataExt;
    fs::write(path, text)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
    if is_root() {
        let owner = fs::metadata(sample)?;
        std::os::unix::fs::chown(path, Some(owner.uid()), Some(owner.gid()))?;
    }
    Ok(())
}

/// A command of the server's user: "postgres" when this is root, else this user.
fn as_server_user(program: &Path, death_signal: Option<&str>) -> Command {
    let mut command = Command::new("setpriv");
    if is_root() {
        command.args(["--reuid=postgres", "--regid=postgres", "--init-groups"]);
    }
    if let Some(signal) = death_signal {
        command.args(["--pdeathsig", signal]);
    }
    command.arg("--").arg(program);
    command.env("LC_ALL", "C.UTF-8").env_remove("PGDATA");
    command
}

fn command<'a>(program: &str, arguments: impl IntoIterator<Item = &'a OsStr>) -> Command {
    let mut command = Command::new(program);
    command.args(arguments);
    command
}

/// The folder of the newest installed server's programs.
fn programs() -> Result<PathBuf> {
    let mut found: Vec<(u32, PathBuf)> = Vec::new();
    for root in ["/usr/lib/postgresql", "/usr/local/pgsql"] {
        let Ok(versions) = fs::read_dir(root) else {
            continue;
        };
        for version in versions.flatten() {
            let programs = version.path().join("bin");
            if programs.join("initdb").exists() && programs.join("postgres").exists() {
                let number = version
                    .file_name()
                    .to_str()
                    .and_then(|name| name.parse().ok())
                    .unwrap_or(0);
                found.push((number, programs));
            }
        }
    }
    if let Some((_, programs)) = found.into_iter().max() {
        return Ok(programs);
    }
    for folder in std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()) {
        if folder.join("initdb").exists() && folder.join("postgres").exists() {
            return Ok(folder);
        }
    }
    bail!(
        "PostgreSQL's server programs (initdb, postgres) are not installed: run scripts/setup-tests"
    )
}
