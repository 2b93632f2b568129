//! Order, deletions, counters and memory where several things happen at once.

use crate::world::*;
use serde_json::json;
use std::sync::atomic::{AtomicBool, Ordering};
use tributary_testkit::memory::{Call, Fault, MemoryTarget};

const BUSY: &str = "es_rejected_execution_exception";

#[tokio::test(start_paused = true)]
async fn the_newest_version_wins_whenever_an_older_one_is_due_again() {
    for moment in 0..60 {
        let is_first = AtomicBool::new(true);
        let target = MemoryTarget::scripted(move |_, call| match call {
            Call::Bulk(_) if is_first.swap(false, Ordering::SeqCst) => {
                Some(Fault::Items(vec![("x".into(), 429, BUSY)]))
            }
            _ => None,
        });
        let steps = vec![
            Step::Upsert("x", json!({"v": 1})),
            Step::Sleep(1200), // version 1 was refused by now and waits for its next attempt
            Step::Upsert("x", json!({"v": 2})),
            Step::Sleep(200 + moment * 10),
            Step::Upsert("x", json!({"v": 3})),
        ];
        let ran = World::new(Script::of(vec![steps]), target).run().await;
        assert_eq!(ran.target.source("x").unwrap()["v"], 3, "moment {moment}");
    }
}
