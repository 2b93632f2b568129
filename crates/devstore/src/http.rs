//! The edge: bodies, media types, passwords and keys, the shape of answers.

use std::collections::HashMap;
use std::io::Read;
use std::sync::{Arc, PoisonError, RwLock};

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::StreamExt;
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value, json};

use crate::engine::Engine;
use crate::errors::{Problem, Result, refuse};
use crate::schema;
use crate::select::Selection;

/// Largest body, before and after unpacking. As `http.max_content_length` of Elasticsearch.
const BODY_LIMIT: usize = 100 << 20;
/// The only user who has a password.
const USER: &str = "elastic";
/// Parameters that Elasticsearch knows and this store cannot honour.
const UNSUPPORTED: &str =
    "scroll routing version_type require_alias require_data_stream stored_fields format";

/// The parameters of an address.
#[derive(Debug, Default)]
pub(crate) struct Params(HashMap<String, String>);

impl Params {
    fn parse(query: &str) -> Params {
        let decode = |text: &str| {
            percent_decode_str(&text.replace('+', " "))
                .decode_utf8_lossy()
                .into_owned()
        };
        let pairs = query.split('&').filter(|pair| !pair.is_empty());
        let pairs = pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        Params(
            pairs
                .map(|(key, value)| (decode(key), decode(value)))
                .collect(),
        )
    }

    pub(crate) fn text(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }

    /// A truth; the bare name means true.
    pub(crate) fn flag(&self, key: &str) -> Result<bool> {
        match self.text(key) {
            None | Some("false") => Ok(false),
            Some("true" | "") => Ok(true),
            Some(other) => refuse!(
                "illegal_argument_exception",
                "Failed to parse [{other}] of [{key}] as a truth"
            ),
        }
    }

    pub(crate) fn number(&self, key: &str) -> Result<Option<u64>> {
        let parse = |text: &str| {
            let wrong = |_| format!("Failed to parse parameter [{key}] with value [{text}]");
            text.parse().map_err(wrong).map_err(Problem::illegal)
        };
        self.text(key).map(parse).transpose()
    }

    /// Whether the answer to a write says that it is visible to searches, which it is in any case.
    pub(crate) fn refreshes(&self) -> bool {
        self.text("refresh")
            .is_some_and(|refresh| refresh != "false")
    }
}

/// A request that has been let in.
pub(crate) struct Call {
    pub(crate) method: String,
    pub(crate) path: Vec<String>,
    pub(crate) params: Params,
    pub(crate) body: Vec<u8>,
    /// The name of the API key that let it in, if it was one.
    key: Option<Value>,
}

impl Call {
    pub(crate) fn text(&self) -> Result<&str> {
        std::str::from_utf8(&self.body)
            .map_err(|error| Problem::parsing(format!("the body is not UTF-8: {error}")))
    }

    /// The body as an object; no body is an empty object.
    pub(crate) fn any_object(&self) -> Result<Value> {
        let garbled = |error| Problem::parsing(format!("the body is not a JSON object: {error}"));
        match self.text()?.trim() {
            "" => Ok(json!({})),
            text => Ok(Value::Object(serde_json::from_str(text).map_err(garbled)?)),
        }
    }

    /// The body as an object of the shape of that name.
    pub(crate) fn object(&self, shape: &str) -> Result<Value> {
        let body = self.any_object()?;
        schema::check(shape, &body)?;
        Ok(body)
    }

    /// `GET _security/_authenticate`.
    pub(crate) fn authenticate(&self) -> Result<Reply> {
        let realm = json!({"name": "reserved", "type": "reserved"});
        let mut body = json!({
            "username": USER, "roles": ["superuser"], "full_name": null, "email": null, "metadata": {}, "enabled": true,
            "authentication_realm": realm, "lookup_realm": realm, "authentication_type": "realm",
        });
        if let Some(name) = &self.key {
            body["authentication_type"] = json!("api_key");
            body["api_key"] = json!({"name": name});
        }
        Reply::ok(body)
    }

    /// `_security/user/_has_privileges`: whoever is let in may do everything.
    pub(crate) fn has_privileges(&self) -> Result<Reply> {
        let body = self.any_object()?;
        let list = |list: &Value| {
            list.as_array()
                .cloned()
                .unwrap_or_else(|| vec![list.clone()])
        };
        let all = |privileges: &Value| -> Map<String, Value> {
            let privileges = list(privileges)
                .into_iter()
                .filter_map(|one| one.as_str().map(str::to_owned));
            privileges
                .map(|privilege| (privilege, json!(true)))
                .collect()
        };
        let mut index = Map::new();
        for group in list(&body["index"]) {
            for name in list(&group["names"]) {
                index.insert(
                    name.as_str().unwrap_or_default().to_owned(),
                    json!(all(&group["privileges"])),
                );
            }
        }
        Reply::ok(json!({
            "username": USER, "has_all_requested": true, "cluster": all(&body["cluster"]), "index": index, "application": {}
        }))
    }
}

/// What is sent back.
pub(crate) struct Reply {
    status: u16,
    body: Value,
}

impl Reply {
    pub(crate) fn ok(body: Value) -> Result<Reply> {
        Self::with(200, body)
    }

    pub(crate) fn with(status: u16, body: Value) -> Result<Reply> {
        Ok(Reply { status, body })
    }

    /// The JSON text, cut by `filter_path` and laid out by `pretty`.
    fn text(self, params: &Params) -> Result<String> {
        let filter = params
            .text("filter_path")
            .filter(|_| self.status < 400)
            .unwrap_or_default();
        let body = Selection::of_filter_path(filter).apply(self.body);
        Ok(if params.flag("pretty")? {
            serde_json::to_string_pretty(&body)? + "\n"
        } else {
            body.to_string()
        })
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
        work(engine.as_ref().ok_or_else(Engine::stopped)?)
    }
}

/// Compares secrets in a time that does not tell where they differ.
pub(crate) fn same(left: &str, right: &str) -> bool {
    let pairs = left.bytes().zip(right.bytes());
    let differences = pairs.fold(0, |sum, (left, right)| sum | (left ^ right));
    std::hint::black_box(differences) == 0 && left.len() == right.len()
}

/// Lets a request in; returns the name of its API key if it comes with one.
fn admit(shared: &Shared, headers: &HeaderMap, path: &str) -> Result<Option<Value>> {
    let Some(password) = &shared.password else {
        return Ok(None);
    };
    let given = headers
        .get(header::AUTHORIZATION)
        .map_or(&[][..], |value| value.as_bytes());
    let given = String::from_utf8_lossy(given);
    let (scheme, secret) = given.split_once(' ').unwrap_or_default();
    let name = match scheme.to_ascii_lowercase().as_str() {
        "apikey" => shared.with(|engine| Ok(engine.check_key(secret)))?,
        "basic" => {
            let decoded = STANDARD.decode(secret.trim()).unwrap_or_default();
            let right = same(
                &String::from_utf8_lossy(&decoded),
                &format!("{USER}:{password}"),
            );
            if right {
                return Ok(None);
            }
            None
        }
        _ => None,
    };
    let what = if given.is_empty() {
        "missing authentication credentials"
    } else {
        "unable to authenticate"
    };
    let refused = || {
        Problem::new(
            401,
            "security_exception",
            format!("{what} for REST request [{path}]"),
        )
    };
    name.map(Some).ok_or_else(refused)
}

/// The version in a vendor media type of a header; a type that this store does not speak is an error.
fn media<'h>(headers: &'h HeaderMap, name: &str) -> Result<Option<&'h str>> {
    let Some(text) = headers.get(name).and_then(|value| value.to_str().ok()) else {
        return Ok(None);
    };
    let (kind, parameters) = text.split_once(';').unwrap_or((text, ""));
    let version = parameters.trim().strip_prefix("compatible-with=");
    match (kind.trim(), version) {
        (
            "application/vnd.elasticsearch+json" | "application/vnd.elasticsearch+x-ndjson",
            Some("8" | "9"),
        ) => Ok(version),
        ("application/json" | "application/x-ndjson", _) => Ok(None),
        (kind, _) if kind.starts_with("application/vnd.elasticsearch") => {
            refuse!(
                "media_type_header_exception",
                "Invalid media-type value [{text}] on header [{name}]"
            )
        }
        _ if name == "accept" => Ok(None),
        _ => Err(Problem::new(
            406,
            "content_type_exception",
            format!("Content-Type header [{text}] is not supported"),
        )),
    }
}

async fn read_body(headers: &HeaderMap, body: Body) -> Result<Vec<u8>> {
    let too_large = || {
        Problem::new(
            413,
            "content_too_long_exception",
            "the body is larger than 100 MB",
        )
    };
    let (mut bytes, mut length) = (Vec::new(), 0);
    let mut stream = body.into_data_stream();
    // A body that is too large is read to its end, within reason, so that the client gets to see the answer.
    while let Some(chunk) = stream.next().await {
        let chunk =
            chunk.map_err(|error| Problem::parsing(format!("the body broke off: {error}")))?;
        length += chunk.len();
        match length {
            0..=BODY_LIMIT => bytes.extend_from_slice(&chunk),
            _ if length < 4 * BODY_LIMIT => bytes = Vec::new(),
            _ => break,
        }
    }
    match headers
        .get(header::CONTENT_ENCODING)
        .map(|value| value.as_bytes())
    {
        _ if length > BODY_LIMIT => Err(too_large()),
        None | Some(b"identity") => Ok(bytes),
        Some(b"gzip") => {
            let mut unpacked = Vec::new();
            let mut reader = flate2::read::MultiGzDecoder::new(&*bytes).take(BODY_LIMIT as u64 + 1);
            let read = reader.read_to_end(&mut unpacked);
            read.map_err(|error| Problem::parsing(format!("the body is not valid gzip: {error}")))?;
            if unpacked.len() > BODY_LIMIT {
                Err(too_large())
            } else {
                Ok(unpacked)
            }
        }
        Some(_) => Err(Problem::unsupported("this content encoding")),
    }
}

async fn answer(shared: &Arc<Shared>, request: Request) -> Result<(u16, String)> {
    let (head, body) = request.into_parts();
    let key = admit(shared, &head.headers, head.uri.path())?;
    let (accepted, sent) = (
        media(&head.headers, "accept")?,
        media(&head.headers, "content-type")?,
    );
    if sent.is_some() && sent != accepted {
        refuse!(
            "media_type_header_exception",
            "A compatible version is required on both Content-Type and Accept headers"
        );
    }
    let trimmed = head.uri.path().trim_matches('/');
    let parts = trimmed.split('/').filter(|_| !trimmed.is_empty());
    let path: Vec<String> = parts
        .map(|part| percent_decode_str(part).decode_utf8_lossy().into_owned())
        .collect();
    if path.iter().any(String::is_empty) {
        refuse!(
            "illegal_argument_exception",
            "a part of the path [{}] is empty",
            head.uri.path()
        );
    }
    let params = Params::parse(head.uri.query().unwrap_or_default());
    if let Some(name) = UNSUPPORTED
        .split(' ')
        .find(|name| params.text(name).is_some())
    {
        return Err(Problem::unsupported(format!("the parameter [{name}]")));
    }
    let body = read_body(&head.headers, body).await?;
    let call = Call {
        method: head.method.as_str().to_owned(),
        path,
        params,
        body,
        key,
    };
    let shared = shared.clone();
    let work = move || {
        let reply = shared.with(|engine| crate::router::route(engine, &call))?;
        Ok((reply.status, reply.text(&call.params)?))
    };
    tokio::task::spawn_blocking(work)
        .await
        .map_err(Problem::internal)?
}

/// Serves one request.
pub(crate) async fn serve(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let is_head = request.method() == axum::http::Method::HEAD;
    let media_type = match media(request.headers(), "accept") {
        Ok(Some(version)) => {
            format!("application/vnd.elasticsearch+json;compatible-with={version}")
        }
        _ => "application/json".to_owned(),
    };
    let answered = answer(&shared, request).await;
    let (status, body) =
        answered.unwrap_or_else(|problem| (problem.status, problem.body().to_string()));
    if status >= 500 && status != 501 {
        tracing::error!(status, body, "a request to the store failed");
    }
    let mut response = Response::new(Body::from(if is_head { String::new() } else { body }));
    *response.status_mut() =
        StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let challenge = if status == 401 {
        "Basic realm=\"security\", charset=\"UTF-8\""
    } else {
        ""
    };
    let headers = [
        ("content-type", &*media_type),
        ("x-elastic-product", "Elasticsearch"),
        ("www-authenticate", challenge),
    ];
    for (name, value) in headers.into_iter().filter(|(_, value)| !value.is_empty()) {
        if let Ok(value) = value.parse() {
            response.headers_mut().insert(name, value);
        }
    }
    response
}
