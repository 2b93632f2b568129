//! Basic sync rules: which documents of a source go into the index.
//!
//! A rule reads one top-level field of a document. Rules are tried in their order, the first that
//! matches decides, and a document that no rule matches is included. The rule with the id
//! [`DEFAULT_RULE_ID`] stands for "everything else" in the user interface and is never evaluated.
//!
//! How a document's value and a rule's value are compared is decided by the document's value:
//!
//! | document | `equals`, `>`, `<` | `contains`, `starts_with`, `ends_with`, `regex` |
//! |---|---|---|
//! | text | as dates when both are ISO dates or date-times, otherwise as text | on the text |
//! | number | as numbers, exactly | on the number as JSON writes it |
//! | bool | the rule's value is one of the words `true t yes y on`, `false f no n off` (any case); false is less than true | on `true` or `false` |
//! | list, object | on its compact JSON text | on its compact JSON text |
//! | null, no such field | no match | no match |
//!
//! Documents are JSON, so dates arrive as text; `2024-05-01`, `2024-05-01 10:00` and
//! `2024-05-01T10:00:00.5+02:00` are read as dates, and one without an offset is taken as UTC. When the
//! rule's value cannot be read as the document's type, both are compared as text, by code points.
//!
//! Regular expressions are those of the `regex` crate: no look-around and no back-references. They
//! are anchored at the start of the text and not at its end.

use std::{borrow::Cow, cmp::Ordering, collections::BTreeMap};

use chrono::{DateTime, Utc};
use regex::{Regex, RegexBuilder};
use serde::{Deserialize, Deserializer, Serialize, Serializer, ser::SerializeMap};
use serde_json::{Map, Value};

#[cfg(test)]
mod tests;
mod values;

use values::{Number, boolean_from_word, date_from_text, text_of};

/// The id of the rule that stands for "everything else". It is never evaluated.
pub const DEFAULT_RULE_ID: &str = "DEFAULT";

/// A longer regular expression is refused.
const PATTERN_LIMIT: usize = 10_000;

/// What one compiled expression may take, in bytes: `\w{100}` passes, `(a{999}){999}` does not.
const COMPILED_LIMIT: usize = 2 << 20;

/// One rule as it stands in a connector or sync-job record.
///
/// Reading never fails on an object or on anything else: a missing or unusable property becomes empty,
/// and [`RuleSet::compile`] reports it. Writing gives back what was read, properties we do not know
/// included.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BasicRule {
    /// The id, unique among the rules of a connector.
    pub id: String,
    /// `include` or `exclude`.
    pub policy: String,
    /// The name of a top-level field.
    pub field: String,
    /// `equals`, `contains`, `starts_with`, `ends_with`, `regex`, `>` or `<`.
    pub rule: String,
    /// What the field is compared with.
    pub value: String,
    /// The place among the rules. One without a place comes after those with one.
    pub order: Option<i64>,
    /// When the rule was made, as the record says it.
    pub created_at: Option<String>,
    /// When the rule was last changed, as the record says it.
    pub updated_at: Option<String>,
    /// What else the record holds, and properties of a type that cannot be meant.
    rest: Map<String, Value>,
}

/// Something wrong with rules, as the protocol records it in `validation.errors`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleProblem {
    /// The rules it is about; `advanced_snippet` for the advanced rules.
    #[serde(default)]
    pub ids: Vec<String>,
    /// Sentences for the user.
    #[serde(default)]
    pub messages: Vec<String>,
}

/// What the rules say about a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// The document goes into the index.
    Include,
    /// The document is left out.
    Exclude,
}

/// Rules that were checked and made ready. Cheap to clone, free to share between threads.
#[derive(Clone, Debug, Default)]
pub struct RuleSet {
    rules: Vec<CompiledRule>,
}

impl BasicRule {
    /// The rule that the protocol puts at the end of every list: include everything else.
    ///
    /// `now` is the time of its making, in ISO form.
    pub fn default_rule(now: &str) -> Self {
        Self {
            id: DEFAULT_RULE_ID.into(),
            policy: "include".into(),
            field: "_".into(),
            rule: "regex".into(),
            value: ".*".into(),
            order: Some(0),
            created_at: Some(now.into()),
            updated_at: Some(now.into()),
            rest: Map::new(),
        }
    }

    /// Whether this is the rule that is never evaluated.
    pub fn is_default(&self) -> bool {
        self.id == DEFAULT_RULE_ID
    }
}

impl<'de> Deserialize<'de> for BasicRule {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut rest = match Value::deserialize(deserializer)? {
            Value::Object(properties) => properties,
            // Dropping it could let in what it was meant to keep out: it stays, and fails the check.
            _ => Map::new(),
        };
        let mut take = |key: &str| {
            let text = match rest.get(key) {
                Some(Value::String(text)) => text.clone(),
                Some(scalar @ (Value::Number(_) | Value::Bool(_))) => scalar.to_string(),
                Some(Value::Null) => {
                    rest.remove(key);
                    return None;
                }
                _ => return None,
            };
            rest.remove(key);
            Some(text)
        };
        let mut rule = Self {
            id: take("id").unwrap_or_default(),
            policy: take("policy").unwrap_or_default(),
            field: take("field").unwrap_or_default(),
            rule: take("rule").unwrap_or_default(),
            value: take("value").unwrap_or_default(),
            order: None,
            created_at: take("created_at"),
            updated_at: take("updated_at"),
            rest: Map::new(),
        };
        if let Some(order) = rest.get("order").and_then(whole_number) {
            rest.remove("order");
            rule.order = Some(order);
        }
        rule.rest = rest;
        Ok(rule)
    }
}

impl Serialize for BasicRule {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let texts = [
            ("id", &self.id),
            ("policy", &self.policy),
            ("field", &self.field),
            ("rule", &self.rule),
            ("value", &self.value),
        ];
        let mut map = serializer.serialize_map(None)?;
        for (key, text) in texts {
            if !self.rest.contains_key(key) {
                map.serialize_entry(key, text)?;
            }
        }
        if let Some(order) = self.order {
            map.serialize_entry("order", &order)?;
        }
        for (key, time) in [
            ("created_at", &self.created_at),
            ("updated_at", &self.updated_at),
        ] {
            if let Some(time) = time {
                map.serialize_entry(key, time)?;
            }
        }
        for (key, value) in &self.rest {
            map.serialize_entry(key, value)?;
        }
        map.end()
    }
}

/// `3`, `3.0` and `"3"`: all three occur in records written by hand.
fn whole_number(value: &Value) -> Option<i64> {
    match value {
        Value::Number(number) => number.as_i64().or_else(|| {
            let float = number.as_f64()?;
            (float.fract() == 0.0 && float.abs() < 1e15).then_some(float as i64)
        }),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

impl RuleSet {
    /// Checks the rules and makes them ready. With any problem there is no set, and all problems are
    /// reported together: a missing or unknown property, a regular expression that matches
    /// everything or cannot be used, two rules with the same field, rule and value.
    ///
    /// The default rule is not checked, as it is never evaluated.
    pub fn compile(rules: &[BasicRule]) -> Result<Self, Vec<RuleProblem>> {
        let mut problems = Vec::new();
        let mut compiled = Vec::new();
        for (position, rule) in rules
            .iter()
            .enumerate()
            .filter(|(_, rule)| !rule.is_default())
        {
            match CompiledRule::new(rule, position) {
                Ok(ready) => compiled.push((rule.order.unwrap_or(i64::MAX), ready)),
                Err(messages) => problems.push(RuleProblem {
                    ids: ids_of(&[rule]),
                    messages,
                }),
            }
        }
        problems.extend(duplicates(rules));
        if !problems.is_empty() {
            return Err(problems);
        }
        // Stable: rules with the same place keep the order of the list.
        compiled.sort_by_key(|(order, _)| *order);
        Ok(Self {
            rules: compiled.into_iter().map(|(_, rule)| rule).collect(),
        })
    }

    /// No rule to evaluate: every document is included, and none has to be read as a tree.
    pub fn is_trivial(&self) -> bool {
        self.rules.is_empty()
    }

    /// What the rules say about a document with these top-level fields.
    pub fn decide(&self, document: &Map<String, Value>) -> Decision {
        self.rules
            .iter()
            .find(|rule| {
                document
                    .get(&rule.field)
                    .is_some_and(|value| rule.matches(value))
            })
            .map_or(Decision::Include, |rule| rule.decision)
    }
}

/// The ids of rules, as far as they have one.
fn ids_of(rules: &[&BasicRule]) -> Vec<String> {
    rules
        .iter()
        .filter(|rule| !rule.id.is_empty())
        .map(|rule| rule.id.clone())
        .collect()
}

/// Rules that say the same of the same field: one problem for each such group, with all its ids.
fn duplicates(rules: &[BasicRule]) -> Vec<RuleProblem> {
    let mut groups: BTreeMap<(&str, &str, &str), Vec<&BasicRule>> = BTreeMap::new();
    for rule in rules.iter().filter(|rule| !rule.is_default()) {
        // A rule without these is reported for that already.
        if ![&rule.field, &rule.rule, &rule.value]
            .into_iter()
            .any(String::is_empty)
        {
            groups
                .entry((&rule.field, &rule.rule, &rule.value))
                .or_default()
                .push(rule);
        }
    }
    let same = groups.into_iter().filter(|(_, group)| group.len() > 1);
    same.map(|((field, rule, value), group)| RuleProblem {
        ids: ids_of(&group),
        messages: vec![format!(
            "{} rules have the same field '{field}', rule '{rule}' and value '{}'. Keep one of them.",
            group.len(),
            shortened(value)
        )],
    })
    .collect()
}

/// Enough of a value to recognise it in a message.
fn shortened(text: &str) -> Cow<'_, str> {
    match text.char_indices().nth(80) {
        Some((end, _)) => Cow::Owned(format!("{}…", &text[..end])),
        None => Cow::Borrowed(text),
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    Equals,
    Contains,
    StartsWith,
    EndsWith,
    Regex,
    Greater,
    Less,
}

impl Operator {
    fn from_word(word: &str) -> Option<Self> {
        Some(match word.trim().to_ascii_lowercase().as_str() {
            "equals" => Self::Equals,
            "contains" => Self::Contains,
            "starts_with" => Self::StartsWith,
            "ends_with" => Self::EndsWith,
            "regex" => Self::Regex,
            ">" => Self::Greater,
            "<" => Self::Less,
            _ => return None,
        })
    }

    /// Whether the operator accepts a document's value that stands so to the rule's value.
    fn accepts(self, ordering: Ordering) -> bool {
        match self {
            Self::Equals => ordering.is_eq(),
            Self::Greater => ordering.is_gt(),
            Self::Less => ordering.is_lt(),
            Self::Contains | Self::StartsWith | Self::EndsWith | Self::Regex => false,
        }
    }
}

/// A rule with its value read in every way that a document's type could ask for.
#[derive(Clone, Debug)]
struct CompiledRule {
    field: String,
    operator: Operator,
    decision: Decision,
    text: String,
    number: Option<Number>,
    boolean: Option<bool>,
    date: Option<DateTime<Utc>>,
    pattern: Option<Pattern>,
}

impl CompiledRule {
    /// `position` counts from 0 and names a rule that has no id.
    fn new(rule: &BasicRule, position: usize) -> Result<Self, Vec<String>> {
        let mut messages = Vec::new();
        if rule.id.trim().is_empty() {
            messages.push(format!(
                "The rule at position {} has no 'id'.",
                position + 1
            ));
        }
        for (name, text) in [("field", rule.field.trim()), ("value", rule.value.as_str())] {
            if text.is_empty() {
                messages.push(format!("'{name}' must not be empty."));
            }
        }
        let decision = match rule.policy.trim().to_ascii_lowercase().as_str() {
            "include" => Some(Decision::Include),
            "exclude" => Some(Decision::Exclude),
            _ => {
                messages.push(format!(
                    "'policy' is '{}': it must be 'include' or 'exclude'.",
                    shortened(&rule.policy)
                ));
                None
            }
        };
        let operator = Operator::from_word(&rule.rule);
        if operator.is_none() {
            messages.push(format!(
                "'rule' is '{}': it must be one of 'equals', 'contains', 'starts_with', \
                 'ends_with', 'regex', '>', '<'.",
                shortened(&rule.rule)
            ));
        }
        let mut pattern = None;
        if operator == Some(Operator::Regex) && !rule.value.is_empty() {
            match Pattern::new(&rule.value) {
                Ok(ready) => pattern = Some(ready),
                Err(message) => messages.push(message),
            }
        }
        match (decision, operator) {
            (Some(decision), Some(operator)) if messages.is_empty() => Ok(Self {
                field: rule.field.clone(),
                operator,
                decision,
                number: Number::from_text(&rule.value),
                boolean: boolean_from_word(&rule.value),
                date: date_from_text(&rule.value),
                pattern,
                text: rule.value.clone(),
            }),
            _ => Err(messages),
        }
    }

    fn matches(&self, value: &Value) -> bool {
        if value.is_null() {
            return false;
        }
        match self.operator {
            Operator::Equals | Operator::Greater | Operator::Less => {
                self.operator.accepts(self.compare(value))
            }
            Operator::Contains => text_of(value).contains(&self.text),
            Operator::StartsWith => text_of(value).starts_with(&self.text),
            Operator::EndsWith => text_of(value).ends_with(&self.text),
            Operator::Regex => self
                .pattern
                .as_ref()
                .is_some_and(|pattern| pattern.matches(&text_of(value))),
        }
    }

    /// How the document's value stands to the rule's value, by the document's type.
    fn compare(&self, value: &Value) -> Ordering {
        let typed = match value {
            Value::Number(number) => Number::from_json(number)
                .zip(self.number)
                .map(|(a, b)| a.compare(b)),
            Value::Bool(flag) => self.boolean.map(|boolean| flag.cmp(&boolean)),
            Value::String(text) => self.date.and_then(|date| {
                date_from_text(text).map(|document_date| document_date.cmp(&date))
            }),
            _ => None,
        };
        typed.unwrap_or_else(|| text_of(value).as_ref().cmp(self.text.as_str()))
    }
}

/// A regular expression that must match from the start of the text.
#[derive(Clone, Debug)]
struct Pattern {
    regex: Regex,
}

impl Pattern {
    fn new(pattern: &str) -> Result<Self, String> {
        if matches!(pattern.trim(), ".*" | "(.*)") {
            return Err(format!(
                "The regular expression '{pattern}' matches every document. Use a narrower one."
            ));
        }
        if pattern.len() > PATTERN_LIMIT {
            return Err(format!(
                "The regular expression has {} bytes; at most {PATTERN_LIMIT} are allowed.",
                pattern.len()
            ));
        }
        // The pattern alone first: `a)|(b` must not become valid by the brackets put around it.
        let alone = bounded_regex(pattern)?;
        // A comment in verbose mode, `(?x)a # b`, swallows the closing bracket. A leftmost match of
        // the pattern alone says the same, only slower.
        let regex = bounded_regex(&format!(r"\A(?:{pattern})")).unwrap_or(alone);
        Ok(Self { regex })
    }

    fn matches(&self, text: &str) -> bool {
        self.regex
            .find(text)
            .is_some_and(|found| found.start() == 0)
    }
}

fn bounded_regex(pattern: &str) -> Result<Regex, String> {
    RegexBuilder::new(pattern)
        .size_limit(COMPILED_LIMIT)
        .dfa_size_limit(COMPILED_LIMIT)
        .build()
        .map_err(|error| match error {
            regex::Error::CompiledTooBig(_) => format!(
                "The regular expression '{}' needs too much memory. Use smaller repetitions.",
                shortened(pattern)
            ),
            error => format!(
                "The regular expression '{}' cannot be used: {}. Look-around and back-references \
                 are not supported.",
                shortened(pattern),
                reason_of(&error)
            ),
        })
}

/// The last line of the engine's message: the ones before draw the pattern.
fn reason_of(error: &regex::Error) -> String {
    let text = error.to_string();
    let last = text.lines().last().unwrap_or_default().trim();
    last.trim_start_matches("error:").trim().to_owned()
}
