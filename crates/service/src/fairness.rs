//! Whose job is next.

use std::collections::HashMap;
use tributary_protocol::SyncJob;

/// When each connector was last served, as the number of the serving.
#[derive(Debug, Default)]
pub(crate) struct Turns {
    served: HashMap<String, u64>,
    count: u64,
}

impl Turns {
    /// Puts waiting jobs into the order in which they are to be tried: one of each connector, its
    /// oldest; the connector that was served longest ago first, and among equals the oldest job.
    ///
    /// So a connector with many jobs, or with a job that cannot be claimed, holds up nobody else.
    pub(crate) fn order<'a, J>(
        &self,
        jobs: impl IntoIterator<Item = &'a J>,
        read: impl Fn(&'a J) -> (&'a str, &'a SyncJob),
    ) -> Vec<&'a J> {
        let mut oldest: HashMap<&str, &'a J> = HashMap::new();
        let age = |job: &'a J| {
            let record = read(job).1;
            (record.created_at, record.id.as_str())
        };
        for job in jobs {
            let kept = oldest.entry(read(job).0).or_insert(job);
            if age(job) < age(kept) {
                *kept = job;
            }
        }
        let mut order: Vec<_> = oldest.into_iter().collect();
        order.sort_by_key(|(connector, job)| (self.served.get(*connector).copied(), age(job)));
        order.into_iter().map(|(_, job)| job).collect()
    }

    /// A job of this connector was tried.
    pub(crate) fn served(&mut self, connector: &str) {
        self.count += 1;
        self.served.insert(connector.to_owned(), self.count);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn job(id: &str, connector: &str, minute: u32) -> SyncJob {
        let source = json!({
            "connector": {"id": connector},
            "created_at": format!("2026-11-25T07:{minute:02}:00Z"),
            "status": "pending",
        });
        SyncJob::from_source(id, source.as_object().unwrap()).unwrap()
    }

    fn order(turns: &Turns, jobs: &[SyncJob]) -> Vec<String> {
        let read = |job: &'_ SyncJob| job.id.clone();
        let order = turns.order(jobs, |job| (job.connector.id.as_deref().unwrap(), job));
        order.into_iter().map(read).collect()
    }

    #[test]
    fn oldest_first_and_one_of_each_connector() {
        let jobs = [
            job("busy-2", "busy", 2),
            job("quiet-5", "quiet", 5),
            job("busy-1", "busy", 1),
            job("busy-3", "busy", 3),
        ];
        let mut turns = Turns::default();
        assert_eq!(order(&turns, &jobs), ["busy-1", "quiet-5"]);
        turns.served("busy");
        assert_eq!(order(&turns, &jobs), ["quiet-5", "busy-1"]);
        turns.served("quiet");
        assert_eq!(order(&turns, &jobs), ["busy-1", "quiet-5"]);
    }

    #[test]
    fn a_newcomer_is_served_before_those_that_were() {
        let mut turns = Turns::default();
        turns.served("old");
        let jobs = [job("old-1", "old", 1), job("new-9", "new", 9)];
        assert_eq!(order(&turns, &jobs), ["new-9", "old-1"]);
    }
}
