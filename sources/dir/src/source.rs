//! The walk as documents, their content, and questions about single ones.

use crate::{
    api::{FileSystem, LocalFiles},
    config::Settings,
    content::{file_error, first_piece, next_piece},
    document::{Asked, Fields},
    find::Looked,
    plan::Plan,
    walk::{Event, MEMORY, Outlet, walk},
};
use serde::{Deserialize, Serialize};
use std::{
    ffi::OsStr,
    mem,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    sync::Arc,
};
use tokio::{
    sync::mpsc::{self, error::TrySendError},
    task::{JoinHandle, spawn_blocking},
};
use tributary_files::{PathKey, path_id, path_text};
use tributary_sdk::{
    Attachment, ContentSink, Cursor, DocRef, Emitter, End, Error, ErrorKind, Finding, Listing,
    Presence, Promises, Result, Run, Session, Setup, Source, StopSignal, Unit, async_trait,
};

/// Events that cross from the walking thread at once.
const BATCH: usize = 128;
/// Batches that may wait. With `BATCH` it bounds what the walk is ahead of the engine.
const BATCHES: usize = 4;
/// Files between two checkpoints.
const CHECKPOINT_EVERY: usize = 1000;

pub(crate) fn build(setup: &Setup<'_>) -> Result<Arc<dyn Source>> {
    Ok(Arc::new(Directory {
        files: Arc::new(LocalFiles),
        settings: Settings::new(setup)?,
        stop: setup.stop.clone(),
    }))
}

/// The configured source.
pub(crate) struct Directory {
    pub(crate) files: Arc<dyn FileSystem>,
    pub(crate) settings: Settings,
    pub(crate) stop: StopSignal,
}

impl Directory {
    async fn plan(&self) -> Result<Plan> {
        let files = Arc::clone(&self.files);
        let settings = self.settings.clone();
        blocking(move || Plan::new(&*files, &settings)).await
    }
}

#[async_trait]
impl Source for Directory {
    async fn ping(&self) -> Result<()> {
        self.plan().await.map(drop)
    }

    async fn validate(&self) -> Result<Vec<Finding>> {
        let mut findings = Vec::new();
        match self.plan().await {
            Ok(_) => {}
            Err(error) => match error.kind() {
                ErrorKind::NotFound | ErrorKind::Forbidden | ErrorKind::InvalidConfig => {
                    findings.push(Finding::at("directory", error.to_string()));
                }
                _ => return Err(error),
            },
        }
        let pattern = &self.settings.pattern;
        if pattern.matches_no_file() {
            let message = format!(
                "the pattern '{}' matches folders only, so no file is ever read; to read every file below, let it end with '**/*'",
                pattern.as_str()
            );
            findings.push(Finding::at("pattern", message));
        }
        Ok(findings)
    }

    async fn open(&self, _: &Run) -> Result<Box<dyn Session>> {
        Ok(Box::new(Opened {
            files: Arc::clone(&self.files),
            plan: Arc::new(self.plan().await?),
            fields: Fields::new()?,
            stop: self.stop.clone(),
        }))
    }
}

/// A run.
struct Opened {
    files: Arc<dyn FileSystem>,
    plan: Arc<Plan>,
    fields: Fields,
    stop: StopSignal,
}

/// Where a walk stopped, and what it walked: a cursor means nothing in another directory, or under
/// another pattern.
#[derive(Debug, Serialize, Deserialize)]
struct Position {
    version: u32,
    directory: PathKey,
    pattern: String,
    /// The last file, below the directory.
    after: PathKey,
}

impl Position {
    const VERSION: u32 = 1;

    fn new(plan: &Plan, file: &Path) -> Self {
        let below = file.strip_prefix(&plan.root).unwrap_or(file);
        Self {
            version: Self::VERSION,
            directory: key(&plan.root),
            pattern: plan.pattern.as_str().into(),
            after: key(below),
        }
    }

    fn read(plan: &Plan, cursor: &Cursor) -> Result<PathBuf> {
        let position: Self = cursor.read()?;
        let is_ours = position.version == Self::VERSION
            && position.directory == key(&plan.root)
            && position.pattern == plan.pattern.as_str();
        if is_ours {
            return Ok(path(position.after.as_bytes()));
        }
        let message = "the last walk was of another directory or pattern";
        Err(Error::new(ErrorKind::DeadCursor, message))
    }
}

#[async_trait]
impl Session for Opened {
    fn promises(&self) -> Promises {
        Promises {
            // By name, folder by folder, while the tree lives on.
            listing: Listing::Keyed,
            // The id is that of the path, and the scope is its folder.
            ids_stay: true,
            // One thread saturates a disk's directory cache; content is fetched beside it.
            parallel: 1,
        }
    }

    async fn walk(&self, _: &Unit, from: Option<Cursor>, out: &Emitter) -> Result<End> {
        let after = from
            .map(|cursor| Position::read(&self.plan, &cursor))
            .transpose()?;
        let (sender, batches) = mpsc::channel(BATCHES);
        let (files, plan) = (Arc::clone(&self.files), Arc::clone(&self.plan));
        let walker = spawn_blocking(move || {
            let mut outbox = Outbox {
                batch: Vec::with_capacity(BATCH),
                sender,
            };
            let walked = walk(&*files, &plan, after.as_deref(), MEMORY, &mut outbox);
            outbox.flush()?;
            walked
        });
        // The receiver goes down with a failed emission, and the thread then ends by itself.
        self.stop.race(self.emit(batches, out)).await?;
        joined(walker).await?;
        Ok(End::complete())
    }

    async fn fetch(&self, file: &Attachment, to: &mut ContentSink) -> Result<()> {
        let key: PathKey = file.key.read()?;
        let (files, plan) = (Arc::clone(&self.files), Arc::clone(&self.plan));
        // What a file grew by since it was listed comes with the next sync, which lists it as changed.
        let size = file.size.unwrap_or(u64::MAX);
        let first = blocking(move || first_piece(&*files, &plan, &path(key.as_bytes()), size));
        let mut piece = first.await?;
        loop {
            to.write(&piece.bytes)?;
            let Some(rest) = piece.rest else {
                return Ok(());
            };
            let next = blocking(move || next_piece(rest)).await;
            piece = next.map_err(|error| error.with("file", &file.name))?;
        }
    }

    async fn confirm(&self, docs: &[DocRef]) -> Result<Vec<Presence>> {
        let asked: Vec<Option<Asked>> =
            docs.iter().map(|doc| Asked::new(&self.plan, doc)).collect();
        let (files, plan) = (Arc::clone(&self.files), Arc::clone(&self.plan));
        blocking(move || {
            plan.check_root(&*files)?;
            let answers = asked.into_iter().map(|asked| match asked {
                Some(asked) => asked.presence(&*files, &plan),
                None => Presence::Unknown,
            });
            let answers = answers.collect();
            // Not before the root was there both before and after is "not there" an answer.
            plan.check_root(&*files)?;
            Ok(answers)
        })
        .await
    }

    async fn reread(&self, docs: &[DocRef], out: &Emitter) -> Result<()> {
        for doc in docs {
            let Some(asked) = Asked::new(&self.plan, doc) else {
                continue;
            };
            let (files, plan) = (Arc::clone(&self.files), Arc::clone(&self.plan));
            let looked = blocking(move || {
                let looked = asked.find(&*files, &plan);
                looked.map_err(|error| file_error(&asked.path, error))
            });
            if let Looked::Listed(found) = looked.await? {
                out.upsert(self.fields.document(found)?).await?;
            }
        }
        Ok(())
    }
}

impl Opened {
    async fn emit(&self, mut batches: mpsc::Receiver<Vec<Event>>, out: &Emitter) -> Result<()> {
        let mut since_checkpoint = 0;
        while let Some(batch) = batches.recv().await {
            if out.is_stopped() {
                return Err(Error::stopped());
            }
            for event in batch {
                match event {
                    Event::File(found) => {
                        since_checkpoint += 1;
                        let is_due = since_checkpoint >= CHECKPOINT_EVERY;
                        let position = is_due.then(|| Position::new(&self.plan, &found.path));
                        out.upsert(self.fields.document(found)?).await?;
                        if let Some(position) = position {
                            out.checkpoint(&position).await?;
                            since_checkpoint = 0;
                        }
                    }
                    Event::Skip { path, why } => {
                        let path = path.as_os_str().as_bytes();
                        let why = format!("{why} (file: {})", path_text(path));
                        out.skip(path_id(path), why).await?;
                    }
                    Event::Gap(scope, why) => out.gap(scope, why).await?,
                }
            }
        }
        Ok(())
    }
}

/// Carries events from the walking thread to the runtime.
struct Outbox {
    batch: Vec<Event>,
    sender: mpsc::Sender<Vec<Event>>,
}

impl Outbox {
    fn flush(&mut self) -> Result<()> {
        let batch = mem::replace(&mut self.batch, Vec::with_capacity(BATCH));
        let sent = self.sender.blocking_send(batch);
        sent.map_err(|_| Error::stopped())
    }
}

impl Outlet for Outbox {
    fn event(&mut self, event: Event) -> Result<()> {
        self.batch.push(event);
        if self.batch.len() < BATCH {
            return Ok(());
        }
        self.flush()
    }

    /// Also an empty batch is sent: it lets the other side see whether the job is ending.
    fn listening(&mut self) -> Result<()> {
        match self.sender.try_send(mem::take(&mut self.batch)) {
            Ok(()) => Ok(()),
            Err(TrySendError::Full(batch)) => {
                self.batch = batch;
                Ok(())
            }
            Err(TrySendError::Closed(_)) => Err(Error::stopped()),
        }
    }
}

/// Runs what blocks on a thread for it. Dropped, it does not wait for the thread.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    joined(spawn_blocking(work)).await
}

async fn joined<T>(thread: JoinHandle<Result<T>>) -> Result<T> {
    match thread.await {
        Ok(outcome) => outcome,
        Err(error) if error.is_cancelled() => Err(Error::stopped()),
        Err(error) => Err(Error::internal("a thread of this source failed").caused_by(error)),
    }
}

fn key(path: &Path) -> PathKey {
    PathKey::new(path.as_os_str().as_bytes())
}

fn path(bytes: &[u8]) -> PathBuf {
    PathBuf::from(OsStr::from_bytes(bytes))
}
