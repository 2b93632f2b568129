//! `source list`, `source show`.

use crate::{
    arguments::SourceCommand,
    failure::{Failure, Result},
    output::{OutputFormat, facts, say, say_json, table},
    sources::REGISTRY,
};
use serde_json::{Value, json};
use tributary_protocol::Features as RecordedFeatures;
use tributary_sdk::{
    Features, SourceType,
    config::{Declaration, Plain},
};

pub(super) fn run(command: &SourceCommand, output: OutputFormat) -> Result<()> {
    match (command, output) {
        (SourceCommand::List, OutputFormat::Text) => say(&list()),
        (SourceCommand::List, OutputFormat::Json) => say_json(&list_as_json()),
        (SourceCommand::Show { service_type }, output) => {
            let source = find(service_type)?;
            match output {
                OutputFormat::Text => say(&show(source)),
                OutputFormat::Json => say_json(&as_json(source)),
            }
        }
    }
    Ok(())
}

/// A source type that the user named.
pub(super) fn find(service_type: &str) -> Result<&'static SourceType> {
    REGISTRY.find(service_type).map_err(|unknown| {
        Failure::usage(unknown).hint("`tributary source list` shows all of them")
    })
}

fn list() -> String {
    let rows = REGISTRY.iter().map(|source| {
        [
            source.service_type.to_owned(),
            source.name.to_owned(),
            features(source.features).join(", "),
        ]
    });
    table(&["service type", "name", "features"], rows)
}

fn list_as_json() -> Value {
    let sources = REGISTRY.iter().map(|source| {
        json!({
            "service_type": source.service_type,
            "name": source.name,
            "features": RecordedFeatures::declared(source.features),
        })
    });
    sources.collect()
}

fn as_json(source: &SourceType) -> Value {
    json!({
        "service_type": source.service_type,
        "name": source.name,
        "features": RecordedFeatures::declared(source.features),
        "configuration": source.configuration(),
    })
}

fn show(source: &SourceType) -> String {
    let features = features(source.features);
    let head = facts([
        ("service type", source.service_type.to_owned()),
        ("name", source.name.to_owned()),
        ("features", features.join(", ")),
        (
            "own options",
            format!(
                "sources.{} in config.yml; the page of the source lists them",
                source.service_type
            ),
        ),
    ]);
    let declarations: Vec<_> = source
        .fields
        .iter()
        .map(|field| field.declaration())
        .collect();
    let (advanced, usual): (Vec<_>, Vec<_>) = declarations
        .into_iter()
        .partition(|declaration| declaration.ui_restrictions.contains(&"advanced"));
    let mut text = format!("{head}\n\n{}", fields(&usual));
    if !advanced.is_empty() {
        text.push_str(&format!("\n\nAdvanced\n\n{}", fields(&advanced)));
    }
    let notes: Vec<_> = usual
        .iter()
        .chain(&advanced)
        .filter_map(|declaration| notes(declaration))
        .collect();
    if !notes.is_empty() {
        text.push_str(&format!("\n\n{}", notes.join("\n")));
    }
    text
}

fn fields(declarations: &[&Declaration]) -> String {
    let rows = declarations.iter().map(|declaration| {
        let yes = |flag: bool| if flag { "yes" } else { "" }.to_owned();
        [
            declaration.key.to_owned(),
            declaration.label.to_owned(),
            declaration.r#type.to_owned(),
            yes(declaration.required),
            default(declaration),
            yes(declaration.sensitive),
        ]
    });
    table(
        &["key", "label", "type", "required", "default", "secret"],
        rows,
    )
}

/// What the field reads as when nobody fills it in.
fn default(declaration: &Declaration) -> String {
    let value = match declaration.value {
        Plain::Null | Plain::Text("") if !declaration.required => declaration.default_value,
        value => value,
    };
    plain(value)
}

fn plain(value: Plain) -> String {
    match value {
        Plain::Null => String::new(),
        Plain::Text(text) => text.to_owned(),
        Plain::Integer(number) => number.to_string(),
        Plain::Toggle(on) => on.to_string(),
    }
}

/// What does not fit into a table.
fn notes(declaration: &Declaration) -> Option<String> {
    let mut notes = Vec::new();
    if let Some(tooltip) = declaration.tooltip {
        notes.push(tooltip.to_owned());
    }
    if !declaration.options.is_empty() {
        let choices: Vec<_> = declaration
            .options
            .iter()
            .map(|choice| choice.value)
            .collect();
        notes.push(format!("One of {}.", choices.join(", ")));
    }
    if !declaration.depends_on.is_empty() {
        let needs: Vec<_> = declaration
            .depends_on
            .iter()
            .map(|dependency| format!("{} is {}", dependency.field, plain(dependency.value)))
            .collect();
        notes.push(format!("Only if {}.", needs.join(" and ")));
    }
    (!notes.is_empty()).then(|| format!("{}: {}", declaration.key, notes.join(" ")))
}

fn features(features: Features) -> Vec<&'static str> {
    // Named one by one, so that a new feature is noticed here.
    let Features {
        basic_rules,
        advanced_rules,
        document_level_security,
        incremental,
    } = features;
    [
        (basic_rules, "basic sync rules"),
        (advanced_rules, "advanced sync rules"),
        (document_level_security, "document-level security"),
        (incremental, "incremental syncs"),
    ]
    .into_iter()
    .filter_map(|(has, name)| has.then_some(name))
    .collect()
}
