use super::{FakeEnvironment, errors, parse, service_errors, warnings};
use crate::config::{Config, ConnectorConfig};

fn pairs(connectors: &[ConnectorConfig]) -> Vec<(&str, &str)> {
    connectors
        .iter()
        .map(|connector| {
            (
                connector.connector_id.as_str(),
                connector.service_type.as_str(),
            )
        })
        .collect()
}

#[test]
fn connectors_are_listed_in_order_with_ids_as_text() {
    let text = "connectors:\n  - connector_id: 123\n    service_type: dir\n  - connector_id: 1e3\n    service_type: postgresql\n    api_key:\n  - connector_id: yes\n    service_type: dir\n    name: ours\n";
    let connectors = parse(text).connectors;
    assert_eq!(
        pairs(&connectors),
        [("123", "dir"), ("1e3", "postgresql"), ("yes", "dir")]
    );
    assert!(
        connectors
            .iter()
            .all(|connector| connector.api_key.is_none())
    );
}

#[test]
fn a_lone_connector_still_works_but_is_deprecated() {
    let text = "connector_id: a\nservice_type: dir\n";
    let parsed = super::try_parse(text).unwrap();
    assert_eq!(pairs(&parsed.config.connectors), [("a", "dir")]);
    assert_eq!(parsed.warnings.len(), 1);
    assert!(
        parsed.warnings[0].contains("deprecated"),
        "{:?}",
        parsed.warnings
    );
    assert_eq!(service_errors(text), Vec::<String>::new());

    let both = format!("{text}connectors: [{{connector_id: b, service_type: dir}}]");
    let parsed = super::try_parse(&both).unwrap();
    assert_eq!(
        pairs(&parsed.config.connectors),
        [("b", "dir"), ("a", "dir")]
    );
    let same = format!("{text}connectors: [{{connector_id: a, service_type: dir}}]");
    let parsed = super::try_parse(&same).unwrap();
    assert_eq!(parsed.config.connectors.len(), 1);

    assert!(errors("connector_id: a")[0].contains("needs service_type"));
    assert!(errors("service_type: a")[0].contains("needs connector_id"));
}

#[test]
fn what_is_missing_or_twice_is_named() {
    let text = "connectors:\n  - connector_id: a\n    service_type: dir\n  - service_type: dir\n  - connector_id: a\n    service_type: dir\n  - connector_id: b\n  - words\n";
    assert_eq!(
        errors(text),
        [
            "connectors[1].connector_id: is missing; each connector needs one (line 4, column 5)",
            "connectors[2].connector_id: \"a\" is already the id of connectors[0] on line 2; \
             remove one of the two (line 5, column 5)",
            "connectors[3].service_type: is missing; each connector needs one (line 7, column 5)",
            "connectors[4]: must be a mapping with connector_id and service_type (line 8, column 5)",
        ]
    );
}

#[test]
fn a_service_needs_something_to_do() {
    for text in [
        "",
        "connectors: []",
        "connectors:",
        "service.service_types: [dir]",
    ] {
        let errors = service_errors(text);
        assert_eq!(errors.len(), 1, "{text}: {errors:?}");
        assert!(
            errors[0].starts_with("connectors: no connector is configured"),
            "{errors:?}"
        );
        // Other commands do without.
        assert!(super::try_parse(text).is_ok());
    }
    let errors = service_errors("service:\n  worker_mode: true\n");
    assert_eq!(
        errors,
        [
            "service.service_types: must name at least one service type, because service.worker_mode is true (line 2, column 16)"
        ]
    );
    for text in [
        "service: {worker_mode: true, service_types: dir}",
        "connectors: [{connector_id: a, service_type: dir}]",
    ] {
        assert_eq!(service_errors(text), Vec::<String>::new(), "{text}");
    }
}

#[test]
fn placeholders_are_refused_before_the_service_starts() {
    let text = "elasticsearch.api_key: changeme\nconnectors:\n  - connector_id: changeme\n    service_type: changeme\n    api_key: changeme\nservice.idling: abc\n";
    let errors = service_errors(text);
    let keys: Vec<&str> = errors
        .iter()
        .map(|error| error.split(": ").next().unwrap())
        .collect();
    assert_eq!(
        keys,
        [
            "elasticsearch.api_key",
            "connectors[0].connector_id",
            "connectors[0].service_type",
            "connectors[0].api_key",
            "service.idling",
        ]
    );
    assert!(
        errors[1].contains("is still `changeme`; put the id that Kibana shows"),
        "{errors:?}"
    );
    assert_eq!(
        service_errors("connector_id: changeme\nservice_type: changeme\n").len(),
        2
    );
}

#[test]
fn a_service_warns_of_the_default_password_and_of_idle_keys() {
    let text = "connectors: [{connector_id: a, service_type: dir}]\nservice.service_types: [dir]";
    let parsed = Config::parse_for_service(text, &FakeEnvironment::default()).unwrap();
    assert_eq!(parsed.warnings.len(), 2, "{:?}", parsed.warnings);
    assert!(parsed.warnings[0].contains("service.service_types has no effect"));
    assert!(parsed.warnings[1].contains("still `changeme`"));
    assert_eq!(warnings(text), Vec::<String>::new());
}

#[test]
fn a_budget_of_memory_that_is_too_small_for_the_syncs_is_an_error() {
    let begin = "connectors: [{connector_id: a, service_type: b}]\nservice:\n";
    let errors = service_errors(&format!("{begin}  memory_budget: 15\n"));
    let [error] = errors.as_slice() else {
        panic!("{errors:?}");
    };
    for part in ["service.memory_budget", "at least 16", "line 3"] {
        assert!(error.contains(part), "{error}");
    }
    let enough = format!("{begin}  memory_budget: 16\n");
    assert_eq!(service_errors(&enough), Vec::<String>::new());
}
