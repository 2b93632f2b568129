//! `_bulk`: many writes in one transaction, each with its own result.

use std::time::Instant;

use serde_json::{Map, Value, json};

use crate::documents::{Action, Operation, apply};
use crate::errors::{Result, refuse};
use crate::http::{Call, Reply};
use crate::schema;
use crate::select::plain_text;

/// Cuts a bulk body into operations and their source lines. The first malformed line fails the whole request.
fn parse<'b>(call: &'b Call, index: &str) -> Result<Vec<(String, Operation, &'b str)>> {
    if call.body.trim().is_empty() {
        refuse!("parsing_exception", "request body is required");
    }
    if !call.body.ends_with('\n') {
        refuse!(
            "illegal_argument_exception",
            "The bulk request must be terminated by a newline [\\n]"
        );
    }
    let mut operations = Vec::new();
    let is_blank = |line: &str| line.trim().is_empty();
    let mut lines = call.body.split('\n').zip(1..);
    while let Some((line, number)) = lines.next() {
        if is_blank(line) {
            continue;
        }
        let (word, operation) = parse_action(call, line, index, number)?;
        operation.check()?;
        let source = match operation.action {
            Action::Delete => Some(("", 0)),
            _ => lines.next().filter(|(source, _)| !is_blank(source)),
        };
        let Some((source, _)) = source else {
            return malformed(number, "expected a source line after it");
        };
        operations.push((word, operation, source));
    }
    Ok(operations)
}

fn malformed<T>(number: usize, what: &str) -> Result<T> {
    refuse!(
        "illegal_argument_exception",
        "Malformed action/metadata line [{number}], {what}"
    )
}

fn parse_action(
    call: &Call,
    line: &str,
    index: &str,
    number: usize,
) -> Result<(String, Operation)> {
    let parsed = match serde_json::from_str::<Map<String, Value>>(line) {
        Ok(parsed) => parsed,
        Err(error) => return malformed(number, &error.to_string()),
    };
    let mut entries = parsed.into_iter();
    let (Some((word, metadata)), None) = (entries.next(), entries.next()) else {
        return malformed(number, "expected one action with an object");
    };
    let action = match word.as_str() {
        "index" => Action::Index,
        "create" => Action::Create,
        "update" => Action::Update,
        "delete" => Action::Delete,
        _ => {
            return malformed(
                number,
                "expected field [create], [delete], [index] or [update]",
            );
        }
    };
    schema::check("bulk_action", &metadata)?;
    let given = |key: &str| {
        metadata
            .get(key)
            .filter(|value| !value.is_null())
            .map(plain_text)
    };
    let expected = (
        metadata["if_seq_no"].as_u64(),
        metadata["if_primary_term"].as_u64(),
    );
    let operation = Operation {
        action,
        index: given("_index").unwrap_or_else(|| index.to_owned()),
        id: given("_id"),
        expected,
        pipeline: given("pipeline").unwrap_or_else(|| call.param("pipeline").to_owned()),
    };
    Ok((word, operation))
}

pub(crate) fn bulk(call: &Call, index: &str) -> Result<Reply> {
    let begin = Instant::now();
    let operations = parse(call, index)?;
    let (mut errors, mut items) = (false, Vec::with_capacity(operations.len()));
    call.engine.storage.write(|batch| {
        for (word, operation, source) in operations {
            let item = match apply(batch, &operation, source) {
                Ok(outcome) => {
                    let (status, mut item) = outcome.reply(call);
                    item["status"] = json!(status);
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
    let took = begin.elapsed().as_millis() as u64;
    Ok((200, json!({"took": took, "errors": errors, "items": items})))
}
