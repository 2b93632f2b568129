use super::{parse, try_parse};
use crate::config::{Config, example, known_keys};
use std::path::Path;

#[test]
fn the_example_gives_the_defaults() {
    assert_eq!(parse(&example()), Config::default());
}

#[test]
fn the_samples_of_the_example_can_be_used() {
    // Uncommenting one sample (and dropping the default beside it) must give something valid.
    for key in known_keys() {
        let Some(sample) = key.sample else { continue };
        let text = if sample.contains('\n') {
            let lines: Vec<String> = sample.lines().map(|line| format!("  {line}\n")).collect();
            format!("{}:\n{}", key.path, lines.concat())
        } else {
            format!("{}: {sample}", key.path)
        };
        let with_partner = match key.path {
            "connector_id" => format!("{text}\nservice_type: dir\n"),
            "service_type" => format!("{text}\nconnector_id: a\n"),
            "elasticsearch.client_cert" => format!("{text}\nelasticsearch.client_key: k\n"),
            "elasticsearch.client_key" => format!("{text}\nelasticsearch.client_cert: c\n"),
            _ => text,
        };
        let environment = super::FakeEnvironment {
            variables: [("ELASTICSEARCH_API_KEY", "k"), ("CONNECTOR_API_KEY", "k")].into(),
            ..Default::default()
        };
        let parsed = Config::parse(&with_partner, &environment)
            .unwrap_or_else(|errors| panic!("{errors}\n{with_partner}"));
        assert_ne!(parsed.config, Config::default(), "{with_partner}");
    }
}

#[test]
fn the_example_has_every_key_with_a_sentence() {
    let example = example();
    for key in known_keys() {
        let name = key.path.rsplit('.').next().unwrap();
        assert!(example.contains(&format!("{name}:")), "{}", key.path);
        assert!(key.about.ends_with('.'), "{}", key.path);
        assert!(
            key.default.is_some() || key.sample.is_some(),
            "{}",
            key.path
        );
    }
    assert!(example.lines().all(|line| line.chars().count() <= 100));
    assert!(try_parse(&example).unwrap().warnings.is_empty());
}

/// `UPDATE_EXPECTED=1 cargo test -p tributary-service` writes the file anew.
#[test]
fn the_file_in_the_repository_is_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config.yml.example");
    if std::env::var_os("UPDATE_EXPECTED").is_some() {
        std::fs::write(&path, example()).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == example(),
        "config.yml.example is out of date; run the tests once with UPDATE_EXPECTED=1"
    );
}
