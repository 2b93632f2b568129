//! The configuration form and the user page.

use crate::support::{Configured, server};
use serde_json::{Value, json};
use tributary_sdk::ErrorKind;
use tributary_source_postgresql::POSTGRESQL;

#[test]
fn the_form_is_that_of_the_reference() {
    let configuration = POSTGRESQL.configuration().to_map();
    let keys: Vec<&str> = configuration.keys().map(String::as_str).collect();
    assert_eq!(
        keys,
        [
            "host",
            "port",
            "username",
            "password",
            "database",
            "schema",
            "tables",
            "fetch_size",
            "retry_count",
            "ssl_enabled",
            "ssl_ca",
        ]
    );
    assert_eq!(
        configuration["password"],
        json!({
            "default_value": null, "depends_on": [], "display": "text", "label": "Password",
            "options": [], "order": 4, "required": true, "sensitive": true, "tooltip": null,
            "type": "str", "ui_restrictions": [], "validations": [], "value": "",
        })
    );
    let expected = |label: &str, kind: &str, display: &str, value: Value, default: Value| {
        (
            label.to_owned(),
            kind.to_owned(),
            display.to_owned(),
            value,
            default,
        )
    };
    for (key, expected) in [
        (
            "host",
            expected("Host", "str", "text", json!(""), json!(null)),
        ),
        (
            "port",
            expected("Port", "int", "numeric", json!(""), json!(null)),
        ),
        (
            "username",
            expected("Username", "str", "text", json!(""), json!(null)),
        ),
        (
            "database",
            expected("Database", "str", "text", json!(""), json!(null)),
        ),
        (
            "schema",
            expected("Schema", "str", "text", json!(""), json!(null)),
        ),
        (
            "tables",
            expected(
                "Comma-separated list of tables",
                "list",
                "textarea",
                json!("*"),
                json!(null),
            ),
        ),
        (
            "fetch_size",
            expected(
                "Rows fetched per request",
                "int",
                "numeric",
                json!(""),
                json!(50),
            ),
        ),
        (
            "retry_count",
            expected("Retries per request", "int", "numeric", json!(""), json!(3)),
        ),
        (
            "ssl_enabled",
            expected(
                "Enable SSL verification",
                "bool",
                "toggle",
                json!(false),
                json!(null),
            ),
        ),
        (
            "ssl_ca",
            expected("SSL certificate", "str", "text", json!(""), json!(null)),
        ),
    ] {
        let field = &configuration[key];
        let text = |name: &str| field[name].as_str().unwrap().to_owned();
        let found = (
            text("label"),
            text("type"),
            text("display"),
            field["value"].clone(),
            field["default_value"].clone(),
        );
        assert_eq!(found, expected, "{key}");
        let is_advanced = ["fetch_size", "retry_count"].contains(&key);
        assert_eq!(field["required"], json!(!is_advanced), "{key}");
        assert_eq!(
            field["ui_restrictions"],
            if is_advanced {
                json!(["advanced"])
            } else {
                json!([])
            }
        );
        assert_eq!(field["sensitive"], json!(false), "{key}");
    }
    assert_eq!(
        configuration["ssl_ca"]["depends_on"],
        json!([{"field": "ssl_enabled", "value": true}])
    );
    let features = POSTGRESQL.features;
    let expected = tributary_sdk::Features {
        advanced_rules: true,
        ..tributary_sdk::Features::BASIC
    };
    assert_eq!(features, expected);
}

#[test]
fn the_user_page_lists_the_fields_as_they_are_declared() {
    let page = include_str!("../../README.md");
    let start = page.find("| Field |").expect("a table of fields");
    let rows: Vec<Vec<&str>> = page[start..]
        .lines()
        .skip(2)
        .take_while(|line| line.starts_with('|'))
        .map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
        .collect();
    let fields: Vec<Vec<String>> = POSTGRESQL
        .fields
        .iter()
        .map(|field| {
            let declared = field.declaration();
            let default = match declared.default_value.to_value() {
                Value::Null => match declared.value.to_value() {
                    Value::String(text) if text.is_empty() => String::new(),
                    Value::String(text) => format!("`{text}`"),
                    value => format!("`{value}`"),
                },
                value => format!("`{value}`"),
            };
            vec![
                format!("`{}`", declared.key),
                declared.label.to_owned(),
                default,
            ]
        })
        .collect();
    let listed: Vec<Vec<String>> = rows
        .iter()
        .map(|row| row[..3].iter().map(|&cell| cell.to_owned()).collect())
        .collect();
    assert_eq!(listed, fields);
    assert!(
        rows.iter().all(|row| row.len() == 4 && !row[3].is_empty()),
        "each field is explained"
    );
}

#[tokio::test]
async fn values_that_cannot_work_are_named() {
    let configured = Configured::new(server().await, "public");
    for (field, value, part) in [
        (
            "port",
            json!(0),
            "'Port' should be a number from 1 to 65535",
        ),
        ("port", json!(70_000), "'Port'"),
        ("host", json!(""), "'Host' cannot be empty"),
        (
            "fetch_size",
            json!(0),
            "'Rows fetched per request' should be at least 1",
        ),
    ] {
        let error = configured
            .clone()
            .with(field, value)
            .try_build()
            .err()
            .unwrap();
        assert_eq!(error.kind(), ErrorKind::InvalidConfig);
        assert!(error.to_string().contains(part), "{error}");
    }
    for (option, value) in [("connections", json!(0)), ("conections", json!(2))] {
        let error = configured
            .clone()
            .option(option, value)
            .try_build()
            .err()
            .unwrap();
        assert_eq!(error.kind(), ErrorKind::InvalidConfig);
        assert!(error.to_string().contains(option), "{error}");
    }
}
