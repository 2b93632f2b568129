//! What Python's `pathlib` finds (see `tests/golden/README.md`).

use crate::tree::Tree;
use serde::Deserialize;
use std::collections::BTreeMap;

#[derive(Deserialize)]
struct Row {
    folders: Vec<String>,
    files: Vec<String>,
    links: BTreeMap<String, String>,
    patterns: BTreeMap<String, Vec<String>>,
}

#[tokio::test]
async fn lists_what_pathlib_finds() {
    let mut patterns = 0;
    for line in include_str!("../golden/trees.jsonl").lines() {
        let row: Row = serde_json::from_str(line).unwrap();
        let tree = Tree::new([]);
        row.folders.iter().for_each(|folder| tree.folder(folder));
        row.files.iter().for_each(|file| tree.file(file, ""));
        for (link, target) in &row.links {
            tree.link(link, target);
        }
        for (pattern, expected) in row.patterns {
            let walked = tree.walk(&pattern).await;
            assert!(walked.gaps.is_empty() && walked.skipped.is_empty());
            let mut found = tree.paths(&walked);
            found.sort();
            assert_eq!(found, expected, "{pattern:?} in {line}");
            patterns += 1;
        }
    }
    assert!(patterns > 700);
}
