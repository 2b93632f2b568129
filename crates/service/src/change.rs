//! Changes of a record that somebody else may be changing too.

use tributary_protocol::{
    Connector,
    records::{ConnectorChange, Records, RecordsError, RecordsErrorKind, Versioned},
};

/// So often somebody else may be faster, in one change.
const ATTEMPTS: usize = 5;

/// What came of a change.
#[derive(Debug)]
pub(crate) enum Changed {
    /// It was made, on this record.
    Done(Box<Versioned<Connector>>),
    /// It is not wanted any more: `decide` says no about the record as it is now.
    Unwanted(Box<Versioned<Connector>>),
    /// There is no such connector.
    Gone,
}

/// Changes a connector as `decide` says about the record as it is *now*, under concurrency control:
/// when somebody else writes in between, the record is read again and `decide` asked again.
///
/// `known` is the record as it was last seen, if it was; `decide` sees it first.
pub(crate) async fn change_connector(
    records: &dyn Records,
    id: &str,
    known: Option<&Versioned<Connector>>,
    decide: impl Fn(&Connector) -> Option<ConnectorChange> + Send,
) -> Result<Changed, RecordsError> {
    let mut known = known.cloned();
    let mut attempt = 1;
    loop {
        let connector = match known.take() {
            Some(connector) => connector,
            None => match records.connector(id).await? {
                Some(connector) => connector,
                None => return Ok(Changed::Gone),
            },
        };
        let Some(change) = decide(&connector.record) else {
            return Ok(Changed::Unwanted(Box::new(connector)));
        };
        match records
            .change_connector(id, &change, Some(connector.seen))
            .await
        {
            Ok(()) => return Ok(Changed::Done(Box::new(connector))),
            Err(error) if error.kind == RecordsErrorKind::NotFound => return Ok(Changed::Gone),
            Err(error) if error.kind == RecordsErrorKind::Conflict && attempt < ATTEMPTS => {
                attempt += 1;
            }
            Err(error) => return Err(error),
        }
    }
}
