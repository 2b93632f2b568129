//! The head of the state, and the token in it: read, written and read again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::sync::Arc;
use tributary_fuzz::{wait, within};
use tributary_state::{Folder, Head, MemoryFolder, fuzzing};

async fn load(bytes: Vec<u8>) -> Option<Head> {
    let folder = Arc::new(MemoryFolder::default());
    folder.append("head", bytes).await.expect("memory");
    Head::load(folder).await.ok()?
}

fuzz_target!(|content: &[u8]| {
    let (what, format) = fuzzing::HEAD;
    let input = content.len();
    within(256, input, || wait(load(content.to_vec())));
    // Lines are blocks with right checksums.
    let mut kind = b'h';
    let mut blocks = Vec::new();
    for line in content.split(|byte| *byte == b'\n') {
        blocks.push((kind, line));
        kind = b'u';
    }
    let file = fuzzing::file(what, format, &blocks);
    let Some(head) = within(256, input, || wait(load(file))) else {
        return;
    };
    if let Some(token) = &head.token {
        let _ = token.compare(token);
    }
    let folder = Arc::new(MemoryFolder::default());
    let again = wait(async {
        head.save(&*folder).await.expect("memory");
        Head::load(folder).await.expect("what was written is read")
    });
    assert_eq!(format!("{:?}", Some(head)), format!("{again:?}"));
});
