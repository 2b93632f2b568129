//! Documents as the sheet has them (§5).

use crate::tree::{Tree, os};
use serde_json::json;
use std::{
    fs::File,
    os::unix::fs::MetadataExt,
    time::{Duration, UNIX_EPOCH},
};
use tributary_sdk::{Access, Listing, Scope, Stamp};

/// A moment on the disk.
fn touch(path: &std::path::Path, seconds: u64, nanoseconds: u32) {
    let moment = UNIX_EPOCH + Duration::new(seconds, nanoseconds);
    let file = File::options().write(true).open(path).unwrap();
    file.set_modified(moment).unwrap();
}

#[tokio::test]
async fn a_file_becomes_the_document_of_the_sheet() {
    let tree = Tree::new([("a/b.txt", "hello")]);
    let path = tree.path("a/b.txt");
    touch(&path, 1_795_391_727, 832_924_000);
    let facts = path.metadata().unwrap();

    let walked = tree.walk("**/*.*").await;
    let [document] = walked.documents.as_slice() else {
        panic!("{} documents", walked.documents.len());
    };
    let text = path.to_str().unwrap();
    assert_eq!(
        document.id.as_str(),
        tributary_files::path_id(text.as_bytes())
    );
    let modified = "2026-11-22T23:55:27.832924+00:00";
    assert_eq!(document.stamp, Stamp::Item(modified.into()));
    let seconds = |whole: i64, nanoseconds: i64| whole as f64 + 1e-9 * nanoseconds as f64;
    let body = walked.body(document.id.as_str()).unwrap();
    let expected = json!({
        "path": text,
        "last_modified_time": modified,
        "inode_protection_mode": facts.mode(),
        "inode_number": facts.ino(),
        "device_inode_reside": facts.dev(),
        "number_of_links": 1,
        "uid": facts.uid(),
        "gid": facts.gid(),
        "ctime": seconds(facts.ctime(), facts.ctime_nsec()),
        "last_access_time": seconds(facts.atime(), facts.atime_nsec()),
        "size": 5,
    });
    assert_eq!(serde_json::Value::Object(body.clone()), expected);
    // In the order of the sheet; times as doubles, all else as whole numbers.
    assert!(body.keys().eq(expected.as_object().unwrap().keys()));
    assert!(body["ctime"].is_f64() && body["last_access_time"].is_f64());
    assert!(body["inode_protection_mode"].as_u64().unwrap() & 0o170_000 == 0o100_000);

    assert_eq!(document.access, Access::Unrestricted);
    assert_eq!(document.home, Some(Scope::root().child("folder", "a")));
    let file = document.attachment.as_ref().unwrap();
    assert_eq!((file.name.as_str(), file.size), ("b.txt", Some(5)));
}

#[tokio::test]
async fn whole_seconds_have_no_fraction() {
    let tree = Tree::new([("a.txt", "")]);
    touch(&tree.path("a.txt"), 1_795_391_727, 0);
    let walked = tree.walk("**/*.*").await;
    let modified = "2026-11-22T23:55:27+00:00";
    assert_eq!(walked.documents[0].stamp, Stamp::Item(modified.into()));
}

#[tokio::test]
async fn the_version_of_a_file_follows_its_bytes() {
    let tree = Tree::new([("a.txt", "one"), ("b.txt", "two")]);
    let version = |walked: &tributary_testkit::walk::Walked, index: usize| {
        let file = walked.documents[index].attachment.as_ref().unwrap();
        file.version.clone().unwrap()
    };
    let before = tree.walk("*").await;
    let path = tree.path("a.txt");
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let after = tree.walk("*").await;
    assert_eq!(version(&before, 0), version(&after, 0), "other rights");
    touch(&path, 1_000_000_000, 7);
    let touched = tree.walk("*").await;
    assert_ne!(version(&before, 0), version(&touched, 0));
    // Another file of the same size and moment.
    tree.file("new", "eno");
    touch(&tree.path("new"), 1_000_000_000, 7);
    std::fs::rename(tree.path("new"), &path).unwrap();
    let replaced = tree.walk("*").await;
    assert_ne!(version(&touched, 0), version(&replaced, 0));
    assert_eq!(version(&before, 1), version(&replaced, 1));
}

#[tokio::test]
async fn a_name_that_is_not_utf8_is_escaped_and_keeps_its_bytes() {
    let tree = Tree::new([("a\\xff.txt", "plain")]);
    tree.file(os(b"a\xff.txt"), "odd");
    tree.file(os(b"d\xe4/x.txt"), "below");
    let walked = tree.walk("**/*").await;
    let paths = tree.paths(&walked);
    assert_eq!(paths, ["a\\xff.txt", "a\\xff.txt", "d\\xe4/x.txt"]);
    let ids: std::collections::BTreeSet<_> = walked.ids().into_iter().collect();
    assert_eq!(ids.len(), 3, "two paths of one text are two documents");
    let session = tree.open("**/*").await;
    let mut texts = Vec::new();
    for document in &walked.documents {
        let content = tributary_testkit::walk::fetch(&*session, document, 100).await;
        texts.push(content.unwrap());
    }
    texts.sort();
    assert_eq!(texts, ["YmVsb3c=", "b2Rk", "cGxhaW4="]);
}

#[tokio::test]
async fn promises_what_the_walk_keeps() {
    let tree = Tree::new([]);
    let promises = tree.open("**/*").await.promises();
    assert_eq!(promises.listing, Listing::Keyed);
    assert!(promises.ids_stay);
    assert_eq!(promises.parallel, 1);
}
