//! Looks at the records of a running job (service sheet §4 step 5).

use super::claim::Claimed;
use crate::{
    context::Context,
    running::{Control, Why},
};
use std::time::Duration;
use tributary_protocol::{JobStatus, records::RecordsError};

/// How often both records are read.
const INTERVAL: Duration = Duration::from_secs(5);

/// Returns when the job was told to end: it was canceled, it is not ours any more, or the service is
/// ending. Records that cannot be read are read again later.
pub(super) async fn watch(context: &Context, claimed: &Claimed, control: &Control) {
    while context.pause(INTERVAL).await {
        let look = tokio::select! {
            biased;
            () = context.ending.stopped() => break,
            look = look(context, claimed) => look,
        };
        match look {
            Ok(None) => {}
            Ok(Some(why)) => {
                tracing::info!(job = claimed.job.id, ?why, "the job is told to end");
                return control.end(why);
            }
            Err(error) => tracing::debug!(job = claimed.job.id, %error, "cannot look at the job"),
        }
    }
    control.end(Why::Suspended);
}

async fn look(context: &Context, claimed: &Claimed) -> Result<Option<Why>, RecordsError> {
    let lost = |text: &str| Ok(Some(Why::Lost(text.to_owned())));
    let Some(job) = context.records.job(&claimed.job.id).await? else {
        return lost("The job was deleted while it ran.");
    };
    let job = job.record;
    match job.status {
        JobStatus::InProgress if job.worker_hostname.as_ref() != Some(&context.host.hostname) => {
            return lost("Another instance took the job over.");
        }
        JobStatus::InProgress => {}
        JobStatus::Canceling | JobStatus::Canceled => return Ok(Some(Why::Canceled)),
        status => {
            let text = format!("Somebody else set the job to '{status}' while it ran.");
            return Ok(Some(Why::Lost(text)));
        }
    }
    match context.records.connector(&claimed.connector.id).await? {
        Some(_) => Ok(None),
        None => lost("The connector was deleted while the job ran."),
    }
}
