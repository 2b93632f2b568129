//! The binary under the names of the reference's programs.

use crate::program::{PASSWORD, Program, Running, World};
use serde_json::{Value, json};
use std::{
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

fn link(folder: &Path, name: &str) -> PathBuf {
    let link = folder.join(name);
    symlink(env!("CARGO_BIN_EXE_tributary"), &link).unwrap();
    link
}

fn ingest(folder: &Path, arguments: &str) -> Program {
    let path = folder.join("elastic-ingest");
    let path = if path.exists() {
        path
    } else {
        link(folder, "elastic-ingest")
    };
    Program::called(&path, folder).args(arguments.split_whitespace())
}

#[tokio::test]
async fn elastic_ingest_lists_sources_and_prints_configurations() {
    let folder = tempfile::tempdir().unwrap();
    let called = |arguments| ingest(folder.path(), arguments).ended();
    let list = called("--action list").await.with_code(0).out;
    assert_eq!(list, "System Directory\nPostgreSQL\n");
    let configuration = called("--action config --service-type dir")
        .await
        .with_code(0)
        .json();
    assert_eq!(configuration["directory"]["label"], "Directory path");
    assert_eq!(configuration["directory"]["value"], "");
    called("--action config")
        .await
        .with_code(2)
        .complaining(&["needs a service type"]);
    called("--action config --service-type postgresq")
        .await
        .with_code(2)
        .complaining(&["'postgresql'"]);
    for arguments in [
        "--action list --action schedule",
        "--action config list",
        "--action config --action cleanup",
    ] {
        called(arguments)
            .await
            .with_code(2)
            .complaining(&["cannot be combined"]);
    }
    for arguments in ["--version", "-v"] {
        let version = called(arguments).await.with_code(0).out;
        assert!(version.contains(env!("CARGO_PKG_VERSION")), "{version}");
    }
    called("-c none.yml --uvloop")
        .await
        .with_code(3)
        .complaining(&["none.yml", "tributary config example"]);
}

#[tokio::test]
async fn elastic_ingest_runs_the_service_and_logs_for_filebeat() {
    let world = World::new().await;
    world
        .connector("papers", &[("a.txt", "a kaleidoscope")])
        .await;
    let config = format!(
        "elasticsearch.host: {}\nelasticsearch.password: {PASSWORD}\nservice.health_address: off\n\
         service.idling: 1\nconnectors: [{{connector_id: papers, service_type: dir}}]\n",
        world.store.url()
    );
    std::fs::write(world.path("config.yml"), config).unwrap();
    let program = ingest(world.folder.path(), "--filebeat --uvloop --log-level INFO");
    let running: Running = program.start(&world.path("ingest.log"));
    let ended = world
        .program("job start --connector papers --wait")
        .ended()
        .await;
    ended.with_code(0);
    running.signal("TERM").await;
    let log_file = world.path("ingest.log");
    let (code, _) = running.ended().await;
    let log = std::fs::read_to_string(log_file).unwrap();
    assert_eq!(code, Some(0), "{log}");
    let lines: Vec<Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert!(lines.len() > 3, "{log}");
    for line in &lines {
        for name in [
            "@timestamp",
            "log.level",
            "message",
            "log.logger",
            "ecs.version",
            "service.name",
        ] {
            assert!(line[name].is_string(), "{name} in {line}");
        }
    }
    assert!(log.contains("uvloop") && !log.contains(PASSWORD), "{log}");
}

#[tokio::test]
async fn connectors_takes_the_arguments_of_that_program() {
    let world = World::new().await;
    world.connector("papers", &[]).await;
    let path = link(world.folder.path(), "connectors");
    std::fs::create_dir(world.path(".cli")).unwrap();
    let login = json!({"elasticsearch": {"host": world.store.url(), "username": "elastic", "password": PASSWORD}});
    std::fs::write(world.path(".cli/config.yml"), login.to_string()).unwrap();
    let called = |arguments: &str| {
        let arguments: Vec<_> = arguments.split_whitespace().map(str::to_owned).collect();
        Program::called(&path, world.folder.path())
            .args(arguments)
            .ended()
    };
    let list = called("connector list").await.with_code(0).out;
    assert!(list.contains("papers"), "{list}");
    let job = called("job start -i papers -t full -o json")
        .await
        .with_code(0)
        .json();
    let id = job["id"].as_str().unwrap();
    let jobs = called("job list papers -o json").await.with_code(0).json();
    assert_eq!(jobs[0]["id"], id);
    called(&format!("job cancel {id}")).await.with_code(0);
    let job = called(&format!("job view {id} -o json"))
        .await
        .with_code(0)
        .json();
    assert_eq!(job["status"], "canceled");
    called("login").await.with_code(2);
}
