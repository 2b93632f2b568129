//! `source`, `config`, help.

use crate::program::Program;
use std::path::Path;

async fn called(arguments: &str) -> crate::program::Ended {
    Program::in_folder(Path::new("."), arguments).ended().await
}

#[tokio::test]
async fn sources_are_listed() {
    let text = called("source list").await.with_code(0).out;
    assert!(text.starts_with("SERVICE TYPE"), "{text}");
    assert!(
        text.contains("dir") && text.contains("System Directory"),
        "{text}"
    );
    assert!(
        text.contains("postgresql") && text.contains("advanced sync rules"),
        "{text}"
    );
    let list = called("source list -o json").await.with_code(0).json();
    assert_eq!(list[0]["service_type"], "dir");
    assert_eq!(
        list[1]["features"]["sync_rules"]["advanced"]["enabled"],
        true
    );
}

#[tokio::test]
async fn the_fields_of_a_source_are_shown() {
    let text = called("source show postgresql").await.with_code(0).out;
    let password = text
        .lines()
        .find(|line| line.starts_with("password"))
        .unwrap();
    assert!(password.trim_end().ends_with("yes"), "{password}");
    let shown = called("source show dir -o json").await.with_code(0).json();
    assert_eq!(shown["configuration"]["pattern"]["value"], "**/*.*");
    assert_eq!(shown["configuration"]["directory"]["required"], true);
}

#[tokio::test]
async fn the_example_is_a_configuration() {
    let folder = tempfile::tempdir().unwrap();
    let example = called("config example").await.with_code(0).out;
    let committed = concat!(env!("CARGO_MANIFEST_DIR"), "/../config.yml.example");
    assert_eq!(
        example.trim_end(),
        std::fs::read_to_string(committed).unwrap().trim_end()
    );
    std::fs::write(folder.path().join("config.yml"), example).unwrap();
    // It names no connector yet.
    let ended = Program::in_folder(folder.path(), "config check")
        .ended()
        .await;
    ended
        .with_code(3)
        .complaining(&["connectors", "no connector is configured"]);
    let good = "connectors: [{connector_id: c1, service_type: dirr}]\n";
    std::fs::write(folder.path().join("config.yml"), good).unwrap();
    let ended = Program::in_folder(folder.path(), "config check")
        .ended()
        .await
        .with_code(0);
    assert_eq!(ended.out, "config.yml can be used\n");
    ended.complaining(&["did you mean 'dir'?"]);
}

#[tokio::test]
async fn help_and_version() {
    let version = called("--version").await.with_code(0).out;
    assert_eq!(
        version,
        format!("tributary {}\n", env!("CARGO_PKG_VERSION"))
    );
    let help = called("--help").await.with_code(0).out;
    for text in ["quickstart", "Exit codes:", "130"] {
        assert!(help.contains(text), "{help}");
    }
    for command in [
        "run",
        "quickstart",
        "connector create",
        "job start",
        "source show",
    ] {
        let help = called(&format!("{command} --help")).await.with_code(0).out;
        assert!(
            help.contains("Example") && help.contains("config.yml"),
            "{help}"
        );
    }
    called("").await.with_code(2);
    called("run --action everything")
        .await
        .with_code(2)
        .complaining(&["sync_content"]);
}
