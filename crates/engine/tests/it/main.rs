//! The engine over a scripted source, and an index, files and a clock in memory.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod content;
mod deletions;
mod faults;
mod flow;
mod ledger;
mod random;
mod rehearsing;
mod remembering;
mod replaying;
mod resuming;
mod review;
mod world;
