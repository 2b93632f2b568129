//! Units and walks.

use crate::{
    api,
    catalogue::{Catalogue, Refused, Relation},
    config::{self, Reading},
    connect::{Connection, Server},
    cursor::Rows,
    decode::{Decoder, timestamp},
    documents::{Common, Documents},
    error::Place,
    plan::Plan,
    rules::{self, Parts, Prepared},
    snapshot::{Snapshot, View},
};
use serde_json::value::RawValue;
use std::{collections::HashMap, sync::Arc};
use tokio_postgres::Client;
use tributary_sdk::{
    Cursor, Emitter, End, Error, ErrorKind, Finding, Listing, Promises, Result, Run, Session,
    Setup, Source, Unit, UnitKey, UnitSink, async_trait,
};
use tributary_sql::{Naming, Rule, parse_rules};

/// A checkpoint is due after so many documents, or so many bytes of them.
const CHECKPOINT_DOCUMENTS: usize = 5_000;
const CHECKPOINT_BYTES: usize = 8 << 20;

pub(crate) fn build(setup: &Setup<'_>) -> Result<Arc<dyn Source>> {
    let (login, reading) = config::read(setup)?;
    Ok(Arc::new(PostgresSource {
        server: Arc::new(Server::new(login)),
        reading: Arc::new(reading),
    }))
}

struct PostgresSource {
    server: Arc<Server>,
    reading: Arc<Reading>,
}

impl PostgresSource {
    /// A connection inside a snapshot, and what the schema holds there.
    async fn look(&self) -> Result<(Connection, Catalogue)> {
        let connection = self.server.connect().await?;
        Snapshot::begin(&connection).await?;
        let catalogue = Catalogue::read(&connection, &self.reading).await?;
        Ok((connection, catalogue))
    }

    fn user(&self) -> &str {
        &self.server.place().user
    }

    /// What a run without rules reads.
    fn tables(&self, catalogue: &Catalogue) -> Result<(Announced, Vec<Refused>)> {
        let selected = catalogue
            .select(&self.reading, self.user())
            .or_nothing_found(&self.reading, self.user())?;
        let units = selected.tables.into_iter().map(|table| {
            let unit = Unit::new(rules::scope(&table.name));
            (unit, Work::Table(table.clone()))
        });
        Ok((units.collect(), selected.refused))
    }
}

#[async_trait]
impl Source for PostgresSource {
    async fn ping(&self) -> Result<()> {
        let connection = self.server.connect().await?;
        let answered = api::ping(connection.client()).await;
        answered.map_err(|error| self.server.place().explain(error))
    }

    async fn validate(&self) -> Result<Vec<Finding>> {
        let (_connection, catalogue) = match self.look().await {
            Ok(found) => found,
            Err(error) => return as_finding(error),
        };
        let user = self.user();
        let selected = catalogue.select(&self.reading, user);
        match selected.or_nothing_found(&self.reading, user) {
            Ok(selected) => {
                let findings = selected.refused.into_iter();
                Ok(findings
                    .map(|refused| Finding::at("tables", refused.message))
                    .collect())
            }
            Err(error) => as_finding(error),
        }
    }

    async fn check_rules(&self, rules: &RawValue) -> Result<Vec<Finding>> {
        let rules = match parse_rules(rules)? {
            Ok(rules) => rules,
            Err(finding) => return Ok(vec![finding]),
        };
        let (connection, catalogue) = self.look().await?;
        let place = connection.place();
        let explain = |error| place.explain(error);
        rules::check(
            connection.client(),
            &catalogue,
            &self.reading,
            &rules,
            &explain,
        )
        .await
    }

    async fn open(&self, run: &Run) -> Result<Box<dyn Session>> {
        let (keeper, catalogue) = self.look().await?;
        let rules = match &run.rules {
            None => Vec::new(),
            Some(rules) => parse_rules(rules)?.map_err(|finding| {
                Error::invalid_config(format!("the advanced sync rules: {}", finding.message))
            })?,
        };
        let (work, refused) = if rules.is_empty() {
            self.tables(&catalogue)?
        } else {
            (by_rules(rules), Vec::new())
        };
        let clock = api::clock(keeper.client()).await;
        let (now, keeps_commit_times) = clock.map_err(|error| keeper.place().explain(error))?;
        // One connection keeps the snapshot, the others read.
        let wanted = self
            .reading
            .options
            .connections
            .saturating_sub(1)
            .min(work.len());
        let snapshot = Snapshot::share(Arc::clone(&self.server), keeper, wanted).await;
        Ok(Box::new(PostgresSession {
            place: Arc::clone(self.server.place()),
            reading: Arc::clone(&self.reading),
            snapshot,
            catalogue,
            units: work.iter().map(|(unit, _)| unit.clone()).collect(),
            work: work
                .into_iter()
                .map(|(unit, work)| (unit.key(), work))
                .collect(),
            refused,
            now: stamp_text(now),
            keeps_commit_times,
        }))
    }
}

/// What a person has to put right is a finding; the rest means that nothing could be checked.
fn as_finding(error: Error) -> Result<Vec<Finding>> {
    match error.kind() {
        ErrorKind::InvalidConfig | ErrorKind::Forbidden | ErrorKind::Unauthorised => {
            Ok(vec![Finding::new(error.message())])
        }
        _ => Err(error),
    }
}

fn by_rules(rules: Vec<Rule>) -> Announced {
    let mut parts = Parts::default();
    let units = rules.into_iter().map(|rule| {
        let tables = Naming::new("", &rule.tables).tables().to_owned();
        let part = parts.next(&tables);
        let unit = Unit::new(rules::scope(&tables)).part(part);
        (unit, Work::Rule(rule))
    });
    units.collect()
}

/// ISO 8601 with `+00:00`.
fn stamp_text(micros: i64) -> Arc<str> {
    let mut text = String::with_capacity(32);
    if let tributary_sql::Value::Timestamp(moment) = timestamp(micros, Some(0)) {
        moment.write(&mut text, 'T');
    }
    text.into()
}

/// Units and what they read.
type Announced = Vec<(Unit, Work)>;

/// What a unit reads.
enum Work {
    Table(Relation),
    Rule(Rule),
}

struct PostgresSession {
    place: Arc<Place>,
    reading: Arc<Reading>,
    snapshot: Snapshot,
    catalogue: Catalogue,
    units: Vec<Unit>,
    work: HashMap<UnitKey, Work>,
    refused: Vec<Refused>,
    /// The instant of the snapshot, as `_timestamp` shows it.
    now: Arc<str>,
    keeps_commit_times: bool,
}

#[async_trait]
impl Session for PostgresSession {
    fn promises(&self) -> Promises {
        Promises {
            listing: Listing::Snapshot,
            // Ids begin with the names of the tables, and so do scopes.
            ids_stay: true,
            parallel: self.snapshot.parallel(),
        }
    }

    async fn units(&self, out: &UnitSink) -> Result<()> {
        for refused in &self.refused {
            out.gap(rules::scope(&refused.table), refused.error())
                .await?;
        }
        for unit in &self.units {
            out.unit(unit.clone()).await?;
        }
        Ok(())
    }

    async fn walk(&self, unit: &Unit, from: Option<Cursor>, out: &Emitter) -> Result<End> {
        let Some(work) = self.work.get(&unit.key()) else {
            let message = "the tables or rules changed since this unit was announced";
            return Err(Error::new(ErrorKind::NotFound, message).with("unit", &unit.scope));
        };
        let mut lease = self.snapshot.lease().await?;
        let view = lease.enter().await?;
        let outcome = match work {
            Work::Table(table) => self.walk_table(&view, table, from, out).await,
            Work::Rule(rule) => self.walk_rule(&view, rule, out).await,
        };
        if matches!(&outcome, Err(error) if error.kind() == ErrorKind::Stopped) {
            return outcome.map(|()| End::complete());
        }
        if view.leave().await.is_ok() {
            lease.give_back();
        }
        outcome.map(|()| End::complete())
    }
}

impl PostgresSession {
    fn explain(&self, error: tokio_postgres::Error) -> Error {
        self.place.explain(error)
    }

    async fn walk_table(
        &self,
        view: &View<'_>,
        table: &Relation,
        from: Option<Cursor>,
        out: &Emitter,
    ) -> Result<()> {
        let outcome = self.read_table(view, table, from, out).await;
        outcome.map_err(|error| error.with("table", &table.name))
    }

    async fn read_table(
        &self,
        view: &View<'_>,
        table: &Relation,
        from: Option<Cursor>,
        out: &Emitter,
    ) -> Result<()> {
        let client = view.client();
        let plan = Plan::new(client, &self.reading, table, &self.place).await?;
        self.assert_unchanged(client, table).await?;
        let stamp = self.stamp(client, &[table]).await?;
        let after = from.map(|cursor| plan.position_of(&cursor)).transpose()?;
        let statement = api::prepare(client, &plan.statement(after.is_some())).await;
        let statement = statement.map_err(|error| self.explain(error))?;
        let common = self.common(vec![table.name.clone()], false, stamp);
        let naming = Naming::new(&self.reading.schema, &[&table.name]);
        let names = plan.columns.iter().map(|column| column.name.as_str());
        let fields = naming.columns(names)?;
        let keys = table
            .keys
            .iter()
            .filter_map(|key| fields.position(&naming.field(key)));
        let decoders: Vec<Decoder> = plan.columns.iter().map(|column| column.decoder).collect();
        let documents = Documents::new(common, &naming, &fields, &decoders, keys.collect())?;
        let parameters = after.unwrap_or_default();
        let rows = Rows::open(view, &statement, &parameters, self.reading.fetch_size).await;
        let rows = rows.map_err(|error| self.explain(error))?;
        self.emit(rows, documents, Some(&plan), out).await
    }

    async fn walk_rule(&self, view: &View<'_>, rule: &Rule, out: &Emitter) -> Result<()> {
        let outcome = self.read_rule(view, rule, out).await;
        outcome.map_err(|error| error.with("rule on", rule.tables.join(", ")))
    }

    async fn read_rule(&self, view: &View<'_>, rule: &Rule, out: &Emitter) -> Result<()> {
        let client = view.client();
        let explain = |error| self.explain(error);
        let prepared =
            rules::prepare(client, &self.catalogue, &self.reading, rule, &explain).await?;
        let relations = rules::relations(&self.catalogue, rule);
        for relation in &relations {
            self.assert_unchanged(client, relation).await?;
        }
        let stamp = self.stamp(client, &relations).await?;
        let Prepared {
            statement,
            decoders,
            fields,
            keys,
        } = prepared;
        let common = self.common(rule.tables.clone(), true, stamp);
        let naming = Naming::new(&self.reading.schema, &rule.tables);
        let documents = Documents::new(common, &naming, &fields, &decoders, keys)?;
        let rows = Rows::open(view, &statement, &[], self.reading.fetch_size).await;
        let rows = rows.map_err(explain)?;
        // Rules have an order of their own, or none, so they are read from the start each time.
        self.emit(rows, documents, None, out).await
    }

    async fn emit(
        &self,
        mut rows: Rows<'_>,
        mut documents: Documents,
        plan: Option<&Plan>,
        out: &Emitter,
    ) -> Result<()> {
        let (mut count, mut bytes) = (0, 0);
        while let Some(row) = rows.next().await.map_err(|error| self.explain(error))? {
            match documents.read(&row)? {
                Ok(document) => out.upsert(document).await?,
                Err(skipped) => out.skip(skipped.id, skipped.why).await?,
            }
            count += 1;
            bytes += row.raw_size_bytes();
            if count < CHECKPOINT_DOCUMENTS && bytes < CHECKPOINT_BYTES {
                continue;
            }
            if let Some(position) = plan.map(|plan| plan.position(&row)).transpose()?.flatten() {
                out.checkpoint(&position).await?;
            }
            (count, bytes) = (0, 0);
        }
        Ok(())
    }

    fn common(&self, tables: Vec<String>, is_rule: bool, stamp: Arc<str>) -> Common {
        Common {
            database: self.reading.database.clone(),
            schema: self.reading.schema.clone(),
            tables,
            is_rule,
            stamp,
        }
    }

    /// A table that was rewritten after the snapshot was taken looks empty to it
    /// (<https://www.postgresql.org/docs/current/mvcc-caveats.html>), and an empty table would have all
    /// its documents deleted.
    async fn assert_unchanged(&self, client: &Client, table: &Relation) -> Result<()> {
        if table.filenode == 0 {
            return Ok(());
        }
        let current = api::current_filenode(client, table.oid).await;
        let current = current.map_err(|error| self.explain(error))?;
        if current == Some(table.filenode) {
            return Ok(());
        }
        let message = "the table was rewritten or emptied after the sync began (ALTER TABLE, TRUNCATE, VACUUM FULL or CLUSTER), so its rows as of then cannot be seen; the next sync reads it";
        Err(Error::new(ErrorKind::Unavailable, message).with("table", &table.name))
    }

    /// The last change of the tables, or now if that is unknown.
    async fn stamp(&self, client: &Client, tables: &[&Relation]) -> Result<Arc<str>> {
        let limit = self.reading.options.last_update_limit();
        let Some(limit) = limit.filter(|_| self.keeps_commit_times) else {
            return Ok(Arc::clone(&self.now));
        };
        let mut latest = None;
        for table in tables {
            let found = api::last_update(client, &self.reading.schema, &table.name, limit).await;
            latest = latest.max(found.map_err(|error| self.explain(error))?);
        }
        Ok(latest.map_or_else(|| Arc::clone(&self.now), stamp_text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_are_iso_8601_in_utc() {
        assert_eq!(&*stamp_text(0), "2000-01-01T00:00:00+00:00");
        assert_eq!(&*stamp_text(1_500_000), "2000-01-01T00:00:01.500000+00:00");
    }
}
