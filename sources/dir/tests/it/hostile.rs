//! What should not be in a tree, and is.

use crate::tree::{Tree, os};
use std::{
    os::unix::{fs::PermissionsExt, net::UnixListener},
    process::Command,
};
use tributary_sdk::{ErrorKind, Scope};

#[tokio::test]
async fn loops_of_links_end() {
    let tree = Tree::new([("a/x.md", ""), ("b/y.md", "")]);
    tree.link("a/self", ".");
    tree.link("a/up", "..");
    tree.link("b/other", "../a");
    tree.link("circle", "circle");
    assert_eq!(tree.lists("**/*").await, ["a/x.md", "b/y.md"]);
    assert_eq!(tree.lists("a/up/a/up/b/*.md").await, ["a/up/a/up/b/y.md"]);
    assert_eq!(
        tree.lists("*/*/*.md").await,
        ["a/self/x.md", "b/other/x.md"],
        "each star passes one link"
    );
}

#[tokio::test]
async fn links_are_read_under_their_own_path_or_not_at_all() {
    let tree = Tree::new([("docs/a.md", "text")]);
    tree.link("b.md", "docs/a.md");
    tree.link("broken.md", "nowhere");
    tree.link("folder.md", "docs");
    tree.link("null.md", "/dev/null");
    let walked = tree.walk("**/*.md").await;
    assert_eq!(tree.paths(&walked), ["b.md", "docs/a.md"]);
    assert!(walked.gaps.is_empty() && walked.skipped.is_empty());
    assert_eq!(tree.lists("*/*.md").await, ["docs/a.md", "folder.md/a.md"]);
}

#[tokio::test]
async fn pipes_and_sockets_are_passed_over() {
    let tree = Tree::new([("a.md", "")]);
    let pipe = Command::new("mkfifo").arg(tree.path("pipe.md")).status();
    assert!(pipe.unwrap().success());
    let _socket = UnixListener::bind(tree.path("socket.md")).unwrap();
    assert_eq!(tree.lists("*").await, ["a.md"]);
    assert_eq!(tree.lists("pipe.md").await, Vec::<String>::new());
}

#[tokio::test]
async fn any_name_is_a_name() {
    let long = "n".repeat(255);
    let names = [
        "a\nb",
        "a\"b\\",
        " ",
        "-rf",
        "*",
        "\u{1}",
        "ä",
        "a\u{308}",
        "日本",
        long.as_str(),
    ];
    let tree = Tree::new(names.map(|name| (name, "")));
    tree.file(os(b"\xff\xfe"), "");
    let mut expected: Vec<String> = names.map(str::to_owned).into();
    expected.push("\\xff\\xfe".into());
    let mut found = tree.lists("**/*").await;
    found.sort();
    expected.sort();
    assert_eq!(found, expected);
}

/// Without rights a folder is a denied gap of its own, and the rest is read. The superuser may read
/// everything, so under it the test runs itself as nobody.
#[tokio::test]
async fn an_unreadable_folder_is_a_denied_gap() {
    let tree = Tree::new([("a/x", ""), ("b/x", ""), ("c/x", ""), ("d", "")]);
    let rights = |below: &str, mode| {
        let rights = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(tree.path(below), rights).unwrap();
    };
    rights("a", 0o000);
    if std::fs::read_dir(tree.path("a")).is_ok() {
        let name = "hostile::an_unreadable_folder_is_a_denied_gap";
        let mut nobody = Command::new("setpriv");
        nobody.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--"]);
        nobody
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", name]);
        let output = nobody.current_dir("/").output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(
            output.status.success() && said.contains("1 passed"),
            "{said}"
        );
        return;
    }
    // Names without their files.
    rights("b", 0o400);
    let walked = tree.walk("**/*").await;
    assert_eq!(tree.paths(&walked), ["c/x", "d"]);
    let scopes: Vec<_> = walked.gaps.iter().map(|(scope, _)| scope.clone()).collect();
    let folder = |name| Scope::root().child("folder", name);
    assert_eq!(scopes, [folder("a"), folder("b")]);
    for (_, error) in &walked.gaps {
        assert_eq!(error.kind(), ErrorKind::Forbidden);
    }
    // Files without their names: what the pattern spells out is found.
    rights("b", 0o100);
    assert_eq!(tree.lists("b/x").await, ["b/x"]);
    // The directory itself.
    for mode in [0o000, 0o100, 0o400] {
        rights("", mode);
        let error = tree.source("**/*").ping().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Forbidden);
        assert!(error.message().contains("(r and x)"), "{error}");
        let findings = tree.source("**/*").validate().await.unwrap();
        assert_eq!(findings[0].place.as_deref(), Some("directory"));
    }
    rights("", 0o700);
    rights("a", 0o700);
    rights("b", 0o700);
}

/// Deeper than a path may be long: a gap that says so, and the rest is read.
#[tokio::test]
async fn a_tree_deeper_than_paths_go_is_a_gap() {
    let tree = Tree::new([("zz/x", "")]);
    let script =
        "i=0; while [ $i -lt 50 ]; do mkdir $0 && cd -P $0 || exit 1; i=$((i+1)); done; : > x";
    let mut shell = Command::new("sh");
    shell
        .args(["-c", script, &"d".repeat(100)])
        .current_dir(tree.root());
    assert!(shell.status().unwrap().success());
    let walked = tree.walk("**/x").await;
    assert_eq!(tree.paths(&walked), ["zz/x"]);
    let [(scope, error)] = walked.gaps.as_slice() else {
        panic!("{} gaps", walked.gaps.len());
    };
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(!scope.is_root() && !scope.contains(&Scope::root().child("folder", "zz")));
}
