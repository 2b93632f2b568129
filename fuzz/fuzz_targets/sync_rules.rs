//! Basic sync rules on a document, and advanced ones of a relational source.
#![no_main]

use libfuzzer_sys::fuzz_target;
use serde_json::{Map, Value, value::RawValue};
use tributary_sdk::rules::{BasicRule, RuleSet};

fuzz_target!(|input: (&str, &str)| {
    let (rules, document) = input;
    if let Ok(raw) = serde_json::from_str::<&RawValue>(rules) {
        let _ = tributary_sql::parse_rules(raw);
    }
    let Ok(rules) = serde_json::from_str::<Vec<BasicRule>>(rules) else {
        return;
    };
    let document = serde_json::from_str::<Map<String, Value>>(document);
    if let (Ok(rules), Ok(document)) = (RuleSet::compile(&rules), document) {
        rules.decide(&document);
    }
});
