//! What each item of a walk means.

use crate::{
    assemble::index_id,
    books::{Books, Halt},
    clock::Clock,
    content::{self, Fetched, Wanted},
    entry::{Entry, Purpose},
    job::Job,
    monitor::Mark,
    roll::{Fate, IdHash},
    run::Run,
};
use std::sync::Arc;
use tributary_sdk::{
    Access, Attachment, DocId, Document, JobKind, Session, Stamp, UnitKey,
    emitter::{Budget, Item, Origin, Permit},
    rules::Decision,
};

/// A document whose file has to be read before it can be written.
#[derive(Debug)]
pub(crate) struct Errand {
    hash: IdHash,
    id: DocId,
    text: Vec<u8>,
    stamp: Stamp,
    access: Access,
    file: Attachment,
    permit: Permit,
}

pub(crate) async fn fetch_errand(
    errand: Errand,
    session: Arc<dyn Session>,
    budget: Arc<Budget>,
    limit: u64,
    clock: Arc<dyn Clock>,
) -> (Errand, Fetched) {
    let file = errand.file.clone();
    let fetched = content::fetch(session, file, budget, limit, clock).await;
    (errand, fetched)
}

impl Run {
    /// Takes one item.
    pub(crate) fn take(
        &mut self,
        origin: Origin,
        item: Item,
        job: &Job,
        books: &mut Books,
    ) -> Result<(), Halt> {
        match item {
            Item::Upsert(document, permit) if self.kind == JobKind::AccessControl => {
                self.identity(origin, *document, permit, job, books)
            }
            Item::Upsert(document, permit) => {
                if let Some(unit) = origin {
                    self.upsert(&unit, *document, permit, job, books);
                }
                Ok(())
            }
            Item::Delete(id) => {
                if let Some(unit) = origin {
                    let id = index_id(&id).unwrap_or(id);
                    self.claims.gone(&unit, self.hasher.hash(&id), id);
                }
                Ok(())
            }
            Item::Access(id, access, permit) => {
                self.change_access(origin, id, &access, permit, books);
                Ok(())
            }
            Item::Unit(unit) => {
                self.add_unit(unit);
                Ok(())
            }
            Item::Gap(scope, error) => books.gap(scope, error),
            Item::Skip(id, why) => {
                let (id, hash) = self.named(id, books);
                self.alive(origin, hash);
                books.counters.extracted += 1;
                books.counters.skipped += 1;
                books.odd(&id, "read", why);
                books.seen(hash, Fate::Skipped);
                Ok(())
            }
            // Nothing is resumed yet, so there is nothing to keep of a position.
            Item::Checkpoint(_) => Ok(()),
            Item::Ended(end) => self.ended(origin, end, books),
        }
    }

    fn identity(
        &mut self,
        origin: Origin,
        document: Document,
        permit: Permit,
        job: &Job,
        books: &mut Books,
    ) -> Result<(), Halt> {
        books.counters.extracted += 1;
        let (id, hash) = self.named(document.id.clone(), books);
        self.alive(origin, hash);
        let now = job.clock.utc();
        let Some(operation) = self.assembler.identity(id.clone(), document, now) else {
            let reason = "what the source says of this person cannot be read as JSON".to_owned();
            return books.refused(hash, &id, reason, Mark::Refused);
        };
        let entry = Entry::new(hash, operation, Purpose::Document, [Some(permit), None]);
        self.sender.admit(entry, books);
        Ok(())
    }

    /// The id under which a document is kept, and what stands for it.
    fn named(&self, id: DocId, books: &mut Books) -> (DocId, IdHash) {
        let id = match index_id(&id) {
            Some(hashed) => {
                books.counters.hashed_ids += 1;
                hashed
            }
            None => id,
        };
        let hash = self.hasher.hash(&id);
        (id, hash)
    }

    fn upsert(
        &mut self,
        unit: &Arc<UnitKey>,
        document: Document,
        permit: Permit,
        job: &Job,
        books: &mut Books,
    ) {
        books.counters.extracted += 1;
        if !job.rules.is_trivial()
            && let Some(view) = self.assembler.view(&document)
            && job.rules.decide(&view) == Decision::Exclude
        {
            books.counters.filtered += 1;
            let id = index_id(&document.id).unwrap_or(document.id);
            books.seen(self.hasher.hash(&id), Fate::Filtered);
            return;
        }
        let (id, hash) = self.named(document.id, books);
        if !self.claims.claim(unit, hash) {
            books.counters.duplicates += 1;
            books.seen(hash, Fate::Seen);
            return;
        }
        if let Access::Unreadable(why) = &document.access {
            books.counters.unreadable_access += 1;
            books.odd(&id, "read", format!("written for nobody: {why}"));
        }
        let text = document.body.into_open_text();
        let file = document.attachment.filter(|_| job.run.content);
        let limit = job.settings.max_file_size;
        match file.map(|file| (content::wanted(&file, limit), file)) {
            Some((Wanted::Yes, file)) => {
                let errand = Errand {
                    hash,
                    id,
                    text,
                    stamp: document.stamp,
                    access: document.access,
                    file,
                    permit,
                };
                self.begin_errand(errand, books);
                return;
            }
            Some((Wanted::TooLarge, _)) => {
                books.counters.content_too_large += 1;
                books.odd(&id, "content", content::reason(Ok(()), limit));
            }
            Some((Wanted::No, _)) | None => {}
        }
        let largest = job.settings.max_text_size;
        if largest > 0 && text.len() > largest {
            books.counters.too_large += 1;
            let size = text.len();
            books.odd(
                &id,
                "index",
                format!("not written: its text of {size} bytes is larger than elasticsearch.bulk.max_text_document_size ({largest})"),
            );
            books.seen(hash, Fate::TooLarge);
            return;
        }
        let operation = self
            .assembler
            .document(id, text, &document.stamp, &document.access, None);
        let entry = Entry::new(hash, operation, Purpose::Document, [Some(permit), None]);
        self.sender.admit(entry, books);
    }

    pub(crate) fn begin_errand(&mut self, errand: Errand, books: &mut Books) {
        if let Some(errand) = self.sender.reserve(errand.hash, errand, books) {
            self.errands.push_back(errand);
        }
    }

    /// A file was read, or not.
    pub(crate) fn take_fetched(
        &mut self,
        errand: Errand,
        fetched: Fetched,
        job: &Job,
        books: &mut Books,
    ) -> Result<(), Halt> {
        let (attachment, content_permit) = match fetched {
            Fetched::Content(text, permit) => {
                books.counters.downloads += 1;
                (Some(text), Some(permit))
            }
            Fetched::Nothing(error) => {
                books.counters.without_content += 1;
                let reason = content::reason(Err(&error), job.settings.max_file_size);
                books.odd(&errand.id, "content", reason);
                (None, None)
            }
            Fetched::EndsJob(error) => return Err(error.into()),
        };
        let operation = self.assembler.document(
            errand.id,
            errand.text,
            &errand.stamp,
            &errand.access,
            attachment,
        );
        let permits = [Some(errand.permit), content_permit];
        let entry = Entry::new(errand.hash, operation, Purpose::Document, permits);
        self.sender.admit_reserved(entry);
        Ok(())
    }

    fn alive(&mut self, origin: Origin, hash: IdHash) {
        if let Some(unit) = origin {
            self.claims.alive(&unit, hash);
        }
    }

    fn change_access(
        &mut self,
        origin: Origin,
        id: DocId,
        access: &Access,
        permit: Permit,
        books: &mut Books,
    ) {
        let (id, hash) = self.named(id, books);
        self.alive(origin, hash);
        books.counters.extracted += 1;
        let operation = self.assembler.access(id, access);
        let entry = Entry::new(hash, operation, Purpose::Access, [Some(permit), None]);
        self.sender.admit(entry, books);
    }
}
