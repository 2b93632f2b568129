//! Views that searches work on, and points in time: views that stay the same while writes go on.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tantivy::Searcher;

use crate::engine::Engine;
use crate::errors::{Problem, Result};
use crate::http::{Call, Reply};
use crate::indices::{resolve, shards};
use crate::search::query::Query;
use crate::storage::{Index, Row, View, lock};

/// Most points open at once; each keeps old pages of the file from being used again.
const LIMIT: usize = 100;
const LONGEST: u64 = 24 * 3_600_000;

/// The documents of one index as a search sees them.
pub(crate) struct Part {
    pub(crate) index: Arc<Index>,
    pub(crate) view: View,
    /// A point in time gets it with its first query that needs it.
    searcher: Mutex<Option<Searcher>>,
}

/// Takes a match: its sequence number, its score, and its source if that is at hand. Returns whether to go on.
pub(crate) type Visit<'v> = dyn FnMut(u64, f32, &Value) -> Result<bool> + 'v;

impl Part {
    /// A view for one search. It brings the full-text index up to date if the query can make use of it.
    pub(crate) fn for_query(engine: &Engine, index: &Arc<Index>, query: &Query) -> Result<Part> {
        let (mut view, mut searcher) = (engine.storage.view(index)?, None);
        if index.has_full_text() && !matches!(query, Query::All) {
            let text = engine.full_text(index)?;
            if text.narrow(query).query.is_some() {
                let (newer, fresh) = text.view(engine, index)?;
                (view, searcher) = (newer, Some(fresh));
            }
        }
        Ok(Part {
            index: index.clone(),
            view,
            searcher: Mutex::new(searcher),
        })
    }

    /// Visits every match in the order of sequence numbers. The source is parsed only where it is looked at: by the
    /// query, or because `wants_source`.
    pub(crate) fn visit(
        &self,
        engine: &Engine,
        query: &Query,
        from: u64,
        wants_source: bool,
        visit: &mut Visit,
    ) -> Result<()> {
        let look = |row: Row, sure: bool| -> Result<Option<Value>> {
            if sure && !wants_source {
                return Ok(Some(Value::Null));
            }
            let source = serde_json::from_str(row.source)?;
            Ok((sure || query.matches(row.id, &source)).then_some(source))
        };
        let sure = matches!(query, Query::All);
        if self.index.has_full_text() && !sure {
            let text = engine.full_text(&self.index)?;
            let narrowed = text.narrow(query);
            if narrowed.query.is_some() {
                let mut searcher = lock(&self.searcher);
                if searcher.is_none() {
                    *searcher = Some(text.view(engine, &self.index)?.1);
                }
                let Some(searcher) = &*searcher else {
                    return Ok(());
                };
                let sure = narrowed.exact;
                for (seq_no, score) in text.search(searcher, narrowed)? {
                    // The searcher of a point in time may know later writes.
                    if seq_no < from || seq_no >= self.view.next {
                        continue;
                    }
                    let source = self.view.look(seq_no, |row| look(row, sure))?.flatten();
                    if let Some(source) = source
                        && !visit(seq_no, score, &source)?
                    {
                        break;
                    }
                }
                return Ok(());
            }
        }
        self.view.scan(from, |row| {
            let seq_no = row.seq_no;
            look(row, sure)?.map_or(Ok(true), |source| visit(seq_no, 1.0, &source))
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
pub(crate) struct Points(Mutex<HashMap<String, Point>>);

impl Points {
    /// Closes those whose time has run out.
    pub(crate) fn drop_expired(&self) {
        lock(&self.0).retain(|_, point| point.expires > Instant::now());
    }

    /// The views of an open point, kept alive for another while.
    pub(crate) fn get(&self, id: &str, keep_alive: Option<&str>) -> Result<Arc<Vec<Part>>> {
        self.drop_expired();
        let mut open = lock(&self.0);
        let missing = || {
            Problem::new(
                404,
                "search_context_missing_exception",
                format!("No search context found for id [{id}]"),
            )
        };
        let point = open.get_mut(id).ok_or_else(missing)?;
        point.keep_alive = keep_alive.map_or(Ok(point.keep_alive), duration_of)?;
        point.expires = Instant::now() + point.keep_alive;
        Ok(point.parts.clone())
    }
}

fn duration_of(text: &str) -> Result<Duration> {
    let (amount, unit) = text.split_at(
        text.find(|letter: char| !letter.is_ascii_digit())
            .unwrap_or(text.len()),
    );
    let units = [
        ("ms", 1),
        ("s", 1000),
        ("m", 60_000),
        ("h", 3_600_000),
        ("d", 86_400_000),
    ];
    let unit = units
        .iter()
        .find(|(name, _)| *name == unit)
        .map(|(_, millis)| *millis);
    let millis = amount
        .parse()
        .ok()
        .zip(unit)
        .and_then(|(amount, unit): (u64, u64)| amount.checked_mul(unit));
    let wrong = || {
        Problem::illegal(format!(
            "[keep_alive] must be a time value of at most one day, not [{text}]"
        ))
    };
    Ok(Duration::from_millis(
        millis
            .filter(|millis| *millis <= LONGEST)
            .ok_or_else(wrong)?,
    ))
}

/// `POST /{index}/_pit`.
pub(crate) fn open(engine: &Engine, call: &Call, expression: &str) -> Result<Reply> {
    let keep_alive = call
        .params
        .text("keep_alive")
        .ok_or_else(|| Problem::validation("[keep_alive] is not specified"))?;
    let keep_alive = duration_of(keep_alive)?;
    let indices = resolve(&engine.storage.catalogue(), expression, &call.params)?;
    let parts = indices
        .iter()
        .map(|index| Part::for_query(engine, index, &Query::All));
    let (parts, id) = (
        Arc::new(parts.collect::<Result<Vec<_>>>()?),
        engine.random_name()?,
    );
    engine.points.drop_expired();
    let mut open = lock(&engine.points.0);
    if open.len() >= LIMIT {
        return Err(Problem::new(
            429,
            "rejected_execution_exception",
            format!("at most [{LIMIT}] points in time may be open"),
        ));
    }
    open.insert(
        id.clone(),
        Point {
            parts,
            keep_alive,
            expires: Instant::now() + keep_alive,
        },
    );
    Reply::ok(json!({"id": id, "_shards": shards(indices.len())}))
}

/// `DELETE /_pit`.
pub(crate) fn close(engine: &Engine, call: &Call) -> Result<Reply> {
    let body = call.object("close_pit")?;
    let freed = lock(&engine.points.0)
        .remove(body["id"].as_str().unwrap_or_default())
        .is_some();
    Reply::with(
        if freed { 200 } else { 404 },
        json!({"succeeded": true, "num_freed": u8::from(freed)}),
    )
}
