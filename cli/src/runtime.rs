//! The threads that the program runs on.

use crate::failure::Result;
use anyhow::Context;
use std::{future::Future, thread::available_parallelism, time::Duration};

/// How long calls that block may take to end.
const FAREWELL: Duration = Duration::from_secs(2);

/// Runs a command that makes a few requests, on this thread alone.
pub(crate) fn alone<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.context("cannot start")?.block_on(work)
}

/// Runs the service, on a thread for each processor and at least two: one long turn of a task must not
/// keep the others from their heartbeats.
pub(crate) fn spread<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    let processors = available_parallelism().map_or(1, usize::from);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(processors.max(2))
        .thread_name("tributary")
        .enable_all()
        .build()
        .context("cannot start the threads of the service")?;
    let outcome = runtime.block_on(work);
    // Temporary files are being removed; a read from a dead network drive is not waited for.
    runtime.shutdown_timeout(FAREWELL);
    outcome
}
