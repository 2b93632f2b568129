//! Sync rules of connectors: the draft that people edit, and the active rules that jobs take with them.

use serde_json::{Value, json};

use super::refuse_state;
use crate::dates;
use crate::errors::{Problem, Result};

fn default_rule(now: &str, order: u64) -> Value {
    json!({
        "created_at": now, "field": "_", "id": "DEFAULT", "order": order, "policy": "include", "rule": "regex", "updated_at": now, "value": ".*"
    })
}

/// The `filtering` of a new connector.
pub(super) fn default_filtering(now: &str) -> Value {
    let rules = json!({
        "advanced_snippet": {"created_at": now, "updated_at": now, "value": {}},
        "rules": [default_rule(now, 0)],
        "validation": {"errors": [], "state": "valid"},
    });
    json!([{"active": rules, "domain": "DEFAULT", "draft": rules}])
}

fn is_default(rule: &Value) -> bool {
    let default = default_rule("", 0);
    ["id", "field", "policy", "rule", "value"]
        .iter()
        .all(|key| rule[*key] == default[*key])
}

/// The rules in their order, the default rule last.
fn ordered(rules: &[Value], now: &str) -> Value {
    let (mut default, mut ordered): (Vec<Value>, Vec<Value>) =
        rules.iter().cloned().partition(is_default);
    ordered.sort_by_key(|rule| rule["order"].as_u64());
    let order = ordered
        .last()
        .and_then(|rule| rule["order"].as_u64()?.checked_add(1));
    let mut last = default.pop().unwrap_or_else(|| default_rule(now, 0));
    last["order"] = json!(order.unwrap_or(0));
    ordered.push(last);
    ordered.iter().map(|rule| stamped(rule, now)).collect()
}

/// Gives a rule or snippet the moments that it lacks.
fn stamped(part: &Value, now: &str) -> Value {
    let mut part = part.clone();
    for key in ["created_at", "updated_at"] {
        if part[key].is_null() {
            part[key] = json!(now);
        }
    }
    part
}

/// The first and only entry of `filtering`, made if it is not there.
fn entry<'r>(record: &'r mut Value, now: &str) -> &'r mut Value {
    if !record["filtering"][0].is_object() {
        record["filtering"] = default_filtering(now);
    }
    &mut record["filtering"][0]
}

/// `PUT _filtering`: the whole list, or rules and snippet of the draft.
pub(super) fn change(record: &mut Value, body: &Value) -> Result<()> {
    let now = dates::now();
    let (rules, snippet) = (body.get("rules"), body.get("advanced_snippet"));
    if let Some(filtering) = body["filtering"].as_array() {
        if rules.is_some() || snippet.is_some() {
            return Err(Problem::validation(
                "[filtering] cannot be provided with [rules] or [advanced_snippet].",
            ));
        }
        let mut filtering = filtering.clone();
        filtering
            .iter_mut()
            .for_each(|entry| entry["domain"] = json!("DEFAULT"));
        record["filtering"] = Value::Array(filtering);
        return Ok(());
    }
    if rules.is_none() && snippet.is_none() {
        return Err(Problem::validation(
            "[filtering], [rules] and [advanced_snippet] cannot all be null.",
        ));
    }
    let draft = &mut entry(record, &now)["draft"];
    if let Some(rules) = rules.and_then(Value::as_array) {
        draft["rules"] = ordered(rules, &now);
    }
    if let Some(snippet) = snippet {
        draft["advanced_snippet"] = stamped(snippet, &now);
    }
    draft["validation"] = json!({"errors": [], "state": "edited"});
    Ok(())
}

/// `PUT _filtering/_validation`.
pub(super) fn validate(record: &mut Value, validation: &Value) {
    entry(record, &dates::now())["draft"]["validation"] = validation.clone();
}

/// `PUT _filtering/_activate`: a valid draft becomes active.
pub(super) fn activate(record: &mut Value) -> Result<()> {
    let entry = entry(record, &dates::now());
    let state = entry["draft"]["validation"]["state"]
        .as_str()
        .unwrap_or_default();
    if state != "valid" {
        refuse_state!(
            "Filtering draft needs to be validated before activation. Its state is [{state}], it must be [valid]."
        );
    }
    entry["active"] = entry["draft"].clone();
    Ok(())
}
