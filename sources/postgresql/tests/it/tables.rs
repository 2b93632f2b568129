//! Which tables are read, and all of their rows.

use crate::support::{Configured, Followed, fields, gaps, schema, server, stamp, units};
use std::collections::BTreeSet;
use tributary_testkit::servers::{Postgres, PostgresOptions};

#[tokio::test]
async fn all_rows_are_read_whatever_their_number() {
    let counts = [0, 1, 63, 64, 65, 999, 1000, 1001, 2005];
    let mut sql = String::new();
    for count in counts {
        sql.push_str(&format!(
            "CREATE TABLE t{count} (id int PRIMARY KEY);
             INSERT INTO t{count} SELECT generate_series(1, {count});"
        ));
    }
    let configured = Configured::new(schema("counts", &sql).await, "counts");
    let mut expected: Vec<String> = counts
        .iter()
        .flat_map(|count| (1..=*count).map(move |id| format!("postgres_counts_t{count}_{id}")))
        .collect();
    expected.sort();
    for (size, connections) in [
        (None, 4),
        (Some(1), 4),
        (Some(7), 4),
        (Some(1000), 4),
        (None, 1),
    ] {
        let configured = configured
            .clone()
            .with("fetch_size", size)
            .option("connections", connections);
        let walked = configured.walk().await;
        assert_eq!(gaps(&walked), Vec::<String>::new());
        assert_eq!(
            walked.ids(),
            expected,
            "fetch size {size:?}, {connections} connections"
        );
        assert_eq!(walked.units.len(), counts.len());
    }
}

#[tokio::test]
async fn rows_that_come_and_go_meanwhile_do_not_disturb() {
    for (connections, name) in [(4, "moving"), (1, "moving_one")] {
        let sql = "CREATE TABLE t (id int PRIMARY KEY, v text);
            INSERT INTO t SELECT i, 'old' FROM generate_series(1, 3000) AS i;
            CREATE TABLE u (id int PRIMARY KEY);";
        let server = schema(name, sql).await;
        let configured = Configured::new(server, name).option("connections", connections);
        let session = configured
            .with("fetch_size", 100)
            .with("tables", "t")
            .open()
            .await;
        let [unit] = &units(&*session).await[..] else {
            panic!()
        };
        let mut walk = Followed::begin(&session, unit, None);
        let (mut documents, _) = walk.next(500).await;
        let change = format!(
            "SET search_path = {name}; DELETE FROM t WHERE id <= 400 OR id = 2000; UPDATE t SET v = 'new';
             INSERT INTO t SELECT i, 'late' FROM generate_series(-500, 0) AS i;"
        );
        server.psql(&change).await.unwrap();
        let (rest, outcome) = walk.end().await;
        outcome.unwrap();
        documents.extend(rest);
        let ids: BTreeSet<_> = documents
            .iter()
            .map(|document| document.id.to_string())
            .collect();
        let expected = (1..=3000)
            .map(|id| format!("postgres_{name}_t_{id}"))
            .collect();
        assert_eq!(ids, expected);
        let field = format!("{name}_t_v");
        assert!(
            documents
                .iter()
                .all(|document| fields(document)[&field] == "\"old\"")
        );
    }
}

#[tokio::test]
async fn names_may_hold_anything() {
    let sql = r#"
        CREATE TABLE "Mixed Case" ("ID" int PRIMARY KEY, "Sp ace" int); INSERT INTO "Mixed Case" VALUES (1, 2);
        CREATE TABLE "quo""te" ("k""1" int PRIMARY KEY, "it's" int); INSERT INTO "quo""te" VALUES (1, 2);
        CREATE TABLE "it's; DROP" ("a.b" int PRIMARY KEY); INSERT INTO "it's; DROP" VALUES (1);
        CREATE TABLE "select" ("from" int PRIMARY KEY, "order" int); INSERT INTO "select" VALUES (1, 2);
        CREATE TABLE "größe" ("ÄÖ" int PRIMARY KEY); INSERT INTO "größe" VALUES (1);
        CREATE TABLE "a/b" (id int PRIMARY KEY); INSERT INTO "a/b" VALUES (1);"#;
    let name = "na'mes \"x";
    server()
        .await
        .psql(&format!(
            "CREATE SCHEMA \"na'mes \"\"x\"; SET search_path = \"na'mes \"\"x\"; {sql}"
        ))
        .await
        .unwrap();
    let walked = Configured::new(server().await, name).walk().await;
    assert_eq!(gaps(&walked), Vec::<String>::new());
    let mut expected: Vec<String> = [
        "Mixed Case",
        "quo\"te",
        "it's; DROP",
        "select",
        "größe",
        "a/b",
    ]
    .iter()
    .map(|table| format!("postgres_{name}_{table}_1"))
    .collect();
    expected.sort();
    assert_eq!(walked.ids(), expected);
    let mixed = fields(
        walked
            .documents
            .iter()
            .find(|document| document.id.as_str().contains("Mixed"))
            .unwrap(),
    );
    assert_eq!(mixed[&format!("{name}_mixed case_sp ace")], "2");
    assert_eq!(mixed["table"], "\"Mixed Case\"");
    let quote = fields(
        walked
            .documents
            .iter()
            .find(|document| document.id.as_str().contains("quo"))
            .unwrap(),
    );
    assert_eq!(quote[&format!("{name}_quo\"te_it's")], "2");
}

#[tokio::test]
async fn each_kind_of_relation_is_read_or_told_apart() {
    let sql = "
        CREATE EXTENSION IF NOT EXISTS postgres_fdw SCHEMA public;
        CREATE TABLE plain (id int PRIMARY KEY); INSERT INTO plain VALUES (1);
        CREATE UNLOGGED TABLE unlogged (id int PRIMARY KEY); INSERT INTO unlogged VALUES (1);
        CREATE TABLE parted (id int PRIMARY KEY) PARTITION BY RANGE (id);
        CREATE TABLE part_1 PARTITION OF parted FOR VALUES FROM (0) TO (10); INSERT INTO parted VALUES (1);
        CREATE TABLE nokey (id int);
        CREATE VIEW seen AS SELECT 1 AS id;
        CREATE MATERIALIZED VIEW kept AS SELECT 1 AS id;
        CREATE SERVER IF NOT EXISTS elsewhere FOREIGN DATA WRAPPER postgres_fdw;
        CREATE FOREIGN TABLE distant (id int) SERVER elsewhere;";
    let configured = Configured::new(schema("kinds", sql).await, "kinds");
    let walked = configured.walk().await;
    assert_eq!(
        walked.ids(),
        [
            "postgres_kinds_part_1_1",
            "postgres_kinds_plain_1",
            "postgres_kinds_unlogged_1"
        ]
    );
    let [gap] = &gaps(&walked)[..] else {
        panic!("{:?}", gaps(&walked))
    };
    assert!(
        gap.starts_with("table/nokey unsupported: the table nokey has no primary key"),
        "{gap}"
    );

    let named = configured.with(
        "tables",
        "plain, seen,kept ,distant,parted,nokey,gone, *, Plain",
    );
    let walked = named.walk().await;
    assert_eq!(walked.ids(), ["postgres_kinds_plain_1"]);
    let mut told: Vec<String> = gaps(&walked);
    told.sort();
    let kinds: Vec<&str> = told
        .iter()
        .map(|gap| gap.split(':').next().unwrap())
        .collect();
    assert_eq!(
        kinds,
        [
            "table/* not_found",
            "table/Plain not_found",
            "table/distant unsupported",
            "table/gone not_found",
            "table/kept unsupported",
            "table/nokey unsupported",
            "table/parted unsupported",
            "table/seen unsupported",
        ]
    );
    let findings = named.build().validate().await.unwrap();
    assert_eq!(findings.len(), 8);
    assert!(
        findings
            .iter()
            .all(|finding| finding.place.as_deref() == Some("tables"))
    );
    assert!(
        findings
            .iter()
            .any(|finding| finding.message.contains("parted is a partitioned table"))
    );
}

#[tokio::test]
async fn wide_rows_and_large_rows_are_read() {
    let columns: Vec<String> = (1..1600)
        .map(|at| format!("c{at} smallint DEFAULT {at}"))
        .collect();
    let sql = format!(
        "CREATE TABLE wide (id int PRIMARY KEY, {}); INSERT INTO wide (id) VALUES (1);
         CREATE TABLE large (id int PRIMARY KEY, v text);
         INSERT INTO large SELECT i, repeat('0123456789', 2000000) FROM generate_series(1, 4) AS i;",
        columns.join(", ")
    );
    let walked = Configured::new(schema("huge", &sql).await, "huge")
        .walk()
        .await;
    assert_eq!(gaps(&walked), Vec::<String>::new());
    assert_eq!(walked.documents.len(), 5);
    for document in &walked.documents {
        let fields = fields(document);
        if document.id.as_str() == "postgres_huge_wide_1" {
            assert_eq!(
                (fields.len(), fields["huge_wide_c1599"].as_str()),
                (1603, "1599")
            );
        } else {
            assert_eq!(fields["huge_large_v"].len(), 20_000_002);
            assert!(
                document.body.size() < 41_000_000,
                "{}",
                document.body.size()
            );
        }
    }
    assert_eq!(walked.checkpoints, 4, "one after each large row");
}

#[tokio::test]
async fn the_stamp_is_the_last_change_of_the_table() {
    let sql = "CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1);
        INSERT INTO t VALUES (2); CREATE TABLE u (id int PRIMARY KEY); INSERT INTO u VALUES (1);";
    let server = schema("stamps", sql).await;
    let configured = Configured::new(server, "stamps").with("tables", "t");
    let walked = configured.walk().await;
    let committed = server
        .psql("SET TimeZone = 'UTC'; SELECT to_char(max(pg_xact_commit_timestamp(xmin)), 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"+00:00\"') FROM stamps.t")
        .await
        .unwrap();
    assert!(
        walked
            .documents
            .iter()
            .all(|document| stamp(document) == committed)
    );

    let before = now(server).await;
    let walked = configured.option("last_update_timeout", 0).walk().await;
    let [first, second] = &walked.documents[..] else {
        panic!()
    };
    assert_eq!(stamp(first), stamp(second));
    assert!(stamp(first) > before.as_str() && stamp(first) < now(server).await.as_str());
}

#[tokio::test]
async fn a_server_that_keeps_no_commit_times_stamps_with_now() {
    let settings = vec![("track_commit_timestamp".to_owned(), "off".to_owned())];
    let server = Postgres::start(PostgresOptions {
        settings,
        ..Default::default()
    })
    .await
    .unwrap();
    server
        .psql("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)")
        .await
        .unwrap();
    let before = now(&server).await;
    let walked = Configured::new(&server, "public").walk().await;
    assert_eq!(gaps(&walked), Vec::<String>::new());
    assert!(stamp(&walked.documents[0]) > before.as_str());
}

async fn now(server: &Postgres) -> String {
    server
        .psql("SET TimeZone = 'UTC'; SELECT to_char(clock_timestamp(), 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"+00:00\"')")
        .await
        .unwrap()
}
