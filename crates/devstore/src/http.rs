//! The edge: addresses, bodies, the shape of answers.

use std::collections::HashMap;
use std::io::Read;
use std::sync::{Arc, PoisonError, RwLock};

use axum::body::{Body, to_bytes};
use axum::extract::{Query, Request, State};
use axum::http::{HeaderMap, header};
use axum::response::Response;
use flate2::read::MultiGzDecoder;
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};

use crate::engine::Engine;
use crate::errors::{Problem, Result, refuse, unsupported};
use crate::schema::check;
use crate::select::pick;
use crate::{router, security};

/// Largest body, before and after unpacking. As `http.max_content_length` of Elasticsearch.
const BODY_LIMIT: usize = 100 << 20;
/// Parameters that Elasticsearch knows and that would change what is done.
const UNSUPPORTED: &str = "_source_excludes _source_includes expand_wildcards format ignore_unavailable op_type \
    require_alias require_data_stream routing scroll sort stored_fields version version_type";

/// The status and the body of an answer.
pub(crate) type Reply = (u16, Value);

/// A request that has been let in, and the store that it is for.
pub(crate) struct Call<'e> {
    pub(crate) engine: &'e Engine,
    pub(crate) method: &'e str,
    pub(crate) path: &'e [&'e str],
    params: &'e HashMap<String, String>,
    pub(crate) body: &'e str,
}

impl Call<'_> {
    /// A parameter of the address; one that is not there is empty.
    pub(crate) fn param(&self, key: &str) -> &str {
        self.params.get(key).map_or("", String::as_str)
    }

    pub(crate) fn number(&self, key: &str) -> Result<Option<u64>> {
        match self.params.get(key).map(|text| text.parse()) {
            None => Ok(None),
            Some(Ok(number)) => Ok(Some(number)),
            _ => refuse!("[{key}] must be a number"),
        }
    }

    /// The body as an object; no body is an empty object.
    pub(crate) fn any_object(&self) -> Result<Value> {
        match serde_json::from_str(self.body) {
            Ok(object) => Ok(Value::Object(object)),
            Err(_) if self.body.trim().is_empty() => Ok(json!({})),
            Err(error) => refuse!("the body is not a JSON object: {error}"),
        }
    }

    /// The body as an object with these keys, see [`check`].
    pub(crate) fn object(&self, name: &str, keys: &str) -> Result<Value> {
        let body = self.any_object()?;
        check(name, &body, keys)?;
        Ok(body)
    }
}

/// What all requests share. The engine is taken out when the store stops.
pub(crate) struct Shared {
    pub(crate) engine: RwLock<Option<Engine>>,
    pub(crate) password: Option<String>,
}

impl Shared {
    /// Works with the engine; the store cannot close before this returns.
    pub(crate) fn with<T>(&self, work: impl FnOnce(&Engine) -> Result<T>) -> Result<T> {
        let engine = self.engine.read().unwrap_or_else(PoisonError::into_inner);
        let stopped = || Problem::new(503, "node_closed_exception", "the store is being stopped");
        work(engine.as_ref().ok_or_else(stopped)?)
    }
}

/// The body, unpacked. One that is too large is read, within reason, so that the client gets to see the answer.
async fn read_body(headers: &HeaderMap, body: Body) -> Result<String> {
    let too_large = || {
        let reason = "the body is larger than 100 MB, or broken off";
        Problem::new(413, "content_too_long_exception", reason)
    };
    let packed = to_bytes(body, 2 * BODY_LIMIT).await;
    let mut bytes = packed.map_err(|_| too_large())?.to_vec();
    let encoding = headers.get(header::CONTENT_ENCODING);
    if encoding.is_some_and(|encoding| encoding == "gzip") && bytes.len() <= BODY_LIMIT {
        let mut unpacked = Vec::new();
        let mut reader = MultiGzDecoder::new(&*bytes).take(BODY_LIMIT as u64 + 1);
        if let Err(error) = reader.read_to_end(&mut unpacked) {
            refuse!("the body cannot be unpacked: {error}");
        }
        bytes = unpacked;
    }
    match String::from_utf8(bytes) {
        Ok(text) if text.len() <= BODY_LIMIT => Ok(text),
        Ok(_) => Err(too_large()),
        Err(error) => refuse!("the body is garbled: {error}"),
    }
}

async fn answer(shared: Arc<Shared>, request: Request) -> Result<(u16, String)> {
    let (head, body) = request.into_parts();
    security::admit(&shared, &head.headers, head.uri.path())?;
    let body = read_body(&head.headers, body).await?;
    let work = move || {
        let address = head.uri.path();
        let parts = address.trim_matches('/').split('/').map(percent_decode_str);
        let parts: Vec<_> = parts.map(|part| part.decode_utf8_lossy()).collect();
        let path: Vec<&str> = parts.iter().map(|part| &**part).collect();
        let params = Query::<HashMap<String, String>>::try_from_uri(&head.uri);
        let (Ok(Query(params)), false) = (params, path.len() > 1 && path.contains(&"")) else {
            refuse!("a part of [{address}] is empty or garbled")
        };
        let mut unsupported = UNSUPPORTED.split(' ');
        if let Some(name) = unsupported.find(|name| params.contains_key(*name)) {
            unsupported!("the parameter [{name}]");
        }
        shared.with(|engine| {
            let method = head.method.as_str();
            let call = Call {
                engine,
                method: if method == "HEAD" { "GET" } else { method },
                path: &path,
                params: &params,
                body: &body,
            };
            let patterns = call.param("filter_path").split(',');
            let patterns = patterns.filter(|pattern| !pattern.is_empty());
            let patterns: Vec<String> = patterns.map(str::to_owned).collect();
            if patterns.iter().any(|pattern| pattern.starts_with('-')) {
                unsupported!("a pattern with [-] in [filter_path]");
            }
            let (status, body) = router::route(&call)?;
            Ok((status, pick(body, &patterns).to_string()))
        })
    };
    tokio::task::spawn_blocking(work).await?
}

/// Serves one request.
pub(crate) async fn serve(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let refused = |problem: Problem| (problem.status, problem.body().to_string());
    let (status, body) = answer(shared, request).await.unwrap_or_else(refused);
    if status == 500 {
        tracing::error!(status, body, "a request to the store failed");
    }
    let mut response = Response::builder()
        .status(status)
        .header(header::CONTENT_TYPE, "application/json")
        .header("x-elastic-product", "Elasticsearch");
    if status == 503 {
        response = response.header(header::CONNECTION, "close");
    }
    if status == 401 {
        let challenge = "Basic realm=\"security\", charset=\"UTF-8\"";
        response = response.header(header::WWW_AUTHENTICATE, challenge);
    }
    response.body(Body::from(body)).unwrap_or_default()
}
