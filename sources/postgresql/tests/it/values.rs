//! The type table, byte for byte.

use crate::support::{Configured, fields, gaps, schema, server};
use serde_json::json;
use tributary_testkit::walk::walk_all;

/// Type, a value of it in SQL, its JSON.
const TYPES: &[(&str, &str, &str)] = &[
    ("smallint", "-32768", "-32768"),
    ("int", "42", "42"),
    ("bigint", "9007199254740993", "9007199254740993"),
    ("oid", "4294967295", "4294967295"),
    ("xid", "'7'", "7"),
    ("xid8", "'18446744073709551615'", "18446744073709551615"),
    ("real", "1.1", "1.100000023841858"),
    ("real", "1e16", "1.0000000272564224e+16"),
    ("double precision", "1e-5", "1e-05"),
    ("double precision", "123456789.125", "123456789.125"),
    ("double precision", "'NaN'", "null"),
    ("double precision", "'-Infinity'", "null"),
    ("numeric", "12.30", "12.3"),
    ("numeric", "42", "42.0"),
    ("numeric", "-0.00001", "-1e-05"),
    (
        "numeric",
        "123456789012345678901234567890.12345",
        "1.2345678901234568e+29",
    ),
    ("numeric", "'NaN'", "null"),
    ("numeric", "'Infinity'", "null"),
    ("numeric(10,2)", "7", "7.0"),
    ("money", "1234.5", "\"$1,234.50\""),
    ("boolean", "true", "true"),
    ("char(5)", "'ab'", "\"ab   \""),
    ("varchar(5)", "'ab'", "\"ab\""),
    (
        "text",
        "E'a\"\\\\\\n\\u0001 Ünï 😀'",
        "\"a\\\"\\\\\\n\\u0001 Ünï 😀\"",
    ),
    ("name", "'n'", "\"n\""),
    ("\"char\"", "'x'", "\"x\""),
    ("citext", "'MiXed'", "\"MiXed\""),
    ("xml", "'<a>b</a>'", "\"<a>b</a>\""),
    ("bytea", "'\\x00ff41c3a9'", "\"\\u0000Aé\""),
    (
        "timestamp",
        "'2023-01-02 03:04:05.678901'",
        "\"2023-01-02T03:04:05.678901\"",
    ),
    (
        "timestamp",
        "'2023-01-02 03:04:05'",
        "\"2023-01-02T03:04:05\"",
    ),
    (
        "timestamptz",
        "'2023-01-02 03:04:05.5+02'",
        "\"2023-01-02T01:04:05.500000+00:00\"",
    ),
    ("timestamp", "'infinity'", "\"9999-12-31T23:59:59.999999\""),
    ("timestamp", "'-infinity'", "\"0001-01-01T00:00:00\""),
    (
        "timestamp",
        "'0044-03-15 12:00 BC'",
        "\"-0043-03-15T12:00:00\"",
    ),
    ("timestamp", "'12345-01-01'", "\"+12345-01-01T00:00:00\""),
    ("date", "'2023-01-02'", "\"2023-01-02\""),
    ("date", "'infinity'", "\"9999-12-31\""),
    ("date", "'-infinity'", "\"0001-01-01\""),
    ("date", "'0044-03-15 BC'", "\"-0043-03-15\""),
    ("time", "'03:04:05'", "\"03:04:05\""),
    ("time", "'24:00'", "\"24:00:00\""),
    ("timetz", "'03:04:05+02'", "\"03:04:05+02:00\""),
    ("timetz", "'03:04:05.5-02:30'", "\"03:04:05.500000-02:30\""),
    (
        "interval",
        "'1 year 2 mons 3 days 04:05:06.7'",
        "\"1 year 2 mons 3 days 04:05:06.7\"",
    ),
    (
        "json",
        "'{\"b\": [1.50, 1e3, 12345678901234567890123], \"a\": null, \"b\": 2}'",
        "{\"b\":2,\"a\":null}",
    ),
    (
        "json",
        "' [1.50, 1e3, 12345678901234567890123, \"x\"] '",
        "[1.5,1000.0,12345678901234567890123,\"x\"]",
    ),
    (
        "jsonb",
        "'{\"b\": 1.50, \"a\": [true, {}]}'",
        "{\"a\":[true,{}],\"b\":1.5}",
    ),
    ("jsonb", "'\"s\"'", "\"s\""),
    ("jsonb", "'null'", "null"),
    (
        "uuid",
        "'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'",
        "\"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11\"",
    ),
    ("inet", "'192.168.1.5'", "\"192.168.1.5\""),
    ("inet", "'10.30.0.9/24'", "\"10.30.0.9/24\""),
    ("inet", "'::ffff:1.2.3.4'", "\"::ffff:102:304\""),
    ("cidr", "'10.0.0.0/8'", "\"10.0.0.0/8\""),
    ("cidr", "'10.1.2.3'", "\"10.1.2.3/32\""),
    ("macaddr", "'08-00-2B-01-02-03'", "\"08:00:2b:01:02:03\""),
    (
        "macaddr8",
        "'08:00:2b:01:02:03:04:05'",
        "\"08:00:2b:01:02:03:04:05\"",
    ),
    ("bit(8)", "B'10101010'", "\"1010 1010\""),
    ("varbit", "B'1101'", "\"1101\""),
    ("varbit", "B'110110'", "\"1101 10\""),
    ("varbit", "B''", "\"\""),
    ("point", "'(1.5,2.5)'", "\"(1.5, 2.5)\""),
    ("line", "'{1,-1,0}'", "\"(1.0, -1.0, 0.0)\""),
    ("lseg", "'[(0,0),(1,1)]'", "\"[(0.0, 0.0), (1.0, 1.0)]\""),
    ("box", "'((0,0),(2,2))'", "\"[(2.0, 2.0), (0.0, 0.0)]\""),
    (
        "path",
        "'((0,0),(1,1))'",
        "\"closed [(0.0, 0.0), (1.0, 1.0)]\"",
    ),
    (
        "path",
        "'[(0,0),(1,1)]'",
        "\"open [(0.0, 0.0), (1.0, 1.0)]\"",
    ),
    (
        "polygon",
        "'((0,0),(1,0),(1,1))'",
        "\"[(0.0, 0.0), (1.0, 0.0), (1.0, 1.0)]\"",
    ),
    ("circle", "'<(0,0),5>'", "\"((0.0, 0.0), 5.0)\""),
    ("mood", "'so so'", "\"so so\""),
    ("percent", "99.50", "99.5"),
    (
        "hstore",
        "'b=>NULL, a=>1'",
        "\"\\\"a\\\"=>\\\"1\\\", \\\"b\\\"=>NULL\"",
    ),
    ("ltree", "'a.b'", "\"a.b\""),
    ("cube", "'(1,2)'", "\"(1, 2)\""),
    ("tsvector", "'b a'", "\"'a' 'b'\""),
    ("tsquery", "'a & b'", "\"'a' & 'b'\""),
    ("pg_lsn", "'16/B374D848'", "97500059720"),
    ("int4range", "'[1,5)'", "\"[1,5)\""),
    (
        "tstzrange",
        "'[2023-01-01,)'",
        "\"[\\\"2023-01-01 00:00:00+00\\\",)\"",
    ),
    ("int4multirange", "'{[1,2),[5,7)}'", "\"{[1,2),[5,7)}\""),
    ("pair", "ROW(1, 'x y')", "\"(1,\\\"x y\\\")\""),
    ("jsonpath", "'$.a'", "\"$.\\\"a\\\"\""),
    ("regclass", "'pg_class'", "\"pg_class\""),
];

const PREPARE: &str = "
    CREATE EXTENSION IF NOT EXISTS citext SCHEMA public; CREATE EXTENSION IF NOT EXISTS hstore SCHEMA public;
    CREATE EXTENSION IF NOT EXISTS ltree SCHEMA public; CREATE EXTENSION IF NOT EXISTS cube SCHEMA public;
    CREATE TYPE mood AS ENUM ('sad', 'so so'); CREATE DOMAIN percent AS numeric CHECK (VALUE <= 100);
    CREATE TYPE pair AS (a int, b text);";

/// Columns a0… hold a value, b0… an array, c0… NULL, d0… an array of two dimensions.
async fn prepare(name: &str) -> Configured {
    let mut columns = vec!["id int PRIMARY KEY".to_owned()];
    let mut values = vec!["1".to_owned()];
    for (at, (column_type, value, _)) in TYPES.iter().enumerate() {
        columns.push(format!(
            "a{at} {column_type}, b{at} {column_type}[], c{at} {column_type}, d{at} {column_type}[]"
        ));
        let value = format!("({value})::{column_type}");
        values.push(format!(
            "{value}, ARRAY[{value}, NULL], NULL, ARRAY[ARRAY[{value}, {value}], ARRAY[{value}, NULL]]"
        ));
    }
    let sql = format!(
        "{PREPARE} CREATE TABLE t ({}); INSERT INTO t VALUES ({});",
        columns.join(", "),
        values.join(", ")
    );
    Configured::new(schema(name, &sql).await, name)
}

fn assert_golden(document: &tributary_sdk::Document, name: &str) {
    let fields = fields(document);
    for (at, (column_type, value, json)) in TYPES.iter().enumerate() {
        let field = |letter: char| &fields[&format!("{name}_t_{letter}{at}")];
        let told = format!("{column_type} {value}");
        assert_eq!(field('a'), json, "{told}");
        assert_eq!(field('b'), &format!("[{json},null]"), "{told}");
        assert_eq!(field('c'), "null", "{told}");
        assert_eq!(
            field('d'),
            &format!("[[{json},{json}],[{json},null]]"),
            "{told}"
        );
    }
    assert_eq!(fields["database"], "\"postgres\"");
    assert_eq!(fields["schema"], format!("\"{name}\""));
    assert_eq!(fields[&format!("{name}_t_id")], "1");
    assert_eq!(fields.len(), 3 + 1 + 4 * TYPES.len());
}

#[tokio::test]
async fn every_type_has_its_form() {
    let configured = prepare("golden").await;
    let walked = configured.walk().await;
    assert_eq!(
        (gaps(&walked), walked.ids()),
        (vec![], vec!["postgres_golden_t_1".to_owned()])
    );
    assert_golden(&walked.documents[0], "golden");
    assert_eq!(fields(&walked.documents[0])["table"], "\"t\"");
}

#[tokio::test]
async fn every_type_has_its_form_with_one_connection() {
    let configured = prepare("golden_one").await.option("connections", 1);
    let walked = configured.walk().await;
    assert_eq!(gaps(&walked), Vec::<String>::new());
    assert_golden(&walked.documents[0], "golden_one");
}

#[tokio::test]
async fn every_type_has_its_form_in_a_rule() {
    let configured = prepare("golden_rule").await;
    let rules = json!([{"tables": ["t"], "query": "SELECT * FROM golden_rule.t; "}]);
    assert_eq!(configured.check(&rules).await, Vec::<String>::new());
    let walked = configured.walk_with(&rules).await;
    assert_eq!(gaps(&walked), Vec::<String>::new());
    assert_golden(&walked.documents[0], "golden_rule");
    assert_eq!(fields(&walked.documents[0])["table"], "[\"t\"]");
}

#[tokio::test]
async fn numbers_keep_their_digits_if_wanted() {
    let sql = "CREATE TABLE t (id numeric PRIMARY KEY, n numeric, ns numeric[]);
        INSERT INTO t VALUES (1.50, 123456789012345678901234567890.123450, '{1.0,NaN,1e20}')";
    let configured = Configured::new(schema("exact", sql).await, "exact");
    let walked = configured.option("exact_numeric", true).walk().await;
    let fields = fields(&walked.documents[0]);
    assert_eq!(fields["exact_t_n"], "123456789012345678901234567890.123450");
    assert_eq!(fields["exact_t_ns"], "[1.0,null,100000000000000000000]");
    assert_eq!(walked.ids(), ["postgres_exact_t_1.50"]);
}

#[tokio::test]
async fn settings_of_the_account_do_not_change_the_forms() {
    for (connections, name) in [(4, "settings"), (1, "settings_one")] {
        let role = format!("peculiar_{name}");
        let settings = [
            "DateStyle = 'German, DMY'",
            "IntervalStyle = 'iso_8601'",
            "TimeZone = 'Asia/Tokyo'",
            "search_path = ''",
            "extra_float_digits = -5",
            "statement_timeout = '300ms'",
            "idle_in_transaction_session_timeout = '300ms'",
        ];
        let settings: Vec<String> = settings
            .iter()
            .map(|setting| format!("ALTER ROLE {role} SET {setting};"))
            .collect();
        let sql = format!(
            "CREATE TABLE t (id int PRIMARY KEY, i interval, r tstzrange);
             INSERT INTO t VALUES (1, '1 day 2 hours', '[2023-01-02 03:04:05+00,)');
             CREATE ROLE {role} LOGIN PASSWORD 'p'; GRANT USAGE ON SCHEMA {name} TO {role};
             GRANT SELECT ON t TO {role}; {}",
            settings.concat()
        );
        let server = schema(name, &sql).await;
        let configured = Configured::new(server, name)
            .with("username", role)
            .with("password", "p");
        let rules =
            json!([{"tables": ["t"], "query": format!("SELECT t.*, pg_sleep(0.4) FROM {name}.t")}]);
        let session = configured
            .option("connections", connections)
            .open_with(&rules)
            .await;
        // Longer than the account's transactions may idle.
        server.psql("SELECT pg_sleep(0.6)").await.unwrap();
        let walked = walk_all(session).await.unwrap();
        assert_eq!(gaps(&walked), Vec::<String>::new());
        let fields = fields(&walked.documents[0]);
        assert_eq!(fields[&format!("{name}_t_i")], "\"1 day 02:00:00\"");
        let range = "\"[\\\"2023-01-02 03:04:05+00\\\",)\"";
        assert_eq!(fields[&format!("{name}_t_r")], range);
    }
}

#[tokio::test]
async fn other_encodings_are_read() {
    let server = server().await;
    for (encoding, insert, expected) in [
        ("LATIN1", "convert_from('\\x6be9', 'LATIN1')", "\"ké\""),
        ("SQL_ASCII", "E'k\\xc3\\xa9\\xe9!'", "\"ké!\""),
    ] {
        let database = format!("encoded_{encoding}").to_lowercase();
        let create = format!(
            "CREATE DATABASE {database} TEMPLATE template0 ENCODING '{encoding}' LC_COLLATE 'C' LC_CTYPE 'C'"
        );
        server.psql(&create).await.unwrap();
        let fill = format!(
            "CREATE TABLE t (id text PRIMARY KEY, ids text[], x json); INSERT INTO t
             SELECT v, ARRAY[v], ('\"' || v || '\"')::json FROM (SELECT {insert} AS v) AS s"
        );
        server.psql_in(&database, &fill).await.unwrap();
        let walked = Configured::new(server, "public")
            .with("database", database.as_str())
            .walk()
            .await;
        assert_eq!(gaps(&walked), Vec::<String>::new());
        let fields = fields(&walked.documents[0]);
        assert_eq!(fields["public_t_id"], expected);
        assert_eq!(fields["public_t_ids"], format!("[{expected}]"));
        assert_eq!(fields["public_t_x"], expected);
        let id = expected.trim_matches('"');
        assert_eq!(walked.ids(), [format!("{database}_public_t_{id}")]);
    }
}

#[tokio::test]
async fn many_values_agree_with_the_servers_own_text() {
    let sql = "CREATE TABLE t (id int PRIMARY KEY, n numeric, n_text text, i interval, i_text text,
            ts timestamptz, ts_text text, f float8, f_text text, b varbit, b_text text);
        SELECT setseed(0.42);
        INSERT INTO t SELECT id, n, n::text, i, i::text,
            ts, to_char(ts AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US'), f, f::text, b, b::text
        FROM (SELECT id,
            round((random() * 2 - 1)::numeric * power(10::numeric, (random() * 40)::int - 10), (random() * 20)::int) AS n,
            make_interval(years => (random() * 6 - 3)::int, months => (random() * 30 - 15)::int,
                days => (random() * 6 - 3)::int, secs => (random() * 2 - 1) * power(10, (random() * 7)::int - 2)) AS i,
            '0001-01-01 00:00+00'::timestamptz + random() * interval '9998 years'
                + CASE WHEN random() < 0.2 THEN interval '1 microsecond' ELSE interval '0' END AS ts,
            (random() * 2 - 1) * power(10::float8, (random() * 600)::int - 300) AS f,
            substr(((random() * 2147483647)::int::bit(32))::text, 1, (random() * 32)::int)::varbit AS b
        FROM generate_series(1, 5000) AS id) AS s";
    let configured = Configured::new(schema("many", sql).await, "many");
    let walked = configured.option("exact_numeric", true).walk().await;
    assert_eq!((gaps(&walked), walked.documents.len()), (vec![], 5_000));
    for document in &walked.documents {
        let fields = fields(document);
        let field = |name: &str| fields[&format!("many_t_{name}")].trim_matches('"');
        assert_eq!(field("n"), field("n_text"));
        assert_eq!(field("i"), field("i_text"));
        let whole = field("ts_text")
            .strip_suffix(".000000")
            .unwrap_or(field("ts_text"));
        assert_eq!(field("ts"), format!("{whole}+00:00"));
        let [double, expected] =
            [field("f"), field("f_text")].map(|text| text.parse::<f64>().unwrap());
        assert_eq!(double.to_bits(), expected.to_bits());
        assert_eq!(field("b").replace(' ', ""), field("b_text"));
    }
}
