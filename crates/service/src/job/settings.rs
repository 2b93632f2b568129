//! From config.yml, and from what was asked of a job, to its sizes and limits.

use crate::config::{Config, ServiceConfig};
use tributary_engine::{Brake, ErrorMonitor, PipelineFlags, Settings};
use tributary_protocol::{JobRequest, SyncJob};
use tributary_sdk::DocId;

/// Of the memory budget, one part in so many is for access control syncs: they are small.
const ACCESS_CONTROL_SHARE: u64 = 8;

pub(super) fn settings(
    config: &Config,
    job: &SyncJob,
    brake: Brake,
    replay: Vec<DocId>,
) -> Settings {
    let bulk = &config.elasticsearch.bulk;
    let monitor = &bulk.error_monitor;
    let request = JobRequest::of(job);
    let default = Settings::default();
    let settings = Settings {
        document_pool: bytes(bulk.queue_max_mem_size).max(1 << 20),
        chunk_entries: bulk.chunk_size,
        chunk_bytes: bulk.chunk_max_mem_size.map(bytes),
        max_concurrency: bulk.max_concurrency,
        concurrent_downloads: bulk.concurrent_downloads.max(1),
        max_file_size: config.service.max_file_download_size,
        max_text_size: bulk.max_text_document_size.map_or(0, bytes),
        flags: job.job_type.is_content().then(|| flags(job)),
        error_monitor: ErrorMonitor {
            enabled: monitor.enabled,
            max_total_errors: monitor.max_total_errors,
            max_consecutive_errors: monitor.max_consecutive_errors,
            max_error_rate: monitor.max_error_rate,
            error_window_size: monitor.error_window_size,
        },
        brake: Brake {
            released: brake.released || request.allow_deletes,
            ..brake
        },
        force: request.force,
        replay,
        ..default
    };
    settings.within(bytes(memory(&config.service, job.job_type.is_content())))
}

/// The memory of one job, in bytes.
fn memory(service: &ServiceConfig, is_content: bool) -> u64 {
    let small = service.memory_budget / ACCESS_CONTROL_SHARE;
    match is_content {
        true => {
            let syncs = service.max_concurrent_content_syncs.max(1) as u64;
            (service.memory_budget - small) / syncs
        }
        false => small / service.max_concurrent_access_control_syncs.max(1) as u64,
    }
}

/// The switches of the job's pipeline.
pub(super) fn flags(job: &SyncJob) -> PipelineFlags {
    let pipeline = &job.connector.pipeline;
    PipelineFlags {
        extract_binary_content: pipeline.extract_binary_content,
        reduce_whitespace: pipeline.reduce_whitespace,
        run_ml_inference: pipeline.run_ml_inference,
    }
}

fn bytes(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}
