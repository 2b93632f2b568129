//! Points in time: views of documents that stay the same while writes go on.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tantivy::Searcher;

use crate::engine::Engine;
use crate::errors::Problem;
use crate::http::{Call, Reply};
use crate::indices::resolve;
use crate::search::query::Query;
use crate::storage::{Index, View, lock};

/// Most points open at once; each keeps old pages of the file from being used again.
const LIMIT: usize = 100;
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// The documents of one index as a search sees them.
pub(crate) struct Part {
    pub(crate) index: Arc<Index>,
    pub(crate) view: View,
    searcher: Mutex<Option<Searcher>>,
}

impl Part {
    /// A view for one search. It brings the full-text index up to date if the query can make use of it.
    pub(crate) fn for_query(
        engine: &Engine,
        index: &Arc<Index>,
        query: &Query,
    ) -> Result<Part, Problem> {
        if index.has_full_text() {
            let text = engine.full_text(index)?;
            if text.narrow(query).is_useful() {
                let (view, searcher) = text.view(engine, index)?;
                return Ok(Part {
                    index: index.clone(),
                    view,
                    searcher: Mutex::new(Some(searcher)),
                });
            }
        }
        Ok(Part {
            index: index.clone(),
            view: engine.storage.view(index)?,
            searcher: Mutex::new(None),
        })
    }

    /// The searcher of this view. A point in time gets it with its first query that needs it.
    fn searcher(&self, engine: &Engine) -> Result<Searcher, Problem> {
        let mut searcher = lock(&self.searcher);
        match &*searcher {
            Some(searcher) => Ok(searcher.clone()),
            None => Ok(searcher
                .insert(engine.full_text(&self.index)?.view(engine, &self.index)?.1)
                .clone()),
        }
    }

    /// Visits every match in the order of sequence numbers until told to stop. The source is parsed only where it
    /// is looked at: by the query, or because `wants_source`.
    pub(crate) fn visit(
        &self,
        engine: &Engine,
        query: &Query,
        from: u64,
        wants_source: bool,
        visit: &mut dyn FnMut(u64, f32, &Value) -> Result<bool, Problem>,
    ) -> Result<(), Problem> {
        let look = |id: &str, source: &str, sure: bool| -> Result<Option<Value>, Problem> {
            if sure && !wants_source {
                return Ok(Some(Value::Null));
            }
            let source = serde_json::from_str(source)?;
            Ok((sure || query.matches(id, &source)).then_some(source))
        };
        if self.index.has_full_text() {
            let text = engine.full_text(&self.index)?;
            let narrowed = text.narrow(query);
            if narrowed.is_useful() {
                // The searcher of a point in time may know later writes.
                let (exact, next) = (narrowed.exact, self.view.next()?);
                for (seq_no, score) in text.search(&self.searcher(engine)?, narrowed)? {
                    if seq_no < from || seq_no >= next {
                        continue;
                    }
                    let source = match (exact, wants_source) {
                        (true, false) => Some(Value::Null),
                        _ => self
                            .view
                            .look(seq_no, |row| look(row.id, row.source, exact))?
                            .flatten(),
                    };
                    if let Some(source) = source
                        && !visit(seq_no, score, &source)?
                    {
                        return Ok(());
                    }
                }
                return Ok(());
            }
        }
        let sure = matches!(query, Query::All);
        self.view.scan(from.., |seq_no, row| {
            match look(row.id, row.source, sure)? {
                Some(source) => visit(seq_no, 1.0, &source),
                None => Ok(true),
            }
        })
    }
}

struct Point {
    parts: Arc<Vec<Part>>,
    keep_alive: Duration,
    expires: Instant,
}

/// All open points in time.
#[derive(Default)]
pub(crate) struct Points {
    open: Mutex<HashMap<String, Point>>,
}

impl Points {
    /// Closes those whose time has run out.
    pub(crate) fn drop_expired(&self) {
        lock(&self.open).retain(|_, point| point.expires > Instant::now());
    }

    /// The views of an open point, kept alive for another while.
    pub(crate) fn get(
        &self,
        id: &str,
        keep_alive: Option<&str>,
    ) -> Result<Arc<Vec<Part>>, Problem> {
        self.drop_expired();
        let mut open = lock(&self.open);
        let Some(point) = open.get_mut(id) else {
            return Err(Problem::new(
                404,
                "search_context_missing_exception",
                format!("No search context found for id [{id}]"),
            ));
        };
        if let Some(keep_alive) = keep_alive {
            point.keep_alive = duration_of(keep_alive)?;
        }
        point.expires = Instant::now() + point.keep_alive;
        Ok(point.parts.clone())
    }
}

fn duration_of(text: &str) -> Result<Duration, Problem> {
    let wrong = || {
        Problem::illegal(format!(
            "failed to parse setting [keep_alive] with value [{text}] as a time value"
        ))
    };
    let at = text
        .find(|character: char| !character.is_ascii_digit())
        .ok_or_else(wrong)?;
    let amount: u64 = text
        .get(..at)
        .unwrap_or_default()
        .parse()
        .map_err(|_| wrong())?;
    let millis: u64 = match text.get(at..).unwrap_or_default() {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(wrong()),
    };
    let duration = Duration::from_millis(amount.checked_mul(millis).ok_or_else(wrong)?);
    if duration > LONGEST {
        return Err(Problem::illegal(format!(
            "Keep alive for request ({text}) is too large. It must be less than (1d)."
        )));
    }
    Ok(duration)
}

/// `POST /{index}/_pit`.
pub(crate) fn open(engine: &Engine, call: &Call, expression: &str) -> Result<Reply, Problem> {
    let keep_alive = call
        .params
        .text("keep_alive")
        .ok_or_else(|| Problem::validation("[keep_alive] is not specified"))?;
    let keep_alive = duration_of(keep_alive)?;
    let indices = resolve(&engine.storage.catalogue(), expression, &call.params)?;
    let parts: Vec<Part> = indices
        .iter()
        .map(|index| Part::for_query(engine, index, &Query::All))
        .collect::<Result<_, _>>()?;
    let (id, shards) = (engine.random_name()?, parts.len());
    engine.points.drop_expired();
    let mut open = lock(&engine.points.open);
    if open.len() >= LIMIT {
        return Err(Problem::new(
            429,
            "rejected_execution_exception",
            format!("Trying to open too many points in time, at most [{LIMIT}] may be open"),
        ));
    }
    open.insert(
        id.clone(),
        Point {
            parts: Arc::new(parts),
            keep_alive,
            expires: Instant::now() + keep_alive,
        },
    );
    Reply::ok(
        &json!({"id": id, "_shards": {"total": shards, "successful": shards, "skipped": 0, "failed": 0}}),
    )
}

/// `DELETE /_pit`.
pub(crate) fn close(engine: &Engine, call: &Call) -> Result<Reply, Problem> {
    let body = call.object("close_pit")?;
    let freed = lock(&engine.points.open)
        .remove(body["id"].as_str().unwrap_or_default())
        .is_some();
    Reply::with(
        if freed { 200 } else { 404 },
        &json!({"succeeded": true, "num_freed": u8::from(freed)}),
    )
}
