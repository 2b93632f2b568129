//! Certificates towards the server, with and without a proxy between.

use crate::fake::Fake;
use tributary_elastic::{Client, Connection, Pem, ProxySettings, RequestErrorKind, TlsSettings};
use tributary_sdk::Secret;
use tributary_testkit::{
    certificates::{Authority, Certificate, self_signed_authority, server_config},
    faults::FaultProxy,
    forward_proxy::ForwardProxy,
};

async fn server(certificate: &Certificate, clients: Option<&str>) -> (Fake, FaultProxy) {
    let fake = Fake::start([]).await;
    let config = server_config(certificate, clients).unwrap();
    let front = FaultProxy::start_tls(fake.address(), config).await.unwrap();
    (fake, front)
}

fn client(url: &str, tls: TlsSettings) -> Client {
    let mut connection = Connection::new(url);
    connection.tls = tls;
    Client::new(connection).unwrap()
}

fn trusting(pem: &str) -> TlsSettings {
    TlsSettings {
        ca: Some(Pem::Text(pem.to_owned())),
        ..TlsSettings::default()
    }
}

#[tokio::test]
async fn trusts_what_is_configured_and_nothing_else() {
    let authority = Authority::new("ours").unwrap();
    let other = Authority::new("other").unwrap();
    let good = authority.server().unwrap();
    let (_fake, front) = server(&good, None).await;
    for tls in [
        trusting(authority.pem()),
        TlsSettings {
            fingerprint: Some(good.fingerprint()),
            ..TlsSettings::default()
        },
        TlsSettings {
            verify: false,
            ..TlsSettings::default()
        },
    ] {
        let info = client(&front.url(), tls).info().await.unwrap().clone();
        assert_eq!(info.version, "9.1.0");
    }
    let wrong_host = authority.wrong_host().unwrap();
    let expired = authority.expired().unwrap();
    for (certificate, tls, words) in [
        (&good, TlsSettings::default(), "not trusted"),
        (&good, trusting(other.pem()), "not trusted"),
        (&wrong_host, trusting(authority.pem()), "not for"),
        (&expired, trusting(authority.pem()), "expired"),
        (
            &good,
            TlsSettings {
                fingerprint: Some(wrong_host.fingerprint()),
                ..TlsSettings::default()
            },
            "fingerprint",
        ),
    ] {
        let (_fake, front) = server(certificate, None).await;
        let error = client(&front.url(), tls).info().await.unwrap_err();
        assert_eq!(error.kind, RequestErrorKind::Unreachable, "{error}");
        assert!(error.message.contains(words), "{words}: {error}");
    }
}

/// What `openssl req -x509` makes, and users configure as its own authority.
#[tokio::test]
async fn trusts_a_self_signed_certificate_that_is_an_authority() {
    let certificate = self_signed_authority().unwrap();
    let (_fake, front) = server(&certificate, None).await;
    let good = client(&front.url(), trusting(&certificate.certificate_pem));
    good.ping().await.unwrap();
    let error = client(&front.url(), TlsSettings::default())
        .ping()
        .await
        .unwrap_err();
    assert!(error.message.contains("CA certificate"), "{error}");
}

#[tokio::test]
async fn shows_its_own_certificate_through_a_proxy_too() {
    let authority = Authority::new("ours").unwrap();
    let (_fake, front) = server(&authority.server().unwrap(), Some(authority.pem())).await;
    let mine = authority.client("tributary").unwrap();
    let with_certificate = TlsSettings {
        client_certificate: Some((Pem::Text(mine.certificate_pem), Pem::Text(mine.key_pem))),
        ..trusting(authority.pem())
    };
    client(&front.url(), with_certificate.clone())
        .ping()
        .await
        .unwrap();
    let without = client(&front.url(), trusting(authority.pem()));
    let error = without.ping().await.unwrap_err();
    assert!(error.message.contains("client certificate"), "{error}");

    let proxy = ForwardProxy::start_with_password("user", "p w")
        .await
        .unwrap();
    let through = |url: String| {
        let mut connection = Connection::new(front.url());
        connection.tls = with_certificate.clone();
        connection.proxy = Some(ProxySettings {
            url: Secret::new(url),
            no_proxy: None,
        });
        Client::new(connection).unwrap()
    };
    let address = format!("127.0.0.1:{}", proxy.port());
    through(format!("http://user:p%20w@{address}"))
        .ping()
        .await
        .unwrap();
    assert!(proxy.requests()[0].let_through);
    assert_eq!(proxy.requests()[0].method, "CONNECT");
    let error = through(format!("http://{address}"))
        .ping()
        .await
        .unwrap_err();
    assert!(error.message.contains("(407)"), "{error}");
}
