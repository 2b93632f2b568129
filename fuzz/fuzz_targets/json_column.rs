//! A JSON column: what comes out is JSON, and comes out the same when it goes in again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use serde_json::value::RawValue;
use tributary_fuzz::within;
use tributary_sql::normalise_json;

fuzz_target!(|text: &[u8]| {
    let mut once = String::from("before");
    let read = within(256, text.len(), || normalise_json(text, &mut once));
    if read.is_err() {
        assert_eq!(once, "before");
        return;
    }
    let once = &once["before".len()..];
    assert!(serde_json::from_str::<&RawValue>(once).is_ok(), "{once}");
    let mut twice = String::new();
    normalise_json(once.as_bytes(), &mut twice).expect("JSON that we wrote");
    assert_eq!(once, twice);
});
