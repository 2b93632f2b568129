//! The connection to Elasticsearch of a command.

use crate::{
    arguments::ConnectionOptions,
    failure::{Exit, Failure, Result},
    settings,
    sources::REGISTRY,
};
use std::{ffi::OsString, path::PathBuf};
use tributary_elastic::{Client, ElasticRecords, Mode};
use tributary_protocol::{
    Connector, SyncJob,
    records::{Records, Versioned},
};
use tributary_service::{
    Config, Host,
    ledger::LedgerWithFallback,
    production::{self, HostError},
};

/// Elasticsearch, as a command uses it.
pub(crate) struct Server {
    pub(crate) client: Client,
    pub(crate) records: ElasticRecords,
    pub(crate) config: Config,
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
            config,
            config_file,
        })
    }

    /// What became of single documents.
    pub(crate) fn ledger(&self) -> LedgerWithFallback {
        production::ledger(&self.client, &self.config, &state_folder_of(&self.config))
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
    let state = state_folder_of(config);
    let hostname = production::hostname();
    let host = production::elastic_host(config, REGISTRY, hostname, &temporary, &state);
    host.map_err(|error| match &error {
        HostError::Connect(_) => Failure::configuration(error),
        HostError::Folder { .. } => Failure::new(Exit::Failed, error),
    })
}

/// Where is kept what outlives the process.
fn state_folder_of(config: &Config) -> PathBuf {
    let named = config.service.state_dir.clone();
    named.unwrap_or_else(|| state_folder(|name| std::env::var_os(name)))
}

/// The usual place for what outlives the process (systemd.exec, XDG base directories); without any, a
/// folder that is emptied now and then.
fn state_folder(variable: impl Fn(&str) -> Option<OsString>) -> PathBuf {
    let set = |name: &str| {
        variable(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    if let Some(folder) = set("STATE_DIRECTORY") {
        return folder;
    }
    let base = set("XDG_STATE_HOME").or_else(|| Some(set("HOME")?.join(".local/state")));
    base.unwrap_or_else(std::env::temp_dir).join("tributary")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn state_is_kept_where_systems_keep_it() {
        let folder = |set: &[(&str, &str)]| {
            let value = |name: &str| set.iter().find(|(other, _)| *other == name);
            state_folder(|name| value(name).map(|(_, value)| OsString::from(value)))
        };
        let home = ("HOME", "/home/a");
        assert_eq!(folder(&[home]), Path::new("/home/a/.local/state/tributary"));
        let xdg = ("XDG_STATE_HOME", "/state");
        assert_eq!(folder(&[home, xdg]), Path::new("/state/tributary"));
        let systemd = ("STATE_DIRECTORY", "/var/lib/tributary");
        assert_eq!(
            folder(&[home, xdg, systemd]),
            Path::new("/var/lib/tributary")
        );
        assert_eq!(
            folder(&[("HOME", "")]),
            std::env::temp_dir().join("tributary")
        );
    }
}
