//! The edge: bodies, media types, the shape of answers.

use std::collections::HashMap;
use std::io::Read;
use std::sync::{Arc, PoisonError, RwLock};

use axum::body::Body;
use axum::extract::{Query, Request, State};
use axum::http::{HeaderMap, Method, header};
use axum::response::Response;
use futures_util::StreamExt;
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};

use crate::engine::Engine;
use crate::errors::{Problem, Result, refuse};
use crate::select::Selection;
use crate::{router, schema, security};

/// Largest body, before and after unpacking. As `http.max_content_length` of Elasticsearch.
const BODY_LIMIT: usize = 100 << 20;
/// Parameters that Elasticsearch knows and this store cannot honour.
const UNSUPPORTED: [&str; 7] = [
    "scroll",
    "routing",
    "version_type",
    "require_alias",
    "require_data_stream",
    "stored_fields",
    "format",
];

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

    /// A truth; the bare name means true.
    pub(crate) fn flag(&self, key: &str) -> Result<bool> {
        match self.param(key) {
            "" => Ok(self.params.contains_key(key)),
            "true" => Ok(true),
            "false" => Ok(false),
            other => refuse!("illegal_argument_exception", "[{key}] cannot be [{other}]"),
        }
    }

    pub(crate) fn number(&self, key: &str) -> Result<Option<u64>> {
        match self.params.get(key).map(|text| text.parse()) {
            None => Ok(None),
            Some(Ok(number)) => Ok(Some(number)),
            _ => refuse!("illegal_argument_exception", "[{key}] must be a number"),
        }
    }

    /// The body as an object; no body is an empty object.
    pub(crate) fn any_object(&self) -> Result<Value> {
        match serde_json::from_str(self.body) {
            Ok(object) => Ok(Value::Object(object)),
            Err(_) if self.body.trim().is_empty() => Ok(json!({})),
            Err(error) => refuse!(
                "parsing_exception",
                "the body is not a JSON object: {error}"
            ),
        }
    }

    /// The body as an object of the shape of that name.
    pub(crate) fn object(&self, shape: &str) -> Result<Value> {
        let body = self.any_object()?;
        schema::check(shape, &body)?;
        Ok(body)
    }

    pub(crate) fn unsupported<T>(&self) -> Result<T> {
        let (method, path) = (self.method, self.path.join("/"));
        Err(Problem::unsupported(format!("[{method} /{path}]")))
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
        work(engine.as_ref().ok_or_else(Problem::stopped)?)
    }
}

/// The version in a vendor media type of a header, empty for plain JSON; what the store does not speak is an error.
fn media<'h>(headers: &'h HeaderMap, name: &str) -> Result<&'h str> {
    let value = headers.get(name).and_then(|value| value.to_str().ok());
    let text = value.unwrap_or_default();
    match text.split_once("compatible-with=") {
        Some((_, version @ ("8" | "9"))) => Ok(version),
        None if text.is_empty() || name == "accept" || text.contains("json") => Ok(""),
        None => {
            let reason = format!("Content-Type header [{text}] is not supported");
            Err(Problem::new(406, "content_type_exception", reason))
        }
        Some(_) => refuse!(
            "media_type_header_exception",
            "Invalid media-type value [{text}] on header [{name}]"
        ),
    }
}

async fn read_body(headers: &HeaderMap, body: Body) -> Result<String> {
    let garbled = |error: &dyn std::fmt::Display| {
        let reason = format!("the body cannot be read: {error}");
        Problem::new(400, "parsing_exception", reason)
    };
    let (mut bytes, mut length) = (Vec::new(), 0);
    let mut stream = body.into_data_stream();
    // A body that is too large is read to its end, within reason, so that the client gets to see the answer.
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.map_err(|error| garbled(&error))?;
        length += chunk.len();
        match length {
            0..=BODY_LIMIT => bytes.extend_from_slice(&chunk),
            _ if length < 4 * BODY_LIMIT => bytes = Vec::new(),
            _ => break,
        }
    }
    let encoding = headers.get(header::CONTENT_ENCODING);
    match encoding.map_or(&b"identity"[..], |value| value.as_bytes()) {
        b"identity" => {}
        b"gzip" => {
            let mut unpacked = Vec::new();
            let mut reader = flate2::read::MultiGzDecoder::new(&*bytes).take(BODY_LIMIT as u64 + 1);
            let read = reader.read_to_end(&mut unpacked);
            length = length.max(read.map_err(|error| garbled(&error))?);
            bytes = unpacked;
        }
        _ => return Err(Problem::unsupported("this content encoding")),
    }
    if length > BODY_LIMIT {
        let reason = "the body is larger than 100 MB";
        return Err(Problem::new(413, "content_too_long_exception", reason));
    }
    String::from_utf8(bytes).map_err(|error| garbled(&error))
}

async fn answer(shared: Arc<Shared>, request: Request) -> Result<(u16, String)> {
    let (head, body) = request.into_parts();
    security::admit(&shared, &head.headers, head.uri.path())?;
    let (accepted, sent) = (
        media(&head.headers, "accept")?,
        media(&head.headers, "content-type")?,
    );
    if !sent.is_empty() && sent != accepted {
        refuse!(
            "media_type_header_exception",
            "A compatible version is required on both Content-Type and Accept headers"
        );
    }
    let body = read_body(&head.headers, body).await?;
    let work = move || {
        let address = head.uri.path();
        let parts = address.trim_matches('/').split('/');
        let parts: Vec<_> = parts
            .map(|part| percent_decode_str(part).decode_utf8_lossy())
            .collect();
        let mut path: Vec<&str> = parts.iter().map(|part| &**part).collect();
        if path == [""] {
            path.clear();
        }
        let params = Query::<HashMap<String, String>>::try_from_uri(&head.uri);
        let (Ok(Query(params)), false) = (params, path.contains(&"")) else {
            refuse!(
                "illegal_argument_exception",
                "a part of [{address}] is empty or garbled"
            )
        };
        if let Some(name) = UNSUPPORTED.iter().find(|name| params.contains_key(**name)) {
            return Err(Problem::unsupported(format!("the parameter [{name}]")));
        }
        shared.with(|engine| {
            let (method, path) = (head.method.as_str(), path.as_slice());
            let method = if method == "HEAD" { "GET" } else { method };
            let call = Call {
                engine,
                method,
                path,
                params: &params,
                body: &body,
            };
            let (status, body) = router::route(&call)?;
            let filter = if status < 400 {
                call.param("filter_path")
            } else {
                ""
            };
            let body = Selection::of_filter_path(filter).apply(body);
            Ok(match call.flag("pretty")? {
                true => (status, serde_json::to_string_pretty(&body)? + "\n"),
                false => (status, body.to_string()),
            })
        })
    };
    tokio::task::spawn_blocking(work).await?
}

/// Serves one request.
pub(crate) async fn serve(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let is_head = request.method() == Method::HEAD;
    let media_type = match media(request.headers(), "accept") {
        Ok(version) if !version.is_empty() => {
            format!("application/vnd.elasticsearch+json;compatible-with={version}")
        }
        _ => "application/json".to_owned(),
    };
    let answered = answer(shared, request).await;
    let (status, body) =
        answered.unwrap_or_else(|problem| (problem.status, problem.body().to_string()));
    if status == 500 {
        tracing::error!(status, body, "a request to the store failed");
    }
    let mut response = Response::builder()
        .status(status)
        .header(header::CONTENT_TYPE, media_type)
        .header("x-elastic-product", "Elasticsearch");
    if status == 401 {
        let challenge = "Basic realm=\"security\", charset=\"UTF-8\"";
        response = response.header(header::WWW_AUTHENTICATE, challenge);
    }
    let body = if is_head { String::new() } else { body };
    response.body(Body::from(body)).unwrap_or_default()
}
