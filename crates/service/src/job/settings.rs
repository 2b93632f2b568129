//! From config.yml to the sizes and limits of a job.

use crate::config::Config;
use tributary_engine::{Brake, ErrorMonitor, PipelineFlags, Settings};
use tributary_protocol::SyncJob;

pub(super) fn settings(config: &Config, job: &SyncJob, brake: Brake) -> Settings {
    let bulk = &config.elasticsearch.bulk;
    let monitor = &bulk.error_monitor;
    let default = Settings::default();
    Settings {
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
        brake,
        ..default
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
