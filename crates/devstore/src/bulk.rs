//! `_bulk`: many writes in one transaction, each with its own result.

use std::time::Instant;

use serde_json::{Map, Value, json};

use crate::documents::{Action, Operation, apply};
use crate::engine::Engine;
use crate::errors::{Problem, Result, refuse};
use crate::http::{Call, Reply};
use crate::schema;

/// Cuts a bulk body into operations and their source lines. The first malformed line fails the whole request.
fn parse<'b>(
    call: &Call,
    body: &'b str,
    index: Option<&str>,
) -> Result<Vec<(String, Operation, &'b str)>> {
    if body.trim().is_empty() {
        refuse!("parsing_exception", "request body is required");
    }
    if !body.ends_with('\n') {
        refuse!(
            "illegal_argument_exception",
            "The bulk request must be terminated by a newline [\\n]"
        );
    }
    let mut operations = Vec::new();
    let mut lines = body.split('\n').enumerate();
    while let Some((number, line)) = lines.next() {
        if line.trim().is_empty() {
            continue;
        }
        let malformed = |what: &str| {
            Problem::illegal(format!(
                "Malformed action/metadata line [{}], {what}",
                number + 1
            ))
        };
        let (word, operation) = parse_action(call, line, index, malformed)?;
        operation.check()?;
        let source = match operation.action {
            Action::Delete => "",
            _ => match lines.next() {
                Some((_, source)) if !source.trim().is_empty() => source,
                _ => return Err(malformed("expected a source line after it")),
            },
        };
        operations.push((word, operation, source));
    }
    Ok(operations)
}

fn parse_action(
    call: &Call,
    line: &str,
    index: Option<&str>,
    malformed: impl Fn(&str) -> Problem,
) -> Result<(String, Operation)> {
    let parsed: Map<String, Value> =
        serde_json::from_str(line).map_err(|error| malformed(&error.to_string()))?;
    let mut entries = parsed.into_iter();
    let (Some((word, metadata)), None) = (entries.next(), entries.next()) else {
        return Err(malformed("expected one action with an object"));
    };
    let action = match word.as_str() {
        "index" => Action::Index,
        "create" => Action::Create,
        "update" => Action::Update,
        "delete" => Action::Delete,
        _ => {
            return Err(malformed(
                "expected field [create], [delete], [index] or [update]",
            ));
        }
    };
    schema::check("bulk_action", &metadata)?;
    let text = |key: &str| match &metadata[key] {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    };
    let index = text("_index")
        .or_else(|| index.map(str::to_owned))
        .unwrap_or_default();
    let expected = (
        metadata["if_seq_no"].as_u64(),
        metadata["if_primary_term"].as_u64(),
    );
    let pipeline = text("pipeline").or_else(|| call.params.text("pipeline").map(str::to_owned));
    Ok((
        word,
        Operation {
            action,
            index,
            id: text("_id"),
            expected,
            pipeline,
        },
    ))
}

pub(crate) fn bulk(engine: &Engine, call: &Call, index: Option<&str>) -> Result<Reply> {
    let begin = Instant::now();
    let operations = parse(call, call.text()?, index)?;
    let (mut errors, mut items) = (false, Vec::with_capacity(operations.len()));
    engine.storage.write(|batch| {
        for (word, operation, source) in operations {
            let item = match apply(engine, batch, &operation, source) {
                Ok(outcome) => {
                    let mut item = outcome.body(&call.params);
                    item["status"] = json!(outcome.status());
                    item
                }
                // A fault of the store itself fails the request: nothing may be half written.
                Err(problem) if problem.status == 500 => return Err(problem),
                Err(problem) => {
                    errors = true;
                    let (index, id) = (&operation.index, &operation.id);
                    json!({"_index": index, "_id": id, "status": problem.status, "error": problem.cause()})
                }
            };
            items.push(json!({word: item}));
        }
        Ok(())
    })?;
    Reply::ok(json!({"took": begin.elapsed().as_millis() as u64, "errors": errors, "items": items}))
}
