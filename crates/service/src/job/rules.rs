//! The sync rules of a job (service sheet §4 step 4).

use crate::{failure::Failure, sources::check_advanced};
use serde_json::value::RawValue;
use std::sync::Arc;
use tributary_protocol::SyncJob;
use tributary_sdk::{
    Source, SourceType,
    rules::{RuleProblem, RuleSet},
};

/// The rules of a job, checked.
#[derive(Default)]
pub(super) struct Rules {
    pub(super) basic: RuleSet,
    pub(super) advanced: Option<Arc<RawValue>>,
}

/// Checks the rules that the job holds. Invalid ones fail it: to sync without them could let in what
/// they were meant to keep out.
pub(super) async fn rules(
    source_type: &SourceType,
    source: &dyn Source,
    job: &SyncJob,
) -> Result<Rules, Failure> {
    if !job.job_type.is_content() {
        return Ok(Rules::default());
    }
    let filtering = &job.connector.filtering;
    let mut problems = Vec::new();
    let mut rules = Rules::default();
    if source_type.features.basic_rules {
        match RuleSet::compile(&filtering.rules) {
            Ok(basic) => rules.basic = basic,
            Err(found) => problems.extend(found),
        }
    }
    if let Some(advanced) = filtering.advanced() {
        problems.extend(check_advanced(source, advanced).await?);
        let raw = serde_json::value::to_raw_value(advanced).map_err(|error| {
            Failure::invalid_config(format!("the advanced rules are not JSON: {error}"))
        })?;
        rules.advanced = Some(raw.into());
    }
    if problems.is_empty() {
        return Ok(rules);
    }
    let texts: Vec<_> = problems.iter().map(problem_text).collect();
    let text = format!(
        "the sync rules of this job cannot be used: {}. Correct them, and activate the new draft.",
        texts.join("; ")
    );
    Err(Failure::new("InvalidSyncRules", text))
}

fn problem_text(problem: &RuleProblem) -> String {
    let messages = problem.messages.join(", ");
    match problem.ids.is_empty() {
        true => messages,
        false => format!("{}: {messages}", problem.ids.join(", ")),
    }
}
