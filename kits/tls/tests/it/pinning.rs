use crate::handshake::{Authority, Identity, connect, expired, for_host, marked_as_authority};
use tributary_tls::{ClientTls, Fingerprint, Pem};

fn pinned(der: &[u8]) -> ClientTls {
    ClientTls::new().fingerprint(Fingerprint::of(der).to_string())
}

#[tokio::test]
async fn accepts_the_pinned_certificate_whatever_it_says() {
    for params in [
        for_host("localhost"),
        for_host("elsewhere.example.org"),
        marked_as_authority(for_host("localhost")),
        expired(for_host("localhost")),
    ] {
        let server = Identity::self_signed(params);
        let tls = pinned(&server.chain[0]);
        assert!(tls.verifies());
        connect(&tls, server.server()).await.unwrap();
    }
}

#[tokio::test]
async fn a_pin_counts_even_if_verification_is_off() {
    let server = Identity::self_signed(for_host("localhost"));
    let other = Identity::self_signed(for_host("localhost"));
    let tls = pinned(&other.chain[0]).without_verification();
    assert!(tls.verifies());
    connect(&tls, server.server()).await.unwrap_err();
}

#[tokio::test]
async fn refuses_another_certificate_and_shows_both_fingerprints() {
    let server = Identity::self_signed(for_host("localhost"));
    let other = Identity::self_signed(for_host("localhost"));
    let error = connect(&pinned(&other.chain[0]), server.server())
        .await
        .unwrap_err();
    for identity in [&server, &other] {
        let shown = Fingerprint::of(&identity.chain[0]).to_string();
        assert!(error.contains(&shown), "{error}");
    }
}

#[tokio::test]
async fn a_pinned_fingerprint_replaces_other_trust() {
    let authority = Authority::new("right");
    let server = authority.issue(for_host("localhost"));
    let other = Identity::self_signed(for_host("localhost"));
    let tls = pinned(&other.chain[0]).authority(Pem::Text(authority.pem()));
    connect(&tls, server.server()).await.unwrap_err();
}

#[tokio::test]
async fn accepts_a_server_of_the_pinned_authority() {
    let authority = Authority::new("right");
    let mut server = authority.issue(for_host("localhost"));
    let tls = pinned(&authority.der());

    // GIVEN a server that does not send its authority along
    let error = connect(&tls, server.server()).await.unwrap_err();
    assert!(error.contains("pinned fingerprint"), "{error}");
    // WHEN the authority is configured beside the pin THEN it is found there
    let with_authority = tls.clone().authority(Pem::Text(authority.pem()));
    connect(&with_authority, server.server()).await.unwrap();

    // GIVEN a server that sends it
    server.chain.push(authority.der());
    connect(&tls, server.server()).await.unwrap();
}

#[tokio::test]
async fn refuses_a_foreign_server_that_sends_the_pinned_authority_along() {
    let authority = Authority::new("right");
    let mut impostor = Authority::new("right").issue(for_host("localhost"));
    impostor.chain.push(authority.der());
    connect(&pinned(&authority.der()), impostor.server())
        .await
        .unwrap_err();
}

#[tokio::test]
async fn checks_name_and_dates_below_a_pinned_authority() {
    let authority = Authority::new("right");
    for (params, expected) in [
        (for_host("elsewhere.example.org"), "not for localhost"),
        (expired(for_host("localhost")), "expired"),
    ] {
        let mut server = authority.issue(params);
        server.chain.push(authority.der());
        let error = connect(&pinned(&authority.der()), server.server())
            .await
            .unwrap_err();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn says_that_a_fingerprint_is_not_one() {
    let error = ClientTls::new().fingerprint("AB:CD").build().unwrap_err();
    assert!(error.to_string().contains("64 hex digits"), "{error}");
}
