//! `run`: the service as a process. And the same under the name `elastic-ingest`.

use crate::{
    arguments::{ActionName, IngestAction, IngestArguments, LogOptions, RunArguments},
    connection,
    failure::{Exit, Failure, Result},
    logging::{LogFormat, Logging, Severity},
    output::{say, say_json},
    runtime, settings, signals,
    sources::REGISTRY,
};
use serde_json::json;
use std::{net::SocketAddr, path::Path, sync::Arc, time::Duration};
use tokio::task::JoinHandle;
use tributary_admin::{Admin, AdminError, Metrics, Probes, Report};
use tributary_sdk::StopSource;
use tributary_service::{Actions, Config, Service, Status};

/// The key that says where metrics and health are served.
const HEALTH_ADDRESS: &str = "service.health_address";
/// How long requests for metrics may take to end.
const FAREWELL: Duration = Duration::from_secs(2);

/// How the service is run.
struct Plan<'a> {
    config_file: &'a Path,
    actions: Actions,
    log_level: Option<Severity>,
    log_format: LogFormat,
}

/// Runs the service until it is told to end.
pub(crate) fn service(arguments: &RunArguments, log: LogOptions) -> Result<()> {
    let names = arguments.action.as_slice();
    let has = |name| names.is_empty() || names.contains(&name);
    let plan = Plan {
        config_file: &arguments.config,
        actions: Actions {
            schedule: has(ActionName::Schedule),
            sync_content: has(ActionName::SyncContent),
            sync_access_control: has(ActionName::SyncAccessControl),
            cleanup: has(ActionName::Cleanup),
        },
        log_level: log.log_level,
        log_format: log.log_format,
    };
    plan.run(&[])
}

/// Does what `elastic-ingest` would do with these arguments.
pub(crate) fn as_elastic_ingest(arguments: IngestArguments) -> Result<()> {
    let names = arguments.action.as_slice();
    for alone in [IngestAction::List, IngestAction::Config] {
        if names.contains(&alone) && names.iter().any(|name| *name != alone) {
            return Err(Failure::usage(
                "the actions `list` and `config` cannot be combined with other actions",
            ));
        }
    }
    match names.first() {
        Some(IngestAction::List) => return list(),
        Some(IngestAction::Config) => return configuration(arguments.service_type.as_deref()),
        _ => {}
    }
    let has = |name| names.is_empty() || names.contains(&name);
    let plan = Plan {
        config_file: &arguments.config_file,
        actions: Actions {
            schedule: has(IngestAction::Schedule),
            sync_content: has(IngestAction::SyncContent),
            sync_access_control: has(IngestAction::SyncAccessControl),
            cleanup: has(IngestAction::Cleanup),
        },
        log_level: match arguments.debug {
            true => Some(Severity::Debug),
            false => arguments.log_level,
        },
        log_format: match arguments.filebeat {
            true => LogFormat::Ecs,
            false => LogFormat::Text,
        },
    };
    match arguments.uvloop {
        true => plan.run(&["--uvloop has no effect: there is no Python event loop here"]),
        false => plan.run(&[]),
    }
}

fn list() -> Result<()> {
    for source in REGISTRY.iter() {
        say(source.name);
    }
    Ok(())
}

fn configuration(service_type: Option<&str>) -> Result<()> {
    let service_type = service_type.ok_or_else(|| {
        Failure::usage("the action `config` needs a service type")
            .hint("elastic-ingest --action config --service-type postgresql")
    })?;
    let source = REGISTRY.find(service_type).map_err(Failure::usage)?;
    say_json(&json!(source.configuration()));
    Ok(())
}

impl Plan<'_> {
    fn run(self, notes: &[&str]) -> Result<()> {
        let parsed = settings::for_service(self.config_file)?;
        let config = parsed.config;
        Logging {
            format: self.log_format,
            level: self.log_level.unwrap_or(config.service.log_level.into()),
            elasticsearch: self
                .log_level
                .unwrap_or(config.elasticsearch.log_level.into()),
        }
        .start();
        tracing::info!(
            "tributary {} with {}",
            env!("CARGO_PKG_VERSION"),
            self.config_file.display()
        );
        for note in notes {
            tracing::warn!("{note}");
        }
        for warning in parsed.warnings {
            tracing::warn!("{}: {warning}", self.config_file.display());
        }
        warn_of_unknown_types(&config);
        runtime::spread(serve(config, self.actions))
    }
}

/// The service itself goes on with the other connectors.
fn warn_of_unknown_types(config: &Config) {
    let of_connectors = config
        .connectors
        .iter()
        .map(|connector| &connector.service_type);
    for service_type in of_connectors.chain(&config.service.service_types) {
        if let Err(unknown) = REGISTRY.find(service_type) {
            tracing::error!("{unknown}");
        }
    }
}

async fn serve(config: Config, actions: Actions) -> Result<()> {
    let stop = signals::stop_signal()?;
    let admin = match &config.service.health_address {
        Some(address) => Some(bind(address).await?),
        None => None,
    };
    let host = connection::host(&config)?;
    let service = Service::new(config, host).with_actions(actions);
    let served_until = StopSource::new();
    let serving = match admin {
        Some(admin) => Some(begin(admin, service.status(), &served_until)?),
        None => None,
    };
    let outcome = service.run(stop).await;
    served_until.stop();
    if let Some(serving) = serving {
        // Who still asks for metrics now gets no answer.
        let _ = tokio::time::timeout(FAREWELL, serving).await;
    }
    Ok(outcome?)
}

async fn bind(address: &str) -> Result<Admin> {
    let unusable = |why: &dyn std::fmt::Display| {
        Failure::configuration(format!(
            "the address {address} for metrics and health cannot be used: {why}"
        ))
        .hint(format!(
            "set '{HEALTH_ADDRESS}' to an address of this machine, or to 'off'"
        ))
    };
    let found: Vec<SocketAddr> = tokio::net::lookup_host(address)
        .await
        .map_err(|error| unusable(&error))?
        .collect();
    let first = found
        .first()
        .ok_or_else(|| unusable(&"the name is unknown"))?;
    Admin::bind(*first, HEALTH_ADDRESS)
        .await
        .map_err(Failure::configuration)
}

/// Serves metrics and health, in a task of its own.
fn begin(
    admin: Admin,
    status: Status,
    until: &StopSource,
) -> Result<JoinHandle<Result<(), AdminError>>> {
    let metrics = Metrics::install().map_err(|error| Failure::new(Exit::Failed, error))?;
    tracing::info!("metrics and health at http://{}", admin.address());
    let until = until.signal();
    let stopped = async move { until.stopped().await };
    Ok(tokio::spawn(admin.serve(
        metrics,
        Arc::new(ServiceProbes(status)),
        stopped,
    )))
}

struct ServiceProbes(Status);

impl Probes for ServiceProbes {
    fn live(&self) -> Report {
        Report {
            reasons: self.0.why_not_live(),
        }
    }

    fn ready(&self) -> Report {
        Report {
            reasons: self.0.why_not_ready(),
        }
    }
}
