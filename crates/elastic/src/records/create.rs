//! New records, and the values of a connector's configuration.

use super::{ATTEMPTS, CONNECTORS, ElasticRecords, Mode, SYNC_JOBS, rejected};
use crate::path::is_addressable;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use rustls::crypto::aws_lc_rs;
use serde_json::{Map, Value, json};
use tributary_protocol::{
    Connector, ConnectorStatus, JobRequest, JobType, SyncJob, TriggerMethod,
    connector::NewConnector,
    records::{ConnectorFilter, Records, RecordsError, RecordsErrorKind},
    updates::Partial,
};

impl ElasticRecords {
    pub(super) async fn create_job_document(
        &self,
        connector: &Connector,
        job_type: JobType,
        trigger_method: TriggerMethod,
    ) -> Result<String, RecordsError> {
        let document = SyncJob::new_document(connector, job_type, trigger_method, self.now())
            .map_err(rejected)?;
        let id = new_id()?;
        SYNC_JOBS.create(&self.client, &id, &document).await?;
        Ok(id)
    }

    /// Makes a pending job of a connector of which more is asked than its type says. The `_connector` API
    /// has no place for that, so the record is written directly.
    ///
    /// # Errors
    /// `Rejected` if the connector has no index or no service type.
    pub async fn create_requested_job(
        &self,
        connector: &Connector,
        job_type: JobType,
        request: &JobRequest,
    ) -> Result<String, RecordsError> {
        let trigger = TriggerMethod::OnDemand;
        let mut document =
            SyncJob::new_document(connector, job_type, trigger, self.now()).map_err(rejected)?;
        document.insert("metadata".into(), request.to_metadata().into());
        let id = new_id()?;
        SYNC_JOBS.create(&self.client, &id, &document).await?;
        Ok(id)
    }

    /// Makes a connector, with the id that is given or a new one; the answer is its id.
    ///
    /// # Errors
    /// `Rejected` if the id is taken, or another connector has the index (protocol sheet §3.2).
    pub async fn create_connector(
        &self,
        id: Option<&str>,
        new: &NewConnector<'_>,
    ) -> Result<String, RecordsError> {
        let id = match id {
            Some(id) if !is_addressable(id) => {
                return Err(rejected(format!("{id:?} cannot be the id of a connector")));
            }
            Some(id) => {
                // The API would overwrite it.
                if CONNECTORS.get(&self.client, id).await?.is_some() {
                    return Err(rejected(format!(
                        "there is, or was, a connector {id} at {}; choose another id",
                        self.client.address()
                    )));
                }
                id.to_owned()
            }
            None => new_id()?,
        };
        if self.mode().await? == Mode::Api {
            let mut body = Map::new();
            for (key, value) in [
                ("index_name", new.index_name),
                ("name", new.name),
                ("description", new.description),
                ("service_type", new.service_type),
                ("language", new.language),
            ] {
                if let Some(value) = value {
                    body.insert(key.to_owned(), value.into());
                }
            }
            body.insert("is_native".to_owned(), new.is_native.into());
            let what = format!("create the connector {id}");
            if self
                .put(&["_connector", &id], Some(&body.into()), &what)
                .await?
            {
                return Ok(id);
            }
        }
        if let Some(index) = new.index_name {
            let all = self.connectors(&ConnectorFilter::default()).await?;
            let other = all
                .iter()
                .find(|other| other.record.index_name.as_deref() == Some(index));
            if let Some(other) = other {
                return Err(rejected(format!(
                    "the index {index} is used by the connector {}",
                    other.record.id
                )));
            }
        }
        let document = Connector::new_document(new, self.now());
        CONNECTORS.create(&self.client, &id, &document).await?;
        Ok(id)
    }

    /// Sets values of configuration fields that the connector has; its status becomes `configured`.
    ///
    /// # Errors
    /// `Rejected` names the fields that it does not have; `NotFound` if there is no such connector.
    pub async fn set_configuration_values(
        &self,
        id: &str,
        values: &Map<String, Value>,
    ) -> Result<(), RecordsError> {
        if self.mode().await? == Mode::Api {
            let what = format!("configure the connector {id}");
            let body = json!({"values": values});
            if self
                .put(&["_connector", id, "_configuration"], Some(&body), &what)
                .await?
            {
                return Ok(());
            }
        }
        let mut attempt = 1;
        loop {
            let connector = self.existing_connector(id).await?;
            let known = &connector.record.configuration;
            let unknown: Vec<_> = values
                .keys()
                .filter(|key| !known.contains_key(*key))
                .map(String::as_str)
                .collect();
            if !unknown.is_empty() {
                return Err(rejected(format!(
                    "the connector {id} has no configuration fields {}; it has {}",
                    unknown.join(", "),
                    known
                        .keys()
                        .map(String::as_str)
                        .collect::<Vec<_>>()
                        .join(", ")
                )));
            }
            let configuration: Map<String, Value> = values
                .iter()
                .map(|(key, value)| (key.clone(), json!({"value": value})))
                .collect();
            let mut partial = Partial::new();
            partial.insert("configuration".to_owned(), configuration.into());
            partial.insert(
                "status".to_owned(),
                ConnectorStatus::Configured.as_str().into(),
            );
            match CONNECTORS
                .update(&self.client, id, &partial, Some(connector.seen))
                .await
            {
                Err(error) if error.kind == RecordsErrorKind::Conflict && attempt < ATTEMPTS => {
                    attempt += 1;
                }
                other => return other.map(drop),
            }
        }
    }
}

/// An id like those that the server makes: 20 URL-safe characters. Made here, so that a request whose
/// answer got lost can be sent again without making a second record.
fn new_id() -> Result<String, RecordsError> {
    let mut bytes = [0; 15];
    aws_lc_rs::default_provider()
        .secure_random
        .fill(&mut bytes)
        .map_err(|_| rejected("this machine gives no random numbers"))?;
    let mut id = URL_SAFE_NO_PAD.encode(bytes);
    // A dash at the beginning would be an option on a command line.
    if id.starts_with(['-', '_']) {
        id.replace_range(..1, "x");
    }
    Ok(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_unlike() {
        let ids: std::collections::HashSet<_> = (0..1000).map(|_| new_id().unwrap()).collect();
        assert_eq!(ids.len(), 1000);
        assert!(ids.iter().all(|id| id.len() == 20));
    }
}
