//! The last walk of a unit beside the one that is going on.
//!
//! Walks of a unit mostly meet the same documents in the same order. So the old manifest is read beside
//! the new walk, and only a window of it is in memory: rows a little behind and a little ahead of where
//! the walk is. A row that leaves the window unmet goes to a file of missing rows. A document that moved
//! farther than the window reaches is both missing and unknown; whoever uses this brings the two
//! together (it is sent once more, and not deleted).
//!
//! When several documents in a row are unknown, either many are new, or many of the old ones are gone and
//! the walk is beyond the window. So the old manifest is searched ahead for them, ever more seldom, and
//! the window follows if they are found.

use crate::{Fate, Folder, ManifestReader, ManifestWriter, Position, Result, Row};
use serde::{Deserialize, Serialize};
use std::{
    collections::{HashMap, VecDeque},
    mem,
    sync::Arc,
};
use tributary_sdk::DocId;

/// So many unknown documents in a row are searched for.
const STRANGE: usize = 16;

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

/// How far a merge is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spot {
    /// The beginning of the block of the old manifest in which the window begins.
    pub position: Position,
    /// Rows of it that have left the window.
    pub passed: u64,
    /// The file of missing rows, if there is one.
    pub missing: Option<Position>,
}

/// Old rows as a new walk meets them. Rows of documents that were kept out by rules are none.
pub struct Merge {
    folder: Arc<dyn Folder>,
    old: String,
    reader: Option<ManifestReader>,
    window: VecDeque<Place>,
    /// The number of the first place of the window: places are numbered as they are read.
    first: u64,
    /// From id to the number of its place.
    places: HashMap<DocId, u64>,
    /// Where the blocks of the window begin in the file, and the number of their first place.
    blocks: VecDeque<(u64, Position)>,
    most: usize,
    missing_name: String,
    missing: Option<ManifestWriter>,
    /// The last documents, if they were unknown.
    strange: VecDeque<DocId>,
    strange_count: usize,
    search_at: usize,
}

struct Place {
    row: Row,
    is_met: bool,
}

impl Merge {
    /// Begins with the manifest `old`. `missing`: the name of the file of missing rows. `most`: rows in
    /// memory (at least 32), beside one block of the file.
    ///
    /// # Errors
    /// As [`ManifestReader::open`].
    pub async fn new(
        folder: Arc<dyn Folder>,
        old: &str,
        missing: &str,
        most: usize,
    ) -> Result<Self> {
        let reader = ManifestReader::open(Arc::clone(&folder), old).await?;
        Ok(Self {
            folder,
            old: old.to_owned(),
            reader: Some(reader),
            window: VecDeque::new(),
            first: 0,
            places: HashMap::new(),
            blocks: VecDeque::new(),
            most: most.max(2 * STRANGE),
            missing_name: missing.to_owned(),
            missing: None,
            strange: VecDeque::new(),
            strange_count: 0,
            search_at: STRANGE,
        })
    }

    /// Goes on where another one was. Rows that had been met and were still in the window count as
    /// unmet again.
    ///
    /// # Errors
    /// As [`ManifestReader::next`] and [`ManifestWriter::resume`].
    pub async fn resume(
        folder: Arc<dyn Folder>,
        old: &str,
        missing: &str,
        spot: Spot,
        most: usize,
    ) -> Result<Self> {
        let mut merge = Self::new(Arc::clone(&folder), old, missing, most).await?;
        let reader = ManifestReader::open_at(Arc::clone(&folder), old, spot.position).await?;
        merge.reader = Some(reader);
        if spot.passed > 0 {
            merge.read().await?;
            for _ in 0..spot.passed {
                merge.pop_first();
            }
        }
        if let Some(position) = spot.missing {
            merge.missing = Some(ManifestWriter::resume(folder, missing, position).await?);
        }
        Ok(merge)
    }

    /// How far it is. The missing rows are safe after the next [`Merge::sync`].
    pub fn spot(&mut self) -> Spot {
        let missing = self.missing.as_mut().map(ManifestWriter::mark);
        match (self.blocks.front(), &self.reader) {
            (Some((number, position)), _) => Spot {
                position: *position,
                passed: self.first - number,
                missing,
            },
            (None, reader) => Spot {
                position: reader
                    .as_ref()
                    .map(ManifestReader::position)
                    .unwrap_or_default(),
                passed: 0,
                missing,
            },
        }
    }

    /// Makes the missing rows so far safe from a crash.
    ///
    /// # Errors
    /// The disk.
    pub async fn sync(&mut self) -> Result<()> {
        if let Some(missing) = &mut self.missing {
            missing.sync().await?;
        }
        Ok(())
    }

    /// The walk meets a document.
    ///
    /// # Errors
    /// As [`ManifestReader::next`]: then nothing of this manifest counts. Or the disk.
    pub async fn meet(&mut self, id: &DocId) -> Result<Listed> {
        if !self.places.contains_key(id) {
            self.fill().await?;
        }
        if !self.places.contains_key(id) && self.is_strange(id) {
            self.search().await?;
        }
        let Some(&number) = self.places.get(id) else {
            return Ok(Listed::Unknown);
        };
        self.strange.clear();
        self.strange_count = 0;
        self.search_at = STRANGE;
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
            self.drop_first().await?;
        }
        Ok(listed)
    }

    /// The walk is over: what it did not meet is missing as well. Returns how much the file of missing
    /// rows has, sealed and safe; `None` if nothing is missing.
    ///
    /// # Errors
    /// As [`Merge::meet`].
    pub async fn finish(mut self) -> Result<Option<Position>> {
        loop {
            while !self.window.is_empty() {
                self.drop_first().await?;
            }
            if !self.read().await? {
                break;
            }
        }
        match self.missing {
            None => Ok(None),
            Some(mut missing) => missing.sync().await.map(Some),
        }
    }

    /// Notes an unknown document; whether it is time to search for the last ones.
    fn is_strange(&mut self, id: &DocId) -> bool {
        if self.strange.len() == STRANGE {
            self.strange.pop_front();
        }
        self.strange.push_back(id.clone());
        self.strange_count += 1;
        self.strange_count >= self.search_at
    }

    /// Looks for the last documents in what was not read yet.
    async fn search(&mut self) -> Result<()> {
        self.search_at = self.strange_count.saturating_mul(2);
        let Some(reader) = &self.reader else {
            return Ok(());
        };
        let from = reader.position();
        let folder = Arc::clone(&self.folder);
        let mut ahead = ManifestReader::open_at(folder, &self.old, from).await?;
        let found = loop {
            let position = ahead.position();
            let Some(rows) = ahead.next().await? else {
                return Ok(());
            };
            if rows.iter().any(|row| self.strange.contains(&row.id)) {
                break position;
            }
        };
        while let Some(reader) = &self.reader {
            let is_there = reader.position().length > found.length;
            if is_there {
                break;
            }
            while !self.window.is_empty() {
                self.drop_first().await?;
            }
            self.read().await?;
        }
        self.fill().await
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
            self.reader = None;
            return Ok(false);
        };
        let mut number = self.first + self.window.len() as u64;
        self.blocks.push_back((number, position));
        for row in rows {
            if row.fate == Fate::Filtered {
                continue;
            }
            self.places.insert(row.id.clone(), number);
            let is_met = false;
            self.window.push_back(Place { row, is_met });
            number += 1;
        }
        Ok(true)
    }

    async fn drop_first(&mut self) -> Result<()> {
        let Some(row) = self.pop_first() else {
            return Ok(());
        };
        if self.missing.is_none() {
            let folder = Arc::clone(&self.folder);
            let missing = ManifestWriter::create(folder, &self.missing_name).await?;
            self.missing = Some(missing);
        }
        match &mut self.missing {
            Some(missing) => missing.push(&row).await,
            None => Ok(()),
        }
    }

    /// The first place leaves the window. Its row, if it was not met.
    fn pop_first(&mut self) -> Option<Row> {
        let Place { row, is_met } = self.window.pop_front()?;
        // A later row of the same id, if there is one, keeps its place.
        if self.places.get(&row.id) == Some(&self.first) {
            self.places.remove(&row.id);
        }
        self.first += 1;
        let next = |blocks: &VecDeque<(u64, Position)>| blocks.get(1).map(|(number, _)| *number);
        while next(&self.blocks).is_some_and(|number| number <= self.first) {
            self.blocks.pop_front();
        }
        (!is_met).then_some(row)
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

    async fn merge(ids: &[String], most: usize) -> (Arc<MemoryFolder>, Merge) {
        let folder = Arc::new(MemoryFolder::default());
        let mut writer = ManifestWriter::create(folder.clone(), "m").await.unwrap();
        for id in ids {
            writer.push(&row(id)).await.unwrap();
            // Blocks of one row, so that a small window is one.
            writer.sync().await.unwrap();
        }
        writer.seal().await.unwrap();
        let merge = Merge::new(folder.clone(), "m", "missing", most).await;
        (folder, merge.unwrap())
    }

    async fn missing(folder: Arc<MemoryFolder>, merge: Merge) -> Vec<String> {
        let Some(position) = merge.finish().await.unwrap() else {
            return Vec::new();
        };
        let reader = ManifestReader::open_part(folder, "missing", position).await;
        let (mut reader, mut ids) = (reader.unwrap(), Vec::new());
        while let Some(rows) = reader.next().await.unwrap() {
            ids.extend(rows.iter().map(|row| row.id.to_string()));
        }
        ids
    }

    fn names(range: std::ops::Range<u32>) -> Vec<String> {
        range.map(|n| format!("{n:05}")).collect()
    }

    #[tokio::test]
    async fn the_same_walk_knows_every_document_in_little_memory() {
        let ids = names(0..2_000);
        let (folder, mut merge) = merge(&ids, 16).await;
        for id in &ids {
            let listed = merge.meet(&id.as_str().into()).await.unwrap();
            assert_eq!(listed, Listed::Known(row(id)));
            assert!(merge.window.len() <= 33 && merge.places.len() <= 33);
        }
        assert!(missing(folder, merge).await.is_empty());
    }

    #[tokio::test]
    async fn what_went_and_what_came_are_told_apart() {
        let (folder, mut merge) = merge(&names(0..100), 16).await;
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
        assert_eq!(missing(folder, merge).await, ["00007", "00050"]);
    }

    #[tokio::test]
    async fn the_window_follows_a_walk_that_leaps() {
        let (folder, mut merge) = merge(&names(0..3_000), 16).await;
        let mut unknown = 0;
        for id in names(0..100).into_iter().chain(names(2_000..3_000)) {
            let listed = merge.meet(&id.as_str().into()).await.unwrap();
            unknown += usize::from(listed == Listed::Unknown);
        }
        assert_eq!(unknown, STRANGE - 1);
        // Those that were met before the window followed are brought together by the caller.
        let missing = missing(folder, merge).await;
        assert_eq!(missing, names(100..2_000 + STRANGE as u32 - 1));
    }

    #[tokio::test]
    async fn the_window_stays_while_there_is_much_that_is_new() {
        let (folder, mut merge) = merge(&names(0..100), 16).await;
        for id in names(0..50).into_iter().chain(names(5_000..6_000)) {
            merge.meet(&id.as_str().into()).await.unwrap();
        }
        for id in names(50..100) {
            let listed = merge.meet(&id.as_str().into()).await.unwrap();
            assert_eq!(listed, Listed::Known(row(&id)));
        }
        assert!(missing(folder, merge).await.is_empty());
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
        let mut merge = Merge::new(folder, "m", "missing", 100).await.unwrap();
        assert!(merge.meet(&"00001".into()).await.is_err());
    }

    proptest! {
        /// A walk that goes on after an interruption knows what is ahead, and loses no row that is missing.
        #[test]
        fn a_resumed_merge_loses_no_row(
            count in 1..60_u32,
            skipped in prop::collection::btree_set(0..60_u32, 0..10),
            at in 0..60_u32,
            most in 32..40_usize,
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
                let merge = Merge::new(folder.clone(), "m", "missing", most).await;
                let mut merge = merge.unwrap();
                let is_listed = |n: &u32| !skipped.contains(n);
                for n in (0..count.min(at)).filter(is_listed) {
                    merge.meet(&ids[n as usize].as_str().into()).await.unwrap();
                }
                let spot = merge.spot();
                merge.sync().await.unwrap();
                let merge = Merge::resume(folder.clone(), "m", "missing", spot, most).await;
                let mut merge = merge.unwrap();
                for n in (at..count).filter(is_listed) {
                    let id = &ids[n as usize];
                    let listed = merge.meet(&id.as_str().into()).await.unwrap();
                    let expected = Listed::Known(row(id));
                    assert_eq!(listed, expected);
                }
                let missing = missing(folder, merge).await;
                for n in (0..count).filter(|n| !is_listed(n)) {
                    assert!(missing.contains(&ids[n as usize]), "{n}");
                }
            });
        }

        /// Whatever the order: each old row is either met or missing, never both, and nothing else is known.
        #[test]
        fn every_old_row_is_met_or_missing(
            old in prop::collection::btree_set(0..200_u32, 0..150),
            walk in prop::collection::vec(0..200_u32, 0..150),
            most in 32..40_usize,
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            runtime.block_on(async {
                let name = |n: &u32| format!("{n:05}");
                let old: Vec<String> = old.iter().map(name).collect();
                let (folder, mut merge) = merge(&old, most).await;
                let mut met = BTreeSet::new();
                for id in walk.iter().map(name) {
                    if let Listed::Known(row) = merge.meet(&id.as_str().into()).await.unwrap() {
                        assert_eq!(row.id.as_str(), id);
                        assert!(met.insert(id));
                    }
                }
                let missing = missing(folder, merge).await;
                let all: BTreeSet<_> = met.iter().chain(&missing).cloned().collect();
                assert_eq!(all.len(), met.len() + missing.len());
                assert_eq!(all, old.into_iter().collect());
            });
        }
    }
}
