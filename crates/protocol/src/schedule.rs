//! When syncs are due.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::{JobType, Quartz, QuartzError, RecordError, properties::Properties};

/// The interval of a new connector: every day at midnight.
pub const DEFAULT_INTERVAL: &str = "0 0 0 * * ?";

/// When one kind of job runs by itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Schedule {
    /// Whether it does at all.
    pub enabled: bool,
    /// A Quartz cron expression, not checked yet.
    pub interval: String,
}

/// The schedules of a connector.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Scheduling {
    /// Of access control jobs.
    pub access_control: Schedule,
    /// Of full jobs.
    pub full: Schedule,
    /// Of incremental jobs.
    pub incremental: Schedule,
}

impl Scheduling {
    /// The schedule of this kind of job.
    pub fn of(&self, job_type: JobType) -> &Schedule {
        match job_type {
            JobType::Full => &self.full,
            JobType::Incremental => &self.incremental,
            JobType::AccessControl => &self.access_control,
        }
    }

    pub(crate) fn read(
        properties: Properties<'_>,
        map: &Map<String, Value>,
    ) -> Result<Self, RecordError> {
        let schedule = |key: &str| match properties.at("scheduling", map).object(key)? {
            Some(map) => Schedule::read(properties.at(&format!("scheduling.{key}"), map)),
            None => Ok(Schedule::default()),
        };
        Ok(Self {
            access_control: schedule(JobType::AccessControl.as_str())?,
            full: schedule(JobType::Full.as_str())?,
            incremental: schedule(JobType::Incremental.as_str())?,
        })
    }
}

impl Schedule {
    fn read(properties: Properties<'_>) -> Result<Self, RecordError> {
        Ok(Self {
            enabled: properties.flag("enabled")?.unwrap_or(false),
            interval: properties
                .filled_text("interval")?
                .unwrap_or_else(|| DEFAULT_INTERVAL.into()),
        })
    }

    /// As [`due`]; `None` also when the schedule is switched off, whatever its interval says.
    pub fn due(
        &self,
        last_scheduled_at: Option<DateTime<Utc>>,
        last_wake_up: Option<DateTime<Utc>>,
        now: DateTime<Utc>,
    ) -> Result<Option<DateTime<Utc>>, QuartzError> {
        if !self.enabled {
            return Ok(None);
        }
        let quartz = Quartz::parse(&self.interval)?;
        Ok(due(&quartz, last_scheduled_at, last_wake_up, now))
    }

    /// The next fire time after `now`; `None` when the schedule is switched off or never fires again.
    pub fn next_after(&self, now: DateTime<Utc>) -> Result<Option<DateTime<Utc>>, QuartzError> {
        match self.enabled {
            true => Ok(Quartz::parse(&self.interval)?.next_after(now)),
            false => Ok(None),
        }
    }
}

impl Default for Schedule {
    fn default() -> Self {
        Self {
            enabled: false,
            interval: DEFAULT_INTERVAL.into(),
        }
    }
}

/// Whether a job must be made now; gives the earliest fire time that is to be served by it.
///
/// - `last_scheduled_at` is `last_*_scheduled_at` of the record: when any instance last made such a job
///   by schedule. Whoever makes a job writes the very `now` that it gave here.
/// - `last_wake_up` is the `now` of this instance's previous look at this schedule, `None` at its first.
///   It moves at every look, whether a job was due or not, and whether the schedule was on or off.
///
/// A job is due when a fire time lies after the previous look and not after `now`, and nobody has made
/// a job since the previous look. All fire times that passed meanwhile are served by **one** job: the
/// time after a look is never looked at again.
///
/// At the first look the record stands for the previous one: fire times that passed while no service
/// ran are caught up, once. Without a record of an earlier job nothing is known to be missed, and the
/// first fire time from then on counts.
pub fn due(
    quartz: &Quartz,
    last_scheduled_at: Option<DateTime<Utc>>,
    last_wake_up: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
) -> Option<DateTime<Utc>> {
    let since = match (last_wake_up, last_scheduled_at) {
        (Some(wake_up), Some(scheduled)) if scheduled > wake_up => return None,
        (Some(wake_up), _) => wake_up,
        (None, Some(scheduled)) => scheduled,
        (None, None) => return None,
    };
    quartz
        .next_after(since)
        .filter(|fire_time| *fire_time <= now)
}

#[cfg(test)]
mod tests {
    use chrono::{Duration, TimeZone};
    use proptest::prelude::*;

    use super::*;

    fn at(hour: u32, minute: u32, second: u32) -> DateTime<Utc> {
        Utc.with_ymd_and_hms(2026, 11, 25, hour, minute, second)
            .unwrap()
    }

    /// Every full hour.
    fn hourly() -> Quartz {
        Quartz::parse("0 0 * * * ?").unwrap()
    }

    #[test]
    fn due_when_a_fire_time_lies_between_two_looks() {
        let looks = (Some(at(6, 59, 45)), at(7, 0, 15));
        assert_eq!(due(&hourly(), None, looks.0, looks.1), Some(at(7, 0, 0)));
        assert_eq!(
            due(&hourly(), Some(at(6, 0, 5)), looks.0, looks.1),
            Some(at(7, 0, 0))
        );
        assert_eq!(due(&hourly(), None, Some(at(7, 0, 15)), at(7, 0, 45)), None);
        // The edges: a fire time belongs to the look that it does not come after.
        assert_eq!(
            due(&hourly(), None, Some(at(6, 59, 30)), at(7, 0, 0)),
            Some(at(7, 0, 0))
        );
        assert_eq!(due(&hourly(), None, Some(at(7, 0, 0)), at(7, 0, 30)), None);
    }

    #[test]
    fn another_instance_was_faster() {
        assert_eq!(
            due(
                &hourly(),
                Some(at(7, 0, 2)),
                Some(at(6, 59, 45)),
                at(7, 0, 15)
            ),
            None
        );
    }

    #[test]
    fn missed_times_are_caught_up_once() {
        // Off from 03:00 to 07:20, with the last job at 03:00.
        let restart = at(7, 20, 0);
        assert_eq!(
            due(&hourly(), Some(at(3, 0, 10)), None, restart),
            Some(at(4, 0, 0))
        );
        assert_eq!(
            due(&hourly(), Some(restart), Some(restart), at(7, 20, 30)),
            None
        );
        assert_eq!(
            due(&hourly(), Some(restart), Some(restart), at(8, 0, 10)),
            Some(at(8, 0, 0))
        );
        // A loop that was held up does the same.
        assert_eq!(
            due(&hourly(), Some(at(3, 0, 10)), Some(at(3, 0, 10)), restart),
            Some(at(4, 0, 0))
        );
    }

    #[test]
    fn a_first_look_without_a_record_waits_for_the_next_time() {
        assert_eq!(due(&hourly(), None, None, at(7, 0, 0)), None);
        assert_eq!(
            due(&hourly(), None, Some(at(7, 0, 0)), at(8, 0, 0)),
            Some(at(8, 0, 0))
        );
    }

    #[test]
    fn a_schedule_switched_on_again_does_not_catch_up_while_the_service_runs() {
        let long_ago = at(7, 0, 0) - Duration::days(400);
        assert_eq!(
            due(&hourly(), Some(long_ago), Some(at(7, 10, 0)), at(7, 10, 30)),
            None
        );
    }

    #[test]
    fn a_schedule_that_is_off_is_never_due() {
        let mut schedule = Schedule {
            enabled: false,
            interval: "nonsense".into(),
        };
        assert_eq!(schedule.due(Some(at(3, 0, 0)), None, at(7, 0, 0)), Ok(None));
        assert_eq!(schedule.next_after(at(7, 0, 0)), Ok(None));
        schedule.enabled = true;
        assert!(schedule.due(Some(at(3, 0, 0)), None, at(7, 0, 0)).is_err());
        schedule.interval = DEFAULT_INTERVAL.into();
        assert_eq!(
            schedule.next_after(at(7, 0, 0)),
            Ok(Some(at(0, 0, 0) + Duration::days(1)))
        );
    }

    proptest! {
        /// Looks at any distance, restarts between them: no job without a fire time, no fire time
        /// served twice, and none left once an instance that knows an earlier job has looked.
        #[test]
        fn every_fire_time_is_served_exactly_once(
            steps in prop::collection::vec((1_i64..4000, prop::bool::weighted(0.2)), 1..60),
            minutes in 1_u32..60,
        ) {
            let quartz = Quartz::parse(&format!("0 0/{minutes} * * * ?")).unwrap();
            let start = at(0, 0, 1);
            let mut scheduled = Some(start);
            let mut wake_up = None;
            let mut now = start;
            let mut unserved_since = start;
            for (seconds, restarted) in steps {
                now += Duration::seconds(seconds);
                if restarted {
                    wake_up = None;
                }
                let fired = quartz.next_after(unserved_since).filter(|time| *time <= now);
                let found = due(&quartz, scheduled, wake_up, now);
                prop_assert_eq!(found, fired);
                if found.is_some() {
                    scheduled = Some(now);
                    unserved_since = now;
                }
                wake_up = Some(now);
            }
        }
    }
}
