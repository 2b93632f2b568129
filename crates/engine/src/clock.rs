//! Time and files, as the engine sees them.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use std::{io, time::Duration};

/// Time. The engine knows no other.
///
/// *Behaviour.* `now` never goes back and has no meaning but its differences. `sleep` returns when
/// `now` has moved on by at least that much; it may be dropped at any time.
#[async_trait]
pub trait Clock: Send + Sync {
    /// Monotonic time since some beginning.
    fn now(&self) -> Duration;
    /// The date, for texts people read and for `_timestamp`.
    fn utc(&self) -> DateTime<Utc>;
    /// Waits.
    async fn sleep(&self, time: Duration);
}

/// Scratch files of one job: what does not fit into memory. Nothing in them outlives the job.
///
/// *Behaviour.* Names are short ASCII words. Appending to a name that does not exist creates it.
/// Calls for one name are made one after the other; calls for different names may overlap. A full or
/// broken disk is an `Err`, and then the job deletes nothing.
#[async_trait]
pub trait Files: Send + Sync {
    /// Adds bytes to the end of a file.
    async fn append(&self, name: &str, bytes: Vec<u8>) -> io::Result<()>;
    /// Reads `length` bytes from `offset` on; fewer only at the end of the file. A file that does not
    /// exist is empty.
    async fn read(&self, name: &str, offset: u64, length: usize) -> io::Result<Vec<u8>>;
    /// Removes a file; one that does not exist is fine.
    async fn remove(&self, name: &str) -> io::Result<()>;
}
