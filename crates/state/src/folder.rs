//! Files, as the state needs them.

use async_trait::async_trait;
use std::io;

/// A folder of files that outlives the process.
///
/// *Behaviour.* Names are short ASCII words without separators. Calls for one file are made one after
/// the other; calls for different files may overlap. What was written is safe from a crash only after
/// [`Folder::sync`] of that file, a rename or removal only after [`Folder::sync_names`]; before that it
/// may be there, in part or not at all. A full or broken disk is an `Err`.
#[async_trait]
pub trait Folder: Send + Sync {
    /// Reads `length` bytes from `offset` on; fewer only at the end of the file. A file that does not
    /// exist is `NotFound`.
    async fn read(&self, name: &str, offset: u64, length: usize) -> io::Result<Vec<u8>>;
    /// Adds bytes to the end of a file, which is made if it does not exist.
    async fn append(&self, name: &str, bytes: Vec<u8>) -> io::Result<()>;
    /// Cuts a file to this length. A shorter one is `UnexpectedEof`.
    async fn truncate(&self, name: &str, length: u64) -> io::Result<()>;
    /// Returns when the content of a file is safe.
    async fn sync(&self, name: &str) -> io::Result<()>;
    /// Gives a file another name; one that has that name is replaced, in one step.
    async fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    /// Removes a file; one that does not exist is fine.
    async fn remove(&self, name: &str) -> io::Result<()>;
    /// Returns when names are safe: files made, renamed and removed.
    async fn sync_names(&self) -> io::Result<()>;
    /// All files with their lengths, sorted by name.
    async fn list(&self) -> io::Result<Vec<(String, u64)>>;
}
