//! What a server says when it refuses something, and what that means.

use crate::{RequestErrorKind, retry};
use chrono::{DateTime, Utc};
use reqwest::header::{HeaderMap, RETRY_AFTER};
use serde_json::Value;

mod culprit;
mod field;
mod pressure;
mod values;

pub(crate) use culprit::{culprit, shown};
pub(crate) use field::field_of;
pub(crate) use pressure::{never_fits, too_much_memory};

/// The longest sentence of a server that is handed on, in bytes.
const LONGEST_REASON: usize = 600;

/// What a server said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// Its word, such as `index_not_found_exception`; may be empty.
    pub(crate) kind: String,
    /// Its sentence with the causes, without values of documents, shortened; may be empty.
    pub(crate) reason: String,
}

impl Refusal {
    /// Reads the body of a failed request: Elasticsearch's error object, or whatever a proxy wrote.
    pub(crate) fn of_body(body: &[u8]) -> Self {
        match serde_json::from_slice::<Value>(body) {
            Ok(Value::Object(answer)) => match answer.get("error") {
                Some(error) => Self::of_error(error),
                // The security plug-in of OpenSearch and some gateways write `message`.
                None => Self::of_text(answer.get("message").and_then(Value::as_str).unwrap_or("")),
            },
            Ok(_) => Self::default(),
            Err(_) => Self::of_text(&without_tags(&String::from_utf8_lossy(
                &body[..body.len().min(4096)],
            ))),
        }
    }

    /// Reads the value of `error`, in an answer or in an item of a bulk answer.
    pub(crate) fn of_error(error: &Value) -> Self {
        let Value::Object(_) = error else {
            return Self::of_text(error.as_str().unwrap_or(""));
        };
        let mut first = error;
        if text(error, "type") == "search_phase_execution_exception"
            && let Some(root) = error.get("root_cause").and_then(|causes| causes.get(0))
        {
            first = root;
        }
        let mut reason = text(first, "reason").to_owned();
        let mut cause = first.get("caused_by");
        while let Some(deeper) = cause {
            let more = text(deeper, "reason");
            if !more.is_empty() && !reason.contains(more) {
                if !reason.is_empty() {
                    reason.push_str(": ");
                }
                reason.push_str(more);
            }
            cause = deeper.get("caused_by");
        }
        Self {
            kind: text(first, "type").to_owned(),
            ..Self::of_text(&reason)
        }
    }

    fn of_text(text: &str) -> Self {
        let mut reason = values::hidden(text)
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ");
        if reason.len() > LONGEST_REASON {
            let end = (0..=LONGEST_REASON)
                .rev()
                .find(|at| reason.is_char_boundary(*at))
                .unwrap_or(0);
            reason.truncate(end);
            reason.push('…');
        }
        Self {
            kind: String::new(),
            reason,
        }
    }

    /// What it means, for a whole request or for one item.
    pub(crate) fn meaning(&self, status: u16) -> RequestErrorKind {
        if self.kind == "cluster_block_exception" {
            // A cluster without a master has blocks too; those go by themselves.
            return if self.reason.contains("SERVICE_UNAVAILABLE/") {
                RequestErrorKind::Unavailable
            } else {
                RequestErrorKind::Blocked
            };
        }
        match status {
            401 => RequestErrorKind::Unauthorised,
            403 => RequestErrorKind::Forbidden,
            404 | 410 => RequestErrorKind::NotFound,
            405 | 501 => RequestErrorKind::Unsupported,
            407 => RequestErrorKind::Unreachable,
            408 => RequestErrorKind::TimedOut,
            409 => RequestErrorKind::Conflict,
            413 => RequestErrorKind::TooLarge,
            429 => RequestErrorKind::Busy { retry_after: None },
            500.. => RequestErrorKind::Unavailable,
            _ if self.kind == "index_closed_exception" => RequestErrorKind::Blocked,
            _ if self.says("no handler found for uri") => RequestErrorKind::Unsupported,
            // A server without a call takes its first word for the name of an index.
            _ if self.kind == "invalid_index_name_exception"
                && self.says("must not start with '_'") =>
            {
                RequestErrorKind::Unsupported
            }
            _ if self.says("pipeline with id [") && self.says("] does not exist") => {
                RequestErrorKind::NotFound
            }
            _ => RequestErrorKind::Rejected,
        }
    }

    /// What a person can do about a document that is refused for this; empty if there is no more to say.
    pub(crate) fn advice(&self) -> &'static str {
        if self.says("Limit of total fields [") {
            "; raise index.mapping.total_fields.limit of the index, or map objects with many names as \
             flattened"
        } else {
            ""
        }
    }

    pub(crate) fn says(&self, words: &str) -> bool {
        self.reason.contains(words)
    }

    /// The sentence for the user: what happened and what to do.
    pub(crate) fn in_words(&self, status: u16, signed_by: &str) -> String {
        match self.meaning(status) {
            RequestErrorKind::Unauthorised => self.unauthorised(signed_by),
            RequestErrorKind::Forbidden => self.forbidden(signed_by),
            RequestErrorKind::Blocked => self.blocked(),
            RequestErrorKind::TooLarge => {
                "the request is larger than the server, or a proxy before it, accepts (413)"
                    .to_owned()
            }
            RequestErrorKind::Busy { .. } => {
                self.said("the server is busy and asks us to slow down (429)")
            }
            RequestErrorKind::Unsupported => self.said("the server does not know this call"),
            RequestErrorKind::Unreachable => {
                "the proxy demands a user name and a password (407); put them into its address, as \
                 in http://user:password@proxy:3128"
                    .to_owned()
            }
            RequestErrorKind::Unavailable => {
                self.said(&format!("the server is in trouble ({status})"))
            }
            _ if self.reason.is_empty() => format!("the server answered {status}"),
            _ if self.kind.is_empty() => format!("the server answered {status}: {}", self.reason),
            _ => format!("{} ({})", self.reason, self.kind),
        }
    }

    fn said(&self, what: &str) -> String {
        if self.reason.is_empty() {
            what.to_owned()
        } else {
            format!("{what}: {}", self.reason)
        }
    }

    fn unauthorised(&self, signed_by: &str) -> String {
        let problem = if self.says("missing authentication credentials") {
            "the server wants credentials, and none are configured; give an API key, or a user name \
             and a password"
                .to_owned()
        } else if self.says("expired") {
            format!("the {signed_by} has expired; make a new one")
        } else if signed_by == "API key" {
            "the API key is not accepted: it is mistyped, expired, or was invalidated; put the \
             `encoded` value of a valid key into the configuration"
                .to_owned()
        } else {
            format!("the {signed_by} are not accepted; check both")
        };
        format!("{problem} (401)")
    }

    fn forbidden(&self, signed_by: &str) -> String {
        // "… on indices [a,b], this action is granted by the index privileges [x,y,all]"
        let on = between(&self.reason, "on indices [", "]")
            .or_else(|| between(&self.reason, "on restricted indices [", "]"));
        let index = between(&self.reason, "granted by the index privileges [", "]");
        let cluster = between(&self.reason, "granted by the cluster privileges [", "]");
        let who = match signed_by {
            "user name and password" => "the user",
            "credentials" => "an anonymous caller",
            _ => "the API key",
        };
        let lacks = match (index, cluster, on) {
            (Some(privileges), _, Some(on)) => {
                format!(
                    "{who} lacks a privilege on the index {on}: one of {}",
                    list(privileges)
                )
            }
            (Some(privileges), _, None) => {
                format!(
                    "{who} lacks an index privilege: one of {}",
                    list(privileges)
                )
            }
            (None, Some(privileges), _) => {
                format!(
                    "{who} lacks a cluster privilege: one of {}",
                    list(privileges)
                )
            }
            (None, None, _) => self.said(&format!("{who} may not do this")),
        };
        let way_out = if who == "the API key" {
            "make a new API key that has it, and put it into the configuration"
        } else {
            "grant it, or use other credentials"
        };
        format!("{lacks}; {way_out} (403)")
    }

    fn blocked(&self) -> String {
        let way_out = if self.kind == "index_closed_exception" {
            "the index is closed; open it"
        } else if self.says("read-only-allow-delete") || self.says("read-only / allow delete") {
            "the disk of the server is nearly full, so the index takes no writes; free disk space \
             (the server then lifts the block), or set index.blocks.read_only_allow_delete to null"
        } else {
            "somebody has blocked writes to the index; take the block out of its settings"
        };
        match between(&self.reason, "blocked by: [", "]") {
            Some(block) => format!("{way_out} ({block})"),
            None => way_out.to_owned(),
        }
    }
}

/// What `Retry-After` asks for, put into what a status means.
pub(crate) fn with_wait(
    kind: RequestErrorKind,
    headers: &HeaderMap,
    now: DateTime<Utc>,
) -> RequestErrorKind {
    match kind {
        RequestErrorKind::Busy { .. } => RequestErrorKind::Busy {
            retry_after: wait_of(headers, now),
        },
        other => other,
    }
}

/// What `Retry-After` asks for.
pub(crate) fn wait_of(headers: &HeaderMap, now: DateTime<Utc>) -> Option<std::time::Duration> {
    retry::retry_after(headers.get(RETRY_AFTER)?.to_str().ok()?, now)
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or("")
}

fn between<'a>(text: &'a str, before: &str, after: &str) -> Option<&'a str> {
    let rest = &text[text.find(before)? + before.len()..];
    Some(&rest[..rest.find(after)?])
}

fn list(privileges: &str) -> String {
    privileges
        .split(',')
        .map(str::trim)
        .collect::<Vec<_>>()
        .join(", ")
}

/// The words of an HTML page.
fn without_tags(page: &str) -> String {
    let mut words = String::new();
    let mut inside = false;
    for character in page.chars() {
        match character {
            '<' => inside = true,
            '>' if inside => {
                inside = false;
                words.push(' ');
            }
            _ if !inside => words.push(character),
            _ => {}
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(kind: &str, reason: &str) -> Refusal {
        Refusal {
            kind: kind.to_owned(),
            reason: reason.to_owned(),
        }
    }

    #[test]
    fn reads_every_shape_of_body() {
        let read = |body: &str| {
            let refusal = Refusal::of_body(body.as_bytes());
            (refusal.kind, refusal.reason)
        };
        let pair = |kind: &str, reason: &str| (kind.to_owned(), reason.to_owned());
        assert_eq!(
            read(
                r#"{"error":{"type":"a_exception","reason":"b","caused_by":{"type":"c","reason":"d","caused_by":{"reason":"b"}}}}"#
            ),
            pair("a_exception", "b: d")
        );
        assert_eq!(
            read(
                r#"{"error":{"type":"search_phase_execution_exception","reason":"all shards failed","root_cause":[{"type":"x","reason":"No mapping found for [_shard_doc]"}]}}"#
            ),
            pair("x", "No mapping found for [_shard_doc]")
        );
        assert_eq!(read(r#"{"error":"no handler"}"#), pair("", "no handler"));
        assert_eq!(
            read(r#"{"status":"FORBIDDEN","message":"no"}"#),
            pair("", "no")
        );
        assert_eq!(
            read("<html><head><title>502 Bad Gateway</title></head>\n<body>nginx</body></html>"),
            pair("", "502 Bad Gateway nginx")
        );
        for odd in [
            "",
            "null",
            "[]",
            r#"{"error":null}"#,
            r#"{"error":{"reason":7}}"#,
        ] {
            assert_eq!(read(odd), pair("", ""), "{odd}");
        }
        let long = Refusal::of_body("é".repeat(5000).as_bytes());
        assert!(long.reason.len() < 700 && long.reason.ends_with('…'));
    }

    #[test]
    fn names_the_missing_privilege_and_the_index() {
        let refusal = refusal(
            "security_exception",
            "action [indices:admin/create] is unauthorized for API key id [x] of user [elastic] on \
             indices [other], this action is granted by the index privileges [create_index,manage,all]",
        );
        assert_eq!(
            refusal.in_words(403, "API key"),
            "the API key lacks a privilege on the index other: one of create_index, manage, all; \
             make a new API key that has it, and put it into the configuration (403)"
        );
    }

    #[test]
    fn tells_blocks_from_missing_privileges() {
        for (kind, reason, status, expected) in [
            (
                "cluster_block_exception",
                "index [m] blocked by: [FORBIDDEN/8/index write (api)];",
                403,
                RequestErrorKind::Blocked,
            ),
            (
                "cluster_block_exception",
                "index [m] blocked by: [TOO_MANY_REQUESTS/12/disk usage exceeded flood-stage watermark, index has read-only-allow-delete block];",
                429,
                RequestErrorKind::Blocked,
            ),
            (
                "cluster_block_exception",
                "blocked by: [SERVICE_UNAVAILABLE/2/no master];",
                503,
                RequestErrorKind::Unavailable,
            ),
            (
                "security_exception",
                "unauthorized",
                403,
                RequestErrorKind::Forbidden,
            ),
            (
                "illegal_argument_exception",
                "pipeline with id [p] does not exist",
                400,
                RequestErrorKind::NotFound,
            ),
            (
                "invalid_index_name_exception",
                "Invalid index name [_connector], must not start with '_'.",
                400,
                RequestErrorKind::Unsupported,
            ),
            (
                "invalid_index_name_exception",
                "Invalid index name [A], must be lowercase",
                400,
                RequestErrorKind::Rejected,
            ),
            (
                "",
                "no handler found for uri [/x] and method [PUT]",
                400,
                RequestErrorKind::Unsupported,
            ),
            (
                "index_closed_exception",
                "closed",
                400,
                RequestErrorKind::Blocked,
            ),
            ("", "", 502, RequestErrorKind::Unavailable),
            ("", "", 418, RequestErrorKind::Rejected),
        ] {
            assert_eq!(refusal(kind, reason).meaning(status), expected, "{reason}");
        }
    }
}
