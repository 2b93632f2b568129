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
    /// Lists the documents that a sync could not write as the data source has them, and why
    #[command(after_help = "\
Examples:
  tributary job failures Yy0wzI4BBpHLxaPlKqVe
  tributary job failures --connector books-database --document books_17

Keys of config.yml that matter: elasticsearch.*, service.state_index, service.state_dir")]
    Failures(LedgerArguments),
    /// Lists the documents that syncs deleted from the index: when, why, and by which job
    #[command(after_help = "\
Examples:
  tributary job deletions Yy0wzI4BBpHLxaPlKqVe
  tributary job deletions --connector books-database --document books_17

A deletion is put on record before it is carried out: if the sync broke off in between, the document is
still there and the next sync deletes it.

Keys of config.yml that matter: elasticsearch.*, service.state_index, service.state_dir")]
    Deletions(LedgerArguments),
    /// Tries the failures of a sync job again, once their cause is removed
    ///
    /// Starts a job that reads just these documents, where the data source can do that, and a full sync
    /// otherwise.
    #[command(after_help = "\
Example:
  tributary job replay Yy0wzI4BBpHLxaPlKqVe --wait

Keys of config.yml that matter: elasticsearch.*, service.state_index, service.state_dir")]
    Replay {
        /// The id of the job
        id: String,
        /// Wait until the new job has ended, and show how far it is
        #[arg(long)]
        wait: bool,
    },
}

/// Which records of single documents to list.
#[derive(Args, Debug)]
pub(crate) struct LedgerArguments {
    /// The id of the job
    #[arg(required_unless_present = "connector")]
    pub(crate) id: Option<String>,
    /// Of all jobs of this connector
    #[arg(long, value_name = "ID", conflicts_with = "id")]
    pub(crate) connector: Option<String>,
    /// Only of the document with this _id
    #[arg(long, value_name = "ID")]
    pub(crate) document: Option<String>,
    /// At most so many, the newest first
    #[arg(long, default_value_t = 100, value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(1..=10_000))]
    pub(crate) limit: u64,
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
  tributary job start --connector books-database --dry-run

With --wait the exit code is 0 if the sync completed, and 5 if it failed or was canceled. Ctrl-C
ends the waiting, not the job. With --dry-run it is 5 if the sync would fail.

Keys of config.yml that matter: elasticsearch.*; with --dry-run also sources.* and service.state_dir")]
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
    /// Write every document, whether it has changed or not
    #[arg(long)]
    pub(crate) force: bool,
    /// Delete what is gone from the data source, however much of the index that is
    #[arg(long)]
    pub(crate) allow_deletes: bool,
    /// Start no job: read the data source here and now, and say what a sync would change
    #[arg(long, conflicts_with = "wait")]
    pub(crate) dry_run: bool,
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
