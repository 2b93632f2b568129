//! How a walk hands things over, and how memory stays a number.
//!
//! Permits are bytes, in two pools: documents, then content, always taken in this order. A permit is
//! held until Elasticsearch has acknowledged what it was taken for.
//!
//! Why this never stalls: a permit is held by something in the channel, or in the engine's open
//! batch, or in a request. The engine empties the channel without waiting for permits, and flushes
//! the open batch as long as anybody is [`Budget::starved`]. So every permit comes back. What is
//! larger than a pool takes the whole pool, and so runs alone; the semaphore is fair, so nobody
//! overtakes it for ever.

pub use crate::content_sink::ContentSink;
use crate::{Access, Cursor, DocId, Document, End, Error, Result, Scope, Unit, UnitKey};
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};

/// The largest cursor in bytes; larger ones would fail hours later, when they are saved.
pub const CURSOR_LIMIT: usize = 64 * 1024;
/// The largest `args` of a unit in bytes.
pub const ARGS_LIMIT: usize = 4 * 1024;

/// What a document costs besides what it holds: its place in queues and requests. In bytes.
pub const DOCUMENT_OVERHEAD: usize = 256;

/// The bytes that may be in flight.
#[derive(Debug)]
pub struct Budget {
    /// For documents.
    pub documents: Pool,
    /// For the content of files; taken while a permit for the document is held, never before it.
    pub content: Pool,
    waiting: Arc<watch::Sender<usize>>,
}

impl Budget {
    /// Two pools of that many bytes.
    pub fn new(documents: usize, content: usize) -> Self {
        let waiting = Arc::new(watch::Sender::new(0));
        Self {
            documents: Pool::new(documents, &waiting),
            content: Pool::new(content, &waiting),
            waiting,
        }
    }

    /// Returns while somebody waits for permits. A level, not an event: whoever holds an open batch
    /// flushes it each time this returns.
    pub async fn starved(&self) {
        let mut waiting = self.waiting.subscribe();
        // The sender lives in `self`, so this cannot fail.
        let _ = waiting.wait_for(|count| *count > 0).await;
    }

    /// Whether somebody waits for permits.
    pub fn is_starved(&self) -> bool {
        *self.waiting.borrow() > 0
    }

    /// Nobody gets permits any more.
    pub fn close(&self) {
        self.documents.free.close();
        self.content.free.close();
    }
}

/// One pool of bytes.
#[derive(Debug)]
pub struct Pool {
    capacity: u32,
    free: Arc<Semaphore>,
    waiting: Arc<watch::Sender<usize>>,
}

impl Pool {
    fn new(bytes: usize, waiting: &Arc<watch::Sender<usize>>) -> Self {
        let capacity = u32::try_from(bytes.min(Semaphore::MAX_PERMITS))
            .unwrap_or(u32::MAX)
            .max(1);
        Self {
            capacity,
            free: Arc::new(Semaphore::new(capacity as usize)),
            waiting: Arc::clone(waiting),
        }
    }

    /// Waits until so many bytes are free, or all of the pool if it is smaller.
    pub async fn take(&self, bytes: usize) -> Result<Permit> {
        let share = u32::try_from(bytes)
            .unwrap_or(u32::MAX)
            .clamp(1, self.capacity);
        if let Ok(permit) = Arc::clone(&self.free).try_acquire_many_owned(share) {
            return Ok(Permit(permit));
        }
        let _waiting = Waiting::begin(&self.waiting);
        match Arc::clone(&self.free).acquire_many_owned(share).await {
            Ok(permit) => Ok(Permit(permit)),
            Err(_closed) => Err(Error::stopped()),
        }
    }

    /// The bytes that are free now.
    pub fn free(&self) -> usize {
        self.free.available_permits()
    }
}

/// Bytes of a pool; free again when dropped.
#[derive(Debug)]
pub struct Permit(OwnedSemaphorePermit);

impl Permit {
    /// Gives back what is held beyond so many bytes.
    pub fn shrink_to(&mut self, bytes: usize) {
        let surplus = self.0.num_permits().saturating_sub(bytes.max(1));
        drop(self.0.split(surplus));
    }

    /// Takes in another permit of the same pool, so that both are given back in one step.
    pub fn merge(&mut self, other: Permit) {
        if Arc::ptr_eq(self.0.semaphore(), other.0.semaphore()) {
            self.0.merge(other.0);
        }
    }
}

/// Counts somebody as waiting, also when its future is dropped half-way.
struct Waiting<'a>(&'a watch::Sender<usize>);

impl<'a> Waiting<'a> {
    fn begin(count: &'a watch::Sender<usize>) -> Self {
        count.send_modify(|count| *count += 1);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

/// What reaches the engine, in the order of the walk.
#[derive(Debug)]
pub enum Item {
    /// A document and the bytes it holds.
    Upsert(Box<Document>, Permit),
    /// The source says that it is gone.
    Delete(DocId),
    /// Who may read it has changed; nothing else has.
    Access(DocId, Access, Permit),
    /// More work.
    Unit(Unit),
    /// Something smaller than the unit could not be read.
    Gap(Scope, Error),
    /// It exists, but cannot be indexed.
    Skip(DocId, String),
    /// All before this need not be read again.
    Checkpoint(Cursor),
    /// The walk is over. Sent by the engine's own task, after the last item.
    Ended(Result<End>),
}

/// Whose item it is: a unit, or nobody's for the announcement of units.
pub type Origin = Option<Arc<UnitKey>>;

/// What a walk emits into. Awaiting it is the back-pressure.
///
/// *Behaviour of all methods.* Items arrive in the order in which the calls return. Documents may be
/// written before the next checkpoint. `Err(Stopped)` means that the job is ending: hand it on.
/// Everything has to lie inside the scope of the unit; what does not is an internal error.
#[derive(Debug)]
pub struct Emitter {
    origin: Origin,
    scope: Scope,
    budget: Arc<Budget>,
    out: mpsc::Sender<(Origin, Item)>,
}

impl Emitter {
    /// For the engine: an emitter for the walk of `unit`, or for the announcement of units.
    pub fn new(
        unit: Option<&Unit>,
        budget: &Arc<Budget>,
        out: &mpsc::Sender<(Origin, Item)>,
    ) -> Self {
        Self {
            origin: unit.map(|unit| Arc::new(unit.key())),
            scope: unit.map(|unit| unit.scope.clone()).unwrap_or_default(),
            budget: Arc::clone(budget),
            out: out.clone(),
        }
    }

    /// A document as it is now. Waits for its bytes.
    pub async fn upsert(&self, document: Document) -> Result<()> {
        if let Some(home) = &document.home {
            self.inside(home)?;
        }
        let bytes = document.size().saturating_add(DOCUMENT_OVERHEAD);
        let permit = self.budget.documents.take(bytes).await?;
        self.send(Item::Upsert(Box::new(document), permit)).await
    }

    /// The source says that this document is gone. Carried out at the end of the run, with all other
    /// deletions, and not if another unit has it.
    pub async fn delete(&self, id: impl Into<DocId>) -> Result<()> {
        self.send(Item::Delete(id.into())).await
    }

    /// Only who may read it has changed. Counts as a sign of life. Waits for its bytes.
    pub async fn access(&self, id: impl Into<DocId>, access: Access) -> Result<()> {
        let id = id.into();
        let bytes = access.size().saturating_add(id.as_str().len());
        let bytes = bytes.saturating_add(DOCUMENT_OVERHEAD);
        let permit = self.budget.documents.take(bytes).await?;
        self.send(Item::Access(id, access, permit)).await
    }

    /// More work, found while walking. Part of this walk from the next checkpoint on.
    pub async fn unit(&self, child: Unit) -> Result<()> {
        self.inside(&child.scope)?;
        limit("args", child.args.as_ref(), ARGS_LIMIT)?;
        self.send(Item::Unit(child)).await
    }

    /// Something smaller than the unit could not be read, and the walk goes on. Nothing in `scope` is
    /// deleted; nor is anything of this unit that named no home of its own.
    pub async fn gap(&self, scope: Scope, why: Error) -> Result<()> {
        self.inside(&scope)?;
        self.send(Item::Gap(scope, why)).await
    }

    /// This document exists, but cannot be indexed. What the index has of it stays.
    pub async fn skip(&self, id: impl Into<DocId>, why: impl Into<String>) -> Result<()> {
        self.send(Item::Skip(id.into(), why.into())).await
    }

    /// All that was emitted before need not be read again: a walk that begins at `cursor` emits the
    /// rest. At most 60 s or 10,000 documents apart, where the source can resume.
    pub async fn checkpoint<T: serde::Serialize + Sync + ?Sized>(&self, cursor: &T) -> Result<()> {
        let cursor = Cursor::new(cursor)?;
        limit("cursor", Some(&cursor), CURSOR_LIMIT)?;
        self.send(Item::Checkpoint(cursor)).await
    }

    /// Whether the job is ending, for code that blocks and so cannot be dropped.
    pub fn is_stopped(&self) -> bool {
        self.out.is_closed()
    }

    /// For the engine: the walk is over.
    pub async fn end(&self, end: Result<End>) {
        // Nobody listens any more if the job has ended.
        let _ = self.send(Item::Ended(end)).await;
    }

    async fn send(&self, item: Item) -> Result<()> {
        self.out
            .send((self.origin.clone(), item))
            .await
            .map_err(|_| Error::stopped())
    }

    fn inside(&self, scope: &Scope) -> Result<()> {
        if self.scope.contains(scope) {
            return Ok(());
        }
        let message = "a walk emitted something outside of its unit";
        Err(Error::internal(message)
            .with("unit", &self.scope)
            .with("scope", scope))
    }
}

fn limit(what: &'static str, memo: Option<&Cursor>, bytes: usize) -> Result<()> {
    match memo.map(Cursor::size) {
        Some(size) if size > bytes => {
            Err(Error::internal("a memo is too large").with(what, format!("{size} bytes")))
        }
        _ => Ok(()),
    }
}

/// What [`crate::Session::units`] announces into.
#[derive(Debug)]
pub struct UnitSink(Emitter);

impl UnitSink {
    /// For the engine.
    pub fn new(out: Emitter) -> Self {
        Self(out)
    }

    /// Announces a unit.
    pub async fn unit(&self, unit: Unit) -> Result<()> {
        self.0.unit(unit).await
    }

    /// Something that would have been announced could not be found out: its units are neither walked
    /// nor counted as gone.
    pub async fn gap(&self, scope: Scope, why: Error) -> Result<()> {
        self.0.gap(scope, why).await
    }

    /// For the engine: all are announced.
    pub async fn end(&self, end: Result<()>) {
        self.0.end(end.map(|()| End::complete())).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Body, ErrorKind};

    fn emitter(documents: usize) -> (Emitter, mpsc::Receiver<(Origin, Item)>, Arc<Budget>) {
        let budget = Arc::new(Budget::new(documents, 64));
        let (out, items) = mpsc::channel(8);
        let unit = Unit::new(Scope::root().child("site", "7"));
        (Emitter::new(Some(&unit), &budget, &out), items, budget)
    }

    fn document(bytes: usize) -> Document {
        Document::new("d", Body::with_capacity(bytes), Access::Unrestricted)
    }

    #[tokio::test]
    async fn a_document_waits_for_its_bytes_and_the_engine_hears_of_it() {
        let (out, mut items, budget) = emitter(DOCUMENT_OVERHEAD + 100);
        out.upsert(document(80)).await.unwrap();
        assert!(!budget.is_starved());
        let waiting = tokio::spawn(async move { out.upsert(document(80)).await });
        budget.starved().await;
        let first = items.recv().await.unwrap();
        drop(first);
        waiting.await.unwrap().unwrap();
        assert!(!budget.is_starved());
        assert!(matches!(items.recv().await, Some((_, Item::Upsert(..)))));
    }

    #[tokio::test]
    async fn a_document_larger_than_the_pool_runs_alone() {
        let (out, mut items, budget) = emitter(100);
        out.upsert(document(5000)).await.unwrap();
        assert_eq!(budget.documents.free(), 0);
        drop(items.recv().await);
        assert_eq!(budget.documents.free(), 100);
    }

    #[tokio::test]
    async fn who_may_read_a_document_costs_its_bytes_too() {
        let (out, mut items, budget) = emitter(1 << 20);
        let tokens = || Access::tokens((0..1000).map(|number| format!("user:{number:05}")));
        let crowd = Document::new("d", Body::with_capacity(80), tokens());
        out.upsert(crowd).await.unwrap();
        assert!(budget.documents.free() < (1 << 20) - 40_000);
        drop(items.recv().await);
        out.access("d", tokens()).await.unwrap();
        assert!(budget.documents.free() < (1 << 20) - 40_000);
        drop(items.recv().await);
        assert_eq!(budget.documents.free(), 1 << 20);
    }

    #[tokio::test]
    async fn a_dropped_wait_is_not_counted() {
        let (out, _items, budget) = emitter(10);
        out.upsert(document(10)).await.unwrap();
        {
            let wait = out.upsert(document(10));
            tokio::pin!(wait);
            assert!(futures_poll(wait.as_mut()).await.is_none());
            assert!(budget.is_starved());
        }
        assert!(!budget.is_starved());
    }

    async fn futures_poll<F: Future + Unpin>(mut future: F) -> Option<F::Output> {
        std::future::poll_fn(|context| {
            std::task::Poll::Ready(match std::pin::Pin::new(&mut future).poll(context) {
                std::task::Poll::Ready(output) => Some(output),
                std::task::Poll::Pending => None,
            })
        })
        .await
    }

    #[tokio::test]
    async fn refuses_what_lies_outside_or_is_too_large() {
        let (out, _items, _) = emitter(100);
        let outside = Scope::root().child("site", "8");
        let mut stray = document(1);
        stray.home = Some(outside.clone());
        assert_eq!(
            out.upsert(stray).await.unwrap_err().kind(),
            ErrorKind::Internal
        );
        assert!(out.unit(Unit::new(outside.clone())).await.is_err());
        assert!(out.gap(outside, Error::stopped()).await.is_err());
        assert!(out.checkpoint(&"x".repeat(CURSOR_LIMIT)).await.is_err());
        assert!(out.checkpoint("x").await.is_ok());
    }

    #[tokio::test]
    async fn emitting_after_the_end_is_a_stop() {
        let (out, items, budget) = emitter(10);
        drop(items);
        assert!(out.is_stopped());
        assert_eq!(
            out.delete("d").await.unwrap_err().kind(),
            ErrorKind::Stopped
        );
        budget.close();
        let error = out.upsert(document(1)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Stopped);
    }
}
