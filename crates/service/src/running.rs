//! The jobs that run in this process, and how they are told to end.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};
use tributary_protocol::{JobType, SyncJob};
use tributary_sdk::{StopSignal, StopSource};

/// Why a job ends before its work is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    /// A user asked for it.
    Canceled,
    /// The service ends; the job goes on later.
    Suspended,
    /// Its record, or that of its connector, is not ours any more.
    Lost(String),
}

/// The handle by which a job is told to end. The first reason counts.
#[derive(Debug, Default)]
pub(crate) struct Control {
    stop: StopSource,
    why: OnceLock<Why>,
}

impl Control {
    pub(crate) fn end(&self, why: Why) {
        if self.why.set(why).is_ok() {
            self.stop.stop();
        }
    }

    pub(crate) fn signal(&self) -> StopSignal {
        self.stop.signal()
    }

    pub(crate) fn why(&self) -> Option<&Why> {
        self.why.get()
    }
}

/// The jobs that run in this process.
#[derive(Default)]
pub(crate) struct Running(Arc<Mutex<HashMap<String, Entry>>>);

struct Entry {
    connector_id: String,
    index_name: Option<String>,
    is_content: bool,
    control: Arc<Control>,
}

impl Running {
    /// Enters a job, unless one of the same connector and kind, or one for the same index, runs.
    pub(crate) fn enter(&self, connector_id: &str, job: &SyncJob) -> Option<Place> {
        let entry = Entry {
            connector_id: connector_id.to_owned(),
            index_name: job.connector.index_name.clone(),
            is_content: job.job_type.is_content(),
            control: Arc::default(),
        };
        let mut jobs = self.lock();
        let busy = jobs.contains_key(&job.id)
            || jobs.values().any(|other| {
                let same_connector = other.connector_id == entry.connector_id
                    && other.is_content == entry.is_content;
                let same_index = other.index_name.is_some() && other.index_name == entry.index_name;
                same_connector || same_index
            });
        if busy {
            return None;
        }
        let control = Arc::clone(&entry.control);
        jobs.insert(job.id.clone(), entry);
        Some(Place {
            jobs: Arc::clone(&self.0),
            job_id: job.id.clone(),
            control,
        })
    }

    /// Whether this very job runs here.
    pub(crate) fn has_job(&self, job_id: &str) -> bool {
        self.lock().contains_key(job_id)
    }

    /// Whether a job of this connector and kind runs here.
    pub(crate) fn has_job_of(&self, connector_id: &str, job_type: JobType) -> bool {
        self.lock().values().any(|entry| {
            entry.connector_id == connector_id && entry.is_content == job_type.is_content()
        })
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The place of a running job; free again when dropped.
pub(crate) struct Place {
    jobs: Arc<Mutex<HashMap<String, Entry>>>,
    job_id: String,
    pub(crate) control: Arc<Control>,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        jobs.remove(&self.job_id);
    }
}
