//! `job failures`, `job deletions`, `job replay`.

use super::start;
use crate::{
    arguments::LedgerArguments,
    commands::shown,
    connection::Server,
    failure::{Exit, Failure, Result},
    output::{OutputFormat, complain, say, say_json, table},
};
use serde_json::Value;
use tributary_protocol::{
    JobRequest, JobType, Ledger, LedgerFilter, LedgerRecord, ledger::LedgerOutcome,
};

pub(super) async fn list(
    server: &Server,
    arguments: &LedgerArguments,
    outcomes: &[LedgerOutcome],
    output: OutputFormat,
) -> Result<()> {
    // So that a misspelt id is not taken for one without records. A job may have been removed since.
    if let Some(id) = &arguments.connector {
        server.connector(id).await?;
    }
    let filter = LedgerFilter {
        connector_id: arguments.connector.clone(),
        job_id: arguments.id.clone(),
        document_id: arguments.document.clone(),
        outcomes: outcomes.to_vec(),
        limit: usize::try_from(arguments.limit).unwrap_or(usize::MAX),
    };
    let found = server.ledger().list(&filter).await?;
    if let (true, Some(id)) = (found.is_empty(), &arguments.id) {
        server.job(id).await?;
    }
    match output {
        OutputFormat::Json => say_json(&found.iter().map(json).collect::<Value>()),
        OutputFormat::Text if found.is_empty() => say("There are none."),
        OutputFormat::Text => {
            let by_job = arguments.id.is_none();
            let head = ["document", "what", "stage", "when", "why"];
            let head = head.into_iter().chain(by_job.then_some("job"));
            let head: Vec<_> = head.collect();
            let rows = found.iter().map(|record| {
                let cells = [
                    record.document_id.clone(),
                    record.outcome.to_string(),
                    record.stage.to_string(),
                    shown::moment(Some(record.created_at)),
                    record.reason.clone(),
                ];
                let job = by_job.then(|| record.job_id.clone());
                cells.into_iter().chain(job).collect::<Vec<_>>()
            });
            say(&table(&head, rows));
            if found.len() == filter.limit {
                complain(
                    "note: there may be more; --limit shows up to 10000, --document those of one",
                );
            }
        }
    }
    Ok(())
}

fn json(record: &LedgerRecord) -> Value {
    Value::Object(record.to_source())
}

pub(super) async fn replay(
    server: &Server,
    id: &str,
    wait: bool,
    output: OutputFormat,
) -> Result<()> {
    let job = server.job(id).await?.record;
    let filter = LedgerFilter {
        job_id: Some(id.to_owned()),
        outcomes: LedgerOutcome::FAILURES.to_vec(),
        limit: 1,
        ..LedgerFilter::default()
    };
    if server.ledger().list(&filter).await?.is_empty() {
        let text = format!("the sync job '{id}' has no failures on record");
        return Err(Failure::new(Exit::Failed, text).hint(
            "records are kept for service.ledger_retention days; `tributary job start` syncs everything",
        ));
    }
    if job.job_type == JobType::AccessControl {
        let text = "identities cannot be read one by one";
        return Err(Failure::usage(text).hint("start an access control sync instead"));
    }
    let connector = job.connector.id.as_deref().unwrap_or_default();
    let connector = server.connector(connector).await?;
    let request = JobRequest {
        replay: Some(id.to_owned()),
        ..JobRequest::default()
    };
    start(server, &connector, JobType::Full, &request, wait, output).await
}
