//! The table, and the rows that it has.

use anyhow::{Context, Result};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use tributary_simulation::dice::Dice;
use tributary_testkit::servers::{Postgres, shared};

/// A table in a database of its own. Ids are never used again.
pub(crate) struct Table {
    server: &'static Postgres,
    database: String,
    next: u64,
    /// Ids of rows that were deleted.
    pub(crate) gone: BTreeSet<u64>,
}

/// What changed in a round.
pub(crate) struct Changes {
    pub(crate) inserted: u64,
    pub(crate) updated: u64,
    pub(crate) deleted: u64,
}

impl Table {
    pub(crate) async fn new(database: String, rows: u64) -> Result<Self> {
        let server = shared::postgres().await?;
        server.psql(&format!("CREATE DATABASE {database}")).await?;
        let table = Self {
            server,
            database,
            next: rows + 1,
            gone: BTreeSet::new(),
        };
        table
            .run("CREATE TABLE items (id bigint PRIMARY KEY, v text NOT NULL)")
            .await?;
        table.insert(1, rows, 0).await?;
        Ok(table)
    }

    pub(crate) fn configuration(&self) -> Value {
        let server = self.server;
        json!({
            "host": server.host(), "port": server.port(), "username": server.user(),
            "password": server.password(), "database": self.database, "schema": "public", "tables": "*",
        })
    }

    async fn run(&self, sql: &str) -> Result<String> {
        self.server.psql_in(&self.database, sql).await
    }

    async fn insert(&self, from: u64, to: u64, round: u64) -> Result<()> {
        let sql = format!(
            "INSERT INTO items SELECT n, 'inserted in {round}: ' || md5(n::text) FROM generate_series({from}, {to}) n"
        );
        self.run(&sql).await?;
        Ok(())
    }

    /// Deletes, inserts as many, and updates most of the rest.
    pub(crate) async fn change(
        &mut self,
        dice: &mut Dice,
        round: u64,
        deleted_percent: u64,
    ) -> Result<Changes> {
        let salt = dice.number() % 1_000_000;
        let chosen = |percent: u64, what: &str| {
            format!(
                "('x' || left(md5(id::text || '{what}{salt}'), 6))::bit(24)::int % 100 < {percent}"
            )
        };
        let delete = chosen(deleted_percent, "d");
        let sql = format!("DELETE FROM items WHERE {delete} RETURNING id");
        let gone = self.run(&sql).await?;
        let gone: Vec<u64> = gone
            .lines()
            .map(|id| id.parse().context("an id is a number"))
            .collect::<Result<_>>()?;
        let update = chosen(dice.between(60, 90), "u");
        let sql = format!(
            "WITH changed AS (UPDATE items SET v = 'updated in {round}: ' || md5(id::text) WHERE {update} \
             RETURNING 1) SELECT count(*) FROM changed"
        );
        let updated = self.run(&sql).await?.trim().parse()?;
        let deleted = gone.len() as u64;
        self.insert(self.next, self.next + deleted - 1, round)
            .await?;
        self.next += deleted;
        self.gone.extend(gone);
        Ok(Changes {
            inserted: deleted,
            updated,
            deleted,
        })
    }

    /// All rows as the server has them.
    pub(crate) async fn rows(&self) -> Result<BTreeMap<u64, String>> {
        let text = self.run("SELECT id, v FROM items").await?;
        let row = |line: &str| {
            let (id, text) = line.split_once('|').context("two columns")?;
            Ok((id.parse()?, text.to_owned()))
        };
        text.lines().map(row).collect()
    }
}
