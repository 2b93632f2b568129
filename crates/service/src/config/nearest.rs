//! "Did you mean": which known key an unknown one was probably meant to be.

use super::keys;
use super::tree::{Map, Place, Value, join};

/// A warning for each unknown key that looks like a known one. Other unknown keys are kept
/// silently, as the reference does.
pub(super) fn warn_of_near_misses(map: &Map, warnings: &mut Vec<String>) {
    let known: Vec<&str> = keys::ALL
        .iter()
        .map(|description| description.path)
        .collect();
    walk(map, "", &known, warnings);
}

/// The warning for an unknown key among its known siblings, if one is close.
pub(super) fn near_miss(path: &str, key: &str, place: Place, siblings: &[&str]) -> Option<String> {
    let nearest = nearest(key, siblings.iter().copied())?;
    Some(did_you_mean(&join(path, key), place, &join(path, nearest)))
}

fn walk(map: &Map, path: &str, known: &[&str], warnings: &mut Vec<String>) {
    for (key, (place, node)) in &map.0 {
        let full = join(path, key);
        if known.contains(&full.as_str()) {
            continue;
        }
        let is_section = known.iter().any(|known| {
            known
                .strip_prefix(full.as_str())
                .is_some_and(|rest| rest.starts_with('.'))
        });
        if is_section {
            if let Value::Map(map) = &node.value {
                walk(map, &full, known, warnings);
            }
            continue;
        }
        let siblings = siblings(path, known);
        let warning = near_miss(path, key, *place, &siblings)
            .or_else(|| misplaced(&full, known).map(|known| did_you_mean(&full, *place, known)));
        warnings.extend(warning);
    }
}

fn did_you_mean(unknown: &str, place: Place, known: &str) -> String {
    format!(
        "{unknown} (line {}) is not a known key and is ignored; did you mean {known}?",
        place.line
    )
}

/// Names of keys and sections directly below a section.
fn siblings<'a>(path: &str, known: &[&'a str]) -> Vec<&'a str> {
    known
        .iter()
        .filter_map(|known| {
            let below = if path.is_empty() {
                Some(*known)
            } else {
                known.strip_prefix(path)?.strip_prefix('.')
            };
            below?.split('.').next()
        })
        .collect()
}

/// `chunk_size` or `bulk` where `elasticsearch.bulk.chunk_size` or `elasticsearch.bulk` was meant,
/// if there is only one key or section of that name.
fn misplaced<'a>(full: &str, known: &[&'a str]) -> Option<&'a str> {
    let name = full.rsplit('.').next()?;
    let mut found = None;
    for key in known {
        let mut end = 0;
        for word in key.split('.') {
            end += word.len();
            let candidate = key.get(..end)?;
            end += 1;
            if word == name && found != Some(candidate) {
                if found.is_some() {
                    return None;
                }
                found = Some(candidate);
            }
        }
    }
    found
}

/// The candidate that differs least, if it is close enough to be a slip of the pen.
pub(crate) fn nearest<'a>(
    word: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let plain = |word: &str| word.to_lowercase().replace(['-', ' '], "_");
    let word = plain(word);
    let tolerance = match word.chars().count() {
        0..=3 => return None,
        4..=5 => 1,
        _ => 2,
    };
    candidates
        .into_iter()
        .map(|candidate| (distance(&word, &plain(candidate), tolerance), candidate))
        .filter(|(distance, _)| *distance <= tolerance)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// How many letters must be changed, added, removed or swapped with a neighbour; anything above
/// the limit is only known to be above it.
fn distance(left: &str, right: &str, limit: usize) -> usize {
    let left: Vec<char> = left.chars().collect();
    let right: Vec<char> = right.chars().collect();
    if left.len().abs_diff(right.len()) > limit {
        return limit + 1;
    }
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=right.len()).collect();
    for (row, letter) in left.iter().enumerate() {
        let mut current = vec![row + 1];
        for (column, other) in right.iter().enumerate() {
            let mut best = (last[column] + usize::from(letter != other))
                .min(last[column + 1] + 1)
                .min(current[column] + 1);
            if row > 0 && column > 0 && *letter == right[column - 1] && left[row - 1] == *other {
                best = best.min(before_last[column - 1] + 1);
            }
            current.push(best);
        }
        before_last = std::mem::replace(&mut last, current);
    }
    last.last().copied().unwrap_or(limit + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_slips() {
        for (left, right, expected) in [
            ("host", "host", 0),
            ("hots", "host", 1),
            ("hosts", "host", 1),
            ("passwrod", "password", 1),
            ("chunk_siez", "chunk_size", 1),
            ("usernam", "username", 1),
        ] {
            assert_eq!(distance(left, right, 3), expected, "{left} {right}");
        }
        assert!(distance("idle", "password", 2) > 2);
    }

    #[test]
    fn finds_the_nearest_or_nothing() {
        let keys = ["host", "password", "username", "api_key"];
        assert_eq!(nearest("passwort", keys), Some("password"));
        assert_eq!(nearest("API-Key", keys), Some("api_key"));
        assert_eq!(nearest("flavour", keys), None);
        assert_eq!(nearest("ho", keys), None);
    }
}
