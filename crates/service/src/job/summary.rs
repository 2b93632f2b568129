//! What a job leaves in the `metadata` of its record: what it did beyond the counts of the protocol,
//! what was not read, which documents are not as the source has them, and what should be known about the
//! index.

use crate::failure::shortened;
use serde_json::{Map, Value, json};
use tributary_engine::{Counters, Gap, LedgerEntry, Outcome, Verdict};
use tributary_protocol::request::METADATA_KEY as KEY;

/// The largest summary, in bytes of JSON: 16 KiB, together with the mark of the lease.
const LIMIT: usize = 16 * 1024 - 512;
/// Samples of each kind.
const SAMPLES: usize = 20;
/// The most sentences about the index.
const FINDINGS: usize = 2;
/// The longest single text, in bytes.
const TEXT: usize = 300;

/// The summary of an outcome, at most [`LIMIT`] bytes.
pub(super) fn summary(outcome: &Outcome, findings: &[String]) -> Map<String, Value> {
    let mut samples = SAMPLES;
    loop {
        let summary = with_samples(outcome, findings, samples);
        if samples == 0 || summary.to_string().len() <= LIMIT - KEY.len() - 8 {
            return Map::from_iter([(KEY.to_owned(), summary)]);
        }
        samples /= 2;
    }
}

/// All there is to say about a job that gave no outcome.
pub(super) fn of_counters(counters: &Counters) -> Map<String, Value> {
    match counters_that_say_something(counters) {
        counters if counters.is_empty() => Map::new(),
        counters => Map::from_iter([(KEY.to_owned(), json!({"counters": counters}))]),
    }
}

fn with_samples(outcome: &Outcome, findings: &[String], samples: usize) -> Value {
    let mut summary = Map::new();
    let mut put = |key: &str, value: Value| summary.insert(key.into(), value);
    if let Verdict::Warning(text) = &outcome.verdict {
        put("warning", shortened(text, 4 * TEXT).into());
    }
    if !findings.is_empty() {
        let first = findings.iter().take(FINDINGS);
        let first: Vec<_> = first.map(|text| shortened(text, 2 * TEXT)).collect();
        put("findings", json!(first));
    }
    let counters = counters_that_say_something(&outcome.counters);
    put("counters", counters.into());
    if outcome.gap_count > 0 {
        let first: Vec<_> = outcome.gaps.iter().take(samples).map(gap).collect();
        put("gaps", json!({"count": outcome.gap_count, "first": first}));
    }
    if !outcome.oddities.is_empty() {
        let first: Vec<_> = outcome.oddities.iter().take(samples).map(oddity).collect();
        put("documents", json!({"first": first}));
    }
    summary.into()
}

fn gap(gap: &Gap) -> Value {
    json!({
        "scope": shortened(&gap.scope.to_string(), TEXT),
        "kind": gap.kind.name(),
        "why": shortened(&gap.why, TEXT),
    })
}

fn oddity(oddity: &LedgerEntry) -> Value {
    json!({
        "id": shortened(oddity.id.as_str(), TEXT),
        "stage": oddity.stage.as_str(),
        "reason": shortened(&oddity.reason, TEXT),
    })
}

/// The counters that are not zero.
fn counters_that_say_something(counters: &Counters) -> Map<String, Value> {
    // Named one by one, so that a new counter is noticed here.
    let Counters {
        extracted,
        filtered,
        indexed,
        unchanged,
        created,
        indexed_bytes,
        deleted,
        kept,
        bounced,
        failed,
        skipped,
        too_large,
        without_field,
        downloads,
        without_content,
        content_too_large,
        duplicates,
        hashed_ids,
        unreadable_access,
        retried,
        requests,
    } = counters;
    let all = [
        ("extracted", extracted),
        ("filtered", filtered),
        ("indexed", indexed),
        ("unchanged", unchanged),
        ("created", created),
        ("indexed_bytes", indexed_bytes),
        ("deleted", deleted),
        ("kept", kept),
        ("bounced", bounced),
        ("failed", failed),
        ("skipped", skipped),
        ("too_large", too_large),
        ("without_field", without_field),
        ("downloads", downloads),
        ("without_content", without_content),
        ("content_too_large", content_too_large),
        ("duplicates", duplicates),
        ("hashed_ids", hashed_ids),
        ("unreadable_access", unreadable_access),
        ("retried", retried),
        ("requests", requests),
    ];
    all.into_iter()
        .filter(|(_, count)| **count > 0)
        .map(|(name, count)| (name.to_owned(), (*count).into()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::DateTime;
    use tributary_protocol::ledger::{LedgerOutcome, Stage};
    use tributary_sdk::{ErrorKind, Scope};

    fn outcome(text: &str, many: usize) -> Outcome {
        let gap = |number: usize| Gap {
            scope: Scope::root().child("folder", &format!("{text}{number}")),
            kind: ErrorKind::Forbidden,
            why: text.into(),
        };
        let oddity = |number: usize| LedgerEntry {
            id: format!("{number}{text}").into(),
            outcome: LedgerOutcome::Failed,
            stage: Stage::Index,
            reason: text.into(),
            at: DateTime::UNIX_EPOCH,
        };
        Outcome {
            verdict: Verdict::Warning(text.into()),
            counters: Counters {
                indexed: 7,
                failed: 2,
                ..Counters::default()
            },
            gaps: (0..many).map(gap).collect(),
            gap_count: 1000,
            oddities: (0..many).map(oddity).collect(),
            total_documents: None,
        }
    }

    #[test]
    fn names_what_was_not_read_what_is_odd_and_what_was_found() {
        let summary = summary(&outcome("x", 1), &["y".into()]);
        let expected = json!({
            "warning": "x",
            "findings": ["y"],
            "counters": {"indexed": 7, "failed": 2},
            "gaps": {
                "count": 1000,
                "first": [{"scope": "folder/x0", "kind": "forbidden", "why": "x"}]
            },
            "documents": {"first": [{"id": "0x", "stage": "index", "reason": "x"}]}
        });
        assert_eq!(summary[KEY], expected);
    }

    #[test]
    fn never_takes_more_than_its_limit() {
        // Control characters take six bytes each in JSON.
        for text in ["ü", "\u{1}"] {
            let text = text.repeat(10_000);
            let summary = summary(&outcome(&text, 100), &vec![text.clone(); 9]);
            let size = Value::Object(summary).to_string().len();
            assert!(size <= LIMIT && size > 4000, "{size}");
        }
    }

    #[test]
    fn nothing_to_say_is_nothing() {
        assert!(of_counters(&Counters::default()).is_empty());
    }
}
