//! What is remembered of the index: read when a run begins, written when it is over.

use crate::{
    books::{Books, Halt},
    fingerprint::ENCODER,
    job::Job,
    notes::{Begin, Noted, Notes, kind_name},
    patience::patiently,
    reconcile::{Reconciled, reconcile},
    roll::{IdHash, IdHasher},
    target::Token,
};
use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    sync::Arc,
};
use tributary_sdk::UnitKey;
use tributary_state::{Folder, Head, StateError, Trust, UnitState};

/// What is remembered at the beginning of a run.
pub(crate) struct Recalled {
    /// The head, whatever it is worth.
    head: Option<Head>,
    /// Whether the index is as we left it.
    pub(crate) is_current: bool,
    /// How the index is now, before anything is written.
    token: Option<Token>,
    /// The key of fingerprints.
    pub(crate) key: u128,
    made_with: String,
    units: HashMap<UnitKey, UnitState>,
    /// Of what is remembered, this does not hold any more.
    reconciled: Reconciled,
    /// The run goes on after an interruption.
    pub(crate) is_resumed: bool,
}

/// Reads what is remembered, and removes what does not belong to it.
pub(crate) async fn recall(
    job: &Job,
    hasher: IdHasher,
) -> Result<(Recalled, Option<(Notes, Noted)>), Halt> {
    let head = match Head::load(Arc::clone(&job.folder)).await {
        Ok(head) => head,
        Err(error @ StateError::Io { .. }) => return Err(error.into()),
        Err(error) => {
            tracing::warn!(%error, "what was remembered of the index is not used: all documents are sent again");
            None
        }
    };
    let resumed = Notes::resume(job).await?;
    let token = patiently(job, || job.target.token()).await?;
    let made_with = format!("{ENCODER} {:?} {:?}", job.settings.flags, job.run.access);
    let generation = head.as_ref().map_or(1, |head| head.generation + 1);
    let resumed = resumed.filter(|(_, noted)| {
        let why = other_run(&noted.begin, generation, &made_with, token.as_ref(), job);
        if let Some(why) = why {
            tracing::debug!(
                job = noted.begin.job,
                "what an interrupted job has noted is not used: {why}"
            );
        }
        why.is_none()
    });
    let noted = resumed.as_ref().map(|(_, noted)| noted);
    remove_others(&*job.folder, head.as_ref(), noted).await?;
    let key = head
        .as_ref()
        .and_then(|head| u128::from_str_radix(&head.fingerprint_key, 16).ok());
    let trust = match (&head, key) {
        // The index was compared when the run began; what the run wrote since is in its manifests.
        (Some(_), Some(_)) if noted.is_some_and(|noted| noted.begin.is_current) => {
            Some(Trust::Reconcile)
        }
        (Some(head), Some(_)) if noted.is_none() => {
            Some(trust(head, token.as_ref(), &made_with, job))
        }
        _ => None,
    };
    let mut reconciled = Reconciled::default();
    let is_current = match (trust, &head) {
        (Some(Trust::Current), _) => true,
        (Some(Trust::Reconcile), Some(head)) => {
            tracing::info!(
                "somebody else may have written to the index since the last sync: it is listed"
            );
            let found = reconcile(job, head, hasher).await?;
            let is_usable = found.is_some();
            reconciled = found.unwrap_or_default();
            if !is_usable {
                tracing::info!("all documents are sent again: too many are not as they were");
            }
            is_usable
        }
        (Some(Trust::None(why)), _) => {
            tracing::info!("all documents are sent again: {why}");
            false
        }
        _ => false,
    };
    let units = match (&head, is_current) {
        (Some(head), true) => head
            .units
            .iter()
            .map(|unit| (unit.key.clone(), unit.clone()))
            .collect(),
        _ => HashMap::new(),
    };
    let noted_key = noted.and_then(|noted| u128::from_str_radix(&noted.begin.key, 16).ok());
    let recalled = Recalled {
        head,
        is_current,
        reconciled,
        is_resumed: noted.is_some(),
        token,
        key: noted_key
            .or(key)
            .or(job.settings.key)
            .unwrap_or_else(random),
        made_with,
        units,
    };
    Ok((recalled, resumed))
}

/// Why a run that was interrupted is not the one that begins now.
fn other_run(
    begin: &Begin,
    generation: u64,
    made_with: &str,
    token: Option<&Token>,
    job: &Job,
) -> Option<&'static str> {
    let differences = [
        (begin.job != job.id, "it is another job"),
        (
            begin.kind != kind_name(job.run.kind),
            "it is another kind of job",
        ),
        (begin.generation != generation, "it is over"),
        (
            begin.made_with != made_with || begin.origin != job.origin,
            "the configuration changed",
        ),
        (
            !token.is_some_and(|now| begin.token.is_followed_by(now)),
            "the index is another one",
        ),
    ];
    let difference = differences.into_iter().find(|(differs, _)| *differs);
    difference.map(|(_, why)| why)
}

/// A key that nobody can guess.
pub(crate) fn random() -> u128 {
    let random = RandomState::new();
    u128::from(random.hash_one(1)) << 64 | u128::from(random.hash_one(2))
}

fn trust(head: &Head, now: Option<&Token>, made_with: &str, job: &Job) -> Trust {
    let no = |why: &str| Trust::None(why.to_owned());
    if job.settings.force {
        return no("that was asked for");
    }
    if head.made_with != made_with {
        return no("they are written in another way than before");
    }
    match (&head.token, now) {
        (Some(before), Some(now)) => match before.compare(now) {
            Trust::Current if !head.is_exact => Trust::Reconcile,
            trust => trust,
        },
        _ => no("the server does not tell enough to know whether the index is as it was"),
    }
}

async fn remove_others(
    folder: &dyn Folder,
    head: Option<&Head>,
    noted: Option<&Noted>,
) -> Result<(), Halt> {
    let failed = |error| StateError::Io {
        name: "(folder)".into(),
        source: error,
    };
    let files = folder.list().await.map_err(failed)?;
    for (name, _) in files {
        let is_needed = head.is_some_and(|head| head.names(&name))
            || noted.is_some_and(|noted| noted.names(&name));
        if !is_needed {
            folder.remove(&name).await.map_err(failed)?;
        }
    }
    Ok(())
}

impl Recalled {
    /// The number of this run's files.
    pub(crate) fn generation(&self) -> u64 {
        self.head.as_ref().map_or(1, |head| head.generation + 1)
    }

    /// How a journal of this run begins. `None` if the run could not be resumed.
    pub(crate) fn begin(&self, job: &Job) -> Option<Begin> {
        Some(Begin {
            job: job.id.clone(),
            kind: kind_name(job.run.kind).to_owned(),
            generation: self.generation(),
            made_with: self.made_with.clone(),
            origin: job.origin.clone(),
            key: format!("{:032x}", self.key),
            is_current: self.is_current,
            token: self.token.clone()?,
        })
    }

    /// What the last run knew of a unit. Asked once for each.
    pub(crate) fn take_unit(&mut self, key: &UnitKey) -> Option<UnitState> {
        self.units.remove(key)
    }

    /// The units of the last run that were not asked for.
    pub(crate) fn take_unlisted(&mut self) -> Vec<UnitState> {
        let mut units: Vec<_> = self.units.drain().map(|(_, unit)| unit).collect();
        units.sort_by(|one, other| one.key.cmp(&other.key));
        units
    }

    /// Documents that were kept without belonging to a unit.
    pub(crate) fn orphans(&self) -> Option<String> {
        let head = self.head.as_ref().filter(|_| self.is_current)?;
        head.orphans.clone()
    }

    /// Whether the index has a document in another version than is remembered, or not at all.
    pub(crate) fn is_stale(&self, hash: IdHash) -> bool {
        self.reconciled.stale.contains(&hash)
    }

    /// Documents in the index before the run, if that could be told.
    pub(crate) fn count_before(&self) -> Option<u64> {
        self.token.as_ref().map(|token| token.count)
    }

    /// Whether the index may hold documents of which nothing is known.
    pub(crate) fn has_strangers(&self) -> bool {
        let known = self.head.as_ref().filter(|_| self.is_current);
        match (known, &self.token) {
            (Some(head), Some(token)) => head.held != token.count || self.reconciled.has_strangers,
            _ => true,
        }
    }

    /// Makes what this run found out the new memory. `carried`: units that stay as they were.
    pub(crate) async fn remember(
        &self,
        job: &Job,
        books: &mut Books,
        carried: Vec<UnitState>,
    ) -> Result<(), Halt> {
        books.manifests.write().await?;
        let token = patiently(job, || job.target.token()).await?;
        // Documents of this run may have been written under either, if something changed meanwhile.
        let is_same = |now: &Token| {
            self.token
                .as_ref()
                .is_some_and(|begin| begin.is_followed_by(now))
        };
        let token = token.filter(is_same);
        let mut units = Vec::new();
        let mut orphans = None;
        let mut held = books.held + books.held_unmet;
        for number in 0..books.manifests.units.len() {
            if books.manifests.is_bare(number) {
                continue;
            }
            books.manifests.seal(number).await?;
            let rows = &books.manifests.units[number];
            match &rows.key {
                None => orphans = Some(rows.name.clone()),
                Some(key) => units.push(UnitState {
                    key: key.clone(),
                    manifests: vec![rows.name.clone()],
                    next: match &rows.reached.end {
                        Some((next, _)) => next.clone(),
                        None => rows.old_next.clone(),
                    },
                    held: rows.held,
                }),
            }
        }
        held += carried.iter().map(|unit| unit.held).sum::<u64>();
        // What was written before an interruption, and by whom, is not known; and units that stay as they
        // were may hold rows that are worth nothing since somebody, or this run, wrote these documents.
        let are_untouched =
            self.reconciled.stale.is_empty() && books.writes == 0 && books.doubtful_writes == 0;
        let is_certain = !self.is_resumed && (carried.is_empty() || are_untouched);
        let is_exact = is_certain && is_exact(self.token.as_ref(), token.as_ref(), books);
        units.extend(carried);
        let head = Head {
            generation: self.generation(),
            fingerprint_key: format!("{:032x}", self.key),
            made_with: self.made_with.clone(),
            origin: job.origin.clone(),
            token,
            is_exact,
            units,
            orphans,
            held,
        };
        job.folder
            .sync_names()
            .await
            .map_err(|error| StateError::Io {
                name: "(folder)".into(),
                source: error,
            })?;
        head.save(&*job.folder).await?;
        remove_others(&*job.folder, Some(&head), None).await
    }
}

/// Whether what was written to the index meanwhile is ours, and nothing else. Each write takes one
/// sequence number; what was sent twice because an answer was lost, or was refused, may have taken one or
/// none, and somebody else's write would not be noticed behind it: after such a run nobody can tell.
fn is_exact(before: Option<&Token>, after: Option<&Token>, books: &Books) -> bool {
    let (Some(before), Some(after)) = (before, after) else {
        return false;
    };
    let sum = |token: &Token| -> i64 { token.shards.values().map(|shard| shard.max_seq_no).sum() };
    let written = sum(after).saturating_sub(sum(before));
    let ours = i64::try_from(books.writes).unwrap_or(i64::MAX);
    before.index_uuid == after.index_uuid && books.doubtful_writes == 0 && written == ours
}
