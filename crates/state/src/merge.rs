//! The last walk of a unit beside the one that is going on.
//!
//! Walks of a unit mostly meet the same documents in the same order. So the old manifest is read beside
//! the new walk, and only a window of it is in memory: rows a little behind and a little ahead of where
//! the walk is. A row that leaves the window unmet is handed out as missing. A document that moved
//! farther than the window reaches is both missing and unknown; whoever uses this brings the two
//! together (it is sent once more, and not deleted).

use crate::{Fate, ManifestReader, Position, Result, Row};
use serde::{Deserialize, Serialize};
use std::{
    collections::{HashMap, VecDeque},
    mem,
};
use tributary_sdk::DocId;

/// What the last walk knew of a document that this one meets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listed {
    /// It had it.
    Known(Row),
    /// It had it, and this walk met it before.
    Again,
    /// It did not have it, or somewhere else.
    Unknown,
}

/// Where in the old manifest the window begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spot {
    /// The beginning of a block.
    pub position: Position,
    /// Rows of it that have left the window.
    pub passed: u64,
}

/// Old rows as a new walk meets them. Rows of documents that were kept out by rules are none.
pub struct Merge {
    reader: Option<ManifestReader>,
    window: VecDeque<Place>,
    /// The number of the first place of the window: places are numbered as they are read.
    first: u64,
    /// From id to the number of its place.
    places: HashMap<DocId, u64>,
    end: Spot,
    /// Where the blocks of the window begin in the file, and the number of their first place.
    blocks: VecDeque<(u64, Position)>,
    most: usize,
    missing: Vec<Row>,
}

struct Place {
    row: Row,
    is_met: bool,
}

impl Merge {
    /// `most`: rows in memory (at least 4), beside one block of the file.
    pub fn new(reader: ManifestReader, most: usize) -> Self {
        Self {
            reader: Some(reader),
            window: VecDeque::new(),
            first: 0,
            places: HashMap::new(),
            end: Spot::default(),
            blocks: VecDeque::new(),
            most: most.max(4),
            missing: Vec::new(),
        }
    }

    /// Goes on where another one was; `reader` was opened at the position of the spot. Rows that had been
    /// met and were still in the window count as unmet again.
    ///
    /// # Errors
    /// As [`ManifestReader::next`].
    pub async fn resume(reader: ManifestReader, spot: Spot, most: usize) -> Result<Self> {
        let mut merge = Self::new(reader, most);
        if spot.passed > 0 {
            merge.read().await?;
            for _ in 0..spot.passed {
                merge.drop_first();
            }
            merge.missing.clear();
        }
        Ok(merge)
    }

    /// Where the window begins now.
    pub fn spot(&self) -> Spot {
        match (self.blocks.front(), &self.reader) {
            (Some((number, position)), _) => Spot {
                position: *position,
                passed: self.first - number,
            },
            (None, Some(reader)) => Spot {
                position: reader.position(),
                passed: 0,
            },
            // All was read and has left the window.
            (None, None) => self.end,
        }
    }

    /// The walk meets a document.
    ///
    /// # Errors
    /// As [`ManifestReader::next`]: then nothing of this manifest counts.
    pub async fn meet(&mut self, id: &DocId) -> Result<Listed> {
        if !self.places.contains_key(id) {
            self.fill().await?;
        }
        let Some(&number) = self.places.get(id) else {
            return Ok(Listed::Unknown);
        };
        let at = usize::try_from(number - self.first).unwrap_or(usize::MAX);
        let Some(place) = self.window.get_mut(at) else {
            return Ok(Listed::Unknown);
        };
        let listed = match mem::replace(&mut place.is_met, true) {
            true => Listed::Again,
            false => Listed::Known(place.row.clone()),
        };
        // Half of the window stays behind the walk.
        for _ in 0..at.saturating_sub(self.most / 2) {
            self.drop_first();
        }
        Ok(listed)
    }

    /// Rows that left the window unmet, once each.
    pub fn take_missing(&mut self) -> Vec<Row> {
        mem::take(&mut self.missing)
    }

    /// The walk is over: the next rows that it did not meet; `None` after the last.
    ///
    /// # Errors
    /// As [`ManifestReader::next`].
    pub async fn next_missing(&mut self) -> Result<Option<Vec<Row>>> {
        loop {
            while !self.window.is_empty() {
                self.drop_first();
            }
            if !self.missing.is_empty() {
                return Ok(Some(self.take_missing()));
            }
            if !self.read().await? {
                return Ok(None);
            }
        }
    }

    async fn fill(&mut self) -> Result<()> {
        while self.window.len() < self.most && self.read().await? {}
        Ok(())
    }

    /// Takes in one block; whether there was one.
    async fn read(&mut self) -> Result<bool> {
        let Some(reader) = &mut self.reader else {
            return Ok(false);
        };
        let position = reader.position();
        let Some(rows) = reader.next().await? else {
            self.end.position = position;
            self.reader = None;
            return Ok(false);
        };
        self.blocks
            .push_back((self.first + self.window.len() as u64, position));
        for row in rows {
            let number = self.first + self.window.len() as u64;
            let is_met = row.fate == Fate::Filtered;
            if !is_met {
                self.places.insert(row.id.clone(), number);
            }
            self.window.push_back(Place { row, is_met });
        }
        Ok(true)
    }

    fn drop_first(&mut self) {
        let Some(Place { row, is_met }) = self.window.pop_front() else {
            return;
        };
        // A later row of the same id, if there is one, keeps its place.
        if self.places.get(&row.id) == Some(&self.first) {
            self.places.remove(&row.id);
        }
        self.first += 1;
        while self
            .blocks
            .get(1)
            .is_some_and(|(number, _)| *number <= self.first)
        {
            self.blocks.pop_front();
        }
        if !is_met {
            self.missing.push(row);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ManifestWriter, MemoryFolder, Version};
    use proptest::prelude::*;
    use std::{collections::BTreeSet, sync::Arc};

    fn row(id: &str) -> Row {
        Row {
            id: id.into(),
            fate: Fate::Indexed,
            fingerprint: id.len() as u64,
            version: Some(Version::default()),
            home: None,
            missed: false,
        }
    }

    async fn merge(ids: &[String], most: usize) -> Merge {
        let folder = Arc::new(MemoryFolder::default());
        let mut writer = ManifestWriter::create(folder.clone(), "m").await.unwrap();
        for id in ids {
            writer.push(&row(id)).await.unwrap();
            // Blocks of one row, so that a small window is one.
            writer.sync().await.unwrap();
        }
        writer.seal().await.unwrap();
        let reader = ManifestReader::open(folder, "m").await.unwrap();
        Merge::new(reader, most)
    }

    async fn rest(merge: &mut Merge) -> Vec<String> {
        let mut missing = merge.take_missing();
        while let Some(rows) = merge.next_missing().await.unwrap() {
            missing.extend(rows);
        }
        missing.iter().map(|row| row.id.to_string()).collect()
    }

    fn names(range: std::ops::Range<u32>) -> Vec<String> {
        range.map(|n| format!("{n:05}")).collect()
    }

    #[tokio::test]
    async fn the_same_walk_knows_every_document_in_little_memory() {
        let ids = names(0..2_000);
        let mut merge = merge(&ids, 16).await;
        for id in &ids {
            let listed = merge.meet(&id.as_str().into()).await.unwrap();
            assert_eq!(listed, Listed::Known(row(id)));
            assert!(merge.window.len() <= 17 && merge.places.len() <= 17);
        }
        assert!(rest(&mut merge).await.is_empty());
    }

    #[tokio::test]
    async fn what_went_and_what_came_are_told_apart() {
        let mut merge = merge(&names(0..100), 16).await;
        for id in names(0..120) {
            let expected = match id.as_str() {
                "00007" | "00050" => continue,
                id if id >= "00100" => Listed::Unknown,
                id => Listed::Known(row(id)),
            };
            assert_eq!(merge.meet(&id.as_str().into()).await.unwrap(), expected);
        }
        let again = merge.meet(&"00099".into()).await.unwrap();
        assert_eq!(again, Listed::Again);
        assert_eq!(rest(&mut merge).await, ["00007", "00050"]);
    }

    #[tokio::test]
    async fn a_damaged_manifest_is_an_error_and_no_missing_rows() {
        let folder = Arc::new(MemoryFolder::default());
        let mut writer = ManifestWriter::create(folder.clone(), "m").await.unwrap();
        for id in names(0..10) {
            writer.push(&row(&id)).await.unwrap();
        }
        writer.seal().await.unwrap();
        folder.alter("m", |bytes| bytes.truncate(bytes.len() - 1));
        let reader = ManifestReader::open(folder, "m").await.unwrap();
        let mut merge = Merge::new(reader, 100);
        assert!(merge.meet(&"00001".into()).await.is_err());
    }

    proptest! {
        /// A walk that goes on after an interruption knows what is ahead, and loses no row that is missing.
        #[test]
        fn a_resumed_merge_loses_no_row(
            count in 1..60_u32,
            skipped in prop::collection::btree_set(0..60_u32, 0..10),
            at in 0..60_u32,
            most in 2..20_usize,
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            runtime.block_on(async {
                let folder = Arc::new(MemoryFolder::default());
                let mut writer = ManifestWriter::create(folder.clone(), "m").await.unwrap();
                let ids = names(0..count);
                for id in &ids {
                    writer.push(&row(id)).await.unwrap();
                    if id.ends_with(['3', '7']) {
                        writer.sync().await.unwrap();
                    }
                }
                writer.seal().await.unwrap();
                let reader = ManifestReader::open(folder.clone(), "m").await.unwrap();
                let mut merge = Merge::new(reader, most);
                let mut missing = BTreeSet::new();
                let is_listed = |n: &u32| !skipped.contains(n);
                for n in (0..count.min(at)).filter(is_listed) {
                    merge.meet(&ids[n as usize].as_str().into()).await.unwrap();
                    missing.extend(merge.take_missing().iter().map(|row| row.id.to_string()));
                }
                let spot = merge.spot();
                let reader = ManifestReader::open_at(folder, "m", spot.position).await.unwrap();
                let mut merge = Merge::resume(reader, spot, most).await.unwrap();
                for n in (at..count).filter(is_listed) {
                    let id = &ids[n as usize];
                    let listed = merge.meet(&id.as_str().into()).await.unwrap();
                    assert_eq!(listed, Listed::Known(row(id)));
                }
                missing.extend(rest(&mut merge).await);
                for n in (0..count).filter(|n| !is_listed(n)) {
                    assert!(missing.contains(&ids[n as usize]), "{n}");
                }
            });
        }

        /// Whatever the order: each old row is either met or missing, never both, and nothing else is known.
        #[test]
        fn every_old_row_is_met_or_missing(
            old in prop::collection::btree_set(0..60_u32, 0..40),
            walk in prop::collection::vec(0..60_u32, 0..60),
            most in 2..20_usize,
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            runtime.block_on(async {
                let name = |n: &u32| format!("{n:05}");
                let old: Vec<String> = old.iter().map(name).collect();
                let mut merge = merge(&old, most).await;
                let mut met = BTreeSet::new();
                for id in walk.iter().map(name) {
                    if let Listed::Known(row) = merge.meet(&id.as_str().into()).await.unwrap() {
                        assert_eq!(row.id.as_str(), id);
                        assert!(met.insert(id));
                    }
                }
                let missing: Vec<String> = rest(&mut merge).await;
                let all: BTreeSet<_> = met.iter().chain(&missing).cloned().collect();
                assert_eq!(all.len(), met.len() + missing.len());
                assert_eq!(all, old.into_iter().collect());
            });
        }
    }
}
