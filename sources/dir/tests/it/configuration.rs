//! The form, what is refused, and the page that describes it.

use crate::tree::{Tree, open, source};
use serde_json::{Value, json};
use std::sync::Arc;
use tributary_sdk::{Error, ErrorKind, Features};
use tributary_source_dir::DIR;

#[test]
fn is_configured_as_the_sheet_says() {
    assert_eq!((DIR.service_type, DIR.name), ("dir", "System Directory"));
    assert_eq!(DIR.features, Features::BASIC);
    let field = |label: &str, order: u8, value: &str| {
        json!({
            "default_value": null, "depends_on": [], "display": "text", "label": label,
            "options": [], "order": order, "required": true, "sensitive": false, "tooltip": null,
            "type": "str", "ui_restrictions": [], "validations": [], "value": value,
        })
    };
    let expected = json!({
        "directory": field("Directory path", 1, ""),
        "pattern": field("File glob-like pattern", 2, "**/*.*"),
    });
    let configuration = serde_json::to_value(DIR.configuration()).unwrap();
    assert_eq!(configuration, expected);
}

fn refused(directory: &str, pattern: &str, options: Value) -> Error {
    match source(directory, pattern, options) {
        Ok(_) => panic!("{directory} {pattern} is accepted"),
        Err(error) => error,
    }
}

#[test]
fn what_cannot_work_is_refused_with_the_way_out() {
    for (directory, pattern, options, hint) in [
        ("", "*", json!({}), "'Directory path' cannot be empty"),
        (
            "/a",
            "",
            json!({}),
            "'File glob-like pattern' cannot be empty",
        ),
        ("/a\0", "*", json!({}), "NUL"),
        ("/a", "/x/*", json!({}), "such as 'x/*'"),
        ("/a", "../*", json!({}), "choose a directory further up"),
        ("/a", "**.md", json!({}), "'**' has to stand alone"),
        ("/a", "*", json!({ "allowed": [] }), "allowed_directories"),
        (
            "/a",
            "*",
            json!({ "allowed_directories": ["x"] }),
            "write absolute paths",
        ),
        (
            "/a",
            "*",
            json!({ "allowed_directories": "/x" }),
            "config.yml",
        ),
    ] {
        let error = refused(directory, pattern, options);
        assert_eq!(error.kind(), ErrorKind::InvalidConfig);
        assert!(error.message().contains(hint), "{error}");
    }
}

/// The directory is looked at by everything that begins a job, and nothing begins without it.
#[tokio::test]
async fn a_directory_that_cannot_be_read_ends_the_job_before_it_begins() {
    let tree = Tree::new([("file", "")]);
    let root = tree.root();
    let root = root.to_str().unwrap();
    let outside = json!({ "allowed_directories": [format!("{root}/x")] });
    let none = json!({ "allowed_directories": [] });
    for (below, options, kind, hint) in [
        (
            "/nowhere",
            json!({}),
            ErrorKind::NotFound,
            "create or mount",
        ),
        ("/file/x", json!({}), ErrorKind::NotFound, "create or mount"),
        (
            "/file",
            json!({}),
            ErrorKind::InvalidConfig,
            "does not name a directory",
        ),
        (
            "",
            outside,
            ErrorKind::InvalidConfig,
            "sources.dir.allowed_directories",
        ),
        (
            "",
            none,
            ErrorKind::InvalidConfig,
            "sources.dir.allowed_directories",
        ),
    ] {
        let directory = format!("{root}{below}");
        let source = source(&directory, "**/*", options).unwrap();
        let opened = open(&*source).await.map(drop);
        for error in [source.ping().await.unwrap_err(), opened.unwrap_err()] {
            assert_eq!(error.kind(), kind, "{error}");
            assert!(error.message().contains(hint), "{error}");
            assert!(error.to_string().contains(&directory), "{error}");
        }
        let findings = source.validate().await.unwrap();
        assert_eq!(findings[0].place.as_deref(), Some("directory"));
        assert!(findings[0].message.contains(hint));
    }
    let source = source(root, "**/*", json!({})).unwrap();
    source.ping().await.unwrap();
    assert_eq!(source.validate().await.unwrap(), []);
}

#[tokio::test]
async fn a_pattern_for_folders_only_is_pointed_out() {
    let tree = Tree::new([("a", "")]);
    let source = tree.source("**");
    let findings = source.validate().await.unwrap();
    assert_eq!(findings.len(), 1);
    assert_eq!(findings[0].place.as_deref(), Some("pattern"));
    assert_eq!(tree.lists("**").await, Vec::<String>::new());
}

#[tokio::test]
async fn a_directory_may_be_relative_or_a_link() {
    let tree = Tree::new([("d/a.md", "")]);
    tree.link("link", "d");
    let root = tree.root();
    // Cargo runs tests in the folder of their crate.
    let up = std::env::current_dir().unwrap();
    let up = "../".repeat(up.components().count());
    for directory in [
        format!("{up}{}/link/", &root.to_str().unwrap()[1..]),
        format!("{}//./link", root.display()),
    ] {
        let source = source(&directory, "*.md", json!({})).unwrap();
        let session = open(&*source).await.unwrap();
        let walked = tributary_testkit::walk::walk_all(Arc::clone(&session))
            .await
            .unwrap();
        assert_eq!(tree.paths(&walked), ["link/a.md"]);
    }
}

/// The table of fields in README.md is the one of the form.
#[test]
fn the_page_describes_the_fields() {
    let page = include_str!("../../README.md");
    let (_, section) = page.split_once("## Configuration").unwrap();
    let rows: Vec<Vec<&str>> = section
        .lines()
        .take_while(|line| !line.starts_with("## "))
        .filter(|line| line.starts_with("| `"))
        .map(|line| line.trim_matches('|').split(" | ").map(str::trim).collect())
        .collect();
    let configuration = DIR.configuration().to_map();
    let expected: Vec<Vec<String>> = configuration
        .iter()
        .map(|(key, field)| {
            let text = |name: &str| field[name].as_str().unwrap_or_default().to_owned();
            let value = match text("value").as_str() {
                "" => "–".to_owned(),
                value => format!("`{value}`"),
            };
            let required = if field["required"] == true {
                "yes"
            } else {
                "no"
            };
            vec![
                format!("`{key}`"),
                text("label"),
                text("type"),
                required.into(),
                value,
            ]
        })
        .collect();
    let found: Vec<Vec<&str>> = rows.iter().map(|row| row[..5].to_vec()).collect();
    assert_eq!(found, expected);
}
