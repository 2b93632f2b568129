//! From arguments, environment and `config.yml` to a `Config`.

use crate::{
    arguments::ConnectionOptions,
    failure::{Failure, Result},
};
use std::{
    env,
    path::{Path, PathBuf},
};
use tributary_sdk::Secret;
use tributary_service::{
    Config,
    config::{ConfigErrors, Credentials, Parsed, SystemEnvironment},
};

/// Where a configuration is looked for when none is named.
pub(crate) const DEFAULT_FILE: &str = "config.yml";
/// Where `connectors login` of the reference writes.
pub(crate) const LOGIN_FILE: &str = ".cli/config.yml";

/// The configuration of a service.
pub(crate) fn for_service(path: &Path) -> Result<Parsed> {
    let text = read(path)?;
    Config::parse_for_service(&text, &SystemEnvironment).map_err(|errors| invalid(path, &errors))
}

/// The configuration of a command that talks to Elasticsearch, and the file it came from.
///
/// The address comes from `--url`, else from the file that is named, else from `ELASTICSEARCH_URL`,
/// else from the first of `default_files` that is there. Credentials of a file are sent to the address
/// of that file only.
pub(crate) fn for_commands(
    options: &ConnectionOptions,
    default_files: &[&str],
) -> Result<(Config, Option<PathBuf>)> {
    if options.url.is_some() && options.config.is_some() {
        return Err(Failure::usage("--url and --config exclude each other")
            .hint("give the address by one of them"));
    }
    let address = match (&options.url, &options.config) {
        (Some(url), _) => Some(url.clone()),
        (None, Some(_)) => None,
        (None, None) => variable("ELASTICSEARCH_URL"),
    };
    let found = default_files
        .iter()
        .map(Path::new)
        .find(|path| path.exists());
    let file = match (&address, &options.config) {
        (Some(_), _) => None,
        (None, Some(named)) => Some(named.clone()),
        (None, None) => found.map(Path::to_owned),
    };
    let mut config = match &file {
        Some(path) => {
            let text = read(path)?;
            let parsed = Config::parse(&text, &SystemEnvironment);
            let parsed = parsed.map_err(|errors| invalid(path, &errors))?;
            for warning in parsed.warnings {
                tracing::warn!("{}: {warning}", path.display());
            }
            parsed.config
        }
        None => Config::default(),
    };
    if let Some(address) = address {
        config.elasticsearch.host = without_credentials(&address)?;
    }
    let from_environment = file.is_none();
    if let Some(credentials) = credentials(options, from_environment)? {
        config.elasticsearch.credentials = credentials;
    }
    // Somebody waits for the answer: the patience of the service would look like a hang.
    config.elasticsearch.max_retries = config.elasticsearch.max_retries.min(1);
    config.elasticsearch.retry_interval = config
        .elasticsearch
        .retry_interval
        .min(std::time::Duration::from_secs(1));
    Ok((config, file))
}

/// Credentials that are given by arguments, or, if `from_environment`, by the usual variables.
fn credentials(options: &ConnectionOptions, from_environment: bool) -> Result<Option<Credentials>> {
    let usual = |name: &str| {
        if from_environment {
            variable(name)
        } else {
            None
        }
    };
    let key = match &options.api_key_env {
        Some(name) => Some(named_variable("--api-key-env", name)?),
        None if options.user.is_some() || options.password_env.is_some() => None,
        None => usual("ELASTICSEARCH_API_KEY"),
    };
    if let Some(key) = key {
        return Ok(Some(Credentials::ApiKey(Secret::new(key))));
    }
    let password = match &options.password_env {
        Some(name) => Some(named_variable("--password-env", name)?),
        None if options.user.is_some() => variable("ELASTICSEARCH_PASSWORD"),
        None => usual("ELASTICSEARCH_PASSWORD"),
    };
    let user = options
        .user
        .clone()
        .or_else(|| usual("ELASTICSEARCH_USERNAME"));
    match (user, password) {
        (None, None) => Ok(None),
        (Some(user), None) => Err(Failure::usage(format!(
            "there is no password for the user '{user}'"
        ))
        .hint("put it into ELASTICSEARCH_PASSWORD, or name another variable with --password-env")),
        (user, Some(password)) => Ok(Some(Credentials::Basic {
            username: user.unwrap_or_else(|| "elastic".to_owned()),
            password: Secret::new(password),
        })),
    }
}

fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

fn named_variable(option: &str, name: &str) -> Result<String> {
    variable(name).ok_or_else(|| {
        Failure::usage(format!(
            "the environment variable '{name}' of {option} is not set"
        ))
    })
}

/// Arguments can be read by every user of the machine.
fn without_credentials(address: &str) -> Result<String> {
    let address = address.trim().trim_end_matches('/');
    let rest = address.split_once("://").map_or(address, |(_, rest)| rest);
    let authority = rest.split('/').next().unwrap_or_default();
    if authority.contains('@') {
        return Err(
            Failure::usage("the address of Elasticsearch holds credentials")
                .hint("give the user name with --user and the password in ELASTICSEARCH_PASSWORD"),
        );
    }
    Ok(address.to_owned())
}

fn read(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).map_err(|error| {
        let shown = path.display();
        match error.kind() {
            std::io::ErrorKind::NotFound => {
                Failure::configuration(format!("there is no configuration file {shown}")).hint(
                    "`tributary config example > config.yml` makes one; then set \
                     elasticsearch.host, the credentials, and connectors",
                )
            }
            std::io::ErrorKind::InvalidData => {
                Failure::configuration(format!("the configuration file {shown} is not UTF-8 text"))
            }
            _ => Failure::configuration(format!(
                "cannot read the configuration file {shown}: {error}"
            )),
        }
    })
}

pub(crate) fn invalid(path: &Path, errors: &ConfigErrors) -> Failure {
    let lines: Vec<_> = errors.iter().map(|error| format!("  {error}")).collect();
    let text = format!(
        "the configuration file {} cannot be used:\n{}",
        path.display(),
        lines.join("\n")
    );
    Failure::configuration(text)
        .hint("`tributary config example` shows every key and what it is for")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_with_a_password_is_refused() {
        for address in [
            "https://elastic:hunter2@es:9200",
            "elastic:hunter2@es:9200/x",
        ] {
            let error = without_credentials(address).unwrap_err().to_string();
            assert!(
                error.contains("ELASTICSEARCH_PASSWORD") && !error.contains("hunter2"),
                "{error}"
            );
        }
        let address = without_credentials(" https://es:9200/a@b/ ").unwrap();
        assert_eq!(address, "https://es:9200/a@b");
    }
}
