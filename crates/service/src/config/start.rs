//! What must be true before the service can run, beyond what any command needs.

use super::error::ConfigError;
use super::keys;
use super::reader::Reader;
use super::settings::{Config, Credentials};
use super::tree::{Map, Node, Place, Value};
use tributary_engine::Settings;

/// The word that examples have where something of the user's belongs.
const PLACEHOLDER: &str = "changeme";

pub(super) fn check(
    config: &Config,
    reader: &Reader<'_>,
    warnings: &mut Vec<String>,
) -> Vec<ConfigError> {
    let mut errors = Vec::new();
    let types_place = reader.place(&keys::SERVICE_TYPES);
    if config.service.worker_mode {
        if config.service.service_types.is_empty() {
            errors.push(ConfigError::new(
                keys::SERVICE_TYPES.description.path,
                types_place.or(reader.place(&keys::WORKER_MODE)),
                "must name at least one service type, because service.worker_mode is true",
            ));
        }
    } else {
        // An entry that is wrong in itself has an error of its own already.
        let list = reader.map.find(keys::CONNECTORS.description.path);
        let has_list = list.is_some_and(|node| !node.is_null() && !is_empty_list(node));
        let has_lone =
            reader.is_set(&keys::LONE_CONNECTOR_ID) || reader.is_set(&keys::LONE_SERVICE_TYPE);
        if !has_list && !has_lone {
            errors.push(ConfigError::new(
                keys::CONNECTORS.description.path,
                reader.place(&keys::CONNECTORS),
                "no connector is configured; list at least one with connector_id and \
                 service_type, or set service.worker_mode and service.service_types",
            ));
        }
        if !config.service.service_types.is_empty() {
            warnings.push(
                "service.service_types has no effect, because service.worker_mode is false"
                    .to_owned(),
            );
        }
    }
    let syncs = config.service.max_concurrent_content_syncs
        + config.service.max_concurrent_access_control_syncs;
    let least = (syncs as u64).saturating_mul(Settings::LEAST_MEMORY as u64);
    if config.service.memory_budget < least {
        errors.push(ConfigError::new(
            keys::MEMORY_BUDGET.description.path,
            reader.place(&keys::MEMORY_BUDGET),
            format!(
                "must be at least {} for {syncs} syncs at the same time; raise it, or lower \
                 service.max_concurrent_content_syncs",
                least >> 20
            ),
        ));
    }
    placeholders(reader.map, &mut errors);
    if let Credentials::Basic { password, .. } = &config.elasticsearch.credentials
        && password.expose() == PLACEHOLDER
    {
        warnings.push(
            "elasticsearch.password is still `changeme`; set it, or elasticsearch.api_key, unless \
             this is really the password"
                .to_owned(),
        );
    }
    errors
}

fn is_empty_list(node: &Node) -> bool {
    matches!(&node.value, Value::List(nodes) if nodes.is_empty())
}

fn placeholders(map: &Map, errors: &mut Vec<ConfigError>) {
    let mut refuse = |key: String, place: Place, what: &str| {
        errors.push(ConfigError::new(
            key,
            Some(place),
            format!("is still `{PLACEHOLDER}`; put {what} there"),
        ));
    };
    let words = [
        (
            keys::CONNECTOR_ID,
            "the id that Kibana shows for the connector",
        ),
        (
            keys::SERVICE_TYPE,
            "the connector's service type, such as `postgresql`,",
        ),
        (keys::API_KEY, "the API key of the connector, or remove it,"),
    ];
    for (name, what) in &words[..2] {
        if let Some(place) = placeholder(map.get(name)) {
            refuse((*name).to_owned(), place, what);
        }
    }
    let path = keys::ELASTICSEARCH_API_KEY.description.path;
    if let Some(place) = placeholder(map.find(path)) {
        refuse(
            path.to_owned(),
            place,
            "the API key made in Kibana, or remove it,",
        );
    }
    let list = keys::CONNECTORS.description.path;
    let Some(Node {
        value: Value::List(nodes),
        ..
    }) = map.get(list)
    else {
        return;
    };
    for (index, node) in nodes.iter().enumerate() {
        let Value::Map(entry) = &node.value else {
            continue;
        };
        for (name, what) in words {
            if let Some(place) = placeholder(entry.get(name)) {
                refuse(format!("{list}[{index}].{name}"), place, what);
            }
        }
    }
}

fn placeholder(node: Option<&Node>) -> Option<Place> {
    match node {
        Some(Node {
            value: Value::Scalar { text, .. },
            place,
        }) if text == PLACEHOLDER => Some(*place),
        _ => None,
    }
}
