//! How a job is told to end.

use crate::{Error, Result};
use std::future::Future;
use tokio::sync::watch;

/// Says once, to everybody who listens, that it is time to end. Cheap to clone.
#[derive(Clone, Debug)]
pub struct StopSignal(watch::Receiver<bool>);

/// The other end of a [`StopSignal`].
#[derive(Clone, Debug)]
pub struct StopSource(watch::Sender<bool>);

impl Default for StopSource {
    fn default() -> Self {
        Self::new()
    }
}

impl StopSource {
    /// Nobody has said stop yet.
    pub fn new() -> Self {
        Self(watch::Sender::new(false))
    }

    /// Says stop. For good.
    pub fn stop(&self) {
        self.0.send_replace(true);
    }

    /// A signal of this source.
    pub fn signal(&self) -> StopSignal {
        StopSignal(self.0.subscribe())
    }
}

impl StopSignal {
    /// A signal that never comes.
    pub fn never() -> Self {
        Self(watch::Sender::new(false).subscribe())
    }

    /// Whether it has come.
    pub fn is_stopped(&self) -> bool {
        *self.0.borrow()
    }

    /// Returns when it comes; never, if its source is gone without having said stop.
    pub async fn stopped(&self) {
        let mut receiver = self.0.clone();
        if receiver.wait_for(|stopped| *stopped).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Runs `work` until the signal comes; then drops it and returns a `Stopped` error.
    pub async fn race<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        tokio::select! {
            biased;
            () = self.stopped() => Err(Error::stopped()),
            outcome = work => outcome,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;

    #[tokio::test]
    async fn ends_what_it_races() {
        let source = StopSource::new();
        let signal = source.signal();
        assert_eq!(signal.race(async { Ok(7) }).await.unwrap(), 7);
        source.stop();
        let error = signal.race(std::future::pending::<Result<()>>()).await;
        assert_eq!(error.unwrap_err().kind(), ErrorKind::Stopped);
    }
}
