//! A file as a document (sheet `dir` §5), and a stored document as a file.

use crate::{
    api::{Facts, FileSystem},
    find::{Looked, find, names_below},
    plan::Plan,
    walk::Found,
};
use serde::Deserialize;
use std::{
    ffi::OsString,
    io,
    os::unix::ffi::{OsStrExt, OsStringExt},
    path::PathBuf,
};
use tributary_files::{PathKey, path_from_text, path_id, path_text};
use tributary_sdk::{
    Access, Attachment, Body, DocRef, Document, FieldName, Memo, Presence, Result, Stamp,
};

/// The names of the fields of a document, in their order.
pub(crate) struct Fields {
    path: FieldName,
    last_modified_time: FieldName,
    inode_protection_mode: FieldName,
    inode_number: FieldName,
    device_inode_reside: FieldName,
    number_of_links: FieldName,
    uid: FieldName,
    gid: FieldName,
    ctime: FieldName,
    last_access_time: FieldName,
    size: FieldName,
}

impl Fields {
    pub(crate) fn new() -> Result<Self> {
        Ok(Self {
            path: FieldName::new("path")?,
            last_modified_time: FieldName::new("last_modified_time")?,
            inode_protection_mode: FieldName::new("inode_protection_mode")?,
            inode_number: FieldName::new("inode_number")?,
            device_inode_reside: FieldName::new("device_inode_reside")?,
            number_of_links: FieldName::new("number_of_links")?,
            uid: FieldName::new("uid")?,
            gid: FieldName::new("gid")?,
            ctime: FieldName::new("ctime")?,
            last_access_time: FieldName::new("last_access_time")?,
            size: FieldName::new("size")?,
        })
    }

    pub(crate) fn document(&self, found: Found) -> Result<Document> {
        let Found { path, facts, home } = found;
        let bytes = path.as_os_str().as_bytes();
        let text = path_text(bytes);
        let modified = facts.modified.as_text();

        let mut body = Body::with_capacity(text.len() + 320);
        body.put_with(&self.path, |value| value.text(&text));
        body.put_with(&self.last_modified_time, |value| match &modified {
            Some(modified) => value.text(modified),
            None => value.null(),
        });
        body.put_with(&self.inode_protection_mode, |value| {
            value.integer(facts.mode)
        });
        body.put_with(&self.inode_number, |value| value.integer(facts.inode));
        body.put_with(&self.device_inode_reside, |value| {
            value.integer(facts.device)
        });
        body.put_with(&self.number_of_links, |value| value.integer(facts.links));
        body.put_with(&self.uid, |value| value.integer(facts.user));
        body.put_with(&self.gid, |value| value.integer(facts.group));
        body.put_with(&self.ctime, |value| {
            value.double(facts.changed.as_double());
        });
        body.put_volatile_with(&self.last_access_time, |value| {
            value.double(facts.accessed.as_double());
        });
        body.put_with(&self.size, |value| value.integer(facts.size));

        let mut document = Document::new(path_id(bytes), body, Access::Unrestricted);
        document.stamp = modified.map_or(Stamp::None, Stamp::Item);
        document.home = Some(home);
        document.attachment = Some(Attachment {
            key: Memo::new(&PathKey::new(bytes))?,
            name: path
                .file_name()
                .map_or_else(String::new, |name| path_text(name.as_bytes())),
            size: Some(facts.size),
            version: Some(version(&facts)),
        });
        Ok(document)
    }
}

/// Changes with the bytes of a file. Not with its rights, nor when it is only read.
fn version(facts: &Facts) -> String {
    let modified = facts.modified;
    format!(
        "{}.{:09}-{}-{}",
        modified.seconds, modified.nanoseconds, facts.size, facts.inode
    )
}

/// A document somebody asks about, if it is one of ours below the directory.
pub(crate) struct Asked {
    pub(crate) path: PathBuf,
    device: Option<u64>,
}

#[derive(Deserialize)]
struct Stored {
    path: String,
    device_inode_reside: Option<u64>,
}

impl Asked {
    pub(crate) fn new(plan: &Plan, doc: &DocRef) -> Option<Self> {
        let stored: Stored = doc.read().ok()?;
        let path = path_from_text(&stored.path, doc.id.as_str())?;
        names_below(&plan.root, &path)?;
        Some(Self {
            path: OsString::from_vec(path).into(),
            device: stored.device_inode_reside,
        })
    }

    pub(crate) fn find(&self, files: &dyn FileSystem, plan: &Plan) -> io::Result<Looked> {
        match names_below(&plan.root, self.path.as_os_str().as_bytes()) {
            Some(names) => find(files, plan, &names),
            None => Ok(Looked::NotListed),
        }
    }

    pub(crate) fn presence(&self, files: &dyn FileSystem, plan: &Plan) -> Presence {
        match self.find(files, plan) {
            Ok(Looked::Listed(_)) => Presence::Present,
            // What the pattern does not list, or is no file any more, is no document any more.
            Ok(Looked::NotListed) => Presence::Gone,
            // The file was on another disk or share than the folder that is left of its path: that
            // may be unmounted.
            Ok(Looked::Missing { device }) if self.device.is_some_and(|was| was != device) => {
                Presence::Unknown
            }
            Ok(Looked::Missing { .. }) => Presence::Gone,
            Err(_) => Presence::Unknown,
        }
    }
}
