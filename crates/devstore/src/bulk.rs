//! `_bulk`: many writes in one transaction, each with its own result.

use std::time::Instant;

use serde_json::{Map, Value, json};

use crate::documents::{Operation, apply};
use crate::errors::{ILLEGAL, PARSING, Result, refuse};
use crate::http::{Call, Reply};
use crate::schema;
use crate::select::plain_text;

/// Cuts a bulk body into operations and their source lines. The first malformed line fails the whole request.
fn parse<'b>(call: &'b Call, index: &str) -> Result<Vec<(Operation, &'b str)>> {
    if call.body.trim().is_empty() {
        refuse!(PARSING, "request body is required");
    }
    if !call.body.ends_with('\n') {
        refuse!(
            ILLEGAL,
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
        let Some(operation) = parse_action(call, line, index)? else {
            refuse!(
                ILLEGAL,
                "Malformed action/metadata line [{number}], expected one action"
            );
        };
        operation.check()?;
        let source = match operation.action.as_str() {
            "delete" => Some(("", 0)),
            _ => lines.next().filter(|(source, _)| !is_blank(source)),
        };
        let Some((source, _)) = source else {
            refuse!(
                ILLEGAL,
                "Malformed action/metadata line [{number}], expected a source after it"
            );
        };
        operations.push((operation, source));
    }
    Ok(operations)
}

/// `None` if the line is no action.
fn parse_action(call: &Call, line: &str, index: &str) -> Result<Option<Operation>> {
    let parsed = serde_json::from_str::<Map<String, Value>>(line).unwrap_or_default();
    let mut entries = parsed.into_iter();
    let (Some((action, metadata)), None) = (entries.next(), entries.next()) else {
        return Ok(None);
    };
    if !matches!(action.as_str(), "index" | "create" | "update" | "delete") {
        return Ok(None);
    }
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
    Ok(Some(Operation {
        action,
        index: given("_index").unwrap_or_else(|| index.to_owned()),
        id: given("_id"),
        expected,
        pipeline: given("pipeline").unwrap_or_else(|| call.param("pipeline").to_owned()),
    }))
}

pub(crate) fn bulk(call: &Call, index: &str) -> Result<Reply> {
    let begin = Instant::now();
    let operations = parse(call, index)?;
    let (mut errors, mut items) = (false, Vec::with_capacity(operations.len()));
    call.engine.storage.write(|batch| {
        for (operation, source) in operations {
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
                    json!({"_index": index, "_id": id, "status": problem.status, "error": problem.cause})
                }
            };
            items.push(json!({operation.action: item}));
        }
        Ok(())
    })?;
    let took = begin.elapsed().as_millis() as u64;
    Ok((200, json!({"took": took, "errors": errors, "items": items})))
}
