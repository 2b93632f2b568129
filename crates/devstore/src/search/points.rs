//! Views that searches work on, and points in time: views that stay the same while writes go on.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tantivy::Searcher;

use crate::engine::{Engine, random_name};
use crate::errors::{Problem, Result, refuse};
use crate::http::{Call, Reply};
use crate::indices::{resolve, shards};
use crate::search::words::matches;
use crate::search::{Sought, is_all};
use crate::storage::{Index, View, lock};

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
    /// A view of everything that is written, which a search can work on.
    pub(crate) fn open(engine: &Engine, index: &Index) -> Result<Part> {
        let (view, searcher) = engine.full_text(index)?.view(engine, index)?;
        let searcher = Some(searcher);
        Ok(Part { view, searcher })
    }

    /// A view for one search, which does not wait for the full-text index where it is not needed.
    pub(crate) fn for_query(engine: &Engine, index: &Index, query: &Value) -> Result<Part> {
        match is_all(query) {
            true => Ok(Part {
                view: engine.storage.view(&index.name)?,
                searcher: None,
            }),
            false => Part::open(engine, index),
        }
    }

    /// What is found, as sequence numbers in their order, with scores. Of a search for everything only the first
    /// `most` from the number `from` on.
    pub(crate) fn matches(
        &self,
        sought: &Sought,
        from: u64,
        most: usize,
    ) -> Result<Vec<(u64, f32)>> {
        match &self.searcher {
            Some(searcher) if !sought.is_all => matches(searcher, &*sought.query),
            _ => {
                let numbers = self.view.numbers(from, most)?.into_iter();
                Ok(numbers.map(|number| (number, 1.0)).collect())
            }
        }
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
        Ok(point.parts.clone())
    }
}

fn duration_of(text: &str) -> Result<Duration> {
    let unit_at = text.find(|letter: char| !letter.is_ascii_digit());
    let (amount, unit) = text.split_at(unit_at.unwrap_or(text.len()));
    let unit: u64 = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => u64::MAX,
    };
    let amount = amount.parse().ok();
    match amount.and_then(|amount: u64| amount.checked_mul(unit)) {
        Some(millis) if millis <= LONGEST => Ok(Duration::from_millis(millis)),
        _ => refuse!(
            "illegal_argument_exception",
            "[keep_alive] must be a time value of at most one day, not [{text}]"
        ),
    }
}

/// `POST /{index}/_pit`.
pub(crate) fn open(call: &Call, expression: &str) -> Result<Reply> {
    if call.param("keep_alive").is_empty() {
        return Err(Problem::validation("[keep_alive] is not specified"));
    }
    let keep_alive = duration_of(call.param("keep_alive"))?;
    let indices = resolve(call, expression)?;
    let parts = indices.iter().map(|index| Part::open(call.engine, index));
    let parts = Arc::new(parts.collect::<Result<Vec<_>>>()?);
    let (points, id) = (&call.engine.points, random_name()?);
    points.drop_expired();
    let mut open = lock(&points.0);
    if open.len() >= LIMIT {
        let reason = format!("at most [{LIMIT}] points in time may be open");
        return Err(Problem::new(429, "rejected_execution_exception", reason));
    }
    let expires = Instant::now() + keep_alive;
    open.insert(
        id.clone(),
        Point {
            parts,
            keep_alive,
            expires,
        },
    );
    Ok((200, json!({"id": id, "_shards": shards(indices.len())})))
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
