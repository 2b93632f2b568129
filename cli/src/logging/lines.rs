//! Log lines as JSON objects.

use chrono::{SecondsFormat, Utc};
use serde_json::{Map, Value};
use std::{fmt, io::Write};
use tracing::{
    Event, Id, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Record},
};
use tracing_subscriber::{Layer, fmt::MakeWriter, layer::Context, registry::LookupSpan};

/// The version of the Elastic Common Schema whose names are used.
const ECS_VERSION: &str = "8.11.0";

/// The names of the fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// Short ones.
    Plain,
    /// Those of the Elastic Common Schema.
    Ecs,
}

/// Writes each event as one line.
pub(super) struct JsonLines<W> {
    shape: Shape,
    to: W,
}

impl<W> JsonLines<W> {
    pub(super) fn new(shape: Shape, to: W) -> Self {
        Self { shape, to }
    }
}

impl<S, W> Layer<S> for JsonLines<W>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: for<'a> MakeWriter<'a> + 'static,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        if let Some(span) = context.span(id) {
            span.extensions_mut().insert(fields);
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let mut extensions = span.extensions_mut();
        if let Some(fields) = extensions.get_mut::<Fields>() {
            values.record(fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut own = Fields::default();
        event.record(&mut own);
        // Outer spans first, so that the event has the last word.
        let mut labels = Map::new();
        for span in context
            .event_scope(event)
            .into_iter()
            .flat_map(|scope| scope.from_root())
        {
            if let Some(fields) = span.extensions().get::<Fields>() {
                labels.extend(fields.labels.clone());
            }
        }
        labels.extend(own.labels);
        let metadata = event.metadata();
        let level = super::word(*metadata.level());
        let line = match self.shape {
            Shape::Plain => plain(level, metadata.target(), &own.message, labels),
            Shape::Ecs => ecs(level, metadata.target(), &own.message, labels),
        };
        let mut line = Value::Object(line).to_string();
        line.push('\n');
        // There is nobody to tell that the log cannot be written.
        let _ = self.to.make_writer_for(metadata).write_all(line.as_bytes());
    }
}

fn plain(
    level: &str,
    logger: &str,
    message: &str,
    labels: Map<String, Value>,
) -> Map<String, Value> {
    let mut line = Map::new();
    let mut put = |key: &str, value: &str| line.insert(key.to_owned(), value.into());
    put("time", &now());
    put("level", level);
    put("message", message);
    put("logger", logger);
    for (key, value) in labels {
        line.entry(key).or_insert(value);
    }
    line
}

fn ecs(level: &str, logger: &str, message: &str, labels: Map<String, Value>) -> Map<String, Value> {
    let mut line = Map::new();
    let mut put = |key: &str, value: Value| line.insert(key.to_owned(), value);
    put("@timestamp", now().into());
    put("log.level", level.into());
    put("message", message.into());
    put("ecs.version", ECS_VERSION.into());
    put("log.logger", logger.into());
    put("process.pid", std::process::id().into());
    put("service.name", env!("CARGO_PKG_NAME").into());
    put("service.version", env!("CARGO_PKG_VERSION").into());
    if !labels.is_empty() {
        // Labels are keywords in the schema: texts without dots in their names.
        let as_text = |(key, value): (String, Value)| {
            let text = match value {
                Value::String(text) => text,
                value => value.to_string(),
            };
            (key.replace('.', "_"), Value::String(text))
        };
        put(
            "labels",
            labels
                .into_iter()
                .map(as_text)
                .collect::<Map<_, _>>()
                .into(),
        );
    }
    line
}

fn now() -> String {
    Utc::now().to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// The message and the other fields of an event or a span.
#[derive(Default)]
struct Fields {
    message: String,
    labels: Map<String, Value>,
}

impl Fields {
    fn put(&mut self, field: &Field, value: Value) {
        match (field.name(), value) {
            ("message", Value::String(text)) => self.message = text,
            (name, value) => {
                self.labels.insert(name.to_owned(), value);
            }
        }
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, format!("{value:?}").into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value.into());
    }
}
