//! Child processes that die with this one, and whose last words are kept.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Mutex, OnceLock, PoisonError, mpsc};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};

/// Servers on a busy machine are slow; waiting costs nothing when they are not.
pub(super) const START_LIMIT: Duration = Duration::from_secs(180);
const STOP_LIMIT: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(25);
const LOG_TAIL: u64 = 6_000;

type Spawn = (Command, mpsc::Sender<io::Result<Child>>);

/// Starts a child from one thread that lives as long as the process.
///
/// The kernel's parent-death signal is sent when the *thread* that made the child ends, and a test is a thread:
/// without this, a server shared by tests would die with the first of them.
fn spawn(command: Command) -> Result<Child> {
    static PARENT: OnceLock<Mutex<mpsc::Sender<Spawn>>> = OnceLock::new();
    let parent = PARENT.get_or_init(|| {
        let (sender, receiver) = mpsc::channel::<Spawn>();
        // where no thread can be made, the receiver is gone and the send below says so
        let _ = std::thread::Builder::new()
            .name("server-parent".into())
            .spawn(move || {
                for (mut command, answer) in receiver {
                    let _ = answer.send(command.spawn());
                }
            });
        Mutex::new(sender)
    });
    let program = command.get_program().to_owned();
    let (sender, receiver) = mpsc::channel();
    parent
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .send((command, sender))
        .map_err(|_| anyhow!("the thread that starts servers could not be started"))?;
    receiver
        .recv()
        .context("the thread that starts servers is gone")?
        .with_context(|| format!("cannot start {}", program.display()))
}

/// A running server.
#[derive(Debug)]
pub(super) struct ServerProcess {
    name: String,
    child: Mutex<Child>,
    log: PathBuf,
}

impl ServerProcess {
    /// Starts `command` with standard output and error appended to `log`.
    ///
    /// The command itself must arrange for the parent-death signal (`setpriv --pdeathsig KILL -- ...`) where it
    /// changes users on the way, since that clears it.
    pub(super) fn start(name: impl Into<String>, mut command: Command, log: &Path) -> Result<Self> {
        let name = name.into();
        let output = OpenOptions::new()
            .create(true)
            .append(true)
            .open(log)
            .with_context(|| format!("cannot write {}", log.display()))?;
        command
            .stdin(Stdio::null())
            .stderr(output.try_clone()?)
            .stdout(output);
        Ok(Self {
            name,
            child: Mutex::new(spawn(command)?),
            log: log.to_owned(),
        })
    }

    pub(super) fn id(&self) -> u32 {
        self.lock().id()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Child> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn exited(&self) -> Result<Option<ExitStatus>> {
        Ok(self.lock().try_wait()?)
    }

    /// Asks `ready` again and again until it answers true; its errors mean "not yet".
    pub(super) async fn wait_ready<F>(
        &self,
        what_else_to_show: &[&Path],
        mut ready: impl FnMut() -> F,
    ) -> Result<()>
    where
        F: Future<Output = Result<bool>>,
    {
        let started = Instant::now();
        loop {
            if let Some(status) = self.exited()? {
                bail!(
                    "{} ended while starting ({status})\n{}",
                    self.name,
                    self.story(what_else_to_show)
                );
            }
            let last = match ready().await {
                Ok(true) => return Ok(()),
                Ok(false) => "it says that it is not ready".to_owned(),
                Err(error) => format!("{error:#}"),
            };
            if started.elapsed() > START_LIMIT {
                bail!(
                    "{} was not ready after {} s: {last}\n{}",
                    self.name,
                    START_LIMIT.as_secs(),
                    self.story(what_else_to_show)
                );
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// The end of the logs, each under its name.
    fn story(&self, others: &[&Path]) -> String {
        let mut story = String::new();
        for path in std::iter::once(self.log.as_path()).chain(others.iter().copied()) {
            if let Ok(text) = tail(path)
                && !text.trim().is_empty()
            {
                story.push_str(&format!("--- end of {}\n{text}\n", path.display()));
            }
        }
        story
    }

    /// Sends a signal by name; true if the process was there to get it.
    pub(super) fn signal(&self, signal: &str) -> Result<bool> {
        let mut child = self.lock();
        if child.try_wait()?.is_some() {
            return Ok(false);
        }
        // the shell's own "kill": the standard library can only send KILL. The id cannot be another's, as the
        // child was not waited for.
        let status = Command::new("sh")
            .args([
                "-c",
                "kill -s \"$1\" \"$2\"",
                "kill",
                signal,
                &child.id().to_string(),
            ])
            .status()
            .context("cannot run sh")?;
        if !status.success() {
            bail!("cannot send {signal} to {}", self.name);
        }
        Ok(true)
    }

    /// Sends a signal and waits for the end of the process; kills it when that takes too long, and says so.
    pub(super) async fn end(&self, signal: &str) -> Result<()> {
        self.signal(signal)?;
        let started = Instant::now();
        while self.exited()?.is_none() {
            if started.elapsed() > STOP_LIMIT {
                self.kill();
                bail!(
                    "{} did not end {} s after {signal}\n{}",
                    self.name,
                    STOP_LIMIT.as_secs(),
                    self.story(&[])
                );
            }
            tokio::time::sleep(POLL).await;
        }
        Ok(())
    }

    /// Kills the process and waits for it.
    pub(super) fn kill(&self) {
        let mut child = self.lock();
        let _ = child.kill();
        let _ = child.wait();
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The last few thousand bytes of a file, from a line's beginning.
fn tail(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    let mut bytes = Vec::new();
    if length > LOG_TAIL {
        file.seek(SeekFrom::Start(length - LOG_TAIL))?;
    }
    file.read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    Ok(match text.split_once('\n') {
        Some((_, rest)) if length > LOG_TAIL => rest.to_owned(),
        _ => text.into_owned(),
    })
}

/// A whole log file; empty if there is none.
pub(super) fn read_log(path: &Path) -> String {
    fs::read(path)
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        .unwrap_or_default()
}

/// Runs a program to its end and returns its standard output.
pub(super) async fn run(command: Command, input: Option<String>) -> Result<String> {
    use tokio::io::AsyncWriteExt;

    let program = command.get_program().to_string_lossy().into_owned();
    let mut command = tokio::process::Command::from(command);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    let mut child = command
        .spawn()
        .with_context(|| format!("cannot start {program}"))?;
    let stdin = child.stdin.take();
    let feed = async move {
        if let (Some(mut stdin), Some(input)) = (stdin, input) {
            // a program that ends early does not read it all: its exit status tells the story
            let _ = stdin.write_all(input.as_bytes()).await;
            let _ = stdin.shutdown().await;
        }
    };
    let ((), output) = tokio::join!(feed, child.wait_with_output());
    let output = output?;
    if !output.status.success() {
        bail!(
            "{program} failed ({}): {}",
            output.status,
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Whether this process runs as root.
pub(super) fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
}
