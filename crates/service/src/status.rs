//! How the service is: the answers to `/healthz` and `/readyz`.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tributary_engine::Clock;

/// A turn of a loop may take this long beyond its interval: calls that are tried again inside take
/// minutes when Elasticsearch is away.
const SLACK: Duration = Duration::from_secs(15 * 60);

/// A view of a running service. Cheap to clone; answers from memory.
#[derive(Clone)]
pub struct Status(Arc<Inner>);

struct Inner {
    clock: Arc<dyn Clock>,
    prepared: AtomicBool,
    /// Why Elasticsearch did not answer the last time it was asked.
    silence: Mutex<Option<String>>,
    turns: Mutex<BTreeMap<&'static str, Turn>>,
}

#[derive(Clone, Copy)]
struct Turn {
    began: Duration,
    interval: Duration,
}

impl Status {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self(Arc::new(Inner {
            clock,
            prepared: AtomicBool::new(false),
            silence: Mutex::default(),
            turns: Mutex::default(),
        }))
    }

    /// What is wrong with the process itself: loops that stand still. Empty if nothing is.
    pub fn why_not_live(&self) -> Vec<String> {
        let now = self.0.clock.now();
        let turns = self.0.turns.lock().unwrap_or_else(PoisonError::into_inner);
        turns
            .iter()
            .filter_map(|(name, turn)| {
                let silent = now.saturating_sub(turn.began);
                (silent > turn.interval + SLACK)
                    .then(|| format!("the {name} loop has not turned for {} s", silent.as_secs()))
            })
            .collect()
    }

    /// Why the service cannot work now. Empty if it can.
    pub fn why_not_ready(&self) -> Vec<String> {
        let mut reasons = self.why_not_live();
        if !self.0.prepared.load(Ordering::Relaxed) {
            reasons.push("the service is starting: it has not reached its records yet".into());
        }
        reasons.extend(self.silence().clone());
        reasons
    }

    pub(crate) fn prepared(&self) {
        self.0.prepared.store(true, Ordering::Relaxed);
    }

    /// A loop begins a turn; the next is due after `interval`.
    pub(crate) fn turn(&self, name: &'static str, interval: Duration) {
        let began = self.0.clock.now();
        let mut turns = self.0.turns.lock().unwrap_or_else(PoisonError::into_inner);
        turns.insert(name, Turn { began, interval });
    }

    /// A loop has ended, as it should.
    pub(crate) fn ended(&self, name: &'static str) {
        let mut turns = self.0.turns.lock().unwrap_or_else(PoisonError::into_inner);
        turns.remove(name);
    }

    /// Elasticsearch answered. Whether it had been silent before.
    pub(crate) fn answered(&self) -> bool {
        self.silence().take().is_some()
    }

    /// Elasticsearch did not answer. Whether it had before.
    pub(crate) fn fell_silent(&self, why: &str) -> bool {
        self.silence().replace(why.to_owned()).is_none()
    }

    fn silence(&self) -> std::sync::MutexGuard<'_, Option<String>> {
        self.0
            .silence
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Status")
            .field("not_ready", &self.why_not_ready())
            .finish()
    }
}
