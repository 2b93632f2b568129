//! What a connector record lacks (service sheet §3, "prepare").

use crate::config::ConnectorConfig;
use tributary_protocol::{
    Connector, ConnectorStatus, Features, configuration::repaired, records::ConnectorChange,
};
use tributary_sdk::SourceType;

/// The service type of a connector: its record's, or the one that config.yml names for it.
pub(crate) fn service_type<'a>(
    connector: &'a Connector,
    named: Option<&'a ConnectorConfig>,
) -> Option<&'a str> {
    let named = named.map(|named| named.service_type.as_str());
    connector.service_type.as_deref().or(named)
}

/// What is missing; nothing if the record is complete.
///
/// - No configuration at all: the source's, complete, and the status `needs_configuration`.
/// - Missing fields and properties of fields: added with their defaults; values stay.
/// - No service type, but config.yml names one: that.
/// - Other features than the source's: the source's.
pub(crate) fn missing(connector: &Connector, source_type: &SourceType) -> Option<ConnectorChange> {
    let form = source_type.configuration().to_map();
    let is_new = connector.configuration.is_empty() && !form.is_empty();
    let configuration = match is_new {
        true => Some(form),
        false => repaired(&connector.configuration, &form),
    };
    let service_type = connector
        .service_type
        .is_none()
        .then(|| source_type.service_type.to_owned());
    let declared = Features::declared(source_type.features);
    let features = match &connector.features {
        Some(features) if features.covers(&declared) => None,
        _ => Some(declared),
    };
    if configuration.is_none() && service_type.is_none() && features.is_none() {
        return None;
    }
    Some(ConnectorChange::Prepare {
        configuration,
        service_type,
        features,
        status: is_new.then_some(ConnectorStatus::NeedsConfiguration),
    })
}
