//! Reading single documents again, after what kept them out of the index was mended.
//!
//! The documents are a unit of their own, beside those of the source: the next full sync does not list
//! it, and finds its documents where they belong. Where the source cannot read single documents, or not
//! all of these, the run becomes the full sync that it is called.

use crate::{
    books::Books,
    job::Job,
    run::Run,
    target::{Target, TargetError},
};
use std::sync::Arc;
use tributary_sdk::{
    DocId, DocRef, End, Error, ErrorKind, JobKind, Result, Scope, Session, StopSignal, Unit,
    emitter::Emitter,
};

/// Tells the unit of these documents from all of the source's.
const PART: u32 = u32::MAX;
/// Documents asked for at once.
const BATCH: usize = 50;
/// For more documents than this, a full sync is the quicker way.
const MOST: usize = 5_000;

/// The unit of single documents.
pub(crate) fn unit() -> Unit {
    Unit {
        part: PART,
        ..Unit::new(Scope::root())
    }
}

/// Whether a run begins with single documents.
pub(crate) fn is_wanted(job: &Job) -> bool {
    job.run.kind == JobKind::Full && (1..=MOST).contains(&job.settings.replay.len())
}

/// Reads documents again and ends the walk.
pub(crate) async fn reread(
    session: Arc<dyn Session>,
    target: Arc<dyn Target>,
    ids: Vec<DocId>,
    out: Emitter,
    stop: StopSignal,
) {
    let work = async {
        for ids in ids.chunks(BATCH) {
            let stored = target.stored(ids).await.map_err(unavailable)?;
            let found = ids.iter().zip(stored);
            let refs: Vec<_> = found
                .filter_map(|(id, stored)| {
                    Some(DocRef {
                        id: id.clone(),
                        stored: stored?.source,
                    })
                })
                .collect();
            if refs.len() < ids.len() {
                let message = "some of the documents are not in the index";
                return Err(Error::new(ErrorKind::Unsupported, message));
            }
            session.reread(&refs, &out).await?;
        }
        Ok(End::complete())
    };
    let end = stop.race(work).await;
    out.end(end).await;
}

fn unavailable(error: TargetError) -> Error {
    Error::new(ErrorKind::Unavailable, error.message)
}

impl Run {
    /// The walk of single documents is over. Whether a full sync is needed for the rest of them.
    pub(crate) fn needs_full_sync(&mut self, end: &Result<End>, job: &Job, books: &Books) -> bool {
        let asked = job.settings.replay.len() as u64;
        let is_needed = match end {
            Ok(_) => books.counters.extracted < asked,
            Err(error) => error.kind() == ErrorKind::Unsupported,
        };
        if is_needed {
            tracing::info!(
                asked,
                found = books.counters.extracted,
                "not all documents could be read by themselves: a full sync reads them"
            );
            self.kind = JobKind::Full;
        }
        is_needed
    }
}
