//! Paths of requests, safely encoded.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// Everything but the unreserved characters of RFC 3986 §2.3.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

/// Joins segments; a segment may hold anything.
pub(crate) fn path(segments: &[&str]) -> String {
    let mut path = String::new();
    for segment in segments {
        path.push('/');
        path.extend(utf8_percent_encode(segment, ENCODED));
    }
    path
}

/// Adds one query parameter.
pub(crate) fn with(mut path: String, name: &str, value: &str) -> String {
    path.push(if path.contains('?') { '&' } else { '?' });
    path.push_str(name);
    path.push('=');
    path.extend(utf8_percent_encode(value, ENCODED));
    path
}

/// Whether an id can stand in a path: `.` and `..` cannot, however they are encoded.
pub(crate) fn is_addressable(id: &str) -> bool {
    !matches!(id, "" | "." | "..")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_cannot_break_out() {
        assert_eq!(
            path(&["music", "_doc", "a/b ?#%é"]),
            "/music/_doc/a%2Fb%20%3F%23%25%C3%A9"
        );
        assert_eq!(
            with(with(path(&["i"]), "pipeline", "a&b"), "x", "1"),
            "/i?pipeline=a%26b&x=1"
        );
    }
}
