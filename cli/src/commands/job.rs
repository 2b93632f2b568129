//! `job`.

mod ledger;
mod rehearse;

use super::{shown, wait};
use crate::{
    arguments::JobCommand,
    connection::Server,
    failure::Result,
    output::{OutputFormat, complain, facts, say, say_json, table},
    progress::Progress,
};
use chrono::Utc;
use serde_json::{Value, json};
use tributary_protocol::{
    Connector, JobRequest, JobStatus, JobType, SyncJob, TriggerMethod,
    ledger::LedgerOutcome,
    records::{JobChange, JobFilter, Records, Versioned},
};

pub(super) async fn run(server: &Server, command: &JobCommand, output: OutputFormat) -> Result<()> {
    match command {
        JobCommand::List { connector, limit } => {
            list(server, connector.as_deref(), *limit, output).await
        }
        JobCommand::Start(arguments) if arguments.dry_run => {
            rehearse::run(server, arguments, output).await
        }
        JobCommand::Start(arguments) => {
            let request = JobRequest {
                force: arguments.force,
                allow_deletes: arguments.allow_deletes,
                replay: None,
            };
            let connector = server.connector(&arguments.connector).await?;
            let job_type = arguments.job_type.into();
            start(
                server,
                &connector,
                job_type,
                &request,
                arguments.wait,
                output,
            )
            .await
        }
        JobCommand::Failures(arguments) => {
            ledger::list(server, arguments, LedgerOutcome::FAILURES, output).await
        }
        JobCommand::Deletions(arguments) => {
            ledger::list(server, arguments, LedgerOutcome::DELETIONS, output).await
        }
        JobCommand::Replay { id, wait } => ledger::replay(server, id, *wait, output).await,
        JobCommand::Cancel { id } => cancel(server, id, output).await,
        JobCommand::View { id } => {
            let job = server.job(id).await?.record;
            match output {
                OutputFormat::Text => say(&text(&job)),
                OutputFormat::Json => say_json(&shown::job(&job)),
            }
            Ok(())
        }
    }
}

async fn list(
    server: &Server,
    connector: Option<&str>,
    limit: usize,
    output: OutputFormat,
) -> Result<()> {
    if let Some(id) = connector {
        // So that a misspelt id is not taken for a connector without jobs.
        server.connector(id).await?;
    }
    let filter = JobFilter {
        connector_ids: connector.map(str::to_owned).into_iter().collect(),
        limit,
        ..JobFilter::default()
    };
    let jobs = server.records.jobs(&filter).await?;
    let jobs = jobs.into_iter().map(|job| job.record);
    match output {
        OutputFormat::Json => say_json(&jobs.map(|job| shown::job(&job)).collect::<Value>()),
        OutputFormat::Text => {
            let now = Utc::now();
            let rows: Vec<_> = jobs
                .map(|job| {
                    [
                        job.id.clone(),
                        job.connector.id.clone().unwrap_or_default(),
                        job.job_type.to_string(),
                        status(&job),
                        shown::moment(job.created_at),
                        shown::duration(&job, now),
                        job.counters.indexed_document_count.to_string(),
                        job.counters.deleted_document_count.to_string(),
                    ]
                })
                .collect();
            if rows.is_empty() {
                say("There are no sync jobs. `tributary job start --connector ID` makes one.");
                return Ok(());
            }
            let head = [
                "id",
                "connector",
                "type",
                "status",
                "created",
                "duration",
                "indexed",
                "deleted",
            ];
            say(&table(&head, rows));
        }
    }
    Ok(())
}

fn status(job: &SyncJob) -> String {
    match shown::warning(job) {
        Some(_) if job.status == JobStatus::Completed => "completed (warning)".to_owned(),
        _ => job.status.to_string(),
    }
}

/// Makes a job, and waits for its end if that is wanted.
async fn start(
    server: &Server,
    connector: &Versioned<Connector>,
    job_type: JobType,
    request: &JobRequest,
    wait: bool,
    output: OutputFormat,
) -> Result<()> {
    let records = &server.records;
    let id = if *request == JobRequest::default() {
        let trigger = TriggerMethod::OnDemand;
        records.create_job(connector, job_type, trigger).await?
    } else {
        let connector = &connector.record;
        records
            .create_requested_job(connector, job_type, request)
            .await?
    };
    if !connector.record.is_gate_open() {
        complain(&format!(
            "note: the connector is in the state '{}'; the job waits until it is configured",
            connector.record.status
        ));
    }
    if !wait {
        match output {
            OutputFormat::Text => say(&format!("started the sync job {id}")),
            OutputFormat::Json => say_json(&json!({"id": id})),
        }
        return Ok(());
    }
    if output == OutputFormat::Text {
        say(&format!("started the sync job {id}"));
    }
    let job = wait::follow(&server.records, &id, None, Progress::new()).await?;
    match output {
        OutputFormat::Text => say(&wait::summary(&job)),
        OutputFormat::Json => say_json(&shown::job(&job)),
    }
    wait::verdict(&job)
}

async fn cancel(server: &Server, id: &str, output: OutputFormat) -> Result<()> {
    server
        .records
        .change_job(id, &JobChange::Cancel, None)
        .await?;
    let job = server.job(id).await?.record;
    match output {
        OutputFormat::Json => say_json(&shown::job(&job)),
        OutputFormat::Text => say(match job.status {
            JobStatus::Canceling => "the sync job is told to end; it ends within seconds",
            _ => "the sync job is canceled",
        }),
    }
    Ok(())
}

fn text(job: &SyncJob) -> String {
    let word = |word: &Option<String>| word.clone().unwrap_or_default();
    let head = facts([
        ("id", job.id.clone()),
        ("connector", word(&job.connector.id)),
        ("service type", word(&job.connector.service_type)),
        ("index", word(&job.connector.index_name)),
        ("type", job.job_type.to_string()),
        ("status", job.status.to_string()),
        ("error", word(&job.error)),
        (
            "warning",
            shown::warning(job).unwrap_or_default().to_owned(),
        ),
        ("triggered", job.trigger_method.to_string()),
        ("worker", word(&job.worker_hostname)),
        ("created", shown::moment(job.created_at)),
        ("started", shown::moment(job.started_at)),
        ("last seen", shown::moment(job.last_seen)),
        (
            "cancel requested",
            shown::moment(job.cancelation_requested_at),
        ),
        ("canceled", shown::moment(job.canceled_at)),
        ("ended", shown::moment(job.completed_at)),
        ("duration", shown::duration(job, Utc::now())),
        (
            "documents indexed",
            job.counters.indexed_document_count.to_string(),
        ),
        (
            "documents deleted",
            job.counters.deleted_document_count.to_string(),
        ),
        (
            "MiB indexed",
            job.counters.indexed_document_volume.to_string(),
        ),
        (
            "documents in the index",
            job.total_document_count
                .map_or_else(String::new, |count| count.to_string()),
        ),
    ]);
    let mut text = head;
    let Some(summary) = job.metadata.get("tributary") else {
        return text;
    };
    let list = |pointer: &str| summary.pointer(pointer).and_then(Value::as_array);
    let cell = |value: &Value, key: &str| {
        value
            .get(key)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    if let Some(gaps) = list("/gaps/first") {
        let rows = gaps
            .iter()
            .map(|gap| ["scope", "kind", "why"].map(|key| cell(gap, key)));
        let count = summary
            .pointer("/gaps/count")
            .and_then(Value::as_u64)
            .unwrap_or_default();
        text.push_str(&format!(
            "\n\nNot read ({count} in all)\n\n{}",
            table(&["scope", "kind", "why"], rows)
        ));
    }
    if let Some(documents) = list("/documents/first") {
        let rows = documents
            .iter()
            .map(|document| ["id", "stage", "reason"].map(|key| cell(document, key)));
        text.push_str(&format!(
            "\n\nDocuments that are not as the source has them\n\n{}",
            table(&["id", "stage", "reason"], rows)
        ));
    }
    text
}
