//! Patterns of files, and names of files that are no text.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tributary_files::{Moment, PathKey, Pattern, path_from_text, path_id, path_text};
use tributary_fuzz::within;

fuzz_target!(|input: (&str, &[u8], i64, u32)| {
    let (pattern, path, seconds, nanoseconds) = input;
    within(64, pattern.len() + path.len(), || {
        let text = path_text(path);
        let id = path_id(path);
        assert_eq!(path_from_text(&text, &id).as_deref(), Some(path));
        path_from_text(pattern, &id);
        let key = serde_json::to_vec(&PathKey::new(path)).expect("a key");
        let key: PathKey = serde_json::from_slice(&key).expect("a key that we wrote");
        assert_eq!(key.as_bytes(), path);
        let moment = Moment {
            seconds,
            nanoseconds: nanoseconds % 1_000_000_000,
        };
        moment.as_text();
        let Ok(pattern) = Pattern::new(pattern) else {
            return;
        };
        let mut folder = pattern.start();
        for name in path.split(|byte| *byte == b'/') {
            pattern.lists(folder, name);
            pattern.names(folder).count();
            pattern.needs_listing(folder);
            folder = pattern.enter(folder, name, seconds % 2 == 0);
        }
    });
});
