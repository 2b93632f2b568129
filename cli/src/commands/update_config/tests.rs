use super::*;
use std::os::unix::fs::PermissionsExt;
use tributary_sdk::Secret;

fn entry() -> ConnectorConfig {
    ConnectorConfig {
        connector_id: "c2".into(),
        service_type: "dir".into(),
        api_key: None,
    }
}

/// What becomes of a file with this text.
fn edited(text: &str, entry: &ConnectorConfig) -> Result<String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.yml");
    fs::write(&path, text).unwrap();
    let added = add(&path, entry);
    let now = fs::read_to_string(&path).unwrap();
    if added.is_err() {
        assert_eq!(now, text, "a failed edit must leave the file alone");
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    added.map(|()| now)
}

#[test]
fn every_other_line_stays_as_it_is() {
    let cases = [
        (
            "",
            "\nconnectors:\n  - connector_id: c2\n    service_type: dir\n",
        ),
        (
            "elasticsearch.host: http://es:9200 # mine\n",
            "elasticsearch.host: http://es:9200 # mine\n\nconnectors:\n  - connector_id: c2\n    service_type: dir\n",
        ),
        (
            "connectors: []  # none yet\nservice.idling: 5\n",
            "connectors:\n  - connector_id: c2\n    service_type: dir\nservice.idling: 5\n",
        ),
        (
            "connectors: # all of mine\n\n# none yet\nservice:\n  idling: 5\n",
            "connectors: # all of mine\n  - connector_id: c2\n    service_type: dir\n\n# none yet\nservice:\n  idling: 5\n",
        ),
        (
            "connectors:\n- connector_id: c1\n  service_type: postgresql\n\n# the rest\nservice.idling: 5\n",
            "connectors:\n- connector_id: c1\n  service_type: postgresql\n- connector_id: c2\n  service_type: dir\n\n# the rest\nservice.idling: 5\n",
        ),
        (
            "connectors:\n    # first\n    - connector_id: c1\n      service_type: dir",
            "connectors:\n    # first\n    - connector_id: c1\n      service_type: dir\n    - connector_id: c2\n      service_type: dir\n",
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(edited(text, &entry()).unwrap(), expected, "{text}");
    }
}

#[test]
fn what_cannot_be_edited_safely_is_left_alone() {
    for text in [
        "connectors: [{connector_id: c1, service_type: dir}]\n",
        "connectors:\n  - connector_id: c2\n    service_type: dir\n",
        "connector_id: c1\nservice_type: dir\nconnectors: &all\n",
    ] {
        let error = edited(text, &entry()).unwrap_err().to_string();
        assert!(
            error.contains("nothing was changed") || error.contains("cannot be used"),
            "{error}"
        );
    }
}

#[test]
fn odd_texts_are_quoted() {
    let entry = ConnectorConfig {
        connector_id: "1: {a} \"b\"".into(),
        api_key: Some(Secret::new("abc==")),
        ..entry()
    };
    let text = edited("", &entry).unwrap();
    assert!(text.contains(r#"connector_id: "1: {a} \"b\"""#), "{text}");
    assert!(text.contains("api_key: \"abc==\""), "{text}");
}

#[test]
fn the_permissions_of_the_file_stay() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.yml");
    fs::write(&path, "").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    add(&path, &entry()).unwrap();
    assert_eq!(
        fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o640
    );
}
