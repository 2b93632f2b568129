//! PEM as people really paste it: on one line, with `\n` written out, with text around it.

use crate::TlsError;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::fmt;
use std::path::PathBuf;

const BEGIN: &str = "-----BEGIN ";
const END: &str = "-----END ";
const DASHES: &str = "-----";
/// RFC 7468, section 2: lines of a PEM body have 64 characters.
const LINE: usize = 64;

/// Certificates or a key in PEM, as text or in a file. `Debug` never shows the text.
#[derive(Clone, PartialEq, Eq)]
pub enum Pem {
    /// The PEM itself. Spaces or the two characters `\n` may stand for line ends.
    Text(String),
    /// The file that holds it, read when the configuration is built.
    File(PathBuf),
}

impl Pem {
    /// PEM text if it looks like PEM, else the path of a file.
    pub fn from_text_or_path(value: impl Into<String>) -> Self {
        let value = value.into();
        if value.contains(BEGIN.trim_end()) {
            Self::Text(value)
        } else {
            Self::File(PathBuf::from(value.trim()))
        }
    }

    /// The certificates in it, in their order. Blocks of other kinds are passed over.
    pub(crate) fn certificates(
        &self,
        what: &'static str,
    ) -> Result<Vec<CertificateDer<'static>>, TlsError> {
        let bad = |problem: String| self.bad(what, problem);
        let text = self.read(what)?;
        let mut certificates = Vec::new();
        let mut seen = Vec::new();
        for block in blocks(&text).map_err(bad)? {
            if block.is_certificate() {
                let der = CertificateDer::from_pem_slice(block.reflowed("CERTIFICATE").as_bytes())
                    .map_err(|_| bad(format!("{} is not valid base64", block.label)))?;
                certificates.push(der);
            } else {
                seen.push(block.label);
            }
        }
        if certificates.is_empty() {
            return Err(bad(nothing_found("certificate", &seen)));
        }
        Ok(certificates)
    }

    /// The first private key in it: PKCS#8, RSA (PKCS#1) or EC (SEC 1), not encrypted.
    pub(crate) fn private_key(
        &self,
        what: &'static str,
    ) -> Result<PrivateKeyDer<'static>, TlsError> {
        let bad = |problem: String| self.bad(what, problem);
        let text = self.read(what)?;
        let mut seen = Vec::new();
        for block in blocks(&text).map_err(bad)? {
            if !block.label.ends_with("PRIVATE KEY") {
                seen.push(block.label);
                continue;
            }
            if block.is_encrypted() {
                return Err(bad(
                    "it is encrypted with a passphrase, which is not supported; decrypt it with \
                     `openssl pkey -in key.pem -out plain.pem` and protect the file by its mode"
                        .to_owned(),
                ));
            }
            return PrivateKeyDer::from_pem_slice(block.reflowed(block.label).as_bytes()).map_err(
                |_| {
                    bad(format!(
                        "{} is not a PKCS#8, RSA or EC key in base64",
                        block.label
                    ))
                },
            );
        }
        Err(bad(nothing_found("private key", &seen)))
    }

    /// The error for certificates of which none can be parsed.
    pub(crate) fn unusable(&self, what: &'static str) -> TlsError {
        self.bad(
            what,
            "it has the form of PEM, but no certificate in it can be parsed".to_owned(),
        )
    }

    fn read(&self, what: &'static str) -> Result<String, TlsError> {
        let path = match self {
            Self::Text(text) => return Ok(text.clone()),
            Self::File(path) => path,
        };
        let bytes = std::fs::read(path).map_err(|source| TlsError::File {
            what,
            path: path.clone(),
            source,
        })?;
        // DER starts with the tag of an ASN.1 sequence.
        if bytes.first() == Some(&0x30) {
            return Err(self.bad(
                what,
                "it is in DER form; convert it to PEM with `openssl x509 -inform der` or `openssl pkey -inform der`".to_owned(),
            ));
        }
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    fn bad(&self, what: &'static str, problem: String) -> TlsError {
        let origin = match self {
            Self::Text(_) => "text".to_owned(),
            Self::File(path) => format!("file {}", path.display()),
        };
        TlsError::Pem {
            what,
            origin,
            problem,
        }
    }
}

impl fmt::Debug for Pem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(_) => f.write_str("Text(***)"),
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
        }
    }
}

struct Block<'a> {
    label: &'a str,
    body: &'a str,
}

impl Block<'_> {
    fn is_certificate(&self) -> bool {
        // The longer label is what old versions of OpenSSL and Java tools write.
        matches!(self.label, "CERTIFICATE" | "X509 CERTIFICATE")
    }

    fn is_encrypted(&self) -> bool {
        // RFC 1421 headers stand inside the block; PKCS#8 says it in the label.
        self.label.contains("ENCRYPTED") || self.body.contains("ENCRYPTED")
    }

    fn reflowed(&self, label: &str) -> String {
        let body = self.body.replace("\\n", "").replace("\\r", "");
        let mut text = format!("{BEGIN}{label}{DASHES}\n");
        let mut column = 0;
        for character in body.chars().filter(|character| !character.is_whitespace()) {
            text.push(character);
            column += 1;
            if column == LINE {
                text.push('\n');
                column = 0;
            }
        }
        if column > 0 {
            text.push('\n');
        }
        text.push_str(&format!("{END}{label}{DASHES}\n"));
        text
    }
}

fn blocks(text: &str) -> Result<Vec<Block<'_>>, String> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some((_, after_begin)) = rest.split_once(BEGIN) {
        let (label, after_label) = after_begin
            .split_once(DASHES)
            .ok_or_else(|| "a BEGIN line has no closing dashes".to_owned())?;
        let end = format!("{END}{label}{DASHES}");
        let (body, after_end) = after_label
            .split_once(end.as_str())
            .ok_or_else(|| cut_off(label))?;
        // The body of a complete block has no dashes, so a second BEGIN means a lost END.
        if body.contains(BEGIN) {
            return Err(cut_off(label));
        }
        found.push(Block { label, body });
        rest = after_end;
    }
    Ok(found)
}

fn cut_off(label: &str) -> String {
    // A label is short; anything else is text that happens to look like PEM.
    let label: String = label.chars().take(40).collect();
    format!("BEGIN {label} has no matching END: the text was cut off")
}

fn nothing_found(wanted: &str, seen: &[&str]) -> String {
    if seen.is_empty() {
        format!("no {wanted} was found in it; PEM begins with `-----BEGIN`")
    } else {
        let seen: Vec<String> = seen
            .iter()
            .take(5)
            .map(|label| label.chars().take(40).collect())
            .collect();
        format!("no {wanted} was found in it, only: {}", seen.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn certificate_pem() -> (String, Vec<u8>) {
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = rcgen::CertificateParams::new(vec!["localhost".to_owned()])
            .unwrap()
            .self_signed(&key)
            .unwrap();
        (certificate.pem(), certificate.der().to_vec())
    }

    fn problem(pem: &Pem) -> String {
        pem.certificates("CA certificate").unwrap_err().to_string()
    }

    #[test]
    fn reads_pem_in_every_shape_people_paste() {
        let (pem, der) = certificate_pem();
        let shapes = [
            pem.clone(),
            pem.replace('\n', " "),
            pem.replace('\n', "\\n"),
            pem.replace('\n', "\r\n"),
            pem.lines().map(|line| format!("    {line}\n")).collect(),
            format!("Subject: CN = somebody\nIssuer: me\n{pem}\ntrailing words"),
            pem.replace(" CERTIFICATE", " X509 CERTIFICATE"),
        ];
        for shape in shapes {
            let found = Pem::Text(shape.clone())
                .certificates("CA certificate")
                .unwrap();
            assert_eq!(found.len(), 1, "{shape}");
            assert_eq!(found[0].as_ref(), der.as_slice(), "{shape}");
        }
    }

    #[test]
    fn reads_several_certificates_in_order() {
        let (first, first_der) = certificate_pem();
        let (second, second_der) = certificate_pem();
        let text = format!("{first}{second}").replace('\n', " ");
        let found = Pem::Text(text).certificates("CA certificate").unwrap();
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].as_ref(), first_der.as_slice());
        assert_eq!(found[1].as_ref(), second_der.as_slice());
    }

    #[test]
    fn says_what_is_wrong_with_a_certificate() {
        let (pem, _) = certificate_pem();
        assert!(problem(&Pem::Text("secret".to_owned())).contains("begins with `-----BEGIN`"));
        assert!(!problem(&Pem::Text("secret".to_owned())).contains("secret"));
        let cut = pem.split("-----END").next().unwrap().to_owned();
        assert!(problem(&Pem::Text(cut)).contains("cut off"));
        let key = rcgen::KeyPair::generate().unwrap().serialize_pem();
        assert!(problem(&Pem::Text(key)).contains("only: PRIVATE KEY"));
        let broken = pem.replace("MII", "!!!");
        assert!(problem(&Pem::Text(broken)).contains("not valid base64"));
        let missing = problem(&Pem::File(PathBuf::from("/nowhere/ca.pem")));
        assert!(missing.contains("/nowhere/ca.pem"), "{missing}");
    }

    #[test]
    fn says_that_a_file_is_der() {
        let (_, der) = certificate_pem();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.der");
        std::fs::write(&path, der).unwrap();
        assert!(problem(&Pem::File(path)).contains("-inform der"));
    }

    #[test]
    fn says_that_a_key_is_encrypted() {
        for text in [
            "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIIB\n-----END ENCRYPTED PRIVATE KEY-----",
            "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\nMIIB\n-----END RSA PRIVATE KEY-----",
        ] {
            let error = Pem::Text(text.to_owned())
                .private_key("client key")
                .unwrap_err();
            assert!(error.to_string().contains("openssl pkey"), "{error}");
        }
    }

    #[test]
    fn tells_text_from_path() {
        assert_eq!(
            Pem::from_text_or_path("/etc/ca.pem"),
            Pem::File(PathBuf::from("/etc/ca.pem"))
        );
        let (pem, _) = certificate_pem();
        assert_eq!(Pem::from_text_or_path(pem.clone()), Pem::Text(pem));
    }

    #[test]
    fn debug_hides_the_text() {
        assert_eq!(format!("{:?}", Pem::Text("hidden".to_owned())), "Text(***)");
    }

    proptest! {
        #[test]
        fn never_panics(text in "(-----BEGIN |-----END |CERTIFICATE|PRIVATE KEY|-----|MII|\\PC|\n| ){0,40}") {
            let pem = Pem::Text(text);
            let _ = pem.certificates("CA certificate");
            let _ = pem.private_key("client key");
        }
    }
}
