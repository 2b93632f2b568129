//! The arguments of `connectors`, the command line of the reference service (service sheet §1).

use super::{ConnectionOptions, ConnectorCommand, LogOptions, OutputOptions, StartJob};
use clap::{Parser, Subcommand};

/// Lists and makes connectors, and handles sync jobs, with the arguments of `connectors`.
///
/// This is Tributary under another name; `tributary --help` shows all it can do. Where no
/// configuration file is given, `.cli/config.yml` is read, which `connectors login` wrote.
#[derive(Debug, Parser)]
#[command(
    name = "connectors",
    version,
    max_term_width = 100,
    disable_help_subcommand = true,
    after_help = "Examples:\n  connectors connector list\n  connectors job start -i my-connector -t full\n  \
                  connectors job view my-job -o json"
)]
pub(crate) struct ConnectorsCli {
    #[command(flatten)]
    pub(crate) log: LogOptions,
    #[command(flatten)]
    pub(crate) connection: ConnectionOptions,
    #[command(flatten)]
    pub(crate) output: OutputOptions,
    #[command(subcommand)]
    pub(crate) command: ConnectorsCommand,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum ConnectorsCommand {
    /// Lists, shows and makes connectors
    #[command(subcommand)]
    Connector(ConnectorCommand),
    /// Lists, starts, cancels and shows sync jobs
    #[command(subcommand)]
    Job(ConnectorsJobCommand),
}

/// What to do with sync jobs.
#[derive(Debug, Subcommand)]
pub(crate) enum ConnectorsJobCommand {
    /// Lists the sync jobs of a connector, the newest first
    List {
        /// The id of the connector [default: jobs of all connectors]
        connector: Option<String>,
    },
    Start(StartJob),
    /// Cancels a sync job
    Cancel {
        /// The id of the job
        id: String,
    },
    /// Shows one sync job
    View {
        /// The id of the job
        id: String,
    },
}
