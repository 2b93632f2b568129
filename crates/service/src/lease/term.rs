//! Until when an instance may work on its job.

use std::{future::Future, sync::Arc, time::Duration};
use tokio::sync::watch;
use tributary_engine::{Clock, TargetError, TargetErrorKind};

/// So long before the end of the lease the last request may start.
const MARGIN: Duration = Duration::from_secs(3);

/// The lease of one job, on the clock of this instance.
pub(crate) struct Lease {
    clock: Arc<dyn Clock>,
    length: Duration,
    state: watch::Sender<State>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Ours until then, and again after a renewal.
    Until(Duration),
    /// Somebody else's, for good.
    Lost,
}

impl Lease {
    /// A lease that was taken by a request that started at `started`.
    pub(crate) fn new(clock: Arc<dyn Clock>, length: Duration, started: Duration) -> Self {
        Self {
            clock,
            length,
            state: watch::Sender::new(State::Until(started + length)),
        }
    }

    /// A heartbeat that started at `started` was accepted.
    pub(crate) fn renew(&self, started: Duration) {
        let new = State::Until(started + self.length);
        self.state.send_if_modified(|state| {
            let is_news = *state != State::Lost && *state != new;
            if is_news {
                *state = new;
            }
            is_news
        });
    }

    /// The job is not ours any more.
    pub(crate) fn lose(&self) {
        self.state.send_replace(State::Lost);
    }

    /// Makes a call to the index within the lease: it starts no later than [`MARGIN`] before the end,
    /// otherwise when the lease was renewed, and it is dropped at the end.
    ///
    /// # Errors
    /// What the call says; `Unavailable` when it was dropped, or when the job was lost.
    pub(crate) async fn within<T>(
        &self,
        call: impl Future<Output = Result<T, TargetError>>,
    ) -> Result<T, TargetError> {
        let unavailable = |text: &str| Err(TargetError::new(TargetErrorKind::Unavailable, text));
        if !self.may_begin().await {
            return unavailable("nothing is sent any more: another instance has the job");
        }
        tokio::select! {
            // The end first: after a standstill of the whole process both may be ready.
            biased;
            () = self.over() => unavailable(
                "the lease of the job ran out before the index answered, because its record could \
                 not be written either",
            ),
            result = call => result,
        }
    }

    /// Waits until a request may start; `false` if none ever may again.
    async fn may_begin(&self) -> bool {
        let mut states = self.state.subscribe();
        let state = states.wait_for(|state| match state {
            State::Until(end) => self.clock.now() + MARGIN <= *end,
            State::Lost => true,
        });
        // The sender lives in `self`, so this cannot fail.
        state.await.is_ok_and(|state| *state != State::Lost)
    }

    /// Returns when the lease has ended.
    async fn over(&self) {
        let mut states = self.state.subscribe();
        loop {
            let State::Until(end) = *states.borrow_and_update() else {
                return;
            };
            let left = end.saturating_sub(self.clock.now());
            if left.is_zero() {
                return;
            }
            tokio::select! {
                biased;
                changed = states.changed() => if changed.is_err() { return },
                () = self.clock.sleep(left) => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::pending;
    use tributary_testkit::memory::VirtualClock;

    const LENGTH: Duration = Duration::from_secs(30);

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// A lease that was taken now.
    fn lease() -> (Arc<VirtualClock>, Arc<Lease>) {
        let clock = Arc::new(VirtualClock::default());
        let lease = Lease::new(clock.clone(), LENGTH, clock.now());
        (clock, Arc::new(lease))
    }

    /// When a call starts that takes no time; `None` if it does not.
    async fn start(clock: &VirtualClock, lease: &Lease) -> Option<Duration> {
        lease.within(async { Ok(clock.now()) }).await.ok()
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_request_starts_three_seconds_before_the_end() {
        let (clock, lease) = lease();
        clock.sleep(seconds(27)).await;
        assert_eq!(start(&clock, &lease).await, Some(seconds(27)));
        clock.sleep(Duration::from_millis(1)).await;
        let late = {
            let (clock, lease) = (clock.clone(), lease.clone());
            tokio::spawn(async move { start(&clock, &lease).await })
        };
        clock.sleep(seconds(3600)).await;
        assert!(!late.is_finished());
        // A heartbeat that took too long for itself.
        lease.renew(clock.now() - seconds(28));
        clock.sleep(seconds(10)).await;
        assert!(!late.is_finished());
        lease.renew(clock.now());
        let now = clock.now();
        assert_eq!(late.await.unwrap(), Some(now));
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_is_dropped_at_the_end_and_not_before() {
        let (clock, lease) = lease();
        let call = {
            let lease = lease.clone();
            tokio::spawn(async move { lease.within(pending::<Result<(), _>>()).await })
        };
        clock.sleep(seconds(20)).await;
        lease.renew(clock.now());
        clock.sleep(seconds(29)).await;
        assert!(!call.is_finished());
        let error = call.await.unwrap().unwrap_err();
        assert_eq!(error.kind, TargetErrorKind::Unavailable);
        assert_eq!(clock.now(), seconds(50));
    }

    #[tokio::test(start_paused = true)]
    async fn a_lost_lease_ends_everything_at_once_and_for_good() {
        let (clock, lease) = lease();
        let call = {
            let lease = lease.clone();
            tokio::spawn(async move { lease.within(pending::<Result<(), _>>()).await })
        };
        clock.sleep(seconds(1)).await;
        lease.lose();
        assert!(call.await.unwrap().is_err());
        lease.renew(clock.now());
        assert_eq!(start(&clock, &lease).await, None);
        assert_eq!(clock.now(), seconds(1));
    }
}
