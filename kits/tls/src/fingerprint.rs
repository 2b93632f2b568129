use crate::TlsError;
use rustls::SupportedCipherSuite;
use rustls::crypto::aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256;
use std::fmt;
use std::str::FromStr;

const BYTES: usize = 32;

/// The SHA-256 fingerprint of a certificate (of its DER form), as `openssl x509 -fingerprint
/// -sha256` and Elasticsearch at its first start print it.
///
/// Read from hex in either case, with or without colons, spaces, or OpenSSL's
/// `sha256 Fingerprint=` in front. Shown as upper-case hex with colons.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint([u8; BYTES]);

impl Fingerprint {
    /// The fingerprint of a certificate in DER form.
    pub fn of(der: &[u8]) -> Self {
        let hash_provider = match TLS13_AES_128_GCM_SHA256 {
            SupportedCipherSuite::Tls13(suite) => suite.common.hash_provider,
            SupportedCipherSuite::Tls12(suite) => suite.common.hash_provider,
        };
        let mut bytes = [0; BYTES];
        for (to, from) in bytes.iter_mut().zip(hash_provider.hash(der).as_ref()) {
            *to = *from;
        }
        Self(bytes)
    }
}

impl FromStr for Fingerprint {
    type Err = TlsError;

    fn from_str(text: &str) -> Result<Self, TlsError> {
        let hex = text.rsplit('=').next().unwrap_or(text).trim();
        let hex = match hex.get(..7) {
            Some(prefix) if prefix.eq_ignore_ascii_case("sha256:") => &hex[7..],
            _ => hex,
        };
        let mut digits = Vec::with_capacity(BYTES * 2);
        for character in hex.chars() {
            match character.to_digit(16) {
                Some(digit) => digits.push(digit as u8),
                None if character == ':' || character.is_whitespace() => {}
                None => {
                    return Err(TlsError::Fingerprint(format!(
                        "it has the character {character:?}, which is not a hex digit"
                    )));
                }
            }
        }
        let mut bytes = [0; BYTES];
        match digits.len() {
            64 => {}
            40 => {
                return Err(TlsError::Fingerprint(
                    "it is a SHA-1 fingerprint; take the one of `openssl x509 -noout -fingerprint -sha256`"
                        .to_owned(),
                ));
            }
            count => {
                return Err(TlsError::Fingerprint(format!(
                    "a SHA-256 fingerprint has 64 hex digits, this one has {count}"
                )));
            }
        }
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = pair[0] << 4 | pair[1];
        }
        Ok(Self(bytes))
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, byte) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str(":")?;
            }
            write!(f, "{byte:02X}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    // FIPS 180-2, appendix B.1: the SHA-256 of "abc".
    const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    #[test]
    fn is_the_sha_256_of_the_bytes() {
        assert_eq!(ABC.parse::<Fingerprint>().unwrap(), Fingerprint::of(b"abc"));
    }

    #[test]
    fn reads_what_tools_print() {
        let shown = Fingerprint::of(b"abc").to_string();
        assert!(shown.starts_with("BA:78:16:BF"), "{shown}");
        for text in [
            shown.clone(),
            format!("sha256 Fingerprint={shown}"),
            format!("SHA256:{ABC}"),
            format!("  {}\n", ABC.to_uppercase()),
        ] {
            assert_eq!(
                text.parse::<Fingerprint>().unwrap(),
                Fingerprint::of(b"abc"),
                "{text}"
            );
        }
    }

    #[test]
    fn refuses_what_it_is_not() {
        for (text, expected) in [
            ("", "has 0"),
            ("AB:CD", "has 4"),
            (&ABC[..40], "SHA-1"),
            ("xyz", "'x'"),
        ] {
            let error = text.parse::<Fingerprint>().unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }

    proptest! {
        #[test]
        fn survives_any_text(text in "\\PC{0,80}") {
            let _ = text.parse::<Fingerprint>();
        }

        #[test]
        fn is_read_back_as_shown(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let fingerprint = Fingerprint::of(&bytes);
            prop_assert_eq!(fingerprint.to_string().parse::<Fingerprint>().unwrap(), fingerprint);
        }
    }
}
