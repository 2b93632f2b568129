//! Is it still there?

use crate::tree::{Tree, os, source};
use serde_json::{Value, json, value::RawValue};
use std::{os::unix::ffi::OsStrExt, path::Path};
use tributary_files::{path_id, path_text};
use tributary_sdk::{
    DocId, DocRef, ErrorKind,
    Presence::{self, Gone, Present, Unknown},
    Session,
};
use tributary_testkit::walk::Walked;

fn stored(id: &str, body: &Value) -> DocRef {
    DocRef {
        id: DocId::from(id),
        stored: RawValue::from_string(body.to_string()).unwrap(),
    }
}

/// The document of a path, as far as the source reads it.
fn document(path: &Path) -> DocRef {
    let path = path.as_os_str().as_bytes();
    stored(&path_id(path), &json!({ "path": path_text(path) }))
}

/// The documents of a walk, as the index would hold them.
fn all(walked: &Walked) -> Vec<DocRef> {
    let ids = walked.documents.iter().map(|document| document.id.as_str());
    ids.map(|id| stored(id, &Value::Object(walked.body(id).unwrap())))
        .collect()
}

async fn ask(session: &dyn Session, docs: &[DocRef]) -> Vec<Presence> {
    let answers = session.confirm(docs).await.unwrap();
    assert_eq!(answers.len(), docs.len());
    answers
}

#[tokio::test]
async fn what_was_listed_is_present_until_it_is_gone() {
    let tree = Tree::new([("a/x.md", ""), ("a/y.md", ""), ("b/z.md", "")]);
    tree.file(os(b"b/\xff.md"), "");
    tree.link("link.md", "a/x.md");
    let docs = all(&tree.walk("**/*.md").await);
    let session = tree.open("**/*.md").await;
    assert_eq!(ask(&*session, &docs).await, [Present; 5]);
    std::fs::remove_file(tree.path("a/x.md")).unwrap();
    std::fs::remove_dir_all(tree.path("b")).unwrap();
    // In the order of the walk: a/x.md, a/y.md, b/z.md, b/\xff.md, link.md (now broken).
    assert_eq!(
        ask(&*session, &docs).await,
        [Gone, Present, Gone, Gone, Gone]
    );
    assert_eq!(ask(&*session, &[]).await, []);
}

#[tokio::test]
async fn what_the_walk_would_not_list_is_gone() {
    let tree = Tree::new([
        ("a.md", ""),
        ("a.txt", ""),
        ("d/b.md", ""),
        ("e/b.md", ""),
        ("f/b.md", ""),
    ]);
    let session = tree.open("**/*.md").await;
    let docs: Vec<_> = ["a.md", "a.txt", "d/b.md", "e/b.md", "f/b.md"]
        .map(|below| document(&tree.path(below)))
        .into();
    assert_eq!(
        ask(&*session, &docs).await,
        [Present, Gone, Present, Present, Present]
    );
    // A link instead of a folder: no `**` enters it.
    std::fs::rename(tree.path("d"), tree.beside("d")).unwrap();
    tree.link("d", "../d");
    // A folder instead of a file, and a file instead of a folder.
    std::fs::remove_file(tree.path("e/b.md")).unwrap();
    tree.folder("e/b.md");
    std::fs::remove_dir_all(tree.path("f")).unwrap();
    tree.file("f", "");
    assert_eq!(
        ask(&*session, &docs).await,
        [Present, Gone, Gone, Gone, Gone]
    );
}

#[tokio::test]
async fn what_is_not_ours_is_unknown() {
    let tree = Tree::new([("a.md", "")]);
    std::fs::write(tree.beside("b.md"), "").unwrap();
    let session = tree.open("**/*.md").await;
    let path = tree.path("a.md");
    let text = path.to_str().unwrap();
    let id = path_id(text.as_bytes());
    let docs = [
        document(&path),
        document(&tree.beside("b.md")),
        document(&tree.beside("tree-2/a.md")),
        document(&tree.path("../b.md")),
        document(&tree.path("x/../../nothing.md")),
        document(&tree.root()),
        stored("another id", &json!({ "path": text })),
        stored(&id, &json!({ "path": 7 })),
        stored(&id, &json!({})),
        stored(&id, &json!([])),
    ];
    let mut expected = [Unknown; 10];
    expected[0] = Present;
    assert_eq!(ask(&*session, &docs).await, expected);
}

/// The file was on another disk than the folder that is left of its path: it may be unmounted.
#[tokio::test]
async fn what_was_on_another_disk_is_unknown() {
    let tree = Tree::new([("a/x.md", "")]);
    let docs = all(&tree.walk("**/*.md").await);
    let body: Value = serde_json::from_str(docs[0].stored.get()).unwrap();
    std::fs::remove_dir_all(tree.path("a")).unwrap();
    let mut elsewhere = body.clone();
    elsewhere["device_inode_reside"] = json!(body["device_inode_reside"].as_u64().unwrap() + 1);
    let id = docs[0].id.as_str();
    let session = tree.open("**/*.md").await;
    let docs = [stored(id, &body), stored(id, &elsewhere)];
    assert_eq!(ask(&*session, &docs).await, [Gone, Unknown]);
}

#[tokio::test]
async fn without_the_directory_there_is_no_answer() {
    let tree = Tree::new([("a.md", "")]);
    let docs = [document(&tree.path("a.md")), document(&tree.path("b.md"))];
    let session = tree.open("**/*.md").await;
    std::fs::rename(tree.root(), tree.beside("away")).unwrap();
    let error = session.confirm(&docs).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    // Another directory in its place, as an empty mount point is.
    std::fs::create_dir(tree.root()).unwrap();
    let error = session.confirm(&docs).await.unwrap_err();
    assert!(error.message().contains("replaced"), "{error}");
    std::fs::remove_dir(tree.root()).unwrap();
    std::fs::rename(tree.beside("away"), tree.root()).unwrap();
    assert_eq!(ask(&*session, &docs).await, [Present, Gone]);
}

#[tokio::test]
async fn outside_of_the_allowed_directories_nothing_is_read() {
    let tree = Tree::new([("in.md", "in"), ("d/x.md", "x")]);
    std::fs::write(tree.beside("secret.md"), "secret").unwrap();
    tree.link("inside.md", "in.md");
    tree.link("outside.md", "../secret.md");
    tree.link("folder", "..");
    let root = tree.root();
    let root = root.to_str().unwrap();
    for (allowed, expected) in [
        (json!({}), vec!["in.md", "inside.md", "outside.md"]),
        (
            json!({ "allowed_directories": [root] }),
            vec!["in.md", "inside.md"],
        ),
        (
            json!({ "allowed_directories": [tree.beside(""), "/nowhere"] }),
            vec!["in.md", "inside.md", "outside.md"],
        ),
    ] {
        let source = source(root, "*.md", allowed).unwrap();
        let session = crate::tree::open(&*source).await.unwrap();
        let walked = tributary_testkit::walk::walk_all(session).await.unwrap();
        assert_eq!(tree.paths(&walked), expected);
    }
    let source = source(root, "*/*.md", json!({ "allowed_directories": [root] })).unwrap();
    let session = crate::tree::open(&*source).await.unwrap();
    let walked = tributary_testkit::walk::walk_all(session.clone())
        .await
        .unwrap();
    assert_eq!(tree.paths(&walked), ["d/x.md"]);
    let docs = ["outside.md", "folder/secret.md"].map(|below| document(&tree.path(below)));
    assert_eq!(ask(&*session, &docs).await, [Gone, Gone]);
    // A link that changes between listing and reading.
    std::fs::remove_file(tree.path("d/x.md")).unwrap();
    tree.link("d/x.md", "../../secret.md");
    let read = tributary_testkit::walk::fetch(&*session, &walked.documents[0], 100).await;
    assert_eq!(read.unwrap_err().kind(), ErrorKind::Forbidden);
}
