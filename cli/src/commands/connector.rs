//! `connector list`, `connector show`.

use super::{create, shown};
use crate::{
    arguments::ConnectorCommand,
    connection::Server,
    failure::Result,
    output::{OutputFormat, facts, say, say_json, table},
};
use serde_json::Value;
use tributary_protocol::{
    Connector, JobType,
    records::{ConnectorFilter, Records},
};

pub(super) async fn run(
    server: &Server,
    command: ConnectorCommand,
    output: OutputFormat,
) -> Result<()> {
    match command {
        ConnectorCommand::List => list(server, output).await,
        ConnectorCommand::Show { id } => {
            let connector = server.connector(&id).await?.record;
            match output {
                OutputFormat::Text => say(&text(&connector)),
                OutputFormat::Json => say_json(&shown::connector(&connector)),
            }
            Ok(())
        }
        ConnectorCommand::Create(arguments) => create::run(server, arguments, output).await,
    }
}

async fn list(server: &Server, output: OutputFormat) -> Result<()> {
    let connectors = server
        .records
        .connectors(&ConnectorFilter::default())
        .await?;
    let connectors = connectors.into_iter().map(|connector| connector.record);
    match output {
        OutputFormat::Json => {
            say_json(
                &connectors
                    .map(|connector| shown::connector(&connector))
                    .collect::<Value>(),
            );
        }
        OutputFormat::Text => {
            let rows: Vec<_> = connectors.map(row).collect();
            if rows.is_empty() {
                say("There are no connectors. `tributary connector create` makes one.");
                return Ok(());
            }
            let head = [
                "id",
                "name",
                "service type",
                "index",
                "status",
                "last sync",
                "when",
            ];
            say(&table(&head, rows));
        }
    }
    Ok(())
}

fn row(connector: Connector) -> [String; 7] {
    [
        connector.id,
        connector.name.unwrap_or_default(),
        connector.service_type.unwrap_or_default(),
        connector.index_name.unwrap_or_default(),
        connector.status.to_string(),
        connector
            .last_sync_status
            .map_or_else(String::new, |status| status.to_string()),
        shown::moment(connector.last_synced),
    ]
}

fn text(connector: &Connector) -> String {
    let word = |word: &Option<String>| word.clone().unwrap_or_default();
    let count = |count: Option<u64>| count.map_or_else(String::new, |count| count.to_string());
    let status = |job_type| {
        connector
            .last_status(job_type)
            .map_or_else(String::new, |status| status.to_string())
    };
    let head = facts([
        ("id", connector.id.clone()),
        ("name", word(&connector.name)),
        ("description", word(&connector.description)),
        ("service type", word(&connector.service_type)),
        ("index", word(&connector.index_name)),
        ("status", connector.status.to_string()),
        ("error", word(&connector.error)),
        ("service last seen", shown::moment(connector.last_seen)),
        ("last sync", status(JobType::Full)),
        ("  ended", shown::moment(connector.last_synced)),
        ("  error", word(&connector.last_sync_error)),
        ("  indexed", count(connector.last_indexed_document_count)),
        ("  deleted", count(connector.last_deleted_document_count)),
        ("last access control sync", status(JobType::AccessControl)),
        ("  error", word(&connector.last_access_control_sync_error)),
    ]);
    let schedules = JobType::ALL.iter().map(|job_type| {
        let schedule = connector.scheduling.of(*job_type);
        [
            job_type.to_string(),
            if schedule.enabled { "on" } else { "off" }.to_owned(),
            schedule.interval.clone(),
            shown::moment(connector.last_scheduled_at(*job_type)),
        ]
    });
    let schedules = table(&["schedule", "", "interval (UTC)", "last"], schedules);
    let configuration = shown::masked(connector);
    if configuration.is_empty() {
        return format!(
            "{head}\n\n{schedules}\n\nNo configuration yet: the service writes the form at its next look."
        );
    }
    let rows = configuration.iter().map(|(key, field)| {
        let label = field
            .get("label")
            .and_then(Value::as_str)
            .unwrap_or_default();
        [key.clone(), label.to_owned(), shown::value_text(field)]
    });
    let configuration = table(&["field", "label", "value"], rows);
    format!("{head}\n\n{schedules}\n\n{configuration}")
}
