//! Walks as an engine runs them: stopped, resumed, held back, and with the ground pulled away.

use crate::tree::{Tree, open, source_until};
use serde_json::json;
use std::sync::Arc;
use tokio::sync::mpsc;
use tributary_sdk::{
    Cursor, DocRef, End, ErrorKind, Result, Scope, Session, StopSource, Unit,
    emitter::{Budget, Emitter, Item, Origin},
};

struct Walk {
    items: mpsc::Receiver<(Origin, Item)>,
    end: tokio::task::JoinHandle<Result<End>>,
}

/// Begins a walk that may be one item ahead of whoever receives.
fn begin(session: &Arc<dyn Session>, from: Option<Cursor>) -> Walk {
    let budget = Arc::new(Budget::new(1 << 20, 1 << 20));
    let (out, items) = mpsc::channel(1);
    let session = Arc::clone(session);
    let end = tokio::spawn(async move {
        let unit = Unit::new(Scope::root());
        let emitter = Emitter::new(Some(&unit), &budget, &out);
        session.walk(&unit, from, &emitter).await
    });
    Walk { items, end }
}

enum Step {
    Document(String),
    Checkpoint(Cursor),
}

impl Walk {
    async fn next(&mut self) -> Option<Step> {
        match self.items.recv().await?.1 {
            Item::Upsert(document, _) => Some(Step::Document(document.id.to_string())),
            Item::Checkpoint(cursor) => Some(Step::Checkpoint(cursor)),
            other => panic!("{other:?}"),
        }
    }

    async fn rest(mut self) -> Vec<Step> {
        let mut steps = Vec::new();
        while let Some(step) = self.next().await {
            steps.push(step);
        }
        self.end.await.unwrap().unwrap();
        steps
    }
}

fn ids(steps: &[Step]) -> Vec<&str> {
    let documents = steps.iter().filter_map(|step| match step {
        Step::Document(id) => Some(id.as_str()),
        Step::Checkpoint(_) => None,
    });
    documents.collect()
}

/// 2,500 files in 50 folders.
fn large() -> Tree {
    let tree = Tree::new([]);
    for folder in 0..50 {
        tree.folder(&format!("f{folder}"));
        for file in 0..50 {
            let path = tree.path(format!("f{folder}/{file}.txt"));
            std::fs::File::create(path).unwrap();
        }
    }
    tree
}

/// 2,500 files in one folder.
fn flat() -> Tree {
    let tree = Tree::new([]);
    for file in 0..2500 {
        std::fs::File::create(tree.path(file.to_string())).unwrap();
    }
    tree
}

#[tokio::test]
async fn a_walk_that_begins_at_a_checkpoint_emits_the_rest() {
    let tree = large();
    let session = tree.open("**/*").await;
    let whole = begin(&session, None).rest().await;
    assert_eq!(ids(&whole).len(), 2500);
    let mut checkpoints = 0;
    for (position, step) in whole.iter().enumerate() {
        if let Step::Checkpoint(cursor) = step {
            checkpoints += 1;
            // By another session, as after a crash.
            let session = tree.open("**/*").await;
            let rest = begin(&session, Some(cursor.clone())).rest().await;
            assert_eq!(ids(&rest), ids(&whole[position..]));
        }
    }
    assert_eq!(checkpoints, 2);
}

#[tokio::test]
async fn a_checkpoint_of_another_walk_is_dead() {
    let tree = large();
    let session = tree.open("**/*").await;
    let whole = begin(&session, None).rest().await;
    let cursor = whole.iter().find_map(|step| match step {
        Step::Checkpoint(cursor) => Some(cursor.clone()),
        Step::Document(_) => None,
    });
    let other_pattern = tree.open("**/*.txt").await;
    let mut walk = begin(&other_pattern, cursor);
    assert!(walk.next().await.is_none());
    assert_eq!(
        walk.end.await.unwrap().unwrap_err().kind(),
        ErrorKind::DeadCursor
    );
    let walk = begin(&session, Some(Cursor::new(&json!({ "page": 7 })).unwrap()));
    assert_eq!(
        walk.end.await.unwrap().unwrap_err().kind(),
        ErrorKind::DeadCursor
    );
}

#[tokio::test]
async fn a_walk_ends_when_nobody_listens() {
    let tree = large();
    let session = tree.open("**/*").await;
    let mut walk = begin(&session, None);
    assert!(walk.next().await.is_some());
    drop(walk.items);
    assert_eq!(
        walk.end.await.unwrap().unwrap_err().kind(),
        ErrorKind::Stopped
    );
}

#[tokio::test]
async fn a_walk_ends_at_the_stop_signal() {
    let tree = large();
    let stop = StopSource::new();
    let root = tree.root();
    let source = source_until(root.to_str().unwrap(), "**/*", json!({}), stop.signal()).unwrap();
    let session = open(&*source).await.unwrap();
    let mut walk = begin(&session, None);
    assert!(walk.next().await.is_some());
    stop.stop();
    assert_eq!(
        walk.end.await.unwrap().unwrap_err().kind(),
        ErrorKind::Stopped
    );
}

/// The tree vanishes in mid-walk, back-pressure holding the walk where it is. That is not an empty
/// tree, whatever takes its place.
#[tokio::test]
async fn a_directory_that_vanishes_fails_the_walk() {
    // In folders it is noticed by the next listing; in one flat folder, already listed, at the end.
    for (is_flat, replaced) in [(false, false), (false, true), (true, false), (true, true)] {
        let tree = if is_flat { flat() } else { large() };
        let session = tree.open("**/*").await;
        let mut walk = begin(&session, None);
        assert!(walk.next().await.is_some());
        std::fs::rename(tree.root(), tree.beside("away")).unwrap();
        if replaced {
            std::fs::create_dir(tree.root()).unwrap();
        }
        let mut seen = 1;
        while walk.next().await.is_some() {
            seen += 1;
        }
        assert!(seen < 2500);
        let error = walk.end.await.unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert!(error.to_string().contains(tree.root().to_str().unwrap()));
    }
}

/// Changes under the walk: nobody sees a gap, and what stayed is there.
#[tokio::test]
async fn a_tree_that_changes_under_the_walk_is_no_gap() {
    let tree = large();
    let session = tree.open("**/*").await;
    let mut walk = begin(&session, None);
    let mut seen = Vec::new();
    seen.extend(walk.next().await);
    std::fs::remove_dir_all(tree.path("f9")).unwrap();
    std::fs::remove_file(tree.path("f8/7.txt")).unwrap();
    tree.file("f8/new.txt", "");
    seen.extend(walk.rest().await);
    let kept = tree.path("f8/8.txt");
    let id = |path: &std::path::Path| tributary_files::path_id(path.to_str().unwrap().as_bytes());
    assert!(ids(&seen).contains(&id(&kept).as_str()));
    assert!(!ids(&seen).contains(&id(&tree.path("f9/9.txt")).as_str()));
}

#[tokio::test]
async fn documents_are_read_again_one_by_one() {
    let tree = Tree::new([("a/x.md", "one"), ("b.md", "two"), ("c.txt", "")]);
    let session = tree.open("**/*.md").await;
    let walked = tree.walk("**/*").await;
    let docs: Vec<DocRef> = walked
        .documents
        .iter()
        .map(|document| DocRef {
            id: document.id.clone(),
            stored: serde_json::value::to_raw_value(&walked.body(document.id.as_str()).unwrap())
                .unwrap(),
        })
        .collect();
    std::fs::remove_file(tree.path("b.md")).unwrap();
    let budget = Arc::new(Budget::new(1 << 20, 1 << 20));
    let (out, mut items) = mpsc::channel(8);
    let emitter = Emitter::new(Some(&Unit::new(Scope::root())), &budget, &out);
    session.reread(&docs, &emitter).await.unwrap();
    drop((emitter, out));
    let mut again = Vec::new();
    while let Some((_, Item::Upsert(document, _))) = items.recv().await {
        again.push(document);
    }
    // `b.md` is gone, `c.txt` is not of the pattern.
    assert_eq!(again.len(), 1);
    assert_eq!(again[0].id, docs[0].id);
    assert_eq!(again[0].home, walked.documents[0].home);
}
