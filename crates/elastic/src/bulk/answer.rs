//! The answer to a bulk request, read without a tree.

use crate::{
    RequestErrorKind,
    refusal::{self, Refusal, too_much_memory},
};
use serde::{
    Deserialize, Deserializer,
    de::{self, DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Value, value::RawValue};
use std::{fmt, ops::Range};
use tributary_engine::{Action, Answer, ItemError, Operation, Version};

/// What of the answer is asked for, besides nothing.
pub(crate) const FILTER: &str =
    "errors,items.*._seq_no,items.*._primary_term,items.*.status,items.*.error";

/// What OpenSearch says of all documents of a request, if its pipeline cannot read one of them.
const UNREAD: &str = "Failed to parse content to map";

/// One answer for each operation, and what they have in common.
#[derive(Debug)]
pub(crate) struct Verdicts {
    /// In the order of the operations.
    pub(crate) answers: Vec<Answer>,
    /// If not one operation was carried out, and all for the same reason that has nothing to do with
    /// the document: a block, a missing privilege, a missing index or pipeline.
    pub(crate) refused: Option<(u16, Refusal)>,
}

/// Reads the answer.
///
/// # Errors
/// A text if the answer is not complete or not for these operations.
pub(crate) fn read(
    body: &[u8],
    operations: &[Operation],
    signed_by: &str,
) -> Result<Verdicts, String> {
    let mut reading = Reading {
        operations,
        signed_by,
        answers: Vec::with_capacity(operations.len()),
        common: Common::Unknown,
    };
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    reading
        .deserialize_answer(&mut deserializer)
        .and_then(|()| deserializer.end())
        .map_err(|error| format!("the answer cannot be read: {error}"))?;
    if reading.answers.len() != operations.len() {
        return Err(format!(
            "the answer has {} items for {} operations",
            reading.answers.len(),
            operations.len()
        ));
    }
    Ok(Verdicts {
        refused: match reading.common {
            Common::Refused(status, refusal) => Some((status, refusal)),
            _ => None,
        },
        answers: reading.answers,
    })
}

/// If the server will never have the memory that these operations need together: a sentence.
pub(crate) fn never_fits(answers: &[Answer], operations: &[Operation]) -> Option<String> {
    let are_rejected = answers.iter().all(|answer| answer.status == 429);
    let reason = &answers.first()?.error.as_ref()?.reason;
    if !are_rejected || refusal::never_fits(reason, u64::MAX).is_none() {
        return None;
    }
    let (needed, limit) = refusal::never_fits(reason, super::length(operations))?;
    Some(too_much_memory(needed, limit))
}

/// Runs of operations that are refused because the pipeline could not read one of them.
pub(crate) fn unread(answers: &[Answer]) -> Vec<Range<usize>> {
    let mut runs: Vec<Range<usize>> = Vec::new();
    for (at, answer) in answers.iter().enumerate() {
        let is_unread = answer.error.as_ref().is_some_and(|error| {
            error.kind == "parse_exception" && error.reason.starts_with(UNREAD)
        });
        if answer.status != 400 || !is_unread {
            continue;
        }
        match runs.last_mut() {
            Some(run) if run.end == at => run.end += 1,
            _ => runs.push(at..at + 1),
        }
    }
    runs
}

struct Reading<'o> {
    operations: &'o [Operation],
    signed_by: &'o str,
    answers: Vec<Answer>,
    common: Common,
}

/// What the items so far have in common.
enum Common {
    Unknown,
    Refused(u16, Refusal),
    Nothing,
}

impl Reading<'_> {
    fn deserialize_answer<'de, D: Deserializer<'de>>(&mut self, from: D) -> Result<(), D::Error> {
        from.deserialize_map(Whole(self))
    }

    fn item(&mut self, verb: &str, outcome: &Outcome<'_>) -> Result<(), &'static str> {
        let asked = match self.operations.get(self.answers.len()).map(|o| &o.action) {
            None => return Err("more items than operations"),
            Some(Action::Index(_)) => "index",
            Some(Action::Update(_)) => "update",
            Some(Action::Delete(_)) => "delete",
        };
        if verb != asked {
            return Err("the items are not in the order of the operations");
        }
        let version = match (outcome.seq_no, outcome.primary_term) {
            (Some(seq_no), Some(term)) => u64::try_from(seq_no)
                .ok()
                .zip(u64::try_from(term).ok())
                .map(|(seq_no, primary_term)| Version {
                    seq_no,
                    primary_term,
                }),
            _ => None,
        };
        let error = match outcome.error {
            None => {
                self.common = Common::Nothing;
                None
            }
            Some(error) => Some(self.failed(outcome.status, error)),
        };
        self.answers.push(Answer {
            status: outcome.status,
            version: version.filter(|_| error.is_none()),
            error,
        });
        Ok(())
    }

    fn failed(&mut self, status: u16, error: &RawValue) -> ItemError {
        let error: Value = serde_json::from_str(error.get()).unwrap_or_default();
        let refusal = Refusal::of_error(&error);
        let meaning = refusal.meaning(status);
        let about_the_document = !matches!(
            meaning,
            RequestErrorKind::Blocked | RequestErrorKind::Forbidden | RequestErrorKind::NotFound
        );
        self.common = match std::mem::replace(&mut self.common, Common::Nothing) {
            Common::Unknown if !about_the_document => Common::Refused(status, refusal.clone()),
            Common::Refused(first, common) if first == status && common.kind == refusal.kind => {
                Common::Refused(first, common)
            }
            _ => Common::Nothing,
        };
        if !about_the_document {
            return ItemError {
                field: None,
                reason: refusal.in_words(status, self.signed_by),
                kind: refusal.kind,
            };
        }
        let advice = refusal.advice();
        let mut reason = refusal.reason;
        let field = refusal::field_of(&reason).or_else(|| {
            let field = self
                .text()
                .and_then(|text| refusal::culprit(&reason, text))?;
            reason.push_str(&format!(" (the field {})", refusal::shown(&field)));
            Some(field)
        });
        reason.push_str(advice);
        ItemError {
            field,
            reason,
            kind: refusal.kind,
        }
    }

    /// The text of the document whose answer is read, without its file.
    fn text(&self) -> Option<&[u8]> {
        match &self.operations.get(self.answers.len())?.action {
            Action::Index(source) | Action::Update(source) => Some(source.pieces()[0]),
            Action::Delete(_) => None,
        }
    }
}

/// What is in an item.
#[derive(Deserialize)]
struct Outcome<'a> {
    status: u16,
    /// Negative if none was given to the operation.
    #[serde(rename = "_seq_no")]
    seq_no: Option<i64>,
    #[serde(rename = "_primary_term")]
    primary_term: Option<i64>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

struct Whole<'r, 'o>(&'r mut Reading<'o>);

impl<'de> Visitor<'de> for Whole<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the answer to a bulk request")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<&str>()? {
            if key == "items" {
                map.next_value_seed(Items(&mut *self.0))?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }
}

struct Items<'r, 'o>(&'r mut Reading<'o>);

impl<'de> DeserializeSeed<'de> for Items<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Items<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of items")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        while items.next_element_seed(Item(&mut *self.0))?.is_some() {}
        Ok(())
    }
}

struct Item<'r, 'o>(&'r mut Reading<'o>);

impl<'de> DeserializeSeed<'de> for Item<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Item<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an item")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let (verb, outcome) = map
            .next_entry::<&str, Outcome<'de>>()?
            .ok_or_else(|| de::Error::custom("an empty item"))?;
        self.0.item(verb, &outcome).map_err(de::Error::custom)?;
        match map.next_key::<IgnoredAny>()? {
            None => Ok(()),
            Some(_) => Err(de::Error::custom("an item with two operations")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tributary_engine::Source;

    fn index(count: usize) -> Vec<Operation> {
        (0..count)
            .map(|n| Operation {
                id: n.to_string().into(),
                action: Action::Index(Source::default()),
            })
            .collect()
    }

    const FORBIDDEN: &str = r#"{"index":{"status":403,"error":{"type":"security_exception","reason":"action [x] is unauthorized on indices [other], this action is granted by the index privileges [write,all]"}}}"#;
    const DONE: &str = r#"{"index":{"_seq_no":5,"_primary_term":2,"status":201}}"#;

    fn answer(items: &[&str]) -> String {
        format!(
            "{{\"errors\":true,\"took\":1,\"items\":[{}]}}",
            items.join(",")
        )
    }

    #[test]
    fn reads_versions_and_errors_in_order() {
        let body = answer(&[
            DONE,
            r#"{"index":{"_index":"m","_seq_no":-2,"_primary_term":0,"status":200,"result":"noop"}}"#,
            r#"{"index":{"status":400,"error":{"type":"document_parsing_exception","reason":"[1:6] failed to parse field [n] of type [long]","caused_by":{"type":"x","reason":"For input string: \"abc\""}}}}"#,
        ]);
        let verdicts = read(body.as_bytes(), &index(3), "API key").unwrap();
        assert!(verdicts.refused.is_none());
        let [done, noop, failed] = &verdicts.answers[..] else {
            panic!("three answers");
        };
        assert_eq!(
            done.version,
            Some(Version {
                seq_no: 5,
                primary_term: 2
            })
        );
        assert!(done.is_done() && noop.is_done() && noop.version.is_none());
        let error = failed.error.as_ref().unwrap();
        assert_eq!(error.field.as_deref(), Some("n"));
        assert_eq!(error.kind, "document_parsing_exception");
        assert!(
            error.reason.ends_with("For input string: \"…\""),
            "{}",
            error.reason
        );
    }

    #[test]
    fn sees_when_everything_was_refused_for_one_reason() {
        let refused = |items: &[&str]| {
            let verdicts = read(answer(items).as_bytes(), &index(items.len()), "API key").unwrap();
            verdicts
                .refused
                .map(|(status, refusal)| (status, refusal.kind))
        };
        let forbidden = Some((403, "security_exception".to_owned()));
        assert_eq!(refused(&[FORBIDDEN, FORBIDDEN]), forbidden);
        assert_eq!(refused(&[FORBIDDEN, DONE]), None);
        assert_eq!(refused(&[DONE, FORBIDDEN]), None);
        let odd = r#"{"index":{"status":400,"error":{"type":"y","reason":"z"}}}"#;
        assert_eq!(refused(&[odd, odd]), None);
        assert_eq!(refused(&[FORBIDDEN, odd, FORBIDDEN]), None);
        assert_eq!(refused(&[]), None);
        let verdicts = read(answer(&[DONE, FORBIDDEN]).as_bytes(), &index(2), "API key").unwrap();
        let reason = &verdicts.answers[1].error.as_ref().unwrap().reason;
        assert!(
            reason.contains("on the index other: one of write, all"),
            "{reason}"
        );
    }

    #[test]
    fn an_answer_that_is_not_complete_is_no_answer() {
        let operations = index(2);
        let good = answer(&[DONE, DONE]);
        assert!(read(good.as_bytes(), &operations, "").is_ok());
        for end in 0..good.len() {
            assert!(
                read(&good.as_bytes()[..end], &operations, "").is_err(),
                "{end}"
            );
        }
        for items in [
            vec![DONE],
            vec![DONE, DONE, DONE],
            vec![DONE, r#"{"delete":{"status":200}}"#],
            vec![DONE, "{}"],
            vec![DONE, r#"{"index":{"status":"x"}}"#],
            vec![DONE, r#"{"index":{"status":200},"index":{"status":200}}"#],
        ] {
            assert!(
                read(answer(&items).as_bytes(), &operations, "").is_err(),
                "{items:?}"
            );
        }
        assert!(read(format!("{good}{good}").as_bytes(), &operations, "").is_err());
    }

    #[test]
    fn an_error_may_have_any_shape() {
        for error in ["\"text\"", "7", "[]", "{}", "{\"reason\":null}"] {
            let item = format!("{{\"index\":{{\"status\":500,\"error\":{error}}}}}");
            let verdicts = read(answer(&[&item]).as_bytes(), &index(1), "").unwrap();
            assert!(!verdicts.answers[0].is_done());
            assert!(verdicts.answers[0].error.is_some(), "{error}");
        }
        // `null` is no error.
        let item = r#"{"index":{"status":200,"error":null}}"#;
        assert!(
            read(answer(&[item]).as_bytes(), &index(1), "")
                .unwrap()
                .answers[0]
                .is_done()
        );
    }
}
