//! `run`, `quickstart`, `config`.

use clap::{Args, Subcommand, ValueEnum};
use std::path::PathBuf;

const RUN_EXAMPLE: &str = "\
Examples:
  tributary run -c config.yml
  tributary run -c config.yml --action sync_content --log-format ecs

It ends in good order on Ctrl-C and SIGTERM: running syncs are suspended, and go on with the next
start. A second signal ends it at once.

Keys of config.yml that matter: elasticsearch.*, connectors, service.*, sources.<service type>.*.
Metrics and health (/metrics, /healthz, /readyz) are served on service.health_address.";

/// Runs the connector service until it is told to end.
///
/// It looks after the connectors that config.yml names: shows signs of life, checks their
/// configuration and their data source, starts syncs when they are due, and carries them out.
#[derive(Args, Debug)]
#[command(after_help = RUN_EXAMPLE)]
pub(crate) struct RunArguments {
    /// The configuration file
    #[arg(
        short,
        long,
        value_name = "FILE",
        default_value = "config.yml",
        visible_alias = "config-file"
    )]
    pub(crate) config: PathBuf,
    /// Only this part of the work; may be given several times [default: all of them]
    #[arg(long, value_enum, value_name = "ACTION")]
    pub(crate) action: Vec<ActionName>,
}

/// A part of the service's work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub(crate) enum ActionName {
    /// Heartbeats, checks of connectors, jobs by schedule.
    Schedule,
    /// Full and incremental syncs.
    SyncContent,
    /// Access control syncs.
    SyncAccessControl,
    /// Ends jobs that lost their service.
    Cleanup,
}

const QUICKSTART_EXAMPLE: &str = "\
Examples:
  tributary quickstart
  tributary quickstart --folder ~/Documents --data-dir /tmp/try --port 9300

No configuration file is read. The data folder keeps the documents, the password of the store, and a
config.yml for other commands:
  tributary job list -c .tributary/config.yml

The store is for trying out; docs/store.md says what it is and what it is not.";

/// Shows it all at work: a small store, the service, and a folder of documents.
///
/// Starts a small store and the service in this process, syncs the folder, and says how to search.
/// Then it goes on: every minute the folder is synced again, until Ctrl-C.
#[derive(Args, Debug)]
#[command(after_help = QUICKSTART_EXAMPLE)]
pub(crate) struct QuickstartArguments {
    /// The folder to sync
    #[arg(long, value_name = "FOLDER", default_value = "examples/library")]
    pub(crate) folder: PathBuf,
    /// Where the store keeps its data; made if it is not there
    #[arg(long, value_name = "FOLDER", default_value = ".tributary")]
    pub(crate) data_dir: PathBuf,
    /// The port of the store; 0 takes a free one
    #[arg(long, value_name = "PORT", default_value_t = 9280)]
    pub(crate) port: u16,
    /// End after the first sync
    #[arg(long)]
    pub(crate) once: bool,
}

/// Makes and checks configuration files.
#[derive(Args, Debug)]
pub(crate) struct ConfigArguments {
    #[command(subcommand)]
    pub(crate) command: ConfigCommand,
}

/// What to do with configuration files.
#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Prints a configuration file with every key, its default and what it is for
    #[command(after_help = "Example:\n  tributary config example > config.yml")]
    Example,
    /// Checks a configuration file, and says all that is wrong with it
    ///
    /// Nothing is connected to.
    #[command(after_help = "Example:\n  tributary config check -c config.yml")]
    Check {
        /// The configuration file
        #[arg(
            short,
            long,
            value_name = "FILE",
            default_value = "config.yml",
            visible_alias = "config-file"
        )]
        config: PathBuf,
    },
}
