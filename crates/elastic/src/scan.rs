//! Listing the ids of an index, by point in time or, where that is not possible, by scroll.

use crate::{
    RequestError, RequestErrorKind,
    client::Client,
    path::{path, with},
    server::Flavor,
    transport::Request,
};
use async_trait::async_trait;
use futures_util::{StreamExt, future::BoxFuture, stream::FuturesUnordered};
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};
use std::{borrow::Cow, ops::Range, sync::Arc};
use tributary_engine::{Scan, Scanned, TargetError, TargetErrorKind, Version};

/// How long the server keeps its side between two pages.
const KEEP_ALIVE: &str = "10m";
/// Ids of one page; the largest result window of an index unless somebody changed it.
const PAGE: usize = 10_000;
/// Slices that are read side by side: each holds a page in memory.
const SIDE_BY_SIDE: usize = 2;
/// More slices than shards make the server work in vain; more than this do not make it faster.
const MOST_SLICES: usize = 16;
const FILTER: &str = "pit_id,_scroll_id,timed_out,_shards.failed,hits.hits._id,hits.hits._seq_no,\
                      hits.hits._primary_term,hits.hits.sort";

/// A running scan.
pub(crate) struct IdScan {
    shared: Arc<Shared>,
    running: FuturesUnordered<BoxFuture<'static, Result<Step, TargetError>>>,
    waiting: Range<usize>,
    failed: bool,
    /// Nothing is left to be freed.
    closed: bool,
}

/// What all slices need.
struct Shared {
    client: Client,
    index: String,
    what: String,
    slices: usize,
    page: usize,
    way: Way,
}

/// How pages are asked for.
enum Way {
    /// `_pit` and `search_after` on `_shard_doc`, the cheapest order.
    PointInTime { id: String, is_opensearch: bool },
    /// For servers whose points in time we may not use, or that do not know `_shard_doc`.
    Scroll,
}

/// One slice, between two pages.
struct Slice {
    number: usize,
    /// The last `sort` values, or the scroll id; nothing before the first page.
    position: Option<String>,
}

/// One page of a slice, and where it goes on.
struct Step {
    page: Vec<Scanned>,
    next: Option<Slice>,
    /// A scroll that is at its end and still held by the server.
    ended: Option<String>,
}

impl IdScan {
    /// Opens a scan of everything that is visible now. The first page of the first slice is asked for
    /// here, because only that shows whether points in time are possible: with an API key that is
    /// made for an alias, one can be opened but not searched.
    pub(crate) async fn open(
        client: Client,
        index: &str,
        shards: usize,
    ) -> Result<Self, TargetError> {
        let what = format!("list the ids of the index {index}");
        let is_opensearch = client.info().await?.flavor == Flavor::OpenSearch;
        let mut shared = Shared {
            client,
            index: index.to_owned(),
            what,
            slices: shards.clamp(1, MOST_SLICES),
            page: PAGE,
            way: Way::Scroll,
        };
        if let Some(id) = shared.open_point_in_time(is_opensearch).await? {
            shared.way = Way::PointInTime { id, is_opensearch };
        }
        let running = FuturesUnordered::new();
        let (shared, first) = Shared::first_page(shared).await?;
        let slices = shared.slices;
        running.push(Box::pin(async move { Ok(first) }) as BoxFuture<'static, _>);
        Ok(Self {
            shared,
            running,
            waiting: 1..slices,
            failed: false,
            closed: false,
        })
    }

    fn start(&mut self, slice: Slice) {
        let shared = Arc::clone(&self.shared);
        self.running.push(Box::pin(async move {
            shared.step(slice).await.map_err(TargetError::from)
        }));
    }
}

#[async_trait]
impl Scan for IdScan {
    async fn next(&mut self) -> Result<Option<Vec<Scanned>>, TargetError> {
        if self.failed {
            return Err(TargetError::new(
                TargetErrorKind::Unavailable,
                format!("cannot {}: the listing has failed before", self.shared.what),
            ));
        }
        loop {
            while self.running.len() < SIDE_BY_SIDE
                && let Some(number) = self.waiting.next()
            {
                self.start(Slice {
                    number,
                    position: None,
                });
            }
            let Some(step) = self.running.next().await else {
                if !std::mem::replace(&mut self.closed, true) {
                    close(&self.shared, None).await;
                }
                return Ok(None);
            };
            let step = match step {
                Ok(step) => step,
                Err(error) => {
                    self.failed = true;
                    return Err(error);
                }
            };
            if let Some(scroll) = step.ended {
                close_in_background(&self.shared, Some(scroll));
            }
            if let Some(slice) = step.next {
                self.start(slice);
            }
            if !step.page.is_empty() {
                return Ok(Some(step.page));
            }
        }
    }
}

impl Drop for IdScan {
    fn drop(&mut self) {
        if !self.closed {
            close_in_background(&self.shared, None);
        }
    }
}

impl Shared {
    /// `None` if the server has no such call or we may not make it.
    async fn open_point_in_time(&self, is_opensearch: bool) -> Result<Option<String>, TargetError> {
        let at = if is_opensearch {
            with(
                path(&[&self.index, "_search", "point_in_time"]),
                "allow_partial_pit_creation",
                "false",
            )
        } else {
            path(&[&self.index, "_pit"])
        };
        let at = with(at, "keep_alive", KEEP_ALIVE);
        match self.client.send_once(&Request::post(at, &self.what)).await {
            Ok(reply) => {
                let opened: Opened = serde_json::from_slice(&reply.body)
                    .map_err(|error| self.unreadable(&error.to_string()))?;
                if opened.shards.is_some_and(|shards| shards.failed > 0) {
                    return Err(self.unreadable("some shards did not answer").into());
                }
                Ok(Some(opened.id))
            }
            Err(error)
                if matches!(
                    error.kind,
                    RequestErrorKind::Unsupported | RequestErrorKind::Forbidden
                ) =>
            {
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The first page, by the way that works and in the size that the index allows.
    async fn first_page(mut shared: Self) -> Result<(Arc<Self>, Step), TargetError> {
        loop {
            let slice = Slice {
                number: 0,
                position: None,
            };
            let error = match shared.step(slice).await {
                Ok(step) => return Ok((Arc::new(shared), step)),
                Err(error) => error,
            };
            let by_point = matches!(shared.way, Way::PointInTime { .. });
            if by_point
                && (error.is(RequestErrorKind::Forbidden) || error.reason.contains("_shard_doc"))
            {
                tracing::debug!(%error, "listing ids by scroll");
                let refused = std::mem::replace(&mut shared.way, Way::Scroll);
                if let Way::PointInTime { id, is_opensearch } = refused {
                    let _ = close_point_in_time(&shared.client, &id, is_opensearch).await;
                }
            } else if let Some(window) = result_window(&error.reason).filter(|at| *at < shared.page)
            {
                shared.page = window.max(1);
            } else {
                close_in_background(&Arc::new(shared), None);
                return Err(error.into());
            }
        }
    }

    async fn step(&self, slice: Slice) -> Result<Step, RequestError> {
        let (at, body) = match (&self.way, &slice.position) {
            (Way::PointInTime { id, .. }, position) => {
                let mut body = self.query(slice.number, json!([{"_shard_doc": "asc"}]));
                body["pit"] = json!({"id": id, "keep_alive": KEEP_ALIVE});
                body["track_total_hits"] = json!(false);
                if let Some(position) = position {
                    body["search_after"] = serde_json::from_str(position)
                        .map_err(|error| self.unreadable(&error.to_string()))?;
                }
                (path(&["_search"]), body)
            }
            (Way::Scroll, None) => {
                let at = with(path(&[&self.index, "_search"]), "scroll", KEEP_ALIVE);
                (at, self.query(slice.number, json!(["_doc"])))
            }
            (Way::Scroll, Some(id)) => (
                path(&["_search", "scroll"]),
                json!({"scroll": KEEP_ALIVE, "scroll_id": id}),
            ),
        };
        let mut at = with(at, "filter_path", FILTER);
        if self.is_first_of_search(&slice) {
            at = with(at, "allow_partial_search_results", "false");
        }
        let reply = self
            .client
            .send_once(&Request::post(at, &self.what).json(&body))
            .await?;
        let page: Page<'_> = serde_json::from_slice(&reply.body)
            .map_err(|error| self.unreadable(&error.to_string()))?;
        self.read(slice.number, page)
    }

    /// The scroll call itself does not know the parameter.
    fn is_first_of_search(&self, slice: &Slice) -> bool {
        matches!(self.way, Way::PointInTime { .. }) || slice.position.is_none()
    }

    fn query(&self, slice: usize, sort: Value) -> Value {
        let mut body = json!({
            "size": self.page,
            "sort": sort,
            "_source": false,
            "seq_no_primary_term": true,
        });
        if self.slices > 1 {
            body["slice"] = json!({"id": slice, "max": self.slices});
        }
        body
    }

    fn read(&self, number: usize, page: Page<'_>) -> Result<Step, RequestError> {
        if page.timed_out || page.shards.is_some_and(|shards| shards.failed > 0) {
            return Err(self.unreadable("only a part of the index was searched"));
        }
        let hits = page.hits.unwrap_or_default().hits;
        let last = match &self.way {
            Way::PointInTime { .. } => hits
                .last()
                .and_then(|hit| hit.sort)
                .map(|sort| sort.get().to_owned()),
            Way::Scroll => page.scroll_id.map(Cow::into_owned),
        };
        // A page that is not full is the last one.
        let more = hits.len() >= self.page;
        if more && last.is_none() {
            return Err(self.unreadable("it does not say where the next page begins"));
        }
        let page = hits
            .into_iter()
            .map(|hit| {
                Ok(Scanned {
                    id: hit.id.into(),
                    version: Version {
                        seq_no: hit.seq_no.ok_or("_seq_no is missing")?,
                        primary_term: hit.primary_term.ok_or("_primary_term is missing")?,
                    },
                })
            })
            .collect::<Result<Vec<_>, &str>>()
            .map_err(|why| self.unreadable(why))?;
        let (next, ended) = match (&self.way, more) {
            (_, true) => (last, None),
            (Way::Scroll, false) => (None, last),
            (Way::PointInTime { .. }, false) => (None, None),
        };
        Ok(Step {
            page,
            next: next.map(|position| Slice {
                number,
                position: Some(position),
            }),
            ended,
        })
    }

    fn unreadable(&self, why: &str) -> RequestError {
        RequestError::new(
            RequestErrorKind::Interrupted,
            format!(
                "cannot {} at {}: the answer is not complete: {why}",
                self.what,
                self.client.address()
            ),
        )
    }
}

/// "Result window is too large, from + size must be less than or equal to: [100] but was [10000]"
fn result_window(reason: &str) -> Option<usize> {
    let (_, rest) = reason.split_once("must be less than or equal to: [")?;
    rest.split_once(']')?.0.parse().ok()
}

/// Frees what the server holds, if somebody is there to do it; it frees it itself after a while.
fn close_in_background(shared: &Arc<Shared>, scroll: Option<String>) {
    let Ok(runtime) = tokio::runtime::Handle::try_current() else {
        return;
    };
    let shared = Arc::clone(shared);
    runtime.spawn(async move { close(&shared, scroll).await });
}

async fn close(shared: &Shared, scroll: Option<String>) {
    let closed = match (&shared.way, scroll) {
        (Way::PointInTime { id, is_opensearch }, _) => {
            close_point_in_time(&shared.client, id, *is_opensearch).await
        }
        (Way::Scroll, Some(id)) => {
            let request = Request::delete(path(&["_search", "scroll"]), "end a scroll");
            let body = json!({"scroll_id": [id]});
            let request = request.json(&body);
            shared.client.send_once(&request).await.map(|_| ())
        }
        (Way::Scroll, None) => Ok(()),
    };
    if let Err(error) = closed {
        tracing::debug!(%error, "the server frees the listing of ids later");
    }
}

async fn close_point_in_time(
    client: &Client,
    id: &str,
    is_opensearch: bool,
) -> Result<(), RequestError> {
    let (at, body) = if is_opensearch {
        (path(&["_search", "point_in_time"]), json!({"pit_id": [id]}))
    } else {
        (path(&["_pit"]), json!({"id": id}))
    };
    let request = Request::delete(at, "end a point in time").json(&body);
    client.send_once(&request).await.map(|_| ())
}

#[derive(Deserialize)]
struct Opened {
    #[serde(alias = "pit_id")]
    id: String,
    #[serde(rename = "_shards")]
    shards: Option<Shards>,
}

#[derive(Clone, Copy, Deserialize)]
struct Shards {
    failed: u64,
}

#[derive(Deserialize)]
struct Page<'a> {
    #[serde(rename = "_scroll_id", borrow)]
    scroll_id: Option<Cow<'a, str>>,
    timed_out: bool,
    #[serde(rename = "_shards")]
    shards: Option<Shards>,
    /// Not there if nothing was found: `filter_path` leaves out what is empty.
    #[serde(borrow)]
    hits: Option<Hits<'a>>,
}

#[derive(Default, Deserialize)]
struct Hits<'a> {
    #[serde(borrow, default)]
    hits: Vec<Hit<'a>>,
}

#[derive(Deserialize)]
struct Hit<'a> {
    #[serde(rename = "_id", borrow)]
    id: Cow<'a, str>,
    #[serde(rename = "_seq_no")]
    seq_no: Option<u64>,
    #[serde(rename = "_primary_term")]
    primary_term: Option<u64>,
    #[serde(borrow)]
    sort: Option<&'a RawValue>,
}

#[cfg(fuzzing)]
pub(crate) mod fuzzing {
    pub(crate) fn result_window(reason: &str) -> Option<usize> {
        super::result_window(reason)
    }

    pub(crate) fn page(body: &[u8]) -> Option<usize> {
        let page: super::Page<'_> = serde_json::from_slice(body).ok()?;
        Some(page.hits?.hits.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_window_from_the_refusal() {
        let reason = "Result window is too large, from + size must be less than or equal to: [100] \
                      but was [10000]. See the scroll api";
        assert_eq!(result_window(reason), Some(100));
        assert_eq!(result_window("must be less than or equal to: [x]"), None);
        assert_eq!(result_window(""), None);
    }
}
