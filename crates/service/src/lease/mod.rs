//! The lease of a job (DESIGN §7): who may work on it, until when, and how that passes to another
//! instance.
//!
//! - **Whoever claims a job writes a nonce into its record** ([`Mark`]), and changes the record again and
//!   again, each time in the version it wrote last: the heartbeat. No other instance can do that.
//! - **Its [`Lease`] ends a fixed time after the start of the last heartbeat that was accepted**, on its
//!   own monotonic clock. Nothing is sent to the index beyond that ([`LeasedTarget`]).
//! - **Another instance may take the job away when it saw the record stand still for that time**, on its
//!   own monotonic clock ([`takeover`]). It saw the record after the heartbeat was accepted, so it waits
//!   for longer than the holder works. Wall clocks are not compared.
//!
//! Jobs without a nonce are not ours, and keep the rule of the reference: cleanup.

mod mark;
pub(crate) mod takeover;
mod target;
mod term;

pub(crate) use mark::{Mark, new_nonce};
pub(crate) use target::LeasedTarget;
pub(crate) use term::Lease;

use std::time::Duration;

/// The longest time between two heartbeats: a cancel is noticed by them too.
const LONGEST: Duration = Duration::from_secs(5);

/// The time between two heartbeats.
pub(crate) fn beat_interval(length: Duration) -> Duration {
    LONGEST.min(length / 6)
}

/// The time between two looks at jobs of other instances.
fn look_interval(length: Duration) -> Duration {
    LONGEST.min(length / 10)
}
