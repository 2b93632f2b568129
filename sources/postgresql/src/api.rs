//! One function per call to the server. They take a connection that is inside the snapshot.

use crate::catalogue::{Relation, RelationKind};
use postgres_types::Type;
use std::time::Duration;
use tokio_postgres::{Client, Error, Row, Statement};
use tributary_sql::quote_identifier;

/// Makes text forms independent of server and account. For one transaction only, so that poolers do
/// not hand them on to others.
///
/// A database in `SQL_ASCII` holds bytes in no encoding; asked for UTF-8, the server would refuse whole
/// statements because of one of them.
pub(crate) const SETTINGS: &str = "\
    SET LOCAL DateStyle = 'ISO, YMD'; SET LOCAL IntervalStyle = 'postgres'; \
    SET LOCAL extra_float_digits = 1; SET LOCAL bytea_output = 'hex'; SET LOCAL TimeZone = 'UTC'; \
    SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0; \
    SET LOCAL lock_timeout = '60s'; \
    SELECT set_config('client_encoding', 'SQL_ASCII', true) \
        WHERE current_setting('server_encoding') = 'SQL_ASCII'";

/// Asks the server for anything at all.
pub(crate) async fn ping(client: &Client) -> Result<(), Error> {
    client.batch_execute("SELECT 1").await
}

/// Lets other connections see this one's snapshot.
pub(crate) async fn export_snapshot(client: &Client) -> Result<String, Error> {
    let row = client
        .query_typed_one("SELECT pg_export_snapshot()", &[])
        .await?;
    row.try_get(0)
}

/// The instant of this transaction in microseconds since 2000-01-01 UTC, and whether the server keeps the
/// times of commits.
pub(crate) async fn clock(client: &Client) -> Result<(i64, bool), Error> {
    const QUERY: &str = "SELECT (extract(epoch FROM now()) * 1000000)::bigint - 946684800000000, \
        coalesce(current_setting('track_commit_timestamp', true), 'off') = 'on'";
    let row = client.query_typed_one(QUERY, &[]).await?;
    Ok((row.try_get(0)?, row.try_get(1)?))
}

/// Whether the schema exists and, if so, may be used.
pub(crate) async fn schema_usage(client: &Client, schema: &str) -> Result<Option<bool>, Error> {
    const QUERY: &str = "SELECT has_schema_privilege(oid, 'USAGE') FROM pg_namespace \
        WHERE nspname::text = $1";
    let row = client
        .query_typed_opt(QUERY, &[(&schema, Type::TEXT)])
        .await?;
    row.map(|row| row.try_get(0)).transpose()
}

/// Everything in the schema that rows can be selected from, large tables first. `is_listed` is what
/// `information_schema.tables` decides by.
pub(crate) async fn relations(client: &Client, schema: &str) -> Result<Vec<Relation>, Error> {
    const QUERY: &str = "\
        SELECT c.oid, c.relname::text, c.relkind::text, c.relfilenode, \
            ARRAY(SELECT a.attname::text FROM pg_index i \
                CROSS JOIN LATERAL unnest(i.indkey) WITH ORDINALITY AS k(attnum, position) \
                JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum \
                WHERE i.indrelid = c.oid AND i.indisprimary AND k.position <= i.indnkeyatts \
                ORDER BY k.position), \
            has_table_privilege(c.oid, 'SELECT') OR has_any_column_privilege(c.oid, 'SELECT'), \
            c.relkind <> 'm' AND (pg_has_role(c.relowner, 'USAGE') \
                OR has_table_privilege(c.oid, \
                    'SELECT, INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER') \
                OR has_any_column_privilege(c.oid, 'SELECT, INSERT, UPDATE, REFERENCES')) \
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
        WHERE n.nspname::text = $1 AND c.relkind IN ('r', 'p', 'v', 'm', 'f') \
        ORDER BY c.relpages DESC, c.relname";
    let rows = client.query_typed(QUERY, &[(&schema, Type::TEXT)]).await?;
    let relation = |row: &Row| {
        Ok(Relation {
            oid: row.try_get(0)?,
            name: row.try_get(1)?,
            kind: RelationKind::from_letter(row.try_get(2)?),
            filenode: row.try_get(3)?,
            keys: row.try_get(4)?,
            is_readable: row.try_get(5)?,
            is_listed: row.try_get(6)?,
        })
    };
    rows.iter().map(relation).collect()
}

/// The file a table is stored in now, whatever the snapshot says; `None` if the table is gone.
///
/// The caller holds a lock on the table, so the answer stays true.
pub(crate) async fn current_filenode(client: &Client, oid: u32) -> Result<Option<u32>, Error> {
    let row = client
        .query_typed_one("SELECT pg_relation_filenode($1)", &[(&oid, Type::OID)])
        .await?;
    row.try_get(0)
}

/// Has the server parse a statement: its columns, its parameters, its locks.
pub(crate) async fn prepare(client: &Client, sql: &str) -> Result<Statement, Error> {
    client.prepare(sql).await
}

/// When a row of the table was last committed, in microseconds since 2000-01-01 UTC. Reads the whole table, so it
/// gives up after `limit`. `None` if that is unknown, for whatever reason.
pub(crate) async fn last_update(
    client: &Client,
    schema: &str,
    table: &str,
    limit: Duration,
) -> Result<Option<i64>, Error> {
    let begin = format!(
        "SAVEPOINT last_update; SET LOCAL statement_timeout = {}",
        limit.as_millis()
    );
    client.batch_execute(&begin).await?;
    // Far fewer transactions than rows: each is looked up once.
    let query = format!(
        "SELECT (extract(epoch FROM max(pg_xact_commit_timestamp(x))) * 1000000)::bigint \
            - 946684800000000 \
         FROM (SELECT DISTINCT xmin AS x FROM {}) AS t",
        qualified(schema, table)
    );
    let found = match client.query_typed_one(&query, &[]).await {
        Ok(row) => row.try_get(0)?,
        // Views have no such column, rights may be missing, time may run out: all the same here.
        Err(error) if error.code().is_some() => None,
        Err(error) => return Err(error),
    };
    client
        .batch_execute("ROLLBACK TO SAVEPOINT last_update; RELEASE SAVEPOINT last_update")
        .await?;
    Ok(found)
}

/// The name of a table, quoted.
pub(crate) fn qualified(schema: &str, table: &str) -> String {
    format!(
        "{}.{}",
        quote_identifier(schema, '"'),
        quote_identifier(table, '"')
    )
}
