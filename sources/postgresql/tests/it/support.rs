//! Sources, sessions and what they emit.

use serde_json::{Map, Value, json, value::RawValue};
use std::{collections::BTreeMap, path::PathBuf, sync::Arc};
use tokio::{sync::mpsc, task::JoinHandle};
use tributary_sdk::{
    Cursor, Document, Error, JobKind, Result, Run, Session, Setup, Source, SourceOptions, Stamp,
    StopSignal, Unit, Values,
    emitter::{Budget, Emitter, Item, Origin},
};
use tributary_source_postgresql::POSTGRESQL;
use tributary_testkit::{
    servers::{Postgres, shared},
    walk::{Walked, walk_all},
};

/// The server that most tests share. Each test has a schema of its own.
pub(crate) async fn server() -> &'static Postgres {
    shared::postgres().await.unwrap()
}

/// Runs statements in a schema that is made for them.
pub(crate) async fn schema(name: &str, sql: &str) -> &'static Postgres {
    let server = server().await;
    let sql = format!("CREATE SCHEMA \"{name}\"; SET search_path = \"{name}\", public; {sql}");
    server.psql(&sql).await.unwrap();
    server
}

/// A configuration, with the values that a test cares about.
#[derive(Clone)]
pub(crate) struct Configured {
    values: Map<String, Value>,
    options: Map<String, Value>,
}

impl Configured {
    /// Everything in a schema of the database `postgres`.
    pub(crate) fn new(server: &Postgres, schema: &str) -> Self {
        let values = json!({
            "host": server.host(), "port": server.port(), "username": server.user(),
            "password": server.password(), "database": "postgres", "schema": schema,
            "tables": "*", "fetch_size": null, "retry_count": 1, "ssl_enabled": false, "ssl_ca": "",
        });
        let Value::Object(values) = values else {
            unreachable!()
        };
        Self {
            values,
            options: Map::new(),
        }
    }

    pub(crate) fn with(mut self, field: &str, value: impl Into<Value>) -> Self {
        assert!(
            self.values.insert(field.into(), value.into()).is_some(),
            "no field {field}"
        );
        self
    }

    pub(crate) fn option(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.options.insert(name.into(), value.into());
        self
    }

    pub(crate) fn try_build(&self) -> Result<Arc<dyn Source>> {
        let stored = self
            .values
            .iter()
            .map(|(key, value)| (key.clone(), json!({"value": value})));
        let values = Values::new(POSTGRESQL.fields, &stored.collect());
        POSTGRESQL.check(&values)?;
        let options = SourceOptions::new(self.options.clone());
        let setup = Setup::new(
            &values,
            &options,
            StopSignal::never(),
            PathBuf::from("/nonexistent"),
        );
        let source = (POSTGRESQL.build)(&setup)?;
        assert_eq!(values.unread(), Vec::<&str>::new());
        Ok(source)
    }

    pub(crate) fn build(&self) -> Arc<dyn Source> {
        self.try_build().unwrap()
    }

    pub(crate) async fn try_open(&self) -> Result<Arc<dyn Session>> {
        let session = self.build().open(&Run::new(JobKind::Full)).await?;
        Ok(Arc::from(session))
    }

    pub(crate) async fn open(&self) -> Arc<dyn Session> {
        self.try_open().await.unwrap()
    }

    pub(crate) async fn open_with(&self, rules: &Value) -> Arc<dyn Session> {
        let mut run = Run::new(JobKind::Full);
        run.rules = Some(raw(rules).into());
        Arc::from(self.build().open(&run).await.unwrap())
    }

    pub(crate) async fn walk(&self) -> Walked {
        walk_all(self.open().await).await.unwrap()
    }

    pub(crate) async fn walk_with(&self, rules: &Value) -> Walked {
        walk_all(self.open_with(rules).await).await.unwrap()
    }

    /// The findings about some rules.
    pub(crate) async fn check(&self, rules: &Value) -> Vec<String> {
        let findings = self.build().check_rules(&raw(rules)).await.unwrap();
        let text = |finding: tributary_sdk::Finding| {
            assert_eq!(finding.place.as_deref(), Some("advanced_snippet"));
            finding.message
        };
        findings.into_iter().map(text).collect()
    }
}

pub(crate) fn raw(value: &Value) -> Box<RawValue> {
    serde_json::value::to_raw_value(value).unwrap()
}

/// The fields of a document as they are written.
pub(crate) fn fields(document: &Document) -> BTreeMap<String, String> {
    let mut text = document.body.as_open_text().to_vec();
    text.push(b'}');
    let fields: BTreeMap<String, Box<RawValue>> = serde_json::from_slice(&text).unwrap();
    let fields = fields.into_iter();
    fields
        .map(|(name, value)| (name, value.get().to_owned()))
        .collect()
}

pub(crate) fn stamp(document: &Document) -> &str {
    match &document.stamp {
        Stamp::Group(text) => text,
        other => panic!("{other:?}"),
    }
}

/// All gaps as text: scope, kind and message.
pub(crate) fn gaps(walked: &Walked) -> Vec<String> {
    let gap = |(scope, error): &(tributary_sdk::Scope, Error)| {
        format!("{scope} {}: {error}", error.kind().name())
    };
    walked.gaps.iter().map(gap).collect()
}

/// The units of a session.
pub(crate) async fn units(session: &dyn Session) -> Vec<Unit> {
    let budget = Arc::new(Budget::new(1, 1));
    let (out, mut items) = mpsc::channel(1000);
    let sink = tributary_sdk::UnitSink::new(Emitter::new(None, &budget, &out));
    session.units(&sink).await.unwrap();
    drop((sink, out));
    let mut units = Vec::new();
    while let Some((_, item)) = items.recv().await {
        if let Item::Unit(unit) = item {
            units.push(unit);
        }
    }
    units
}

/// A walk that a test follows item by item. Dropped, it drops the walk.
pub(crate) struct Followed {
    items: mpsc::Receiver<(Origin, Item)>,
    walk: JoinHandle<Result<()>>,
}

impl Drop for Followed {
    fn drop(&mut self) {
        self.walk.abort();
    }
}

impl Followed {
    /// Begins a walk with little room, so that it does not run ahead.
    pub(crate) fn begin(session: &Arc<dyn Session>, unit: &Unit, from: Option<Cursor>) -> Self {
        Self::with_room(session, unit, from, 1)
    }

    /// Begins a walk that may run so many items ahead.
    pub(crate) fn with_room(
        session: &Arc<dyn Session>,
        unit: &Unit,
        from: Option<Cursor>,
        room: usize,
    ) -> Self {
        let budget = Arc::new(Budget::new(64 << 20, 1));
        let (out, items) = mpsc::channel(room);
        let (session, unit) = (Arc::clone(session), unit.clone());
        let walk = tokio::spawn(async move {
            let emitter = Emitter::new(Some(&unit), &budget, &out);
            session.walk(&unit, from, &emitter).await.map(drop)
        });
        Self { items, walk }
    }

    /// The next documents, at most so many, and the last checkpoint among them.
    pub(crate) async fn next(&mut self, count: usize) -> (Vec<Document>, Option<Cursor>) {
        let mut documents = Vec::new();
        let mut checkpoint = None;
        while documents.len() < count {
            match self.items.recv().await {
                Some((_, Item::Upsert(document, _))) => documents.push(*document),
                Some((_, Item::Checkpoint(cursor))) => checkpoint = Some(cursor),
                Some((_, other)) => panic!("{other:?}"),
                None => break,
            }
        }
        (documents, checkpoint)
    }

    /// The documents up to the first checkpoint, and that.
    pub(crate) async fn until_checkpoint(&mut self) -> (Vec<Document>, Cursor) {
        let mut documents = Vec::new();
        loop {
            match self.items.recv().await {
                Some((_, Item::Upsert(document, _))) => documents.push(*document),
                Some((_, Item::Checkpoint(cursor))) => return (documents, cursor),
                other => panic!("no checkpoint: {other:?}"),
            }
        }
    }

    /// Drops the rest; how many documents, and their bytes.
    pub(crate) async fn count(mut self) -> (usize, usize) {
        let (mut count, mut bytes) = (0, 0);
        while let Some((_, item)) = self.items.recv().await {
            if let Item::Upsert(document, _) = item {
                count += 1;
                bytes += document.body.as_open_text().len();
            }
        }
        (&mut self.walk).await.unwrap().unwrap();
        (count, bytes)
    }

    /// All the rest, and how the walk ended.
    pub(crate) async fn end(mut self) -> (Vec<Document>, Result<()>) {
        let documents = self.next(usize::MAX).await.0;
        let outcome = (&mut self.walk).await.unwrap();
        (documents, outcome)
    }
}
