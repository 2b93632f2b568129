//! `connector`.

use crate::program::{PASSWORD, World};
use serde_json::json;

#[tokio::test]
async fn a_connector_is_made_listed_and_shown_without_its_secrets() {
    let world = World::new().await;
    let empty = world
        .program("connector list")
        .ended()
        .await
        .with_code(0)
        .out;
    assert!(empty.contains("connector create"), "{empty}");
    let file = json!({"host": "db.example", "port": 5433, "database": {"value": "books"}, "schema": "public"});
    std::fs::write(world.path("books.json"), file.to_string()).unwrap();
    let created = world
        .program("connector create --service-type postgresql --index-name books --id c1 --from-file books.json")
        .args(["--name", "The library", "--field", "username=reader", "--field-env", "password=BOOKS"])
        .args(["-o", "json"])
        .env("BOOKS", "hunter2")
        .ended()
        .await
        .with_code(0);
    assert!(!created.out.contains("hunter2"), "{created}");
    assert_eq!(created.json()["id"], "c1");
    let record = world.get("/_connector/c1").await;
    for (pointer, expected) in [
        ("/status", json!("configured")),
        ("/index_name", json!("books")),
        ("/name", json!("The library")),
        ("/service_type", json!("postgresql")),
        ("/configuration/host/value", json!("db.example")),
        ("/configuration/port/value", json!(5433)),
        ("/configuration/database/value", json!("books")),
        ("/configuration/password/value", json!("hunter2")),
        ("/configuration/password/sensitive", json!(true)),
        ("/features/sync_rules/advanced/enabled", json!(true)),
    ] {
        assert_eq!(record.pointer(pointer), Some(&expected), "{pointer}");
    }
    for arguments in [
        "connector list",
        "connector show c1",
        "connector show c1 -o json",
        "connector list -o json",
    ] {
        let shown = world.program(arguments).ended().await.with_code(0).out;
        assert!(
            shown.contains("books") && !shown.contains("hunter2"),
            "{shown}"
        );
    }
    let text = world
        .program("connector show c1")
        .ended()
        .await
        .with_code(0)
        .out;
    assert!(
        text.contains("***") && text.contains("0 0 0 * * ?"),
        "{text}"
    );
}

#[tokio::test]
async fn nothing_is_made_of_values_that_cannot_work() {
    let world = World::new().await;
    let create = |arguments: &str| {
        world
            .program(&format!("connector create --id c1 {arguments}"))
            .ended()
    };
    create("--service-type postgresql --index-name books --field port=many")
        .await
        .with_code(3)
        .complaining(&[
            "field: host",
            "field: port",
            "field: database",
            "source show postgresql",
        ]);
    create("--service-type postgresql --index-name books --field password=hunter2")
        .await
        .with_code(2)
        .complaining(&["--field-env password="]);
    create("--service-type dir --index-name Books --field directory=/x")
        .await
        .with_code(2)
        .complaining(&["lower case"]);
    create("--service-type dir --index-name books --field directroy=/x")
        .await
        .with_code(2)
        .complaining(&["'directory'"]);
    create("--service-type dirr --index-name books")
        .await
        .with_code(2)
        .complaining(&["did you mean 'dir'?"]);
    create("--index-name books")
        .await
        .with_code(2)
        .complaining(&["--service-type is missing"]);
    create("--service-type dir --index-name books --field-env directory=NO_SUCH_VARIABLE")
        .await
        .with_code(2)
        .complaining(&["NO_SUCH_VARIABLE"]);
    std::fs::write(world.path("bad.json"), "{\"directory\": ").unwrap();
    create("--service-type dir --index-name books --from-file bad.json")
        .await
        .with_code(3)
        .complaining(&["bad.json", "line 1"]);
    let list = world
        .program("connector list -o json")
        .ended()
        .await
        .with_code(0)
        .json();
    assert_eq!(list, json!([]));
}

#[tokio::test]
async fn an_id_or_an_index_that_is_taken_is_refused() {
    let world = World::new().await;
    world.connector("papers", &[]).await;
    let create = |arguments: &str| {
        world
            .program(&format!(
                "connector create --service-type dir --field directory=/x {arguments}"
            ))
            .ended()
    };
    create("--id papers --index-name other")
        .await
        .with_code(1)
        .complaining(&["papers"]);
    create("--id other --index-name papers")
        .await
        .with_code(1)
        .complaining(&["papers", "used by"]);
}

#[tokio::test]
async fn the_configuration_file_gets_the_new_connector_and_its_key() {
    let world = World::new().await;
    let text = format!(
        "elasticsearch: {{host: '{}', password: {PASSWORD}}} # mine\nconnectors: []\n",
        world.store.url()
    );
    std::fs::write(world.path("config.yml"), &text).unwrap();
    // By ./config.yml, not by the environment.
    let program = crate::program::Program::in_folder(
        world.folder.path(),
        "connector create --id papers --service-type dir --index-name papers --field directory=/x \
         --update-config --create-api-key",
    );
    let ended = program.ended().await.with_code(0);
    let edited = std::fs::read_to_string(world.path("config.yml")).unwrap();
    let expected = text.replace(
        "connectors: []",
        "connectors:\n  - connector_id: papers\n    service_type: dir",
    );
    assert!(edited.starts_with(expected.trim_end()), "{edited}");
    let key = edited
        .split_once("    api_key: ")
        .unwrap()
        .1
        .trim()
        .trim_matches('"');
    assert!(!ended.out.contains(key), "{ended}");
    // The key opens the store.
    let ended = world
        .program("index count papers --api-key-env KEY")
        .env("KEY", key)
        .ended()
        .await;
    ended.with_code(1).complaining(&["papers"]);
    crate::program::Program::in_folder(world.folder.path(), "config check")
        .ended()
        .await
        .with_code(0);
}
