//! What an account may not see is never taken for empty.

use crate::support::{Configured, gaps, schema};
use tributary_sdk::ErrorKind;

#[tokio::test]
async fn rights_that_are_missing_are_gaps() {
    let sql = "
        CREATE TABLE free (id int PRIMARY KEY); INSERT INTO free VALUES (1);
        CREATE TABLE none (id int PRIMARY KEY); INSERT INTO none VALUES (1);
        CREATE TABLE insert_only (id int PRIMARY KEY); INSERT INTO insert_only VALUES (1);
        CREATE TABLE one_column (id int PRIMARY KEY, secret text); INSERT INTO one_column VALUES (1);
        CREATE ROLE limited LOGIN PASSWORD 'p'; GRANT USAGE ON SCHEMA rights TO limited;
        GRANT SELECT ON free TO limited; GRANT INSERT ON insert_only TO limited;
        GRANT SELECT (id) ON one_column TO limited;";
    let configured = Configured::new(schema("rights", sql).await, "rights");
    let configured = configured.with("username", "limited").with("password", "p");
    let walked = configured.walk().await;
    assert_eq!(walked.ids(), ["postgres_rights_free_1"]);
    let mut gaps = gaps(&walked);
    gaps.sort();
    assert_eq!(gaps.len(), 3, "{gaps:?}");
    for (gap, table) in gaps.iter().zip(["insert_only", "none", "one_column"]) {
        assert!(
            gap.starts_with(&format!(
                "table/{table} forbidden: user limited may not read"
            )),
            "{gap}"
        );
        assert!(gap.contains("grant SELECT"), "{gap}");
    }
    let findings = configured.build().validate().await.unwrap();
    assert_eq!(
        findings.len(),
        2,
        "the server tells about columns only when they are read"
    );
}

#[tokio::test]
async fn a_schema_without_tables_is_an_error() {
    let sql = "CREATE SCHEMA closed; CREATE TABLE closed.t (id int PRIMARY KEY);
        CREATE ROLE outside LOGIN PASSWORD 'p'; CREATE SCHEMA only_views; CREATE VIEW only_views.v AS SELECT 1;";
    let server = schema("empty", sql).await;
    for (name, kind, part) in [
        (
            "empty",
            ErrorKind::InvalidConfig,
            "user admin sees no table in the schema empty of the database postgres",
        ),
        ("only_views", ErrorKind::InvalidConfig, "sees no table"),
        (
            "nowhere",
            ErrorKind::InvalidConfig,
            "there is no schema nowhere in the database postgres at 127.0.0.1",
        ),
        (
            "Empty",
            ErrorKind::InvalidConfig,
            "there is no schema Empty",
        ),
    ] {
        let configured = Configured::new(server, name);
        let error = configured.try_open().await.err().unwrap();
        assert_eq!(error.kind(), kind);
        assert!(error.to_string().contains(part), "{error}");
        let findings = configured.build().validate().await.unwrap();
        assert!(findings[0].message.contains(part), "{findings:?}");
    }
    let outside = Configured::new(server, "closed")
        .with("username", "outside")
        .with("password", "p");
    let error = outside.try_open().await.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Forbidden);
    assert!(
        error
            .to_string()
            .contains("user outside may not use the schema closed"),
        "{error}"
    );
}
