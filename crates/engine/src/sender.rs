//! Batches and bulk requests. One id is never in flight twice: a newer version of it waits for the
//! answer, or takes the place of the older one where that has not been sent yet.

mod answers;

use crate::{
    books::{Books, Halt},
    clock::Clock,
    entry::{Batch, Entry, Purpose},
    job::Settings,
    manifests::Place,
    roll::IdHash,
    target::{Action, Answer, Operation, Target, TargetError},
};
use std::{
    collections::{HashMap, VecDeque},
    hash::{BuildHasherDefault, Hasher},
    mem,
    sync::Arc,
    time::Duration,
};
use tokio::task::JoinSet;
use tributary_sdk::DocId;

/// A batch is sent at the latest this long after its first document came.
const BATCH_AGE: Duration = Duration::from_secs(1);
/// Automatic sizes: bytes and entries of a batch, requests at once. An index that cannot cope with so many
/// says so (429) and gets half of them.
const AUTOMATIC_BYTES: usize = 1 << 20;
const MOST_AUTOMATIC_BYTES: usize = 4 << 20;
const AUTOMATIC_ENTRIES: usize = 10_000;
const AUTOMATIC_CONCURRENCY: usize = 10;

/// Something that waits for an id to be free; `F` is work to be done before there is an entry.
#[derive(Debug)]
pub(crate) enum Pending<F> {
    Entry(Entry),
    Fetch(F, Option<Place>),
}

impl<F> Pending<F> {
    fn place(&self) -> Option<Place> {
        match self {
            Self::Entry(entry) => entry.place,
            Self::Fetch(_, place) => *place,
        }
    }
}

/// Where an id is.
struct Slot<F> {
    /// The batch, and the place in it; batch 0 = its file is being read.
    batch: u64,
    index: usize,
    newer: Vec<Pending<F>>,
}

/// A request that came back.
pub(crate) struct Returned {
    batch: Batch,
    result: Result<Vec<Answer>, TargetError>,
}

pub(crate) struct Sender<F> {
    target: Arc<dyn Target>,
    clock: Arc<dyn Clock>,
    chunk_lines: usize,
    chunk_bytes: usize,
    /// How far an automatic size may grow.
    most_chunk_bytes: usize,
    concurrency: usize,
    max_concurrency: usize,
    is_concurrency_automatic: bool,
    patience: Duration,
    slots: HashMap<IdHash, Slot<F>, BuildHasherDefault<AsItIs>>,
    open: Batch,
    open_since: Duration,
    last_number: u64,
    ready: VecDeque<Batch>,
    /// Batches of entries to be sent again, and when.
    waiting: Vec<(Duration, Batch)>,
    requests: JoinSet<Returned>,
    /// Nothing is sent before this.
    paused_until: Duration,
    failures: u32,
    failing_since: Option<Duration>,
    /// What waited for an id that is free now.
    pub(crate) released: VecDeque<Pending<F>>,
}

impl<F> Sender<F> {
    pub(crate) fn new(target: Arc<dyn Target>, clock: Arc<dyn Clock>, settings: &Settings) -> Self {
        let max_concurrency = settings
            .max_concurrency
            .unwrap_or(AUTOMATIC_CONCURRENCY)
            .max(1);
        // A batch must be able to fill up while the pool still has room for the others.
        let share = (settings.document_pool / 4).max(64 << 10);
        let (chunk_bytes, most_chunk_bytes) = match settings.chunk_bytes {
            Some(bytes) => (bytes, 0),
            None => (AUTOMATIC_BYTES, share.min(MOST_AUTOMATIC_BYTES)),
        };
        Self {
            target,
            clock,
            chunk_lines: settings.chunk_entries.unwrap_or(AUTOMATIC_ENTRIES).max(2),
            chunk_bytes: chunk_bytes.clamp(1, share),
            most_chunk_bytes,
            concurrency: max_concurrency,
            max_concurrency,
            is_concurrency_automatic: settings.max_concurrency.is_none(),
            patience: settings.patience,
            slots: HashMap::default(),
            open: Batch::default(),
            open_since: Duration::ZERO,
            last_number: 0,
            ready: VecDeque::new(),
            waiting: Vec::new(),
            requests: JoinSet::new(),
            paused_until: Duration::ZERO,
            failures: 0,
            failing_since: None,
            released: VecDeque::new(),
        }
    }

    /// Takes an entry in. One of the same id that was not sent yet is replaced by a whole document;
    /// one that is on its way is waited for.
    pub(crate) fn admit(&mut self, entry: Entry, books: &mut Books) {
        let open_number = self.open.number;
        let Some(slot) = self.slots.get_mut(&entry.hash) else {
            return self.push(entry);
        };
        if entry.purpose != Purpose::Document {
            slot.newer.push(Pending::Entry(entry));
            return;
        }
        books.counters.duplicates += 1;
        for older in slot.newer.drain(..) {
            books.superseded(older.place());
        }
        if slot.batch == open_number && !self.open.entries.is_empty() {
            let older = &mut self.open.entries[slot.index];
            self.open.bytes = self.open.bytes + entry.bytes() - older.bytes();
            self.open.lines = self.open.lines + entry.lines() - older.lines();
            books.superseded(older.place);
            *older = entry;
            self.close_if_full();
        } else {
            slot.newer.push(Pending::Entry(entry));
        }
    }

    /// Asks for an id whose file has to be read first. The work is handed back if it can begin now;
    /// otherwise it is [`Sender::released`] when the id is free.
    pub(crate) fn reserve(
        &mut self,
        hash: IdHash,
        work: F,
        place: Option<Place>,
        books: &mut Books,
    ) -> Option<F> {
        match self.slots.get_mut(&hash) {
            Some(slot) => {
                books.counters.duplicates += 1;
                for older in slot.newer.drain(..) {
                    books.superseded(older.place());
                }
                slot.newer.push(Pending::Fetch(work, place));
                None
            }
            None => {
                let slot = Slot {
                    batch: 0,
                    index: 0,
                    newer: Vec::new(),
                };
                self.slots.insert(hash, slot);
                Some(work)
            }
        }
    }

    /// The file of a reserved id was read. The entry is dropped if a newer one waits.
    pub(crate) fn admit_reserved(&mut self, entry: Entry, books: &mut Books) {
        let is_superseded = self
            .slots
            .get(&entry.hash)
            .is_some_and(|slot| !slot.newer.is_empty() && replaces(&slot.newer));
        if is_superseded {
            books.superseded(entry.place);
            self.release(entry.hash);
        } else {
            let newer = self.slots.remove(&entry.hash).map(|slot| slot.newer);
            let hash = entry.hash;
            self.push(entry);
            if let (Some(slot), Some(newer)) = (self.slots.get_mut(&hash), newer) {
                slot.newer = newer;
            }
        }
    }

    /// Whether a document is on its way, or waits to be.
    pub(crate) fn has(&self, hash: IdHash) -> bool {
        self.slots.contains_key(&hash)
    }

    /// Anything on its way, or waiting to be?
    pub(crate) fn is_idle(&self) -> bool {
        self.slots.is_empty() && self.released.is_empty()
    }

    /// Whether so many operations wait for requests that more should not be added.
    pub(crate) fn is_congested(&self) -> bool {
        self.ready.len() + self.waiting.len() >= 4
    }

    /// Whether the open batch should go because somebody waits for bytes: as long as a request could
    /// be made for it. Otherwise an answer is due anyway, and it frees bytes.
    pub(crate) fn can_relieve(&self) -> bool {
        !self.open.entries.is_empty()
            && self.ready.is_empty()
            && self.requests.len() < self.concurrency
    }

    /// Whether some request is under way.
    pub(crate) fn has_requests(&self) -> bool {
        !self.requests.is_empty()
    }

    /// The next request that comes back; `None` if none is under way.
    pub(crate) async fn returned(&mut self) -> Option<Result<Returned, Halt>> {
        let returned = self.requests.join_next().await?;
        Some(returned.map_err(|error| Halt::Failed(format!("a bulk request broke: {error}"))))
    }

    /// Closes the open batch.
    pub(crate) fn flush(&mut self) {
        if !self.open.entries.is_empty() {
            // Batches are alike, so the next one need not grow step by step.
            let next = Batch::with_capacity(self.open.entries.len());
            self.ready.push_back(mem::replace(&mut self.open, next));
        }
    }

    /// Takes up again what waited for its next attempt. What [`Sender::released`] holds afterwards has
    /// to be taken in before anything newer of the same id is.
    pub(crate) fn wake(&mut self, books: &mut Books) {
        let now = self.clock.now();
        let mut position = 0;
        while position < self.waiting.len() {
            if self.waiting[position].0 > now {
                position += 1;
                continue;
            }
            let (_, batch) = self.waiting.swap_remove(position);
            let entries = self.drop_superseded(batch.entries, books);
            if !entries.is_empty() {
                self.enqueue_front(entries);
            }
        }
    }

    /// What is due now: an old open batch, requests.
    pub(crate) fn turn(&mut self, books: &mut Books) {
        let now = self.clock.now();
        if !self.open.entries.is_empty() && now.saturating_sub(self.open_since) >= BATCH_AGE {
            self.flush();
        }
        if now < self.paused_until {
            return;
        }
        // While the index is in trouble one request at a time finds out whether it is well again.
        let limit = if self.failures > 0 {
            1
        } else {
            self.concurrency
        };
        while self.requests.len() < limit
            && let Some(batch) = self.ready.pop_front()
        {
            books.counters.requests += 1;
            let target = Arc::clone(&self.target);
            self.requests.spawn(async move {
                let mut batch = batch;
                let mut operations = Vec::with_capacity(batch.entries.len());
                let nothing = placeholder();
                for entry in &mut batch.entries {
                    operations.push(mem::replace(&mut entry.operation, nothing.clone()));
                }
                let result = target.bulk(&operations).await;
                for (entry, operation) in batch.entries.iter_mut().zip(operations) {
                    entry.operation = operation;
                }
                Returned { batch, result }
            });
        }
    }

    /// Adds to the open batch an entry whose id is in no slot.
    fn push(&mut self, entry: Entry) {
        if self.open.bytes + entry.bytes() > self.chunk_bytes {
            self.flush();
        }
        if self.open.entries.is_empty() {
            self.open.number = self.next_number();
            self.open_since = self.clock.now();
        }
        let slot = Slot {
            batch: self.open.number,
            index: self.open.entries.len(),
            newer: Vec::new(),
        };
        self.slots.insert(entry.hash, slot);
        self.open.bytes += entry.bytes();
        self.open.lines += entry.lines();
        self.open.entries.push(entry);
        self.close_if_full();
    }

    fn close_if_full(&mut self) {
        if self.open.bytes >= self.chunk_bytes || self.open.lines + 1 >= self.chunk_lines {
            self.flush();
        }
    }

    fn next_number(&mut self) -> u64 {
        self.last_number += 1;
        self.last_number
    }

    fn enqueue_front(&mut self, entries: Vec<Entry>) {
        let batch = Batch::of(self.next_number(), entries);
        self.place(&batch);
        self.ready.push_front(batch);
    }

    fn place(&mut self, batch: &Batch) {
        for (index, entry) in batch.entries.iter().enumerate() {
            if let Some(slot) = self.slots.get_mut(&entry.hash) {
                slot.batch = batch.number;
                slot.index = index;
            }
        }
    }

    /// An entry need not be sent again if a newer version of the whole document waits for it.
    fn drop_superseded(&mut self, entries: Vec<Entry>, books: &mut Books) -> Vec<Entry> {
        let mut kept = Vec::with_capacity(entries.len());
        for entry in entries {
            let slot = self.slots.get(&entry.hash);
            if slot.is_some_and(|slot| replaces(&slot.newer)) {
                books.superseded(entry.place);
                self.release(entry.hash);
            } else {
                kept.push(entry);
            }
        }
        kept
    }

    /// The id is free: the first of what waited for it comes next.
    pub(crate) fn release(&mut self, hash: IdHash) {
        if let Some(slot) = self.slots.remove(&hash) {
            self.released.extend(slot.newer);
        }
    }
}

/// Whether the first that waits is a whole document.
fn replaces<F>(newer: &[Pending<F>]) -> bool {
    match newer.first() {
        Some(Pending::Entry(entry)) => entry.purpose == Purpose::Document,
        Some(Pending::Fetch(..)) => true,
        None => false,
    }
}

fn placeholder() -> Operation {
    Operation {
        id: DocId::from(""),
        action: Action::Index(crate::target::Source::default()),
    }
}

/// Ids are hashes already.
#[derive(Default)]
struct AsItIs(u64);

impl Hasher for AsItIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u128(&mut self, hash: u128) {
        self.0 = (hash >> 64) as u64 ^ hash as u64;
    }
}
