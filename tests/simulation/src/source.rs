//! A source over [`Content`].

use crate::{
    content::{Content, Item, Kind, Nature},
    wire::Wire,
};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tributary_sdk::{
    Access, Attachment, Body, ContentSink, Cursor, DocRef, Document, Emitter, End, Error,
    ErrorKind, JobKind, Listing, Memo, Presence, Promises, Result, Run, Scope, Session, Source,
    Stamp, Unit, UnitSink, async_trait,
};

/// Parts of a unit.
pub const PARTS: usize = 3;

/// The content, shared between the history and the sessions.
pub type Shared = Arc<Mutex<Content>>;

/// A configured source.
pub struct SimulatedSource {
    content: Shared,
    wire: Arc<Wire>,
}

impl SimulatedSource {
    /// Over this content, behind this wire.
    pub fn new(content: Shared, wire: Arc<Wire>) -> Self {
        Self { content, wire }
    }
}

/// The content, whoever else looks at it.
pub fn look(content: &Shared) -> MutexGuard<'_, Content> {
    content.lock().unwrap_or_else(PoisonError::into_inner)
}

#[async_trait]
impl Source for SimulatedSource {
    async fn ping(&self) -> Result<()> {
        Ok(())
    }

    async fn open(&self, run: &Run) -> Result<Box<dyn Session>> {
        self.wire.cross("source open").await;
        let content = look(&self.content);
        let is_snapshot = content.nature.promises.listing == Listing::Snapshot;
        Ok(Box::new(SimulatedSession {
            nature: content.nature,
            content: match is_snapshot {
                true => Arc::new(Mutex::new(content.clone())),
                false => Arc::clone(&self.content),
            },
            wire: Arc::clone(&self.wire),
            kind: run.kind,
        }))
    }
}

struct SimulatedSession {
    nature: Nature,
    content: Shared,
    wire: Arc<Wire>,
    kind: JobKind,
}

impl SimulatedSession {
    fn fails(&self) -> Result<()> {
        let wire = &self.wire;
        if !wire.chance(wire.plan.source, 100) {
            return Ok(());
        }
        let kind = match wire.roll(4) {
            0 => ErrorKind::Forbidden,
            1 => ErrorKind::Timeout,
            2 => ErrorKind::DeadCursor,
            _ => ErrorKind::Unavailable,
        };
        wire.trace
            .note(format_args!("the source fails: {}", kind.name()));
        Err(Error::new(kind, "scripted failure of the source"))
    }

    fn unit(&self, number: usize) -> Result<Unit> {
        let scope = look(&self.content).scope(number);
        Unit::new(scope).or_changes().with_args(&number)
    }

    /// The next documents after this place, and the next place.
    fn page(&self, unit: usize, place: &Place) -> (Vec<(String, Item)>, Place) {
        let content = look(&self.content);
        let items = content.listed(unit);
        let items = items.map(|(id, item)| (id.clone(), item.clone()));
        let size = self.nature.page;
        let page: Vec<_> = match self.nature.promises.listing {
            Listing::Drifting => items.skip(place.offset).take(size).collect(),
            Listing::Snapshot | Listing::Keyed => {
                let after = place.after.as_deref();
                items
                    .filter(|(id, _)| Some(id.as_str()) > after)
                    .take(size)
                    .collect()
            }
        };
        let next = Place {
            offset: place.offset + page.len(),
            after: page
                .last()
                .map(|(id, _)| id.clone())
                .or(place.after.clone()),
        };
        (page, next)
    }

    async fn emit(&self, scope: &Scope, id: &str, item: &Item, out: &Emitter) -> Result<()> {
        if item.kind == Kind::Skipped {
            return out.skip(id, "scripted skip").await;
        }
        out.upsert(document(scope, id, item)?).await?;
        if item.kind == Kind::Plain && item.version.is_multiple_of(7) {
            out.access(id, access(item)).await?;
        }
        if item.version.is_multiple_of(11) {
            out.upsert(document(scope, id, item)?).await?;
        }
        Ok(())
    }

    async fn tell_deletions(&self, unit: usize, out: &Emitter) -> Result<()> {
        let tombs = look(&self.content).tombs.clone();
        for (_, id) in tombs.iter().filter(|(tomb, _)| *tomb == unit) {
            self.wire
                .trace
                .note(format_args!("tells that {id} is gone from {unit}"));
            out.delete(id.as_str()).await?;
        }
        Ok(())
    }
}

#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
struct Place {
    offset: usize,
    after: Option<String>,
}

fn access(item: &Item) -> Access {
    match item.access {
        None => Access::Unrestricted,
        Some(0) => Access::Unreadable("scripted".into()),
        // An empty list is for nobody.
        Some(1) => Access::tokens([""; 0]),
        Some(person) => Access::tokens([format!("user:{person}")]),
    }
}

/// The bytes of the file of a document.
pub fn file_of(id: &str, version: u64) -> Vec<u8> {
    format!("{id} {version}").into_bytes()
}

fn document(scope: &Scope, id: &str, item: &Item) -> Result<Document> {
    let mut body = Body::new().put("v", &item.version)?;
    match item.kind {
        Kind::Hidden => body = body.put("hide", &true)?,
        Kind::Refused => body = body.put("refused", &true)?,
        Kind::BadField => body = body.put("bad", &true)?,
        Kind::TooLarge => body = body.put("text", &"x".repeat(500))?,
        Kind::Plain | Kind::Skipped => {}
    }
    let mut document = Document::new(id, body, access(item));
    if item.version.is_multiple_of(3) {
        document.stamp = Stamp::Item(format!("2026-01-01T00:00:{:02}+00:00", item.version % 60));
    }
    if let (Some(is_versioned), true) = (item.file, item.kind == Kind::Plain) {
        let size = file_of(id, item.version).len() as u64;
        document.attachment = Some(Attachment {
            key: Memo::new(&(id, item.version))?,
            name: "file.txt".into(),
            size: (item.version.is_multiple_of(2)).then_some(size),
            version: is_versioned.then(|| item.version.to_string()),
        });
    }
    document.home = item.part.map(|part| part_of(scope, part));
    Ok(document)
}

/// A part of a unit, as a scope.
pub fn part_of(scope: &Scope, part: usize) -> Scope {
    scope.child("part", &part.to_string())
}

#[async_trait]
impl Session for SimulatedSession {
    fn promises(&self) -> Promises {
        self.nature.promises
    }

    async fn units(&self, out: &UnitSink) -> Result<()> {
        let units: Vec<_> = {
            let content = look(&self.content);
            let units = content.units.iter().copied();
            units.filter(|unit| !content.is_child(*unit)).collect()
        };
        for unit in units {
            self.wire.cross(format!("source announces {unit}")).await;
            out.unit(self.unit(unit)?).await?;
            self.fails()?;
        }
        Ok(())
    }

    async fn walk(&self, unit: &Unit, from: Option<Cursor>, out: &Emitter) -> Result<End> {
        let number: usize = unit.args()?;
        self.wire
            .cross(format!(
                "source walks {number}, begun before: {}",
                from.is_some()
            ))
            .await;
        let began_at = look(&self.content).version;
        let mut place = match from {
            Some(from) => from.read()?,
            None => Place::default(),
        };
        let child = number + 1;
        let has_child = {
            let content = look(&self.content);
            content.units.contains(&child) && content.is_child(child)
        };
        if has_child {
            out.unit(self.unit(child)?).await?;
        }
        if self.nature.has_feed || self.kind == JobKind::Incremental {
            self.tell_deletions(number, out).await?;
        }
        let mut hidden = Vec::new();
        for part in 0..PARTS {
            if self.wire.chance(self.wire.plan.parts, 100) {
                self.wire
                    .trace
                    .note(format_args!("part {part} of {number} cannot be read"));
                let error = Error::new(ErrorKind::Unavailable, "scripted gap");
                out.gap(part_of(&unit.scope, part), error).await?;
                hidden.push(part);
            }
        }
        loop {
            self.wire
                .cross(format!("source page of {number} after {place:?}"))
                .await;
            self.wire.linger().await;
            self.fails()?;
            let (page, next) = self.page(number, &place);
            if page.is_empty() {
                break;
            }
            for (id, item) in &page {
                if !item.part.is_some_and(|part| hidden.contains(&part)) {
                    // A document that two units list has no home in the second.
                    let home = (item.unit == number).then_some(item.part).flatten();
                    let item = Item {
                        part: home,
                        ..item.clone()
                    };
                    self.emit(&unit.scope, id, &item, out).await?;
                }
            }
            place = next;
            if self.nature.has_checkpoints {
                out.checkpoint(&place).await?;
            }
        }
        End::changes_from(&began_at)
    }

    async fn fetch(&self, file: &Attachment, to: &mut ContentSink) -> Result<()> {
        self.wire.cross("source fetch").await;
        self.wire.linger().await;
        let (id, version): (String, u64) = file.key.read()?;
        let bytes = file_of(&id, version);
        if self.wire.chance(self.wire.plan.source, 100) {
            to.write(&bytes[..bytes.len() / 2])?;
            return Err(Error::new(
                ErrorKind::Unavailable,
                "scripted failure of a file",
            ));
        }
        to.write(&bytes)
    }

    async fn confirm(&self, docs: &[DocRef]) -> Result<Vec<Presence>> {
        self.wire
            .cross(format!("source confirm {}", docs.len()))
            .await;
        self.wire.linger().await;
        if self.wire.chance(self.wire.plan.questions, 100) {
            self.wire.trace.note("the source does not answer");
            let message = "scripted failure of a question";
            return Err(Error::new(ErrorKind::Unavailable, message));
        }
        let content = look(&self.content);
        let answer = |doc: &DocRef| match content.items.contains_key(doc.id.as_str()) {
            _ if !self.nature.confirms => Presence::Unknown,
            true => Presence::Present,
            false => Presence::Gone,
        };
        Ok(docs.iter().map(answer).collect())
    }

    async fn reread(&self, docs: &[DocRef], out: &Emitter) -> Result<()> {
        self.wire
            .cross(format!("source rereads {}", docs.len()))
            .await;
        if !self.nature.rereads {
            return Err(Error::new(
                ErrorKind::Unsupported,
                "cannot read single documents",
            ));
        }
        for doc in docs {
            let found = {
                let content = look(&self.content);
                let item = content.items.get(doc.id.as_str()).cloned();
                item.map(|item| (content.scope(item.unit), item))
            };
            if let Some((scope, item)) = found {
                self.emit(&scope, doc.id.as_str(), &item, out).await?;
            }
        }
        Ok(())
    }
}
