//! What tells whether a document is as it was when we wrote it.

use siphasher::sip::SipHasher13;
use std::hash::Hasher;
use tributary_sdk::{Access, Attachment, Body, Stamp};

/// Rises when documents are put together in another way: then all are sent again.
pub(crate) const ENCODER: u32 = 1;

/// Makes fingerprints. The key is kept with the manifests: nobody who writes documents can choose two
/// with the same fingerprint.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fingerprints(SipHasher13);

impl Fingerprints {
    pub(crate) fn new(key: u128) -> Self {
        Self(SipHasher13::new_with_key(&key.to_le_bytes()))
    }

    /// Of all that is written of a document but its file. What may change without the document having
    /// changed is left out: a stamp of something around it, and fields that the source calls volatile.
    pub(crate) fn document(&self, body: &Body, stamp: &Stamp, access: &Access) -> Fingerprint {
        let mut hasher = self.0;
        for piece in body.lasting_pieces() {
            hasher.write(piece);
        }
        hasher.write_u8(0xff);
        if let Stamp::Item(stamp) = stamp {
            text(&mut hasher, stamp);
        }
        match access {
            Access::Unrestricted => hasher.write_u8(0),
            Access::Tokens(tokens) if !tokens.is_empty() => {
                hasher.write_u8(1);
                hasher.write_usize(tokens.len());
                tokens.iter().for_each(|token| text(&mut hasher, token));
            }
            Access::Tokens(_) | Access::Unreadable(_) => hasher.write_u8(2),
        }
        Fingerprint(hasher)
    }
}

/// A fingerprint in the making.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fingerprint(SipHasher13);

impl Fingerprint {
    /// With a file that is known by its version.
    pub(crate) fn with_version(mut self, file: &Attachment, version: &str) -> Self {
        self.0.write_u8(3);
        text(&mut self.0, &file.name);
        text(&mut self.0, version);
        self
    }

    /// With the content of a file; `None` if it could not be read.
    pub(crate) fn with_content(mut self, content: Option<&[u8]>) -> Self {
        match content {
            Some(content) => {
                self.0.write_u8(4);
                self.0.write(content);
            }
            None => self.0.write_u8(5),
        }
        self
    }

    /// Never 0: that stands for "the index may have something else".
    pub(crate) fn finish(self) -> u64 {
        self.0.finish().max(1)
    }
}

fn text(hasher: &mut SipHasher13, text: &str) {
    hasher.write_usize(text.len());
    hasher.write(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use tributary_sdk::{FieldName, Memo};

    #[test]
    fn everything_that_is_written_counts_and_nothing_else() {
        let prints = Fingerprints::new(7);
        let body = || Body::new().put("a", &1).unwrap();
        let plain = |body: Body, stamp: Stamp, access: Access| {
            prints.document(&body, &stamp, &access).finish()
        };
        let first = plain(body(), Stamp::None, Access::Unrestricted);
        let group = plain(body(), Stamp::Group("x".into()), Access::Unrestricted);
        assert_eq!(first, group);
        let mut volatile = body();
        let seen = FieldName::new("seen").unwrap();
        volatile.put_volatile_with(&seen, |value| value.text("now"));
        assert_eq!(first, plain(volatile, Stamp::None, Access::Unrestricted));
        let unreadable = Access::Unreadable("why".into());
        let nobody = plain(body(), Stamp::None, unreadable);
        let none = Access::tokens(Vec::<String>::new());
        assert_eq!(nobody, plain(body(), Stamp::None, none));
        let file = Attachment {
            key: Memo::new("k").unwrap(),
            name: "f.txt".into(),
            size: None,
            version: None,
        };
        let base = prints.document(&body(), &Stamp::None, &Access::Unrestricted);
        let other = body().put("b", &1).unwrap();
        let prints = [
            first,
            nobody,
            plain(other, Stamp::None, Access::Unrestricted),
            plain(body(), Stamp::Item("x".into()), Access::Unrestricted),
            plain(body(), Stamp::None, Access::tokens(["ab", "c"])),
            plain(body(), Stamp::None, Access::tokens(["a", "bc"])),
            base.with_version(&file, "1").finish(),
            base.with_version(&file, "2").finish(),
            base.with_content(Some(b"1")).finish(),
            base.with_content(Some(b"2")).finish(),
            base.with_content(None).finish(),
        ];
        for (at, print) in prints.iter().enumerate() {
            assert!(!prints[..at].contains(print), "{at}");
        }
    }
}
