//! Heartbeats: `last_seen` of the connectors (service sheet §3).

use crate::{context::Context, metric_names::LAST_HEARTBEAT, trouble::TurnErrors};
use std::collections::HashSet;
use tributary_protocol::records::ConnectorChange;

const NAME: &str = "heartbeat";

/// A loop of its own, so that no data source that hangs can make its connector, or others, look dead.
pub(crate) async fn run(context: &Context) {
    let service = &context.config.service;
    let interval = service.idling.min(service.heartbeat);
    let mut greeted = HashSet::new();
    let mut missed = HashSet::new();
    loop {
        context.status.turn(NAME, interval);
        turn(context, &mut greeted, &mut missed).await;
        if !context.pause(interval).await {
            return context.status.ended(NAME);
        }
    }
}

/// `greeted` are those that this process has sent a heartbeat for: the first is always sent. `missed`
/// are those that config.yml names and nobody has made: said once.
async fn turn(context: &Context, greeted: &mut HashSet<String>, missed: &mut HashSet<String>) {
    let mut errors = TurnErrors::of(&context.trouble, NAME);
    let connectors = match context.connectors().await {
        Ok(connectors) => connectors,
        Err(error) => return errors.records("list connectors", &error),
    };
    for named in &context.config.connectors {
        let id = &named.connector_id;
        let is_there = connectors
            .iter()
            .any(|connector| connector.record.id == *id);
        if is_there {
            missed.remove(id);
        } else if missed.insert(id.clone()) {
            tracing::warn!("there is no connector '{id}', which config.yml names; waiting for it");
        }
    }
    let interval = context.config.service.heartbeat;
    for connector in connectors {
        let connector = connector.record;
        let now = context.clock().utc();
        if greeted.contains(&connector.id) && !connector.is_heartbeat_due(interval, now) {
            continue;
        }
        let change = ConnectorChange::CheckIn;
        match context
            .records
            .change_connector(&connector.id, &change, None)
            .await
        {
            Ok(()) => {
                tracing::debug!(connector = connector.id, "heartbeat");
                metrics::gauge!(LAST_HEARTBEAT).set(now.timestamp() as f64);
                greeted.insert(connector.id);
            }
            Err(error) => errors.records("send a heartbeat", &error),
        }
    }
}
