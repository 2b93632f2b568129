//! A server that answers what a test tells it to.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use axum::{
    Router,
    body::{Body, Bytes},
    extract::{Request, State},
    response::Response,
};
use chrono::{DateTime, Utc};
use tokio::net::TcpListener;
use tributary_elastic::{Client, Connection};
use tributary_engine::Clock;

/// A request that came.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) method: String,
    /// Path and query.
    pub(crate) path: String,
    pub(crate) headers: axum::http::HeaderMap,
    pub(crate) body: Bytes,
}

impl Seen {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(crate) fn line(&self) -> String {
        format!("{} {}", self.method, self.path)
    }
}

/// What it answers.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: String,
}

impl Reply {
    pub(crate) fn new(status: u16, body: impl Into<String>) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: body.into(),
        }
    }

    pub(crate) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

#[derive(Default)]
struct Script {
    replies: Mutex<VecDeque<Reply>>,
    seen: Mutex<Vec<Seen>>,
}

pub(crate) struct Fake {
    script: Arc<Script>,
    address: String,
}

pub(crate) const ROOT: &str =
    r#"{"version":{"number":"9.1.0","build_flavor":"default"},"tagline":"You Know, for Search"}"#;

impl Fake {
    /// Answers `GET /` as Elasticsearch 9 does, and everything else from the list, in order.
    pub(crate) async fn start(replies: impl IntoIterator<Item = Reply>) -> Self {
        let script = Arc::new(Script::default());
        script.replies.lock().unwrap().extend(replies);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new()
            .fallback(answer)
            .with_state(Arc::clone(&script));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { script, address }
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Everything that came but `GET /`.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.script.seen.lock().unwrap().clone()
    }

    pub(crate) fn client(&self, clock: &Arc<StoppedClock>) -> Client {
        let clock: Arc<dyn Clock> = clock.clone();
        Client::new(Connection::new(&*self.address))
            .unwrap()
            .with_clock(clock)
    }
}

async fn answer(State(script): State<Arc<Script>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX)
        .await
        .unwrap_or_default();
    let path = parts.uri.path_and_query().unwrap().to_string();
    let reply = if path == "/" {
        Reply::new(200, ROOT).with("x-elastic-product", "Elasticsearch")
    } else {
        script.seen.lock().unwrap().push(Seen {
            method: parts.method.to_string(),
            path,
            headers: parts.headers,
            body,
        });
        let next = script.replies.lock().unwrap().pop_front();
        next.unwrap_or_else(|| Reply::new(500, "nothing more to say"))
    };
    let mut response = Response::builder().status(reply.status);
    for (name, value) in reply.headers {
        response = response.header(name, value);
    }
    response.body(Body::from(reply.body)).unwrap()
}

/// Time that only passes when somebody waits.
pub(crate) struct StoppedClock {
    waits: Mutex<Vec<Duration>>,
    utc: DateTime<Utc>,
}

impl StoppedClock {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            waits: Mutex::default(),
            utc: DateTime::from_timestamp(1_795_590_161, 123_456_000).unwrap(),
        })
    }

    pub(crate) fn waits(&self) -> Vec<u64> {
        self.waits
            .lock()
            .unwrap()
            .iter()
            .map(Duration::as_secs)
            .collect()
    }
}

#[async_trait]
impl Clock for StoppedClock {
    fn now(&self) -> Duration {
        self.waits.lock().unwrap().iter().sum()
    }
    fn utc(&self) -> DateTime<Utc> {
        self.utc + self.now()
    }
    async fn sleep(&self, time: Duration) {
        self.waits.lock().unwrap().push(time);
    }
}
