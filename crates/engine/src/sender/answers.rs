//! What the answer to a bulk request means for its entries, and its failure for the next ones.

use super::{AUTOMATIC_BYTES, Returned, Sender};
use crate::{
    books::{Books, Conflict, Halt},
    entry::{Batch, Entry, Purpose, done, drop_attachment, item_text, refused, stripped},
    manifests::Decided,
    monitor::Mark,
    policy::{self, ItemConsequence, RequestConsequence},
    target::{Answer, TargetError, TargetErrorKind},
};
use std::time::Duration;
use tributary_protocol::ledger::{LedgerOutcome, Stage};
use tributary_sdk::emitter::Permit;
use tributary_state::Fate;

impl<F> Sender<F> {
    /// Takes the answer of a request.
    pub(crate) fn take(&mut self, returned: Returned, books: &mut Books) -> Result<(), Halt> {
        match returned.result {
            Ok(answers) if answers.len() == returned.batch.entries.len() => {
                self.failures = 0;
                self.failing_since = None;
                self.paused_until = Duration::ZERO;
                if !self.ready.is_empty() {
                    self.speed_up();
                }
                self.take_answers(returned.batch.entries, answers, books)
            }
            Ok(answers) => Err(Halt::Failed(format!(
                "the index answered {} of {} operations of a bulk request",
                answers.len(),
                returned.batch.entries.len()
            ))),
            Err(error) => self.take_failure(returned.batch, error, books),
        }
    }

    fn take_answers(
        &mut self,
        entries: Vec<Entry>,
        answers: Vec<Answer>,
        books: &mut Books,
    ) -> Result<(), Halt> {
        let now = self.clock.now();
        let mut again = Vec::new();
        let mut is_busy = false;
        // Given back in one step: who waits for bytes is woken once, not for each document.
        let mut freed: [Option<Permit>; 2] = [None, None];
        for (mut entry, answer) in entries.into_iter().zip(answers) {
            books.count_write(&entry.operation.action, &answer);
            match policy::item_consequence(&answer) {
                ItemConsequence::Done => done(&entry, &answer, books)?,
                ItemConsequence::Absent => match entry.purpose {
                    // Otherwise somebody else deleted it.
                    Purpose::Deletion => {
                        books.deleted(entry.place, entry.hash, entry.is_resent);
                    }
                    Purpose::Access => {
                        books.decide(entry.place, entry.hash, Fate::Seen, Decided::Alive);
                    }
                    Purpose::Document => refused(&entry, item_text(&answer), Mark::Refused, books)?,
                },
                ItemConsequence::Conflict if entry.purpose == Purpose::Deletion => {
                    books.conflicts.push(Conflict {
                        id: entry.operation.id.clone(),
                        hash: entry.hash,
                        place: entry.place,
                        is_resent: entry.is_resent,
                    });
                }
                consequence @ (ItemConsequence::Again
                | ItemConsequence::Wait
                | ItemConsequence::Conflict)
                    if entry.has_patience(consequence, now, self.patience) =>
                {
                    is_busy |= answer.status == 429;
                    entry.attempts += 1;
                    books.counters.retried += 1;
                    again.push(entry);
                    continue;
                }
                ItemConsequence::Again | ItemConsequence::Wait | ItemConsequence::Conflict => {
                    refused(&entry, item_text(&answer), Mark::Lost, books)?;
                }
                ItemConsequence::Refused => match stripped(&mut entry, &answer) {
                    true => {
                        again.push(entry);
                        continue;
                    }
                    false => refused(&entry, item_text(&answer), Mark::Refused, books)?,
                },
                ItemConsequence::EndsJob => return Err(Halt::Failed(item_text(&answer))),
            }
            self.release(entry.hash);
            for (freed, permit) in freed.iter_mut().zip(entry.permits) {
                match (freed.as_mut(), permit) {
                    (Some(freed), Some(permit)) => freed.merge(permit),
                    (None, permit) => *freed = permit,
                    (Some(_), None) => {}
                }
            }
        }
        drop(freed);
        if is_busy {
            self.slow_down();
        }
        self.send_again(again, books);
        Ok(())
    }

    /// Entries to be sent again, later the more often they failed; at once if only a field was taken
    /// out.
    fn send_again(&mut self, entries: Vec<Entry>, books: &mut Books) {
        let now = self.clock.now();
        let entries = self.drop_superseded(entries, books);
        let (again, at_once): (Vec<_>, Vec<_>) =
            entries.into_iter().partition(|entry| entry.attempts > 0);
        if !at_once.is_empty() {
            self.enqueue_front(at_once);
        }
        if let Some(most) = again.iter().map(|entry| entry.attempts).max() {
            let batch = Batch::of(self.next_number(), again);
            self.place(&batch);
            self.waiting.push((now + policy::pause(most, None), batch));
        }
    }

    fn take_failure(
        &mut self,
        mut batch: Batch,
        error: TargetError,
        books: &mut Books,
    ) -> Result<(), Halt> {
        match policy::request_consequence(error.kind) {
            RequestConsequence::EndsJob => Err(Halt::Failed(error.message)),
            RequestConsequence::Again => {
                let now = self.clock.now();
                let since = *self.failing_since.get_or_insert(now);
                if now.saturating_sub(since) > self.patience {
                    return Err(Halt::Failed(format!(
                        "the index could not be written to for {} seconds: {}",
                        (now - since).as_secs(),
                        error.message
                    )));
                }
                // Requests that were under way together fail together: that is one failure.
                if now >= self.paused_until {
                    self.failures += 1;
                    self.slow_down();
                }
                let asked = match error.kind {
                    TargetErrorKind::Busy { retry_after } => retry_after,
                    _ => None,
                };
                let pause = now + policy::pause(self.failures, asked);
                self.paused_until = self.paused_until.max(pause);
                books.counters.retried += batch.entries.len() as u64;
                books.doubtful_writes += batch.entries.len() as u64;
                tracing::warn!(error = %error, attempt = self.failures, "a bulk request failed and will be sent again");
                if error.kind == TargetErrorKind::Unavailable {
                    for entry in &mut batch.entries {
                        entry.is_resent = true;
                    }
                }
                self.ready.push_front(batch);
                Ok(())
            }
            RequestConsequence::Split => {
                if error.kind == TargetErrorKind::TooLarge && self.most_chunk_bytes > 0 {
                    let least = self.chunk_bytes.min(64 << 10);
                    self.chunk_bytes = (batch.bytes / 2).clamp(least, self.chunk_bytes);
                    self.most_chunk_bytes = self.chunk_bytes;
                }
                self.split(batch, &error, books)
            }
        }
    }

    fn split(&mut self, batch: Batch, error: &TargetError, books: &mut Books) -> Result<(), Halt> {
        let mut entries = batch.entries;
        if entries.len() > 1 {
            let second = entries.split_off(entries.len() / 2);
            self.enqueue_front(second);
            self.enqueue_front(entries);
            return Ok(());
        }
        for mut entry in entries {
            if error.kind == TargetErrorKind::TooLarge && drop_attachment(&mut entry) {
                books.counters.without_content += 1;
                let reason = format!(
                    "indexed without the content of its file, because the server takes no request that large: {}",
                    error.message
                );
                books.odd(
                    &entry.operation.id,
                    LedgerOutcome::Truncated,
                    Stage::Content,
                    reason,
                );
                self.enqueue_front(vec![entry]);
                continue;
            }
            refused(&entry, error.message.clone(), Mark::Refused, books)?;
            self.release(entry.hash);
        }
        Ok(())
    }

    /// Batches wait while all requests are under way: more of them at once or, where the index is far
    /// away, larger ones.
    fn speed_up(&mut self) {
        if self.is_concurrency_automatic && self.concurrency < self.max_concurrency {
            self.concurrency += 1;
        } else if self.chunk_bytes < self.most_chunk_bytes {
            let larger = self.chunk_bytes + self.chunk_bytes / 4;
            self.chunk_bytes = larger.min(self.most_chunk_bytes);
        }
    }

    /// The index cannot cope: fewer requests at once, and none that grew.
    fn slow_down(&mut self) {
        if self.is_concurrency_automatic {
            self.concurrency = (self.concurrency / 2).max(1);
        }
        if self.most_chunk_bytes > 0 {
            self.chunk_bytes = self.chunk_bytes.min(AUTOMATIC_BYTES);
        }
    }
}
