//! Logging in, TLS, and the words for what goes wrong.

use crate::support::{Configured, gaps, server};
use tributary_sdk::{Error, ErrorKind};
use tributary_testkit::{
    certificates::{Authority, Certificate, self_signed_authority},
    servers::{Postgres, PostgresAuthentication, PostgresOptions, PostgresTls, free_port},
};

async fn refusal(configured: &Configured) -> Error {
    let error = configured.build().ping().await.unwrap_err();
    let opened = configured.try_open().await.err().unwrap();
    assert_eq!(opened.to_string(), error.to_string());
    assert!(!format!("{error:?}").contains("changeme"), "{error:?}");
    error
}

#[tokio::test]
async fn refusals_name_the_thing() {
    let server = server().await;
    let configured = Configured::new(server, "public");
    configured.build().ping().await.unwrap();
    let place = format!("127.0.0.1:{}", server.port());
    let closed = free_port().unwrap();
    for (field, value, kind, part) in [
        (
            "password",
            "wrong".into(),
            ErrorKind::Unauthorised,
            format!("wrong password for user admin at {place}"),
        ),
        (
            "username",
            "nobody".into(),
            ErrorKind::Unauthorised,
            format!("user nobody at {place}"),
        ),
        (
            "database",
            "absent".into(),
            ErrorKind::InvalidConfig,
            format!("there is no database absent at {place}"),
        ),
        (
            "host",
            "absent.invalid".into(),
            ErrorKind::Unavailable,
            "the host absent.invalid cannot be found".into(),
        ),
        (
            "port",
            closed.into(),
            ErrorKind::Unavailable,
            format!("nothing accepts connections at 127.0.0.1:{closed}"),
        ),
        (
            "host",
            "/nonexistent".into(),
            ErrorKind::Unavailable,
            "there is no socket of a server at /nonexistent".into(),
        ),
    ] {
        let value: serde_json::Value = value;
        let error = refusal(&configured.clone().with(field, value)).await;
        assert_eq!(error.kind(), kind, "{error:?}");
        assert!(error.to_string().contains(&part), "{error}");
    }
}

#[tokio::test]
async fn names_and_passwords_may_hold_anything() {
    let server = server().await;
    let (user, password, database) = ("us@er:/#%'\" x", "p@:/#%'\" \\ß", "da@ta:/?'\" b");
    let sql = format!(
        "CREATE ROLE \"{0}\" LOGIN PASSWORD '{1}'; CREATE DATABASE \"{2}\"",
        user.replace('"', "\"\""),
        password.replace('\'', "''"),
        database.replace('"', "\"\"")
    );
    for statement in sql.split("; ") {
        server.psql(statement).await.unwrap();
    }
    let configured = Configured::new(server, "public");
    let configured = configured
        .with("username", user)
        .with("password", password)
        .with("database", database);
    configured.build().ping().await.unwrap();
    let folder = server.psql("SHOW unix_socket_directories").await.unwrap();
    Configured::new(server, "public")
        .with("host", folder)
        .build()
        .ping()
        .await
        .unwrap();
}

#[tokio::test]
async fn each_way_to_log_in_works() {
    for authentication in [
        PostgresAuthentication::Md5,
        PostgresAuthentication::ClearText,
        PostgresAuthentication::Trust,
    ] {
        let options = PostgresOptions {
            authentication,
            ..Default::default()
        };
        let server = Postgres::start(options).await.unwrap();
        Configured::new(&server, "public")
            .build()
            .ping()
            .await
            .unwrap();
    }
}

async fn with_tls(certificate: &Certificate, required: bool) -> Postgres {
    let tls = PostgresTls {
        certificate_pem: certificate.certificate_pem.clone(),
        key_pem: certificate.key_pem.clone(),
        client_authority_pem: None,
        required,
    };
    let server = Postgres::start(PostgresOptions {
        tls: Some(tls),
        ..Default::default()
    })
    .await
    .unwrap();
    server
        .psql("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)")
        .await
        .unwrap();
    server
}

#[tokio::test]
async fn a_verified_connection_needs_the_right_authority() {
    let authority = Authority::new("ours").unwrap();
    let server = with_tls(&authority.server().unwrap(), true).await;
    let configured = Configured::new(&server, "public");
    let verified = configured.clone().with("ssl_enabled", true);

    let walked = verified
        .clone()
        .with("ssl_ca", authority.pem())
        .walk()
        .await;
    assert_eq!((walked.documents.len(), gaps(&walked).len()), (1, 0));
    // As forms send it.
    let one_line = authority.pem().replace('\n', " ");
    verified
        .clone()
        .with("ssl_ca", one_line)
        .build()
        .ping()
        .await
        .unwrap();
    // Without verification a server that demands TLS is reached all the same.
    configured.build().ping().await.unwrap();

    let other = Authority::new("ours").unwrap();
    let error = refusal(&verified.clone().with("ssl_ca", other.pem())).await;
    assert_eq!(error.kind(), ErrorKind::InvalidConfig);
    assert!(
        error.to_string().contains("not trusted") && error.to_string().contains("ssl_ca"),
        "{error}"
    );
    let error = refusal(&verified.with("ssl_ca", "no certificate")).await;
    assert_eq!(error.kind(), ErrorKind::InvalidConfig);
    assert!(
        error
            .to_string()
            .contains("'SSL certificate' cannot be used"),
        "{error}"
    );
}

#[tokio::test]
async fn certificates_that_are_not_right_are_told_apart() {
    let authority = Authority::new("ours").unwrap();
    for (certificate, part) in [
        (authority.expired().unwrap(), "has expired"),
        (authority.wrong_host().unwrap(), "wrong.example"),
    ] {
        let server = with_tls(&certificate, false).await;
        let configured = Configured::new(&server, "public");
        configured.build().ping().await.unwrap();
        let error = refusal(
            &configured
                .with("ssl_enabled", true)
                .with("ssl_ca", authority.pem()),
        )
        .await;
        assert_eq!(error.kind(), ErrorKind::InvalidConfig);
        assert!(error.to_string().contains(part), "{error}");
    }
}

#[tokio::test]
async fn a_certificate_that_signed_itself_can_be_trusted() {
    let certificate = self_signed_authority().unwrap();
    let server = with_tls(&certificate, true).await;
    let verified = Configured::new(&server, "public").with("ssl_enabled", true);
    verified
        .with("ssl_ca", certificate.certificate_pem)
        .build()
        .ping()
        .await
        .unwrap();
}

#[tokio::test]
async fn a_server_without_tls_is_told() {
    let authority = Authority::new("ours").unwrap();
    let configured = Configured::new(server().await, "public").with("ssl_enabled", true);
    let error = refusal(&configured.with("ssl_ca", authority.pem())).await;
    assert_eq!(error.kind(), ErrorKind::InvalidConfig);
    assert!(error.to_string().contains("offers no TLS"), "{error}");
}

#[tokio::test]
async fn a_server_that_wants_no_tls_gets_none() {
    let certificate = Authority::new("ours").unwrap().server().unwrap();
    let tls = PostgresTls {
        certificate_pem: certificate.certificate_pem,
        key_pem: certificate.key_pem,
        client_authority_pem: None,
        required: false,
    };
    let options = PostgresOptions {
        tls: Some(tls),
        access_rules: Some(vec!["hostnossl all all 127.0.0.1/32 scram-sha-256".into()]),
        ..Default::default()
    };
    let server = Postgres::start(options).await.unwrap();
    let configured = Configured::new(&server, "public");
    configured.build().ping().await.unwrap();
    let error = configured
        .with("password", "wrong")
        .build()
        .ping()
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unauthorised);
}

#[tokio::test]
async fn an_account_that_is_kept_out_is_told() {
    let options = PostgresOptions {
        access_rules: Some(vec!["host all someone 127.0.0.1/32 scram-sha-256".into()]),
        ..Default::default()
    };
    let server = Postgres::start(options).await.unwrap();
    let error = refusal(&Configured::new(&server, "public")).await;
    assert_eq!(error.kind(), ErrorKind::Unauthorised);
    assert!(error.to_string().contains("refuses user admin"), "{error}");
}
