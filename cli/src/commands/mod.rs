//! The commands that are not the service.

mod config;
mod connector;
mod create;
mod index;
mod job;
mod prompt;
mod shown;
mod source;
mod update_config;
mod wait;

pub(crate) use wait::{Live, follow, report};

use crate::{
    arguments::{Cli, Command, ConnectorsCli, ConnectorsCommand, ConnectorsJobCommand, JobCommand},
    connection::Server,
    failure::Result,
    logging::{Logging, Severity},
    quickstart, run, runtime,
    settings::{DEFAULT_FILE, LOGIN_FILE},
};

/// Carries out a command of `tributary`.
pub(crate) fn run(cli: Cli) -> Result<()> {
    let Cli { log, command } = cli;
    // The service chooses its own level from its configuration.
    if let Command::Run(arguments) = command {
        return run::service(&arguments, log);
    }
    Logging::new(log.log_format, log.log_level.unwrap_or(Severity::Warning)).start();
    let files = [DEFAULT_FILE];
    match command {
        Command::Run(arguments) => run::service(&arguments, log),
        Command::Quickstart(arguments) => quickstart::run(&arguments),
        Command::Source(arguments) => source::run(&arguments.command, arguments.output.output),
        Command::Config(arguments) => config::run(&arguments.command),
        Command::Connector(arguments) => {
            let server = Server::of(&arguments.connection, &files)?;
            let output = arguments.output.output;
            runtime::alone(connector::run(&server, arguments.command, output))
        }
        Command::Job(arguments) => {
            let server = Server::of(&arguments.connection, &files)?;
            runtime::alone(job::run(
                &server,
                &arguments.command,
                arguments.output.output,
            ))
        }
        Command::Index(arguments) => {
            let server = Server::of(&arguments.connection, &files)?;
            runtime::alone(index::run(
                &server,
                &arguments.command,
                arguments.output.output,
            ))
        }
    }
}

/// Carries out a command of the program `connectors`.
pub(crate) fn run_as_connectors(cli: ConnectorsCli) -> Result<()> {
    let log = cli.log;
    Logging::new(log.log_format, log.log_level.unwrap_or(Severity::Warning)).start();
    let server = Server::of(&cli.connection, &[LOGIN_FILE, DEFAULT_FILE])?;
    let output = cli.output.output;
    match cli.command {
        ConnectorsCommand::Connector(command) => {
            runtime::alone(connector::run(&server, command, output))
        }
        ConnectorsCommand::Job(command) => {
            let command = match command {
                ConnectorsJobCommand::List { connector } => JobCommand::List {
                    connector,
                    limit: 0,
                },
                ConnectorsJobCommand::Start(start) => JobCommand::Start(start),
                ConnectorsJobCommand::Cancel { id } => JobCommand::Cancel { id },
                ConnectorsJobCommand::View { id } => JobCommand::View { id },
            };
            runtime::alone(job::run(&server, &command, output))
        }
    }
}
