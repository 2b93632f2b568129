//! Real servers as child processes on free ports of 127.0.0.1, each in a temporary folder of its own.
//!
//! Guarantees:
//! - A server that was handed out has answered a real request (a query, a health call), not only opened its port.
//! - It is killed when its value is dropped and when the test process dies, however it dies.
//! - When it does not start, the error carries the end of its log.
//! - Its folder is removed on drop; folders that a killed process left are removed by the next one.
//!
//! `scripts/setup-tests` installs what is needed here.

mod choice;
mod folder;
mod ports;
mod postgres;
mod process;
mod search_engine;
pub mod shared;

pub use choice::{EngineChoice, engines_from_environment};
pub use folder::TestFolder;
pub use ports::free_port;
pub use postgres::{Postgres, PostgresAuthentication, PostgresOptions, PostgresTls};
pub use search_engine::{
    Answer, ElasticsearchOptions, ElasticsearchVersion, OpenSearchOptions, SearchEngine,
    SearchEngineKind,
};
