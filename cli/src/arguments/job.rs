//! `job` and `index`.

use super::{ConnectionOptions, OutputOptions};
use clap::{Args, Subcommand, ValueEnum};
use tributary_protocol::JobType;

/// Lists, starts, cancels and shows sync jobs.
#[derive(Args, Debug)]
pub(crate) struct JobArguments {
    #[command(flatten)]
    pub(crate) connection: ConnectionOptions,
    #[command(flatten)]
    pub(crate) output: OutputOptions,
    #[command(subcommand)]
    pub(crate) command: JobCommand,
}

/// What to do with sync jobs.
#[derive(Debug, Subcommand)]
pub(crate) enum JobCommand {
    /// Lists sync jobs, the newest first
    #[command(after_help = "\
Example:
  tributary job list --connector books-database

Keys of config.yml that matter: elasticsearch.*")]
    List {
        /// Only jobs of this connector
        #[arg(long, value_name = "ID")]
        connector: Option<String>,
        /// At most so many; 0 for all
        #[arg(long, default_value_t = 20, value_name = "NUMBER")]
        limit: usize,
    },
    Start(StartJob),
    /// Cancels a sync job
    ///
    /// A job that waits ends at once, a running one within seconds. What was written stays.
    #[command(after_help = "\
Example:
  tributary job cancel Yy0wzI4BBpHLxaPlKqVe

Keys of config.yml that matter: elasticsearch.*")]
    Cancel {
        /// The id of the job
        id: String,
    },
    /// Shows one sync job: what it did, what it could not read, why it failed
    #[command(after_help = "\
Example:
  tributary job view Yy0wzI4BBpHLxaPlKqVe -o json

Keys of config.yml that matter: elasticsearch.*")]
    View {
        /// The id of the job
        id: String,
    },
}

/// Starts a sync job
///
/// The job is carried out by the service that handles the connector. Without --wait this command
/// only asks for it.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  tributary job start --connector books-database
  tributary job start --connector books-database --type incremental --wait

With --wait the exit code is 0 if the sync completed, and 5 if it failed or was canceled. Ctrl-C
ends the waiting, not the job.

Keys of config.yml that matter: elasticsearch.*")]
pub(crate) struct StartJob {
    /// The id of the connector
    #[arg(short = 'i', long, value_name = "ID", visible_alias = "connector-id")]
    pub(crate) connector: String,
    /// What the job reads
    #[arg(
        short = 't',
        long = "type",
        value_enum,
        default_value_t,
        value_name = "TYPE"
    )]
    pub(crate) job_type: SyncType,
    /// Wait until the job has ended, and show how far it is
    #[arg(long)]
    pub(crate) wait: bool,
}

/// What a job reads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub(crate) enum SyncType {
    /// Everything.
    #[default]
    Full,
    /// What changed.
    Incremental,
    /// Who may see what.
    AccessControl,
}

impl From<SyncType> for JobType {
    fn from(sync_type: SyncType) -> Self {
        match sync_type {
            SyncType::Full => Self::Full,
            SyncType::Incremental => Self::Incremental,
            SyncType::AccessControl => Self::AccessControl,
        }
    }
}

/// Looks at indices.
#[derive(Args, Debug)]
pub(crate) struct IndexArguments {
    #[command(flatten)]
    pub(crate) connection: ConnectionOptions,
    #[command(flatten)]
    pub(crate) output: OutputOptions,
    #[command(subcommand)]
    pub(crate) command: IndexCommand,
}

/// What to do with indices.
#[derive(Debug, Subcommand)]
pub(crate) enum IndexCommand {
    /// Lists indices with their documents and their size
    #[command(after_help = "\
Example:
  tributary index list 'search-*'

Keys of config.yml that matter: elasticsearch.*")]
    List {
        /// A name or pattern; one that begins with a dot shows hidden indices too
        #[arg(default_value = "*")]
        pattern: String,
    },
    /// Counts the documents of an index
    #[command(after_help = "\
Example:
  tributary index count books

Keys of config.yml that matter: elasticsearch.*")]
    Count {
        /// The name of the index
        name: String,
    },
}
