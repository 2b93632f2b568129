//! `_bulk`: many writes in one transaction, each with its own result.

use serde_json::{Map, Value, json};

use crate::documents::{Action, Operation, apply, expectation};
use crate::engine::Engine;
use crate::errors::Problem;
use crate::http::{Call, Reply};
use crate::schema;

/// Cuts a bulk body into operations and their source lines. The first malformed line fails the whole request.
fn parse<'b>(
    call: &Call,
    body: &'b str,
    index: Option<&str>,
) -> Result<Vec<(Operation, &'b str)>, Problem> {
    if body.trim().is_empty() {
        return Err(Problem::parsing("request body is required"));
    }
    if !body.ends_with('\n') {
        return Err(Problem::illegal(
            "The bulk request must be terminated by a newline [\\n]",
        ));
    }
    let mut operations = Vec::new();
    let mut lines = body.split('\n').enumerate();
    while let Some((number, line)) = lines.next() {
        if line.trim().is_empty() {
            continue;
        }
        let operation = parse_action(call, line, number + 1, index)?;
        operation.check()?;
        let source = match operation.action {
            Action::Delete => "",
            _ => match lines.next() {
                Some((_, source)) if !source.trim().is_empty() => source,
                _ => {
                    return Err(Problem::illegal(format!(
                        "Malformed action/metadata line [{}], expected a source line after it",
                        number + 1
                    )));
                }
            },
        };
        operations.push((operation, source));
    }
    if operations.is_empty() {
        return Err(Problem::validation("no requests added"));
    }
    Ok(operations)
}

fn parse_action(
    call: &Call,
    line: &str,
    number: usize,
    index: Option<&str>,
) -> Result<Operation, Problem> {
    let malformed =
        |what: &str| Problem::illegal(format!("Malformed action/metadata line [{number}], {what}"));
    let parsed: Map<String, Value> = serde_json::from_str(line)
        .map_err(|error| malformed(&format!("expected an object: {error}")))?;
    let mut entries = parsed.iter();
    let (Some((word, metadata)), None) = (entries.next(), entries.next()) else {
        return Err(malformed("expected one action with an object"));
    };
    let mut operation = Operation {
        action: match word.as_str() {
            "index" => Action::Index,
            "create" => Action::Create,
            "update" => Action::Update,
            "delete" => Action::Delete,
            other => {
                return Err(malformed(&format!(
                    "expected field [create], [delete], [index] or [update] but found [{other}]"
                )));
            }
        },
        index: index.unwrap_or_default().to_owned(),
        id: None,
        expected: None,
        pipeline: call.params.text("pipeline").map(str::to_owned),
    };
    schema::check("bulk_action", metadata)?;
    let text = |key: &str| {
        metadata
            .get(key)
            .filter(|value| !value.is_null())
            .map(|value| match value {
                Value::String(text) => text.clone(),
                other => other.to_string(),
            })
    };
    operation.index = text("_index").unwrap_or(operation.index);
    operation.id = text("_id");
    operation.pipeline = text("pipeline").or(operation.pipeline);
    if operation.index.is_empty() {
        return Err(Problem::validation("index is missing"));
    }
    operation.expected = expectation(
        metadata["if_seq_no"].as_u64(),
        metadata["if_primary_term"].as_u64(),
    )?;
    Ok(operation)
}

pub(crate) fn bulk(engine: &Engine, call: &Call, index: Option<&str>) -> Result<Reply, Problem> {
    let begin = std::time::Instant::now();
    let refreshed = call
        .params
        .text("refresh")
        .is_some_and(|refresh| refresh != "false");
    let operations = parse(call, call.text()?, index)?;
    let mut errors = false;
    let items = engine.storage.write(|batch| {
        let mut items = Vec::with_capacity(operations.len());
        for (operation, source) in &operations {
            let item = match apply(engine, batch, operation, source) {
                Ok(outcome) => {
                    let mut item = outcome.body(refreshed);
                    item["status"] = json!(outcome.status());
                    item
                }
                // A fault of the store itself fails the request: nothing may be half written.
                Err(problem) if problem.status == 500 => return Err(problem),
                Err(problem) => {
                    errors = true;
                    json!({"_index": operation.index, "_id": operation.id, "status": problem.status, "error": problem.cause()})
                }
            };
            let mut named = Map::new();
            named.insert(operation.action.word().to_owned(), item);
            items.push(Value::Object(named));
        }
        Ok(items)
    })?;
    let took = u64::try_from(begin.elapsed().as_millis()).unwrap_or(u64::MAX);
    Reply::ok(&json!({"took": took, "errors": errors, "items": items}))
}
