//! The arguments of `elastic-ingest`, the program of the reference service (service sheet §1).

use crate::logging::Severity;
use clap::{ArgAction, Parser, ValueEnum};
use std::path::PathBuf;

/// Runs the connector service, with the arguments of elastic-ingest.
///
/// This is Tributary under another name; `tributary --help` shows all it can do.
#[derive(Debug, Parser)]
#[command(
    name = "elastic-ingest",
    version,
    disable_version_flag = true,
    max_term_width = 100,
    after_help = "Examples:\n  elastic-ingest -c config.yml --filebeat\n  \
                  elastic-ingest --action list\n  \
                  elastic-ingest --action config --service-type postgresql"
)]
pub(crate) struct IngestArguments {
    /// What to do; may be given several times [default: all but list and config]
    #[arg(long, value_enum, value_name = "ACTION", num_args = 1..)]
    pub(crate) action: Vec<IngestAction>,
    /// The configuration file
    #[arg(short, long, value_name = "FILE", default_value = "config.yml")]
    pub(crate) config_file: PathBuf,
    /// The least important messages to log [default: service.log_level]
    #[arg(long, value_enum, ignore_case = true, value_name = "LEVEL")]
    pub(crate) log_level: Option<Severity>,
    /// As --log-level DEBUG
    #[arg(long)]
    pub(crate) debug: bool,
    /// Log lines as JSON with the names of the Elastic Common Schema
    #[arg(long)]
    pub(crate) filebeat: bool,
    /// The service type whose configuration `--action config` prints
    #[arg(long, value_name = "TYPE")]
    pub(crate) service_type: Option<String>,
    /// Accepted and ignored: there is no Python event loop here
    #[arg(long)]
    pub(crate) uvloop: bool,
    /// Print version
    #[arg(short, long, action = ArgAction::Version)]
    version: Option<bool>,
}

/// What `elastic-ingest` does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub(crate) enum IngestAction {
    /// Heartbeats, checks of connectors, jobs by schedule.
    Schedule,
    /// Full and incremental syncs.
    SyncContent,
    /// Access control syncs.
    SyncAccessControl,
    /// Ends jobs that lost their service.
    Cleanup,
    /// Prints the names of the data sources.
    List,
    /// Prints the configuration of a service type.
    Config,
}
