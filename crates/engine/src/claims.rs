//! Whose document is it, and was it told gone? Decides what an announced deletion is worth.

use crate::roll::IdHash;
use std::{
    collections::{HashMap, HashSet},
    mem,
    sync::Arc,
};
use tributary_sdk::{DocId, UnitKey};

/// Deletions that a feed announces are kept in memory until the end; more of them than this are left
/// to the next full sync.
const MOST_ANNOUNCED: usize = 100_000;
/// Units remembered beside the first for one document.
const MOST_OTHERS: usize = 8;

/// Which units have which document, as far as ids move between units.
pub(crate) struct Claims {
    ids_stay: bool,
    limit: usize,
    /// The unit that emitted a document first.
    owners: HashMap<IdHash, Arc<UnitKey>>,
    /// Other units in which it was seen.
    others: HashMap<IdHash, Vec<Arc<UnitKey>>>,
    is_incomplete: bool,
    announced: HashMap<IdHash, DocId>,
    told_gone: HashSet<IdHash>,
    forgotten: u64,
}

impl Claims {
    /// `limit`: documents remembered, at most.
    pub(crate) fn new(ids_stay: bool, limit: usize) -> Self {
        Self {
            ids_stay,
            limit,
            owners: HashMap::new(),
            others: HashMap::new(),
            is_incomplete: false,
            announced: HashMap::new(),
            told_gone: HashSet::new(),
            forgotten: 0,
        }
    }

    /// A unit emits a document: whether it is this unit's to write. A document that two units emit
    /// belongs to the first. Where ids name their scope nobody has to look; nor is everything
    /// remembered in a very large run: there the later one counts.
    pub(crate) fn claim(&mut self, unit: &Arc<UnitKey>, hash: IdHash) -> bool {
        if !self.ids_stay && !self.owners.contains_key(&hash) {
            if self.owners.len() >= self.limit {
                self.announced.remove(&hash);
                self.is_incomplete = true;
                return true;
            }
            self.owners.insert(hash, Arc::clone(unit));
        }
        self.alive(unit, hash);
        self.owners.get(&hash).is_none_or(|owner| owner == unit)
    }

    /// A unit says that a document exists. What was told gone before is not.
    pub(crate) fn alive(&mut self, unit: &Arc<UnitKey>, hash: IdHash) {
        self.announced.remove(&hash);
        if self.ids_stay || self.owners.get(&hash) == Some(unit) {
            return;
        }
        let has_room = self.others.len() < self.limit || self.others.contains_key(&hash);
        if !has_room {
            self.is_incomplete = true;
            return;
        }
        let others = self.others.entry(hash).or_default();
        if others.contains(unit) {
            return;
        }
        if others.len() < MOST_OTHERS {
            others.push(Arc::clone(unit));
        } else {
            self.is_incomplete = true;
        }
    }

    /// A unit says that a document is gone. That is void while another unit has it.
    pub(crate) fn gone(&mut self, unit: &Arc<UnitKey>, hash: IdHash, id: DocId) {
        if self.owners.get(&hash) == Some(unit) {
            self.owners.remove(&hash);
        }
        if let Some(others) = self.others.get_mut(&hash) {
            others.retain(|other| other != unit);
            if others.is_empty() {
                self.others.remove(&hash);
            }
        }
        if self.owners.contains_key(&hash) || self.others.contains_key(&hash) {
            return;
        }
        if self.announced.len() < MOST_ANNOUNCED || self.announced.contains_key(&hash) {
            self.announced.insert(hash, id);
        } else {
            self.forgotten += 1;
        }
    }

    /// What was claimed before an interruption is not known.
    pub(crate) fn set_incomplete(&mut self) {
        self.is_incomplete = true;
    }

    /// Whether some unit that has a document may not be known.
    pub(crate) fn is_incomplete(&self) -> bool {
        self.is_incomplete
    }

    /// Announced deletions that did not fit into memory.
    pub(crate) fn forgotten(&self) -> u64 {
        self.forgotten
    }

    /// The announced deletions that are not void, once; in the order of their ids, so that a run can be
    /// repeated exactly.
    pub(crate) fn take_announced(&mut self) -> Vec<DocId> {
        let announced = mem::take(&mut self.announced);
        self.told_gone.extend(announced.keys());
        let mut ids: Vec<_> = announced.into_values().collect();
        ids.sort_unstable();
        ids
    }

    /// Whether it was decided already what becomes of a document that was told gone.
    pub(crate) fn is_decided(&self, hash: IdHash) -> bool {
        self.told_gone.contains(&hash)
    }
}
