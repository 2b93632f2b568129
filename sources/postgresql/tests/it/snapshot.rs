//! One instant for all tables, and what cannot be seen from it.

use crate::support::{Configured, Followed, fields, gaps, schema, units};
use tributary_sdk::{ErrorKind, Listing};
use tributary_testkit::walk::walk_all;

#[tokio::test]
async fn all_tables_are_read_as_of_one_instant() {
    for (connections, name) in [(4, "instant"), (1, "instant_one")] {
        let sql = "CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE b (id int PRIMARY KEY);
            CREATE TABLE c (id int PRIMARY KEY); INSERT INTO a VALUES (1);";
        let server = schema(name, sql).await;
        let session = Configured::new(server, name)
            .option("connections", connections)
            .open()
            .await;
        let promises = session.promises();
        assert_eq!(
            (promises.listing, promises.ids_stay),
            (Listing::Snapshot, true)
        );
        assert_eq!(promises.parallel, if connections == 1 { 1 } else { 3 });
        server.psql(&format!("SET search_path = {name}; INSERT INTO b SELECT id FROM a; DELETE FROM a; INSERT INTO c VALUES (1)")).await.unwrap();
        let walked = walk_all(session).await.unwrap();
        assert_eq!(gaps(&walked), Vec::<String>::new());
        assert_eq!(walked.ids(), [format!("postgres_{name}_a_1")]);
    }
}

#[tokio::test]
async fn tables_are_read_side_by_side() {
    let sql = "CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE b (id int PRIMARY KEY);
        INSERT INTO a SELECT generate_series(1, 2000); INSERT INTO b SELECT generate_series(1, 2000);";
    let session = Configured::new(schema("beside", sql).await, "beside")
        .open()
        .await;
    assert_eq!(
        session.promises().parallel,
        2,
        "no more than there are tables"
    );
    let units = units(&*session).await;
    let mut walks: Vec<Followed> = units
        .iter()
        .map(|unit| Followed::begin(&session, unit, None))
        .collect();
    for _ in 0..3 {
        for walk in &mut walks {
            assert_eq!(walk.next(100).await.0.len(), 100);
        }
    }
    for walk in walks {
        let (documents, outcome) = walk.end().await;
        outcome.unwrap();
        assert_eq!(documents.len(), 1700);
    }
}

#[tokio::test]
async fn a_table_that_was_rewritten_meanwhile_is_a_gap() {
    for (connections, name) in [(4, "rewritten"), (1, "rewritten_one")] {
        let tables = ["altered", "emptied", "dropped", "rekeyed", "kept"];
        let sql: Vec<String> = tables
            .iter()
            .map(|table| format!("CREATE TABLE {table} (id int PRIMARY KEY, v int); INSERT INTO {table} VALUES (1, 1);"))
            .collect();
        let server = schema(name, &sql.concat()).await;
        let session = Configured::new(server, name)
            .option("connections", connections)
            .open()
            .await;
        let change = format!(
            "SET search_path = {name}; ALTER TABLE altered ALTER v TYPE bigint; TRUNCATE emptied; DROP TABLE dropped;
             ALTER TABLE rekeyed RENAME id TO other;"
        );
        server.psql(&change).await.unwrap();
        let walked = walk_all(session).await.unwrap();
        assert_eq!(walked.ids(), [format!("postgres_{name}_kept_1")]);
        let mut gaps = gaps(&walked);
        gaps.sort();
        for (gap, expected) in gaps.iter().zip([
            "table/altered unavailable: the table was rewritten or emptied",
            "table/dropped not_found: ",
            "table/emptied unavailable: the table was rewritten or emptied",
            "table/rekeyed unavailable: the primary key changed",
        ]) {
            assert!(gap.starts_with(expected), "{gap}");
        }
        assert_eq!(gaps.len(), 4);
    }
}

#[tokio::test]
async fn with_too_few_connections_one_is_enough() {
    let sql = "CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE b (id int PRIMARY KEY);
        INSERT INTO a VALUES (1); INSERT INTO b VALUES (1);
        CREATE ROLE single LOGIN PASSWORD 'p' CONNECTION LIMIT 1;
        GRANT USAGE ON SCHEMA few TO single; GRANT SELECT ON ALL TABLES IN SCHEMA few TO single;";
    let configured = Configured::new(schema("few", sql).await, "few");
    let configured = configured.with("username", "single").with("password", "p");
    let session = configured.open().await;
    assert_eq!(session.promises().parallel, 1);
    let error = configured.build().ping().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(
        error.to_string().contains("too many connections"),
        "{error}"
    );
    let walked = walk_all(session).await.unwrap();
    assert_eq!(walked.ids(), ["postgres_few_a_1", "postgres_few_b_1"]);
}

#[tokio::test]
async fn a_failed_table_does_not_harm_the_next_ones() {
    for (connections, name) in [(4, "harmless"), (1, "harmless_one")] {
        let sql = "CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE b (id int PRIMARY KEY, secret int);
            CREATE TABLE c (id int PRIMARY KEY); INSERT INTO a VALUES (1); INSERT INTO c VALUES (1);";
        let role = format!("role_{name}");
        let sql = format!(
            "{sql} CREATE ROLE {role} LOGIN PASSWORD 'p'; GRANT USAGE ON SCHEMA {name} TO {role};
             GRANT SELECT ON a, c TO {role}; GRANT SELECT (id) ON b TO {role};"
        );
        let configured = Configured::new(schema(name, &sql).await, name);
        let configured = configured.with("username", role).with("password", "p");
        let walked = configured.option("connections", connections).walk().await;
        assert_eq!(gaps(&walked).len(), 1);
        assert_eq!(walked.documents.len(), 2);
        assert_eq!(
            fields(&walked.documents[0])["schema"],
            format!("\"{name}\"")
        );
    }
}
