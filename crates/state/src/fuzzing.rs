//! What the fuzz targets reach beyond the interface: files whose checksums are right, whatever is in them.
//! Compiled only for fuzzing.

use crate::block;

/// A file of these blocks (kind and content). `what` and `format` stand in its first bytes.
pub fn file(what: u8, format: u16, blocks: &[(u8, &[u8])]) -> Vec<u8> {
    let mut bytes = block::header(what, format);
    for (kind, content) in blocks {
        block::put(&mut bytes, *kind, content);
    }
    bytes
}

/// Letter and format of manifests.
pub const MANIFEST: (u8, u16) = crate::manifest::FILE;
/// Letter and format of heads.
pub const HEAD: (u8, u16) = crate::head::FILE;
/// Letter and format of journals.
pub const JOURNAL: (u8, u16) = crate::journal::FILE;
