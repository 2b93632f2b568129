//! Counting the lines of a bulk body while the answer is written.

use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::Value;

/// Which fields of an item the client asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fields {
    took: bool,
    index: bool,
    id: bool,
    version: bool,
    result: bool,
    seq_no: bool,
    primary_term: bool,
    status: bool,
}

impl Fields {
    /// Reads `filter_path` of a query. Without it: everything.
    pub(super) fn of_query(query: &str) -> Self {
        let filter = query
            .split('&')
            .find_map(|pair| pair.strip_prefix("filter_path="));
        let filter = filter.map(|filter| {
            filter
                .replace("%2C", ",")
                .replace("%2c", ",")
                .replace("%2A", "*")
        });
        let has = |name: &str| {
            filter
                .as_deref()
                .is_none_or(|filter| filter.split(',').any(|part| part == name))
        };
        let item = |field: &str| {
            has(&format!("items.*.{field}"))
                || has(&format!("**.{field}"))
                || has("items")
                || has("items.*")
        };
        Self {
            took: has("took"),
            index: item("_index"),
            id: item("_id"),
            version: item("_version"),
            result: item("result"),
            seq_no: item("_seq_no"),
            primary_term: item("_primary_term"),
            status: item("status"),
        }
    }

    fn any(self) -> bool {
        self.index
            || self.id
            || self.version
            || self.result
            || self.seq_no
            || self.primary_term
            || self.status
    }
}

/// An answer that grows with the body fed into it.
pub(super) struct Answering<'a> {
    fields: Fields,
    index: &'a str,
    next_seq_no: &'a AtomicU64,
    answer: Vec<u8>,
    items: u64,
    /// The bytes of an action line so far, if the line went over a piece's end.
    line: Vec<u8>,
    in_source: bool,
}

impl<'a> Answering<'a> {
    pub(super) fn new(fields: Fields, index: &'a str, next_seq_no: &'a AtomicU64) -> Self {
        let mut answer = Vec::new();
        answer.extend_from_slice(if fields.took { b"{\"took\":0," } else { b"{" });
        answer.extend_from_slice(b"\"errors\":false");
        if fields.any() {
            answer.extend_from_slice(b",\"items\":[");
        }
        Self {
            fields,
            index,
            next_seq_no,
            answer,
            items: 0,
            line: Vec::new(),
            in_source: false,
        }
    }

    /// Takes the next bytes of the body.
    pub(super) fn feed(&mut self, mut piece: &[u8]) {
        while let Some(end) = memchr::memchr(b'\n', piece) {
            let (line, rest) = piece.split_at(end);
            piece = rest.get(1..).unwrap_or_default();
            if self.in_source {
                self.in_source = false;
            } else if self.line.is_empty() {
                self.action(line);
            } else {
                let mut whole = std::mem::take(&mut self.line);
                whole.extend_from_slice(line);
                self.action(&whole);
            }
        }
        if !self.in_source {
            self.line.extend_from_slice(piece);
        }
    }

    /// The whole answer.
    pub(super) fn finish(mut self) -> Vec<u8> {
        self.answer
            .extend_from_slice(if self.fields.any() { b"]}" } else { b"}" });
        self.answer
    }

    fn action(&mut self, line: &[u8]) {
        let Some(verb) = first_word(line) else { return };
        self.in_source = verb != b"delete";
        let seq_no = self.next_seq_no.fetch_add(1, Ordering::Relaxed);
        self.items += 1;
        let fields = self.fields;
        if !fields.any() {
            return;
        }
        let (status, result) = match verb {
            b"index" | b"create" => (201, "created"),
            b"update" => (200, "updated"),
            _ => (200, "deleted"),
        };
        if self.items > 1 {
            self.answer.push(b',');
        }
        self.answer.extend_from_slice(b"{\"");
        self.answer.extend_from_slice(verb);
        self.answer.extend_from_slice(b"\":{");
        let mut separator = "";
        // writing into memory cannot fail
        let mut field = |name: &str, value: std::fmt::Arguments<'_>| {
            let _ = write!(self.answer, "{separator}\"{name}\":{value}");
            separator = ",";
        };
        if fields.index || fields.id {
            let action: Value = serde_json::from_slice(line).unwrap_or(Value::Null);
            let inner = action
                .as_object()
                .and_then(|action| action.values().next())
                .unwrap_or(&Value::Null);
            if fields.index {
                let index = inner["_index"].as_str().unwrap_or(self.index);
                field("_index", format_args!("{}", Value::from(index)));
            }
            if fields.id {
                // where none is sent, an engine makes one up
                let id = inner["_id"]
                    .as_str()
                    .map_or_else(|| format!("stub-{seq_no}"), str::to_owned);
                field("_id", format_args!("{}", Value::from(id)));
            }
        }
        if fields.version {
            field("_version", format_args!("1"));
        }
        if fields.result {
            field("result", format_args!("\"{result}\""));
        }
        if fields.seq_no {
            field("_seq_no", format_args!("{seq_no}"));
        }
        if fields.primary_term {
            field("_primary_term", format_args!("1"));
        }
        if fields.status {
            field("status", format_args!("{status}"));
        }
        self.answer.extend_from_slice(b"}}");
    }
}

/// For the decoder of compressed bodies.
impl Write for Answering<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.feed(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The first string in a line.
fn first_word(line: &[u8]) -> Option<&[u8]> {
    let begin = memchr::memchr(b'"', line)? + 1;
    let rest = line.get(begin..)?;
    rest.get(..memchr::memchr(b'"', rest)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &[u8] = b"{\"index\":{\"_id\":\"a\"}}\n{\"x\":\"delete\"}\n{\"delete\":{\"_id\":\"b\",\"_index\":\"other\"}}\n\
        {\"update\":{\"_id\":\"c\"}}\n{\"doc\":{}}\n{ \"create\" : {}}\n{}\n";

    fn answer(query: &str, piece: usize) -> String {
        let seq_no = AtomicU64::new(7);
        let mut answering = Answering::new(Fields::of_query(query), "mine", &seq_no);
        BODY.chunks(piece).for_each(|piece| answering.feed(piece));
        let answer = String::from_utf8(answering.finish()).unwrap();
        assert_eq!(seq_no.into_inner(), 11);
        answer
    }

    #[test]
    fn the_filter_decides_what_an_item_holds() {
        let filter = "refresh=x&filter_path=errors,items.*._seq_no,items.*._primary_term,items.*.status,items.*.error";
        assert_eq!(
            answer(filter, BODY.len()),
            "{\"errors\":false,\"items\":[{\"index\":{\"_seq_no\":7,\"_primary_term\":1,\"status\":201}},\
             {\"delete\":{\"_seq_no\":8,\"_primary_term\":1,\"status\":200}},\
             {\"update\":{\"_seq_no\":9,\"_primary_term\":1,\"status\":200}},\
             {\"create\":{\"_seq_no\":10,\"_primary_term\":1,\"status\":201}}]}"
        );
        assert_eq!(answer("filter_path=errors", 5), "{\"errors\":false}");
    }

    #[test]
    fn without_a_filter_ids_and_indices_are_told() {
        let whole: Value = serde_json::from_str(&answer("", 3)).unwrap();
        assert_eq!(whole["items"][0]["index"]["_id"], "a");
        assert_eq!(whole["items"][0]["index"]["_index"], "mine");
        assert_eq!(whole["items"][1]["delete"]["_index"], "other");
        assert_eq!(whole["items"][3]["create"]["_id"], "stub-10");
        assert_eq!(whole["took"], 0);
    }

    #[test]
    fn the_size_of_pieces_does_not_matter() {
        let whole = answer("", BODY.len());
        for piece in 1..40 {
            assert_eq!(answer("", piece), whole);
        }
    }
}
