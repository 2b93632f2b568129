//! Sync rules as connector and sync-job records hold them.
//!
//! `filtering` of a connector is a list of which only the first entry counts. The entry has two sets of
//! rules: `active` is what jobs use, `draft` is what the user works on. The service checks a draft whose
//! state is `edited` and, when it is valid, makes it the active one. A job holds a copy of the active
//! set: an object when the API made it, a list when others did.

use serde::Serialize;
use serde_json::{Map, Value, json};
use tributary_sdk::rules::{BasicRule, RuleProblem};

use crate::{RecordError, properties::Properties, states::ValidationState};

/// The id under which problems of advanced rules are reported.
pub const ADVANCED_SNIPPET_ID: &str = "advanced_snippet";

/// The sync rules of a connector.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Filtering {
    /// What jobs use.
    pub active: SyncRules,
    /// What the user works on.
    pub draft: SyncRules,
    /// The list as it was read: it is written back whole, and nothing in it may be lost.
    entries: Vec<Map<String, Value>>,
}

/// One set of rules.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SyncRules {
    /// The basic rules, in the order of the record.
    pub rules: Vec<BasicRule>,
    /// What is known about this set.
    pub validation: FilteringValidation,
    advanced: Value,
}

/// The result of a check of rules.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FilteringValidation {
    /// What was found.
    pub state: ValidationState,
    /// The problems, when it is invalid.
    pub errors: Vec<RuleProblem>,
}

impl FilteringValidation {
    /// `valid` without problems, `invalid` with them.
    pub fn of(problems: Vec<RuleProblem>) -> Self {
        let state = match problems.is_empty() {
            true => ValidationState::Valid,
            false => ValidationState::Invalid,
        };
        Self {
            state,
            errors: problems,
        }
    }

    fn to_value(&self) -> Value {
        let errors = self
            .errors
            .iter()
            .map(|error| json!({"ids": error.ids, "messages": error.messages}));
        json!({"state": self.state.as_str(), "errors": errors.collect::<Vec<_>>()})
    }
}

/// Without a record of a check there is nothing to check.
impl Default for FilteringValidation {
    fn default() -> Self {
        Self::of(Vec::new())
    }
}

impl SyncRules {
    /// The advanced rules as the user typed them; `None` when there are none, which an empty object or
    /// list says too.
    pub fn advanced(&self) -> Option<&Value> {
        let empty = match &self.advanced {
            Value::Null => true,
            Value::Object(map) => map.is_empty(),
            Value::Array(list) => list.is_empty(),
            _ => false,
        };
        (!empty).then_some(&self.advanced)
    }

    /// Reads the `filtering` of a sync job: an object, or a list of which the first entry counts.
    pub(crate) fn read_of_job(properties: Properties<'_>) -> Result<Self, RecordError> {
        let Some(entry) = entries(properties)?.into_iter().next() else {
            return Ok(Self::default());
        };
        // Some writers copy the whole entry of the connector.
        match properties
            .at("connector.filtering", &entry)
            .object("active")?
        {
            Some(active) => Self::read(properties.at("connector.filtering.active", active)),
            None => Self::read(properties.at("connector.filtering", &entry)),
        }
    }

    fn read(properties: Properties<'_>) -> Result<Self, RecordError> {
        let rules = properties.list("rules")?.unwrap_or_default();
        let advanced = properties
            .object("advanced_snippet")?
            .and_then(|snippet| snippet.get("value"));
        let validation = match properties.object("validation")? {
            Some(validation) => FilteringValidation {
                state: properties
                    .at("filtering.validation", validation)
                    .word("state")?
                    .unwrap_or(ValidationState::Valid),
                errors: problems(validation.get("errors")),
            },
            None => FilteringValidation::default(),
        };
        Ok(Self {
            rules: rules
                .iter()
                .filter_map(|rule| serde_json::from_value(rule.clone()).ok())
                .collect(),
            validation,
            advanced: advanced.cloned().unwrap_or_default(),
        })
    }
}

/// Only shown to people: what is unreadable is left out.
fn problems(errors: Option<&Value>) -> Vec<RuleProblem> {
    let errors = errors
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default();
    errors
        .iter()
        .filter_map(|error| serde_json::from_value(error.clone()).ok())
        .collect()
}

/// `filtering` as a list of objects, whether it is a list or one object.
fn entries(properties: Properties<'_>) -> Result<Vec<Map<String, Value>>, RecordError> {
    let wrong = || properties.error("filtering", "must be a list of objects, or one object");
    match properties.value("filtering") {
        None => Ok(Vec::new()),
        Some(Value::Object(entry)) => Ok(vec![entry.clone()]),
        Some(Value::Array(list)) => list
            .iter()
            .map(|entry| entry.as_object().cloned().ok_or_else(wrong))
            .collect(),
        Some(_) => Err(wrong()),
    }
}

impl Filtering {
    /// The rules of a new connector: the default rule, active and as draft. `now` in ISO form.
    pub fn for_new_connector(now: &str) -> Value {
        let rules = json!({
            "advanced_snippet": {"created_at": now, "updated_at": now, "value": {}},
            "rules": [BasicRule::default_rule(now)],
            "validation": {"errors": [], "state": "valid"}
        });
        json!([{"active": rules, "domain": "DEFAULT", "draft": rules}])
    }

    /// Whether the draft waits for the service to check it.
    pub fn needs_validation(&self) -> bool {
        self.draft.validation.state == ValidationState::Edited
    }

    /// The active set as a new job holds it: as it stands in the record, or an empty one.
    pub fn snapshot(&self) -> Value {
        let active = self.entries.first().and_then(|entry| entry.get("active"));
        match active {
            Some(Value::Object(active)) => Value::Object(active.clone()),
            _ => json!({
                "advanced_snippet": {"value": {}},
                "rules": [],
                "validation": {"errors": [], "state": "valid"}
            }),
        }
    }

    /// The list to write when the draft was checked: the draft with the result and, when it is valid,
    /// the same as the active set. Everything else stays as it was read.
    pub fn validated(&self, validation: &FilteringValidation) -> Value {
        let mut entries = self.entries.clone();
        if entries.is_empty() {
            entries.push(Map::new());
        }
        if let Some(entry) = entries.first_mut() {
            let mut draft = match entry.get("draft") {
                Some(Value::Object(draft)) => draft.clone(),
                _ => Map::new(),
            };
            draft.insert("validation".into(), validation.to_value());
            if validation.state == ValidationState::Valid {
                entry.insert("active".into(), draft.clone().into());
            }
            entry.insert("draft".into(), draft.into());
        }
        entries.into_iter().map(Value::Object).collect()
    }

    pub(crate) fn read(properties: Properties<'_>) -> Result<Self, RecordError> {
        let entries = entries(properties)?;
        let mut filtering = Self::default();
        if let Some(entry) = entries.first() {
            let entry = properties.at("filtering", entry);
            if let Some(active) = entry.object("active")? {
                filtering.active = SyncRules::read(properties.at("filtering.active", active))?;
            }
            if let Some(draft) = entry.object("draft")? {
                filtering.draft = SyncRules::read(properties.at("filtering.draft", draft))?;
            }
        }
        filtering.entries = entries;
        Ok(filtering)
    }
}
