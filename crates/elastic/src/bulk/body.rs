//! The newline-delimited body of a bulk request, encoded straight from the operations.

use std::{io::Write, slice};
use tributary_engine::{Action, Operation};

/// Writes a body in pieces of any size.
pub(crate) struct Encoder<'a> {
    operations: slice::Iter<'a, Operation>,
    /// What is left of the current operation, last piece first.
    left: Vec<&'a [u8]>,
}

impl<'a> Encoder<'a> {
    pub(crate) fn new(operations: &'a [Operation]) -> Self {
        Self {
            operations: operations.iter(),
            left: Vec::with_capacity(8),
        }
    }

    /// Fills the buffer up to the limit, or one action line beyond it. Leaves it as it is when
    /// everything was written.
    pub(crate) fn fill(&mut self, buffer: &mut Vec<u8>, limit: usize) {
        while buffer.len() < limit {
            if let Some(piece) = self.left.pop() {
                let (now, later) = piece.split_at(piece.len().min(limit - buffer.len()));
                if !later.is_empty() {
                    self.left.push(later);
                }
                copy(now, buffer);
                if self.left.is_empty() {
                    buffer.push(b'\n');
                }
            } else if let Some(operation) = self.operations.next() {
                self.begin(operation, buffer);
            } else {
                break;
            }
        }
    }

    fn begin(&mut self, operation: &'a Operation, buffer: &mut Vec<u8>) {
        let (verb, source) = match &operation.action {
            Action::Index(source) => ("index", Some(source)),
            Action::Update(source) => ("update", Some(source)),
            Action::Delete(_) => ("delete", None),
        };
        buffer.extend_from_slice(b"{\"");
        buffer.extend_from_slice(verb.as_bytes());
        buffer.extend_from_slice(b"\":{\"_id\":");
        // Neither of the two writes can fail: the buffer is memory, and the id is text.
        let _ = serde_json::to_writer(&mut *buffer, operation.id.as_str());
        if let Action::Delete(version) = &operation.action {
            let _ = write!(
                buffer,
                ",\"if_seq_no\":{},\"if_primary_term\":{}",
                version.seq_no, version.primary_term
            );
        }
        buffer.extend_from_slice(b"}}\n");
        let Some(source) = source else {
            return;
        };
        let update = matches!(operation.action, Action::Update(_));
        if update {
            // Never as an upsert: a change of a few fields is no document.
            self.left.push(b"}");
        }
        for piece in source.pieces().into_iter().rev() {
            if !piece.is_empty() {
                self.left.push(piece);
            }
        }
        if update {
            self.left.push(b"{\"doc\":");
        }
    }
}

/// Copies JSON text. A line end in it can only stand between tokens, where a blank means the same,
/// and would otherwise end the document early.
fn copy(piece: &[u8], buffer: &mut Vec<u8>) {
    let start = buffer.len();
    buffer.extend_from_slice(piece);
    for at in memchr::memchr_iter(b'\n', piece) {
        buffer[start + at] = b' ';
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};
    use tributary_engine::{Source, Version};

    fn operation(id: &str, action: Action) -> Operation {
        Operation {
            id: id.into(),
            action,
        }
    }

    fn whole(operations: &[Operation]) -> String {
        let mut buffer = Vec::new();
        Encoder::new(operations).fill(&mut buffer, usize::MAX);
        String::from_utf8(buffer).unwrap()
    }

    #[test]
    fn writes_each_kind_of_operation() {
        let operations = [
            operation(
                "a\"1\n",
                Action::Index(Source::new(b"{\"t\":\n1".to_vec(), None)),
            ),
            operation(
                "é",
                Action::Update(Source::new(b"{\"t\":1".to_vec(), Some(b"QQ==".to_vec()))),
            ),
            operation(
                "c",
                Action::Delete(Version {
                    seq_no: 7,
                    primary_term: 2,
                }),
            ),
            operation("d", Action::Index(Source::new(Vec::new(), None))),
        ];
        assert_eq!(
            whole(&operations),
            "{\"index\":{\"_id\":\"a\\\"1\\n\"}}\n{\"t\": 1}\n\
             {\"update\":{\"_id\":\"é\"}}\n\
             {\"doc\":{\"t\":1,\"_attachment\":\"QQ==\"}}\n\
             {\"delete\":{\"_id\":\"c\",\"if_seq_no\":7,\"if_primary_term\":2}}\n\
             {\"index\":{\"_id\":\"d\"}}\n{}\n"
        );
    }

    fn operations() -> impl Strategy<Value = Vec<Operation>> {
        let one =
            (".{0,30}", 0..4_u8, ".{0,40}", any::<bool>()).prop_map(|(id, kind, text, file)| {
                let open = match kind {
                    0 => String::new(),
                    1 => format!("{{\n\"t\":{}", json!(text)),
                    _ => format!("{{\"t\":{},\"n\":[1,2]", json!(text)),
                };
                let source = Source::new(open.into_bytes(), file.then(|| b"QUJD".repeat(20)));
                let action = match kind {
                    3 => Action::Delete(Version {
                        seq_no: id.len() as u64,
                        primary_term: 1,
                    }),
                    2 => Action::Update(source),
                    _ => Action::Index(source),
                };
                operation(&id, action)
            });
        proptest::collection::vec(one, 0..12)
    }

    proptest! {
        #[test]
        fn any_piece_size_gives_the_same_lines(operations in operations(), size in 1..200_usize) {
            let mut pieces = Vec::new();
            let mut encoder = Encoder::new(&operations);
            loop {
                let mut piece = Vec::new();
                encoder.fill(&mut piece, size);
                if piece.is_empty() {
                    break;
                }
                pieces.extend(piece);
            }
            let text = String::from_utf8(pieces).unwrap();
            prop_assert_eq!(&text, &whole(&operations));
            let mut lines = text.lines();
            for operation in &operations {
                let head: Value = serde_json::from_str(lines.next().unwrap()).unwrap();
                let (verb, source) = match &operation.action {
                    Action::Index(source) => ("index", Some(source)),
                    Action::Update(source) => ("update", Some(source)),
                    Action::Delete(_) => ("delete", None),
                };
                prop_assert_eq!(&head[verb]["_id"], operation.id.as_str());
                if let Some(source) = source {
                    let line: Value = serde_json::from_str(lines.next().unwrap()).unwrap();
                    let expected: Value = serde_json::from_slice(&source.to_text()).unwrap();
                    let document = if verb == "update" { &line["doc"] } else { &line };
                    prop_assert_eq!(document, &expected);
                }
            }
            prop_assert_eq!(lines.next(), None);
        }
    }
}
