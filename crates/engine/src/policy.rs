//! The tables of consequences: what follows from an error of the source, and of the index.

use crate::{
    job::{Gap, Verdict},
    target::{Answer, TargetErrorKind},
};
use std::time::Duration;
use tributary_sdk::ErrorKind;

/// What follows from an error of the source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Consequence {
    /// The job ends; nothing is deleted.
    EndsJob,
    /// A gap; the job ends as an error.
    Gap,
    /// A gap that will be there tomorrow as well; the job ends with a warning.
    Denied,
}

/// The one table from kind of error to consequence (DESIGN §§3, 4).
pub(crate) fn consequence(kind: ErrorKind) -> Consequence {
    match kind {
        ErrorKind::InvalidConfig
        | ErrorKind::Unauthorised
        | ErrorKind::Stopped
        | ErrorKind::Internal => Consequence::EndsJob,
        ErrorKind::NotFound
        | ErrorKind::RateLimited { .. }
        | ErrorKind::Unavailable
        | ErrorKind::Timeout
        | ErrorKind::BadResponse
        | ErrorKind::DeadCursor => Consequence::Gap,
        ErrorKind::Forbidden | ErrorKind::Unsupported => Consequence::Denied,
    }
}

/// Whether reading the same file again may help.
pub(crate) fn may_pass(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::RateLimited { .. }
            | ErrorKind::Unavailable
            | ErrorKind::Timeout
            | ErrorKind::BadResponse
    )
}

/// The verdict of a run in which nothing else went wrong.
pub(crate) fn verdict(gaps: &[Gap], gap_count: u64, all_denied: bool) -> Verdict {
    let Some(first) = gaps.first() else {
        return Verdict::Completed;
    };
    let names: Vec<_> = gaps
        .iter()
        .take(3)
        .map(|gap| format!("{}: {}", gap.scope, gap.why))
        .collect();
    let more = gap_count.saturating_sub(names.len() as u64);
    let more = if more > 0 {
        format!("; and {more} more")
    } else {
        String::new()
    };
    let text = names.join("; ");
    if all_denied {
        Verdict::Warning(format!(
            "not everything may be read, and nothing was deleted there ({text}{more})"
        ))
    } else if gap_count == 1 {
        Verdict::Failed(format!(
            "{} could not be read ({}); everything else is up to date and nothing was deleted there",
            first.scope, first.why
        ))
    } else {
        Verdict::Failed(format!(
            "{gap_count} parts could not be read; everything else is up to date and nothing was deleted there ({text}{more})"
        ))
    }
}

/// What follows from a request that failed as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RequestConsequence {
    /// Wait, then send it again.
    Again,
    /// Send the halves.
    Split,
    /// The job ends; nothing more is sent.
    EndsJob,
}

/// The one table from kind of request failure to consequence.
pub(crate) fn request_consequence(kind: TargetErrorKind) -> RequestConsequence {
    match kind {
        TargetErrorKind::Unavailable | TargetErrorKind::Busy { .. } | TargetErrorKind::Blocked => {
            RequestConsequence::Again
        }
        TargetErrorKind::TooLarge | TargetErrorKind::Rejected => RequestConsequence::Split,
        TargetErrorKind::Unauthorised | TargetErrorKind::Forbidden | TargetErrorKind::NotFound => {
            RequestConsequence::EndsJob
        }
    }
}

/// What follows from the answer to one operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ItemConsequence {
    /// It was carried out.
    Done,
    /// The document is not there.
    Absent,
    /// Somebody changed the document since.
    Conflict,
    /// Wait, then send this one again, a few times.
    Again,
    /// The index takes nothing of the kind at the moment: wait, then send this one again, as long as
    /// the job is patient.
    Wait,
    /// The index refuses this document, now and later.
    Refused,
    /// The job ends.
    EndsJob,
}

/// The one table from item status to consequence.
pub(crate) fn item_consequence(answer: &Answer) -> ItemConsequence {
    let kind = answer
        .error
        .as_ref()
        .map_or("", |error| error.kind.as_str());
    match answer.status {
        200..=299 if answer.error.is_none() => ItemConsequence::Done,
        403 | 429 if kind == "cluster_block_exception" => ItemConsequence::Wait,
        401 | 403 => ItemConsequence::EndsJob,
        404 if kind == "index_not_found_exception" => ItemConsequence::EndsJob,
        404 => ItemConsequence::Absent,
        409 => ItemConsequence::Conflict,
        429 | 503 => ItemConsequence::Wait,
        500..=599 => ItemConsequence::Again,
        _ => ItemConsequence::Refused,
    }
}

/// The pause before attempt `attempt` (1 = the first repetition): doubling from half a second to half
/// a minute, or what the server asked for if that is longer.
pub(crate) fn pause(attempt: u32, asked: Option<Duration>) -> Duration {
    let doubling = Duration::from_millis(500)
        .saturating_mul(1 << attempt.saturating_sub(1).min(6))
        .min(Duration::from_secs(30));
    asked.map_or(doubling, |asked| asked.max(doubling))
}

/// How often one document is sent again before it counts as refused.
pub(crate) const ITEM_ATTEMPTS: u32 = 12;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::ItemError;

    fn answer(status: u16, kind: &str) -> Answer {
        let error = (!kind.is_empty()).then(|| ItemError {
            kind: kind.into(),
            reason: String::new(),
            field: None,
        });
        Answer {
            status,
            version: None,
            error,
        }
    }

    #[test]
    fn a_blocked_index_is_waited_for_but_a_missing_privilege_is_not() {
        for (status, kind, expected) in [
            (201, "", ItemConsequence::Done),
            (
                429,
                "es_rejected_execution_exception",
                ItemConsequence::Wait,
            ),
            (429, "cluster_block_exception", ItemConsequence::Wait),
            (403, "cluster_block_exception", ItemConsequence::Wait),
            (403, "security_exception", ItemConsequence::EndsJob),
            (404, "index_not_found_exception", ItemConsequence::EndsJob),
            (404, "document_missing_exception", ItemConsequence::Absent),
            (
                409,
                "version_conflict_engine_exception",
                ItemConsequence::Conflict,
            ),
            (400, "document_parsing_exception", ItemConsequence::Refused),
            (503, "unavailable_shards_exception", ItemConsequence::Wait),
            (500, "null_pointer_exception", ItemConsequence::Again),
        ] {
            assert_eq!(
                item_consequence(&answer(status, kind)),
                expected,
                "{status} {kind}"
            );
        }
    }

    #[test]
    fn pauses_double_up_to_half_a_minute_and_honour_what_the_server_asks() {
        assert_eq!(pause(1, None), Duration::from_millis(500));
        assert_eq!(pause(3, None), Duration::from_secs(2));
        assert_eq!(pause(50, None), Duration::from_secs(30));
        let asked = Some(Duration::from_secs(90));
        assert_eq!(pause(1, asked), Duration::from_secs(90));
    }
}
