//! What every call between a job and its surroundings passes: here it is counted, noted in the trace,
//! goes wrong, or is the last one before a crash.

use crate::dice::Dice;
use std::{
    collections::VecDeque,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::sync::Notify;
use tributary_sdk::StopSource;

/// Lines kept to be shown when an invariant is broken.
const LAST_LINES: usize = 60;
/// More calls than this in one attempt of a job are taken for a loop without end.
const MOST_CALLS: u64 = 400_000;

/// All that happened in one history.
#[derive(Debug, Default)]
pub struct Trace(Mutex<Lines>);

#[derive(Debug, Default)]
struct Lines {
    last: VecDeque<String>,
    hash: u64,
    count: u64,
    is_printed: bool,
    broken: Option<String>,
}

impl Trace {
    /// One that shows each line as it comes.
    pub fn printed() -> Self {
        let trace = Self::default();
        trace.lines().is_printed = true;
        trace
    }

    /// Adds a line.
    pub fn note(&self, line: impl fmt::Display) {
        let mut lines = self.lines();
        let line = line.to_string();
        for byte in line.bytes() {
            lines.hash = (lines.hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        lines.count += 1;
        if lines.is_printed {
            show(&line);
        }
        if lines.last.len() == LAST_LINES {
            lines.last.pop_front();
        }
        lines.last.push_back(line);
    }

    /// An invariant does not hold; the first one counts.
    pub fn broken(&self, what: impl fmt::Display) {
        let what = what.to_string();
        self.note(format_args!("BROKEN: {what}"));
        self.lines().broken.get_or_insert(what);
    }

    /// The invariant that does not hold, and the last lines.
    pub fn verdict(&self) -> Result<(), (String, Vec<String>)> {
        let lines = self.lines();
        match &lines.broken {
            None => Ok(()),
            Some(what) => Err((what.clone(), lines.last.iter().cloned().collect())),
        }
    }

    /// Stands for all lines.
    pub fn hash(&self) -> u64 {
        let lines = self.lines();
        lines.hash ^ lines.count
    }

    fn lines(&self) -> MutexGuard<'_, Lines> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[expect(clippy::print_stdout, reason = "a seed is replayed to read its trace")]
fn show(line: &str) {
    println!("{line}");
}

/// How one attempt of a job ends before its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The process dies.
    Crash,
    /// Somebody cancels the job.
    Stop,
}

/// What is to go wrong in one attempt of a job.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// The call at which the attempt ends, and how.
    pub ending: Option<(u64, Ending)>,
    /// Of a hundred requests to the index, so many go wrong in a way that passes.
    pub target: usize,
    /// Of a thousand, so many go wrong in a way that ends the job.
    pub fatal: usize,
    /// Of a hundred pages of the source, so many fail.
    pub source: usize,
    /// Of a hundred parts of units, so many cannot be read.
    pub parts: usize,
    /// Of a hundred questions whether documents still exist, so many fail.
    pub questions: usize,
    /// Of a thousand calls of files, so many find the disk full.
    pub disk: usize,
    /// Of a hundred records, so many cannot be kept.
    pub recorder: usize,
    /// The longest wait for an answer, in milliseconds.
    pub latency: usize,
}

type Hook = dyn Fn(u64) + Send + Sync;

/// The calls of one attempt.
pub struct Wire {
    /// The trace of the history.
    pub trace: Arc<Trace>,
    /// What goes wrong.
    pub plan: Plan,
    state: Mutex<State>,
    crashed: Notify,
    stop: StopSource,
    hook: Box<Hook>,
}

struct State {
    calls: u64,
    is_dead: bool,
    dice: Dice,
    /// Something went wrong that may end the job.
    has_fatal: bool,
}

impl Wire {
    /// `hook` is told the number of each call, before it is carried out.
    pub fn new(trace: Arc<Trace>, plan: Plan, dice: Dice, hook: Box<Hook>) -> Self {
        Self {
            trace,
            plan,
            state: Mutex::new(State {
                calls: 0,
                is_dead: false,
                dice,
                has_fatal: false,
            }),
            crashed: Notify::new(),
            stop: StopSource::new(),
            hook,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A call crosses. Never returns in a process that is dead.
    pub async fn cross(&self, what: impl fmt::Display + Send) {
        let number = {
            let mut state = self.state();
            if !state.is_dead {
                state.calls += 1;
            }
            state.calls
        };
        if !self.is_dead() {
            self.trace.note(format_args!("{number} {what}"));
            (self.hook)(number);
            if number > MOST_CALLS {
                self.trace.broken("the job does not come to its end");
                self.die();
            }
            match self.plan.ending {
                Some((at, Ending::Crash)) if at == number => self.die(),
                Some((at, Ending::Stop)) if at == number => {
                    self.trace.note("somebody cancels the job");
                    self.stop.stop();
                }
                _ => {}
            }
        }
        if self.is_dead() {
            std::future::pending::<()>().await;
        }
    }

    fn die(&self) {
        self.trace.note("the process dies");
        self.state().is_dead = true;
        self.crashed.notify_one();
    }

    /// Whether the process is dead.
    pub fn is_dead(&self) -> bool {
        self.state().is_dead
    }

    /// Returns when the process dies.
    pub async fn crashed(&self) {
        self.crashed.notified().await;
    }

    /// What cancels the job.
    pub fn stop(&self) -> &StopSource {
        &self.stop
    }

    /// True in so many of `of` cases.
    pub fn chance(&self, rate: usize, of: usize) -> bool {
        rate > 0 && self.state().dice.roll(of) < rate
    }

    /// A number below `sides`.
    pub fn roll(&self, sides: usize) -> usize {
        self.state().dice.roll(sides)
    }

    /// What went wrong now may end the job.
    pub fn set_fatal(&self) {
        self.state().has_fatal = true;
    }

    /// Whether something went wrong that may end the job.
    pub fn has_fatal(&self) -> bool {
        self.state().has_fatal
    }

    /// Waits as long as the plan says, in virtual time.
    pub async fn linger(&self) {
        let millis = 1 + self.roll(self.plan.latency.max(1));
        let millis = u64::try_from(millis).unwrap_or(1);
        tokio::time::sleep(std::time::Duration::from_millis(millis)).await;
    }
}
