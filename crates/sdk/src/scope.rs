//! Where documents live.

use serde::{Deserialize, Serialize};
use std::{fmt, sync::Arc};

/// A path such as `site/7/drive/b!x`. A scope contains every scope that it is a prefix of; the root
/// contains all. Cheap to clone.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Scope(Arc<[Box<str>]>);

impl Scope {
    /// Everything.
    pub fn root() -> Self {
        Self::default()
    }

    /// A scope inside this one.
    pub fn child(&self, kind: &str, name: &str) -> Self {
        let parts = self.0.iter().cloned();
        Self(parts.chain([kind.into(), name.into()]).collect())
    }

    /// Whether it is everything.
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether `other` is this scope or lies in it.
    pub fn contains(&self, other: &Self) -> bool {
        other.0.starts_with(&self.0)
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_root() {
            f.write_str("everything")
        } else {
            f.write_str(&self.0.join("/"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contains_what_it_is_a_prefix_of() {
        let site = Scope::root().child("site", "7");
        let drive = site.child("drive", "b!x");
        assert!(Scope::root().contains(&drive));
        assert!(site.contains(&drive) && site.contains(&site));
        assert!(!drive.contains(&site));
        assert!(!site.contains(&Scope::root().child("site", "70")));
        assert_eq!(drive.to_string(), "site/7/drive/b!x");
    }
}
