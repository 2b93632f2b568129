//! A walk goes on after its last checkpoint, by the value of the key.

use crate::support::{Configured, Followed, schema, units};
use std::collections::BTreeSet;
use tributary_sdk::{Cursor, ErrorKind};

/// Key columns, and the values of row `i`.
const KEYS: &[(&str, &str)] = &[
    ("k int", "i"),
    ("k text, l int", "'Ü_' || (i % 7), i"),
    ("l int, k text COLLATE \"C\"", "i % 3, 'x' || i"),
    ("k varchar(9)", "i::text"),
    ("k char(9)", "i::text"),
    ("k numeric", "i / 8.0"),
    ("k double precision", "i * 1.1"),
    (
        "k timestamptz",
        "'2023-01-01 00:00+00'::timestamptz + i * interval '1 second'",
    ),
    ("k date", "'2000-01-01'::date + i"),
    ("k interval", "i * interval '1 hour'"),
    ("k uuid", "md5(i::text)::uuid"),
    ("k bytea", "decode(md5(i::text), 'hex')"),
    ("k inet", "'10.0.0.0'::inet + i"),
    ("k positive", "i"),
    (
        "k mood, l bigint",
        "CASE WHEN i % 2 = 0 THEN 'sad' ELSE 'ok' END::mood, i",
    ),
    ("k money", "i::numeric / 4"),
    ("k int4range", "int4range(i, i + 5)"),
    ("k public.citext", "'X' || i"),
    ("k jsonb", "jsonb_build_object('a', i)"),
    ("k int[]", "ARRAY[i % 5, i]"),
    ("k pair", "ROW(i % 5, i)::pair"),
    ("k boolean, l int", "i % 2 = 0, i"),
];
const ROWS: usize = 5_500;

#[tokio::test]
async fn the_rest_is_read_after_a_checkpoint() {
    let mut sql = String::from(
        "CREATE EXTENSION IF NOT EXISTS citext SCHEMA public; CREATE TYPE mood AS ENUM ('sad', 'ok');
         CREATE DOMAIN positive AS int CHECK (VALUE > 0); CREATE TYPE pair AS (a int, b int);",
    );
    for (at, (columns, values)) in KEYS.iter().enumerate() {
        let names: Vec<&str> = columns
            .split(", ")
            .map(|column| column.split(' ').next().unwrap())
            .collect();
        let names = names.join(", ");
        sql.push_str(&format!(
            "CREATE TABLE t{at} ({columns}, v text, PRIMARY KEY ({names}));
             INSERT INTO t{at} ({names}) SELECT {values} FROM generate_series(1, {ROWS}) AS i;"
        ));
    }
    let configured = Configured::new(schema("resumed", &sql).await, "resumed");
    let first = configured.open().await;
    // A resumed run sees another snapshot.
    let second = configured.open().await;
    let mut units = units(&*first).await;
    units.sort_by_key(|unit| unit.scope.to_string());
    assert_eq!(units.len(), KEYS.len());
    for unit in &units {
        let mut walk = Followed::begin(&first, unit, None);
        let (documents, checkpoint) = walk.until_checkpoint().await;
        assert_eq!(documents.len(), 5_000);
        drop(walk);
        let (rest, outcome) = Followed::begin(&second, unit, Some(checkpoint)).end().await;
        outcome.unwrap_or_else(|error| panic!("{}: {error:?}", unit.scope));
        assert_eq!(rest.len(), ROWS - 5_000, "{}", unit.scope);
        let ids: BTreeSet<_> = documents
            .iter()
            .chain(&rest)
            .map(|document| document.id.as_str())
            .collect();
        assert_eq!(ids.len(), ROWS, "{}", unit.scope);
    }
}

#[tokio::test]
async fn a_position_in_another_key_is_dead() {
    let sql = "CREATE TABLE t (id int PRIMARY KEY, v int NOT NULL);
        INSERT INTO t SELECT i, i FROM generate_series(1, 5001) AS i;";
    let server = schema("rekeyed", sql).await;
    let configured = Configured::new(server, "rekeyed");
    let session = configured.open().await;
    let [unit] = &units(&*session).await[..] else {
        panic!()
    };
    let (_, checkpoint) = Followed::begin(&session, unit, None)
        .until_checkpoint()
        .await;
    drop(session);
    server
        .psql("ALTER TABLE rekeyed.t DROP CONSTRAINT t_pkey, ADD PRIMARY KEY (v)")
        .await
        .unwrap();
    let session = configured.open().await;
    let foreign = Cursor::new("of another source").unwrap();
    for cursor in [checkpoint, foreign] {
        let (documents, outcome) = Followed::begin(&session, unit, Some(cursor)).end().await;
        assert_eq!(documents.len(), 0);
        assert_eq!(outcome.unwrap_err().kind(), ErrorKind::DeadCursor);
    }
}
