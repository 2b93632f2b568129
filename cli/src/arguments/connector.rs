//! `source` and `connector`.

use super::{ConnectionOptions, OutputOptions};
use clap::{Args, Subcommand};
use std::path::PathBuf;

/// Shows what data sources there are, and their configuration fields.
///
/// No configuration file is read and nothing is connected to.
#[derive(Args, Debug)]
pub(crate) struct SourceArguments {
    #[command(flatten)]
    pub(crate) output: OutputOptions,
    #[command(subcommand)]
    pub(crate) command: SourceCommand,
}

/// What to show of data sources.
#[derive(Debug, Subcommand)]
pub(crate) enum SourceCommand {
    /// Lists the service types
    #[command(after_help = "Example:\n  tributary source list")]
    List,
    /// Shows the fields and features of one service type
    #[command(after_help = "\
Examples:
  tributary source show postgresql
  tributary source show postgresql -o json

With `-o json` it has the `configuration` of a new connector, as the protocol has it.
Key of config.yml that matters: sources.<service type>, for options beside these fields.")]
    Show {
        /// The service type, such as `postgresql`
        service_type: String,
    },
}

/// Lists, shows and makes connectors.
#[derive(Args, Debug)]
pub(crate) struct ConnectorArguments {
    #[command(flatten)]
    pub(crate) connection: ConnectionOptions,
    #[command(flatten)]
    pub(crate) output: OutputOptions,
    #[command(subcommand)]
    pub(crate) command: ConnectorCommand,
}

/// What to do with connectors.
#[derive(Debug, Subcommand)]
pub(crate) enum ConnectorCommand {
    /// Lists the connectors
    #[command(after_help = "\
Example:
  tributary connector list -o json

Keys of config.yml that matter: elasticsearch.*")]
    List,
    /// Shows one connector: state, schedules, last syncs, configuration without secrets
    #[command(after_help = "\
Example:
  tributary connector show books-database

Keys of config.yml that matter: elasticsearch.*")]
    Show {
        /// The id of the connector
        id: String,
    },
    Create(CreateConnector),
}

/// Makes a connector
///
/// Asks for what is not given, when used on a terminal. The values are checked before anything is
/// written; the data source itself is checked by the service.
#[derive(Args, Debug, Default)]
#[command(after_help = "\
Examples:
  tributary connector create
  tributary connector create --service-type dir --index-name papers --field directory=/srv/papers
  tributary connector create --service-type postgresql --index-name books --from-file books.json \\
      --field-env password=BOOKS_PASSWORD --update-config

The file of --from-file is a JSON object of fields and their values: {\"host\": \"db\", \"port\": 5432}.
`tributary source show <service type>` lists the fields. A secret is never an argument, where
every user of the machine could read it: give it by --field-env, in the file, or when asked.

Keys of config.yml that matter: elasticsearch.*, connectors (changed by --update-config)")]
pub(crate) struct CreateConnector {
    /// The type of the data source, such as `postgresql`
    #[arg(long, value_name = "TYPE")]
    pub(crate) service_type: Option<String>,
    /// The index that documents are written to
    #[arg(long, value_name = "INDEX")]
    pub(crate) index_name: Option<String>,
    /// What people call the connector [default: the index name]
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// The id of the connector [default: a random one]
    #[arg(long, value_name = "ID")]
    pub(crate) id: Option<String>,
    /// The language of the documents, such as `en`
    #[arg(long, visible_alias = "language", value_name = "LANGUAGE")]
    pub(crate) index_language: Option<String>,
    /// The value of a field; may be given several times
    #[arg(long, value_name = "KEY=VALUE", value_parser = pair)]
    pub(crate) field: Vec<FieldFrom>,
    /// The environment variable that holds the value of a field; may be given several times
    #[arg(long, value_name = "KEY=VARIABLE", value_parser = pair)]
    pub(crate) field_env: Vec<FieldFrom>,
    /// A JSON file with the values of fields; those given by name win
    #[arg(long, value_name = "FILE")]
    pub(crate) from_file: Option<PathBuf>,
    /// Also make an API key for this connector, with the rights that Kibana gives, and print it once
    #[arg(long)]
    pub(crate) create_api_key: bool,
    /// Also add the connector to the list `connectors` of the configuration file
    #[arg(long)]
    pub(crate) update_config: bool,
    /// The configuration file that --update-config changes [default: the one that is read, else config.yml]
    #[arg(long, value_name = "FILE", requires = "update_config")]
    pub(crate) connector_service_config: Option<PathBuf>,
    /// Ask nothing, even on a terminal; what is missing is an error
    #[arg(long)]
    pub(crate) no_input: bool,
}

/// Where the value of a field comes from. Shows only the key: the rest may be a secret.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct FieldFrom {
    pub(crate) key: String,
    pub(crate) from: String,
}

impl std::fmt::Debug for FieldFrom {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.key)
    }
}

fn pair(text: &str) -> Result<FieldFrom, String> {
    match text.split_once('=') {
        Some((key, from)) if !key.trim().is_empty() => Ok(FieldFrom {
            key: key.trim().to_owned(),
            from: from.to_owned(),
        }),
        _ => Err("write it as key=value".to_owned()),
    }
}
