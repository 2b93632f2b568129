//! What Python says (see `tests/golden/README.md`).

use tributary_files::{Moment, PathKey, Pattern};

fn rows<T: serde::de::DeserializeOwned>(lines: &str) -> Vec<T> {
    let rows = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap());
    rows.collect()
}

#[test]
fn segments_match_as_in_python() {
    let lines = include_str!("../golden/fnmatch.jsonl");
    let rows: Vec<(String, Vec<PathKey>, Vec<PathKey>)> = rows(lines);
    assert!(rows.len() > 400);
    for (segment, yes, no) in rows {
        let pattern = Pattern::new(&segment).unwrap();
        for (names, expected) in [(yes, true), (no, false)] {
            for name in names {
                let found = pattern.lists(pattern.start(), name.as_bytes());
                assert_eq!(found, expected, "{segment:?} against {name:?}");
            }
        }
    }
}

#[test]
fn moments_read_as_in_python() {
    let lines = include_str!("../golden/moments.jsonl");
    let rows: Vec<(i64, u32, String, Option<String>)> = rows(lines);
    assert!(rows.len() > 300);
    for (seconds, nanoseconds, double, text) in rows {
        let moment = Moment {
            seconds,
            nanoseconds,
        };
        let double: f64 = double.parse().unwrap();
        assert_eq!(moment.as_double().to_bits(), double.to_bits(), "{moment:?}");
        assert_eq!(moment.as_text(), text, "{moment:?}");
    }
}
