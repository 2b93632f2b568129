//! Views that searches work on, and points in time: views that stay the same while writes go on.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::json;
use tantivy::Searcher;

use crate::engine::random_name;
use crate::errors::{Problem, Result};
use crate::http::{Call, Reply};
use crate::indices::shards;
use crate::storage::{View, lock};

/// How long a point lives after its last use, whatever `keep_alive` says.
const LIFE: Duration = Duration::from_secs(3600);

/// The documents of one index as a search sees them, and what finds in exactly these.
pub(crate) type Part = (View, Searcher);

/// All open points in time, by their ids, and when they were last used.
pub(crate) type Points = Mutex<HashMap<String, (Arc<Part>, Instant)>>;

/// A view of everything that is written, after the full-text index has taken it in.
pub(crate) fn part(call: &Call, name: &str) -> Result<Arc<Part>> {
    let index = call.engine.storage.view(name)?.index;
    let text = call.engine.full_text(&index)?;
    Ok(Arc::new(text.view(call.engine, &index)?))
}

/// The view of an open point. Those whose time has run out are closed.
pub(crate) fn get(call: &Call, id: &str) -> Result<Arc<Part>> {
    let mut open = lock(&call.engine.points);
    open.retain(|_, (_, used)| used.elapsed() < LIFE);
    match open.get_mut(id) {
        Some((part, used)) => {
            *used = Instant::now();
            Ok(part.clone())
        }
        None => {
            let (kind, what) = (
                "search_context_missing_exception",
                "No search context found",
            );
            Err(Problem::new(404, kind, format!("{what} for id [{id}]")))
        }
    }
}

/// `POST /{index}/_pit`.
pub(crate) fn open(call: &Call, name: &str) -> Result<Reply> {
    let (part, id) = (part(call, name)?, random_name()?);
    lock(&call.engine.points).insert(id.clone(), (part, Instant::now()));
    Ok((200, json!({"id": id, "_shards": shards(1)})))
}

/// `DELETE /_pit`.
pub(crate) fn close(call: &Call) -> Result<Reply> {
    let body = call.object("close_pit", "id!:text")?;
    let id = body["id"].as_str().unwrap_or_default();
    let freed = lock(&call.engine.points).remove(id).is_some();
    let shown = json!({"succeeded": true, "num_freed": u8::from(freed)});
    Ok((if freed { 200 } else { 404 }, shown))
}
