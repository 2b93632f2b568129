//! Patterns for paths below a directory, with the meaning of `pathlib.Path.glob` of Python 3.11.
//! Facts: sheet `dir` §4; <https://docs.python.org/3.11/library/pathlib.html#pathlib.Path.glob>.
//!
//! A walk carries [`Positions`]: the set of places in the pattern that a folder has reached. Every
//! folder is thus visited once, whatever the pattern, and a folder without positions is not visited.

use crate::wildcard::Wildcard;
use tributary_sdk::{Error, Result};

/// So many segments fit into [`Positions`].
const SEGMENTS: usize = 127;

/// A pattern.
///
/// - `*`, `?`, `[seq]`, `[!seq]` match within a name; case counts; a leading dot is nothing special;
///   braces stand for themselves.
/// - `**`, alone between slashes, stands for any number of real folders, none included.
/// - Every other segment also matches a link to a folder. So a pattern passes at most as many links
///   as it has such segments, and no loop of links can hold a walk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    text: String,
    segments: Vec<Segment>,
    folders_only: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Segment {
    Folders,
    Name(Box<[u8]>),
    Wild(Wildcard),
}

/// The places in a pattern that a folder has reached. Empty: nothing below it can match.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Positions(u128);

impl Positions {
    /// Whether nothing below can match.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    fn iter(self) -> impl Iterator<Item = usize> {
        let mut rest = self.0;
        std::iter::from_fn(move || {
            let position = rest.trailing_zeros() as usize;
            // Clears the lowest bit; with none left there is nothing more.
            rest &= rest.checked_sub(1)?;
            Some(position)
        })
    }
}

impl Pattern {
    /// Reads a pattern. One that cannot work is `InvalidConfig` and says what to write instead.
    pub fn new(text: &str) -> Result<Self> {
        let refuse = |why: String| Err(Error::invalid_config(why));
        if text.starts_with('/') {
            let relative = text.trim_start_matches('/');
            return refuse(format!(
                "the pattern '{text}' is absolute; write it relative to the directory, such as '{relative}'"
            ));
        }
        if text.contains('\0') {
            return refuse("the pattern holds a NUL character; no file name can".into());
        }
        let mut segments = Vec::new();
        for segment in text
            .split('/')
            .filter(|segment| !matches!(*segment, "" | "."))
        {
            segments.push(match segment {
                ".." => {
                    return refuse(format!(
                        "the pattern '{text}' leaves the directory with '..'; choose a directory further up instead"
                    ));
                }
                "**" => Segment::Folders,
                _ if segment.contains("**") => {
                    return refuse(format!(
                        "the pattern '{text}' holds '{segment}'; '**' has to stand alone between slashes, such as '**/*'"
                    ));
                }
                _ if Wildcard::is_wild(segment) => Segment::Wild(Wildcard::new(segment)),
                _ => Segment::Name(segment.as_bytes().into()),
            });
        }
        match segments.len() {
            0 => refuse("the pattern is empty; '**/*' reads every file".into()),
            1..=SEGMENTS => Ok(Self {
                text: text.into(),
                segments,
                folders_only: text.ends_with('/'),
            }),
            count => refuse(format!(
                "the pattern has {count} segments; more than {SEGMENTS} are not supported"
            )),
        }
    }

    /// The pattern as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether only folders can match, so that no file ever does: it ends with `**` or a slash.
    pub fn matches_no_file(&self) -> bool {
        self.folders_only || self.segments.last() == Some(&Segment::Folders)
    }

    /// Where the directory itself is.
    pub fn start(&self) -> Positions {
        self.reached(1)
    }

    /// Whether a file of this name matches in a folder at these positions.
    pub fn lists(&self, folder: Positions, name: &[u8]) -> bool {
        let last = self.segments.len() - 1;
        !self.folders_only && folder.0 & (1 << last) != 0 && self.segments[last].matches(name)
    }

    /// Where the sub-folder of this name is. A link to a folder is one, too, but no `**` enters it.
    pub fn enter(&self, folder: Positions, name: &[u8], is_link: bool) -> Positions {
        let last = self.segments.len() - 1;
        let mut reached = 0;
        for position in folder.iter() {
            match &self.segments[position] {
                Segment::Folders if !is_link => reached |= 1 << position,
                segment if position < last && segment.matches(name) => reached |= 2 << position,
                _ => {}
            }
        }
        self.reached(reached)
    }

    /// The names that the pattern spells out in a folder at these positions: they are looked up, not
    /// searched, so they are found also in a folder that must not be listed.
    pub fn names(&self, folder: Positions) -> impl Iterator<Item = &[u8]> {
        folder
            .iter()
            .filter_map(|position| match &self.segments[position] {
                Segment::Name(name) => Some(name.as_ref()),
                _ => None,
            })
    }

    /// Whether a folder at these positions has to be listed; if not, [`Pattern::names`] are all.
    pub fn needs_listing(&self, folder: Positions) -> bool {
        let is_name = |position: usize| matches!(self.segments[position], Segment::Name(_));
        !folder.iter().all(is_name)
    }

    /// `**` also stands for no folder at all.
    fn reached(&self, mut positions: u128) -> Positions {
        for (position, segment) in self.segments.iter().enumerate() {
            let is_here = positions & (1 << position) != 0;
            if is_here && *segment == Segment::Folders && position + 1 < self.segments.len() {
                positions |= 2 << position;
            }
        }
        Positions(positions)
    }
}

impl Segment {
    /// Whether it consumes this name. `**` consumes none: it stays where it is.
    fn matches(&self, name: &[u8]) -> bool {
        match self {
            Self::Folders => false,
            Self::Name(wanted) => **wanted == *name,
            Self::Wild(wildcard) => wildcard.matches(name),
        }
    }
}
