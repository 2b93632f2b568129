use crate::handshake::{Authority, connect, for_host};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_RSA_SHA256, SignatureAlgorithm};
use tributary_tls::{ClientTls, Pem, TlsError};

/// A new key, and the same in the form that is older than PKCS#8.
fn traditional_key(algorithm: &'static SignatureAlgorithm, label: &str) -> (KeyPair, String) {
    let key = KeyPair::generate_for(algorithm).unwrap();
    // RFC 5958: SEQUENCE { version, algorithm, OCTET STRING { the traditional form } }.
    let outer = key.serialize_der();
    let (version, rest) = element(element(&outer).0);
    assert!(version.len() == 1);
    let (_algorithm, rest) = element(rest);
    let (traditional, _) = element(rest);
    let body = base64(traditional);
    (
        key,
        format!("-----BEGIN {label}-----\n{body}\n-----END {label}-----\n"),
    )
}

/// The content of the first DER element, and what follows it.
fn element(der: &[u8]) -> (&[u8], &[u8]) {
    let (header, length) = match der[1] {
        short if short < 0x80 => (2, usize::from(short)),
        long => {
            let octets = usize::from(long & 0x7f);
            let length = der[2..2 + octets]
                .iter()
                .fold(0, |length, octet| length << 8 | usize::from(*octet));
            (2 + octets, length)
        }
    };
    der[header..].split_at(length)
}

fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let bits = (0..3).fold(0u32, |bits, index| {
            bits << 8 | u32::from(group.get(index).copied().unwrap_or(0))
        });
        for index in 0..4 {
            if index <= group.len() {
                text.push(char::from(
                    ALPHABET[(bits >> (18 - 6 * index)) as usize & 63],
                ));
            } else {
                text.push('=');
            }
        }
    }
    text
}

fn trusting(authority: &Authority) -> ClientTls {
    ClientTls::new()
        .without_system_roots()
        .authority(Pem::Text(authority.pem()))
}

#[tokio::test]
async fn shows_the_certificate_that_the_server_demands() {
    let servers = Authority::new("servers");
    let clients = Authority::new("clients");
    let server = servers.issue(for_host("localhost"));
    let client = clients.issue(for_host("tributary"));
    let tls = trusting(&servers).client_certificate(
        Pem::Text(client.pem.clone()),
        Pem::Text(client.key.serialize_pem().replace('\n', " ")),
    );
    connect(&tls, server.strict_server(&clients)).await.unwrap();
}

#[tokio::test]
async fn says_that_the_server_demands_a_certificate() {
    let servers = Authority::new("servers");
    let clients = Authority::new("clients");
    let server = servers.issue(for_host("localhost"));
    let error = connect(&trusting(&servers), server.strict_server(&clients))
        .await
        .unwrap_err();
    assert!(error.contains("may demand a client certificate"), "{error}");
}

#[tokio::test]
async fn says_that_the_server_refuses_the_certificate() {
    let servers = Authority::new("servers");
    let clients = Authority::new("clients");
    let server = servers.issue(for_host("localhost"));
    let stranger = Authority::new("strangers").issue(for_host("tributary"));
    let tls = trusting(&servers).client_certificate(
        Pem::Text(stranger.pem.clone()),
        Pem::Text(stranger.key.serialize_pem()),
    );
    let error = connect(&tls, server.strict_server(&clients))
        .await
        .unwrap_err();
    assert!(error.contains("refused our client certificate"), "{error}");
}

#[tokio::test]
async fn reads_keys_in_every_form_from_files() {
    let servers = Authority::new("servers");
    let clients = Authority::new("clients");
    let server = servers.issue(for_host("localhost"));
    let folder = tempfile::tempdir().unwrap();
    for (key, text) in [
        traditional_key(&PKCS_RSA_SHA256, "RSA PRIVATE KEY"),
        traditional_key(&PKCS_ECDSA_P256_SHA256, "EC PRIVATE KEY"),
    ] {
        let certificate = for_host("tributary").signed_by(&key, &clients.0).unwrap();
        let certificate_path = folder.path().join("client.pem");
        let key_path = folder.path().join("client.key");
        std::fs::write(&certificate_path, certificate.pem()).unwrap();
        std::fs::write(&key_path, text).unwrap();
        let tls =
            trusting(&servers).client_certificate(Pem::File(certificate_path), Pem::File(key_path));
        connect(&tls, server.strict_server(&clients)).await.unwrap();
    }
}

#[test]
fn says_that_key_and_certificate_do_not_match() {
    let clients = Authority::new("clients");
    let client = clients.issue(for_host("tributary"));
    for algorithm in [&PKCS_RSA_SHA256, &PKCS_ECDSA_P256_SHA256] {
        let other = KeyPair::generate_for(algorithm).unwrap().serialize_pem();
        let error = ClientTls::new()
            .client_certificate(Pem::Text(client.pem.clone()), Pem::Text(other))
            .build()
            .unwrap_err();
        assert!(matches!(error, TlsError::KeyMismatch), "{error}");
    }
}

#[test]
fn says_which_of_the_two_is_wrong() {
    let clients = Authority::new("clients");
    let client = clients.issue(for_host("tributary"));
    let certificate = Pem::Text(client.pem.clone());
    let swapped = ClientTls::new()
        .client_certificate(Pem::Text(client.key.serialize_pem()), certificate.clone())
        .build()
        .unwrap_err()
        .to_string();
    assert!(swapped.contains("client certificate text"), "{swapped}");
    let no_key = ClientTls::new()
        .client_certificate(certificate.clone(), certificate)
        .build()
        .unwrap_err()
        .to_string();
    assert!(
        no_key.contains("no private key was found in it, only: CERTIFICATE"),
        "{no_key}"
    );
}
