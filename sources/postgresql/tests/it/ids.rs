//! Document ids: the texts of key values.

use crate::support::{Configured, fields, gaps, schema};

/// Type, a value of it in SQL, its text in the id.
const KEYS: &[(&str, &str, &str)] = &[
    ("int", "-1", "-1"),
    ("bigint", "9223372036854775807", "9223372036854775807"),
    ("numeric", "1.50", "1.50"),
    ("numeric", "10000", "1E+4"),
    ("numeric", "0.00000001", "1E-8"),
    ("boolean", "true", "True"),
    ("text", "'Ünï_x'", "Ünï_x"),
    ("char(4)", "'ab'", "ab  "),
    ("timestamp", "'2023-01-02 03:04:05'", "2023-01-02 03:04:05"),
    (
        "timestamptz",
        "'2023-01-02 03:04:05.5+02'",
        "2023-01-02 01:04:05.500000+00:00",
    ),
    ("date", "'2023-01-02'", "2023-01-02"),
    ("time", "'01:02'", "01:02:00"),
    ("timetz", "'03:04:05.5+02'", "03:04:05.500000+02:00"),
    (
        "uuid",
        "'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'",
        "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
    ),
    ("bytea", "'\\x01ff27'", r#"b"\x01\xff'""#),
    ("double precision", "1", "1.0"),
    ("double precision", "1.5e-7", "1.5e-07"),
    ("real", "1.1", "1.100000023841858"),
    ("interval", "'1 day 2:03:04'", "1 day, 2:03:04"),
    ("interval", "'-1 day 2:00'", "-1 day, 2:00:00"),
    ("inet", "'10.30.0.9/24'", "10.30.0.9/24"),
    ("macaddr", "'08:00:2b:01:02:03'", "08:00:2b:01:02:03"),
    ("varbit", "B'101010'", "<BitString 1010 10>"),
    ("int[]", "'{1,2}'", "[1, 2]"),
    ("mood", "'so so'", "so so"),
    ("money", "1.5", "$1.50"),
    ("int4range", "'[1,5)'", "[1,5)"),
];

#[tokio::test]
async fn key_values_are_written_as_in_the_reference() {
    let mut sql = String::from("CREATE TYPE mood AS ENUM ('so so');");
    for (at, (column_type, value, _)) in KEYS.iter().enumerate() {
        sql.push_str(&format!(
            "CREATE TABLE t{at} (k {column_type} PRIMARY KEY); INSERT INTO t{at} VALUES ({value});"
        ));
    }
    let configured = Configured::new(schema("ids", &sql).await, "ids");
    let walked = configured.walk().await;
    assert_eq!(gaps(&walked), Vec::<String>::new());
    let mut expected: Vec<String> = KEYS
        .iter()
        .enumerate()
        .map(|(at, (_, _, text))| format!("postgres_ids_t{at}_{text}"))
        .collect();
    expected.sort();
    assert_eq!(walked.ids(), expected);
}

#[tokio::test]
async fn keys_have_their_own_order_and_case_collapses() {
    let sql = r#"
        CREATE TABLE pair (a text, x int, b int, PRIMARY KEY (b, a)); INSERT INTO pair VALUES ('a_b', 0, 7);
        CREATE TABLE cases ("A" int PRIMARY KEY, a text); INSERT INTO cases VALUES (1, 'wins');
        CREATE TABLE covering (id int, c text, PRIMARY KEY (id) INCLUDE (c)); INSERT INTO covering VALUES (3, 'no key');"#;
    let walked = Configured::new(schema("keys", sql).await, "keys")
        .walk()
        .await;
    assert_eq!(
        walked.ids(),
        [
            "postgres_keys_cases_wins",
            "postgres_keys_covering_3",
            "postgres_keys_pair_7_a_b"
        ]
    );
    let cases = walked
        .documents
        .iter()
        .find(|document| document.id.as_str().contains("cases"));
    let fields = fields(cases.unwrap());
    assert_eq!(fields["keys_cases_a"], "\"wins\"");
    assert_eq!(fields.len(), 4);
}
