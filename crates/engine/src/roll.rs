//! Roll call: which documents this run met, and what became of each. Memory is bounded; what does not
//! fit is kept in scratch files, cut into partitions by hash, of which one is in memory at a time.

use crate::clock::Files;
use siphasher::sip128::{Hasher128, SipHasher13};
use std::{hash::Hasher, io, sync::Arc};
use tributary_sdk::DocId;
use tributary_state::Fate;

/// Partitions of the scratch files: 100 million ids make 25 MiB in memory at a time.
const PARTITIONS: usize = 64;
/// Bytes of one row in a scratch file.
const ROW: usize = 16;
/// Rows read at once.
const PAGE_ROWS: usize = 64 * 1024;

/// Stands for an id. 119 bits of a keyed hash: among 100 million ids, two with the same have a
/// chance of one in 10^19.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct IdHash(u128);

/// One bit for each fate, and one for documents that the index is known to have.
const MARKS: u128 = 0x1ff;
const HELD: u128 = 1 << 8;

fn mark(fate: Fate) -> u128 {
    1 << fate as u32
}

/// Makes hashes; keyed anew in each run, so that nobody can choose ids that collide.
#[derive(Clone, Copy, Debug)]
pub(crate) struct IdHasher(SipHasher13);

impl IdHasher {
    pub(crate) fn new(key: u128) -> Self {
        Self(SipHasher13::new_with_key(&key.to_le_bytes()))
    }

    pub(crate) fn hash(&self, id: &DocId) -> IdHash {
        let mut hasher = self.0;
        hasher.write(id.as_str().as_bytes());
        IdHash(hasher.finish128().as_u128() & !MARKS)
    }
}

impl IdHash {
    fn partition(self) -> usize {
        self.part(PARTITIONS)
    }

    /// One of so many parts, a power of two above 1. In the order of hashes, so that sorted ones lie part
    /// by part.
    pub(crate) fn part(self, parts: usize) -> usize {
        (self.0 >> (u128::BITS - parts.trailing_zeros())) as usize
    }

    pub(crate) fn to_bytes(self) -> [u8; 16] {
        self.0.to_le_bytes()
    }

    pub(crate) fn from_number(number: u128) -> Self {
        Self(number)
    }
}

/// The roll of one run.
pub(crate) struct Roll {
    files: Arc<dyn Files>,
    limit: usize,
    recent: Vec<u128>,
    is_spilled: bool,
}

/// Whether a run met a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    Unmet,
    /// Only such that rules keep it out.
    Filtered,
    Met,
}

/// Distinct documents by fate. Of several fates, the first of [`Fate`] counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Count {
    /// All.
    pub(crate) all: u64,
    /// Written at least once.
    pub(crate) indexed: u64,
    /// Never written, and refused at least once.
    pub(crate) failed: u64,
    /// Only ever too large.
    pub(crate) too_large: u64,
    /// Skipped, and never sent.
    pub(crate) skipped: u64,
    /// As they were, and nothing of the above.
    pub(crate) unchanged: u64,
    /// Kept out by rules each time.
    pub(crate) filtered: u64,
    /// Those that the index is known to have.
    pub(crate) held: u64,
}

impl Roll {
    /// `limit`: ids in memory.
    pub(crate) fn new(files: Arc<dyn Files>, limit: usize) -> Self {
        Self {
            files,
            limit: limit.max(1),
            recent: Vec::new(),
            is_spilled: false,
        }
    }

    /// An empty roll over the same files.
    pub(crate) fn fresh(&self) -> Self {
        Self::new(Arc::clone(&self.files), self.limit)
    }

    /// Whether part of it is in scratch files.
    pub(crate) fn is_spilled(&self) -> bool {
        self.is_spilled
    }

    /// Notes a document; `held`: the index is known to have it. When the answer is true, [`Roll::spill`]
    /// is due.
    pub(crate) fn note(&mut self, id: IdHash, fate: Fate, held: bool) -> bool {
        self.recent
            .push(id.0 | mark(fate) | if held { HELD } else { 0 });
        self.recent.len() >= self.limit
    }

    /// Moves what is in memory to the scratch files, one partition after the other.
    pub(crate) async fn spill(&mut self) -> io::Result<()> {
        self.recent.sort_unstable();
        let partition = |row: &u128| IdHash(*row).partition();
        for rows in self
            .recent
            .chunk_by(|one, next| partition(one) == partition(next))
        {
            let name = roll_name(rows.first().map_or(0, partition));
            let bytes = rows.iter().flat_map(|row| row.to_le_bytes()).collect();
            self.files.append(&name, bytes).await?;
        }
        self.recent.clear();
        self.is_spilled = true;
        Ok(())
    }

    /// Forgets all, also in the scratch files.
    pub(crate) async fn discard(&mut self) -> io::Result<()> {
        self.recent.clear();
        if self.is_spilled {
            for partition in 0..PARTITIONS {
                self.files.remove(&roll_name(partition)).await?;
            }
        }
        self.is_spilled = false;
        Ok(())
    }

    /// Ends the roll.
    pub(crate) async fn close(mut self) -> io::Result<ClosedRoll> {
        if self.is_spilled {
            self.spill().await?;
            self.recent = Vec::new();
        }
        Ok(ClosedRoll {
            memory: (!self.is_spilled).then(|| Partition::new(self.recent)),
            files: self.files,
        })
    }
}

fn roll_name(partition: usize) -> String {
    format!("roll-{partition:02}")
}

/// A roll to which nothing is added any more.
pub(crate) struct ClosedRoll {
    memory: Option<Partition>,
    files: Arc<dyn Files>,
}

impl ClosedRoll {
    /// The number of parts that have to be looked at one after the other.
    pub(crate) fn partitions(&self) -> usize {
        if self.memory.is_some() { 1 } else { PARTITIONS }
    }

    /// The part in which an id would be.
    pub(crate) fn partition_of(&self, id: IdHash) -> usize {
        if self.memory.is_some() {
            0
        } else {
            id.partition()
        }
    }

    /// If all of it is in memory: whether the run met this document.
    pub(crate) fn in_memory(&self) -> Option<&Partition> {
        self.memory.as_ref()
    }

    /// Reads one part.
    pub(crate) async fn load(&self, partition: usize) -> io::Result<Partition> {
        let name = roll_name(partition);
        let mut rows = Vec::new();
        let mut offset = 0;
        loop {
            let bytes = self.files.read(&name, offset, PAGE_ROWS * ROW).await?;
            for row in bytes.chunks_exact(ROW) {
                let mut text = [0; ROW];
                text.copy_from_slice(row);
                rows.push(u128::from_le_bytes(text));
            }
            if bytes.len() < PAGE_ROWS * ROW {
                return match bytes.len() % ROW {
                    0 => Ok(Partition::new(rows)),
                    _ => Err(io::Error::new(
                        io::ErrorKind::UnexpectedEof,
                        "a scratch file was cut short",
                    )),
                };
            }
            offset += bytes.len() as u64;
        }
    }

    /// Counts distinct documents.
    pub(crate) async fn count(&self) -> io::Result<Count> {
        if let Some(memory) = &self.memory {
            return Ok(memory.count());
        }
        let mut total = Count::default();
        for partition in 0..PARTITIONS {
            let count = self.load(partition).await?.count();
            total.all += count.all;
            total.indexed += count.indexed;
            total.failed += count.failed;
            total.too_large += count.too_large;
            total.skipped += count.skipped;
            total.unchanged += count.unchanged;
            total.filtered += count.filtered;
            total.held += count.held;
        }
        Ok(total)
    }
}

/// A part of a roll, sorted, each id once.
pub(crate) struct Partition(Vec<u128>);

impl Partition {
    fn new(mut rows: Vec<u128>) -> Self {
        rows.sort_unstable();
        rows.dedup_by(|next, kept| {
            let is_same = *next & !MARKS == *kept & !MARKS;
            if is_same {
                *kept |= *next & MARKS;
            }
            is_same
        });
        Self(rows)
    }

    /// Whether the run met this document.
    pub(crate) fn standing(&self, id: IdHash) -> Standing {
        let place = self.0.binary_search_by(|row| (row & !MARKS).cmp(&id.0));
        match place.map(|place| self.0[place] & MARKS & !HELD) {
            Err(_) => Standing::Unmet,
            Ok(marks) if marks == mark(Fate::Filtered) => Standing::Filtered,
            Ok(_) => Standing::Met,
        }
    }

    fn count(&self) -> Count {
        let mut count = Count::default();
        for row in &self.0 {
            let has = |fate: Fate| row & mark(fate) != 0;
            count.all += 1;
            count.held += u64::from(row & HELD != 0);
            if has(Fate::Indexed) {
                count.indexed += 1;
            } else if has(Fate::Failed) {
                count.failed += 1;
            } else if has(Fate::TooLarge) {
                count.too_large += 1;
            } else if has(Fate::Skipped) {
                count.skipped += 1;
            } else if has(Fate::Unchanged) {
                count.unchanged += 1;
            } else if !has(Fate::Seen) {
                count.filtered += 1;
            }
        }
        count
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::MemoryFiles;

    async fn roll_of(limit: usize, notes: &[(&str, Fate)]) -> (ClosedRoll, IdHasher) {
        let hasher = IdHasher::new(7);
        let mut roll = Roll::new(Arc::new(MemoryFiles::default()), limit);
        for (id, fate) in notes {
            if roll.note(hasher.hash(&(*id).into()), *fate, *id == "a") {
                roll.spill().await.unwrap();
            }
        }
        (roll.close().await.unwrap(), hasher)
    }

    #[test]
    fn parts_lie_in_the_order_of_hashes() {
        let hasher = IdHasher::new(7);
        let ids = (0..1000).map(|n| hasher.hash(&n.to_string().into()));
        let mut hashes: Vec<_> = ids.collect();
        hashes.sort_unstable();
        for parts in [64, 256] {
            assert!(hashes.is_sorted_by_key(|hash| hash.part(parts)));
            assert_eq!(hashes[999].part(parts), parts - 1);
            assert_eq!(hashes[0].part(parts), 0);
        }
    }

    #[tokio::test]
    async fn counts_distinct_documents_in_memory_and_on_disk() {
        let notes = [
            ("a", Fate::Indexed),
            ("b", Fate::Failed),
            ("a", Fate::Failed),
            ("c", Fate::Seen),
            ("b", Fate::Indexed),
            ("d", Fate::Failed),
            ("c", Fate::Seen),
            ("e", Fate::Filtered),
            ("f", Fate::Filtered),
            ("f", Fate::Skipped),
            ("g", Fate::Skipped),
            ("g", Fate::TooLarge),
            ("h", Fate::Seen),
            ("h", Fate::Unchanged),
        ];
        for limit in [1, 2, 3, 100] {
            let (roll, hasher) = roll_of(limit, &notes).await;
            let count = roll.count().await.unwrap();
            assert_eq!((count.all, count.indexed, count.failed), (8, 2, 1));
            assert_eq!((count.unchanged, count.held), (1, 1));
            assert_eq!((count.too_large, count.skipped, count.filtered), (1, 1, 1));
            for (id, expected) in [
                ("a", Standing::Met),
                ("c", Standing::Met),
                ("e", Standing::Filtered),
                ("f", Standing::Met),
                ("x", Standing::Unmet),
            ] {
                let hash = hasher.hash(&id.into());
                let found = match roll.in_memory() {
                    Some(partition) => partition.standing(hash),
                    None => {
                        let part = roll.load(roll.partition_of(hash)).await.unwrap();
                        part.standing(hash)
                    }
                };
                assert_eq!(found, expected, "{id} with {limit} in memory");
            }
        }
    }
}
