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
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::engine::Engine;
use crate::errors::Problem;
use crate::schema;
use crate::select::Selection;

/// Largest body, before and after unpacking. As `http.max_content_length` of Elasticsearch.
const BODY_LIMIT: usize = 100 << 20;
/// The only user who has a password.
pub(crate) const USER: &str = "elastic";
/// Parameters that Elasticsearch knows and this store cannot honour.
const UNSUPPORTED: [&str; 8] = [
    "scroll",
    "routing",
    "version_type",
    "require_alias",
    "require_data_stream",
    "stored_fields",
    "format",
    "search_type",
];

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
    pub(crate) fn flag(&self, key: &str) -> Result<bool, Problem> {
        match self.text(key) {
            None | Some("false") => Ok(false),
            Some("true" | "") => Ok(true),
            Some(other) => Err(Problem::illegal(format!(
                "Failed to parse value [{other}] of [{key}] as true or false"
            ))),
        }
    }

    pub(crate) fn number(&self, key: &str) -> Result<Option<u64>, Problem> {
        let number = |text: &str| {
            let wrong = |_| {
                Problem::illegal(format!(
                    "Failed to parse int parameter [{key}] with value [{text}]"
                ))
            };
            text.parse().map_err(wrong)
        };
        self.text(key).map(number).transpose()
    }
}

/// A request that has been let in.
pub(crate) struct Call {
    pub(crate) method: String,
    pub(crate) path: Vec<String>,
    pub(crate) params: Params,
    pub(crate) body: Vec<u8>,
    pub(crate) who: Who,
}

impl Call {
    pub(crate) fn text(&self) -> Result<&str, Problem> {
        std::str::from_utf8(&self.body)
            .map_err(|error| Problem::parsing(format!("the body is not UTF-8: {error}")))
    }

    /// The body as an object; no body is an empty object.
    pub(crate) fn any_object(&self) -> Result<Map<String, Value>, Problem> {
        match self.text()?.trim() {
            "" => Ok(Map::new()),
            text => serde_json::from_str(text).map_err(|error| Problem::garbled(&error)),
        }
    }

    /// The body as an object of the shape of that name.
    pub(crate) fn object(&self, shape: &str) -> Result<Value, Problem> {
        let body = Value::Object(self.any_object()?);
        schema::check(shape, &body)?;
        Ok(body)
    }
}

/// Who asks.
#[derive(Clone, Debug)]
pub(crate) enum Who {
    /// The user with the password, or anybody where there is no password.
    User,
    /// The holder of the API key of that name.
    Key(String),
}

/// What is sent back: a status and a JSON text.
pub(crate) struct Reply {
    status: u16,
    body: String,
}

impl Reply {
    pub(crate) fn ok(body: &impl Serialize) -> Result<Reply, Problem> {
        Self::with(200, body)
    }

    pub(crate) fn with(status: u16, body: &impl Serialize) -> Result<Reply, Problem> {
        Ok(Reply {
            status,
            body: serde_json::to_string(body)?,
        })
    }

    fn of(problem: &Problem) -> Reply {
        Reply {
            status: problem.status,
            body: problem.body().to_string(),
        }
    }

    /// Applies `filter_path` and `pretty`.
    fn shaped(mut self, params: &Params) -> Result<Reply, Problem> {
        let pretty = params.flag("pretty")?;
        let filter = params.text("filter_path").filter(|_| self.status < 400);
        if pretty || filter.is_some() {
            let mut value: Value = serde_json::from_str(&self.body)?;
            if let Some(filter) = filter {
                value = Selection::of_filter_path(filter).apply(&value);
            }
            self.body = if pretty {
                serde_json::to_string_pretty(&value)? + "\n"
            } else {
                value.to_string()
            };
        }
        Ok(self)
    }
}

/// What all requests share. The engine is taken out when the store stops.
pub(crate) struct Shared {
    pub(crate) engine: RwLock<Option<Engine>>,
    pub(crate) password: Option<String>,
}

impl Shared {
    /// Works with the engine; the store cannot close before this returns.
    pub(crate) fn with<T>(
        &self,
        work: impl FnOnce(&Engine) -> Result<T, Problem>,
    ) -> Result<T, Problem> {
        let engine = self.engine.read().unwrap_or_else(PoisonError::into_inner);
        work(engine.as_ref().ok_or_else(|| {
            Problem::new(503, "node_closed_exception", "the store has been stopped")
        })?)
    }
}

/// Compares secrets in a time that does not tell where they differ.
pub(crate) fn same(left: &str, right: &str) -> bool {
    let differences = left
        .bytes()
        .zip(right.bytes())
        .fold(0, |sum, (left, right)| sum | (left ^ right));
    std::hint::black_box(differences) == 0 && left.len() == right.len()
}

fn admit(shared: &Shared, headers: &HeaderMap, path: &str) -> Result<Who, Problem> {
    let Some(password) = &shared.password else {
        return Ok(Who::User);
    };
    let refuse = |why: String| {
        Problem::new(
            401,
            "security_exception",
            format!("{why} for REST request [{path}]"),
        )
    };
    let Some(given) = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
    else {
        return Err(refuse("missing authentication credentials".to_owned()));
    };
    let (scheme, secret) = given.split_once(' ').unwrap_or((given, ""));
    if scheme.eq_ignore_ascii_case("apikey") {
        let name = shared.with(|engine| Ok(engine.check_key(secret)))?;
        return name
            .map(Who::Key)
            .ok_or_else(|| refuse("unable to authenticate with provided API key".to_owned()));
    }
    let decoded = STANDARD.decode(secret.trim()).unwrap_or_default();
    let decoded = String::from_utf8_lossy(&decoded);
    let (user, tried) = decoded.split_once(':').unwrap_or_default();
    let right = same(tried, password) & same(user, USER);
    if scheme.eq_ignore_ascii_case("basic") && right {
        Ok(Who::User)
    } else {
        Err(refuse(format!("unable to authenticate user [{user}]")))
    }
}

/// The version in a vendor media type, and whether the type is one that this store speaks.
fn media(headers: &HeaderMap, name: header::HeaderName) -> Result<Option<String>, Problem> {
    let Some(text) = headers.get(&name).and_then(|value| value.to_str().ok()) else {
        return Ok(None);
    };
    let (kind, parameters) = text.split_once(';').unwrap_or((text, ""));
    let version = parameters
        .split(';')
        .find_map(|part| part.trim().strip_prefix("compatible-with="));
    match (kind.trim().to_ascii_lowercase().as_str(), version) {
        (
            "application/vnd.elasticsearch+json" | "application/vnd.elasticsearch+x-ndjson",
            Some(version @ ("8" | "9")),
        ) => Ok(Some(version.to_owned())),
        ("application/json" | "application/x-ndjson", _) => Ok(None),
        (kind, _) if kind.starts_with("application/vnd.elasticsearch") => {
            let reason = format!(
                "Invalid media-type value on header [{name}]: {text}. Compatible versions are 8 and 9."
            );
            Err(Problem::new(400, "media_type_header_exception", reason))
        }
        _ if name == header::ACCEPT => Ok(None),
        _ => Err(Problem::new(
            406,
            "content_type_exception",
            format!("Content-Type header [{text}] is not supported"),
        )),
    }
}

async fn read_body(headers: &HeaderMap, body: Body) -> Result<Vec<u8>, Problem> {
    let too_large = || {
        Problem::new(
            413,
            "content_too_long_exception",
            format!("the body is larger than {BODY_LIMIT} bytes"),
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
    if length > BODY_LIMIT {
        return Err(too_large());
    }
    match headers
        .get(header::CONTENT_ENCODING)
        .map(|value| value.as_bytes())
    {
        None | Some(b"identity") => Ok(bytes),
        Some(b"gzip") => {
            let mut unpacked = Vec::new();
            let mut reader =
                flate2::read::MultiGzDecoder::new(bytes.as_slice()).take(BODY_LIMIT as u64 + 1);
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

async fn answer(shared: &Arc<Shared>, request: Request) -> Result<Reply, Problem> {
    let (head, body) = request.into_parts();
    let who = admit(shared, &head.headers, head.uri.path())?;
    let (accepted, sent) = (
        media(&head.headers, header::ACCEPT)?,
        media(&head.headers, header::CONTENT_TYPE)?,
    );
    if sent.is_some() && sent != accepted {
        let reason = "A compatible version is required on both Content-Type and Accept headers if either one has requested one";
        return Err(Problem::new(400, "media_type_header_exception", reason));
    }
    let trimmed = head
        .uri
        .path()
        .trim_start_matches('/')
        .trim_end_matches('/');
    let parts = trimmed.split('/').filter(|_| !trimmed.is_empty());
    let path: Vec<String> = parts
        .map(|part| percent_decode_str(part).decode_utf8_lossy().into_owned())
        .collect();
    if path.iter().any(String::is_empty) {
        return Err(Problem::illegal(format!(
            "a part of the path [{}] is empty",
            head.uri.path()
        )));
    }
    let params = Params::parse(head.uri.query().unwrap_or_default());
    if let Some(unsupported) = UNSUPPORTED.iter().find(|name| params.text(name).is_some()) {
        return Err(Problem::unsupported(format!(
            "the parameter [{unsupported}]"
        )));
    }
    let body = read_body(&head.headers, body).await?;
    let call = Call {
        method: head.method.as_str().to_owned(),
        path,
        params,
        body,
        who,
    };
    let shared = shared.clone();
    let work = move || {
        let reply = shared
            .with(|engine| crate::router::route(engine, &call))
            .unwrap_or_else(|problem| Reply::of(&problem));
        reply.shaped(&call.params)
    };
    tokio::task::spawn_blocking(work)
        .await
        .map_err(Problem::internal)?
}

/// Serves one request.
pub(crate) async fn serve(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let is_head = request.method() == axum::http::Method::HEAD;
    let version = media(request.headers(), header::ACCEPT).ok().flatten();
    let media_type = match version {
        Some(version) => format!("application/vnd.elasticsearch+json;compatible-with={version}"),
        None => "application/json".to_owned(),
    };
    let reply = answer(&shared, request)
        .await
        .unwrap_or_else(|problem| Reply::of(&problem));
    if reply.status >= 500 && reply.status != 501 {
        tracing::error!(
            status = reply.status,
            body = reply.body,
            "a request to the store failed"
        );
    }
    let mut response = Response::new(Body::from(if is_head { String::new() } else { reply.body }));
    *response.status_mut() =
        StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut set = |name: &'static str, value: &str| {
        if let Ok(value) = value.parse() {
            response.headers_mut().insert(name, value);
        }
    };
    set("content-type", &media_type);
    set("x-elastic-product", "Elasticsearch");
    if reply.status == 401 {
        set(
            "www-authenticate",
            "Basic realm=\"security\", charset=\"UTF-8\", ApiKey",
        );
    }
    response
}

/// `GET _security/_authenticate`.
pub(crate) fn authenticate(who: &Who) -> Result<Reply, Problem> {
    let (kind, key) = match who {
        Who::User => ("realm", None),
        Who::Key(name) => ("api_key", Some(json!({"name": name}))),
    };
    let realm = json!({"name": "reserved", "type": "reserved"});
    let mut body = json!({
        "username": USER, "roles": ["superuser"], "full_name": null, "email": null, "metadata": {}, "enabled": true,
        "authentication_realm": realm, "lookup_realm": realm, "authentication_type": kind,
    });
    if let Some(key) = key {
        body["api_key"] = key;
    }
    Reply::ok(&body)
}
