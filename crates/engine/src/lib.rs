//! One sync job from claim to verdict, over the traits [`Target`], [`Clock`] and [`Files`]: no HTTP,
//! no real clock.
//!
//! Read in this order: [`job`], [`target`], [`clock`].

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod assemble;
mod books;
mod claims;
pub mod clock;
mod content;
mod desk;
mod entry;
mod fingerprint;
mod intake;
pub mod job;
mod log;
mod manifests;
#[cfg(test)]
mod memory;
mod missing;
mod monitor;
mod notes;
mod patience;
mod policy;
mod recall;
mod reconcile;
pub mod rehearsal;
mod replay;
mod roll;
mod run;
mod sender;
mod settle;
mod strangers;
mod strip;
pub mod target;
mod walks;

pub use clock::{Clock, Files};
pub use job::{
    Brake, Counters, ErrorMonitor, Gap, Job, LedgerEntry, Outcome, PipelineFlags, Recorder,
    Reporter, Settings, Verdict,
};
pub use rehearsal::Rehearsal;
pub use run::run;
pub use target::{
    Action, Answer, ItemError, Operation, Scan, Scanned, Source, Stored, Target, TargetError,
    TargetErrorKind, Token, Version,
};
