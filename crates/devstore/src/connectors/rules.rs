//! Sync rules of connectors: the draft that people edit, and the active rules that jobs take with them.

use serde_json::{Map, Value, json};

use super::refuse_state;
use crate::dates;
use crate::errors::{Problem, Result};

fn default_rule(now: &str) -> Value {
    json!({
        "created_at": now, "field": "_", "id": "DEFAULT", "order": 0, "policy": "include", "rule": "regex", "updated_at": now, "value": ".*"
    })
}

/// The `filtering` of a new connector.
pub(super) fn default_filtering(now: &str) -> Value {
    let rules = json!({
        "advanced_snippet": {"created_at": now, "updated_at": now, "value": {}},
        "rules": [default_rule(now)],
        "validation": {"errors": [], "state": "valid"},
    });
    json!([{"active": rules, "domain": "DEFAULT", "draft": rules}])
}

/// The rules in their order, the default rule last.
fn ordered(rules: &[Value], now: &str) -> Value {
    let is_default = |rule: &Value| rule["id"] == "DEFAULT" && rule["field"] == "_";
    let mut ordered: Vec<Value> = rules
        .iter()
        .filter(|rule| !is_default(rule))
        .cloned()
        .collect();
    ordered.sort_by_key(|rule| rule["order"].as_u64());
    let order = ordered
        .last()
        .and_then(|rule| rule["order"].as_u64()?.checked_add(1));
    let mut last = rules.iter().find(|rule| is_default(rule)).cloned();
    let last = last.get_or_insert_with(|| default_rule(now));
    last["order"] = json!(order.unwrap_or(0));
    ordered.push(last.take());
    ordered.into_iter().map(|rule| stamped(rule, now)).collect()
}

/// Gives a rule or snippet the moments that it lacks.
fn stamped(mut part: Value, now: &str) -> Value {
    for key in ["created_at", "updated_at"] {
        if part[key].is_null() {
            part[key] = json!(now);
        }
    }
    part
}

/// The first and only entry of `filtering`, made if it is not there.
pub(super) fn entry(record: &Map<String, Value>) -> Value {
    let entry = record
        .get("filtering")
        .and_then(|filtering| filtering.get(0));
    match entry.filter(|entry| entry.is_object()) {
        Some(entry) => entry.clone(),
        None => default_filtering(&dates::now())[0].take(),
    }
}

/// `PUT _filtering`: the whole list, or rules and snippet of the draft.
pub(super) fn changed(record: &Map<String, Value>, body: &Value) -> Result<Value> {
    let now = dates::now();
    let (rules, snippet) = (body["rules"].as_array(), body.get("advanced_snippet"));
    match body["filtering"].as_array() {
        Some(_) if rules.is_some() || snippet.is_some() => {
            let wrong = "[filtering] cannot be provided with [rules] or [advanced_snippet].";
            return Err(Problem::validation(wrong));
        }
        None if rules.is_none() && snippet.is_none() => {
            let wrong = "[filtering], [rules] and [advanced_snippet] cannot all be null.";
            return Err(Problem::validation(wrong));
        }
        None => {}
        Some(filtering) => {
            let mut filtering = filtering.clone();
            let entries = filtering.iter_mut();
            entries.for_each(|entry| entry["domain"] = json!("DEFAULT"));
            return Ok(Value::Array(filtering));
        }
    }
    let mut entry = entry(record);
    let draft = &mut entry["draft"];
    if let Some(rules) = rules {
        draft["rules"] = ordered(rules, &now);
    }
    if let Some(snippet) = snippet {
        draft["advanced_snippet"] = stamped(snippet.clone(), &now);
    }
    draft["validation"] = json!({"errors": [], "state": "edited"});
    Ok(json!([entry]))
}

/// `PUT _filtering/_activate`: a valid draft becomes active.
pub(super) fn activated(record: &Map<String, Value>) -> Result<Value> {
    let mut entry = entry(record);
    let state = entry["draft"]["validation"]["state"]
        .as_str()
        .unwrap_or_default();
    if state != "valid" {
        refuse_state!(
            "Filtering draft needs to be validated before activation. Its state is [{state}], it must be [valid]."
        );
    }
    entry["active"] = entry["draft"].clone();
    Ok(entry)
}
