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
    let small_syncs = service.max_concurrent_access_control_syncs.max(1) as u64;
    // The configuration was refused if this leaves less than that to a content sync.
    let least = small_syncs.saturating_mul(Settings::LEAST_MEMORY as u64);
    let small = (service.memory_budget / ACCESS_CONTROL_SHARE).max(least);
    match is_content {
        true => {
            let syncs = service.max_concurrent_content_syncs.max(1) as u64;
            service.memory_budget.saturating_sub(small) / syncs
        }
        false => small / small_syncs,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_syncs_together_take_no_more_than_the_budget_and_each_has_what_it_needs() {
        for (budget, content, small) in [(128, 1, 1), (16, 1, 1), (40, 2, 3), (1024, 8, 2)] {
            let service = ServiceConfig {
                memory_budget: budget << 20,
                max_concurrent_content_syncs: content,
                max_concurrent_access_control_syncs: small,
                ..crate::Config::default().service
            };
            let (each, each_small) = (memory(&service, true), memory(&service, false));
            let sum = each * content as u64 + each_small * small as u64;
            assert!(sum <= service.memory_budget, "{budget}: {sum}");
            assert!(
                each.min(each_small) >= Settings::LEAST_MEMORY as u64,
                "{budget}"
            );
        }
    }
}
