//! The answer to a bulk request: one verdict for each operation, or no answer.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tributary_elastic::fuzzing::bulk_answer;
use tributary_fuzz::within;

fuzz_target!(|body: &[u8]| {
    // As many operations as there seem to be items.
    let operations: String = body
        .windows(3)
        .filter_map(|word| match word {
            b"\"in" => Some('i'),
            b"\"up" => Some('u'),
            b"\"de" => Some('d'),
            _ => None,
        })
        .collect();
    within(512, body.len(), || {
        if let Some(count) = bulk_answer(body, &operations) {
            assert_eq!(count, operations.chars().count());
        }
    });
});
