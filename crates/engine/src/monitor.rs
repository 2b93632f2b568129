//! When failing documents fail the job.

use crate::job::ErrorMonitor;
use std::collections::VecDeque;

/// The rate says something only over this many results (DESIGN §4).
const SMALLEST_WINDOW: usize = 1000;

/// Watches results of documents.
pub(crate) struct Monitor {
    limits: ErrorMonitor,
    /// Failures that are not the document's fault: the index was asked again and again in vain.
    total: u64,
    consecutive: u64,
    window: VecDeque<bool>,
    failed_in_window: usize,
}

/// What happened to one document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mark {
    /// It was written.
    Good,
    /// The index refuses this document and always will.
    Refused,
    /// The index did not take it, for no reason of its own.
    Lost,
}

impl Monitor {
    pub(crate) fn new(limits: ErrorMonitor) -> Self {
        Self {
            limits,
            total: 0,
            consecutive: 0,
            window: VecDeque::new(),
            failed_in_window: 0,
        }
    }

    /// Notes a result; the `Err` says why the job fails now.
    pub(crate) fn note(&mut self, mark: Mark) -> Result<(), String> {
        if !self.limits.enabled {
            return Ok(());
        }
        let size = self.limits.error_window_size.max(SMALLEST_WINDOW);
        if self.window.len() == size && self.window.pop_front() == Some(true) {
            self.failed_in_window -= 1;
        }
        let is_failure = mark != Mark::Good;
        self.window.push_back(is_failure);
        self.failed_in_window += usize::from(is_failure);
        match mark {
            Mark::Good => self.consecutive = 0,
            Mark::Refused => {}
            Mark::Lost => {
                self.total += 1;
                self.consecutive += 1;
            }
        }
        let limits = &self.limits;
        if self.total > limits.max_total_errors {
            return Err(format!(
                "more than {} documents could not be written (elasticsearch.bulk.error_monitor.max_total_errors)",
                limits.max_total_errors
            ));
        }
        if self.consecutive > limits.max_consecutive_errors {
            return Err(format!(
                "more than {} documents in a row could not be written (elasticsearch.bulk.error_monitor.max_consecutive_errors)",
                limits.max_consecutive_errors
            ));
        }
        let rate = self.failed_in_window as f64 / size as f64;
        if self.window.len() == size && rate > limits.max_error_rate {
            return Err(format!(
                "{} of the last {size} documents could not be written (elasticsearch.bulk.error_monitor.max_error_rate)",
                self.failed_in_window
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note_all(marks: impl IntoIterator<Item = Mark>) -> Result<(), String> {
        let mut monitor = Monitor::new(ErrorMonitor::default());
        marks.into_iter().try_for_each(|mark| monitor.note(mark))
    }

    #[test]
    fn a_few_odd_documents_at_the_start_fail_nothing() {
        assert!(note_all(vec![Mark::Refused; 999]).is_ok());
        let reason = note_all(vec![Mark::Refused; 1000]).unwrap_err();
        assert!(reason.contains("max_error_rate"), "{reason}");
    }

    #[test]
    fn an_index_that_takes_nothing_fails_the_job_soon() {
        assert!(note_all(vec![Mark::Lost; 10]).is_ok());
        let reason = note_all(vec![Mark::Lost; 11]).unwrap_err();
        assert!(reason.contains("max_consecutive_errors"), "{reason}");
        let recovering = [vec![Mark::Lost; 10], vec![Mark::Good], vec![Mark::Lost; 10]];
        assert!(note_all(recovering.concat()).is_ok());
    }

    #[test]
    fn the_rate_forgets_what_left_the_window() {
        let marks = [
            vec![Mark::Refused; 150],
            vec![Mark::Good; 1000],
            vec![Mark::Refused; 150],
        ];
        assert!(note_all(marks.concat()).is_ok());
        let marks = [vec![Mark::Good; 849], vec![Mark::Refused; 151]];
        assert!(note_all(marks.concat()).is_err());
    }
}
