//! One job: walks, what they emit, requests, and at last what is gone.

use crate::{
    assemble::Assembler,
    books::{Books, Halt},
    claims::Claims,
    content::Fetched,
    fingerprint::Fingerprints,
    intake::{Errand, fetch_errand},
    job::{Job, Outcome, Reporter, Verdict},
    manifests::Manifests,
    missing::Kept,
    notes::{JOURNAL, Note, Noted, NotedPlace, Notes, recount},
    patience::patiently,
    policy,
    recall::{Recalled, random, recall},
    roll::{IdHasher, Roll},
    sender::{Pending, Sender},
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
    Cursor, End, Error, ErrorKind, JobKind, Mode, Promises, Result as SourceResult, Scope, Session,
    StopSignal, Unit, UnitKey, UnitSink,
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
    Books::new(&job.settings, roll, manifests)
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

/// A unit of this run.
struct Progress {
    unit: Unit,
    number: usize,
    /// Where its walk begins; nothing: at the start.
    from: Option<Cursor>,
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
    units: HashMap<UnitKey, Progress>,
    /// The unit of the last item, and its number.
    pub(crate) last_key: Arc<UnitKey>,
    last_number: Option<usize>,
    queue: VecDeque<UnitKey>,
    announcing: bool,
    walking: usize,
    tasks: JoinSet<()>,
    /// Files waiting to be read, and files being read.
    pub(crate) errands: VecDeque<Errand>,
    pub(crate) fetching: JoinSet<(Errand, Fetched)>,
    pub(crate) claims: Claims,
    stop: StopSignal,
    /// The journal of this run.
    pub(crate) notes: Option<Notes>,
}

impl Run {
    /// Prepares the index and opens the session.
    async fn open(job: &Job, books: &mut Books) -> Result<Self, Halt> {
        patiently(job, || job.target.prepare(job.run.access)).await?;
        let hasher = IdHasher::new(random());
        let (recalled, resumed) = recall(job, hasher).await?;
        let session: Arc<dyn Session> = job.source.open(&job.run).await?.into();
        let promises = session.promises();
        let settings = &job.settings;
        let now = job.clock.utc();
        let stamp = now.format("%Y-%m-%dT%H:%M:%S%.6f+00:00").to_string();
        let folder = Arc::clone(&job.folder);
        let parallel = promises.parallel.clamp(1, MOST_WALKS);
        books.manifests = Manifests::new(folder, recalled.generation(), parallel);
        let begin = recalled.begin(job);
        let mut run = Self {
            promises,
            session,
            kind: job.run.kind,
            budget: Arc::new(Budget::new(settings.document_pool, settings.content_pool)),
            assembler: Assembler::new(settings, stamp),
            hasher,
            fingerprints: Fingerprints::new(recalled.key),
            recalled,
            kept: Kept::default(),
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

    /// Brings everything to where an interrupted run was.
    async fn go_on(
        &mut self,
        job: &Job,
        books: &mut Books,
        notes: Notes,
        noted: Noted,
    ) -> Result<(), Halt> {
        tracing::info!(
            units = noted.units.len(),
            "the job goes on where it was interrupted"
        );
        books.counters = noted.counters;
        books.counters.indexed_bytes = noted.units.iter().map(|unit| unit.bytes).sum();
        for gap in noted.gaps {
            books.gap(gap.scope, Error::new(gap.kind, gap.why))?;
        }
        for mut noted in noted.units {
            if !self.recalled.is_current {
                noted.old = None;
            }
            let key = noted.unit.key();
            self.recalled.take_unit(&key);
            let manifests = &mut books.manifests;
            let number = manifests.add_unit(Some(key.clone()), noted.old, noted.old_next);
            let from = match &noted.reached {
                Some(NotedPlace::Point(cursor, ..)) => Some(cursor.clone()),
                Some(NotedPlace::End(..)) | None => None,
            };
            if !matches!(noted.reached, Some(NotedPlace::End(..))) {
                self.queue.push_back(key.clone());
            }
            if let Some(reached) = noted.reached {
                manifests.restore(number, reached, noted.bytes);
            }
            let progress = Progress {
                unit: noted.unit,
                number,
                from,
            };
            self.units.insert(key, progress);
        }
        self.claims.set_incomplete();
        self.notes = Some(notes);
        recount(
            &job.folder,
            &mut books.manifests,
            self.hasher,
            &mut books.roll,
        )
        .await
        .map_err(Halt::from)
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
        let announcer = Emitter::new(None, &self.budget, &out);
        let session = Arc::clone(&self.session);
        self.tasks
            .spawn(announce(session, self.kind, UnitSink::new(announcer)));
        let mut tick = Tick::new(job);
        let mut taken = Vec::with_capacity(ITEMS_AT_ONCE);
        let mut lingering = None;
        loop {
            while self.walking < parallel
                && let Some(key) = self.queue.pop_front()
            {
                self.start_walk(&key, &out, books).await?;
            }
            self.start_fetches(job);
            self.admit_released(job, books);
            if books.manifests.is_full() {
                self.sender.flush();
            }
            self.sender.turn(books);
            books.manifests.write().await?;
            if let Some(notes) = &mut self.notes {
                let now = job.clock.now();
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
                        self.take(origin, item, job, books).await?;
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

    async fn start_walk(
        &mut self,
        key: &UnitKey,
        out: &mpsc::Sender<(Origin, Item)>,
        books: &mut Books,
    ) -> Result<(), Halt> {
        let Some(progress) = self.units.get(key) else {
            return Ok(());
        };
        books.manifests.begin_walk(progress.number).await?;
        let unit = progress.unit.clone();
        let from = progress.from.clone();
        let emitter = Emitter::new(Some(&unit), &self.budget, out);
        let session = Arc::clone(&self.session);
        let stop = self.stop.clone();
        self.tasks
            .spawn(walk(session, self.kind, unit, from, emitter, stop));
        self.walking += 1;
        Ok(())
    }

    /// The number of the unit that an item comes from.
    pub(crate) fn find(&mut self, key: Arc<UnitKey>) -> Option<usize> {
        if self.last_number.is_none() || !Arc::ptr_eq(&key, &self.last_key) {
            self.last_number = self.units.get(&*key).map(|progress| progress.number);
            self.last_key = key;
        }
        self.last_number
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

    /// A unit that is known in this run already stays as it is.
    pub(crate) fn add_unit(&mut self, mut unit: Unit, books: &mut Books) -> Result<(), Halt> {
        let key = unit.key();
        if self.units.contains_key(&key) {
            return Ok(());
        }
        // Nothing is read by changes yet.
        unit.mode = Mode::Full;
        let old = self.recalled.take_unit(&key);
        let (files, next) = old.map(|old| (old.manifests, old.next)).unzip();
        let file = files.and_then(|files| files.into_iter().next());
        let next = next.flatten();
        if let Some(notes) = &mut self.notes {
            notes.push(&Note::Unit {
                unit: unit.clone(),
                old: file.clone(),
                old_next: next.clone(),
            })?;
        }
        let number = books.manifests.add_unit(Some(key.clone()), file, next);
        let progress = Progress {
            unit,
            number,
            from: None,
        };
        self.units.insert(key.clone(), progress);
        self.queue.push_back(key);
        Ok(())
    }

    /// The announcement of units, or a walk, is over.
    pub(crate) async fn ended(
        &mut self,
        origin: Origin,
        end: SourceResult<End>,
        books: &mut Books,
    ) -> Result<(), Halt> {
        let Some(key) = origin else {
            self.announcing = false;
            return match end {
                Ok(_) => Ok(()),
                Err(error) => books.gap(Scope::root(), error),
            };
        };
        self.walking -= 1;
        let Some(progress) = self.units.get_mut(&*key) else {
            return Ok(());
        };
        let number = progress.number;
        let is_dead = matches!(&end, Err(error) if error.kind() == ErrorKind::DeadCursor);
        if is_dead && progress.from.take().is_some() {
            progress.unit.mode = Mode::Full;
            self.queue.push_back(UnitKey::clone(&key));
            return Ok(());
        }
        books.manifests.end_walk(number).await?;
        match end {
            Ok(end) => {
                books.manifests.complete(number, end.next);
                Ok(())
            }
            Err(error) => books.gap(key.scope.clone(), error),
        }
    }
}

async fn announce(session: Arc<dyn Session>, kind: JobKind, out: UnitSink) {
    let end = match kind {
        JobKind::AccessControl => out.unit(Unit::new(Scope::root())).await,
        JobKind::Full | JobKind::Incremental => session.units(&out).await,
    };
    out.end(end).await;
}

async fn walk(
    session: Arc<dyn Session>,
    kind: JobKind,
    unit: Unit,
    from: Option<Cursor>,
    out: Emitter,
    stop: StopSignal,
) {
    let work = async {
        match kind {
            JobKind::AccessControl => session.identities(from, &out).await,
            JobKind::Full | JobKind::Incremental => session.walk(&unit, from, &out).await,
        }
    };
    let end = stop.race(work).await;
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
