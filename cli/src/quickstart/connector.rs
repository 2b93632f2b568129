//! The one connector of the quickstart, and its sync jobs.

use crate::failure::{Exit, Failure, Result};
use serde_json::{Map, json};
use std::path::Path;
use tributary_elastic::ElasticRecords;
use tributary_protocol::{
    Connector, ConnectorStatus, Features, JobStatus, JobType, TriggerMethod, configuration,
    connector::NewConnector,
    records::{ConnectorChange, JobChange, JobFilter, Records, SyncEnd, Versioned},
};
use tributary_source_dir::DIR;

/// Its id.
pub(super) const ID: &str = "sample-documents";
/// Its content index.
pub(super) const INDEX: &str = "sample-documents";
/// What it syncs.
pub(super) const SERVICE_TYPE: &str = DIR.service_type;

const DIRECTORY: &str = "directory";

/// Makes the connector, or points it to this folder; ends jobs that an earlier process left behind.
pub(super) async fn prepare(records: &ElasticRecords, folder: &Path) -> Result<()> {
    let folder = folder.to_str().ok_or_else(|| {
        Failure::usage(format!(
            "the name of the folder {} is not UTF-8",
            folder.display()
        ))
    })?;
    records.prepare().await?;
    if records.connector(ID).await?.is_none() {
        let new = NewConnector {
            index_name: Some(INDEX),
            name: Some("Sample documents"),
            service_type: Some(SERVICE_TYPE),
            ..NewConnector::default()
        };
        records.create_connector(Some(ID), &new).await?;
    }
    let connector = existing(records).await?.record;
    let stored = configuration::value(&connector.configuration, DIRECTORY);
    if stored != Some(&folder.into()) {
        let mut configuration = DIR.configuration().to_map();
        if let Some(directory) = configuration.get_mut(DIRECTORY) {
            directory["value"] = json!(folder);
        }
        let change = ConnectorChange::Prepare {
            configuration: Some(configuration),
            service_type: None,
            features: Some(Features::declared(DIR.features)),
            status: Some(ConnectorStatus::Configured),
        };
        records.change_connector(ID, &change, None).await?;
    }
    end_stray_jobs(records, &connector).await
}

/// The store's folder is ours alone, so a job that runs now runs nowhere.
async fn end_stray_jobs(records: &ElasticRecords, connector: &Connector) -> Result<()> {
    let filter = JobFilter {
        connector_ids: vec![ID.to_owned()],
        statuses: vec![JobStatus::InProgress, JobStatus::Canceling],
        ..JobFilter::default()
    };
    for job in records.jobs(&filter).await? {
        let end = end(job.record.job_type);
        records
            .change_job(&job.record.id, &JobChange::Ended(Box::new(end)), None)
            .await?;
    }
    if connector.is_syncing(JobType::Full) {
        let change = ConnectorChange::SyncEnded(Box::new(end(JobType::Full)));
        records.change_connector(ID, &change, None).await?;
    }
    Ok(())
}

fn end(job_type: JobType) -> SyncEnd {
    SyncEnd {
        job_type,
        status: JobStatus::Error,
        error: Some("The program ended while the sync ran.".to_owned()),
        indexed: 0,
        indexed_bytes: 0,
        deleted: 0,
        total: None,
        sync_cursor: None,
        metadata: Map::new(),
        at: chrono::Utc::now(),
    }
}

/// A job that waits to be carried out: one that was suspended, or a new one. The answer is its id.
pub(super) async fn job(records: &ElasticRecords) -> Result<String> {
    let filter = JobFilter {
        connector_ids: vec![ID.to_owned()],
        statuses: vec![JobStatus::Pending, JobStatus::Suspended],
        job_types: vec![JobType::Full],
        oldest_first: true,
        limit: 1,
        ..JobFilter::default()
    };
    if let Some(job) = records.jobs(&filter).await?.into_iter().next() {
        return Ok(job.record.id);
    }
    let connector = existing(records).await?;
    Ok(records
        .create_job(&connector, JobType::Full, TriggerMethod::OnDemand)
        .await?)
}

async fn existing(records: &ElasticRecords) -> Result<Versioned<Connector>> {
    records
        .connector(ID)
        .await?
        .ok_or_else(|| Failure::new(Exit::Failed, format!("the connector '{ID}' was deleted")))
}
