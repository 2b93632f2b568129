//! Files that belong to documents.

use crate::world::*;
use serde_json::json;
use std::collections::HashMap;
use tributary_engine::{TargetErrorKind, Verdict};
use tributary_sdk::{ErrorKind, Promises};
use tributary_testkit::memory::{Call, Fault, MemoryTarget};

fn with_files(steps: Vec<Step>, files: &[(&'static str, usize)]) -> Script {
    let mut script = Script::of(vec![steps]);
    script.files = files
        .iter()
        .map(|(name, size)| (*name, vec![b'x'; *size]))
        .collect();
    script
}

fn file(id: &str, name: &'static str, size: Option<u64>) -> Step {
    Step::Document(doc(id).with_file(name, size))
}

#[tokio::test(start_paused = true)]
async fn the_file_travels_as_base64() {
    let mut script = with_files(
        vec![
            file("a", "a.txt", Some(5)),
            file("b", "b.png", Some(5)),
            file("c", "c.md", None),
            file("d", "d.txt", Some(0)),
        ],
        &[("b.png", 5), ("c.md", 4), ("d.txt", 0)],
    );
    script.files.insert("a.txt", b"hello".to_vec());
    let ran = World::new(script, MemoryTarget::default()).run().await;
    let attachment = |id: &str| ran.target.source(id).unwrap().get("_attachment").cloned();
    assert_eq!(attachment("a"), Some(json!("aGVsbG8=")));
    assert_eq!(attachment("b"), None);
    assert_eq!(attachment("c"), Some(json!("eHh4eA==")));
    assert_eq!(attachment("d"), Some(json!("")));
    assert_eq!(ran.counters().downloads, 3);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_read_when_content_is_not_wanted() {
    let script = with_files(vec![file("a", "a.txt", Some(5))], &[("a.txt", 5)]);
    let mut world = World::new(script, MemoryTarget::default());
    world.job.run.content = false;
    let ran = world.run().await;
    assert!(ran.target.source("a").unwrap().get("_attachment").is_none());
    assert!(ran.script.reads.lock().unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_file_that_cannot_be_read_costs_its_content_and_no_more() {
    let mut script = with_files(
        vec![
            file("gone", "gone.txt", Some(5)),
            file("large", "large.txt", Some(101)),
            file("liar", "liar.txt", Some(3)),
            file("slow", "slow.txt", Some(5)),
            file("denied", "denied.txt", Some(5)),
        ],
        &[
            ("large.txt", 101),
            ("liar.txt", 50),
            ("slow.txt", 5),
            ("denied.txt", 5),
        ],
    );
    script.file_errors = HashMap::from([
        ("slow.txt", vec![ErrorKind::Timeout, ErrorKind::Unavailable]),
        ("denied.txt", vec![ErrorKind::Forbidden; 9]),
    ]);
    let world = World::new(script, MemoryTarget::default())
        .settings(|settings| settings.max_file_size = 100);
    let ran = world.run().await;
    assert_eq!(ran.outcome.verdict, Verdict::Completed);
    assert_eq!(
        ran.target.ids(),
        ["denied", "gone", "large", "liar", "slow"]
    );
    assert_eq!(
        ran.target.source("slow").unwrap()["_attachment"],
        "eHh4eHg="
    );
    let counters = ran.counters();
    assert_eq!(
        (
            counters.downloads,
            counters.without_content,
            counters.content_too_large
        ),
        (1, 3, 1)
    );
    assert_eq!(ran.outcome.oddities.len(), 4);
    assert_eq!(
        ran.script.reads.lock().unwrap()["denied.txt"],
        1,
        "asking again would not help"
    );
}

#[tokio::test(start_paused = true)]
async fn an_account_that_is_refused_while_reading_files_ends_the_job() {
    let mut script = with_files(vec![file("a", "a.txt", Some(5))], &[("a.txt", 5)]);
    script.file_errors = HashMap::from([("a.txt", vec![ErrorKind::Unauthorised])]);
    let ran = World::new(script, MemoryTarget::default()).run().await;
    assert!(matches!(ran.outcome.verdict, Verdict::Failed(_)));
}

#[tokio::test(start_paused = true)]
async fn small_pools_never_stall() {
    for (documents, content) in [(1, 1), (300, 10), (2000, 100), (1 << 20, 1 << 20)] {
        let names: [&'static str; 4] = ["a.txt", "b.txt", "c.txt", "d.txt"];
        let unit = |unit: usize| {
            let step = move |n: usize| {
                let id = format!("{unit}-{n}");
                match n % 3 {
                    0 => Step::Document(doc(id)),
                    1 => file(&id, names[n % 4], Some(40)),
                    _ => file(&id, names[n % 4], None),
                }
            };
            (0..15).map(step).collect::<Vec<_>>()
        };
        let mut script = Script::of((0..4).map(unit).collect());
        script.files = names.iter().map(|name| (*name, vec![1; 40])).collect();
        let world = World::new(script, MemoryTarget::default()).settings(|settings| {
            settings.document_pool = documents;
            settings.content_pool = content;
            settings.max_file_size = 60;
        });
        let ran = world.run().await;
        assert_eq!(ran.outcome.verdict, Verdict::Completed);
        assert_eq!((ran.counters().indexed, ran.counters().downloads), (60, 40));
    }
}

#[tokio::test(start_paused = true)]
async fn a_newer_version_replaces_one_whose_file_is_being_read() {
    let mut steps = Vec::new();
    for n in 0..6 {
        let mut document = doc("x").with_file("x.txt", Some(5));
        document.body = json!({"v": n});
        steps.push(Step::Document(document));
        steps.push(Step::Sleep(if n % 2 == 0 { 0 } else { 1500 }));
    }
    steps.push(Step::Upsert("x", json!({"v": "last"})));
    let script = with_files(steps, &[("x.txt", 5)]);
    let script = script.promising(Promises {
        parallel: 1,
        ..snapshot()
    });
    let ran = World::new(script, MemoryTarget::default()).run().await;
    let source = ran.target.source("x").unwrap();
    assert_eq!(source["v"], "last");
    assert!(source.get("_attachment").is_none());
    assert_eq!(ran.counters().indexed, 1);
}

#[tokio::test(start_paused = true)]
async fn a_document_too_large_for_the_server_loses_its_content() {
    let script = with_files(
        vec![file("a", "a.txt", Some(5)), file("b", "b.txt", Some(5))],
        &[("a.txt", 5), ("b.txt", 5)],
    );
    let target = MemoryTarget::scripted(|number, call| match call {
        // After prepare and token: the batch and its first half are refused; then the first document
        // goes without its file.
        Call::Bulk(_) if number <= 4 => Some(Fault::Refused(TargetErrorKind::TooLarge)),
        _ => None,
    });
    let ran = World::new(script, target).run().await;
    assert_eq!(ran.outcome.verdict, Verdict::Completed);
    let with_content = ["a", "b"]
        .into_iter()
        .filter(|id| ran.target.source(id).unwrap().get("_attachment").is_some());
    assert_eq!(with_content.count(), 1);
    assert_eq!(ran.counters().without_content, 1);
}
