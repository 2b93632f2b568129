//! An index, scratch files and a clock in memory, with faults at every call: what the engine and the
//! service are tested over.

mod clock;
mod files;
mod ledger;
mod target;

pub use clock::VirtualClock;
pub use files::MemoryFiles;
pub use ledger::{MemoryLedger, MemoryRecorder};
pub use target::{Call, Fault, MemoryTarget};
