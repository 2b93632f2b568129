//! Advanced sync rules.

use crate::support::{Configured, fields, gaps, schema};
use serde_json::json;

const SQL: &str = "
    CREATE TABLE employee (emp_id int PRIMARY KEY, name text, \"Badge\" int);
    INSERT INTO employee SELECT i, 'e' || i, i * 10 FROM generate_series(1, 12) AS i;
    CREATE TABLE customer (c_id int PRIMARY KEY, name text);
    INSERT INTO customer SELECT i, 'c' || i FROM generate_series(8, 12) AS i;
    CREATE TABLE nopk (x int, y text); INSERT INTO nopk VALUES (1, 'a'), (2, NULL);
    CREATE TABLE nothing (id int PRIMARY KEY);
    CREATE VIEW seen AS SELECT emp_id AS ids, name FROM employee WHERE emp_id < 3;
    CREATE MATERIALIZED VIEW kept AS SELECT 1 AS id;
    CREATE FUNCTION change() RETURNS int LANGUAGE sql AS 'DELETE FROM employee RETURNING emp_id';";

async fn company(name: &str) -> Configured {
    let sql = SQL.replace(
        "FROM employee RETURNING",
        &format!("FROM {name}.employee RETURNING"),
    );
    let configured = Configured::new(schema(name, &sql).await, name);
    // Rules say their schema, or the account's search path does.
    configured
}

#[tokio::test]
async fn a_rule_reads_what_it_says() {
    let configured = company("ruled").await;
    for (rule, ids) in [
        (
            json!({"tables": ["employee"], "query": "SELECT * FROM ruled.employee WHERE emp_id > 10"}),
            vec!["employee_11", "employee_12"],
        ),
        (
            json!({"tables": ["nopk"], "query": "SELECT * FROM ruled.nopk", "id_columns": ["x", "y"]}),
            vec!["nopk_1_a", "nopk_2"],
        ),
        (
            json!({"tables": ["seen"], "query": "SELECT * FROM ruled.seen", "id_columns": ["IDS"]}),
            vec!["seen_1", "seen_2"],
        ),
        (
            json!({"tables": ["employee", "customer"], "query":
                "SELECT * FROM ruled.employee e JOIN ruled.customer c ON c.c_id = e.emp_id WHERE emp_id > 10"}),
            vec!["customer_employee_11_11", "customer_employee_12_12"],
        ),
        (
            json!({"tables": ["employee"], "query":
                "WITH few AS (SELECT * FROM ruled.employee WHERE name = ANY ('{e1,:b,a:b}'::text[])) SELECT * FROM few WHERE ':b' <> name; -- :end"}),
            vec!["employee_1"],
        ),
        (
            json!({"tables": ["employee"], "query": "VALUES (1), (2);;  ", "id_columns": ["column1"]}),
            vec!["employee_1", "employee_2"],
        ),
        (
            json!({"tables": ["employee"], "query":
                "SELECT emp_id, now() - now() AS i, int4range(1, 2) AS r FROM ruled.employee WHERE emp_id = 1 -- of a comment"}),
            vec!["employee_1"],
        ),
        (
            json!({"tables": ["nothing"], "query": "SELECT * FROM ruled.nothing"}),
            vec![],
        ),
    ] {
        let rules = json!([rule]);
        assert_eq!(
            configured.check(&rules).await,
            Vec::<String>::new(),
            "{rule}"
        );
        let walked = configured.walk_with(&rules).await;
        assert_eq!(gaps(&walked), Vec::<String>::new(), "{rule}");
        let expected: Vec<String> = ids
            .iter()
            .map(|id| format!("postgres_ruled_{id}"))
            .collect();
        assert_eq!(walked.ids(), expected, "{rule}");
    }
}

#[tokio::test]
async fn documents_of_a_join_name_both_tables() {
    let configured = company("joined").await.option("connections", 1);
    let query = "SELECT e.*, c.* FROM joined.employee e JOIN joined.customer c ON c.c_id = e.emp_id WHERE e.emp_id = 10";
    let rules = json!([{"tables": ["employee", "customer"], "query": query}]);
    let walked = configured.walk_with(&rules).await;
    let [document] = &walked.documents[..] else {
        panic!()
    };
    let fields = fields(document);
    assert_eq!(
        document.id.as_str(),
        "postgres_joined_customer_employee_10_10"
    );
    assert_eq!(fields["table"], "[\"employee\",\"customer\"]");
    assert_eq!(
        fields["joined_customer_employee_name"], "\"c10\"",
        "of equal names the last counts"
    );
    assert_eq!(fields["joined_customer_employee_badge"], "100");
    assert_eq!(fields.len(), 7);
}

#[tokio::test]
async fn rules_of_the_same_tables_are_parts_of_one_scope() {
    let configured = company("parts").await;
    let rules = json!([
        {"tables": ["employee"], "query": "SELECT * FROM parts.employee WHERE emp_id = 1"},
        {"tables": ["nothing", "employee"], "query": "SELECT emp_id, 5 AS id FROM parts.employee WHERE emp_id = 1"},
        {"tables": ["employee"], "query": "SELECT * FROM parts.employee WHERE emp_id = 2"},
    ]);
    let walked = configured.walk_with(&rules).await;
    assert_eq!(gaps(&walked), Vec::<String>::new());
    assert_eq!(
        walked.ids(),
        [
            "postgres_parts_employee_1",
            "postgres_parts_employee_2",
            "postgres_parts_employee_nothing_5_1"
        ]
    );
    let units: Vec<_> = walked
        .units
        .iter()
        .map(|unit| (unit.scope.to_string(), unit.part))
        .collect();
    assert_eq!(
        units,
        [
            ("table/employee".into(), 0),
            ("table/employee_nothing".into(), 0),
            ("table/employee".into(), 1)
        ]
    );
}

#[tokio::test]
async fn a_rule_that_cannot_run_is_found_before_and_is_a_gap_after() {
    let configured = company("broken").await;
    for (rule, found, gap) in [
        (
            json!({"tables": ["employee"], "query": "SELECT name FROM broken.employee"}),
            "lacks the column emp_id",
            "unsupported: the result of the rule lacks the column emp_id",
        ),
        (
            json!({"tables": ["nopk"], "query": "SELECT * FROM broken.nopk"}),
            "no primary key",
            "unsupported: the tables of the rule have no primary key",
        ),
        (
            json!({"tables": ["nopk"], "query": "SELECT x FROM broken.nopk", "id_columns": ["y"]}),
            "lacks the column y",
            "unsupported",
        ),
        (
            json!({"tables": ["employee"], "query": "SELEKT 1"}),
            "syntax error at or near \"SELEKT\"",
            "bad_response: the server reported: syntax error",
        ),
        (
            json!({"tables": ["employee"], "query": "SELECT * FROM broken.employee WHERE emp_id = $1"}),
            "parameters ($1)",
            "bad_response",
        ),
        (
            json!({"tables": ["employee"], "query": "SELECT * FROM broken.employee; SELECT 1"}),
            "multiple commands",
            "bad_response",
        ),
        (
            json!({"tables": ["employee"], "query": "DELETE FROM broken.employee RETURNING *"}),
            "does more than read",
            "unsupported: a sync only reads",
        ),
        (
            json!({"tables": ["employee"], "query": "WITH gone AS (DELETE FROM broken.employee RETURNING *) SELECT * FROM gone"}),
            "does more than read",
            "unsupported: a sync only reads",
        ),
        (
            json!({"tables": ["employee"], "query": "DROP TABLE broken.employee"}),
            "returns no columns",
            "unsupported",
        ),
        (
            json!({"tables": ["employee"], "query": "SELECT * FROM broken.absent"}),
            "relation \"broken.absent\" does not exist",
            "not_found",
        ),
    ] {
        let rules =
            json!([{"tables": ["customer"], "query": "SELECT * FROM broken.customer"}, rule]);
        let findings = configured.check(&rules).await;
        assert_eq!(findings.len(), 1, "{rule} {findings:?}");
        assert!(
            findings[0].starts_with("data[1].query: ") && findings[0].contains(found),
            "{findings:?}"
        );
        for connections in [4, 1] {
            let configured = configured.clone().option("connections", connections);
            let walked = configured.walk_with(&rules).await;
            let gaps = gaps(&walked);
            assert_eq!(gaps.len(), 1, "{rule}");
            assert!(gaps[0].contains(gap), "{gaps:?}");
            assert_eq!(walked.documents.len(), 5, "the other rule is read");
        }
    }
    // What only shows when it runs.
    for (query, gap) in [
        (
            "SELECT broken.change() AS emp_id",
            "unsupported: a sync only reads",
        ),
        (
            "SELECT emp_id, 1 / (emp_id - 12) AS x FROM broken.employee ORDER BY emp_id",
            "division by zero",
        ),
        (
            "SELECT * FROM broken.employee FOR UPDATE",
            "unsupported: a sync only reads",
        ),
    ] {
        let walked = configured
            .walk_with(&json!([{"tables": ["employee"], "query": query}]))
            .await;
        let gaps = gaps(&walked);
        assert!(gaps.len() == 1 && gaps[0].contains(gap), "{gaps:?}");
        assert!(gaps[0].contains("rule on: employee"), "{gaps:?}");
    }
    let server = crate::support::server().await;
    assert_eq!(
        server
            .psql("SELECT count(*) FROM broken.employee")
            .await
            .unwrap(),
        "12"
    );
}

#[tokio::test]
async fn tables_that_are_not_there_are_told_together() {
    let configured = company("absent").await;
    let rules = json!([
        {"tables": ["employee", "zzz"], "query": "SELECT 1"},
        {"tables": ["kept", "aaa", "Employee", "aaa"], "query": "SELECT 1"},
    ]);
    let [finding] = &configured.check(&rules).await[..] else {
        panic!()
    };
    assert!(finding.ends_with(": Employee, aaa, kept, zzz"), "{finding}");
    let [finding] = &configured.check(&json!([{"tables": ["employee"]}])).await[..] else {
        panic!()
    };
    assert_eq!(
        finding,
        "data[0] must contain ['tables', 'query'] properties"
    );
}

#[tokio::test]
async fn a_rule_with_many_rows_travels_in_pieces() {
    let configured = company("pieces").await.with("fetch_size", 1000);
    let query = "SELECT i AS emp_id, repeat('x', 300) AS v FROM generate_series(1, 20000) AS i";
    let walked = configured
        .walk_with(&json!([{"tables": ["employee"], "query": query}]))
        .await;
    assert_eq!(gaps(&walked), Vec::<String>::new());
    assert_eq!((walked.documents.len(), walked.checkpoints), (20_000, 0));
}
