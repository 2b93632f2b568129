//! Connections that are lost in the middle.

use crate::support::{Configured, Followed, gaps, schema, units};
use serde_json::json;
use std::time::Duration;
use tributary_sdk::ErrorKind;
use tributary_testkit::{
    servers::{Postgres, PostgresOptions},
    walk::walk_all,
};

async fn own_server(tables: &[&str]) -> Postgres {
    let server = Postgres::start(PostgresOptions::default()).await.unwrap();
    for table in tables {
        let sql = format!(
            "CREATE TABLE {table} (id int PRIMARY KEY, v text);
             INSERT INTO {table} SELECT i, repeat('x', 1000) FROM generate_series(1, 20000) AS i"
        );
        server.psql(&sql).await.unwrap();
    }
    server
}

#[tokio::test]
async fn a_lost_connection_is_a_gap_and_never_another_snapshot() {
    for connections in [4, 1] {
        let server = own_server(&["a", "b"]).await;
        let session = Configured::new(&server, "public")
            .option("connections", connections)
            .open()
            .await;
        let units = units(&*session).await;
        let mut walk = Followed::begin(&session, &units[0], None);
        walk.next(500).await;
        server.terminate_backends().await.unwrap();
        let (documents, outcome) = walk.end().await;
        assert!(documents.len() < 19_500);
        let error = outcome.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
        // The keeper of the snapshot is gone as well, so nothing can be read as of that instant.
        let (documents, outcome) = Followed::begin(&session, &units[1], None).end().await;
        assert_eq!(documents.len(), 0);
        let error = outcome.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert!(
            error.to_string().contains("held the snapshot was lost"),
            "{error}"
        );
    }
}

#[tokio::test]
async fn another_connection_takes_over_while_the_snapshot_is_held() {
    let server = own_server(&["a", "b"]).await;
    let session = Configured::new(&server, "public")
        .option("connections", 2)
        .open()
        .await;
    assert_eq!(session.promises().parallel, 1);
    let units = units(&*session).await;
    let mut walk = Followed::begin(&session, &units[0], None);
    walk.next(500).await;
    server.psql("DELETE FROM a; DELETE FROM b").await.unwrap();
    let killed = server
        .psql("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE query LIKE '%ORDER BY t.%' AND pid <> pg_backend_pid()")
        .await
        .unwrap();
    assert_eq!(killed, "1");
    let (_, outcome) = walk.end().await;
    assert_eq!(outcome.unwrap_err().kind(), ErrorKind::Unavailable);
    for unit in &units {
        let (documents, outcome) = Followed::begin(&session, unit, None).end().await;
        outcome.unwrap();
        assert_eq!(documents.len(), 20_000, "as of the snapshot");
    }
}

#[tokio::test]
async fn a_restarted_server_is_a_gap_and_the_next_sync_is_whole() {
    let server = own_server(&["a"]).await;
    let configured = Configured::new(&server, "public");
    let session = configured.open().await;
    server.restart().await.unwrap();
    let walked = walk_all(session).await.unwrap();
    assert_eq!((walked.documents.len(), gaps(&walked).len()), (0, 1));
    let walked = configured.walk().await;
    assert_eq!((walked.documents.len(), gaps(&walked).len()), (20_000, 0));
}

#[tokio::test]
async fn a_dropped_walk_ends_its_statement() {
    let name = "dropped";
    let server = schema(name, "CREATE TABLE t (id int PRIMARY KEY)").await;
    for connections in [4, 1] {
        let configured = Configured::new(server, name).option("connections", connections);
        let query = format!("SELECT 1 AS id, pg_sleep(600) AS \"marks {connections}\"");
        let session = configured
            .open_with(&json!([{"tables": ["t"], "query": query}]))
            .await;
        let [unit] = &units(&*session).await[..] else {
            panic!()
        };
        let walk = Followed::begin(&session, unit, None);
        let running = format!(
            "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND wait_event = 'PgSleep' AND query LIKE '%marks {connections}%'"
        );
        wait_for(server, &running, "1").await;
        drop(walk);
        wait_for(server, &running, "0").await;
    }
}

#[tokio::test]
async fn a_session_that_is_dropped_leaves_nothing_behind() {
    let server = own_server(&["a", "b", "c"]).await;
    let session = Configured::new(&server, "public").open().await;
    let backends = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'tributary'";
    assert_eq!(server.psql(backends).await.unwrap(), "4");
    drop(session);
    wait_for(&server, backends, "0").await;
}

#[tokio::test]
async fn nothing_of_a_walk_stays_locked() {
    let name = "unlocked";
    let sql = "CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)";
    let server = schema(name, sql).await;
    for connections in [4, 1] {
        let session = Configured::new(server, name)
            .option("connections", connections)
            .open()
            .await;
        let [unit] = &units(&*session).await[..] else {
            panic!()
        };
        Followed::begin(&session, unit, None).end().await.1.unwrap();
        let alter =
            format!("SET lock_timeout = '10s'; ALTER TABLE {name}.t ADD COLUMN c{connections} int");
        server.psql(&alter).await.unwrap();
    }
}

/// Asks until the answer is the expected one; each question takes the server a moment.
async fn wait_for(server: &Postgres, sql: &str, expected: &str) {
    let waiting = async { while server.psql(sql).await.unwrap() != expected {} };
    let waited = tokio::time::timeout(Duration::from_secs(20), waiting).await;
    assert!(waited.is_ok(), "never {expected}: {sql}");
}
