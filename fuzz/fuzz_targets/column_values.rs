//! Binary values of PostgreSQL, of every type that is built in.
#![no_main]

use libfuzzer_sys::fuzz_target;
use serde_json::value::RawValue;
use tributary_fuzz::within;
use tributary_source_postgresql::fuzzing::decode;

/// Object ids of types.
const NUMERIC: u16 = 1700;
const NUMERIC_ARRAY: u16 = 1231;

fuzz_target!(|input: (u16, bool, &[u8])| {
    let (oid, exact, bytes) = input;
    // Each `numeric` has up to 131,072 digits before the point, in ten bytes.
    let factor = match oid {
        NUMERIC | NUMERIC_ARRAY => 64 << 10,
        _ => 512,
    };
    let decoded = within(factor, bytes.len(), || decode(oid.into(), bytes, exact));
    if let Some((Some(json), _)) = decoded {
        let text = String::from_utf8(json).expect("text");
        assert!(serde_json::from_str::<&RawValue>(&text).is_ok(), "{text}");
    }
});
