//! What each item of a walk means.

use crate::{
    assemble::index_id,
    books::{Books, Halt},
    clock::Clock,
    content::{self, Fetched, Wanted},
    entry::{Entry, Purpose},
    fingerprint::Fingerprint,
    job::Job,
    manifests::{Decided, Place},
    monitor::Mark,
    notes::Note,
    roll::IdHash,
    run::Run,
};
use std::sync::Arc;
use tokio::sync::mpsc;
use tributary_protocol::ledger::{LedgerOutcome, Stage};
use tributary_sdk::{
    Access, Attachment, DocId, Document, JobKind, Scope, Session, Stamp,
    emitter::{Budget, Item, Origin, Permit},
    rules::Decision,
};
use tributary_state::{Fate, Listed, Row};

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
    place: Place,
    /// Of all but a file without a version.
    fingerprint: Fingerprint,
    /// What the index has, if it is known to have something.
    held: Option<u64>,
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
    pub(crate) async fn take(
        &mut self,
        origin: Origin,
        item: Item,
        job: &Job,
        books: &mut Books,
        out: &mpsc::Sender<(Origin, Item)>,
    ) -> Result<(), Halt> {
        let item = match item {
            Item::Unit(unit) => {
                return self.add_unit(unit, books);
            }
            Item::Ended(end) => return self.ended(origin, end, job, books, out).await,
            Item::Gap(scope, error) => {
                let note = Note::Gap {
                    scope: scope.clone(),
                    kind: error.kind().name().to_owned(),
                    why: error.full_text(),
                };
                books.gap(scope, error)?;
                if let Some(from) = origin.and_then(|key| self.find(key)) {
                    books.manifests.note_gap(from);
                }
                if let Some(notes) = &mut self.notes {
                    notes.push(&note)?;
                }
                return Ok(());
            }
            item => item,
        };
        // The announcement of units emits nothing else.
        let Some(from) = origin.and_then(|key| self.find(key)) else {
            return Ok(());
        };
        match item {
            Item::Upsert(document, permit) if self.kind == JobKind::AccessControl => {
                self.identity(from, *document, permit, job, books).await
            }
            Item::Upsert(document, permit) => {
                self.upsert(from, *document, permit, job, books).await
            }
            Item::Delete(id) => {
                let id = index_id(&id).unwrap_or(id);
                let hash = self.hasher.hash(&id);
                self.claims.gone(&self.last_key, hash, id);
                Ok(())
            }
            Item::Access(id, access, permit) => {
                self.change_access(from, id, &access, permit, books).await
            }
            Item::Skip(id, why) => {
                let (id, hash) = self.named(id, books);
                self.claims.alive(&self.last_key, hash);
                books.counters.extracted += 1;
                books.counters.skipped += 1;
                books.odd(&id, LedgerOutcome::Skipped, Stage::Read, why);
                let old = self.known(books, from, &id, hash).await?;
                let version = old.and_then(|row| row.version);
                books.add_row(
                    from,
                    hash,
                    row(id, Fate::Skipped, None, version.map(|version| (0, version))),
                );
                Ok(())
            }
            Item::Checkpoint(cursor) => {
                books.manifests.checkpoint(from, cursor);
                Ok(())
            }
            Item::Unit(_) | Item::Ended(_) | Item::Gap(..) => Ok(()),
        }
    }

    async fn identity(
        &mut self,
        from: usize,
        document: Document,
        permit: Permit,
        job: &Job,
        books: &mut Books,
    ) -> Result<(), Halt> {
        books.counters.extracted += 1;
        let (id, hash) = self.named(document.id.clone(), books);
        self.claims.alive(&self.last_key, hash);
        let old = self.known(books, from, &id, hash).await?;
        let print = self
            .fingerprints
            .document(&document.body, &document.stamp, &document.access);
        let print = print.finish();
        if self.is_unchanged(hash, print, held(old.as_ref())) {
            self.unchanged(from, hash, id, None, old, books);
            return Ok(());
        }
        let version = old.and_then(|row| row.version);
        let place = books.manifests.reserve(from, id.clone(), None, version);
        let now = job.clock.utc();
        let Some(operation) = self.assembler.identity(id.clone(), document, now) else {
            let reason = "what the source says of this person cannot be read as JSON".to_owned();
            return books.refused(Some(place), hash, &id, reason, Mark::Refused);
        };
        let entry = Entry::new(hash, operation, Purpose::Document, [Some(permit), None]);
        self.sender.admit(entry.at(place, print), books);
        Ok(())
    }

    /// What the last run knew of a document that this one meets for the first time.
    async fn known(
        &self,
        books: &mut Books,
        unit: usize,
        id: &DocId,
        hash: IdHash,
    ) -> Result<Option<Row>, Halt> {
        match books.manifests.meet(unit, id).await? {
            Listed::Known(row) if !self.recalled.is_stale(hash) => Ok(Some(row)),
            Listed::Known(_) | Listed::Again | Listed::Unknown => Ok(None),
        }
    }

    /// Whether the index has a document as it is, and nothing else of it is on its way.
    fn is_unchanged(&self, hash: IdHash, fingerprint: u64, held: Option<u64>) -> bool {
        held == Some(fingerprint) && !self.sender.has(hash)
    }

    fn unchanged(
        &self,
        from: usize,
        hash: IdHash,
        id: DocId,
        home: Option<Scope>,
        old: Option<Row>,
        books: &mut Books,
    ) {
        let held = old.and_then(|row| row.version.map(|version| (row.fingerprint, version)));
        books.add_row(from, hash, row(id, Fate::Unchanged, home, held));
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

    async fn upsert(
        &mut self,
        from: usize,
        document: Document,
        permit: Permit,
        job: &Job,
        books: &mut Books,
    ) -> Result<(), Halt> {
        books.counters.extracted += 1;
        if !job.rules.is_trivial()
            && let Some(view) = self.assembler.view(&document)
            && job.rules.decide(&view) == Decision::Exclude
        {
            books.counters.filtered += 1;
            let id = index_id(&document.id).unwrap_or(document.id);
            let hash = self.hasher.hash(&id);
            books.add_row(from, hash, row(id, Fate::Filtered, None, None));
            return Ok(());
        }
        let (id, hash) = self.named(document.id, books);
        let home = document.home;
        if !self.claims.claim(&self.last_key, hash) {
            books.counters.duplicates += 1;
            books.add_row(from, hash, row(id, Fate::Seen, home, None));
            return Ok(());
        }
        let old = self.known(books, from, &id, hash).await?;
        if let Access::Unreadable(why) = &document.access {
            books.counters.unreadable_access += 1;
            let reason = format!("written for nobody: {why}");
            books.odd(&id, LedgerOutcome::Quarantined, Stage::Read, reason);
        }
        let limit = job.settings.max_file_size;
        let file = document.attachment.filter(|_| job.run.content);
        let file = file.map(|file| (content::wanted(&file, limit), file));
        if let Some((Wanted::TooLarge, _)) = &file {
            books.counters.content_too_large += 1;
            let reason = content::reason(Ok(()), limit);
            books.odd(&id, LedgerOutcome::Truncated, Stage::Content, reason);
        }
        let file = file.filter(|(wanted, _)| *wanted == Wanted::Yes);
        let file = file.map(|(_, file)| file);
        let (stamp, access) = (document.stamp, document.access);
        let mut print = self.fingerprints.document(&document.body, &stamp, &access);
        let has_version = file.as_ref().is_none_or(|file| file.version.is_some());
        if let Some(file) = &file
            && let Some(version) = &file.version
        {
            print = print.with_version(file, version);
        }
        let held = held(old.as_ref());
        if has_version && self.is_unchanged(hash, print.finish(), held) {
            self.unchanged(from, hash, id, home, old, books);
            return Ok(());
        }
        let version = old.and_then(|row| row.version);
        let text = document.body.into_open_text();
        if let Some(file) = file {
            let place = books.manifests.reserve(from, id.clone(), home, version);
            let errand = Errand {
                hash,
                id,
                text,
                stamp,
                access,
                file,
                permit,
                place,
                fingerprint: print,
                held,
            };
            self.begin_errand(errand, books);
            return Ok(());
        }
        let largest = job.settings.max_text_size;
        if largest > 0 && text.len() > largest {
            books.counters.too_large += 1;
            let size = text.len();
            books.odd(
                &id,
                LedgerOutcome::Failed,
                Stage::Index,
                format!("not written: its text of {size} bytes is larger than elasticsearch.bulk.max_text_document_size ({largest})"),
            );
            let held = version.map(|version| (0, version));
            books.add_row(from, hash, row(id, Fate::TooLarge, home, held));
            return Ok(());
        }
        let place = books.manifests.reserve(from, id.clone(), home, version);
        let operation = self.assembler.document(id, text, &stamp, &access, None);
        let entry = Entry::new(hash, operation, Purpose::Document, [Some(permit), None]);
        self.sender.admit(entry.at(place, print.finish()), books);
        Ok(())
    }

    pub(crate) fn begin_errand(&mut self, errand: Errand, books: &mut Books) {
        let place = Some(errand.place);
        if let Some(errand) = self.sender.reserve(errand.hash, errand, place, books) {
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
        let has_version = errand.file.version.is_some();
        let (attachment, content_permit, print) = match fetched {
            Fetched::Content(text, permit) => {
                books.counters.downloads += 1;
                let print = match has_version {
                    true => errand.fingerprint,
                    false => errand.fingerprint.with_content(Some(&text)),
                };
                (Some(text), Some(permit), print.finish())
            }
            Fetched::Nothing(error) => {
                books.counters.without_content += 1;
                let reason = content::reason(Err(&error), job.settings.max_file_size);
                books.odd(&errand.id, LedgerOutcome::Truncated, Stage::Content, reason);
                let print = errand.fingerprint.with_content(None);
                (None, None, print.finish())
            }
            Fetched::EndsJob(error) => return Err(error.into()),
        };
        if errand.held == Some(print) {
            let decided = Decided::Unchanged(print);
            books.decide(Some(errand.place), errand.hash, Fate::Unchanged, decided);
            self.sender.release(errand.hash);
            return Ok(());
        }
        let operation = self.assembler.document(
            errand.id,
            errand.text,
            &errand.stamp,
            &errand.access,
            attachment,
        );
        let permits = [Some(errand.permit), content_permit];
        let entry = Entry::new(errand.hash, operation, Purpose::Document, permits);
        self.sender
            .admit_reserved(entry.at(errand.place, print), books);
        Ok(())
    }

    async fn change_access(
        &mut self,
        from: usize,
        id: DocId,
        access: &Access,
        permit: Permit,
        books: &mut Books,
    ) -> Result<(), Halt> {
        let (id, hash) = self.named(id, books);
        self.claims.alive(&self.last_key, hash);
        books.counters.extracted += 1;
        let old = self.known(books, from, &id, hash).await?;
        let version = old.and_then(|row| row.version);
        let place = books.manifests.reserve(from, id.clone(), None, version);
        let operation = self.assembler.access(id, access);
        let entry = Entry::new(hash, operation, Purpose::Access, [Some(permit), None]);
        self.sender.admit(entry.at(place, 0), books);
        Ok(())
    }
}

/// The fingerprint of what the index is known to have.
fn held(old: Option<&Row>) -> Option<u64> {
    let row = old.filter(|row| row.version.is_some())?;
    Some(row.fingerprint)
}

fn row(
    id: DocId,
    fate: Fate,
    home: Option<Scope>,
    held: Option<(u64, tributary_state::Version)>,
) -> Row {
    Row {
        id,
        fate,
        fingerprint: held.map_or(0, |(fingerprint, _)| fingerprint),
        version: held.map(|(_, version)| version),
        home,
        missed: false,
    }
}
