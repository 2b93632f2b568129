//! `config.yml`: what the reference service reads, and what we add.
//!
//! From text to a [`Config`]: YAML as PyYAML reads it (`yaml`), dotted keys merged into nested
//! ones (`tree`), environment variables put into values (`substitute`), then typed by the one
//! table of keys (`keys`), which is also where defaults, the example and near misses come from.
//! Nothing is read from the process or the disk except through the [`Environment`] passed in.
//!
//! Everything that is wrong is reported together. Errors and warnings never show a secret, and
//! neither does `Debug` of any type here.

mod build;
mod environment;
mod error;
mod example;
mod json;
mod key;
mod keys;
mod nearest;
mod reader;
mod settings;
mod start;
mod substitute;
mod tree;
mod value;
mod yaml;

#[cfg(test)]
mod tests;

pub use environment::{Environment, SystemEnvironment};
pub use error::{ConfigError, ConfigErrors};
pub use example::example;
pub use key::KeyDescription;
pub use settings::{
    BulkConfig, ClientCertificate, Config, ConnectorConfig, Credentials, ElasticsearchConfig,
    ErrorMonitorConfig, ExtractionServiceConfig, LogLevel, Pem, ServiceConfig, SourceOptions,
};

use reader::Reader;

/// A configuration and what to tell the user about it.
#[derive(Debug, Clone, PartialEq)]
pub struct Parsed {
    /// The configuration, complete with defaults.
    pub config: Config,
    /// Sentences for the user: keys given twice, probable slips of the pen, deprecated keys.
    pub warnings: Vec<String>,
}

impl Config {
    /// Reads the text of a `config.yml`, as any command needs it. An empty text gives the defaults.
    ///
    /// # Errors
    /// Everything that is wrong, with line, column, key and the way out. Text that is not YAML is
    /// one error, because nothing after it can be judged.
    pub fn parse(text: &str, environment: &dyn Environment) -> Result<Parsed, ConfigErrors> {
        parse(text, environment, |_, _, _| Vec::new())
    }

    /// As [`Config::parse`], and checks also that a service can run with it: there must be
    /// connectors or service types to handle, and no `changeme` where an id or key belongs.
    ///
    /// # Errors
    /// As [`Config::parse`].
    pub fn parse_for_service(
        text: &str,
        environment: &dyn Environment,
    ) -> Result<Parsed, ConfigErrors> {
        parse(text, environment, start::check)
    }
}

impl Default for Config {
    /// What an empty `config.yml` means.
    fn default() -> Self {
        let map = tree::Map::default();
        build::config(&mut Reader {
            map: &map,
            environment: &NoEnvironment,
            errors: Vec::new(),
            warnings: Vec::new(),
        })
    }
}

/// Every key there is, in the order of the example.
pub fn known_keys() -> impl Iterator<Item = &'static KeyDescription> {
    keys::ALL.iter().copied()
}

/// The candidate that a mistyped word was probably meant to be, if one is close.
pub fn nearest_name<'a>(
    word: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    nearest::nearest(word, candidates)
}

fn parse(
    text: &str,
    environment: &dyn Environment,
    check: impl FnOnce(&Config, &Reader<'_>, &mut Vec<String>) -> Vec<ConfigError>,
) -> Result<Parsed, ConfigErrors> {
    let mut warnings = Vec::new();
    let mut errors = Vec::new();
    // Editors on Windows put a byte order mark first.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let map = yaml::parse(text, &mut warnings)?;
    let mut map = tree::undotted(map, "", &mut warnings);
    substitute::substitute(&mut map, "", environment, &mut errors);
    reader::section_errors(&map, &keys::SECTIONS, &mut errors);
    nearest::warn_of_near_misses(&map, &mut warnings);
    let mut reader = Reader {
        map: &map,
        environment,
        errors,
        warnings,
    };
    let config = build::config(&mut reader);
    let mut warnings = std::mem::take(&mut reader.warnings);
    let mut errors = std::mem::take(&mut reader.errors);
    errors.extend(check(&config, &reader, &mut warnings));
    match ConfigErrors::from_list(errors) {
        Some(errors) => Err(errors),
        None => Ok(Parsed { config, warnings }),
    }
}

/// For defaults, which ask for nothing.
struct NoEnvironment;

impl Environment for NoEnvironment {
    fn variable(&self, _name: &str) -> Option<String> {
        None
    }

    fn read_file(&self, _path: &std::path::Path) -> Result<String, String> {
        Err("there are no files here".to_owned())
    }

    fn run_command(&self, _command: &str) -> Result<String, String> {
        Err("there are no commands here".to_owned())
    }
}
