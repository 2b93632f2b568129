//! All else that a server or a proxy before it may answer.
#![no_main]

use chrono::{DateTime, Utc};
use libfuzzer_sys::fuzz_target;
use tributary_elastic::fuzzing;
use tributary_fuzz::within;

fuzz_target!(|input: (u16, u64, &str, &[u8])| {
    let (status, length, text, body) = input;
    within(256, text.len() + body.len(), || {
        fuzzing::refusal(body, status);
        fuzzing::sentence(text, body, length);
        fuzzing::server(body, Some(text));
        fuzzing::page(body);
        fuzzing::token(body);
        let wait = fuzzing::retry_after(text, DateTime::<Utc>::UNIX_EPOCH);
        assert!(wait.is_none_or(|wait| wait.as_secs() <= 300));
    });
});
