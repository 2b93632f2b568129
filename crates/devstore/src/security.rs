//! One user with one password, and API keys that stand for that user.

use axum::http::{HeaderMap, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use crate::dates;
use crate::engine::{Engine, random_name};
use crate::errors::{Problem, Result};
use crate::http::{Call, Reply, Shared};
use crate::select::many;

/// The only user who has a password.
const USER: &str = "elastic";

/// Compares secrets in a time that does not tell where they differ.
fn same(left: &str, right: &str) -> bool {
    let pairs = left.bytes().zip(right.bytes());
    let differences = pairs.fold(0, |sum, (left, right)| sum | (left ^ right));
    std::hint::black_box(differences) == 0 && left.len() == right.len()
}

/// Whether `id:key` is a key that this store has issued.
fn is_valid_key(engine: &Engine, secret: &str) -> Result<bool> {
    let (id, key) = secret.split_once(':').unwrap_or_default();
    let record = engine
        .storage
        .key(id)?
        .filter(|record| record["invalidated"] == false);
    let known = record.as_ref().and_then(|record| record["key"].as_str());
    Ok(known.is_some_and(|known| same(known, key)))
}

/// Lets a request in or refuses it.
pub(crate) fn admit(shared: &Shared, headers: &HeaderMap, path: &str) -> Result<()> {
    let Some(password) = &shared.password else {
        return Ok(());
    };
    let given = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok());
    let (scheme, secret) = given
        .and_then(|given| given.split_once(' '))
        .unwrap_or_default();
    let secret = STANDARD.decode(secret.trim()).unwrap_or_default();
    let secret = String::from_utf8_lossy(&secret);
    let is_known = match scheme.to_ascii_lowercase().as_str() {
        "apikey" => shared.with(|engine| is_valid_key(engine, &secret))?,
        "basic" => same(&secret, &format!("{USER}:{password}")),
        _ => false,
    };
    if is_known {
        return Ok(());
    }
    let what = match given {
        None => "missing authentication credentials",
        Some(_) => "unable to authenticate",
    };
    let reason = format!("{what} for REST request [{path}]");
    Err(Problem::new(401, "security_exception", reason))
}

/// `POST _security/api_key`: issues a key. Its role descriptors are kept but never enforced.
pub(crate) fn issue_key(call: &Call) -> Result<Reply> {
    let mut record = call.object("api_key")?;
    let (id, key, name) = (random_name()?, random_name()?, record["name"].clone());
    record["key"] = json!(key);
    record["creation"] = json!(dates::now());
    record["invalidated"] = json!(false);
    call.engine
        .storage
        .write(|batch| batch.set_key(&id, &record))?;
    let encoded = STANDARD.encode(format!("{id}:{key}"));
    Ok((
        200,
        json!({"id": id, "name": name, "api_key": key, "encoded": encoded}),
    ))
}

/// `DELETE _security/api_key`: the keys named by `ids` or `id` are refused from now on.
pub(crate) fn invalidate_keys(call: &Call) -> Result<Reply> {
    let body = call.object("invalidate_api_key")?;
    let (mut invalidated, storage) = (Vec::new(), &call.engine.storage);
    for id in many(&body["ids"]).chain(body.get("id")) {
        let id = id.as_str().unwrap_or_default();
        let record = storage
            .key(id)?
            .filter(|record| record["invalidated"] == false);
        if let Some(mut record) = record {
            record["invalidated"] = json!(true);
            storage.write(|batch| batch.set_key(id, &record))?;
            invalidated.push(id);
        }
    }
    let previous = json!([]);
    Ok((
        200,
        json!({
            "invalidated_api_keys": invalidated, "previously_invalidated_api_keys": previous, "error_count": 0
        }),
    ))
}
