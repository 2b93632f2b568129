use super::{errors, parse, warnings};
use crate::config::Credentials;
use tributary_sdk::Secret;

#[test]
fn a_wrong_type_names_key_value_and_place() {
    assert_eq!(
        errors("elasticsearch:\n\n  request_timeout: abc\n"),
        [
            "elasticsearch.request_timeout: must be a number of seconds above 0, got 'abc' (line 3, column 20)"
        ]
    );
}

#[test]
fn everything_wrong_is_reported_together_in_the_order_of_the_text() {
    let text = "service:\n  idling: soon\n  worker_mode: perhaps\nelasticsearch:\n  host: localhost:9200\n  bulk: 5\nconnectors: many\nsources: [a]\n";
    let errors = errors(text);
    let keys: Vec<&str> = errors
        .iter()
        .map(|error| error.split(": ").next().unwrap())
        .collect();
    assert_eq!(
        keys,
        [
            "service.idling",
            "service.worker_mode",
            "elasticsearch.host",
            "elasticsearch.bulk",
            "connectors",
            "sources"
        ],
        "{errors:?}"
    );
    assert!(
        errors[3].contains("must be a mapping of keys and values, got '5'"),
        "{errors:?}"
    );
}

#[test]
fn bad_yaml_names_line_and_column_and_hides_the_text() {
    for (text, expected) in [
        (
            "a: 1\nb: [1, 2\n",
            "unclosed bracket '[' (line 2, column 4)",
        ),
        ("a:\n\t- b\n", "spaces"),
        ("elasticsearch:\n  password: *hunter2\n", "quotes"),
        ("elasticsearch:\n  password: @hunter2\n", "quotes"),
        ("password: !hunter2\n", "quote"),
        ("a: b: c\n", "quotes"),
        ("elasticsearch:\n  password: \"hunter2\n", "line"),
        ("just words", "`key: value`"),
        ("- a\n- b\n", "`key: value`"),
        ("a: 1\n---\nb: 2\n", "second YAML document"),
        ("? [a]\n: b\n", "a key must be a word"),
        ("a: &a [*a]\n", "inside what it stands for"),
        ("a: &a 1\n<<: *a\n", "`<<` must be followed by a mapping"),
    ] {
        let errors = errors(text);
        assert_eq!(errors.len(), 1, "{text}: {errors:?}");
        assert!(errors[0].contains(expected), "{text}: {errors:?}");
        assert!(errors[0].contains("(line "), "{text}: {errors:?}");
        assert!(!errors[0].contains("hunter2"), "{text}: {errors:?}");
    }
}

#[test]
fn bombs_and_towers_are_refused() {
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        let below = format!("*a{}, ", level - 1).repeat(9);
        bomb.push_str(&format!("a{level}: &a{level} [{below}]\n"));
    }
    assert!(errors(&bomb)[0].contains("more than 50000 values"));
    let tower = format!("a: {}{}", "[".repeat(200), "]".repeat(200));
    assert!(errors(&tower)[0].contains("nested too deeply"));
    let mut ladder = "a0: &a0 [x]\n".to_owned();
    for level in 1..100 {
        ladder.push_str(&format!("a{level}: &a{level} [*a{}]\n", level - 1));
    }
    assert!(errors(&ladder)[0].contains("nested too deeply"));
    assert!(errors(&"#".repeat(2_000_000))[0].contains("larger than 1 MiB"));
    // Dotted keys add levels of their own; the deepest that are possible must not harm the stack.
    let deep: String = (0..31)
        .map(|level| format!("{}x{}:\n", " ".repeat(level), ".x".repeat(15)))
        .collect();
    parse(&format!("{deep}{}x: 1\n", " ".repeat(31)));
    // A long dotted key is one unknown word.
    parse(&format!("{}: 1", vec!["a"; 400].join(".")));
}

#[test]
fn addresses_must_have_a_scheme_and_a_host() {
    for host in [
        "localhost:9200",
        "es",
        "ftp://es",
        "http://",
        "https://es?x=1",
        "[a]",
    ] {
        let errors = errors(&format!("elasticsearch.host: {host}"));
        assert!(
            errors[0].starts_with("elasticsearch.host: must "),
            "{errors:?}"
        );
    }
    for (host, expected) in [
        ("https://es:9200/", "https://es:9200"),
        ("https://proxy/es/", "https://proxy/es"),
        ("http://[::1]:9200", "http://[::1]:9200"),
    ] {
        assert_eq!(
            parse(&format!("elasticsearch.host: {host}"))
                .elasticsearch
                .host,
            expected
        );
    }
}

#[test]
fn credentials_in_the_address_are_taken_out_of_it() {
    let config = parse("elasticsearch.host: https://me:p%40ss@es:9200/path/");
    assert_eq!(config.elasticsearch.host, "https://es:9200/path");
    assert_eq!(
        config.elasticsearch.credentials,
        Credentials::Basic {
            username: "me".to_owned(),
            password: Secret::new("p@ss")
        }
    );
    assert!(!format!("{config:?}").contains("p@ss"));
    let error = &errors("elasticsearch.host: ftp://me:hunter2@es")[0];
    assert!(!error.contains("hunter2"), "{error}");
    let text = "elasticsearch: {host: 'https://me:pass@es', api_key: key}";
    assert!(warnings(text)[0].contains("are not used"));
}

#[test]
fn an_api_key_wins_over_a_password() {
    let text = "elasticsearch: {username: u, password: p, api_key: key}";
    assert_eq!(
        parse(text).elasticsearch.credentials,
        Credentials::ApiKey(Secret::new("key"))
    );
}

#[test]
fn certificates_come_in_pairs_and_keys_without_passphrase() {
    assert!(
        errors("elasticsearch.client_cert: a.pem")[0].contains("needs elasticsearch.client_key")
    );
    assert!(
        errors("elasticsearch.client_key: a.pem")[0].contains("needs elasticsearch.client_cert")
    );
    let text =
        "elasticsearch: {client_cert: a.pem, client_key: a.key, client_key_passphrase: hunter2}";
    let errors = errors(text);
    assert_eq!(errors.len(), 1);
    assert!(errors[0].contains("openssl pkey"), "{errors:?}");
    assert!(!errors[0].contains("hunter2"), "{errors:?}");
}

#[test]
fn a_fingerprint_is_checked() {
    let good = "AB:".repeat(31) + "AB";
    parse(&format!("elasticsearch.ca_fingerprint: {good}"));
    for bad in ["AB:CD", "xyz", &"0".repeat(40)] {
        assert!(
            errors(&format!("elasticsearch.ca_fingerprint: '{bad}'"))[0].contains("64 hex digits")
        );
    }
}

#[test]
fn validated_cryptography_cannot_be_promised() {
    assert!(errors("service.fips_mode: true")[0].contains("no FIPS-validated"));
}

#[test]
fn a_switch_that_does_nothing_is_mentioned() {
    assert!(warnings("elasticsearch: {ssl: false, host: 'https://es'}")[0].contains("TLS is used"));
    parse("elasticsearch: {ssl: false}");
}
