//! One history: syncs of a source that changes, the first of them with faults, the last without.

use crate::{
    attempt::run,
    content::{Content, Nature},
    dice::Dice,
    disk::{Disk, WiredDisk},
    index::{Index, IndexNature},
    oracle,
    record::Ledger,
    source::{Shared, look},
    wire::{Plan, Trace, Wire},
};
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};
use tributary_engine::{Rehearsal, Settings, rehearsal::Change};
use tributary_sdk::{DocId, JobKind, Listing, Promises};

/// What became of a seed.
#[derive(Debug)]
pub struct Report {
    /// The seed.
    pub seed: u64,
    /// Stands for everything that happened.
    pub hash: u64,
    /// The invariant that does not hold, and the last lines of the trace.
    pub result: Result<(), (String, Vec<String>)>,
}

/// Plays the history of a seed. `is_printed`: shows the trace.
pub fn run_seed(seed: u64, is_printed: bool) -> Report {
    let trace = Arc::new(match is_printed {
        true => Trace::printed(),
        false => Trace::default(),
    });
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build();
    match runtime {
        Ok(runtime) => runtime.block_on(async {
            let mut history = History::new(seed, Arc::clone(&trace));
            history.play().await;
        }),
        Err(error) => trace.broken(error),
    }
    Report {
        seed,
        hash: trace.hash(),
        result: trace.verdict(),
    }
}

/// A job, over all its attempts.
#[derive(Clone, Debug)]
pub struct Order {
    /// Its id.
    pub id: String,
    /// Its kind.
    pub kind: JobKind,
    /// Whether everything is sent.
    pub force: bool,
    /// Whether much may be deleted.
    pub allow_deletes: bool,
    /// Only these documents.
    pub replay: Vec<DocId>,
    /// Attempts so far.
    pub attempts: usize,
    /// Whether a fault of an attempt may have ended the job.
    pub has_fatal: bool,
    /// Whether nothing at all goes wrong.
    pub is_clean: bool,
    /// Whether the journal was there in all attempts.
    pub keeps_journal: bool,
}

/// All that outlives a job.
pub struct History {
    /// What happened.
    pub trace: Arc<Trace>,
    /// The source.
    pub content: Shared,
    /// The index.
    pub index: Arc<Index>,
    disks: [Arc<Disk>; 2],
    worker: usize,
    pub(crate) ledger: Ledger,
    pub(crate) dice: Dice,
    jobs: usize,
    pub(crate) settings: Settings,
    pub(crate) latency: usize,
    is_large: bool,
    /// Nobody but us has ever touched the index or what is remembered of it.
    pub is_undisturbed: bool,
}

fn random_nature(dice: &mut Dice) -> Nature {
    let listing = match dice.roll(4) {
        0 | 1 => Listing::Snapshot,
        2 => Listing::Keyed,
        _ => Listing::Drifting,
    };
    Nature {
        promises: Promises {
            listing,
            ids_stay: dice.percent(60),
            parallel: 1 + dice.roll(4),
        },
        confirms: dice.percent(70),
        rereads: dice.percent(70),
        has_children: dice.percent(30),
        has_checkpoints: dice.percent(75),
        page: 1 + dice.roll(8),
        has_feed: dice.percent(30),
    }
}

impl History {
    fn new(seed: u64, trace: Arc<Trace>) -> Self {
        let mut dice = Dice::new(seed);
        let is_large = dice.percent(2);
        let mut nature = random_nature(&mut dice);
        if is_large {
            nature.promises.listing = Listing::Snapshot;
            nature.page = 300;
        }
        let mut content = Content::new(nature, 1 + dice.roll(4));
        for _ in 0..if is_large { 2600 } else { dice.roll(70) } {
            content.add(&mut dice);
        }
        let index = IndexNature {
            shards: 1 + dice.roll(3),
            tells_token: dice.percent(92),
            tells_pipeline: dice.percent(95),
            most_bytes: if dice.percent(30) { 1200 } else { 100_000 },
            page: if is_large { 500 } else { 1 + dice.roll(12) },
        };
        let settings = Settings {
            document_pool: 3000 + dice.roll(20_000) + if is_large { 200_000 } else { 0 },
            content_pool: 60 + dice.roll(400),
            chunk_entries: (dice.percent(60)).then(|| 2 + dice.roll(20)),
            max_concurrency: (dice.percent(30)).then(|| 1 + dice.roll(3)),
            concurrent_downloads: 1 + dice.roll(3),
            max_file_size: 50,
            max_text_size: 400,
            ids_in_memory: if dice.percent(30) {
                5 + dice.roll(40)
            } else {
                100_000
            },
            patience: Duration::from_secs(3600),
            key: Some(u128::from(dice.number())),
            ..Settings::default()
        };
        trace.note(format_args!("seed {seed}: {nature:?} {index:?}"));
        let index = Arc::new(Index::new(index, Arc::clone(&trace), dice.fork()));
        Self {
            content: Arc::new(Mutex::new(content)),
            index,
            disks: [Arc::default(), Arc::default()],
            worker: 0,
            ledger: Ledger::default(),
            jobs: 0,
            settings,
            latency: 1 + dice.roll(900),
            trace,
            dice,
            is_large,
            is_undisturbed: true,
        }
    }

    /// The disk of the worker that does the jobs now.
    pub fn disk(&self) -> &Arc<Disk> {
        &self.disks[self.worker]
    }

    async fn play(&mut self) {
        let rounds = match self.is_large {
            true => 2,
            false => 1 + self.dice.roll(5),
        };
        for _ in 0..rounds {
            self.live();
            if self.dice.percent(12) {
                self.rehearse().await;
            }
            self.faulty_job().await;
            if self.trace.verdict().is_err() {
                return;
            }
        }
        self.settle().await;
    }

    /// Time passes between two jobs.
    fn live(&mut self) {
        let dice = &mut self.dice;
        {
            let mut content = look(&self.content);
            for _ in 0..dice.roll(12) {
                content.change(dice, false);
            }
            if dice.percent(15) {
                content.change_units(dice);
            }
            if self.is_large && dice.percent(60) {
                content.lose_most();
            }
        }
        for _ in 0..if dice.percent(30) { dice.roll(4) } else { 0 } {
            self.index.meddle(dice);
        }
        let number = dice.roll(40);
        self.is_undisturbed &= number > 4;
        match number {
            0 => self.index.take_away(),
            1 => self.index.swap(),
            2 | 3 => self.index.restore(),
            4 => self.index.map(),
            5..=12 => self.index.save(),
            _ => {}
        }
        let number = dice.roll(20);
        self.is_undisturbed &= number > 4;
        match number {
            0 => self.disk().clear(),
            3 | 4 => {
                let disk = Arc::clone(&self.disks[self.worker]);
                disk.crash(dice);
            }
            1 | 2 => self.worker = 1 - self.worker,
            _ => {}
        }
    }

    fn order(&mut self, kind: JobKind) -> Order {
        self.jobs += 1;
        Order {
            id: format!("job-{}", self.jobs),
            kind,
            force: false,
            allow_deletes: false,
            replay: Vec::new(),
            attempts: 0,
            has_fatal: false,
            is_clean: false,
            keeps_journal: true,
        }
    }

    fn begin(&self, order: &Order) {
        self.trace.note(format_args!("== {order:?}"));
        look(&self.content).begin_job();
        self.index.begin_job();
    }

    async fn faulty_job(&mut self) {
        let kind = match self.dice.percent(25) {
            true => JobKind::Incremental,
            false => JobKind::Full,
        };
        let mut order = self.order(kind);
        order.force = self.dice.percent(8);
        order.allow_deletes = self.dice.percent(15);
        if self.dice.percent(8) && kind == JobKind::Full {
            let content = look(&self.content);
            let ids: Vec<_> = content.items.keys().cloned().collect();
            drop(content);
            for _ in 0..1 + self.dice.roll(4) {
                let id = self.dice.pick(&ids).cloned();
                order.replay.extend(id.map(DocId::from));
            }
        }
        self.begin(&order);
        let attempts = 1 + self.dice.roll(4);
        for number in 0..attempts {
            let plan = self.plan(number + 1 < attempts);
            let deleted = self.index.deeds().deleted;
            let before = oracle::cursors(self).await;
            match self.attempt(&mut order, plan).await {
                Some(outcome) => {
                    let is_stopped = outcome.verdict == tributary_engine::Verdict::Stopped;
                    oracle::after_job(self, &order, &outcome, &deleted, &before).await;
                    if !is_stopped || self.dice.percent(50) {
                        return;
                    }
                }
                None => {
                    let disk = Arc::clone(self.disk());
                    match self.dice.roll(12) {
                        0..=5 => disk.crash(&mut self.dice),
                        6 => {
                            disk.clear();
                            order.keeps_journal = false;
                        }
                        7 => {
                            disk.crash(&mut self.dice);
                            self.worker = 1 - self.worker;
                            order.keeps_journal = false;
                        }
                        // Only the process died.
                        _ => {}
                    }
                    if self.dice.percent(15) {
                        return;
                    }
                }
            }
            if self.dice.percent(30) {
                let mut content = look(&self.content);
                let is_careful = true;
                content.change(&mut self.dice, is_careful);
            }
        }
    }

    /// A rehearsal writes nothing, and says what the sync after it does.
    async fn rehearse(&mut self) {
        if !self.index.exists() {
            return;
        }
        let mut order = self.order(JobKind::Full);
        order.is_clean = true;
        self.begin(&order);
        self.trace.note("a rehearsal");
        let plan = Plan {
            latency: self.latency,
            ..Plan::default()
        };
        let wire = Wire::new(
            Arc::clone(&self.trace),
            plan.clone(),
            self.dice.fork(),
            Box::new(|_| {}),
        );
        let wire = Arc::new(wire);
        let mut job = self.job(&order, &wire, true);
        let rehearsal = Arc::new(Rehearsal::new(Arc::clone(&job.target)));
        job.target = rehearsal.clone();
        job.recorder = rehearsal.clone();
        let copy = Arc::new(self.disk().copy());
        job.folder = Arc::new(WiredDisk::new(copy, Arc::clone(&wire)));
        let is_resumable = self.disk().names().iter().any(|name| name == "run");
        let Some(rehearsed) = run(job, &wire).await else {
            return;
        };
        let order = Order {
            id: format!("{}-real", order.id),
            ..order
        };
        self.begin(&order);
        let mut order = order;
        let deleted = self.index.deeds().deleted;
        let before = oracle::cursors(self).await;
        let Some(outcome) = self.attempt(&mut order, plan).await else {
            return;
        };
        oracle::after_job(self, &order, &outcome, &deleted, &before).await;
        let found = rehearsal.found();
        let count = |change| found.changes.get(&change).map_or(0, |sample| sample.count);
        let would = (
            count(Change::Create) + count(Change::Update),
            count(Change::Delete),
        );
        let deeds = self.index.deeds();
        let did = (deeds.written.len() as u64, outcome.counters.deleted);
        if !is_resumable && (would.1 != did.1 || rehearsed.verdict != outcome.verdict) {
            self.trace.broken(format_args!(
                "rehearsed {would:?} {}, and did {did:?}",
                rehearsed.verdict
            ));
        }
    }

    /// Syncs in which nothing goes wrong any more.
    async fn settle(&mut self) {
        self.index.arrive_late();
        // What was told once is not told for ever.
        look(&self.content).tombs.clear();
        for round in 0..3 {
            if round > 0 {
                // What a finished job has left is safe.
                let disk = Arc::clone(self.disk());
                disk.crash(&mut self.dice);
            }
            let mut order = self.order(JobKind::Full);
            order.is_clean = true;
            order.allow_deletes = true;
            self.begin(&order);
            let before = oracle::cursors(self).await;
            let plan = Plan {
                latency: self.latency,
                ..Plan::default()
            };
            let deleted = self.index.deeds().deleted;
            if let Some(outcome) = self.attempt(&mut order, plan).await {
                oracle::after_job(self, &order, &outcome, &deleted, &before).await;
            }
            if round > 0 {
                oracle::is_equal(self);
            }
            if round > 1 {
                oracle::is_quiet(self);
            }
        }
    }
}
