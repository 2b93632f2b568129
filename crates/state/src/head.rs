//! The one file that says what counts: the head. It is replaced in one step when a run is over.

use crate::{
    Folder, Result, StateError, Token,
    block::{self, Blocks},
};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use tributary_sdk::{Cursor, UnitKey};

/// Its name.
const NAME: &str = "head";
const NEW: &str = "head-new";
const WHAT: u8 = b'h';
const FORMAT: u16 = 3;
#[cfg(fuzzing)]
pub(crate) const FILE: (u8, u16) = (WHAT, FORMAT);
const HEAD: u8 = b'h';
const UNIT: u8 = b'u';

/// What is known of an index after the last run that came to its end.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Head {
    /// Rises by one with each head.
    pub generation: u64,
    /// The key of all fingerprints, 32 hexadecimal digits. Not a secret of anybody's, but nobody who
    /// writes documents should be able to choose two with the same fingerprint.
    pub fingerprint_key: String,
    /// A hash of what acts on documents besides the data source: rules, flags, the way we write.
    pub made_with: String,
    /// What the data source was read with (its configuration, rules): cursors are worth nothing with
    /// another one.
    pub origin: String,
    /// How we left the index; `None` if that could not be told.
    pub token: Option<Token>,
    /// Whether all that was written since the token before is ours.
    pub is_exact: bool,
    /// What each unit held.
    #[serde(skip)]
    pub units: Vec<UnitState>,
    /// A manifest of documents that belong to no unit and were kept.
    pub orphans: Option<String>,
    /// Distinct documents that the index has, as far as is known. If the token counts others, there are
    /// strangers among them.
    pub held: u64,
}

/// The first block of the file; a block for each unit follows.
#[derive(Serialize, Deserialize)]
struct First<T> {
    units: usize,
    head: T,
}

/// One unit in a head.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct UnitState {
    /// Its name from run to run.
    pub key: UnitKey,
    /// The files of its manifest, sealed: the last full walk, and what changed since, in this order.
    pub manifests: Vec<String>,
    /// Documents in them that the index has.
    pub held: u64,
    /// From where the next changes are read.
    pub next: Option<Cursor>,
}

impl Head {
    /// Reads the head of a folder. `None` if there is none.
    ///
    /// # Errors
    /// It is damaged or of another version, or the disk. Nothing is known then.
    pub async fn load(folder: Arc<dyn Folder>) -> Result<Option<Self>> {
        let files = folder.list().await;
        let files = files.map_err(|error| StateError::io(NAME, error))?;
        if !files.iter().any(|(name, _)| name == NAME) {
            return Ok(None);
        }
        let mut blocks = Blocks::open(folder, NAME, WHAT, FORMAT).await?;
        let first = match blocks.next().await? {
            Some((HEAD, content)) => serde_json::from_slice::<First<Self>>(content),
            _ => return Err(blocks.damaged("it has no content")),
        };
        let unreadable = |error| StateError::damaged(NAME, format!("it cannot be read: {error}"));
        let First { units, mut head } = first.map_err(unreadable)?;
        for _ in 0..units {
            let unit = match blocks.next().await? {
                Some((UNIT, content)) => serde_json::from_slice(content),
                _ => return Err(blocks.damaged("it lacks a unit")),
            };
            head.units.push(unit.map_err(unreadable)?);
        }
        match blocks.next().await? {
            None => Ok(Some(head)),
            Some(_) => Err(blocks.damaged("it goes on after its end")),
        }
    }

    /// Makes this the head. All files it names must be safe before. When this returns, the new head
    /// counts; if it fails or the process dies, the old one or the new one does, and never a mixture.
    ///
    /// # Errors
    /// The disk.
    pub async fn save(&self, folder: &dyn Folder) -> Result<()> {
        let mut bytes = block::header(WHAT, FORMAT);
        let first = First {
            units: self.units.len(),
            head: self,
        };
        put(&mut bytes, HEAD, &first)?;
        for unit in &self.units {
            put(&mut bytes, UNIT, unit)?;
        }
        let written = async {
            folder.remove(NEW).await?;
            folder.append(NEW, bytes).await?;
            folder.sync(NEW).await?;
            folder.rename(NEW, NAME).await?;
            folder.sync_names().await
        };
        written.await.map_err(|error| StateError::io(NAME, error))
    }

    /// Whether this head needs a file.
    pub fn names(&self, file: &str) -> bool {
        let files = self.units.iter().flat_map(|unit| &unit.manifests);
        file == NAME || files.chain(&self.orphans).any(|name| name == file)
    }
}

fn put(bytes: &mut Vec<u8>, kind: u8, content: &impl Serialize) -> Result<()> {
    let content = serde_json::to_vec(content)
        .map_err(|error| StateError::damaged(NAME, format!("it cannot be written: {error}")))?;
    if content.len() > block::MOST {
        return Err(StateError::damaged(NAME, "one of its units is too large"));
    }
    block::put(bytes, kind, &content);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MemoryFolder;
    use tributary_sdk::Scope;

    fn head(generation: u64) -> Head {
        Head {
            generation,
            fingerprint_key: "00".repeat(16),
            made_with: "rules".into(),
            origin: "o".into(),
            token: Some(Token {
                index_uuid: "u".into(),
                shards: Default::default(),
                count: 0,
                mapping: "m".into(),
                settings: "s".into(),
                pipeline: None,
                server_version: "9".into(),
            }),
            is_exact: true,
            orphans: None,
            held: 7,
            units: vec![UnitState {
                key: UnitKey {
                    scope: Scope::root().child("table", "t"),
                    part: 0,
                },
                manifests: vec![format!("m{generation}")],
                held: 7,
                next: Cursor::new(&generation).ok(),
            }],
        }
    }

    async fn generation(folder: &Arc<MemoryFolder>) -> Option<u64> {
        let head = Head::load(folder.clone()).await.unwrap();
        head.map(|head| head.generation)
    }

    #[tokio::test]
    async fn a_crash_at_any_call_leaves_the_old_or_the_new_head() {
        let mut seen = [false; 2];
        for call in 1..20 {
            let folder = Arc::new(MemoryFolder::default());
            assert_eq!(generation(&folder).await, None);
            head(1).save(&*folder).await.unwrap();
            folder.fail_at(call);
            let saved = head(2).save(&*folder).await.is_ok();
            folder.crash();
            let found = generation(&folder).await.unwrap();
            assert!(found == 2 || !saved, "call {call}");
            seen[usize::from(found == 2)] = true;
        }
        assert_eq!(seen, [true, true]);
    }

    #[tokio::test]
    async fn a_damaged_head_is_an_error_and_not_an_empty_one() {
        let folder = Arc::new(MemoryFolder::default());
        head(1).save(&*folder).await.unwrap();
        let whole = folder.read(NAME, 0, usize::MAX).await.unwrap();
        for at in 0..whole.len() {
            folder.alter(NAME, |bytes| bytes[at] ^= 4);
            assert!(Head::load(folder.clone()).await.is_err(), "byte {at}");
            folder.alter(NAME, |bytes| bytes.truncate(at));
            assert!(Head::load(folder.clone()).await.is_err(), "cut at {at}");
            folder.alter(NAME, |bytes| bytes.clone_from(&whole));
        }
        let found = Head::load(folder).await.unwrap().unwrap();
        assert!(found.names("m1") && found.names(NAME) && !found.names("m2"));
        assert_eq!(
            found.units[0].next.as_ref().unwrap().read::<u64>().unwrap(),
            1
        );
    }

    #[tokio::test]
    async fn many_units_with_large_cursors_fit() {
        let folder = Arc::new(MemoryFolder::default());
        let mut large = head(1);
        let unit = UnitState {
            next: Cursor::new(&"x".repeat(60_000)).ok(),
            ..large.units[0].clone()
        };
        large.units = vec![unit; 300];
        large.save(&*folder).await.unwrap();
        let found = Head::load(folder).await.unwrap().unwrap();
        assert_eq!(found.units.len(), 300);
        assert_eq!(found.units[299].next.as_ref().unwrap().size(), 60_002);
    }
}
