//! The engines that the scenarios run against, all spoken to in the same words.

use anyhow::{Context, Result, bail};
use serde_json::{Map, Value, json};
use std::sync::Arc;
use tempfile::TempDir;
use tokio::sync::OnceCell;
use tributary_devstore::{Store, StoreConfig};
use tributary_protocol::{
    Connector, JobType, SyncJob, TriggerMethod,
    connector::NewConnector,
    indices,
    pipeline::{DEFAULT_PIPELINE, DEFAULT_PIPELINE_8},
};
use tributary_testkit::servers::{EngineChoice, engines_from_environment, shared};

const PASSWORD: &str = "pa$$word: {with} 'quotes'";

/// An engine, and how to speak to it as its administrator.
pub(crate) struct Engine {
    pub(crate) choice: EngineChoice,
    url: String,
    administrator: Option<(String, String)>,
    client: reqwest::Client,
    /// Keeps the store alive.
    _store: Option<(Store, TempDir)>,
}

/// How a service logs in.
pub(crate) enum Login {
    Nothing,
    Basic(String, String),
    ApiKey(String),
}

impl Engine {
    /// The engine of this test; `None` if `ENGINES` leaves it out.
    pub(crate) async fn of(choice: EngineChoice) -> Result<Option<Arc<Self>>> {
        if !engines_from_environment()?.contains(&choice) {
            println!("ENGINES leaves out {}", choice.name());
            return Ok(None);
        }
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let server = match choice {
            EngineChoice::Store => return Self::store().await.map(Some),
            EngineChoice::Elasticsearch => shared::elasticsearch().await?,
            EngineChoice::Elasticsearch8 => shared::elasticsearch_8().await?,
            EngineChoice::OpenSearch => shared::opensearch().await?,
        };
        let administrator = server.credentials();
        let engine = Self {
            choice,
            url: server.url(),
            administrator: administrator.map(|(user, password)| (user.into(), password.into())),
            client: client()?,
            _store: None,
        };
        static READY: [OnceCell<()>; 3] = [const { OnceCell::const_new() }; 3];
        let ready = match choice {
            EngineChoice::Elasticsearch => &READY[0],
            EngineChoice::Elasticsearch8 => &READY[1],
            _ => &READY[2],
        };
        ready.get_or_try_init(|| engine.get_ready()).await?;
        Ok(Some(Arc::new(engine)))
    }

    async fn store() -> Result<Arc<Self>> {
        let folder = tempfile::tempdir()?;
        let store = Store::start(StoreConfig {
            folder: folder.path().into(),
            listen: ([127, 0, 0, 1], 0).into(),
            password: Some(PASSWORD.into()),
        })
        .await?;
        Ok(Arc::new(Self {
            choice: EngineChoice::Store,
            url: store.url(),
            administrator: Some(("elastic".into(), PASSWORD.into())),
            client: client()?,
            _store: Some((store, folder)),
        }))
    }

    /// What a real installation has and these servers lack: the two indices and the pipeline.
    async fn get_ready(&self) -> Result<()> {
        self.call(
            "PUT",
            indices::CONNECTORS_INDEX,
            Some(indices::connectors_index_body()),
        )
        .await?;
        self.call(
            "PUT",
            indices::SYNC_JOBS_INDEX,
            Some(indices::sync_jobs_index_body()),
        )
        .await?;
        let mut processors = vec![
            json!({"gsub": {"field": "body", "pattern": "\\s+", "replacement": " ", "ignore_missing": true}}),
            json!({"trim": {"field": "body", "ignore_missing": true}}),
        ];
        if self.has_extraction() {
            processors.splice(0..0, [
                json!({"attachment": {"field": "_attachment", "target_field": "_extracted_attachment", "ignore_missing": true, "if": "ctx._extract_binary_content == true"}}),
                json!({"script": {"if": "ctx._extracted_attachment?.content != null", "source": "ctx.body = ctx._extracted_attachment.content"}}),
            ]);
        }
        processors.push(json!({"remove": {"ignore_missing": true, "field": ["_attachment", "_extracted_attachment",
            "_extract_binary_content", "_reduce_whitespace", "_run_ml_inference"]}}));
        // Each major version has its own name for it (protocol sheet).
        let name = match self.choice {
            EngineChoice::Elasticsearch8 => DEFAULT_PIPELINE_8,
            _ => DEFAULT_PIPELINE,
        };
        self.call(
            "PUT",
            &format!("_ingest/pipeline/{name}"),
            Some(json!({"processors": processors})),
        )
        .await?;
        Ok(())
    }

    /// Whether text comes out of files here.
    pub(crate) fn has_extraction(&self) -> bool {
        matches!(self.choice, EngineChoice::Store | EngineChoice::OpenSearch)
    }

    /// Whether text comes out of PDF and Office files here.
    pub(crate) fn has_office_extraction(&self) -> bool {
        self.choice == EngineChoice::OpenSearch
    }

    /// Whether it has security.
    pub(crate) fn has_security(&self) -> bool {
        self.administrator.is_some()
    }

    /// Whether it has API keys with roles.
    pub(crate) fn has_roles(&self) -> bool {
        matches!(
            self.choice,
            EngineChoice::Elasticsearch | EngineChoice::Elasticsearch8
        )
    }

    pub(crate) fn has_connector_api(&self) -> bool {
        self.choice == EngineChoice::Store
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// As the administrator; anything but success is an error.
    pub(crate) async fn call(
        &self,
        method: &str,
        path: &str,
        body: Option<Value>,
    ) -> Result<Value> {
        let (status, answer) = self.ask(method, path, body).await?;
        if !(200..300).contains(&status) {
            bail!("{method} {path}: {status} {answer}");
        }
        Ok(answer)
    }

    /// As the administrator, with the status.
    pub(crate) async fn ask(
        &self,
        method: &str,
        path: &str,
        body: Option<Value>,
    ) -> Result<(u16, Value)> {
        let mut request = self
            .client
            .request(method.parse()?, format!("{}/{path}", self.url));
        if let Some((user, password)) = &self.administrator {
            request = request.basic_auth(user, Some(password));
        }
        if let Some(body) = body {
            request = request
                .header("content-type", "application/json")
                .body(body.to_string());
        }
        let answer = request.send().await?;
        let status = answer.status().as_u16();
        let text = answer.text().await?;
        Ok((
            status,
            serde_json::from_str(&text).unwrap_or(Value::String(text)),
        ))
    }

    /// The login of a service for this index: on Elasticsearch an API key with exactly the role that
    /// Kibana makes (protocol sheet §7).
    pub(crate) async fn login(&self, index: &str) -> Result<Login> {
        if self.has_roles() {
            let names = [
                index.to_owned(),
                indices::access_control_index_name(index),
                ".elastic-connectors*".into(),
            ];
            return self
                .api_key(index, json!([{"names": names, "privileges": ["all"]}]))
                .await;
        }
        Ok(match &self.administrator {
            Some((user, password)) => Login::Basic(user.clone(), password.clone()),
            None => Login::Nothing,
        })
    }

    /// An API key with these index privileges.
    pub(crate) async fn api_key(&self, name: &str, indices: Value) -> Result<Login> {
        let role = json!({"cluster": ["monitor", "manage_connector"], "indices": indices});
        let body = json!({"name": format!("{name}-connector"), "role_descriptors": {"connector-role": role}});
        let key = self.call("POST", "_security/api_key", Some(body)).await?;
        Ok(Login::ApiKey(
            key["encoded"].as_str().context("no encoded key")?.into(),
        ))
    }

    /// Makes a connector as Kibana or the API does: without configuration.
    pub(crate) async fn create_connector(
        &self,
        id: &str,
        service_type: &str,
        index: &str,
    ) -> Result<()> {
        if self.has_connector_api() {
            let body = json!({"name": id, "index_name": index, "service_type": service_type});
            self.call("PUT", &format!("_connector/{id}"), Some(body))
                .await?;
            return Ok(());
        }
        let new = NewConnector {
            index_name: Some(index),
            name: Some(id),
            description: None,
            service_type: Some(service_type),
            language: None,
            is_native: false,
        };
        let document = Connector::new_document(&new, chrono::Utc::now());
        let path = format!("{}/_doc/{id}?refresh=true", indices::CONNECTORS_INDEX);
        self.call("PUT", &path, Some(Value::Object(document)))
            .await?;
        Ok(())
    }

    pub(crate) async fn connector(&self, id: &str) -> Result<Value> {
        let path = format!("{}/_doc/{id}", indices::CONNECTORS_INDEX);
        Ok(self.call("GET", &path, None).await?["_source"].take())
    }

    /// Changes a connector as Kibana does: parts of its document.
    pub(crate) async fn change_connector(&self, id: &str, change: Value) -> Result<()> {
        let path = format!(
            "{}/_update/{id}?refresh=true&retry_on_conflict=10",
            indices::CONNECTORS_INDEX
        );
        self.call("POST", &path, Some(json!({"doc": change})))
            .await?;
        Ok(())
    }

    /// Fills in configuration values.
    pub(crate) async fn configure(&self, id: &str, values: Value) -> Result<()> {
        if self.has_connector_api() {
            let path = format!("_connector/{id}/_configuration");
            self.call("PUT", &path, Some(json!({"values": values})))
                .await?;
            return Ok(());
        }
        let values = values.as_object().context("not an object")?.clone();
        let fields: Map<String, Value> = values
            .into_iter()
            .map(|(key, value)| (key, json!({"value": value})))
            .collect();
        self.change_connector(id, json!({"configuration": fields, "status": "configured"}))
            .await
    }

    /// Asks for a job as Kibana does.
    pub(crate) async fn start_job(&self, id: &str, job_type: JobType) -> Result<String> {
        if self.has_connector_api() {
            let body = json!({"id": id, "job_type": job_type.as_str()});
            let job = self
                .call("POST", "_connector/_sync_job", Some(body))
                .await?;
            return Ok(job["id"].as_str().context("no job id")?.into());
        }
        let source = self.connector(id).await?;
        let connector = Connector::from_source(id, source.as_object().context("no record")?)?;
        let now = chrono::Utc::now();
        let job = SyncJob::new_document(&connector, job_type, TriggerMethod::OnDemand, now)?;
        let path = format!("{}/_doc?refresh=true", indices::SYNC_JOBS_INDEX);
        let answer = self.call("POST", &path, Some(Value::Object(job))).await?;
        Ok(answer["_id"].as_str().context("no job id")?.into())
    }

    pub(crate) async fn job(&self, id: &str) -> Result<Value> {
        let path = format!("{}/_doc/{id}", indices::SYNC_JOBS_INDEX);
        Ok(self.call("GET", &path, None).await?["_source"].take())
    }

    /// Asks for the end of a running job.
    pub(crate) async fn cancel_job(&self, id: &str) -> Result<()> {
        if self.has_connector_api() {
            self.call("PUT", &format!("_connector/_sync_job/{id}/_cancel"), None)
                .await?;
            return Ok(());
        }
        let change = json!({"status": "canceling", "cancelation_requested_at": chrono::Utc::now().to_rfc3339()});
        let path = format!(
            "{}/_update/{id}?refresh=true&retry_on_conflict=10",
            indices::SYNC_JOBS_INDEX
        );
        self.call("POST", &path, Some(json!({"doc": change})))
            .await?;
        Ok(())
    }

    /// The jobs of a connector.
    pub(crate) async fn jobs(&self, connector: &str) -> Result<Vec<Value>> {
        let query = json!({"size": 100, "query": {"term": {"connector.id": connector}}});
        let path = format!("{}/_search", indices::SYNC_JOBS_INDEX);
        let answer = self.call("POST", &path, Some(query)).await?;
        let hits = answer["hits"]["hits"].as_array().context("no hits")?;
        Ok(hits.iter().map(|hit| hit["_source"].clone()).collect())
    }

    /// The documents of an index by id.
    pub(crate) async fn documents(&self, index: &str) -> Result<Map<String, Value>> {
        self.call("POST", &format!("{index}/_refresh"), None)
            .await?;
        let query = json!({"size": 1000, "query": {"match_all": {}}});
        let answer = self
            .call("POST", &format!("{index}/_search"), Some(query))
            .await?;
        let hits = answer["hits"]["hits"].as_array().context("no hits")?;
        let by_id = |hit: &Value| Some((hit["_id"].as_str()?.to_owned(), hit["_source"].clone()));
        Ok(hits.iter().filter_map(by_id).collect())
    }

    /// The ids of documents in which a word is found.
    pub(crate) async fn search(&self, index: &str, word: &str) -> Result<Vec<String>> {
        self.call("POST", &format!("{index}/_refresh"), None)
            .await?;
        let query = json!({"query": {"match": {"body": word}}});
        let answer = self
            .call("POST", &format!("{index}/_search"), Some(query))
            .await?;
        let hits = answer["hits"]["hits"].as_array().context("no hits")?;
        Ok(hits
            .iter()
            .filter_map(|hit| Some(hit["_id"].as_str()?.to_owned()))
            .collect())
    }
}

fn client() -> Result<reqwest::Client> {
    // Tests have run-times of their own: a pooled connection would outlive the one that drives it.
    Ok(reqwest::Client::builder()
        .pool_max_idle_per_host(0)
        .build()?)
}
