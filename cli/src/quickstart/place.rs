//! The data folder of the quickstart: the store's data, its password, a configuration for other
//! commands.

use super::{USER, connector};
use crate::{failure::Result, random};
use anyhow::Context;
use std::{
    fs::{self, DirBuilder, OpenOptions},
    io::{ErrorKind, Read, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    time::Duration,
};
use tributary_sdk::Secret;
use tributary_service::{
    Config,
    config::{ConnectorConfig, Credentials},
};

/// How often the service looks for work. Nobody else loads the store.
const IDLING: Duration = Duration::from_secs(1);

/// The data folder, as it is on disk.
pub(super) struct Place {
    path: PathBuf,
    password: Secret,
}

impl Place {
    /// Makes the folder if it is not there, readable by its owner alone, and the password once.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let shown = path.display();
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .with_context(|| format!("cannot make the data folder {shown}"))?;
        let path = path
            .canonicalize()
            .with_context(|| format!("cannot use the data folder {shown}"))?;
        let password = password(&path.join("password"))?;
        Ok(Self { path, password })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn store_folder(&self) -> PathBuf {
        self.path.join("store")
    }

    pub(super) fn password(&self) -> &Secret {
        &self.password
    }

    pub(super) fn config_file(&self) -> PathBuf {
        self.path.join("config.yml")
    }

    /// The configuration of the service in this process; and, in a file, what other commands need.
    pub(super) fn config(&self, url: &str) -> Result<Config> {
        let mut config = Config::default();
        config.elasticsearch.host = url.to_owned();
        config.elasticsearch.credentials = Credentials::Basic {
            username: USER.to_owned(),
            password: self.password.clone(),
        };
        config.service.idling = IDLING;
        config.service.health_address = None;
        config.service.state_dir = Some(self.path.join("state"));
        config.connectors = vec![ConnectorConfig {
            connector_id: connector::ID.to_owned(),
            service_type: connector::SERVICE_TYPE.to_owned(),
            api_key: None,
        }];
        self.write_config(url)?;
        Ok(config)
    }

    fn write_config(&self, url: &str) -> Result<()> {
        let path = self.config_file();
        let shown = path.display();
        // JSON texts are YAML.
        let password_file = self.path.join("password");
        let password_file = serde_json::Value::from(password_file.to_string_lossy());
        let text = format!(
            "# Written by `tributary quickstart` at each start, for other commands, as in\n\
             # tributary job list -c {shown}\n\
             elasticsearch:\n  host: {url}\n  username: {USER}\n  password: {{file: {password_file}}}\n\
             connectors:\n  - connector_id: {}\n    service_type: {}\n",
            connector::ID,
            connector::SERVICE_TYPE,
        );
        fs::write(&path, text).with_context(|| format!("cannot write {shown}"))?;
        Ok(())
    }
}

/// Reads the password, or makes one that only the owner of the file can read.
fn password(path: &Path) -> Result<Secret> {
    let shown = path.display();
    let made = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path);
    match made {
        Ok(mut file) => {
            let password = Secret::new(random::text(20)?);
            let written = file
                .write_all(password.expose().as_bytes())
                .and_then(|()| file.sync_all());
            written.with_context(|| format!("cannot write {shown}"))?;
            Ok(password)
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            let mut text = String::new();
            fs::File::open(path)
                .and_then(|mut file| file.read_to_string(&mut text))
                .with_context(|| format!("cannot read {shown}"))?;
            match text.trim() {
                // Somebody pulled the plug between making and writing it.
                "" => {
                    fs::remove_file(path).with_context(|| format!("cannot replace {shown}"))?;
                    self::password(path)
                }
                password => Ok(Secret::new(password)),
            }
        }
        Err(error) => Err(anyhow::Error::new(error)
            .context(format!("cannot make {shown}"))
            .into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;
    use tributary_service::config::SystemEnvironment;

    #[test]
    fn the_password_is_made_once_and_for_its_owner() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b");
        let place = Place::open(&path).unwrap();
        assert!(place.password().expose().len() >= 20);
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&path.join("password")), 0o600);
        assert_eq!(mode(&path), 0o700);
        assert_eq!(Place::open(&path).unwrap().password(), place.password());
        fs::write(path.join("password"), "").unwrap();
        assert!(!Place::open(&path).unwrap().password().is_empty());
    }

    #[test]
    fn other_commands_can_read_the_configuration() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("with \"quotes\" and spaces");
        let place = Place::open(&path).unwrap();
        let config = place.config("http://127.0.0.1:9280").unwrap();
        let text = fs::read_to_string(place.config_file()).unwrap();
        assert!(!text.contains(place.password().expose()), "{text}");
        let read = Config::parse(&text, &SystemEnvironment).unwrap().config;
        assert_eq!(read.elasticsearch, config.elasticsearch);
        assert_eq!(read.connectors, config.connectors);
    }
}
