//! The bytes of files, also of files that change while nobody looks.

use crate::tree::Tree;
use base64::{Engine, engine::general_purpose::STANDARD};
use std::process::Command;
use tributary_sdk::{ErrorKind, Result};
use tributary_testkit::walk::fetch;

const LIMIT: usize = 10 * 1024 * 1024;

/// Lists the one file of the tree, lets `change` happen, and reads it.
async fn read_after(tree: &Tree, change: impl FnOnce()) -> Result<String> {
    let session = tree.open("**/*").await;
    let walked = tree.walk("**/*").await;
    assert_eq!(walked.documents.len(), 1);
    change();
    let text = fetch(&*session, &walked.documents[0], LIMIT).await?;
    Ok(String::from_utf8(STANDARD.decode(text).unwrap()).unwrap())
}

#[tokio::test]
async fn reads_any_size() {
    for size in [0, 1, 64 * 1024 - 1, 64 * 1024, 64 * 1024 + 1, 300_001] {
        let text = "0123456789abcdef".repeat(size / 16 + 1);
        let tree = Tree::new([("a.txt", &text[..size])]);
        let found = read_after(&tree, || {}).await.unwrap();
        assert!(found == text[..size], "{size} bytes");
    }
}

#[tokio::test]
async fn a_file_that_grew_is_read_as_far_as_it_was_listed() {
    let tree = Tree::new([("a.log", "first\n")]);
    let found = read_after(&tree, || tree.file("a.log", "first\nsecond\n")).await;
    assert_eq!(found.unwrap(), "first\n");
}

#[tokio::test]
async fn a_file_that_shrank_is_read_to_its_end() {
    let tree = Tree::new([("a.log", "first\nsecond\n")]);
    let found = read_after(&tree, || tree.file("a.log", "new\n")).await;
    assert_eq!(found.unwrap(), "new\n");
}

#[tokio::test]
async fn a_file_that_went_away_is_not_found() {
    let tree = Tree::new([("a.log", "first\n")]);
    let gone = read_after(&tree, || std::fs::remove_file(tree.path("a.log")).unwrap()).await;
    let error = gone.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.to_string().contains("a.log"), "{error}");
}

/// Opening a pipe to read it waits for a writer that never comes, unless one takes care.
#[tokio::test]
async fn a_file_that_became_a_pipe_is_not_opened() {
    let tree = Tree::new([("a.log", "first\n")]);
    let path = tree.path("a.log");
    let piped = read_after(&tree, || {
        std::fs::remove_file(&path).unwrap();
        assert!(
            Command::new("mkfifo")
                .arg(&path)
                .status()
                .unwrap()
                .success()
        );
    });
    assert_eq!(piped.await.unwrap_err().kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn a_file_that_became_a_folder_is_not_found() {
    let tree = Tree::new([("a.log", "first\n")]);
    let path = tree.path("a.log");
    let folder = read_after(&tree, || {
        std::fs::remove_file(&path).unwrap();
        std::fs::create_dir(&path).unwrap();
    });
    assert_eq!(folder.await.unwrap_err().kind(), ErrorKind::NotFound);
}

/// Else every sync would change every document.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn reading_our_own_file_leaves_its_access_time() {
    use std::os::unix::fs::MetadataExt;
    let tree = Tree::new([("a.log", "first\n")]);
    let path = tree.path("a.log");
    let file = std::fs::File::options().write(true).open(&path).unwrap();
    let long_ago = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000);
    let times = std::fs::FileTimes::new().set_accessed(long_ago);
    file.set_times(times).unwrap();
    read_after(&tree, || {}).await.unwrap();
    assert_eq!(path.metadata().unwrap().atime(), 1_000_000_000);
}
