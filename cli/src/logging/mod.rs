//! What the program tells while it works: always on standard error, never a secret.

mod lines;

use clap::ValueEnum;
use lines::{JsonLines, Shape};
use std::{
    env,
    io::{self, IsTerminal},
};
use tracing::{Level, level_filters::LevelFilter};
use tracing_subscriber::{
    Layer, Registry,
    filter::Targets,
    fmt::{self, MakeWriter},
    layer::SubscriberExt,
    util::SubscriberInitExt,
};
use tributary_service::config::LogLevel;

/// The form of log lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// For people; coloured on a terminal.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
    /// One JSON object a line, with the field names of the Elastic Common Schema.
    Ecs,
}

/// The least important messages to log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Severity {
    /// Everything.
    Debug,
    /// What normally happens.
    Info,
    /// What somebody should look at.
    #[value(alias = "warn")]
    Warning,
    /// What went wrong.
    Error,
    /// What ends the service.
    Critical,
}

impl From<LogLevel> for Severity {
    fn from(level: LogLevel) -> Self {
        match level {
            LogLevel::Debug => Self::Debug,
            LogLevel::Info => Self::Info,
            LogLevel::Warning => Self::Warning,
            LogLevel::Error => Self::Error,
            LogLevel::Critical => Self::Critical,
        }
    }
}

impl Severity {
    fn filter(self) -> LevelFilter {
        match self {
            Self::Debug => LevelFilter::DEBUG,
            Self::Info => LevelFilter::INFO,
            Self::Warning => LevelFilter::WARN,
            // There is no level above error, and what ends the service is one.
            Self::Error | Self::Critical => LevelFilter::ERROR,
        }
    }
}

/// What is logged, and how.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Logging {
    pub(crate) format: LogFormat,
    pub(crate) level: Severity,
    /// For the requests to Elasticsearch.
    pub(crate) elasticsearch: Severity,
}

impl Logging {
    /// All parts of the program alike.
    pub(crate) fn new(format: LogFormat, level: Severity) -> Self {
        Self {
            format,
            level,
            elasticsearch: level,
        }
    }

    /// Begins to log. Once per process; later calls change nothing.
    pub(crate) fn start(self) {
        let coloured = io::stderr().is_terminal() && env::var_os("NO_COLOR").is_none();
        let layer = layer(self, coloured, io::stderr);
        let _ = tracing_subscriber::registry().with(layer).try_init();
        // In the form of all other lines, so that whoever reads them by program can.
        std::panic::set_hook(Box::new(|panic| {
            tracing::error!("mistake in the program: {panic}")
        }));
    }
}

fn layer<W>(logging: Logging, coloured: bool, to: W) -> Box<dyn Layer<Registry> + Send + Sync>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let lines: Box<dyn Layer<Registry> + Send + Sync> = match logging.format {
        LogFormat::Text => fmt::layer()
            .with_ansi(coloured)
            .with_target(logging.level == Severity::Debug)
            .with_writer(to)
            .boxed(),
        LogFormat::Json => JsonLines::new(Shape::Plain, to).boxed(),
        LogFormat::Ecs => JsonLines::new(Shape::Ecs, to).boxed(),
    };
    lines.with_filter(targets(logging)).boxed()
}

/// Ours as asked for; of the libraries below only what is wrong.
fn targets(logging: Logging) -> Targets {
    let libraries = logging.level.filter().min(LevelFilter::WARN);
    Targets::new()
        .with_default(libraries)
        .with_target("tributary", logging.level.filter())
        .with_target("tributary_elastic", logging.elasticsearch.filter())
}

/// The word for a level, as the reference service writes it.
fn word(level: Level) -> &'static str {
    match level {
        Level::ERROR => "error",
        Level::WARN => "warning",
        Level::INFO => "info",
        _ => "debug",
    }
}

#[cfg(test)]
mod tests;
