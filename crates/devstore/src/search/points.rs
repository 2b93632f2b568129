//! Views that searches work on, and points in time: views that stay the same while writes go on.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::json;
use tantivy::Searcher;
use tantivy::query::Query;

use crate::engine::random_name;
use crate::errors::{ILLEGAL, Problem, Result, refuse};
use crate::http::{Call, Reply};
use crate::indices::{one, shards};
use crate::search::words::matches;
use crate::storage::{View, lock};

/// Most points open at once; each keeps old pages of the file from being used again.
const LIMIT: usize = 100;
const LONGEST: u64 = 24 * 3_600_000;

/// The documents of one index as a search sees them.
pub(crate) struct Part {
    pub(crate) view: View,
    /// Finds in exactly the same documents; a search for everything can do without.
    searcher: Option<Searcher>,
}

impl Part {
    /// A view of everything that is written. One that is not `searchable` does not wait for the full-text index.
    pub(crate) fn open(call: &Call, name: &str, searchable: bool) -> Result<Part> {
        let (engine, index) = (call.engine, one(&call.engine.storage.catalogue()?, name)?);
        let (view, searcher) = if searchable {
            let (view, searcher) = engine.full_text(&index)?.view(engine, &index)?;
            (view, Some(searcher))
        } else {
            (engine.storage.view(&index.name)?, None)
        };
        Ok(Part { view, searcher })
    }

    /// What is found, as sequence numbers in their order with scores, and how many there are.
    pub(crate) fn matches(&self, query: &dyn Query) -> Result<(Vec<(u64, f32)>, u64)> {
        let searcher = self.searcher.as_ref();
        let matches = searcher.map_or(Ok(Vec::new()), |searcher| matches(searcher, query))?;
        let total = matches.len() as u64;
        Ok((matches, total))
    }
}

struct Point {
    part: Arc<Part>,
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

    /// The view of an open point, kept alive for another while.
    pub(crate) fn get(&self, id: &str, keep_alive: Option<&str>) -> Result<Arc<Part>> {
        self.drop_expired();
        let mut open = lock(&self.0);
        let Some(point) = open.get_mut(id) else {
            let reason = format!("No search context found for id [{id}]");
            return Err(Problem::new(
                404,
                "search_context_missing_exception",
                reason,
            ));
        };
        point.keep_alive = keep_alive.map_or(Ok(point.keep_alive), duration_of)?;
        point.expires = Instant::now() + point.keep_alive;
        Ok(point.part.clone())
    }
}

fn duration_of(text: &str) -> Result<Duration> {
    let units = [
        ("ms", 1),
        ("s", 1000),
        ("m", 60_000),
        ("h", 3_600_000),
        ("d", 86_400_000),
    ];
    let millis = units.iter().find_map(|(unit, millis)| {
        let amount: u64 = text.strip_suffix(unit)?.parse().ok()?;
        amount.checked_mul(*millis)
    });
    match millis.filter(|millis| *millis <= LONGEST) {
        Some(millis) => Ok(Duration::from_millis(millis)),
        None => refuse!(
            ILLEGAL,
            "[keep_alive] cannot be [{text}]; at most one day is possible"
        ),
    }
}

/// `POST /{index}/_pit`.
pub(crate) fn open(call: &Call, name: &str) -> Result<Reply> {
    let keep_alive = duration_of(call.param("keep_alive"))?;
    let (part, id) = (Arc::new(Part::open(call, name, true)?), random_name()?);
    let points = &call.engine.points;
    points.drop_expired();
    let mut open = lock(&points.0);
    if open.len() >= LIMIT {
        let reason = format!("at most [{LIMIT}] points in time may be open");
        return Err(Problem::new(429, "rejected_execution_exception", reason));
    }
    let point = Point {
        part,
        keep_alive,
        expires: Instant::now() + keep_alive,
    };
    open.insert(id.clone(), point);
    Ok((200, json!({"id": id, "_shards": shards(1)})))
}

/// `DELETE /_pit`.
pub(crate) fn close(call: &Call) -> Result<Reply> {
    let body = call.object("close_pit")?;
    let id = body["id"].as_str().unwrap_or_default();
    let freed = lock(&call.engine.points.0).remove(id).is_some();
    let status = if freed { 200 } else { 404 };
    Ok((
        status,
        json!({"succeeded": true, "num_freed": u8::from(freed)}),
    ))
}
