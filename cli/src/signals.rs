//! SIGINT and SIGTERM: the first ends the program in good order, the second at once.

use crate::failure::{Exit, Result};
use anyhow::Context;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tributary_sdk::{StopSignal, StopSource};

/// Listens from now on. The answer comes with the first signal; a second one ends the process with
/// code 130, whatever it is doing.
pub(crate) fn stop_signal() -> Result<StopSignal> {
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen to SIGINT")?;
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen to SIGTERM")?;
    let source = StopSource::new();
    let stop = source.signal();
    tokio::spawn(async move {
        let name = either(&mut interrupt, &mut terminate).await;
        tracing::info!("{name}: ending; once more to end at once");
        source.stop();
        let name = either(&mut interrupt, &mut terminate).await;
        tracing::warn!("{name} again: ending at once");
        std::process::exit(Exit::Interrupted as i32);
    });
    Ok(stop)
}

async fn either(interrupt: &mut Signal, terminate: &mut Signal) -> &'static str {
    tokio::select! {
        _ = interrupt.recv() => "SIGINT",
        _ = terminate.recv() => "SIGTERM",
    }
}
