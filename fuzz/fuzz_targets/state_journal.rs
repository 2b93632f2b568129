//! The journal of a run: what can be read of it, and that it can be gone on with.
#![no_main]

use libfuzzer_sys::fuzz_target;
use serde_json::{Value, json};
use std::sync::Arc;
use tributary_fuzz::{wait, within};
use tributary_state::{Folder, Journal, MemoryFolder, fuzzing};

async fn go_on(folder: Arc<MemoryFolder>) -> Option<(Journal, Vec<Value>)> {
    let mut entries = Vec::new();
    let journal = Journal::resume(folder, "run", |entry| entries.push(entry)).await;
    Some((journal.ok()?, entries))
}

fn read(file: Vec<u8>) {
    let folder = Arc::new(MemoryFolder::default());
    wait(async {
        folder.append("run", file).await.expect("memory");
        let Some((mut journal, mut before)) = go_on(folder.clone()).await else {
            return;
        };
        let more = json!({"n": 1});
        journal.push(&more).expect("small");
        journal.sync().await.expect("memory");
        before.push(more);
        let (_, after) = go_on(folder).await.expect("it was read before");
        assert_eq!(before, after);
    });
}

fuzz_target!(|content: &[u8]| {
    let (what, format) = fuzzing::JOURNAL;
    let input = content.len();
    let blocks: Vec<_> = content
        .split(|byte| *byte == b'\n')
        .map(|line| (b'e', line))
        .collect();
    let mut file = fuzzing::file(what, format, &blocks);
    within(256, input + 32 * blocks.len(), || read(file.clone()));
    // Torn, and with bytes of anything behind.
    file.truncate(file.len() - input.min(file.len() / 3));
    within(256, input + 32 * blocks.len(), || read(file.clone()));
    file.extend_from_slice(content);
    within(256, input + 32 * blocks.len(), || read(file));
});
