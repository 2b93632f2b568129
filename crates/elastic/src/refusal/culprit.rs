//! Which field of a document a refusal is about, where the server does not say it: the document is
//! looked through for what the server complains of.

use std::collections::HashSet;

/// The longest path that is named, in bytes.
const LONGEST_PATH: usize = 200;

/// What the server complains of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Complaint {
    /// A number of more characters than this.
    LongNumber(usize),
    /// A text of more bytes than this.
    LongText(usize),
    /// Too many levels: then the member with the most of them.
    Deep,
    EmptyName,
    /// A name that is nothing but dots or blanks, or has such a part.
    BlankName,
    BrokenName,
    DuplicateName,
}

/// Words of Elasticsearch 8 and 9 and of OpenSearch 3, and what they complain of.
const WORDS: &[(&str, Complaint)] = &[
    ("Document nesting depth (", Complaint::Deep),
    ("has exceeded the allowed limit of [", Complaint::Deep),
    ("field name cannot be an empty string", Complaint::EmptyName),
    (
        "ield name cannot contain only whitespace",
        Complaint::BlankName,
    ),
    (
        "ield name cannot contain only the character [.]",
        Complaint::BlankName,
    ),
    ("ield name cannot contain only dots", Complaint::BlankName),
    ("makes object resolution ambiguous", Complaint::BlankName),
    (
        "Broken surrogate pair in property name",
        Complaint::BrokenName,
    ),
    ("Duplicate field '", Complaint::DuplicateName),
    ("Duplicate Object property \"", Complaint::DuplicateName),
];

/// The path of the field that the reason is about, dots between its parts; `None` if the reason
/// complains of nothing that can be seen in the document, or nothing of the kind is in it.
///
/// `text` is the JSON text of the document, with or without its closing brace.
pub(crate) fn culprit(reason: &str, text: &[u8]) -> Option<String> {
    let complaint = complaint(reason)?;
    let mut search = Search {
        complaint,
        levels: Vec::new(),
        deepest: (0, None),
    };
    let found = search.through(text);
    match complaint {
        Complaint::Deep => search.deepest.1,
        _ => found,
    }
}

/// A path as it is shown: names can be as long as documents.
pub(crate) fn shown(path: &str) -> String {
    if path.is_empty() {
        return "with the empty name".to_owned();
    }
    match path.len() > LONGEST_PATH {
        true => format!("{}…", &path[..path.floor_char_boundary(LONGEST_PATH)]),
        false => path.to_owned(),
    }
}

fn complaint(reason: &str) -> Option<Complaint> {
    let limit = || {
        let rest = &reason[reason.find("exceeds the maximum allowed (")? + 29..];
        let digits = rest.split(|c: char| !c.is_ascii_digit()).next()?;
        digits.parse().ok()
    };
    if reason.contains("Number value length (") {
        return limit().map(Complaint::LongNumber);
    }
    if reason.contains("String value length (") {
        return limit().map(Complaint::LongText);
    }
    let known = WORDS.iter().find(|(words, _)| reason.contains(words));
    known.map(|(_, complaint)| *complaint)
}

/// An object or an array that is open.
struct Level {
    is_object: bool,
    /// The name of the member that comes next, or whose value this is inside of.
    name: String,
    /// Only filled where duplicates are looked for.
    names: HashSet<String>,
}

struct Search {
    complaint: Complaint,
    levels: Vec<Level>,
    /// Levels, and the member of the document that has so many.
    deepest: (usize, Option<String>),
}

impl Search {
    /// The first field that is complained of. Reads on over anything that is not JSON.
    fn through(&mut self, text: &[u8]) -> Option<String> {
        let mut at = 0;
        while at < text.len() {
            match text[at] {
                open @ (b'{' | b'[') => {
                    self.levels.push(Level {
                        is_object: open == b'{',
                        name: String::new(),
                        names: HashSet::new(),
                    });
                    if self.levels.len() > self.deepest.0 {
                        let member = self.levels.first().map(|level| level.name.clone());
                        self.deepest = (self.levels.len(), member);
                    }
                    at += 1;
                }
                b'}' | b']' => {
                    self.levels.pop();
                    at += 1;
                }
                b'"' => {
                    let end = end_of_text(text, at);
                    let is_name = self.levels.last().is_some_and(|level| level.is_object)
                        && text[end..].iter().find(|byte| !byte.is_ascii_whitespace())
                            == Some(&b':');
                    if is_name {
                        if self.is_odd_name(&text[at..end]) {
                            return Some(self.path());
                        }
                    } else if let Complaint::LongText(limit) = self.complaint
                        && end - at > limit
                    {
                        return Some(self.path());
                    }
                    at = end;
                }
                b'-' | b'0'..=b'9' => {
                    let length = text[at..]
                        .iter()
                        .take_while(|byte| {
                            matches!(byte, b'-' | b'+' | b'.' | b'e' | b'E' | b'0'..=b'9')
                        })
                        .count();
                    if let Complaint::LongNumber(limit) = self.complaint
                        && length > limit
                    {
                        return Some(self.path());
                    }
                    at += length;
                }
                _ => at += 1,
            }
        }
        None
    }

    /// Takes the name of a member, quotation marks included.
    fn is_odd_name(&mut self, quoted: &[u8]) -> bool {
        let read = serde_json::from_slice::<String>(quoted);
        let is_broken = read.is_err();
        let name =
            read.unwrap_or_else(|_| String::from_utf8_lossy(quoted).trim_matches('"').to_owned());
        let Some(level) = self.levels.last_mut() else {
            return false;
        };
        level.name.clone_from(&name);
        match self.complaint {
            Complaint::EmptyName => name.is_empty(),
            Complaint::BlankName => name.split('.').any(|part| part.trim().is_empty()),
            Complaint::BrokenName => is_broken,
            Complaint::DuplicateName => !level.names.insert(name),
            Complaint::LongNumber(_) | Complaint::LongText(_) | Complaint::Deep => false,
        }
    }

    fn path(&self) -> String {
        let objects = self.levels.iter().filter(|level| level.is_object);
        let names: Vec<_> = objects.map(|level| level.name.as_str()).collect();
        names.join(".")
    }
}

/// Where the text that begins at a quotation mark ends: after the closing one.
fn end_of_text(text: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while at < text.len() {
        match text[at] {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_the_server_complains_of() {
        let long = format!("{{\"a\":1,\"o\":{{\"n\":[2,{}]}},\"b\":3", "7".repeat(1001));
        let text = format!("{{\"a\":\"x\\\"y\",\"t\":\"{}\"", "x".repeat(51));
        let deep = "{\"a\":{\"b\":1},\"d\":[[[[1]]]],\"e\":{\"f\":{}}".to_owned();
        let number = "Number value length (1001) exceeds the maximum allowed (1000, from `x`)";
        let surrogate = "Broken surrogate pair in property name: expected";
        for (reason, text, field) in [
            (number, long.as_str(), Some("o.n")),
            (number, "{\"a\":123", None),
            (
                "String value length (52) exceeds the maximum allowed (50, from `x`)",
                &text,
                Some("t"),
            ),
            (
                "Document nesting depth (1001) exceeds the maximum allowed (1000, from `x`)",
                &deep,
                Some("d"),
            ),
            (
                "failed to parse: The depth of the field has exceeded the allowed limit of [20].",
                &deep,
                Some("d"),
            ),
            (
                "failed to parse: field name cannot be an empty string",
                "{\"a\":{\"\":\"\"},\"\":1",
                Some("a."),
            ),
            (
                "failed to parse: field name cannot be an empty string",
                "{\"a\":\"\",\"\":1",
                Some(""),
            ),
            (
                "failed to parse: field name cannot contain only dots",
                "{\"a.b\":1,\"..\":1",
                Some(".."),
            ),
            (
                "Field name cannot contain only whitespace: [ ]",
                "{\"a b\":1,\" \":1",
                Some(" "),
            ),
            (
                "failed to parse: field name cannot contain only whitespace: ['a..b']",
                "{\"a\":1,\"o\":{\"a..b\":1}",
                Some("o.a..b"),
            ),
            (surrogate, "{\"a\":1,\"b\\ud800c\":1", Some("b\\ud800c")),
            (
                "Duplicate field 'x' at [Source: …]",
                "{\"x\":1,\"o\":[{\"x\":1},{\"x\":1,\"x\":2}]",
                Some("o.x"),
            ),
            (
                "Limit of total fields [3] has been exceeded",
                "{\"a\":1",
                None,
            ),
        ] {
            assert_eq!(
                culprit(reason, text.as_bytes()).as_deref(),
                field,
                "{reason}"
            );
        }
    }

    #[test]
    fn a_long_path_is_shown_short() {
        assert_eq!(shown("a.b"), "a.b");
        assert!(shown(&"é".repeat(500)).len() < 210);
    }

    proptest::proptest! {
        #[test]
        fn never_panics(text in "[\\[\\]{}\":,\\\\a0. -]{0,60}", number in 0..WORDS.len()) {
            let _ = culprit(WORDS[number].0, text.as_bytes());
            let _ = culprit("Number value length (1) exceeds the maximum allowed (0,", text.as_bytes());
            let _ = culprit("String value length (1) exceeds the maximum allowed (0,", text.as_bytes());
        }
    }
}
