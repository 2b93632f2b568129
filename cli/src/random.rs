//! Unguessable texts: passwords and ids.

use crate::failure::{Exit, Failure, Result};

const ALPHABET: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/// Letters and digits only, so that it needs no quoting anywhere. 20 of them hold 119 bits.
pub(crate) fn text(length: usize) -> Result<String> {
    let random = rustls::crypto::aws_lc_rs::default_provider().secure_random;
    let mut text = String::with_capacity(length);
    let mut bytes = [0; 64];
    while text.len() < length {
        random
            .fill(&mut bytes)
            .map_err(|_| Failure::new(Exit::Failed, "the system has no random numbers for us"))?;
        // Bytes of 248 and above would make some letters likelier than others.
        let fair = bytes.iter().filter(|byte| **byte < 248);
        let letters = fair.map(|byte| char::from(ALPHABET[usize::from(*byte) % ALPHABET.len()]));
        text.extend(letters.take(length - text.len()));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_differ_and_need_no_quoting() {
        let (one, other) = (text(100).unwrap(), text(100).unwrap());
        assert_ne!(one, other);
        assert_eq!(one.len(), 100);
        assert!(one.bytes().all(|byte| byte.is_ascii_alphanumeric()));
    }
}
