//! What has to be true before the loops begin (service sheet §1).

use crate::{ServiceError, context::Context};
use std::time::Duration;
use tributary_protocol::records::RecordsErrorKind;

/// `Ok(false)`: told to end meanwhile.
pub(crate) async fn run(context: &Context) -> Result<bool, ServiceError> {
    if context.config.extraction_service.is_some() {
        tracing::warn!(
            "extraction_service has no effect: text is extracted by the ingest pipeline"
        );
    }
    Ok(wait_for_server(context).await? && prepare_records(context).await?)
}

/// Waits until the server answers: pauses of `initial_backoff_duration`, each `backoff_multiplier`
/// times the one before, `max_wait_duration` in all.
async fn wait_for_server(context: &Context) -> Result<bool, ServiceError> {
    let settings = &context.config.elasticsearch;
    let deadline = context.clock().now() + settings.max_wait_duration;
    let mut pause = settings.initial_backoff_duration;
    loop {
        let greeting = tokio::select! {
            biased;
            () = context.ending.stopped() => return Ok(false),
            greeting = context.host.server.greet() => greeting,
        };
        let error = match greeting {
            Ok(greeting) => {
                tracing::info!("connected to {} at {}", greeting.product, settings.host);
                if let Some(warning) = greeting.warning {
                    tracing::warn!("{warning}");
                }
                return Ok(true);
            }
            Err(error) if error.kind != RecordsErrorKind::Unavailable => {
                return Err(ServiceError::Refused(error));
            }
            Err(error) => error,
        };
        context.status.fell_silent(&error.message);
        let left = deadline.saturating_sub(context.clock().now());
        if left.is_zero() {
            return Err(ServiceError::Unreachable {
                waited: settings.max_wait_duration,
                error,
            });
        }
        pause = pause.min(left);
        tracing::warn!("{error}; trying again in {:.1} s", pause.as_secs_f64());
        if !context.pause(pause).await {
            return Ok(false);
        }
        pause = next_pause(pause, settings.backoff_multiplier);
    }
}

fn next_pause(pause: Duration, multiplier: f64) -> Duration {
    let seconds = (pause.as_secs_f64() * multiplier).clamp(0.01, 3600.0);
    Duration::from_secs_f64(seconds)
}

/// Makes the two indices, up to `preflight_max_attempts` times, `preflight_idle` apart.
async fn prepare_records(context: &Context) -> Result<bool, ServiceError> {
    let attempts = context.config.service.preflight_max_attempts.max(1);
    for attempt in 1..=attempts {
        let prepared = tokio::select! {
            biased;
            () = context.ending.stopped() => return Ok(false),
            prepared = context.records.prepare() => prepared,
        };
        match prepared {
            Ok(()) => {
                context.status.prepared();
                return Ok(true);
            }
            Err(error) if attempt == attempts => {
                return Err(ServiceError::NotPrepared { attempts, error });
            }
            Err(error) => {
                tracing::warn!("attempt {attempt} of {attempts} to prepare the records: {error}");
            }
        }
        if !context.pause(context.config.service.preflight_idle).await {
            return Ok(false);
        }
    }
    Ok(true)
}
