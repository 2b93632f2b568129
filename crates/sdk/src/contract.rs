//! The contract between a source and the engine.
//!
//! ```text
//! SourceType ── build ──> Source ── open ──> Session ── units ──> Unit ── walk ──> Emitter
//!  (a constant)        (configured)        (one run)          (one walk, own cursor)
//! ```
//!
//! A source says what there is; it never decides what happens to it. It does not retry, sleep, count,
//! batch, log progress, or read the environment or the clock: kits and engine do.
//!
//! Holds for every method: the engine may drop the future at any await, and may call again what it
//! called before. Memory is bounded by the [`Emitter`], so a method may hold one page at a time.

use crate::{
    Attachment, ContentSink, Cursor, DocRef, Emitter, End, Error, ErrorKind, Presence, Result,
    Scope, Unit, UnitKey, UnitSink,
    config::{AnyField, SourceOptions, Values},
    stop::StopSignal,
};
use async_trait::async_trait;
use serde_json::value::RawValue;
use std::{fmt, path::PathBuf, sync::Arc};

/// How far "not listed" means "gone".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Listing {
    /// One instant is listed: what is not there is gone.
    Snapshot,
    /// A stable order by a key, while the data lives on.
    Keyed,
    /// Pages by offset, or no known order: items move between pages while we read.
    #[default]
    Drifting,
}

/// What a session promises about its walks. The default promises nothing and is always safe.
#[derive(Clone, Copy, Debug)]
pub struct Promises {
    /// How far "not listed" means "gone".
    pub listing: Listing,
    /// A document never changes its scope under the same id (because the id names the scope). Without
    /// this promise a document that is missing here may be in any other place that was not read.
    pub ids_stay: bool,
    /// How many walks may run side by side; at least 1.
    pub parallel: usize,
}

impl Default for Promises {
    fn default() -> Self {
        Self {
            listing: Listing::default(),
            ids_stay: false,
            parallel: 1,
        }
    }
}

/// What a job is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobKind {
    /// Read all.
    Full,
    /// Read what changed, where a unit can.
    Incremental,
    /// Read who is who.
    AccessControl,
}

/// What a session is opened for.
#[derive(Clone, Debug)]
pub struct Run {
    /// What the job is for.
    pub kind: JobKind,
    /// The active advanced sync rules, as the user typed them; `None` if there are none.
    pub rules: Option<Arc<RawValue>>,
    /// Whether the bytes of files are wanted. If not, announcing attachments is harmless.
    pub content: bool,
    /// Whether permissions are wanted (document-level security is on). If not, every document is
    /// `Access::Unrestricted` and no permission is asked for.
    pub access: bool,
}

impl Run {
    /// A run of this kind without rules, content or permissions.
    pub fn new(kind: JobKind) -> Self {
        Self {
            kind,
            rules: None,
            content: false,
            access: false,
        }
    }
}

/// What the connector record says a service type can do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Features {
    /// Basic sync rules make sense for its documents.
    pub basic_rules: bool,
    /// Understands advanced sync rules.
    pub advanced_rules: bool,
    /// Reads permissions and identities.
    pub document_level_security: bool,
    /// Some unit can be read by changes.
    pub incremental: bool,
}

impl Features {
    /// Basic sync rules and nothing special.
    pub const BASIC: Self = Self {
        basic_rules: true,
        advanced_rules: false,
        document_level_security: false,
        incremental: false,
    };
}

/// Something to tell the user before a sync: about a field, a right, or a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The configuration field or the place in the rules, if it is about one.
    pub place: Option<String>,
    /// What is wrong and what to do about it.
    pub message: String,
}

impl Finding {
    /// About nothing in particular.
    pub fn new(message: impl Into<String>) -> Self {
        Self {
            place: None,
            message: message.into(),
        }
    }

    /// About this field or place.
    pub fn at(place: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            place: Some(place.into()),
            message: message.into(),
        }
    }
}

/// What a source is built from: its values, and the services of the host.
#[derive(Debug)]
#[non_exhaustive]
pub struct Setup<'a> {
    /// The values of the connector; they passed [`SourceType::check`].
    pub values: &'a Values,
    /// What `config.yml` says under `sources.<service_type>`.
    pub options: &'a SourceOptions,
    /// Comes when the job, or the process, is to end. The engine drops the futures of a source by
    /// itself; this is for code that blocks.
    pub stop: StopSignal,
    /// A folder that exists, is private to this process, and may be filled; emptied by the host.
    pub temporary_folder: PathBuf,
}

impl<'a> Setup<'a> {
    /// For the host.
    pub fn new(
        values: &'a Values,
        options: &'a SourceOptions,
        stop: StopSignal,
        temporary_folder: PathBuf,
    ) -> Self {
        Self {
            values,
            options,
            stop,
            temporary_folder,
        }
    }
}

/// A service type: one constant per source, one line in the list of sources.
pub struct SourceType {
    /// The protocol's name for it.
    pub service_type: &'static str,
    /// The name people read.
    pub name: &'static str,
    /// What the connector record says it can do.
    pub features: Features,
    /// Its configuration fields, in the order of the form.
    pub fields: &'static [&'static dyn AnyField],
    /// Makes a source from checked values.
    ///
    /// *Behaviour.* No I/O and no waiting. A value that cannot work is `InvalidConfig` and names its
    /// field. Called again whenever the configuration changes.
    pub build: fn(&Setup<'_>) -> Result<Arc<dyn Source>>,
}

impl fmt::Debug for SourceType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SourceType")
            .field(&self.service_type)
            .finish()
    }
}

/// A configured source.
#[async_trait]
pub trait Source: Send + Sync {
    /// The cheapest authenticated call.
    ///
    /// *Behaviour.* Called often, also while a run is on. `Ok` means that the data source answered
    /// this account; an `Err` names host and reason.
    async fn ping(&self) -> Result<()>;

    /// Checks against the data source what the form cannot: missing tables, missing rights.
    ///
    /// *Behaviour.* Called after a change of configuration and before a sync. Reads only. An
    /// empty answer means "nothing to complain about"; `Err` means "could not check".
    async fn validate(&self) -> Result<Vec<Finding>> {
        Ok(Vec::new())
    }

    /// Checks advanced sync rules, as the user typed them.
    ///
    /// *Behaviour.* Called once per draft, and before a sync that uses them; never with an empty
    /// object or array, which mean "no rules". Reads only. An empty answer makes the draft valid;
    /// `Err` means "could not check". The default knows no rules and says so.
    async fn check_rules(&self, _rules: &RawValue) -> Result<Vec<Finding>> {
        Ok(vec![Finding::new("this source has no advanced sync rules")])
    }

    /// Begins a run: takes the snapshot, reads the catalogues, makes the caches.
    ///
    /// *Behaviour.* Called once per run, and again when a run is resumed: a resumed run does *not*
    /// see the snapshot of the first attempt. Runs of one source never overlap. Dropping the session
    /// ends the run. An `Err` ends the job.
    async fn open(&self, run: &Run) -> Result<Box<dyn Session>>;

    /// Reads the reference service's `sync_cursor` as cursors of units.
    ///
    /// *Behaviour.* No I/O. Called for an incremental job that has no cursors of ours. An empty
    /// answer, the default, means that nothing in it helps: the units are read in full.
    fn import_cursor(&self, _sync_cursor: &RawValue) -> Result<Vec<(UnitKey, Cursor)>> {
        Ok(Vec::new())
    }

    /// Writes the `sync_cursor` with which the reference service could go on.
    ///
    /// *Behaviour.* No I/O. Called after a job that moved cursors. `None`, the default: the
    /// reference service keeps no cursor for this service type.
    fn export_cursor(&self, _cursors: &[(UnitKey, Cursor)]) -> Result<Option<Box<RawValue>>> {
        Ok(None)
    }
}

/// What lives for one run. A simple source writes only [`Session::walk`].
#[async_trait]
pub trait Session: Send + Sync {
    /// What this session promises about its walks.
    ///
    /// *Behaviour.* Asked once, after [`Source::open`], because it may depend on the configuration:
    /// one product lists by key in the cloud and by offset on premises.
    fn promises(&self) -> Promises {
        Promises::default()
    }

    /// Announces the units of this run.
    ///
    /// *Behaviour.* Streams: walks begin while it still runs. Announces every unit there is, in every
    /// kind of job; one that is announced twice, here or by a walk, is walked once. Called again when
    /// a run is resumed; units known from before keep their args. An `Err` is a gap of everything.
    /// A unit of the last run that is not announced now counts as gone, with all its documents.
    async fn units(&self, out: &UnitSink) -> Result<()> {
        out.unit(Unit::new(Scope::root())).await
    }

    /// Reads one unit.
    ///
    /// *Behaviour.* Up to `parallel` units at once, in no order. `from` is the last checkpoint of
    /// this walk, the `next` of the last complete one, or nothing: start. **An `Err` is a gap of this
    /// unit**: nothing in it is deleted and the job says so; so hand errors on with `?`. A dead cursor
    /// starts this walk again, in full. Only unauthorised, invalid configuration, internal and stopped
    /// end the job. In mode `Full`, ending
    /// without emitting anything means that the unit is empty. Emitting again what was emitted before
    /// is allowed; the later one counts. A document that two units emit belongs to the first.
    async fn walk(&self, unit: &Unit, from: Option<Cursor>, out: &Emitter) -> Result<End>;

    /// Reads the bytes of a file.
    ///
    /// *Behaviour.* Several at once, also beside walks. Called again, with an empty sink, after a
    /// failure that may pass. The sink has room reserved and refuses more than that. An `Err` means
    /// that the document is indexed without its content, and on record; `NotFound`, that the file
    /// went away since it was listed.
    async fn fetch(&self, file: &Attachment, _to: &mut ContentSink) -> Result<()> {
        Err(unsupported("cannot read files").with("file", &file.name))
    }

    /// Answers whether documents that were not listed still exist.
    ///
    /// *Behaviour.* Called after all walks, with at most 100 documents; one answer for each, in the
    /// same order. `Gone` only if the data source said so: "not found" where "forbidden" looks the
    /// same is `Unknown`. What is `Unknown` is deleted when a second full sync in a row misses it.
    /// After an `Err` all stay, and it does not count as a miss.
    async fn confirm(&self, docs: &[DocRef]) -> Result<Vec<Presence>> {
        Ok(vec![Presence::Unknown; docs.len()])
    }

    /// Emits these documents again, after what kept them out of the index was mended.
    ///
    /// *Behaviour.* Called outside of walks. Emits upserts only; one that is gone is left out.
    async fn reread(&self, _docs: &[DocRef], _out: &Emitter) -> Result<()> {
        Err(unsupported("cannot read single documents again"))
    }

    /// Emits everybody who may search: a document for each. Its body is what identifies the person
    /// (`email`, `username`…), its `access` the tokens of that person.
    ///
    /// *Behaviour.* The one walk of an access-control job, under all the rules of [`Session::walk`]:
    /// a failure is a gap, and nobody is deleted in a gap.
    async fn identities(&self, _from: Option<Cursor>, _out: &Emitter) -> Result<End> {
        Err(unsupported("knows no identities"))
    }
}

fn unsupported(what: &str) -> Error {
    Error::new(ErrorKind::Unsupported, format!("this source {what}"))
}
