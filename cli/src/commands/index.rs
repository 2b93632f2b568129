//! `index list`, `index count`.

use crate::{
    arguments::IndexCommand,
    connection::Server,
    failure::Result,
    output::{OutputFormat, say, say_json, table},
};
use serde_json::{Value, json};

pub(super) async fn run(
    server: &Server,
    command: &IndexCommand,
    output: OutputFormat,
) -> Result<()> {
    match command {
        IndexCommand::List { pattern } => list(server, pattern, output).await,
        IndexCommand::Count { name } => {
            let count = server.client.count(name).await?;
            match output {
                OutputFormat::Text => say(&count.to_string()),
                OutputFormat::Json => say_json(&json!({"index": name, "documents": count})),
            }
            Ok(())
        }
    }
}

async fn list(server: &Server, pattern: &str, output: OutputFormat) -> Result<()> {
    let indices = server.client.indices(pattern).await?;
    match output {
        OutputFormat::Json => {
            let indices = indices.iter().map(|index| {
                json!({
                    "index": index.name,
                    "documents": index.documents,
                    "bytes": index.bytes,
                    "health": index.health,
                })
            });
            say_json(&indices.collect::<Value>());
        }
        OutputFormat::Text => {
            let number =
                |number: Option<u64>| number.map_or("-".into(), |number| number.to_string());
            let rows = indices.into_iter().map(|index| {
                [
                    index.name,
                    number(index.documents),
                    number(index.bytes),
                    index.health,
                ]
            });
            say(&table(&["index", "documents", "bytes", "health"], rows));
        }
    }
    Ok(())
}
