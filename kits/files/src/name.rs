//! Paths as bytes and as text. A file name need not be UTF-8; a field of a document has to be.

use md5::{Digest, Md5};
use serde::{Deserialize, Serialize};
use std::fmt::Write as _;

/// The text of a path for people and documents. UTF-8 stays as it is. In a path that is not UTF-8
/// each odd byte becomes `\xNN`, and each backslash `\\`, so that it can be read back.
pub fn path_text(path: &[u8]) -> String {
    if let Ok(text) = std::str::from_utf8(path) {
        return text.into();
    }
    let mut text = String::with_capacity(path.len() + 8);
    for chunk in path.utf8_chunks() {
        for letter in chunk.valid().chars() {
            match letter {
                '\\' => text.push_str("\\\\"),
                letter => text.push(letter),
            }
        }
        for byte in chunk.invalid() {
            // Writing into a string cannot fail.
            let _ = write!(text, "\\x{byte:02x}");
        }
    }
    text
}

/// The id of the document of a path: the MD5 of its bytes, in hexadecimal. For UTF-8 this is the id
/// that the reference service gives (sheet `dir` §5).
pub fn path_id(path: &[u8]) -> String {
    let mut id = String::with_capacity(32);
    for byte in Md5::digest(path) {
        // Writing into a string cannot fail.
        let _ = write!(id, "{byte:02x}");
    }
    id
}

/// The path of which [`path_text`] gave `text` and [`path_id`] gave `id`; `None` if there is none:
/// then the two are not ours. A text alone may stand for two paths; the id tells them apart.
pub fn path_from_text(text: &str, id: &str) -> Option<Vec<u8>> {
    if path_id(text.as_bytes()) == id {
        return Some(text.into());
    }
    let path = unescape(text)?;
    (path_id(&path) == id).then_some(path)
}

fn unescape(text: &str) -> Option<Vec<u8>> {
    let mut path = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((plain, escape)) = rest.split_once('\\') {
        path.extend_from_slice(plain.as_bytes());
        if let Some(after) = escape.strip_prefix('\\') {
            path.push(b'\\');
            rest = after;
        } else {
            let digits = escape.strip_prefix('x')?.get(..2)?;
            path.push(u8::from_str_radix(digits, 16).ok()?);
            rest = escape.get(3..)?;
        }
    }
    path.extend_from_slice(rest.as_bytes());
    Some(path)
}

/// The exact bytes of a path, for cursors and references to files: a JSON text where it is UTF-8,
/// else an array of bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum PathKey {
    /// The path is UTF-8.
    Text(String),
    /// It is not.
    Bytes(Vec<u8>),
}

impl PathKey {
    /// The key of a path.
    pub fn new(path: &[u8]) -> Self {
        match std::str::from_utf8(path) {
            Ok(text) => Self::Text(text.into()),
            Err(_) => Self::Bytes(path.into()),
        }
    }

    /// The path.
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Bytes(bytes) => bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_vector_of_the_sheet() {
        let id = path_id(b"/tmp/srclab/dirt/a.txt");
        assert_eq!(id, "150b164b77f575918965897bad0ded55");
    }

    #[test]
    fn two_paths_with_one_text_have_two_ids() {
        let (odd, plain) = (b"/a\xff".as_slice(), b"/a\\xff".as_slice());
        assert_eq!(path_text(odd), path_text(plain));
        for path in [odd, plain] {
            let found = path_from_text(&path_text(path), &path_id(path));
            assert_eq!(found.as_deref(), Some(path));
        }
        assert_eq!(path_text(b"/\\a\xff\xc3\xa4"), "/\\\\a\\xff\u{e4}");
        assert_eq!(path_from_text("/b", &path_id(odd)), None);
    }

    proptest! {
        #[test]
        fn every_path_comes_back(path in any::<Vec<u8>>()) {
            let found = path_from_text(&path_text(&path), &path_id(&path));
            prop_assert_eq!(found.as_ref(), Some(&path));
            let key = serde_json::to_string(&PathKey::new(&path)).unwrap();
            let key: PathKey = serde_json::from_str(&key).unwrap();
            prop_assert_eq!(key.as_bytes(), path);
        }

        #[test]
        fn any_text_is_read(text in any::<String>()) {
            prop_assert_eq!(path_from_text(&text, "x"), None);
        }
    }
}
