//! Runs a session's units without an engine, for tests of one source: nothing is batched, retried or
//! deleted; what the source emits is kept in order.

use serde_json::{Map, Value};
use std::sync::Arc;
use tokio::sync::mpsc;
use tributary_sdk::{
    Document, Error, ErrorKind, Result, Scope, Session, Unit, UnitSink,
    emitter::{Budget, ContentSink, Emitter, Item, Origin},
};

/// What a run of all units emitted.
#[derive(Debug, Default)]
pub struct Walked {
    /// Documents in order of arrival.
    pub documents: Vec<Document>,
    /// Units in order of announcement.
    pub units: Vec<Unit>,
    /// Gaps: those that were emitted, and failed walks.
    pub gaps: Vec<(Scope, Error)>,
    /// Ids and reasons of what was skipped.
    pub skipped: Vec<(String, String)>,
    /// Checkpoints of all units.
    pub checkpoints: usize,
}

impl Walked {
    /// The body of a document as JSON.
    pub fn body(&self, id: &str) -> Option<Map<String, Value>> {
        let document = self
            .documents
            .iter()
            .find(|document| document.id.as_str() == id)?;
        let mut text = document.body.as_open_text().to_vec();
        if text.is_empty() {
            text.push(b'{');
        }
        text.push(b'}');
        serde_json::from_slice(&text).ok()
    }

    /// All ids, sorted.
    pub fn ids(&self) -> Vec<String> {
        let mut ids: Vec<_> = self
            .documents
            .iter()
            .map(|document| document.id.to_string())
            .collect();
        ids.sort();
        ids
    }
}

/// Announces the units of a session and walks them one after the other, children included. A walk
/// that fails is a gap, as in the engine; an error that ends a job there is returned.
pub async fn walk_all(session: Arc<dyn Session>) -> Result<Walked> {
    let budget = Arc::new(Budget::new(64 << 20, 64 << 20));
    let (out, mut items) = mpsc::channel::<(Origin, Item)>(64);
    let mut walked = Walked::default();
    let sink = UnitSink::new(Emitter::new(None, &budget, &out));
    let announcer = Arc::clone(&session);
    let mut task = tokio::spawn(async move {
        let end = announcer.units(&sink).await;
        sink.end(end).await;
    });
    let mut next = 0;
    loop {
        while let Some((origin, item)) = items.recv().await {
            match item {
                Item::Upsert(document, _permit) => walked.documents.push(*document),
                Item::Unit(unit) => {
                    if !walked.units.iter().any(|known| known.key() == unit.key()) {
                        walked.units.push(unit);
                    }
                }
                Item::Gap(scope, error) => walked.gaps.push((scope, error)),
                Item::Skip(id, why) => walked.skipped.push((id.to_string(), why)),
                Item::Checkpoint(_) => walked.checkpoints += 1,
                Item::Delete(_) | Item::Access(..) => {}
                Item::Ended(Ok(_)) => break,
                Item::Ended(Err(error)) => match error.kind() {
                    ErrorKind::InvalidConfig
                    | ErrorKind::Unauthorised
                    | ErrorKind::Stopped
                    | ErrorKind::Internal => return Err(error),
                    _ => {
                        let scope = origin.map(|key| key.scope.clone()).unwrap_or_default();
                        walked.gaps.push((scope, error));
                        break;
                    }
                },
            }
        }
        if let Err(error) = task.await {
            return Err(Error::internal("a walk panicked").caused_by(error));
        }
        let Some(unit) = walked.units.get(next).cloned() else {
            return Ok(walked);
        };
        next += 1;
        let emitter = Emitter::new(Some(&unit), &budget, &out);
        let session = Arc::clone(&session);
        task = tokio::spawn(async move {
            let end = session.walk(&unit, None, &emitter).await;
            emitter.end(end).await;
        });
    }
}

/// Reads the file of a document, as base64 text.
pub async fn fetch(session: &dyn Session, document: &Document, limit: usize) -> Result<String> {
    let budget = Budget::new(1, limit.saturating_mul(2));
    let file = document
        .attachment
        .as_ref()
        .ok_or_else(|| Error::internal("a document without a file").with("id", &document.id))?;
    let mut sink = ContentSink::reserve(&budget, file.size, limit).await?;
    session.fetch(file, &mut sink).await?;
    let (text, _permit) = sink.finish();
    String::from_utf8(text).map_err(|error| Error::internal("base64 is ASCII").caused_by(error))
}
