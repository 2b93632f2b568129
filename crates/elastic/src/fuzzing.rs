//! How answers of a server are read, for the fuzz targets. Compiled only for fuzzing.

use crate::{bulk, refusal, retry, scan, server::ServerInfo, token};
use chrono::{DateTime, Utc};
use tributary_engine::{Action, Operation, Source, Version};

/// Reads the answer to a bulk request. Each character of `operations` was one: `d` a deletion, `u` an update,
/// any other a document. Returns how many answers there are; `None`: it is no answer to them.
pub fn bulk_answer(body: &[u8], operations: &str) -> Option<usize> {
    let operations: Vec<_> = operations
        .chars()
        .enumerate()
        .map(|(number, letter)| Operation {
            id: number.to_string().into(),
            action: match letter {
                'd' => Action::Delete(Version::default()),
                'u' => Action::Update(Source::default()),
                _ => Action::Index(Source::default()),
            },
        })
        .collect();
    bulk::fuzzing::read(body, &operations)
}

/// Reads the body of a refusal, and says what it means.
pub fn refusal(body: &[u8], status: u16) -> String {
    refusal::Refusal::of_body(body).in_words(status, "API key")
}

/// Reads the sentence of an error about a document.
pub fn sentence(reason: &str, document: &[u8], length: u64) {
    let path = refusal::culprit(reason, document);
    refusal::shown(&path.unwrap_or_default());
    refusal::field_of(reason);
    if let Some((needed, limit)) = refusal::never_fits(reason, length) {
        refusal::too_much_memory(needed, limit);
    }
    scan::fuzzing::result_window(reason);
}

/// Reads the header `Retry-After`.
pub fn retry_after(header: &str, now: DateTime<Utc>) -> Option<std::time::Duration> {
    retry::retry_after(header, now)
}

/// Reads the answer to `GET /`.
pub fn server(body: &[u8], product: Option<&str>) {
    if let Some(info) = ServerInfo::of(body, product) {
        info.media_types();
    }
}

/// Reads a page of a listing; how many documents are in it.
pub fn page(body: &[u8]) -> Option<usize> {
    scan::fuzzing::page(body)
}

/// Reads what a token is made of.
pub fn token(body: &[u8]) {
    token::fuzzing::read(body);
}
