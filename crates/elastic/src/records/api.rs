//! Changes by the `_connector` API. Each call answers whether it was made: a server of an older version
//! may lack a single one (`_claim` came with 8.15), and the change is then made directly.

use super::{ElasticRecords, illegal};
use crate::{RequestError, RequestErrorKind, path::path, transport::Request};
use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};
use tributary_protocol::{
    JobStatus, JobType, TriggerMethod, ValidationState,
    records::{ConnectorChange, JobChange, JobFilter, Records, RecordsError},
    sync_job::JobCounters,
};

/// A job that was made at most so long ago may be the one whose answer got lost.
const LATELY_MINUTES: i64 = 10;

impl ElasticRecords {
    /// Makes a change of a connector; `false` if the API has no call for it.
    pub(super) async fn change_connector_by_api(
        &self,
        id: &str,
        change: &ConnectorChange,
    ) -> Result<bool, RecordsError> {
        match change {
            ConnectorChange::CheckIn => {
                let what = format!("send the heartbeat of the connector {id}");
                self.put(&["_connector", id, "_check_in"], None, &what)
                    .await
            }
            ConnectorChange::FilteringChecked(validation) => {
                let what = format!("write the result of the check of the sync rules of {id}");
                let body = json!({"validation": validation});
                let at = ["_connector", id, "_filtering", "_validation"];
                if !self.put(&at, Some(&body), &what).await? {
                    return Ok(false);
                }
                if validation.state != ValidationState::Valid {
                    return Ok(true);
                }
                let what = format!("activate the sync rules of the connector {id}");
                self.put(&["_connector", id, "_filtering", "_activate"], None, &what)
                    .await
            }
            // `_configuration` would set the status to configured, and the others have no call.
            _ => Ok(false),
        }
    }

    /// Makes a change of a sync job; `false` if the API has no call for it.
    pub(super) async fn change_job_by_api(
        &self,
        id: &str,
        change: &JobChange,
    ) -> Result<bool, RecordsError> {
        match change {
            // The API has no place for it.
            JobChange::Claim { metadata, .. } if !metadata.is_empty() => Ok(false),
            JobChange::Claim {
                worker_hostname,
                sync_cursor,
                metadata: _,
            } => {
                // The API would let anybody claim anything.
                let job = self.existing_job(id).await?.record;
                job.status
                    .transition(JobStatus::InProgress)
                    .map_err(|error| illegal(id, &error))?;
                let mut body = json!({"worker_hostname": worker_hostname});
                if let Some(cursor) = sync_cursor {
                    body["sync_cursor"] = cursor.clone();
                }
                let what = format!("claim the sync job {id}");
                self.put(
                    &["_connector", "_sync_job", id, "_claim"],
                    Some(&body),
                    &what,
                )
                .await
            }
            JobChange::Stats {
                indexed,
                indexed_bytes,
                deleted,
                metadata,
            } => {
                let counters = JobCounters::of_bytes(*indexed, *indexed_bytes, *deleted);
                let mut body = json!({
                    "deleted_document_count": counters.deleted_document_count,
                    "indexed_document_count": counters.indexed_document_count,
                    "indexed_document_volume": counters.indexed_document_volume,
                });
                if !metadata.is_empty() {
                    body["metadata"] = Value::Object(metadata.clone());
                }
                let what = format!("write the progress of the sync job {id}");
                self.put(
                    &["_connector", "_sync_job", id, "_stats"],
                    Some(&body),
                    &what,
                )
                .await
            }
            JobChange::Cancel => self.cancel_by_api(id).await,
            JobChange::Ended(_) => Ok(false),
        }
    }

    async fn cancel_by_api(&self, id: &str) -> Result<bool, RecordsError> {
        let what = format!("cancel the sync job {id}");
        let at = path(&["_connector", "_sync_job", id, "_cancel"]);
        match self.client.send(&Request::put(at, &what)).await {
            Ok(_) => Ok(true),
            Err(error) if error.is(RequestErrorKind::Unsupported) => Ok(false),
            // A second time is refused, but the first one may have been carried out.
            Err(error) if error.is(RequestErrorKind::Rejected) && error.uncertain => {
                let job = self.existing_job(id).await?.record;
                if matches!(job.status, JobStatus::Canceling | JobStatus::Canceled) {
                    Ok(true)
                } else {
                    Err(error.into())
                }
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Makes a pending job; `None` if the server has no such call.
    pub(super) async fn create_job_by_api(
        &self,
        connector_id: &str,
        job_type: JobType,
        trigger_method: TriggerMethod,
    ) -> Result<Option<String>, RecordsError> {
        let what = format!(
            "create a {} job of the connector {connector_id}",
            job_type.as_str()
        );
        let body = json!({
            "id": connector_id,
            "job_type": job_type.as_str(),
            "trigger_method": trigger_method.as_str(),
        });
        let request = Request::post(path(&["_connector", "_sync_job"]), &what)
            .json(&body)
            .once();
        match self.client.send(&request).await {
            Ok(reply) => Ok(Some(self.client.json::<Made>(&reply, &what)?.id)),
            Err(error) if error.is(RequestErrorKind::Unsupported) => Ok(None),
            Err(error) if error.uncertain => {
                self.job_of_a_lost_answer(connector_id, job_type, error)
                    .await
            }
            Err(error) => Err(error.into()),
        }
    }

    /// A pending job of the same kind is as good as ours, whoever made it.
    async fn job_of_a_lost_answer(
        &self,
        connector_id: &str,
        job_type: JobType,
        error: RequestError,
    ) -> Result<Option<String>, RecordsError> {
        let filter = JobFilter {
            connector_ids: vec![connector_id.to_owned()],
            statuses: vec![JobStatus::Pending],
            job_types: vec![job_type],
            created_since: Some(self.now() - chrono::TimeDelta::minutes(LATELY_MINUTES)),
            oldest_first: false,
            limit: 1,
        };
        match self.jobs(&filter).await?.into_iter().next() {
            Some(job) => Ok(Some(job.record.id)),
            None => Err(error.into()),
        }
    }

    pub(super) async fn put(
        &self,
        at: &[&str],
        body: Option<&Value>,
        what: &str,
    ) -> Result<bool, RecordsError> {
        let mut request = Request::new(Method::PUT, path(at), what);
        if let Some(body) = body {
            request = request.json(body);
        }
        match self.client.send(&request).await {
            Ok(_) => Ok(true),
            Err(error) if error.is(RequestErrorKind::Unsupported) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

#[derive(Deserialize)]
struct Made {
    id: String,
}
