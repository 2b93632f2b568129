//! From a connector record to a source that works, or to what keeps it from working.

use crate::{config::Config, failure::Failure};
use serde_json::{Map, Value};
use std::{path::PathBuf, sync::Arc};
use tributary_protocol::Connector;
use tributary_sdk::{
    Setup, Source, SourceOptions, SourceType, StopSignal, Values, rules::RuleProblem,
};

/// The field with which people switch document-level security on; the same in all sources that
/// have it.
const DOCUMENT_LEVEL_SECURITY: &str = "use_document_level_security";

/// Checks the values of a connector and makes its source. Runs code of the source.
pub(crate) fn build(
    config: &Config,
    source_type: &SourceType,
    configuration: &Map<String, Value>,
    stop: StopSignal,
    folder: PathBuf,
) -> Result<Arc<dyn Source>, Failure> {
    let values = Values::new(source_type.fields, configuration);
    source_type.check(&values)?;
    let options = config.source_options(source_type.service_type).0;
    let options = SourceOptions::new(options);
    let setup = Setup::new(&values, &options, stop, folder);
    Ok((source_type.build)(&setup)?)
}

/// Asks the data source: its own checks, then whether it answers.
pub(crate) async fn examine(source: &dyn Source) -> Result<(), Failure> {
    let findings = source.validate().await?;
    if !findings.is_empty() {
        return Err(Failure::found(&findings));
    }
    Ok(source.ping().await?)
}

/// Checks advanced rules. The outer `Err` means that they could not be checked.
pub(crate) async fn check_advanced(
    source: &dyn Source,
    rules: &Value,
) -> Result<Vec<RuleProblem>, Failure> {
    let raw = serde_json::value::to_raw_value(rules).map_err(|error| {
        Failure::invalid_config(format!("the advanced rules are not JSON: {error}"))
    })?;
    let findings = source.check_rules(&raw).await?;
    let messages: Vec<_> = findings
        .iter()
        .map(|finding| crate::failure::findings_text(std::slice::from_ref(finding)))
        .collect();
    if messages.is_empty() {
        return Ok(Vec::new());
    }
    Ok(vec![RuleProblem {
        ids: vec![tributary_protocol::filtering::ADVANCED_SNIPPET_ID.into()],
        messages,
    }])
}

/// Whether document-level security is on: the source has it, and the user wants it.
pub(crate) fn is_access_wanted(source_type: &SourceType, connector: &Connector) -> bool {
    let value =
        tributary_protocol::configuration::value(&connector.configuration, DOCUMENT_LEVEL_SECURITY);
    let on = match value {
        Some(Value::Bool(on)) => *on,
        Some(Value::String(text)) => text.trim().eq_ignore_ascii_case("true"),
        _ => false,
    };
    source_type.features.document_level_security && on
}
