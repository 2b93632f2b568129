//! Somebody else wrote to the index, or nobody knows whether. The index is listed and compared with what
//! is remembered: a row counts where the index has the very same version.

use crate::{
    books::Halt,
    clock::Files,
    job::Job,
    patience::{Failure, patiently},
    roll::{IdHash, IdHasher},
    target::Version,
};
use std::{collections::HashSet, io, mem, sync::Arc};
use tributary_state::{Head, ManifestReader};

/// Parts that are compared one after the other: of 100 million documents, one part has 12 MiB.
const PARTS: usize = 256;
/// Bytes of a row in a scratch file: hash, sequence number, primary term.
const ROW: usize = 32;
/// Bytes collected for a part before they are written, and read at once.
const PAGE: usize = 4096;
/// Documents in memory before scratch files are used.
const MOST_IN_MEMORY: usize = 64 * 1024;
/// More documents than these that are not as they were are not worth it: all are sent.
const MOST_STALE: usize = 100_000;

/// What came of it.
#[derive(Debug, Default)]
pub(crate) struct Reconciled {
    /// Documents that the index has in another version, or not at all.
    pub(crate) stale: HashSet<IdHash>,
    /// The index has documents of which nothing is known.
    pub(crate) has_strangers: bool,
}

/// Compares the index with what the head knows. `None`: too much is different, or what is remembered is
/// damaged.
pub(crate) async fn reconcile(
    job: &Job,
    head: &Head,
    hasher: IdHasher,
) -> Result<Option<Reconciled>, Halt> {
    let mut attempt = 0;
    let compared = patiently(job, || {
        attempt += 1;
        compare(job, head, hasher, attempt)
    });
    match compared.await {
        Err(Halt::Lost(why)) => {
            tracing::warn!("what was remembered of the index is not used: {why}");
            Ok(None)
        }
        compared => compared,
    }
}

async fn compare(
    job: &Job,
    head: &Head,
    hasher: IdHasher,
    attempt: u32,
) -> Result<Option<Reconciled>, Failure> {
    let mut index = Parts::new(Arc::clone(&job.files), format!("index-{attempt}"));
    let mut scan = job.target.scan().await?;
    while let Some(page) = scan.next().await? {
        for row in page {
            index.push(hasher.hash(&row.id), row.version).await?;
        }
    }
    let mut known = Parts::new(Arc::clone(&job.files), format!("known-{attempt}"));
    let units = head.units.iter().flat_map(|unit| &unit.manifests);
    for name in units.chain(&head.orphans) {
        let mut reader = ManifestReader::open(Arc::clone(&job.folder), name).await?;
        while let Some(rows) = reader.next().await? {
            for row in rows {
                if let Some(version) = row.version {
                    known.push(hasher.hash(&row.id), version).await?;
                }
            }
        }
    }
    let mut reconciled = Reconciled::default();
    for part in 0..PARTS {
        let mut there = index.take(part).await?;
        there.sort_unstable();
        let mut is_known = vec![false; there.len()];
        for (hash, version) in known.take(part).await? {
            let at = there.binary_search_by_key(&hash, |(hash, _)| *hash);
            let is_same = at.is_ok_and(|at| there[at].1 == version);
            if let Ok(at) = at {
                is_known[at] = true;
            }
            if !is_same {
                reconciled.stale.insert(hash);
            }
        }
        reconciled.has_strangers |= is_known.contains(&false);
        if reconciled.stale.len() > MOST_STALE {
            return Ok(None);
        }
    }
    Ok(Some(reconciled))
}

/// Hashes and versions, in parts by hash; in scratch files if they are many.
struct Parts {
    files: Arc<dyn Files>,
    name: String,
    buffers: Vec<Vec<u8>>,
    rows: usize,
}

impl Parts {
    fn new(files: Arc<dyn Files>, name: String) -> Self {
        Self {
            files,
            name,
            buffers: vec![Vec::new(); PARTS],
            rows: 0,
        }
    }

    async fn push(&mut self, hash: IdHash, version: Version) -> io::Result<()> {
        let part = hash.part(PARTS);
        let buffer = &mut self.buffers[part];
        buffer.extend(hash.to_bytes());
        buffer.extend(version.seq_no.to_le_bytes());
        buffer.extend(version.primary_term.to_le_bytes());
        self.rows += 1;
        if self.rows > MOST_IN_MEMORY && buffer.len() >= PAGE {
            let bytes = mem::take(buffer);
            self.files.append(&self.file(part), bytes).await?;
        }
        Ok(())
    }

    fn file(&self, part: usize) -> String {
        format!("{}-{part:03}", self.name)
    }

    /// All of one part.
    async fn take(&mut self, part: usize) -> io::Result<Vec<(IdHash, Version)>> {
        let mut rows = Vec::new();
        if self.rows > MOST_IN_MEMORY {
            let file = self.file(part);
            let mut offset = 0;
            loop {
                let bytes = self.files.read(&file, offset, ROW * PAGE).await?;
                if bytes.is_empty() {
                    break;
                }
                offset += bytes.len() as u64;
                decode(&bytes, &mut rows)?;
            }
            self.files.remove(&file).await?;
        }
        decode(&mem::take(&mut self.buffers[part]), &mut rows)?;
        Ok(rows)
    }
}

fn decode(bytes: &[u8], rows: &mut Vec<(IdHash, Version)>) -> io::Result<()> {
    if !bytes.len().is_multiple_of(ROW) {
        return Err(io::Error::new(
            io::ErrorKind::UnexpectedEof,
            "a scratch file was cut short",
        ));
    }
    let number = |bytes: &[u8]| {
        let bytes = bytes.iter().rev();
        bytes.fold(0_u128, |number, byte| number << 8 | u128::from(*byte))
    };
    rows.extend(bytes.chunks_exact(ROW).map(|row| {
        let version = Version {
            seq_no: number(&row[16..24]) as u64,
            primary_term: number(&row[24..]) as u64,
        };
        (IdHash::from_number(number(&row[..16])), version)
    }));
    Ok(())
}
