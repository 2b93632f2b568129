//! `quickstart`, from an empty folder to a search.

use crate::program::{Ended, Program, provide_tls};
use serde_json::Value;
use std::path::Path;
use tokio::process::Command;

const LIBRARY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/library");

fn quickstart(place: &Path, documents: &Path, more: &str) -> Program {
    Program::in_folder(
        place,
        &format!("quickstart --port 0 --data-dir data {more}"),
    )
    .args(["--folder".as_ref(), documents.as_os_str()])
}

/// The curl command that was printed.
fn search(text: &str) -> &str {
    let line = text
        .lines()
        .find(|line| line.contains("documents indexed, search: "));
    line.unwrap_or_else(|| panic!("{text}"))
        .split_once("search: ")
        .unwrap()
        .1
}

/// What the shell says to it.
async fn found(command: &str) -> Value {
    let output = Command::new("sh")
        .args(["-c", command])
        .output()
        .await
        .unwrap();
    assert!(output.status.success(), "{command}: {output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn total(answer: &Value) -> u64 {
    answer["hits"]["total"]["value"]
        .as_u64()
        .unwrap_or_else(|| panic!("{answer}"))
}

/// Goes on until Ctrl-C; what the search command found meanwhile, by word.
async fn with_words<const N: usize>(place: &Path, documents: &Path, words: [&str; N]) -> [u64; N] {
    let mut running = quickstart(place, documents, "").start(&place.join("log"));
    let first = running.line().await;
    assert!(first.starts_with("store: http://127.0.0.1:"), "{first}");
    let mut text = String::new();
    while !text.contains("search: ") {
        text = running.line().await;
    }
    let command = search(&text).to_owned();
    let mut counts = [0; N];
    for (count, word) in counts.iter_mut().zip(words) {
        let (before, query) = command.split_once("q=").unwrap();
        let end = query.find('\'').unwrap();
        *count = total(&found(&format!("{before}q={word}{}", &query[end..])).await);
    }
    assert!(total(&found(&command).await) > 0, "{command}");
    running.signal("INT").await;
    let log = running.log();
    let (code, took) = running.ended().await;
    assert_eq!(code, Some(0), "{log}");
    assert!(took.as_secs() < 10, "{took:?}");
    counts
}

#[tokio::test]
async fn a_folder_is_found_by_the_printed_command_and_changes_are_seen() {
    provide_tls();
    let place = tempfile::tempdir().unwrap();
    let documents = place.path().join("documents");
    std::fs::create_dir(&documents).unwrap();
    let write = |name: &str, text: &str| std::fs::write(documents.join(name), text).unwrap();
    write("one.txt", "the kaleidoscope turns");
    write("two.md", "# A waterspout");
    write("three.html", "<p>the lighthouse</p>");
    let words = ["kaleidoscope", "waterspout", "lighthouse", "oscilloscope"];
    assert_eq!(
        with_words(place.path(), &documents, words).await,
        [1, 1, 1, 0]
    );
    write("one.txt", "the oscilloscope hums");
    std::fs::remove_file(documents.join("two.md")).unwrap();
    assert_eq!(
        with_words(place.path(), &documents, words).await,
        [0, 0, 1, 1]
    );
}

#[tokio::test]
async fn the_sample_documents_are_all_there() {
    let place = tempfile::tempdir().unwrap();
    let ended: Ended = quickstart(place.path(), LIBRARY.as_ref(), "--once")
        .ended()
        .await
        .with_code(0);
    let files = walk(LIBRARY.as_ref());
    assert!(
        ended.out.contains(&format!(
            "{files} documents indexed, search: curl -u elastic:"
        )),
        "{ended}"
    );
    assert!(
        search(&ended.out).ends_with("/sample-documents/_search?q=Kilmoray'"),
        "{ended}"
    );
    // The store goes on from where it was, with the same password.
    let again = quickstart(place.path(), LIBRARY.as_ref(), "--once")
        .ended()
        .await
        .with_code(0);
    let password = |text: &str| search(text).split(' ').nth(2).unwrap().to_owned();
    assert_eq!(password(&ended.out), password(&again.out));
}

fn walk(folder: &Path) -> usize {
    let entries = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    entries
        .map(|path| if path.is_dir() { walk(&path) } else { 1 })
        .sum()
}

#[tokio::test]
async fn what_another_process_left_running_does_not_stand_in_the_way() {
    let place = tempfile::tempdir().unwrap();
    let documents = place.path().join("documents");
    std::fs::create_dir(&documents).unwrap();
    for number in 0..300 {
        let text = format!("document {number} kaleidoscope");
        std::fs::write(documents.join(format!("{number}.txt")), text).unwrap();
    }
    let mut running = quickstart(place.path(), &documents, "").start(&place.path().join("log"));
    running.line().await;
    running.line().await;
    // At some moment of its first sync.
    running.signal("KILL").await;
    assert_eq!(running.ended().await.0, None);
    let ended = quickstart(place.path(), &documents, "--once")
        .ended()
        .await
        .with_code(0);
    assert!(ended.out.contains("300 documents indexed"), "{ended}");
}

#[tokio::test]
async fn other_commands_find_the_store_by_its_configuration() {
    let place = tempfile::tempdir().unwrap();
    let documents = place.path().join("documents");
    std::fs::create_dir(&documents).unwrap();
    std::fs::write(documents.join("one.txt"), "kaleidoscope").unwrap();
    let mut running = quickstart(place.path(), &documents, "").start(&place.path().join("log"));
    while !running.line().await.contains("documents indexed") {}
    let list = Program::in_folder(place.path(), "job list -c data/config.yml -o json")
        .ended()
        .await;
    assert_eq!(list.with_code(0).json()[0]["indexed_document_count"], 1);
}
