use std::net::SocketAddr;
use std::path::Path;

use serde_json::{Value, json};
use tempfile::TempDir;
use tributary_devstore::{Store, StoreConfig};

pub(crate) struct Server {
    pub(crate) store: Store,
    pub(crate) folder: TempDir,
    client: reqwest::Client,
}

pub(crate) fn config(folder: &Path, password: Option<&str>) -> StoreConfig {
    StoreConfig {
        folder: folder.to_owned(),
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        password: password.map(str::to_owned),
    }
}

pub(crate) fn client() -> reqwest::Client {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    reqwest::Client::builder().no_proxy().build().unwrap()
}

/// The body of an answer as JSON.
pub(crate) trait JsonBody {
    async fn json_body(self) -> Value;
}

impl JsonBody for reqwest::Response {
    async fn json_body(self) -> Value {
        serde_json::from_str(&self.text().await.unwrap()).unwrap()
    }
}

/// A fresh store without a password.
pub(crate) async fn start() -> Server {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::start(config(folder.path(), None)).await.unwrap();
    Server {
        store,
        folder,
        client: client(),
    }
}

impl Server {
    /// The same folder, served again.
    pub(crate) async fn again(folder: TempDir) -> Server {
        let store = Store::start(config(folder.path(), None)).await.unwrap();
        Server {
            store,
            folder,
            client: client(),
        }
    }

    pub(crate) fn request(&self, method: &str, path: &str) -> reqwest::RequestBuilder {
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        self.client
            .request(method, format!("{}{path}", self.store.url()))
    }

    /// Sends a text as it is and returns the status and the body.
    pub(crate) async fn raw(&self, method: &str, path: &str, body: &str) -> (u16, Value) {
        let mut request = self.request(method, path);
        if !body.is_empty() {
            request = request
                .header("content-type", "application/json")
                .body(body.to_owned());
        }
        let response = request.send().await.unwrap();
        let status = response.status().as_u16();
        let text = response.text().await.unwrap();
        let body = if text.is_empty() {
            Value::Null
        } else {
            serde_json::from_str(&text).unwrap()
        };
        (status, body)
    }

    /// Sends JSON that must be answered with 2xx.
    pub(crate) async fn ok(&self, method: &str, path: &str, body: Value) -> Value {
        let text = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        let (status, answer) = self.raw(method, path, &text).await;
        assert!(
            (200..300).contains(&status),
            "{method} {path}: {status} {answer}"
        );
        answer
    }

    /// Sends JSON that must be refused with this status; returns the type and the reason.
    pub(crate) async fn refused(
        &self,
        status: u16,
        method: &str,
        path: &str,
        body: Value,
    ) -> (String, String) {
        let text = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        let (given, answer) = self.raw(method, path, &text).await;
        assert_eq!(given, status, "{method} {path}: {answer}");
        assert_eq!(answer["status"], status, "{answer}");
        let text = |key: &str| answer["error"][key].as_str().unwrap().to_owned();
        assert!(
            answer["error"]["root_cause"][0]["reason"].is_string(),
            "{answer}"
        );
        (text("type"), text("reason"))
    }

    /// Sends lines as a bulk request that must be accepted.
    pub(crate) async fn bulk(&self, path: &str, lines: &[Value]) -> Value {
        let body: String = lines.iter().map(|line| format!("{line}\n")).collect();
        let (status, answer) = self.raw("POST", path, &body).await;
        assert_eq!(status, 200, "{answer}");
        answer
    }

    /// The ids that a search finds, in the order of the hits.
    pub(crate) async fn ids(&self, index: &str, body: Value) -> Vec<String> {
        let answer = self.ok("POST", &format!("/{index}/_search"), body).await;
        let hits = answer["hits"]["hits"].as_array().unwrap();
        hits.iter()
            .map(|hit| hit["_id"].as_str().unwrap().to_owned())
            .collect()
    }

    /// The ids that a query finds, sorted.
    pub(crate) async fn found(&self, index: &str, query: Value) -> Vec<String> {
        let mut ids = self.ids(index, json!({"query": query, "size": 100})).await;
        ids.sort();
        ids
    }
}

/// A handful of documents.
pub(crate) async fn library(index: &str) -> Server {
    let server = start().await;
    let mapping = json!({"mappings": {"properties": {"code": {"type": "keyword"}, "title": {"type": "text", "fields": {"keyword": {"type": "keyword"}}}}}});
    server.ok("PUT", &format!("/{index}"), mapping).await;
    let documents = [
        (
            "1",
            json!({"title": "The quick brown fox", "year": 1999, "price": 1.5, "published": "1999-05-01", "tags": ["a", "b"], "code": "X-1", "good": true}),
        ),
        (
            "2",
            json!({"title": "A quick guide to Rust", "year": 2020, "price": 20.0, "published": "2020-01-02T03:04:05Z", "tags": ["b"], "code": "X-2", "good": false}),
        ),
        (
            "3",
            json!({"title": "Slow food", "year": 2005, "author": {"name": "Anna Example", "mail": "anna@example.test"}, "code": "Y-1"}),
        ),
        (
            "4",
            json!({"title": "Quick quick quick", "body": "a fox that is brown", "year": 2010, "tags": [], "code": "y-2"}),
        ),
        (
            "5",
            json!({"year": -3, "title": null, "text": "x".repeat(300)}),
        ),
    ];
    let lines: Vec<Value> = documents
        .into_iter()
        .flat_map(|(id, document)| [json!({"index": {"_id": id}}), document])
        .collect();
    assert_eq!(
        server.bulk(&format!("/{index}/_bulk"), &lines).await["errors"],
        false
    );
    server
}
