//! `quickstart`: a store, the service and a folder of documents, in one process.

mod connector;
mod place;
mod words;

use crate::{
    arguments::QuickstartArguments,
    commands::{Live, follow, report},
    connection,
    failure::{Exit, Failure, Result},
    output::{complain, say},
    progress::Progress,
    runtime, signals,
};
use anyhow::Context;
use place::Place;
use std::{
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    time::Duration,
};
use tokio::task::JoinHandle;
use tributary_devstore::{Store, StoreConfig, StoreError};
use tributary_elastic::{Client, ElasticRecords};
use tributary_protocol::SyncJob;
use tributary_sdk::{StopSignal, StopSource};
use tributary_service::{Service, ServiceError};

/// The pause between the end of a sync and the next.
const PAUSE: Duration = Duration::from_secs(60);
/// The user of the store.
const USER: &str = "elastic";

/// Runs until Ctrl-C; with `--once`, until the first sync has ended.
pub(crate) fn run(arguments: &QuickstartArguments) -> Result<()> {
    let folder = existing_folder(&arguments.folder)?;
    let place = Place::open(&arguments.data_dir)?;
    if place.path().starts_with(&folder) {
        return Err(Failure::usage(format!(
            "the data folder {} is inside of the folder to sync; the store would sync itself",
            place.path().display()
        ))
        .hint("choose another place with --data-dir"));
    }
    runtime::spread(async {
        let stop = signals::stop_signal()?;
        let store = start_store(&place, arguments.port).await?;
        // First of all, and at once: where everything is.
        say(&format!("store: {}", store.url()));
        let outcome = with_store(&store, &place, &folder, arguments.once, stop).await;
        let stopped = store.stop().await.context("the store did not stop cleanly");
        outcome?;
        Ok(stopped?)
    })
}

fn existing_folder(path: &Path) -> Result<PathBuf> {
    let shown = path.display();
    let folder = path.canonicalize().map_err(|error| {
        Failure::usage(format!("the folder {shown} cannot be read: {error}"))
            .hint("name the folder to sync with --folder")
    })?;
    match folder.is_dir() {
        true => Ok(folder),
        false => Err(Failure::usage(format!("{shown} is not a folder"))
            .hint("name the folder to sync with --folder")),
    }
}

async fn start_store(place: &Place, port: u16) -> Result<Store> {
    let started = Store::start(StoreConfig {
        folder: place.store_folder(),
        listen: SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
        password: Some(place.password().expose().to_owned()),
    });
    started.await.map_err(|error| {
        let hint = match &error {
            StoreError::PortInUse(_) | StoreError::Listen { .. } => {
                Some("another port: --port 9281, or --port 0 for a free one")
            }
            StoreError::FolderInUse(_) | StoreError::Folder { .. } => {
                Some("another folder for the data: --data-dir FOLDER")
            }
            StoreError::Internal(_) => None,
        };
        let failure = Failure::new(Exit::Failed, error);
        match hint {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    })
}

/// What is at work beside the store.
struct AtWork<'a> {
    client: Client,
    records: ElasticRecords,
    place: &'a Place,
    address: SocketAddr,
}

async fn with_store(
    store: &Store,
    place: &Place,
    folder: &Path,
    once: bool,
    stop: StopSignal,
) -> Result<()> {
    let config = place.config(&store.url())?;
    let (client, records) = connection::connect(&config)?;
    connector::prepare(&records, folder).await?;
    let ending = StopSource::new();
    let service = Service::new(config.clone(), connection::host(&config)?);
    let mut service = tokio::spawn(service.run(ending.signal()));
    let at_work = AtWork {
        client,
        records,
        place,
        address: store.address(),
    };
    let outcome = tokio::select! {
        biased;
        () = stop.stopped() => Ok(()),
        ended = &mut service => return Err(unexpected(ended)),
        outcome = at_work.syncs(folder, once) => outcome,
    };
    ending.stop();
    let ended = finish(service).await;
    outcome?;
    ended
}

async fn finish(service: JoinHandle<Result<(), ServiceError>>) -> Result<()> {
    match service.await {
        Ok(ended) => Ok(ended?),
        Err(error) => Err(Failure::new(
            Exit::Failed,
            format!("the service broke off: {error}"),
        )),
    }
}

fn unexpected(ended: Result<Result<(), ServiceError>, tokio::task::JoinError>) -> Failure {
    match ended {
        Ok(Err(error)) => error.into(),
        Ok(Ok(())) => Failure::new(Exit::Failed, "the service ended without being told to"),
        Err(error) => Failure::new(Exit::Failed, format!("the service broke off: {error}")),
    }
}

impl AtWork<'_> {
    async fn syncs(&self, folder: &Path, once: bool) -> Result<()> {
        say(&format!("folder: {}", folder.display()));
        let job = self.sync(Progress::new()).await?;
        report(&job)?;
        say(&self.first_words(&job).await);
        if once {
            return Ok(());
        }
        say(&format!(
            "Other commands: tributary job list -c {}",
            self.place.config_file().display()
        ));
        say("The folder is synced again every minute. Ctrl-C ends it.");
        self.go_on(job.total_document_count).await
    }

    async fn sync(&self, progress: Progress) -> Result<SyncJob> {
        let id = connector::job(&self.records).await?;
        let live = Live {
            client: &self.client,
            index: connector::INDEX,
        };
        follow(&self.records, &id, Some(live), progress).await
    }

    /// How many documents there are, and a search that finds some.
    async fn first_words(&self, job: &SyncJob) -> String {
        let count = job.counters.indexed_document_count;
        if job.total_document_count == Some(0) {
            return format!("{count} documents indexed; there is nothing to search in");
        }
        let word = words::to_search(&self.client, connector::INDEX).await;
        format!(
            "{count} documents indexed, search: curl -u {USER}:{} 'http://{}/{}/_search?q={word}'",
            self.place.password().expose(),
            self.address,
            connector::INDEX
        )
    }

    /// Syncs again and again; says only what is new.
    async fn go_on(&self, mut total: Option<u64>) -> Result<()> {
        let mut trouble = String::new();
        loop {
            tokio::time::sleep(PAUSE).await;
            let job = match self.sync(Progress::hidden()).await {
                Ok(job) => job,
                Err(failure) => {
                    complain(&failure.to_string());
                    continue;
                }
            };
            let failed = report(&job)
                .err()
                .map_or_else(String::new, |failure| failure.to_string());
            if !failed.is_empty() && failed != trouble {
                complain(&failed);
            }
            trouble = failed;
            if job.total_document_count != total {
                total = job.total_document_count;
                say(&format!("{} documents now", total.unwrap_or_default()));
            }
        }
    }
}
