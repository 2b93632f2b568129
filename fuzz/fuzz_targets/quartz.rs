//! Schedules: every expression is read or refused, and a moment that it names is later and is named again.
#![no_main]

use chrono::{DateTime, TimeDelta};
use libfuzzer_sys::fuzz_target;
use tributary_fuzz::within;
use tributary_protocol::Quartz;

fuzz_target!(|input: (i64, &str)| {
    let (seconds, text) = input;
    within(64, text.len(), || {
        let Ok(quartz) = Quartz::parse(text) else {
            return;
        };
        assert_eq!(Quartz::parse(quartz.as_str()).as_ref(), Ok(&quartz));
        let Some(after) = DateTime::from_timestamp(seconds, 0) else {
            return;
        };
        if let Some(next) = quartz.next_after(after) {
            assert!(next > after);
            let before = next - TimeDelta::seconds(1);
            assert_eq!(quartz.next_after(before), Some(next));
        }
    });
});
