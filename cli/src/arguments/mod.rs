//! The arguments of the program under each of its names.

mod connector;
mod connectors_program;
mod ingest;
mod job;
#[cfg(test)]
mod page;
mod service;

#[cfg(test)]
pub(crate) use connector::FieldFrom;
pub(crate) use connector::{
    ConnectorArguments, ConnectorCommand, CreateConnector, SourceArguments, SourceCommand,
};
pub(crate) use connectors_program::{ConnectorsCli, ConnectorsCommand, ConnectorsJobCommand};
pub(crate) use ingest::{IngestAction, IngestArguments};
pub(crate) use job::{
    IndexArguments, IndexCommand, JobArguments, JobCommand, LedgerArguments, StartJob,
};
pub(crate) use service::{
    ActionName, ConfigArguments, ConfigCommand, QuickstartArguments, RunArguments,
};

use crate::{
    logging::{LogFormat, Severity},
    output::OutputFormat,
};
use clap::{Args, Parser, Subcommand};
use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

/// The program, by the name it is called by.
pub(crate) enum Program {
    /// Itself.
    Tributary(Cli),
    /// In the place of the reference service.
    ElasticIngest(IngestArguments),
    /// In the place of the reference's command line.
    Connectors(ConnectorsCli),
}

impl Program {
    /// Reads the arguments of this process. Ends it, as clap does, for `--help` and `--version`, and
    /// with code 2 for arguments that cannot be used.
    pub(crate) fn from_environment() -> Self {
        let arguments: Vec<OsString> = std::env::args_os().collect();
        let name = arguments
            .first()
            .and_then(|path| Path::new(path).file_stem());
        match name.and_then(|name| name.to_str()) {
            Some("elastic-ingest") => Self::ElasticIngest(IngestArguments::parse_from(arguments)),
            Some("connectors") => Self::Connectors(ConnectorsCli::parse_from(arguments)),
            _ => Self::Tributary(Cli::parse_from(arguments)),
        }
    }
}

const EXIT_CODES: &str = "\
Exit codes:
  0    all went well; also after Ctrl-C or SIGTERM ended the service in good order
  1    something failed
  2    the arguments cannot be used
  3    the configuration cannot be used
  4    Elasticsearch cannot be reached, or refuses these credentials
  5    the sync that was waited for did not complete
  130  ended at once by a second Ctrl-C

Called as `elastic-ingest` or `connectors`, through a link of that name, it takes the arguments of
the programs of the Elastic connector service.";

/// Many sources, one index: syncs data sources into Elasticsearch.
///
/// Tributary is a self-managed connector service. It reads databases and file stores and keeps
/// Elasticsearch indices equal to them, by the Elastic connector protocol: Kibana works with it.
///
/// To see it work, with a small store of its own and sample documents: tributary quickstart
#[derive(Debug, Parser)]
#[command(
    name = "tributary",
    version,
    after_help = EXIT_CODES,
    max_term_width = 100,
    disable_help_subcommand = true
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) log: LogOptions,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Run(RunArguments),
    Quickstart(QuickstartArguments),
    Source(SourceArguments),
    Connector(ConnectorArguments),
    Job(JobArguments),
    Index(IndexArguments),
    Config(ConfigArguments),
}

/// What is logged, on standard error.
#[derive(Args, Clone, Copy, Debug)]
#[command(next_help_heading = "Log, on standard error")]
pub(crate) struct LogOptions {
    /// The least important messages to log [default: service.log_level for `run`, else warning]
    #[arg(
        long,
        global = true,
        value_enum,
        ignore_case = true,
        value_name = "LEVEL"
    )]
    pub(crate) log_level: Option<Severity>,
    /// The form of log lines
    #[arg(
        long,
        global = true,
        value_enum,
        default_value_t,
        value_name = "FORMAT"
    )]
    pub(crate) log_format: LogFormat,
}

/// Where Elasticsearch is.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Elasticsearch")]
pub(crate) struct ConnectionOptions {
    /// The configuration file [default: config.yml, if there is one and no address is given]
    #[arg(
        short,
        long,
        global = true,
        value_name = "FILE",
        visible_alias = "config-file"
    )]
    pub(crate) config: Option<PathBuf>,
    /// The address of Elasticsearch, instead of a configuration file [env: ELASTICSEARCH_URL]
    #[arg(long, global = true, value_name = "URL")]
    pub(crate) url: Option<String>,
    /// The user name [env: ELASTICSEARCH_USERNAME]
    #[arg(long, global = true, value_name = "NAME")]
    pub(crate) user: Option<String>,
    /// The environment variable that holds the password [default: ELASTICSEARCH_PASSWORD]
    #[arg(long, global = true, value_name = "VARIABLE")]
    pub(crate) password_env: Option<String>,
    /// The environment variable that holds an API key [default: ELASTICSEARCH_API_KEY]
    #[arg(long, global = true, value_name = "VARIABLE")]
    pub(crate) api_key_env: Option<String>,
}

/// The form of the output.
#[derive(Args, Clone, Copy, Debug, Default)]
pub(crate) struct OutputOptions {
    /// Text for people, or JSON for scripts
    #[arg(
        short,
        long,
        global = true,
        value_enum,
        default_value_t,
        value_name = "FORMAT"
    )]
    pub(crate) output: OutputFormat,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_arguments_of_all_names_fit_together() {
        Cli::command().debug_assert();
        IngestArguments::command().debug_assert();
        ConnectorsCli::command().debug_assert();
    }

    #[test]
    fn options_may_stand_before_and_after_the_command() {
        for line in [
            "tributary job -c x.yml -o json list --log-level DEBUG",
            "tributary --log-level debug job list --config x.yml --output json",
        ] {
            let cli = Cli::try_parse_from(line.split(' ')).unwrap();
            assert_eq!(cli.log.log_level, Some(Severity::Debug), "{line}");
            let Command::Job(job) = cli.command else {
                panic!("{line}")
            };
            assert_eq!(job.connection.config, Some("x.yml".into()), "{line}");
            assert_eq!(job.output.output, OutputFormat::Json, "{line}");
        }
    }
}
