//! What a data source holds, and how that changes.

use crate::dice::Dice;
use std::collections::{BTreeMap, BTreeSet};
use tributary_sdk::{Listing, Promises, Scope};

/// What is special about a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Nothing.
    Plain,
    /// Sync rules keep it out.
    Hidden,
    /// The index refuses it.
    Refused,
    /// The index refuses one of its fields.
    BadField,
    /// Its text is too large to be written.
    TooLarge,
    /// The source cannot hand it over.
    Skipped,
}

/// One document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// The unit that has it.
    pub unit: usize,
    /// Another unit that lists it, too.
    pub also: Option<usize>,
    /// The part of the unit in which it is.
    pub part: Option<usize>,
    /// Rises with each change of anything.
    pub version: u64,
    /// What is special.
    pub kind: Kind,
    /// Who may read it: `None` everybody, 0 nobody knows, 1 nobody, otherwise this person.
    pub access: Option<usize>,
    /// Its file, and whether its version is known.
    pub file: Option<bool>,
}

/// The part in which a document is as long as it stays in its unit.
pub fn part_of(id: &str) -> Option<usize> {
    let sum: usize = id.bytes().map(usize::from).sum();
    (sum % 5 < 2).then_some(sum % 3)
}

/// All that happens to one document while a job runs: what it was, in order; `None`: not there.
pub type Life = Vec<Option<Item>>;

/// How a source is made.
#[derive(Clone, Copy, Debug)]
pub struct Nature {
    /// What its sessions promise.
    pub promises: Promises,
    /// Whether it can say that a document is gone.
    pub confirms: bool,
    /// Whether it can read single documents.
    pub rereads: bool,
    /// Whether odd units are children of those before them.
    pub has_children: bool,
    /// Whether walks note how far they are.
    pub has_checkpoints: bool,
    /// Documents in one page.
    pub page: usize,
    /// Whether walks tell what was deleted lately.
    pub has_feed: bool,
}

/// What the source holds.
#[derive(Clone, Debug)]
pub struct Content {
    /// How it is made.
    pub nature: Nature,
    /// The units it has.
    pub units: BTreeSet<usize>,
    /// The documents by id.
    pub items: BTreeMap<String, Item>,
    /// What was deleted lately from which unit.
    pub tombs: BTreeSet<(usize, String)>,
    /// Rises with each change.
    pub version: u64,
    /// What happened to documents since the job began.
    pub lives: BTreeMap<String, Life>,
}

impl Content {
    /// An empty source.
    pub fn new(nature: Nature, units: usize) -> Self {
        Self {
            nature,
            units: (0..units).collect(),
            items: BTreeMap::new(),
            tombs: BTreeSet::new(),
            version: 0,
            lives: BTreeMap::new(),
        }
    }

    /// The scope of a unit.
    pub fn scope(&self, unit: usize) -> Scope {
        match self.is_child(unit) {
            true => self.scope(unit - 1).child("unit", &unit.to_string()),
            false => Scope::root().child("unit", &unit.to_string()),
        }
    }

    /// Whether a unit is announced by the walk of the one before it.
    pub fn is_child(&self, unit: usize) -> bool {
        self.nature.has_children && unit % 2 == 1 && self.units.contains(&(unit - 1))
    }

    /// A job begins: from now on it is noted what happens to documents.
    pub fn begin_job(&mut self) {
        let items = self.items.iter();
        self.lives = items
            .map(|(id, item)| (id.clone(), vec![Some(item.clone())]))
            .collect();
    }

    /// What a document was since the job began.
    pub fn life(&self, id: &str) -> Life {
        self.lives.get(id).cloned().unwrap_or_else(|| vec![None])
    }

    /// Whether a document was there, and not kept out, all the time since the job began.
    pub fn always_there(&self, id: &str) -> bool {
        let life = self.life(id);
        life.iter()
            .all(|item| matches!(item, Some(item) if item.kind != Kind::Hidden))
    }

    fn set(&mut self, id: &str, item: Option<Item>) {
        self.version += 1;
        let version = self.version;
        let item = item.map(|item| Item { version, ..item });
        self.put(id, item);
    }

    fn put(&mut self, id: &str, item: Option<Item>) {
        let life = self
            .lives
            .entry(id.to_owned())
            .or_insert_with(|| vec![None]);
        life.push(item.clone());
        match item {
            Some(item) => {
                self.tombs.remove(&(item.unit, id.to_owned()));
                if let Some(old) = self.items.insert(id.to_owned(), item.clone())
                    && old.unit != item.unit
                {
                    self.tombs.insert((old.unit, id.to_owned()));
                }
            }
            None => {
                if let Some(old) = self.items.remove(id) {
                    self.tombs.insert((old.unit, id.to_owned()));
                }
            }
        }
    }

    /// Adds a new document.
    pub fn add(&mut self, dice: &mut Dice) {
        let units: Vec<_> = self.units.iter().copied().collect();
        let Some(unit) = dice.pick(&units).copied() else {
            return;
        };
        let number = dice.roll(4000);
        let id = match self.nature.promises.ids_stay {
            true => format!("{unit}/{number:04}"),
            false => format!("d{number:04}"),
        };
        if self.items.contains_key(&id) {
            return;
        }
        let item = self.random_item(&id, unit, dice);
        self.set(&id, Some(item));
    }

    fn random_item(&self, id: &str, unit: usize, dice: &mut Dice) -> Item {
        let kind = match dice.roll(30) {
            0 | 1 => Kind::Hidden,
            2 => Kind::Refused,
            3 => Kind::BadField,
            4 => Kind::TooLarge,
            5 => Kind::Skipped,
            _ => Kind::Plain,
        };
        let units: Vec<_> = self.units.iter().copied().collect();
        let stays = self.nature.promises.ids_stay;
        let also = (!stays && dice.percent(10)).then(|| dice.pick(&units).copied());
        let also = also.flatten().filter(|also| *also != unit);
        Item {
            unit,
            also,
            part: part_of(id).filter(|_| also.is_none()),
            version: 0,
            kind,
            access: (dice.percent(30)).then(|| dice.roll(4)),
            file: (dice.percent(20)).then(|| dice.percent(50)),
        }
    }

    /// Something changes. `is_walked`: while walks go on; then nothing happens that could make a source
    /// which cannot confirm miss a document.
    pub fn change(&mut self, dice: &mut Dice, is_walked: bool) {
        let may_miss = self.nature.confirms || self.nature.promises.listing == Listing::Snapshot;
        let is_careful = is_walked && !may_miss;
        let ids: Vec<_> = self.items.keys().cloned().collect();
        let Some(id) = dice.pick(&ids).cloned() else {
            return self.add(dice);
        };
        match dice.roll(10) {
            0..=2 => self.add(dice),
            3 | 4 if !is_careful => self.set(&id, None),
            5 if !is_careful && !self.nature.promises.ids_stay => {
                let units: Vec<_> = self.units.iter().copied().collect();
                if let (Some(unit), Some(item)) = (dice.pick(&units), self.items.get(&id)) {
                    let item = Item {
                        unit: *unit,
                        also: None,
                        part: None,
                        ..item.clone()
                    };
                    self.set(&id, Some(item));
                }
            }
            6 if !is_careful => {
                let unit = self.items.get(&id).map_or(0, |item| item.unit);
                let item = self.random_item(&id, unit, dice);
                self.set(&id, Some(item));
            }
            7 => {
                // Nothing but who may read it.
                if let Some(item) = self.items.get(&id) {
                    let access = Some(dice.roll(5));
                    let item = Item {
                        access,
                        ..item.clone()
                    };
                    self.put(&id, Some(item));
                }
            }
            _ => {
                if let Some(item) = self.items.get(&id).cloned() {
                    self.set(&id, Some(item));
                }
            }
        }
    }

    /// A whole unit goes, with all that is in it, or a new one comes.
    pub fn change_units(&mut self, dice: &mut Dice) {
        let units: Vec<_> = self.units.iter().copied().collect();
        let Some(unit) = dice.pick(&units).copied() else {
            return;
        };
        if dice.percent(50) && units.len() > 1 && !self.is_parent(unit) {
            let gone = self.items.iter();
            let gone = gone.filter(|(_, item)| item.unit == unit || item.also == Some(unit));
            let gone: Vec<_> = gone.map(|(id, _)| id.clone()).collect();
            for id in gone {
                self.set(&id, None);
            }
            self.units.remove(&unit);
            self.tombs.retain(|(tomb, _)| *tomb != unit);
        } else {
            let new = units.last().map_or(0, |last| last + 2);
            self.units.insert(new);
        }
    }

    fn is_parent(&self, unit: usize) -> bool {
        self.units.contains(&(unit + 1)) && self.is_child(unit + 1)
    }

    /// Nearly all documents go.
    pub fn lose_most(&mut self) {
        let ids: Vec<_> = self.items.keys().skip(5).cloned().collect();
        for id in ids {
            self.set(&id, None);
        }
        self.tombs.clear();
    }

    /// The documents that a unit lists, in order.
    pub fn listed(&self, unit: usize) -> impl Iterator<Item = (&String, &Item)> {
        let items = self.items.iter();
        items.filter(move |(_, item)| item.unit == unit || item.also == Some(unit))
    }
}
