//! Looking after a connector: complete its record, check its configuration, its data source and the
//! draft of its sync rules, and say so in its status (service sheet §3).

use crate::{
    Room,
    change::{Changed, change_connector},
    context::Context,
    failure::Failure,
    prepare::{missing, service_type},
    sources,
    trouble::TurnErrors,
};
use serde_json::{Map, Value};
use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{sync::Semaphore, task::JoinSet};
use tokio_util::task::AbortOnDropHandle;
use tributary_protocol::{
    Connector, ConnectorStatus,
    filtering::{FilteringValidation, SyncRules},
    records::{ConnectorChange, RecordsError, Versioned},
};
use tributary_sdk::{
    Source, SourceType,
    rules::{RuleProblem, RuleSet},
};

/// A data source that takes longer than this to answer a check does not answer.
const PATIENCE: Duration = Duration::from_secs(120);

/// The checks that run, at most `max_concurrent_scheduling_tasks` at once; one data source that hangs
/// holds up nobody but its own connector.
pub(crate) struct Checks {
    context: Arc<Context>,
    tasks: JoinSet<(String, Result<(), RecordsError>)>,
    places: Arc<Semaphore>,
    /// Connectors that are being checked or wait for it.
    busy: HashSet<String>,
    /// When each was last begun.
    begun: HashMap<String, Duration>,
    built: Built,
}

impl Checks {
    pub(crate) fn new(context: &Arc<Context>) -> Self {
        let places = context
            .config
            .service
            .max_concurrent_scheduling_tasks
            .max(1);
        Self {
            context: Arc::clone(context),
            tasks: JoinSet::new(),
            places: Arc::new(Semaphore::new(places)),
            busy: HashSet::new(),
            begun: HashMap::new(),
            built: Built::default(),
        }
    }

    /// Begins to check a connector, unless that is on already or was done within `idling`.
    pub(crate) fn begin(&mut self, connector: Versioned<Connector>) {
        let id = connector.record.id.clone();
        let now = self.context.clock().now();
        let fresh = self
            .begun
            .get(&id)
            .is_some_and(|begun| now - *begun < self.context.config.service.idling);
        if fresh || !self.busy.insert(id.clone()) {
            return;
        }
        self.begun.insert(id.clone(), now);
        let context = Arc::clone(&self.context);
        let places = Arc::clone(&self.places);
        let built = self.built.clone();
        self.tasks.spawn(async move {
            // The semaphore is never closed.
            let _place = places.acquire().await;
            (id, check(&context, &built, connector).await)
        });
    }

    /// Forgets what is kept of connectors that are not among these any more.
    pub(crate) fn keep_only(&mut self, ids: &HashSet<String>) {
        self.begun.retain(|id, _| ids.contains(id));
        self.built.lock().retain(|id, _| ids.contains(id));
    }

    /// Takes note of the checks that have ended.
    pub(crate) fn collect(&mut self, errors: &mut TurnErrors<'_>) {
        while let Some(ended) = self.tasks.try_join_next() {
            match ended {
                Ok((id, result)) => {
                    self.busy.remove(&id);
                    if let Err(error) = result {
                        errors.records("check a connector", &error);
                    }
                }
                // Code of a source runs in a task of its own, so this is ours.
                Err(error) => errors.other("check a connector", &error),
            }
        }
        if self.tasks.is_empty() {
            self.busy.clear();
        }
    }

    pub(crate) async fn end(mut self) {
        self.tasks.shutdown().await;
    }
}

async fn check(
    context: &Arc<Context>,
    built: &Built,
    connector: Versioned<Connector>,
) -> Result<(), RecordsError> {
    let id = connector.record.id.clone();
    let named = context.named(&id);
    let Some(service_type) = service_type(&connector.record, named).map(str::to_owned) else {
        tracing::warn!(
            connector = id,
            "no service type: set it in Kibana or in config.yml"
        );
        return Ok(());
    };
    let source_type = match context.host.registry.find(&service_type) {
        Ok(source_type) => source_type,
        Err(unknown) => {
            let failure = Failure::invalid_config(unknown);
            return write_status(context, &id, &connector, Some(&failure)).await;
        }
    };
    let Some(connector) = complete(context, connector, source_type).await? else {
        return Ok(());
    };
    if !connector.record.is_gate_open() {
        tracing::debug!(connector = id, status = %connector.record.status, "waits for its configuration");
        return Ok(());
    }
    let examined = examine(context, built, &connector.record, source_type).await;
    if connector.record.filtering.needs_validation() {
        let source = examined.as_ref().ok().map(|source| &**source);
        check_draft(context, &connector, source).await?;
    }
    let problem = examined
        .err()
        .or_else(|| unreadable_schedule(&connector.record));
    write_status(context, &id, &connector, problem.as_ref()).await
}

/// Adds what the record lacks; the answer is the record as it is then.
async fn complete(
    context: &Context,
    connector: Versioned<Connector>,
    source_type: &'static SourceType,
) -> Result<Option<Versioned<Connector>>, RecordsError> {
    let id = &connector.record.id;
    let prepared = change_connector(&*context.records, id, Some(&connector), |record| {
        missing(record, source_type)
    });
    match prepared.await? {
        Changed::Unwanted(connector) => Ok(Some(*connector)),
        Changed::Gone => Ok(None),
        Changed::Done(_) => {
            tracing::info!(connector = id, "completed the connector's record");
            context.records.connector(id).await
        }
    }
}

/// Builds the source and asks the data source. Code of the source runs in a task of its own: whatever
/// it does, it harms nobody else.
async fn examine(
    context: &Arc<Context>,
    built: &Built,
    connector: &Connector,
    source_type: &'static SourceType,
) -> Result<Arc<dyn Source>, Failure> {
    let task = {
        let context = Arc::clone(context);
        let built = built.clone();
        let id = connector.id.clone();
        let configuration = connector.configuration.clone();
        tokio::spawn(async move {
            let source = built
                .source(&context, &id, source_type, configuration)
                .await?;
            sources::examine(&*source).await?;
            Ok(source)
        })
    };
    tokio::select! {
        result = AbortOnDropHandle::new(task) => result.unwrap_or_else(|error| {
            let what = format!("the check of the service type '{}'", source_type.service_type);
            Err(Failure::died(&what, error))
        }),
        () = context.clock().sleep(PATIENCE) => {
            let text = format!("the data source did not answer within {} s", PATIENCE.as_secs());
            Err(Failure::new("Timeout", text))
        }
    }
}

/// A schedule that is switched on, but says no time.
fn unreadable_schedule(connector: &Connector) -> Option<Failure> {
    tributary_protocol::JobType::ALL
        .iter()
        .find_map(|job_type| {
            let schedule = connector.scheduling.of(*job_type);
            let now = chrono::DateTime::UNIX_EPOCH;
            let error = schedule.next_after(now).err()?;
            Some(Failure::invalid_config(format!(
                "the schedule of {job_type} syncs, '{}', cannot be used: {error}",
                schedule.interval
            )))
        })
}

/// Checks the draft of the sync rules. What cannot be checked now stays as it is.
async fn check_draft(
    context: &Context,
    connector: &Versioned<Connector>,
    source: Option<&dyn Source>,
) -> Result<(), RecordsError> {
    let id = &connector.record.id;
    let draft = &connector.record.filtering.draft;
    let problems = match problems_of(draft, source).await {
        Ok(problems) => problems,
        Err(failure) => {
            tracing::warn!(
                connector = id,
                "the draft of the sync rules cannot be checked now: {failure}"
            );
            return Ok(());
        }
    };
    let validation = FilteringValidation::of(problems);
    tracing::info!(connector = id, state = %validation.state, "checked the draft of the sync rules");
    let written = change_connector(&*context.records, id, Some(connector), |record| {
        // If the user has changed it meanwhile, the next look checks what it is then.
        let same = record.filtering.needs_validation() && record.filtering.draft == *draft;
        same.then(|| ConnectorChange::FilteringChecked(validation.clone()))
    });
    written.await.map(drop)
}

async fn problems_of(
    draft: &SyncRules,
    source: Option<&dyn Source>,
) -> Result<Vec<RuleProblem>, Failure> {
    let mut problems = RuleSet::compile(&draft.rules).err().unwrap_or_default();
    if let Some(advanced) = draft.advanced() {
        let Some(source) = source else {
            return Err(Failure::new(
                "Unavailable",
                "the data source is not reached",
            ));
        };
        problems.extend(sources::check_advanced(source, advanced).await?);
    }
    Ok(problems)
}

/// Writes `connected`, or `error` and why; nothing if the record says so already.
async fn write_status(
    context: &Context,
    id: &str,
    connector: &Versioned<Connector>,
    problem: Option<&Failure>,
) -> Result<(), RecordsError> {
    let error = problem.map(ToString::to_string);
    let status = match problem {
        Some(_) => ConnectorStatus::Error,
        None => ConnectorStatus::Connected,
    };
    let checked = connector.record.configuration.clone();
    let written = change_connector(&*context.records, id, Some(connector), |record| {
        // What was checked has to be what is there now.
        let same = record.configuration == checked && record.status.can_become(status);
        let news = record.status != status || record.error != error;
        (same && news).then(|| ConnectorChange::Status {
            status,
            error: error.clone(),
        })
    });
    if let Changed::Done(_) = written.await? {
        match &error {
            Some(error) => tracing::warn!(connector = id, "{error}"),
            None => tracing::info!(connector = id, "connected to the data source"),
        }
    }
    Ok(())
}

/// The sources of connectors between two checks: built again when the configuration changes.
#[derive(Clone, Default)]
struct Built(Arc<Mutex<HashMap<String, Kept>>>);

struct Kept {
    service_type: &'static str,
    configuration: Map<String, Value>,
    source: Arc<dyn Source>,
    _room: Room,
}

impl Built {
    async fn source(
        &self,
        context: &Context,
        connector_id: &str,
        source_type: &'static SourceType,
        configuration: Map<String, Value>,
    ) -> Result<Arc<dyn Source>, Failure> {
        let service_type = source_type.service_type;
        let kept = self.lock().remove(connector_id).filter(|kept| {
            kept.service_type == service_type && kept.configuration == configuration
        });
        if let Some(kept) = kept {
            let source = Arc::clone(&kept.source);
            self.lock().insert(connector_id.to_owned(), kept);
            return Ok(source);
        }
        let room = context
            .host
            .files
            .room(&format!("check-{connector_id}"))
            .await;
        let room = room.map_err(|error| {
            Failure::new("DiskError", format!("no room for temporary files: {error}"))
        })?;
        let stop = context.ending.clone();
        let folder = room.folder.clone();
        let source = sources::build(&context.config, source_type, &configuration, stop, folder)?;
        let kept = Kept {
            service_type,
            configuration,
            source: Arc::clone(&source),
            _room: room,
        };
        self.lock().insert(connector_id.to_owned(), kept);
        Ok(source)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Kept>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
