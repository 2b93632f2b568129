//! The walk over a file system in memory.

use crate::{
    api::{Entries, Entry, Facts, FileSystem, Kind, Reader},
    fake::{FakeFiles, Fault, ROOT, Seen, plan, walked},
    find::{Looked, find},
    walk::{MEMORY, folder_scope, walk},
};
use proptest::prelude::*;
use std::{
    collections::BTreeSet,
    io,
    path::{Path, PathBuf},
    sync::atomic::Ordering,
};
use tributary_files::Pattern;
use tributary_sdk::{ErrorKind, Scope};

/// What a walk has to find, in its order.
fn expected(files: &FakeFiles, pattern: &str) -> Vec<String> {
    let pattern = Pattern::new(pattern).unwrap();
    let mut found: Vec<String> = files.files().into_iter().collect();
    found.retain(|file| {
        let mut names: Vec<&str> = file.split('/').collect();
        let name = names.pop().unwrap();
        let start = pattern.start();
        let enter = |at, name: &&str| pattern.enter(at, name.as_bytes(), false);
        pattern.lists(names.iter().fold(start, enter), name.as_bytes())
    });
    found.sort_by(|a, b| a.split('/').cmp(b.split('/')));
    found
}

fn home(file: &str) -> Scope {
    let mut names: Vec<&str> = file.split('/').collect();
    names.pop();
    (1..)
        .zip(names)
        .fold(Scope::root(), |scope, (depth, name)| {
            folder_scope(&scope, name.as_bytes(), depth)
        })
}

fn trees() -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec("[ab.]{1,2}x?(/[ab.]{1,2}x?){0,4}", 0..40).prop_map(|mut files| {
        let is_plain = |name: &str| name != "." && name != "..";
        files.retain(|file: &String| file.split('/').all(is_plain));
        files
    })
}

fn patterns() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "**/*",
        "**/*.*",
        "*",
        "a/**/*",
        "*/*",
        "**/a/*",
        "a",
        "a/b",
        "a*/**/b*",
        "**/ax",
        "a/*/b",
        "**/b/**/*",
        "[!a]*/*",
    ])
}

proptest! {
    #[test]
    fn finds_what_the_pattern_lists_in_order_whatever_the_memory(
        files in trees(), pattern in patterns(), memory in prop_oneof![Just(MEMORY), 1_usize..600],
    ) {
        let files = FakeFiles::new(files.iter().map(String::as_str));
        let seen = walked(&files, &plan(&files, pattern), None, memory);
        prop_assert_eq!(&seen.files, &expected(&files, pattern));
        let homes: Vec<Scope> = seen.files.iter().map(|file| home(file)).collect();
        prop_assert_eq!(seen.homes, homes);
        prop_assert!(seen.gaps.is_empty() && seen.skipped.is_empty());
    }

    /// With portions of many names, of which a cut leaves out several.
    #[test]
    fn reads_a_folder_in_portions_without_a_hole(
        names in prop::collection::btree_set("[a-z]{2}", 0..200), memory in 200_usize..8000,
    ) {
        let files = FakeFiles::new(names.iter().map(String::as_str));
        let seen = walked(&files, &plan(&files, "*"), None, memory);
        prop_assert!(seen.files.iter().eq(&names));
    }

    #[test]
    fn goes_on_after_any_path_even_one_that_is_gone(
        files in trees(), pattern in patterns(), memory in 1_usize..600, after in "[ab.]{1,2}x?(/[ab.]{1,2}x?){0,4}",
    ) {
        prop_assume!(after.split('/').all(|name| name != "." && name != ".."));
        let files = FakeFiles::new(files.iter().map(String::as_str));
        let plan = plan(&files, pattern);
        let all = expected(&files, pattern);
        for after in all.iter().chain([&after]) {
            let rest: Vec<_> = all.iter().filter(|file| file.split('/').gt(after.split('/'))).collect();
            let seen = walked(&files, &plan, Some(after), memory);
            let found: Vec<_> = seen.files.iter().collect();
            // A path that led through a folder which is a file now: that file may come once more.
            let again = |file: &String| after.starts_with(&format!("{file}/"));
            prop_assert_eq!(found.iter().filter(|file| !again(file)).collect::<Vec<_>>(), rest.iter().collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_lookup_agrees_with_the_walk(files in trees(), pattern in patterns()) {
        let files = FakeFiles::new(files.iter().map(String::as_str));
        let plan = plan(&files, pattern);
        let listed: BTreeSet<String> = expected(&files, pattern).into_iter().collect();
        for file in files.files() {
            let names: Vec<&[u8]> = file.split('/').map(str::as_bytes).collect();
            match find(&files, &plan, &names).unwrap() {
                Looked::Listed(found) => {
                    prop_assert!(listed.contains(&file));
                    prop_assert_eq!(found.home, home(&file));
                }
                Looked::NotListed => prop_assert!(!listed.contains(&file)),
                Looked::Missing { .. } => prop_assert!(false, "{} is there", file),
            }
        }
        let looked = find(&files, &plan, &[b"zz", b"b"]).unwrap();
        let is_missing = matches!(looked, Looked::Missing { device: 1 });
        prop_assert!(is_missing);
    }

}

proptest! {
    // Each case walks once for every call.
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// A fault at every call in turn: what should be listed is listed, or skipped, or in a gap; and
    /// what is not near the fault is listed.
    #[test]
    fn nothing_that_fails_counts_as_absent(
        files in trees(), pattern in patterns(), memory in prop_oneof![Just(MEMORY), 100_usize..400],
        kind in prop::sample::select(vec![io::ErrorKind::PermissionDenied, io::ErrorKind::Other, io::ErrorKind::InvalidFilename]),
        lasts in any::<bool>(),
    ) {
        let mut files = FakeFiles::new(files.iter().map(String::as_str));
        let plan = plan(&files, pattern);
        let all = expected(&files, pattern);
        let start = files.calls.load(Ordering::Relaxed);
        walked(&files, &plan, None, memory);
        let calls = files.calls.load(Ordering::Relaxed) - start;
        for call in 0..calls {
            files = FakeFiles::new(files.files().iter().map(String::as_str));
            files.fault = Some(Fault { call, kind, lasts });
            let mut seen = Seen::default();
            if let Err(error) = walk(&files, &plan, None, memory, &mut seen) {
                prop_assert_eq!(error.kind(), ErrorKind::Unavailable);
                continue;
            }
            let listed: BTreeSet<_> = seen.files.iter().chain(&seen.skipped).collect();
            for file in &all {
                let is_gap = seen.gaps.iter().any(|(scope, _)| scope.contains(&home(file)));
                prop_assert!(listed.contains(file) || is_gap, "{} is lost at call {}", file, call);
            }
            prop_assert!(seen.gaps.len() <= 1 || lasts || memory < MEMORY);
            prop_assert!(seen.gaps.iter().all(|(scope, _)| !scope.is_root()));
            let denied = seen.gaps.iter().all(|(_, error)| match kind {
                io::ErrorKind::PermissionDenied => error.kind() == ErrorKind::Forbidden,
                io::ErrorKind::InvalidFilename => error.kind() == ErrorKind::Unsupported,
                _ => error.kind() == ErrorKind::Unavailable,
            });
            prop_assert!(denied);
        }
    }

    /// What vanishes at any call is left out, and so is what is below it; nothing else is.
    #[test]
    fn what_vanishes_is_no_gap(files in trees(), pattern in patterns()) {
        let mut files = FakeFiles::new(files.iter().map(String::as_str));
        let plan = plan(&files, pattern);
        let all = expected(&files, pattern);
        let start = files.calls.load(Ordering::Relaxed);
        walked(&files, &plan, None, MEMORY);
        let calls = files.calls.load(Ordering::Relaxed) - start;
        for call in 0..calls {
            files = FakeFiles::new(files.files().iter().map(String::as_str));
            files.fault = Some(Fault { call, kind: io::ErrorKind::NotFound, lasts: false });
            let mut seen = Seen::default();
            if walk(&files, &plan, None, MEMORY, &mut seen).is_err() {
                continue;
            }
            prop_assert!(seen.gaps.is_empty() && seen.skipped.is_empty());
            let missing: Vec<_> = all.iter().filter(|file| !seen.files.contains(file)).collect();
            let is_one_place = missing.windows(2).all(|pair| {
                let first = |file: &str| file.split('/').next().map(str::to_owned);
                first(pair[0]) == first(pair[1])
            });
            prop_assert!(is_one_place, "{:?} at call {}", missing, call);
        }
    }
}

#[test]
fn the_root_is_never_a_gap_of_its_own() {
    for kind in [io::ErrorKind::PermissionDenied, io::ErrorKind::NotFound] {
        let mut files = FakeFiles::new(["a", "b/c"]);
        let plan = plan(&files, "**/*");
        // The first look at the root, its listing, an entry of it.
        for call in 0..=2 {
            files = FakeFiles::new(["a", "b/c"]);
            files.fault = Some(Fault {
                call,
                kind,
                lasts: false,
            });
            let mut seen = Seen::default();
            let error = walk(&files, &plan, None, MEMORY, &mut seen).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unavailable, "call {call}");
            assert!(error.message().contains("could not be read any more"));
            assert!(error.to_string().contains(ROOT));
        }
    }
}

#[test]
fn a_denied_folder_is_one_gap_and_the_rest_is_read() {
    let files = ["a/x", "b/x", "b/y/z", "c/x"];
    let plan = plan(&FakeFiles::new(files), "**/*");
    let mut fake = FakeFiles::new(files);
    // Calls: the root, its listing and 3 entries, then `a` and 1 entry, `a/x`; then the listing of `b`.
    fake.fault = Some(Fault {
        call: 8,
        kind: io::ErrorKind::PermissionDenied,
        lasts: false,
    });
    let seen = walked(&fake, &plan, None, MEMORY);
    assert_eq!(seen.files, ["a/x", "c/x"]);
    let [(scope, error)] = seen.gaps.as_slice() else {
        panic!("{:?}", seen.gaps);
    };
    assert_eq!(scope, &home("b/x"));
    assert!(scope.contains(&home("b/y/z")) && !scope.contains(&home("c/x")));
    assert_eq!(error.kind(), ErrorKind::Forbidden);
    assert!(error.to_string().contains("/r/b"), "{error}");
}

#[test]
fn folders_that_cannot_match_are_not_listed() {
    let files = FakeFiles::new(["a/b/c.md", "a/x/c.md", "d/b/c.md", "a/b/e/f.md"]);
    let plan = plan(&files, "a/b/*.md");
    let before = files.lists.load(Ordering::Relaxed);
    assert_eq!(walked(&files, &plan, None, MEMORY).files, ["a/b/c.md"]);
    assert_eq!(files.lists.load(Ordering::Relaxed) - before, 1);
}

#[test]
fn a_large_folder_is_read_in_portions() {
    let names: Vec<String> = (0..60_000).map(|number| format!("{number:05}")).collect();
    let files = FakeFiles::new(names.iter().map(String::as_str));
    let plan = plan(&files, "**/*");
    let before = files.lists.load(Ordering::Relaxed);
    let memory = 1024 * 1024;
    assert_eq!(walked(&files, &plan, None, memory).files, names);
    let lists = files.lists.load(Ordering::Relaxed) - before;
    // A name takes 69 bytes, and half of the memory is filled before the upper quarter goes.
    let (most, least) = (memory / 2 / 69, memory / 2 / 69 * 3 / 4);
    assert!(
        (60_000 / most..=60_000 / least + 1).contains(&lists),
        "{lists} listings"
    );
}

#[test]
fn a_deep_tree_needs_no_stack_and_few_scopes() {
    let deep = vec!["d"; 3000].join("/");
    let files = FakeFiles::new([deep.as_str(), "d/e"]);
    let plan = plan(&files, "**/*");
    let seen = walked(&files, &plan, None, MEMORY);
    assert_eq!(seen.files, [deep.as_str(), "d/e"]);
    assert_eq!(seen.homes[0], home(&vec!["d"; 66].join("/")));
    assert_eq!(seen.homes[0], home(&deep));
    assert_ne!(seen.homes[0], home(&vec!["d"; 64].join("/")));
}

/// A folder in which nothing is found: links that lead nowhere, or files without an end that do not
/// match.
struct Barren {
    links: Option<usize>,
}

impl FileSystem for Barren {
    fn list(&self, _: &Path) -> io::Result<Entries> {
        if let Some(links) = self.links {
            return Ok(Box::new((0..links).map(|number| {
                Ok(Entry {
                    name: format!("{number}.md").into(),
                    kind: Kind::Link,
                })
            })));
        }
        Ok(Box::new(std::iter::repeat_with(|| {
            Ok(Entry {
                name: "x".into(),
                kind: Kind::File,
            })
        })))
    }
    fn about_link(&self, path: &Path) -> io::Result<Facts> {
        FakeFiles::new([]).about_link(path)
    }
    fn about(&self, path: &Path) -> io::Result<Facts> {
        self.about_link(path)
    }
    fn real_path(&self, path: &Path) -> io::Result<PathBuf> {
        Ok(path.to_owned())
    }
    fn open(&self, _: &Path) -> io::Result<(Facts, Reader)> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

#[test]
fn stops_also_where_nothing_is_found() {
    // 5,000 links are listed with 4 looks, and looked at with 4 more.
    for (links, patience) in [(None, 3), (Some(5000), 4), (Some(5000), 7)] {
        let mut seen = Seen {
            patience: Some(patience),
            ..Seen::default()
        };
        let files = Barren { links };
        let plan = plan(&files, "*.md");
        let error = walk(&files, &plan, None, MEMORY, &mut seen).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Stopped);
    }
}
