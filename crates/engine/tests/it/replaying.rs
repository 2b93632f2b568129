//! Single documents are read again.

use crate::world::*;
use serde_json::json;
use std::{collections::HashMap, sync::Arc};
use tributary_engine::Verdict;
use tributary_sdk::ErrorKind;
use tributary_state::MemoryFolder;
use tributary_testkit::memory::MemoryTarget;

struct Place {
    target: Arc<MemoryTarget>,
    folder: Arc<MemoryFolder>,
}

impl Place {
    /// Ten documents, of which one has no content.
    async fn new() -> Self {
        let place = Self {
            target: Arc::default(),
            folder: Arc::default(),
        };
        let mut script = script();
        script.file_errors = HashMap::from([("f.txt", vec![ErrorKind::Forbidden])]);
        let ran = place.world(script).run().await;
        assert_eq!(ran.counters().without_content, 1);
        place
    }

    fn world(&self, script: Script) -> World {
        World::over(Arc::new(script), self.target.clone()).remembering(&self.folder)
    }
}

fn script() -> Script {
    let docs = (0..10).map(|n| Step::Document(doc(format!("{n}"))));
    let file = Step::Document(doc("file").with_file("f.txt", Some(5)));
    let mut script = Script::of(vec![docs.chain([file]).collect()]);
    script.files.insert("f.txt", vec![b'x'; 5]);
    script
}

#[tokio::test(start_paused = true)]
async fn only_the_documents_that_are_asked_for_are_read() {
    let place = Place::new().await;
    let mut script_now = script();
    let file = doc("file").with_file("f.txt", Some(5));
    script_now.rereads = Some(HashMap::from([("file", file)]));
    let replay = |settings: &mut tributary_engine::Settings| settings.replay = vec!["file".into()];
    let ran = place.world(script_now).settings(replay).run().await;
    assert_eq!(ran.outcome.verdict, Verdict::Completed);
    assert!(ran.script.walks.lock().unwrap().is_empty());
    let counters = ran.counters();
    assert_eq!(
        (counters.extracted, counters.indexed, counters.deleted),
        (1, 1, 0)
    );
    assert!(place.target.source("file").unwrap()["_attachment"].is_string());
    // The next full sync finds it where it belongs, and deletes what is gone.
    let mut after = script();
    after.units[0].remove(3);
    let ran = place.world(after).run().await;
    assert_eq!(ran.outcome.verdict, Verdict::Completed);
    assert_eq!(ran.counters().deleted, 1);
    assert_eq!(place.target.ids().len(), 10);
    let again = place.world(script()).run().await;
    assert_eq!(
        (again.counters().indexed, again.counters().unchanged),
        (1, 10)
    );
}

#[tokio::test(start_paused = true)]
async fn a_document_that_changed_back_after_a_replay_is_written() {
    let place = Place::new().await;
    let mut now = script();
    let mut changed = doc("5");
    changed.body = json!({"v": 2});
    now.rereads = Some(HashMap::from([("5", changed)]));
    let replay = |settings: &mut tributary_engine::Settings| settings.replay = vec!["5".into()];
    place.world(now).settings(replay).run().await;
    assert_eq!(place.target.source("5").unwrap()["v"], 2);
    place.world(script()).run().await;
    assert_eq!(place.target.source("5").unwrap()["v"], 1);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_read_by_itself_is_read_by_a_full_sync() {
    let known = HashMap::from([("file", doc("file"))]);
    for (rereads, wanted) in [
        (None, vec!["file"]),
        (Some(HashMap::new()), vec!["file"]),
        (Some(known), vec!["file", "never-indexed"]),
    ] {
        let place = Place::new().await;
        let mut now = script();
        now.rereads = rereads;
        now.units[0].push(Step::Upsert("never-indexed", json!({"v": 1})));
        now.units[0].remove(0);
        let world = place.world(now).settings(|settings| {
            settings.replay = wanted.iter().map(|id| (*id).into()).collect();
        });
        let ran = world.run().await;
        assert_eq!(ran.outcome.verdict, Verdict::Completed);
        assert_eq!(*ran.script.walks.lock().unwrap(), [0]);
        assert!(place.target.ids().contains(&"never-indexed".into()));
        assert!(!place.target.ids().contains(&"0".into()));
        assert!(place.target.source("file").unwrap()["_attachment"].is_string());
    }
}
