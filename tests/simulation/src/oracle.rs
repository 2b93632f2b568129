//! What must be true after every job, whatever went wrong on the way.

use crate::{
    content::{Item, Kind, Life, part_of},
    history::{History, Order},
    source::{PARTS, file_of, look, part_of as part_scope},
};
use base64::Engine as _;
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};
use tributary_engine::{Outcome, Verdict};
use tributary_sdk::{ErrorKind, JobKind, Listing, Scope, UnitKey};
use tributary_state::{Folder, Head};

/// From where each unit's changes would be read next.
pub type Cursors = BTreeMap<UnitKey, Option<String>>;

/// The cursors that the worker remembers.
pub async fn cursors(history: &History) -> Cursors {
    let disk = Arc::new(history.disk().copy());
    let folder: Arc<dyn Folder> = Arc::new(crate::disk::PlainDisk(disk));
    let Ok(Some(head)) = Head::load(folder).await else {
        return Cursors::new();
    };
    let units = head.units.into_iter();
    units
        .map(|unit| {
            let next = unit.next.and_then(|next| serde_json::to_string(&next).ok());
            (unit.key, next)
        })
        .collect()
}

/// Whether a gap hides a document of a unit.
fn hides(gap: &Scope, unit: &Scope, home: Option<&Scope>) -> bool {
    match home {
        Some(home) => gap.contains(home),
        None => gap.contains(unit) || unit.contains(gap),
    }
}

/// Whether the job came to its end.
fn reached_end(outcome: &Outcome) -> bool {
    match &outcome.verdict {
        Verdict::Completed | Verdict::Warning(_) => true,
        Verdict::Failed(why) => why.contains("everything else is up to date"),
        Verdict::Stopped => false,
    }
}

fn is_braked(outcome: &Outcome) -> bool {
    matches!(&outcome.verdict, Verdict::Failed(why) if why.contains("would delete"))
}

/// All that is checked after a job. `deleted`: documents that earlier attempts of it deleted.
pub async fn after_job(
    history: &History,
    order: &Order,
    outcome: &Outcome,
    deleted: &BTreeSet<String>,
    before: &Cursors,
) {
    verdict(history, order, outcome);
    gaps_are_left_alone(history, order, outcome, deleted);
    brake(history, order);
    if !reached_end(outcome) {
        return;
    }
    let deeds = history.index.deeds();
    if !deeds.all_tainted {
        documents(history, order, outcome);
        counters(history, order, outcome);
    }
    if order.replay.is_empty() {
        let after = cursors(history).await;
        for (key, next) in &after {
            let parts: Vec<_> = (0..PARTS)
                .map(|part| part_scope(&key.scope, part))
                .collect();
            let has_gap = |scope: &Scope| *scope == key.scope || parts.contains(scope);
            if outcome.gaps.iter().any(|gap| has_gap(&gap.scope))
                && next.is_some()
                && before.get(key) != Some(next)
            {
                let was = before.get(key);
                history.trace.broken(format_args!(
                    "the cursor of {} moved from {was:?} to {next:?} although the unit has a gap",
                    key.scope
                ));
            }
        }
    }
}

fn verdict(history: &History, order: &Order, outcome: &Outcome) {
    let denied = |kind| matches!(kind, ErrorKind::Forbidden | ErrorKind::Unsupported);
    let all_denied = outcome.gaps.iter().all(|gap| denied(gap.kind));
    let is_right = match &outcome.verdict {
        Verdict::Completed => outcome.gap_count == 0,
        Verdict::Warning(_) => outcome.gap_count > 0 && all_denied,
        Verdict::Failed(_) if is_braked(outcome) => !order.allow_deletes,
        Verdict::Failed(_) => order.has_fatal || (outcome.gap_count > 0 && !all_denied),
        Verdict::Stopped => true,
    };
    if !is_right {
        let gaps = outcome.gap_count;
        let verdict = &outcome.verdict;
        history
            .trace
            .broken(format_args!("the verdict is {verdict} with {gaps} gaps"));
    }
}

/// Where something was not read, nothing is deleted.
fn gaps_are_left_alone(
    history: &History,
    order: &Order,
    outcome: &Outcome,
    deleted: &BTreeSet<String>,
) {
    let content = look(&history.content);
    let nature = content.nature;
    if nature.has_feed || order.kind == JobKind::Incremental || outcome.gaps.is_empty() {
        return;
    }
    for id in history.index.deeds().deleted.difference(deleted) {
        let life = content.life(id);
        let is_hidden =
            |item: &Option<Item>| matches!(item, Some(item) if item.kind == Kind::Hidden);
        if life.iter().any(is_hidden) {
            continue;
        }
        let unit = id.split_once('/').and_then(|(unit, _)| unit.parse().ok());
        let is_in_gap = match unit.filter(|_| nature.promises.ids_stay) {
            Some(unit) => {
                let scope = content.scope(unit);
                let home = part_of(id).map(|part| part_scope(&scope, part));
                let gaps = outcome.gaps.iter();
                content.units.contains(&unit)
                    && gaps
                        .into_iter()
                        .any(|gap| hides(&gap.scope, &scope, home.as_ref()))
            }
            None => true,
        };
        if is_in_gap {
            history
                .trace
                .broken(format_args!("{id} was deleted in a gap"));
        }
    }
}

/// Much is deleted only if somebody allowed it.
fn brake(history: &History, order: &Order) {
    let deeds = history.index.deeds();
    let gone = deeds.deleted.len() as u64;
    let left = deeds.count_before.saturating_sub(gone);
    let has_feed = look(&history.content).nature.has_feed;
    if !order.allow_deletes
        && !has_feed
        && !deeds.all_tainted
        && gone > 1200
        && left * 4 < deeds.count_before
    {
        history.trace.broken(format_args!(
            "{gone} of {} documents were deleted",
            deeds.count_before
        ));
    }
}

/// What the index may hold of a document, given what it was during the job.
fn is_acceptable(id: &str, stored: &Value, life: &Life, needs_file: bool) -> bool {
    life.iter()
        .flatten()
        .any(|item| equals(id, stored, item, needs_file))
}

fn equals(id: &str, stored: &Value, item: &Item, needs_file: bool) -> bool {
    let access = match item.access {
        None => None,
        Some(0 | 1) => Some(vec!["access:nobody".to_owned()]),
        Some(person) => Some(vec![format!("user:{person}")]),
    };
    let found = stored
        .get("_allow_access_control")
        .filter(|value| !value.is_null());
    let found = found.and_then(|value| serde_json::from_value::<Vec<String>>(value.clone()).ok());
    let file = stored.get("_attachment").and_then(Value::as_str);
    let has_file = item.file.is_some() && item.kind == Kind::Plain;
    let expected = has_file.then(|| {
        let engine = base64::engine::general_purpose::STANDARD;
        engine.encode(file_of(id, item.version))
    });
    let is_file_right = file == expected.as_deref() || (file.is_none() && !needs_file);
    stored.get("v").and_then(Value::as_u64) == Some(item.version)
        && found == access
        && is_file_right
}

/// Each document that was there all the time is in the index as it was at some moment of the job, unless
/// something was not read; and what was not there is not.
fn documents(history: &History, order: &Order, outcome: &Outcome) {
    if !order.replay.is_empty() {
        return;
    }
    let content = look(&history.content);
    let shape = history.index.shape();
    let deeds = history.index.deeds();
    let nature = content.nature;
    for (id, life) in &content.lives {
        if deeds.tainted.contains(id) {
            continue;
        }
        let is_written = |item: &Option<Item>| matches!(item, Some(item) if matches!(item.kind, Kind::Plain | Kind::BadField));
        if !life.iter().all(is_written) || is_hidden(&content, life, outcome) {
            continue;
        }
        let moved = life
            .iter()
            .flatten()
            .any(|item| Some(item.unit) != life.iter().flatten().next().map(|first| first.unit));
        let may_miss = nature.promises.listing == Listing::Drifting || moved;
        match shape.documents.get(id) {
            // A new document that pages moved over, or that moved out of the way, comes with the next sync.
            None if may_miss => {}
            None => history.trace.broken(format_args!("{id} is missing")),
            // A listing that drifts can miss a change; a snapshot cannot.
            Some((_, stored)) if !is_acceptable(id, stored, life, order.is_clean) && !may_miss => {
                history
                    .trace
                    .broken(format_args!("{id} is {stored}, and was {life:?}"));
            }
            Some(_) => {}
        }
    }
    let is_whole = order.kind == JobKind::Full
        && outcome.verdict == Verdict::Completed
        && outcome.counters.kept == 0
        && outcome.counters.bounced == 0
        && (order.attempts == 1 || nature.promises.ids_stay);
    if !is_whole {
        return;
    }
    for id in shape.documents.keys() {
        let never_there = content.life(id).iter().all(Option::is_none);
        if never_there && !deeds.tainted.contains(id) {
            history
                .trace
                .broken(format_args!("{id} is in the index and not in the source"));
        }
    }
}

/// Whether something was not read that a document was in.
fn is_hidden(content: &crate::content::Content, life: &Life, outcome: &Outcome) -> bool {
    life.iter().flatten().any(|item| {
        let scope = content.scope(item.unit);
        let home = item.part.map(|part| part_scope(&scope, part));
        let also = item.also.map(|also| content.scope(also));
        outcome.gaps.iter().any(|gap| {
            let is_in_other = also
                .as_ref()
                .is_some_and(|also| hides(&gap.scope, also, None));
            is_in_other || hides(&gap.scope, &scope, home.as_ref()) || gap.scope.contains(&scope)
        })
    })
}

fn counters(history: &History, order: &Order, outcome: &Outcome) {
    let deeds = history.index.deeds();
    let counters = &outcome.counters;
    let content = look(&history.content);
    let is_still = content.lives.values().all(|life| life.len() == 1);
    if !deeds.tainted.is_empty() {
        return;
    }
    if outcome
        .total_documents
        .is_some_and(|total| total != history.index.count())
    {
        let (told, is) = (outcome.total_documents, history.index.count());
        history
            .trace
            .broken(format_args!("told of {told:?} documents, there are {is}"));
    }
    if order.attempts > 1 {
        // What somebody else deleted before an interruption may be taken for ours after it.
        let is_known =
            history.is_undisturbed && order.keeps_journal && deeds.removed_by_others == 0;
        if is_known && counters.deleted > deeds.deleted.len() as u64 {
            let (told, is) = (counters.deleted, deeds.deleted.len());
            history
                .trace
                .broken(format_args!("told of {told} deletions, there were {is}"));
        }
        return;
    }
    let told = (counters.indexed, counters.deleted);
    let did = (deeds.told_written.len() as u64, deeds.deleted.len() as u64);
    if told != did {
        history.trace.broken(format_args!(
            "told (written, deleted) {told:?}, did {did:?}"
        ));
    }
    if is_still && outcome.gap_count == 0 && order.replay.is_empty() {
        let met = content.items.len() as u64;
        let sum = counters.indexed
            + counters.unchanged
            + counters.failed
            + counters.skipped
            + counters.too_large
            + counters.filtered;
        if counters.extracted != met || sum != met {
            history
                .trace
                .broken(format_args!("{met} documents, and counted {counters:?}"));
        }
    }
}

/// After clean syncs the index is what the source is.
pub fn is_equal(history: &History) {
    let content = look(&history.content);
    let shape = history.index.shape();
    for (id, item) in &content.items {
        let stored = shape.documents.get(id).map(|(_, stored)| stored);
        let is_right = match item.kind {
            Kind::Plain | Kind::BadField => {
                stored.is_some_and(|stored| equals(id, stored, item, true))
            }
            Kind::Hidden => stored.is_none(),
            Kind::Refused | Kind::TooLarge | Kind::Skipped => true,
        };
        if !is_right {
            history
                .trace
                .broken(format_args!("at the end {id} is {stored:?}, not {item:?}"));
        }
    }
    let nature = content.nature;
    let index = history.index.nature();
    let is_remembered = index.tells_token && index.tells_pipeline;
    let proves = nature.confirms || nature.promises.listing == Listing::Snapshot;
    if !is_remembered && !proves {
        return;
    }
    for id in shape.documents.keys() {
        if !content.items.contains_key(id) {
            history.trace.broken(format_args!(
                "at the end {id} is in the index and not in the source"
            ));
        }
    }
}

/// A sync of a source that did not change sends nothing, but for what the index never takes.
pub fn is_quiet(history: &History) {
    let index = history.index.nature();
    let content = look(&history.content);
    let deeds = history.index.deeds();
    if !deeds.deleted.is_empty() {
        let deleted = &deeds.deleted;
        history.trace.broken(format_args!(
            "nothing changed, and {deleted:?} were deleted"
        ));
    }
    if !index.tells_token || !index.tells_pipeline {
        return;
    }
    for id in &deeds.sent {
        let item = content.items.get(id);
        let is_odd = item.is_none_or(|item| {
            matches!(item.kind, Kind::Refused | Kind::BadField)
                // Whichever unit comes first writes what two of them list.
                || item.also.is_some()
                || item.version.is_multiple_of(7)
                || item.version.is_multiple_of(11)
        });
        if !is_odd {
            history
                .trace
                .broken(format_args!("{id} did not change, and was sent: {item:?}"));
        }
    }
}
