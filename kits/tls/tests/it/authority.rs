use crate::handshake::{
    Authority, Identity, connect, exchange, expired, for_host, marked_as_authority,
};
use tributary_tls::{ClientTls, Pem, TlsError};

fn trusting(pem: &str) -> ClientTls {
    ClientTls::new()
        .without_system_roots()
        .authority(Pem::Text(pem.to_owned()))
}

#[tokio::test]
async fn accepts_a_certificate_of_the_configured_authority() {
    let authority = Authority::new("right");
    let server = authority.issue(for_host("localhost"));
    connect(&trusting(&authority.pem()), server.server())
        .await
        .unwrap();
}

#[tokio::test]
async fn accepts_one_line_pem_beside_the_system_store() {
    let authority = Authority::new("right");
    let server = authority.issue(for_host("localhost"));
    let one_line = authority.pem().replace('\n', " ");
    let tls = ClientTls::new().authority(Pem::Text(one_line));
    connect(&tls, server.server()).await.unwrap();
}

#[tokio::test]
async fn accepts_an_authority_from_a_file_among_others() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bundle.pem");
    let authority = Authority::new("right");
    let bundle = format!("{}{}", Authority::new("other").pem(), authority.pem());
    std::fs::write(&path, bundle).unwrap();
    let server = authority.issue(for_host("localhost"));
    let tls = ClientTls::new()
        .without_system_roots()
        .authority(Pem::File(path));
    connect(&tls, server.server()).await.unwrap();
}

#[tokio::test]
async fn refuses_an_unknown_authority() {
    let server = Authority::new("wrong").issue(for_host("localhost"));
    for tls in [
        trusting(&Authority::new("right").pem()),
        // Same name, other key.
        trusting(&Authority::new("wrong").pem()),
        ClientTls::new(),
    ] {
        let error = connect(&tls, server.server()).await.unwrap_err();
        assert!(error.contains("not trusted"), "{error}");
    }
}

#[tokio::test]
async fn refuses_another_host_and_names_both() {
    let authority = Authority::new("right");
    let server = authority.issue(for_host("db.example.org"));
    let error = connect(&trusting(&authority.pem()), server.server())
        .await
        .unwrap_err();
    assert!(error.contains("localhost"), "{error}");
    assert!(error.contains("db.example.org"), "{error}");
}

#[tokio::test]
async fn refuses_an_expired_certificate() {
    let authority = Authority::new("right");
    let server = authority.issue(expired(for_host("localhost")));
    let error = connect(&trusting(&authority.pem()), server.server())
        .await
        .unwrap_err();
    assert!(error.contains("expired"), "{error}");
}

#[tokio::test]
async fn accepts_a_self_signed_certificate_that_is_configured() {
    for params in [
        for_host("localhost"),
        marked_as_authority(for_host("localhost")),
    ] {
        let server = Identity::self_signed(params);
        connect(&trusting(&server.pem), server.server())
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn accepts_a_configured_certificate_whose_issuer_is_unknown() {
    let server = Authority::new("unknown").issue(for_host("localhost"));
    connect(&trusting(&server.pem), server.server())
        .await
        .unwrap();
}

#[tokio::test]
async fn refuses_a_self_signed_certificate_that_is_not_configured() {
    let server = Identity::self_signed(marked_as_authority(for_host("localhost")));
    let other = Identity::self_signed(marked_as_authority(for_host("localhost")));
    let error = connect(&trusting(&other.pem), server.server())
        .await
        .unwrap_err();
    assert!(error.contains("as its own"), "{error}");
}

#[tokio::test]
async fn checks_the_name_of_a_configured_certificate() {
    for params in [
        for_host("db.example.org"),
        marked_as_authority(for_host("db.example.org")),
    ] {
        let server = Identity::self_signed(params);
        let error = connect(&trusting(&server.pem), server.server())
            .await
            .unwrap_err();
        assert!(error.contains("not for localhost"), "{error}");
    }
}

#[tokio::test]
async fn checks_the_dates_of_a_configured_certificate() {
    let unknown = Authority::new("unknown");
    let mut early = marked_as_authority(for_host("localhost"));
    early.not_before = rcgen::date_time_ymd(2999, 1, 1);
    early.not_after = rcgen::date_time_ymd(3000, 1, 1);
    for (server, expected) in [
        (
            Identity::self_signed(expired(marked_as_authority(for_host("localhost")))),
            "expired",
        ),
        (
            Identity::self_signed(expired(for_host("localhost"))),
            "expired",
        ),
        (unknown.issue(expired(for_host("localhost"))), "expired"),
        (Identity::self_signed(early), "not valid yet"),
    ] {
        let error = connect(&trusting(&server.pem), server.server())
            .await
            .unwrap_err();
        assert!(error.contains(expected), "{error}");
    }
}

#[tokio::test]
async fn accepts_anything_when_told_so() {
    let tls = ClientTls::new().without_verification();
    assert!(!tls.verifies());
    let server = Identity::self_signed(expired(for_host("elsewhere.example.org")));
    connect(&tls, server.server()).await.unwrap();
}

#[test]
fn builds_with_the_system_store_or_its_replacement() {
    ClientTls::new().build().unwrap();
}

#[test]
fn says_that_nothing_is_trusted() {
    let error = ClientTls::new().without_system_roots().build().unwrap_err();
    assert!(matches!(error, TlsError::NothingTrusted), "{error}");
}

#[test]
fn says_that_a_pem_holds_no_real_certificate() {
    let text = "-----BEGIN CERTIFICATE-----\naGVsbG8=\n-----END CERTIFICATE-----";
    let error = trusting(text).build().unwrap_err().to_string();
    assert!(
        error.contains("no certificate in it can be parsed"),
        "{error}"
    );
}

#[tokio::test]
async fn passes_over_an_odd_certificate_in_a_bundle() {
    let authority = Authority::new("right");
    let odd = "-----BEGIN CERTIFICATE-----\naGVsbG8=\n-----END CERTIFICATE-----\n";
    let server = authority.issue(for_host("localhost"));
    let tls = trusting(&format!("{odd}{}", authority.pem()));
    connect(&tls, server.server()).await.unwrap();
}

#[tokio::test]
async fn offers_the_protocols_it_was_given() {
    let authority = Authority::new("right");
    let mut server = authority.issue(for_host("localhost")).server();
    server.alpn_protocols = vec![b"h2".to_vec()];
    let tls = trusting(&authority.pem());
    let with = |protocol| tls.clone().alpn([protocol]).build().unwrap();
    exchange(with("h2"), server.clone()).await.unwrap();
    // RFC 7301, section 3.2: no protocol in common ends the handshake.
    exchange(with("http/1.1"), server).await.unwrap_err();
}

#[test]
fn the_provider_can_be_installed_twice() {
    tributary_tls::install_provider();
    tributary_tls::install_provider();
    assert!(rustls::crypto::CryptoProvider::get_default().is_some());
}
