//! Whole patterns.

use proptest::prelude::*;
use tributary_files::{Pattern, Positions};
use tributary_sdk::ErrorKind;

/// Whether a walk over real folders would list this path.
fn lists(pattern: &Pattern, path: &str) -> bool {
    let (folders, name) = path.rsplit_once('/').unwrap_or(("", path));
    let folders = folders.split('/').filter(|name| !name.is_empty());
    let enter = |at: Positions, name: &str| pattern.enter(at, name.as_bytes(), false);
    pattern.lists(folders.fold(pattern.start(), enter), name.as_bytes())
}

#[test]
fn the_patterns_of_the_sheet() {
    #[rustfmt::skip]
    let cases: &[(&str, &[&str], &[&str])] = &[
        ("**/*.*", &["a.txt", "x/y/a.txt", ".dot.txt", ".git/c.d", "c."], &["a", "x.d/a"]),
        ("**/*", &["a", "x/y/.z"], &[]),
        ("*.txt", &["a.txt", ".txt"], &["a.TXT", "x/a.txt", "a.txt.gz"]),
        ("**", &[], &["a", "x/a"]),
        ("a/**", &[], &["a/x", "a"]),
        ("a/**/b.md", &["a/b.md", "a/x/b.md", "a/x/y/b.md"], &["b.md", "x/a/b.md", "a/b.md/c"]),
        ("**/a/**/b", &["a/b", "x/a/b", "a/a/y/b"], &["b", "a/c"]),
        ("[!x]*", &["a", "[x]"], &["x", "xa"]),
        ("{a,b}.md", &["{a,b}.md"], &["a.md", "b.md"]),
        ("./a//b/.", &["a/b"], &["a"]),
        ("*.md/", &[], &["a.md"]),
        ("ä*", &["ä.txt"], &["a\u{308}.txt"]),
    ];
    for (pattern, yes, no) in cases {
        let pattern = Pattern::new(pattern).unwrap();
        for path in *yes {
            assert!(lists(&pattern, path), "{pattern:?} lists {path}");
        }
        for path in *no {
            assert!(!lists(&pattern, path), "{pattern:?} does not list {path}");
        }
        assert_eq!(pattern.matches_no_file(), yes.is_empty(), "{pattern:?}");
    }
}

#[test]
fn a_pattern_that_cannot_work_says_what_to_write() {
    for (pattern, hint) in [
        ("", "'**/*' reads every file"),
        (".", "'**/*' reads every file"),
        ("/x/*", "such as 'x/*'"),
        ("a/../b", "choose a directory further up"),
        ("..", "choose a directory further up"),
        ("a/**.md", "'**' has to stand alone"),
        ("***", "'**' has to stand alone"),
        ("a\0b", "NUL"),
        (&"a/".repeat(128), "128 segments"),
    ] {
        let error = Pattern::new(pattern).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidConfig);
        assert!(error.message().contains(hint), "{error}");
    }
    assert!(Pattern::new(&"*/".repeat(127)).is_ok());
}

#[test]
fn a_link_is_entered_by_names_and_stars_only() {
    let pattern = Pattern::new("**/a/**/x").unwrap();
    let start = pattern.start();
    assert!(pattern.enter(start, b"b", true).is_empty());
    let linked = pattern.enter(start, b"a", true);
    assert!(pattern.lists(linked, b"x"));
    assert!(!pattern.lists(pattern.enter(linked, b"a", true), b"x"));
    assert!(pattern.lists(pattern.enter(linked, b"a", false), b"x"));
}

#[test]
fn names_are_looked_up_and_folders_that_cannot_match_are_not_entered() {
    let pattern = Pattern::new("a/b/*.md").unwrap();
    assert!(!pattern.needs_listing(pattern.start()));
    assert_eq!(pattern.names(pattern.start()).collect::<Vec<_>>(), [b"a"]);
    assert!(pattern.enter(pattern.start(), b"c", false).is_empty());
    let inner = pattern.enter(pattern.start(), b"a", false);
    let inner = pattern.enter(inner, b"b", true);
    assert!(pattern.needs_listing(inner));
    assert!(pattern.enter(inner, b"x.md", false).is_empty());
}

/// The rules read once more, naively: by recursion and over whole paths.
fn naive(pattern: &[&str], path: &[&str]) -> bool {
    match (pattern, path) {
        ([], []) => true,
        (["**"], _) | ([], _) => false,
        (["**", rest @ ..], _) => (0..path.len()).any(|skip| naive(rest, &path[skip..])),
        ([_, ..], []) => false,
        ([first, rest @ ..], [name, below @ ..]) => {
            naive_segment(first.as_bytes(), name.as_bytes()) && naive(rest, below)
        }
    }
}

fn naive_segment(segment: &[u8], name: &[u8]) -> bool {
    match (segment, name) {
        ([], []) => true,
        ([b'*', rest @ ..], _) => (0..=name.len()).any(|skip| naive_segment(rest, &name[skip..])),
        ([b'?', rest @ ..], [_, below @ ..]) => naive_segment(rest, below),
        ([letter, rest @ ..], [same, below @ ..]) => letter == same && naive_segment(rest, below),
        _ => false,
    }
}

proptest! {
    #[test]
    fn agrees_with_the_naive_reading(
        pattern in prop::collection::vec(prop_oneof![Just("**".to_owned()), "[ab.?]{1,3}|[ab]?\\*[ab.]?\\*?"], 1..6),
        path in prop::collection::vec("[ab.]{1,3}", 1..6),
    ) {
        let dots = |segment: &String| matches!(segment.as_str(), "." | "..");
        prop_assume!(!pattern.iter().any(|segment| dots(segment) || (segment != "**" && segment.contains("**"))));
        let text = pattern.join("/");
        let segments: Vec<&str> = pattern.iter().map(String::as_str).collect();
        let names: Vec<&str> = path.iter().map(String::as_str).collect();
        let found = lists(&Pattern::new(&text).unwrap(), &path.join("/"));
        prop_assert_eq!(found, naive(&segments, &names));
    }

    #[test]
    fn any_text_is_a_pattern_or_an_error(text in any::<String>(), name in any::<Vec<u8>>()) {
        if let Ok(pattern) = Pattern::new(&text) {
            pattern.lists(pattern.start(), &name);
            pattern.enter(pattern.start(), &name, true);
        }
    }

    /// Hostile patterns must not take long: at most tokens times letters.
    #[test]
    fn many_stars_end_soon(stars in 1_usize..60, letters in 1_usize..255) {
        let pattern = Pattern::new(&format!("{}b", "*a".repeat(stars))).unwrap();
        prop_assert!(!pattern.lists(pattern.start(), &vec![b'a'; letters]));
    }
}
