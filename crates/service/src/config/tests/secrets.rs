use super::FakeEnvironment;
use crate::config::{ClientCertificate, Config, Credentials, Pem};
use std::path::PathBuf;
use tributary_sdk::Secret;

fn environment() -> FakeEnvironment {
    FakeEnvironment {
        variables: [("FOLDER", "/run/secrets")].into(),
        files: [
            ("/run/secrets/password", "from file\r\n"),
            ("/run/secrets/empty", "\n"),
            ("/run/secrets/dollar", "pa${NOT_SET}ss"),
        ]
        .into(),
        commands: [("pass show es", "from command\n")].into(),
    }
}

fn parse(text: &str) -> Config {
    Config::parse(text, &environment())
        .unwrap_or_else(|errors| panic!("{errors}\n{text}"))
        .config
}

fn password(text: &str) -> String {
    match parse(text).elasticsearch.credentials {
        Credentials::Basic { password, .. } => password.expose().to_owned(),
        other => panic!("{other:?}"),
    }
}

fn error(text: &str) -> String {
    Config::parse(text, &environment()).unwrap_err().to_string()
}

#[test]
fn secrets_come_from_text_file_or_command() {
    for (text, expected) in [
        ("elasticsearch.password: plain", "plain"),
        ("elasticsearch.password: 0123", "0123"),
        (
            "elasticsearch.password: {file: /run/secrets/password}",
            "from file",
        ),
        (
            "elasticsearch.password.file: /run/secrets/password",
            "from file",
        ),
        (
            "elasticsearch.password: {file: '${FOLDER}/password'}",
            "from file",
        ),
        (
            "elasticsearch.password: {command: pass show es}",
            "from command",
        ),
        // What a file holds is not looked at for variables.
        (
            "elasticsearch.password: {file: /run/secrets/dollar}",
            "pa${NOT_SET}ss",
        ),
    ] {
        assert_eq!(password(text), expected, "{text}");
    }
}

#[test]
fn keys_of_connectors_and_headers_too() {
    let config = parse(
        "elasticsearch:\n  api_key: {command: pass show es}\n  headers:\n    X-One: 1\n    X.Two: two\n    Authorization: {file: /run/secrets/password}\nconnectors:\n  - {connector_id: a, service_type: dir, api_key: {file: /run/secrets/password}}\n",
    );
    assert_eq!(
        config.elasticsearch.credentials,
        Credentials::ApiKey(Secret::new("from command"))
    );
    let headers: Vec<(&str, &str)> = config
        .elasticsearch
        .headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.expose()))
        .collect();
    assert_eq!(
        headers,
        [
            ("Authorization", "from file"),
            ("X-One", "1"),
            ("X.Two", "two")
        ]
    );
    assert_eq!(config.connectors[0].api_key, Some(Secret::new("from file")));
    let shown = format!("{config:?}");
    assert!(
        !shown.contains("from file") && !shown.contains("from command"),
        "{shown}"
    );
}

#[test]
fn pem_is_a_path_or_a_text() {
    let config = parse(
        "elasticsearch:\n  ca_certs: /etc/ca.pem\n  client_cert: \"-----BEGIN CERTIFICATE-----\"\n  client_key: {command: pass show es}\n",
    );
    assert_eq!(
        config.elasticsearch.ca_certs,
        Some(Pem::File(PathBuf::from("/etc/ca.pem")))
    );
    assert_eq!(
        config.elasticsearch.client_certificate,
        Some(ClientCertificate {
            certificate: Pem::Text(Secret::new("-----BEGIN CERTIFICATE-----")),
            key: Pem::Text(Secret::new("from command")),
        })
    );
}

#[test]
fn what_cannot_be_fetched_is_said_without_showing_it() {
    for (text, expected) in [
        (
            "elasticsearch.password: {file: /run/secrets/none}",
            "elasticsearch.password: cannot read the file /run/secrets/none: no such file (line 1",
        ),
        (
            "elasticsearch.password: {file: /run/secrets/empty}",
            "elasticsearch.password: the file it is taken from gave nothing",
        ),
        (
            "elasticsearch.api_key: {command: 'login --password hunter2'}",
            "elasticsearch.api_key: cannot take the value from its command: it failed",
        ),
        (
            "elasticsearch.password: {vault: hunter2}",
            "{file: path} or {command: line}",
        ),
        (
            "elasticsearch.password: {file: a, command: b}",
            "{file: path} or {command: line}",
        ),
        (
            "elasticsearch.password: [hunter2]",
            "{file: path} or {command: line}",
        ),
        (
            "connectors: [{connector_id: a, service_type: b, api_key: [hunter2]}]",
            "connectors[0].api_key: must be a text",
        ),
        (
            "elasticsearch.headers: {X-A: [hunter2]}",
            "elasticsearch.headers.X-A: must be a text",
        ),
        (
            "elasticsearch.headers: hunter2",
            "must be a mapping of header names",
        ),
        (
            "elasticsearch.proxy: 'user:hunter2@proxy'",
            "must begin with http://",
        ),
    ] {
        let error = error(text);
        assert!(error.contains(expected), "{text}: {error}");
        assert!(!error.contains("hunter2"), "{text}: {error}");
    }
}

#[test]
fn a_proxy_keeps_its_password_to_itself() {
    let config = parse(
        "elasticsearch: {proxy: 'http://u:hunter2@proxy:3128', no_proxy: 'localhost, .example.org'}",
    );
    let proxy = config.elasticsearch.proxy.clone().unwrap();
    assert_eq!(proxy.expose(), "http://u:hunter2@proxy:3128");
    assert_eq!(config.elasticsearch.no_proxy, ["localhost", ".example.org"]);
    assert!(!format!("{config:?}").contains("hunter2"));
}
