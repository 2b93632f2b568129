//! The binary `tributary`: arguments, environment, wiring. The only `main`.
//!
//! One program under three names. As `tributary` it is the service and its command line; called as
//! `elastic-ingest` or `connectors` it takes the arguments of those programs, so that it can stand in
//! their place.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod allocator;
mod arguments;
mod commands;
mod connection;
mod failure;
mod logging;
mod output;
mod progress;
mod quickstart;
mod random;
mod run;
mod runtime;
mod settings;
mod signals;
mod sources;

use arguments::Program;
use std::process::ExitCode;

fn main() -> ExitCode {
    allocator::return_memory_soon();
    // Before anything that may open a connection. Fails only if it was done already.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let outcome = match Program::from_environment() {
        Program::Tributary(cli) => commands::run(cli),
        Program::ElasticIngest(arguments) => run::as_elastic_ingest(arguments),
        Program::Connectors(arguments) => commands::run_as_connectors(arguments),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}
