//! What earlier jobs say about this one: how large the index was, and what has changed since the last
//! good run. The brake needs both (DESIGN of the engine: a full sync that would delete much stops).

use crate::context::Context;
use std::time::Duration;
use tributary_engine::Brake;
use tributary_protocol::{
    Connector, JobRequest, JobStatus, JobType, SyncJob,
    filtering::SyncRules,
    records::{JobFilter, RecordsError},
};

/// How far back the highest count is looked for.
const SPAN: chrono::Duration = chrono::Duration::days(7);
/// So many earlier jobs are read.
const PAGE: usize = 200;
/// Of so many earlier jobs one is sought that read everything.
const LAST: usize = 20;
/// How long it is tried while the records are out of reach.
const PATIENCE: Duration = Duration::from_secs(180);

/// What is known for the brake. Records that cannot be read leave it as careful as it can be.
pub(crate) async fn brake(context: &Context, connector: &Connector, job: &SyncJob) -> Brake {
    if !job.job_type.is_content() {
        return Brake::default();
    }
    match read(context, connector, job).await {
        Ok(brake) => brake,
        Err(error) => {
            tracing::warn!(job = job.id, "earlier jobs cannot be read: {error}");
            Brake::default()
        }
    }
}

async fn read(
    context: &Context,
    connector: &Connector,
    job: &SyncJob,
) -> Result<Brake, RecordsError> {
    let filter = |job_types, created_since, limit| JobFilter {
        connector_ids: vec![connector.id.clone()],
        statuses: vec![JobStatus::Completed],
        job_types,
        created_since,
        oldest_first: false,
        limit,
    };
    let since = Some(context.clock().utc() - SPAN);
    let recent = filter(vec![JobType::Full, JobType::Incremental], since, PAGE);
    let recent = context
        .persist(PATIENCE, || context.records.jobs(&recent))
        .await?;
    let index_name = &job.connector.index_name;
    let highest_count = recent
        .iter()
        .filter(|job| job.record.connector.index_name == *index_name)
        .filter_map(|job| job.record.total_document_count)
        .max();
    let last = filter(vec![JobType::Full], None, LAST);
    let last = context
        .persist(PATIENCE, || context.records.jobs(&last))
        .await?;
    // A replay need not have read everything.
    let mut last = last
        .iter()
        .filter(|job| JobRequest::of(&job.record).replay.is_none());
    let released = last.next().is_some_and(|last| {
        last.record.connector.index_name == *index_name && has_changed(&last.record, connector, job)
    });
    Ok(Brake {
        highest_count,
        released,
    })
}

/// Whether rules or configuration are others than in an earlier job: then fewer documents are no
/// surprise. Another password is none of that: an account that may read less must not open the brake.
fn has_changed(earlier: &SyncJob, connector: &Connector, job: &SyncJob) -> bool {
    let same_rules = same_rules(&earlier.connector.filtering, &job.connector.filtering);
    let values = |configuration: &serde_json::Map<String, serde_json::Value>| {
        let mut values: Vec<_> = configuration
            .iter()
            .filter(|(_, field)| field.get("sensitive") != Some(&true.into()))
            .map(|(key, field)| (key.clone(), field.get("value").cloned()))
            .collect();
        values.sort_by(|(a, _), (b, _)| a.cmp(b));
        values
    };
    let same_values = values(&earlier.connector.configuration) == values(&connector.configuration);
    !(same_rules && same_values)
}

fn same_rules(a: &SyncRules, b: &SyncRules) -> bool {
    let meaning = |rules: &SyncRules| -> Vec<_> {
        rules
            .rules
            .iter()
            .filter(|rule| !rule.is_default())
            .map(|rule| {
                let texts = [&rule.policy, &rule.field, &rule.rule, &rule.value];
                (rule.order, texts.map(Clone::clone))
            })
            .collect()
    };
    meaning(a) == meaning(b) && a.advanced() == b.advanced()
}
