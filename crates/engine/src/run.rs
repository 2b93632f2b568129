//! One job: walks, what they emit, requests, and at last what is gone.

use crate::{
    assemble::Assembler,
    books::{Books, Halt},
    claims::Claims,
    content::Fetched,
    desk::Desk,
    entry::Entry,
    fingerprint::Fingerprints,
    intake::{Errand, fetch_errand},
    job::{Job, LedgerEntry, Outcome, Reporter, Verdict},
    manifests::Manifests,
    missing::Kept,
    notes::{JOURNAL, Notes},
    patience::patiently,
    policy,
    recall::{Recalled, random, recall},
    replay,
    roll::{IdHasher, Roll},
    sender::{Pending, Sender},
    walks::Progress,
};
use std::{
    collections::{HashMap, VecDeque},
    pin::Pin,
    sync::Arc,
    time::Duration,
};
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
};
use tributary_sdk::{
    Error, JobKind, Promises, Scope, Session, StopSignal, Unit, UnitKey, UnitSink,
    emitter::{Budget, Emitter, Item, Origin},
};
use tributary_state::StateError;

/// Items taken from the walks in one go.
const ITEMS_AT_ONCE: usize = 1024;
/// Between two looks at a walk that is not far ahead, so that a fast one wakes the run once for many
/// documents and not for each.
const LINGER: Duration = Duration::from_millis(1);
/// How often the run looks at what is due. Everything that waits, waits in multiples of this.
const TICK: Duration = Duration::from_millis(100);
/// How often the progress is told (service sheet §4).
const REPORT_EVERY: Duration = Duration::from_secs(10);
/// How long, at the end, is waited for what became of single documents to be on record.
const FAREWELL: Duration = Duration::from_secs(3);
/// Walks at once, whatever a source promises.
const MOST_WALKS: usize = 32;

/// Does one job. Always comes back with what was done, however it ended.
pub async fn run(job: Job) -> Outcome {
    let stop = job.stop.clone();
    let mut books = empty_books(&job);
    let (progress, listener) = watch::channel(books.counters.clone());
    let mut reporting = JoinSet::new(); // aborted when this function returns
    reporting.spawn(report(
        Arc::clone(&job.reporter),
        Arc::clone(&job.clock),
        listener,
    ));
    let work = async {
        let mut opened = Run::open(&job, &mut books).await;
        if let Err(Halt::Lost(why)) = opened {
            tracing::warn!("the job begins anew: {why}");
            opened = begin_anew(&job, &mut books).await;
        }
        let run = match opened {
            Ok(run) => run,
            Err(halt) => return (Err(halt), None),
        };
        run.finish(&job, &mut books, &progress).await
    };
    let (end, total_documents) = tokio::select! {
        biased;
        () = stop.stopped() => (Err(Halt::Stopped), None),
        end = work => end,
    };
    let has_time = !matches!(end, Err(Halt::Stopped));
    books.count_what_there_is(has_time).await;
    tokio::select! {
        biased;
        () = books.desk.flush() => {}
        () = job.clock.sleep(FAREWELL) => {}
    }
    let verdict = match end {
        Ok(verdict) => verdict,
        Err(Halt::Stopped) => Verdict::Stopped,
        Err(Halt::Failed(text) | Halt::Lost(text)) => Verdict::Failed(text),
    };
    Outcome {
        verdict,
        counters: books.counters,
        gaps: books.gaps,
        gap_count: books.gap_count,
        oddities: books.oddities,
        total_documents,
    }
}

fn empty_books(job: &Job) -> Books {
    let roll = Roll::new(Arc::clone(&job.files), job.settings.ids_in_memory);
    // Those of the run take their place when it is opened.
    let manifests = Manifests::new(Arc::clone(&job.folder), 0, 1);
    let desk = Desk::new(Arc::clone(&job.recorder));
    let clock = Arc::clone(&job.clock);
    Books::new(&job.settings, roll, manifests, desk, clock)
}

/// Opens a run without what an interrupted one has noted.
async fn begin_anew(job: &Job, books: &mut Books) -> Result<Run, Halt> {
    let removed = job.folder.remove(JOURNAL).await;
    removed.map_err(|source| StateError::Io {
        name: JOURNAL.into(),
        source,
    })?;
    books.roll.discard().await?;
    *books = empty_books(job);
    Run::open(job, books).await
}

async fn report(
    reporter: Arc<dyn Reporter>,
    clock: Arc<dyn crate::clock::Clock>,
    progress: watch::Receiver<crate::job::Counters>,
) {
    loop {
        clock.sleep(REPORT_EVERY).await;
        let counters = progress.borrow().clone();
        reporter.report(&counters).await;
    }
}

pub(crate) struct Run {
    pub(crate) session: Arc<dyn Session>,
    pub(crate) promises: Promises,
    pub(crate) kind: JobKind,
    pub(crate) budget: Arc<Budget>,
    pub(crate) assembler: Assembler,
    pub(crate) hasher: IdHasher,
    pub(crate) sender: Sender<Errand>,
    pub(crate) fingerprints: Fingerprints,
    pub(crate) recalled: Recalled,
    pub(crate) kept: Kept,
    /// Deletions that are not on record yet.
    pub(crate) condemned: Vec<(Entry, LedgerEntry)>,
    pub(crate) units: HashMap<UnitKey, Progress>,
    /// The unit of the last item, and its number.
    pub(crate) last_key: Arc<UnitKey>,
    pub(crate) last_number: Option<usize>,
    pub(crate) queue: VecDeque<UnitKey>,
    pub(crate) announcing: bool,
    pub(crate) walking: usize,
    pub(crate) tasks: JoinSet<()>,
    /// Files waiting to be read, and files being read.
    pub(crate) errands: VecDeque<Errand>,
    pub(crate) fetching: JoinSet<(Errand, Fetched)>,
    pub(crate) claims: Claims,
    pub(crate) stop: StopSignal,
    /// The journal of this run.
    pub(crate) notes: Option<Notes>,
}

impl Run {
    /// Prepares the index and opens the session.
    async fn open(job: &Job, books: &mut Books) -> Result<Self, Halt> {
        patiently(job, || job.target.prepare(job.run.access)).await?;
        let hasher = IdHasher::new(job.settings.key.unwrap_or_else(random));
        let (recalled, resumed) = recall(job, hasher).await?;
        let session: Arc<dyn Session> = job.source.open(&job.run).await?.into();
        let promises = session.promises();
        let settings = &job.settings;
        let now = job.clock.utc();
        let stamp = now.format("%Y-%m-%dT%H:%M:%S%.6f+00:00").to_string();
        let folder = Arc::clone(&job.folder);
        let parallel = promises.parallel.clamp(1, MOST_WALKS);
        books.manifests = Manifests::new(folder, recalled.generation(), parallel);
        let is_replay = replay::is_wanted(job);
        let begin = recalled.begin(job).filter(|_| !is_replay);
        let mut run = Self {
            promises,
            session,
            kind: match is_replay {
                true => JobKind::Incremental,
                false => job.run.kind,
            },
            budget: Arc::new(Budget::new(settings.document_pool, settings.content_pool)),
            assembler: Assembler::new(settings, stamp),
            hasher,
            fingerprints: Fingerprints::new(recalled.key),
            recalled,
            kept: Kept::default(),
            condemned: Vec::new(),
            sender: Sender::new(Arc::clone(&job.target), Arc::clone(&job.clock), settings),
            units: HashMap::new(),
            last_key: Arc::new(Unit::new(Scope::root()).key()),
            last_number: None,
            queue: VecDeque::new(),
            announcing: true,
            walking: 0,
            tasks: JoinSet::new(),
            errands: VecDeque::new(),
            fetching: JoinSet::new(),
            claims: Claims::new(promises.ids_stay, settings.ids_in_memory),
            stop: job.stop.clone(),
            notes: None,
        };
        match (resumed, begin) {
            (Some((notes, noted)), _) => run.go_on(job, books, notes, noted).await?,
            (None, Some(begin)) => run.notes = Some(Notes::begin(job, begin).await?),
            // Where an index cannot be recognised, nothing noted about it could be used.
            (None, None) => {}
        }
        Ok(run)
    }

    async fn finish(
        mut self,
        job: &Job,
        books: &mut Books,
        progress: &watch::Sender<crate::job::Counters>,
    ) -> (Result<Verdict, Halt>, Option<u64>) {
        let walked = self.walk_all(job, books, progress).await;
        let settled = match walked {
            Ok(()) => self.settle(job, books, progress).await,
            Err(halt) => Err(halt),
        };
        let settled = match settled {
            Ok(carried) => self.recalled.remember(job, books, carried).await,
            Err(halt) => Err(halt),
        };
        let total = match &settled {
            Err(Halt::Stopped) => None,
            _ => job.target.count().await.ok(),
        };
        let verdict = settled.map(|()| match books.failure.take() {
            Some(why) => Verdict::Failed(why),
            None => policy::verdict(&books.gaps, books.gap_count, books.all_denied),
        });
        (verdict, total)
    }

    /// Walks all units and writes what they emit; ends when everything was acknowledged.
    async fn walk_all(
        &mut self,
        job: &Job,
        books: &mut Books,
        progress: &watch::Sender<crate::job::Counters>,
    ) -> Result<(), Halt> {
        let parallel = self.promises.parallel.clamp(1, MOST_WALKS);
        let (out, mut items) = mpsc::channel(ITEMS_AT_ONCE);
        if replay::is_wanted(job) {
            self.announcing = false;
            self.add_unit(replay::unit(), books)?;
        } else {
            self.announce(&out);
        }
        let mut tick = Tick::new(job);
        let mut taken = Vec::with_capacity(ITEMS_AT_ONCE);
        let mut lingering = None;
        loop {
            while self.walking < parallel
                && let Some(key) = self.queue.pop_front()
            {
                self.start_walk(&key, &out, job, books).await?;
            }
            self.start_fetches(job);
            self.admit_released(job, books);
            if books.manifests.is_full() {
                self.sender.flush();
            }
            self.sender.turn(books);
            books.manifests.write().await?;
            let now = job.clock.now();
            books.desk.turn(now).await;
            if let Some(notes) = &mut self.notes
                && notes.is_due(now, &books.manifests)
            {
                // A run that goes on after an interruption does not meet them again.
                books.desk.flush().await;
                notes
                    .turn(now, &mut books.manifests, &books.counters)
                    .await?;
            }
            if books.roll_is_full {
                books.roll_is_full = false;
                books.roll.spill().await?;
            }
            let is_walked = !self.announcing && self.walking == 0 && self.queue.is_empty();
            if is_walked && self.errands.is_empty() && self.fetching.is_empty() {
                if self.sender.is_idle() {
                    return Ok(());
                }
                self.sender.flush();
                self.sender.turn(books);
            }
            let budget = Arc::clone(&self.budget);
            tokio::select! {
                biased;
                Some(returned) = self.sender.returned(), if self.sender.has_requests() => {
                    self.sender.take(returned?, books)?;
                    progress.send_replace(books.counters.clone());
                }
                Some(fetched) = self.fetching.join_next(), if !self.fetching.is_empty() => {
                    let (errand, fetched) = fetched.map_err(|error| broken("reading a file", error))?;
                    self.take_fetched(errand, fetched, job, books)?;
                }
                Some(ended) = self.tasks.join_next(), if !self.tasks.is_empty() => {
                    ended.map_err(|error| broken("a walk", error))?;
                }
                count = items.recv_many(&mut taken, ITEMS_AT_ONCE), if lingering.is_none() && !books.manifests.is_full() => {
                    debug_assert!(count > 0, "this function holds a sender");
                    for (origin, item) in taken.drain(..) {
                        self.take(origin, item, job, books, &out).await?;
                    }
                    lingering = (count < ITEMS_AT_ONCE / 2).then(|| job.clock.sleep(LINGER));
                }
                () = over(&mut lingering) => lingering = None,
                () = budget.starved(), if self.sender.can_relieve() => self.sender.flush(),
                () = tick.next() => {
                    progress.send_replace(books.counters.clone());
                }
            }
        }
    }

    /// Has the source announce its units.
    pub(crate) fn announce(&mut self, out: &mpsc::Sender<(Origin, Item)>) {
        self.announcing = true;
        let announcer = Emitter::new(None, &self.budget, out);
        let session = Arc::clone(&self.session);
        self.tasks
            .spawn(announce(session, self.kind, UnitSink::new(announcer)));
    }

    fn start_fetches(&mut self, job: &Job) {
        while self.fetching.len() < job.settings.concurrent_downloads.max(1)
            && let Some(errand) = self.errands.pop_front()
        {
            let session = Arc::clone(&self.session);
            let budget = Arc::clone(&self.budget);
            let limit = job.settings.max_file_size;
            let clock = Arc::clone(&job.clock);
            self.fetching
                .spawn(fetch_errand(errand, session, budget, limit, clock));
        }
    }

    /// Goes on with what waited for its next attempt, or for an id that is free now. Nothing of the
    /// source may come in between, or an older version would overtake it.
    pub(crate) fn admit_released(&mut self, job: &Job, books: &mut Books) {
        self.sender.wake(books);
        while let Some(pending) = self.sender.released.pop_front() {
            match pending {
                Pending::Entry(entry) => self.sender.admit(entry, books),
                Pending::Fetch(errand, _) => self.begin_errand(errand, books),
            }
        }
        self.start_fetches(job);
    }
}

async fn announce(session: Arc<dyn Session>, kind: JobKind, out: UnitSink) {
    let end = match kind {
        JobKind::AccessControl => out.unit(Unit::new(Scope::root())).await,
        JobKind::Full | JobKind::Incremental => session.units(&out).await,
    };
    out.end(end).await;
}

/// Wakes the run now and then.
pub(crate) struct Tick<'a> {
    job: &'a Job,
    sleep: Pin<Box<dyn Future<Output = ()> + Send + 'a>>,
}

impl<'a> Tick<'a> {
    pub(crate) fn new(job: &'a Job) -> Self {
        Self {
            job,
            sleep: job.clock.sleep(TICK),
        }
    }

    pub(crate) async fn next(&mut self) {
        self.sleep.as_mut().await;
        self.sleep = self.job.clock.sleep(TICK);
    }
}

/// Waits for the end of a wait; for ever if there is none.
async fn over(wait: &mut Option<Pin<Box<dyn Future<Output = ()> + Send + '_>>>) {
    match wait {
        Some(wait) => wait.as_mut().await,
        None => std::future::pending().await,
    }
}

fn broken(what: &str, error: tokio::task::JoinError) -> Halt {
    let message = format!("{what} broke; this is a mistake of Tributary, please report it");
    Error::internal(message).caused_by(error).into()
}
