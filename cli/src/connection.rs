//! The connection to Elasticsearch of a command.

use crate::{
    arguments::ConnectionOptions,
    failure::{Exit, Failure, Result},
    settings,
    sources::REGISTRY,
};
use std::path::PathBuf;
use tributary_elastic::{Client, ElasticRecords, Mode};
use tributary_protocol::{
    Connector, SyncJob,
    records::{Records, Versioned},
};
use tributary_service::{
    Config, Host,
    production::{self, HostError},
};

/// Elasticsearch, as a command uses it.
pub(crate) struct Server {
    pub(crate) client: Client,
    pub(crate) records: ElasticRecords,
    /// The file that the configuration came from.
    pub(crate) config_file: Option<PathBuf>,
}

impl Server {
    /// Prepares the connection; nothing is sent yet.
    pub(crate) fn of(options: &ConnectionOptions, default_files: &[&str]) -> Result<Self> {
        let (config, config_file) = settings::for_commands(options, default_files)?;
        let (client, records) = connect(&config)?;
        Ok(Self {
            client,
            records,
            config_file,
        })
    }

    /// A connector that should be there.
    pub(crate) async fn connector(&self, id: &str) -> Result<Versioned<Connector>> {
        self.records.connector(id).await?.ok_or_else(|| {
            Failure::from(anyhow::anyhow!(
                "there is no connector '{id}' at {}",
                self.client.address()
            ))
            .hint("`tributary connector list` shows the ids")
        })
    }

    /// A job that should be there.
    pub(crate) async fn job(&self, id: &str) -> Result<Versioned<SyncJob>> {
        self.records.job(id).await?.ok_or_else(|| {
            Failure::from(anyhow::anyhow!(
                "there is no sync job '{id}' at {}",
                self.client.address()
            ))
            .hint("`tributary job list` shows the ids")
        })
    }
}

/// The connection of a configuration, and the records behind it. Nothing is sent yet.
pub(crate) fn connect(config: &Config) -> Result<(Client, ElasticRecords)> {
    let client = Client::new(production::connection(config))?;
    let mode = match config.elasticsearch.feature_use_connectors_api {
        true => Mode::Api,
        false => Mode::Direct,
    };
    Ok((client.clone(), ElasticRecords::new(client, mode)))
}

/// The world of a service with this configuration. Nothing is sent yet.
pub(crate) fn host(config: &Config) -> Result<Host> {
    let temporary = std::env::temp_dir();
    let host = production::elastic_host(config, REGISTRY, production::hostname(), &temporary);
    host.map_err(|error| match &error {
        HostError::Connect(_) => Failure::configuration(error),
        HostError::Folder { .. } => Failure::new(Exit::Failed, error),
    })
}
