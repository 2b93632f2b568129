//! One user with one password, and API keys that stand for that user.

use axum::http::{HeaderMap, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use crate::engine::random_name;
use crate::errors::{Problem, Result};
use crate::http::{Call, Reply, Shared};

/// Compares secrets in a time that does not tell where they differ.
fn same(left: &str, right: &str) -> bool {
    let pairs = left.bytes().zip(right.bytes());
    let differences = pairs.fold(0, |sum, (left, right)| sum | (left ^ right));
    std::hint::black_box(differences) == 0 && left.len() == right.len()
}

/// Lets a request in or refuses it.
pub(crate) fn admit(shared: &Shared, headers: &HeaderMap, path: &str) -> Result<()> {
    let Some(password) = &shared.password else {
        return Ok(());
    };
    let given = headers.get(header::AUTHORIZATION);
    let given = given.and_then(|value| value.to_str().ok()?.split_once(' '));
    let (scheme, encoded) = given.unwrap_or_default();
    let secret = STANDARD.decode(encoded.trim()).unwrap_or_default();
    let secret = String::from_utf8_lossy(&secret);
    let (id, key) = secret.split_once(':').unwrap_or_default();
    let known = match scheme.to_ascii_lowercase().as_str() {
        "apikey" => shared.with(|engine| engine.storage.key(id))?,
        "basic" if id == "elastic" => Some(password.clone()),
        _ => None,
    };
    if known.is_some_and(|known| same(&known, key)) {
        return Ok(());
    }
    let reason = format!("missing or wrong credentials for REST request [{path}]");
    Err(Problem::new(401, "security_exception", reason))
}

/// `POST _security/api_key`: issues a key. Its role descriptors are looked at by nobody.
pub(crate) fn issue_key(call: &Call) -> Result<Reply> {
    let keys = "name!:text role_descriptors:object|null metadata:object|null";
    let body = call.object("api_key", keys)?;
    let (id, key) = (random_name()?, random_name()?);
    let storage = &call.engine.storage;
    storage.write(|batch| batch.set_key(&id, &key))?;
    let encoded = STANDARD.encode(format!("{id}:{key}"));
    let shown = json!({"id": id, "name": body["name"], "api_key": key, "encoded": encoded});
    Ok((200, shown))
}
