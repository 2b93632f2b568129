//! Tables of a PostgreSQL database, from the disk of the server to the index.

use crate::{
    engine::Engine,
    scenarios,
    service::{Ready, name},
};
use anyhow::Result;
use serde_json::{Value, json};
use std::sync::Arc;
use tributary_testkit::servers::{Postgres, shared};

scenarios!(
    rows_become_documents_and_follow_their_changes,
    a_table_that_may_not_be_read_is_a_gap,
    advanced_rules_run_their_own_queries,
    a_wrong_password_says_so,
);

struct Database {
    server: &'static Postgres,
    name: String,
}

impl Database {
    async fn new(statements: &[&str]) -> Result<Self> {
        let server = shared::postgres().await?;
        let name = name("db").replace('-', "_");
        server.psql(&format!("CREATE DATABASE {name}")).await?;
        for statement in statements {
            server.psql_in(&name, statement).await?;
        }
        Ok(Self { server, name })
    }

    fn values(&self) -> Value {
        json!({
            "host": self.server.host(), "port": self.server.port(), "username": self.server.user(),
            "password": self.server.password(), "database": self.name, "schema": "public", "tables": "*",
        })
    }
}

const PEOPLE: [&str; 3] = [
    "CREATE TABLE people (id int PRIMARY KEY, name text, born date, height numeric(4,2), tags text[])",
    "INSERT INTO people SELECT n, 'person ' || n, date '1990-01-01' + n, n / 100.0, ARRAY['a', NULL] FROM generate_series(1, 250) n",
    "CREATE TABLE notes (person int, line int, text text, PRIMARY KEY (line, person)); INSERT INTO notes VALUES (1, 7, 'héllo \"quoted\"')",
];

async fn rows_become_documents_and_follow_their_changes(engine: Arc<Engine>) -> Result<()> {
    let database = Database::new(&PEOPLE).await?;
    let ready = Ready::new(&engine, "postgresql", database.values()).await?;
    let job = ready.sync_well().await?;
    assert_eq!(job["indexed_document_count"], 251, "{job}");
    let documents = engine.documents(&ready.index).await?;
    let id = format!("{}_public_people_42", database.name);
    let person = &documents[&id];
    assert_eq!(person["id"], id.as_str());
    assert_eq!(person["public_people_name"], "person 42");
    assert_eq!(person["public_people_born"], "1990-02-12");
    assert_eq!(person["public_people_height"], 0.42);
    assert_eq!(person["public_people_tags"], json!(["a", null]));
    assert_eq!(
        (&person["table"], &person["schema"]),
        (&json!("people"), &json!("public"))
    );
    let note = &documents[&format!("{}_public_notes_7_1", database.name)];
    assert_eq!(note["public_notes_text"], "héllo \"quoted\"");

    database
        .server
        .psql_in(&database.name, "DELETE FROM people WHERE id > 200")
        .await?;
    database
        .server
        .psql_in(
            &database.name,
            "UPDATE people SET name = 'renamed' WHERE id = 42",
        )
        .await?;
    let job = ready.sync_well().await?;
    assert_eq!(
        (&job["deleted_document_count"], &job["total_document_count"]),
        (&json!(50), &json!(201))
    );
    let documents = engine.documents(&ready.index).await?;
    assert_eq!(documents[&id]["public_people_name"], "renamed");
    Ok(())
}

async fn a_table_that_may_not_be_read_is_a_gap(engine: Arc<Engine>) -> Result<()> {
    let database = Database::new(&PEOPLE).await?;
    let reader = name("reader").replace('-', "_");
    for statement in [
        format!("CREATE ROLE {reader} LOGIN PASSWORD 'secret@:/#%'"),
        format!("GRANT SELECT ON ALL TABLES IN SCHEMA public TO {reader}"),
    ] {
        database.server.psql_in(&database.name, &statement).await?;
    }
    let mut values = database.values();
    values["username"] = json!(reader);
    values["password"] = json!("secret@:/#%");
    values["tables"] = json!("people, notes");
    let ready = Ready::new(&engine, "postgresql", values).await?;
    ready.sync_well().await?;
    let revoke = format!("REVOKE SELECT ON notes FROM {reader}; DELETE FROM people WHERE id = 1");
    for statement in revoke.split(';') {
        database.server.psql_in(&database.name, statement).await?;
    }
    let job = ready.sync().await?;
    let told = format!(
        "{} {} {}",
        job["error"],
        job["metadata"],
        ready.service.log()
    );
    assert!(told.contains("notes"), "{job}");
    let documents = engine.documents(&ready.index).await?;
    assert!(
        documents.contains_key(&format!("{}_public_notes_7_1", database.name)),
        "nothing is deleted there"
    );
    assert_eq!(job["deleted_document_count"], 0);
    Ok(())
}

async fn advanced_rules_run_their_own_queries(engine: Arc<Engine>) -> Result<()> {
    let database = Database::new(&PEOPLE).await?;
    let ready = Ready::new(&engine, "postgresql", database.values()).await?;
    let now = chrono::Utc::now().to_rfc3339();
    let draft = |value: Value| {
        json!({
            "advanced_snippet": {"created_at": now, "updated_at": now, "value": value},
            "rules": [{"id": "DEFAULT", "policy": "include", "field": "_", "rule": "regex", "value": ".*", "order": 0,
                "created_at": now, "updated_at": now}],
            "validation": {"state": "edited", "errors": []},
        })
    };
    let record = engine.connector(&ready.connector).await?;
    let active = record["filtering"][0]["active"].clone();
    for (query, is_valid) in [
        ("SELEKT 1", false),
        ("SELECT id, name FROM people WHERE id <= 3;", true),
    ] {
        let rules = json!([{"tables": ["people"], "query": query}]);
        let filtering = json!([{"domain": "DEFAULT", "active": active, "draft": draft(rules)}]);
        engine
            .change_connector(&ready.connector, json!({"filtering": filtering}))
            .await?;
        let look = || engine.connector(&ready.connector);
        let record =
            crate::service::until("the draft to be checked", &ready.service, look, |record| {
                record["filtering"][0]["draft"]["validation"]["state"] != "edited"
            })
            .await?;
        let validation = &record["filtering"][0]["draft"]["validation"];
        assert_eq!(
            validation["state"],
            if is_valid { "valid" } else { "invalid" },
            "{validation}"
        );
        if !is_valid {
            assert_eq!(validation["errors"][0]["ids"], json!(["advanced_snippet"]));
        }
    }
    let job = ready.sync_well().await?;
    assert_eq!(job["indexed_document_count"], 3, "{job}");
    let documents = engine.documents(&ready.index).await?;
    assert_eq!(
        documents[&format!("{}_public_people_2", database.name)]["table"],
        json!(["people"])
    );
    Ok(())
}

async fn a_wrong_password_says_so(engine: Arc<Engine>) -> Result<()> {
    let database = Database::new(&PEOPLE[..1]).await?;
    let ready = Ready::new(&engine, "postgresql", database.values()).await?;
    engine
        .configure(&ready.connector, json!({"password": "wrong-hunter2"}))
        .await?;
    let record = ready.until_status("error").await?;
    let error = record["error"].as_str().unwrap_or_default();
    assert!(
        error.contains("password") && error.contains(database.server.user()),
        "{error}"
    );
    assert!(
        !ready.service.log().contains("hunter2"),
        "a secret in the log"
    );
    engine
        .configure(&ready.connector, database.values())
        .await?;
    ready.until_status("connected").await?;
    Ok(())
}
