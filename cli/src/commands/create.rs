//! `connector create`.

use super::{prompt, shown, source, update_config};
use crate::{
    arguments::CreateConnector,
    connection::Server,
    failure::{Failure, Result},
    output::{OutputFormat, can_ask, say, say_json},
    settings::DEFAULT_FILE,
};
use anyhow::Context;
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};
use tributary_elastic::ApiKey;
use tributary_protocol::{
    ConnectorStatus, Features,
    connector::NewConnector,
    records::{ConnectorChange, Records},
};
use tributary_sdk::{SourceType, Values, config::Declaration};
use tributary_service::config::{ConnectorConfig, nearest_name};

pub(super) async fn run(
    server: &Server,
    arguments: CreateConnector,
    output: OutputFormat,
) -> Result<()> {
    let may_ask = can_ask() && !arguments.no_input;
    let given = |value: &Option<String>, question: &str, option: &str| match value {
        Some(value) => Ok(value.clone()),
        None if may_ask => prompt::ask(question),
        None => Err(Failure::usage(format!("{option} is missing")).hint(
            "on a terminal it is asked for; `tributary connector create --help` has examples",
        )),
    };
    let service_type = given(&arguments.service_type, "Service type", "--service-type")?;
    let source = source::find(&service_type)?;
    let index = given(&arguments.index_name, "Index name", "--index-name")?;
    check_index_name(&index)?;
    let values = given_values(source, &arguments)?;
    let configuration = configuration(source, values, may_ask)?;
    // Looked at before anything is written anywhere.
    let config_file = arguments
        .update_config
        .then(|| config_file(server, &arguments));
    if let Some(path) = &config_file {
        update_config::check(path)?;
    }

    let id = create(server, source, &index, &arguments, configuration).await?;
    let api_key = match arguments.create_api_key {
        true => Some(
            server
                .client
                .create_api_key(&index)
                .await
                .map_err(|error| {
                    Failure::from(error).hint(format!(
                "the connector '{id}' was made; make its key in Kibana, or allow this account \
                 `manage_own_api_key`"
            ))
                })?,
        ),
        false => None,
    };
    if let Some(path) = &config_file {
        let entry = ConnectorConfig {
            connector_id: id.clone(),
            service_type,
            api_key: api_key.as_ref().map(|key| key.encoded.clone()),
        };
        update_config::add(path, &entry).map_err(|failure| {
            failure.hint(format!("the connector '{id}' was made all the same"))
        })?;
    }
    tell(
        server,
        &id,
        api_key.as_ref(),
        config_file.as_deref(),
        output,
    )
    .await
}

async fn tell(
    server: &Server,
    id: &str,
    api_key: Option<&ApiKey>,
    config_file: Option<&Path>,
    output: OutputFormat,
) -> Result<()> {
    // With a file, the key is there and nowhere else.
    let shown_key = api_key.filter(|_| config_file.is_none());
    if output == OutputFormat::Json {
        let mut connector = shown::connector(&server.connector(id).await?.record);
        if let Some(key) = shown_key {
            connector["api_key"] = json!({"id": key.id, "encoded": key.encoded.expose()});
        }
        say_json(&connector);
        return Ok(());
    }
    say(&format!("made the connector {id}"));
    if let Some(key) = shown_key {
        say(&format!(
            "API key (id {}), shown only now: {}",
            key.id,
            key.encoded.expose()
        ));
    }
    match config_file {
        Some(path) => say(&format!(
            "added it to {}; start the service anew",
            path.display()
        )),
        None => say(&format!(
            "To have it synced, add it to the list `connectors` of config.yml:\n{}",
            update_config::sample(&server.connector(id).await?.record)
        )),
    }
    say(&format!(
        "Then start a sync: tributary job start --connector {id} --wait"
    ));
    Ok(())
}

async fn create(
    server: &Server,
    source: &SourceType,
    index: &str,
    arguments: &CreateConnector,
    configuration: Map<String, Value>,
) -> Result<String> {
    server.records.prepare().await?;
    let new = NewConnector {
        index_name: Some(index),
        name: Some(arguments.name.as_deref().unwrap_or(index)),
        service_type: Some(source.service_type),
        language: arguments.index_language.as_deref(),
        ..NewConnector::default()
    };
    let id = server
        .records
        .create_connector(arguments.id.as_deref(), &new)
        .await?;
    let change = ConnectorChange::Prepare {
        configuration: Some(configuration),
        service_type: None,
        features: Some(Features::declared(source.features)),
        status: Some(ConnectorStatus::Configured),
    };
    let configured = server.records.change_connector(&id, &change, None).await;
    configured.map_err(|error| {
        Failure::from(error).hint(format!(
            "the connector '{id}' was made, but not configured; do that in Kibana, or delete it"
        ))
    })?;
    Ok(id)
}

fn config_file(server: &Server, arguments: &CreateConnector) -> PathBuf {
    let named = arguments.connector_service_config.clone();
    named
        .or_else(|| server.config_file.clone())
        .unwrap_or_else(|| DEFAULT_FILE.into())
}

/// The whole configuration of the new connector, checked.
fn configuration(
    source: &SourceType,
    mut values: Map<String, Value>,
    may_ask: bool,
) -> Result<Map<String, Value>> {
    let mut configuration = source.configuration().to_map();
    for field in source.fields {
        let declaration = field.declaration();
        let value = match values.remove(declaration.key) {
            Some(value) => Some(value),
            None if may_ask && is_asked_for(declaration, &configuration) => {
                prompt::ask_field(declaration)?.map(|text| typed(declaration, text))
            }
            None => None,
        };
        if let (Some(value), Some(entry)) = (value, configuration.get_mut(declaration.key)) {
            entry["value"] = value;
        }
    }
    let problems = source.problems(&Values::new(source.fields, &configuration));
    if problems.is_empty() {
        return Ok(configuration);
    }
    let lines: Vec<_> = problems
        .iter()
        .map(|problem| format!("  {problem}"))
        .collect();
    Err(Failure::configuration(format!(
        "the configuration of the connector cannot be used:\n{}",
        lines.join("\n")
    ))
    .hint(format!(
        "`tributary source show {}` lists the fields",
        source.service_type
    )))
}

/// Advanced fields keep their beginning; so do those that need another value in another field.
fn is_asked_for(declaration: &Declaration, configuration: &Map<String, Value>) -> bool {
    let is_shown = declaration.depends_on.iter().all(|dependency| {
        let value = configuration
            .get(dependency.field)
            .and_then(|field| field.get("value"));
        value == Some(&dependency.value.to_value())
    });
    is_shown && declaration.ui_restrictions.is_empty()
}

/// The values that the user gave by arguments, environment and file.
fn given_values(source: &SourceType, arguments: &CreateConnector) -> Result<Map<String, Value>> {
    let mut values = match &arguments.from_file {
        Some(path) => from_file(path)?,
        None => Map::new(),
    };
    for key in values.keys() {
        declaration(source, key)?;
    }
    for field in &arguments.field {
        let declaration = declaration(source, &field.key)?;
        if declaration.sensitive {
            return Err(Failure::usage(format!(
                "the field '{}' is a secret, and arguments can be read by every user of this machine",
                field.key
            ))
            .hint(format!("give it by --field-env {}=VARIABLE, or by --from-file", field.key)));
        }
        values.insert(field.key.clone(), typed(declaration, field.from.clone()));
    }
    for field in &arguments.field_env {
        let declaration = declaration(source, &field.key)?;
        let text = std::env::var(&field.from).map_err(|_| {
            Failure::usage(format!(
                "the environment variable '{}' for the field '{}' is not set",
                field.from, field.key
            ))
        })?;
        values.insert(field.key.clone(), typed(declaration, text));
    }
    Ok(values)
}

/// `{"host": "db"}`, or fields as a connector record has them: `{"host": {"value": "db"}}`.
fn from_file(path: &Path) -> Result<Map<String, Value>> {
    let shown = path.display();
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {shown}"))?;
    // What serde says names line and column, and never a value of a text.
    let read: Map<String, Value> = serde_json::from_str(&text).map_err(|error| {
        Failure::configuration(format!("{shown} is not a JSON object of fields: {error}"))
    })?;
    let value = |field: Value| match field {
        Value::Object(mut entry) => entry.remove("value").unwrap_or(Value::Null),
        value => value,
    };
    Ok(read
        .into_iter()
        .map(|(key, field)| (key, value(field)))
        .collect())
}

fn declaration(source: &SourceType, key: &str) -> Result<&'static Declaration> {
    let declarations = source.fields.iter().map(|field| field.declaration());
    let mut keys = Vec::new();
    for declaration in declarations {
        if declaration.key == key {
            return Ok(declaration);
        }
        keys.push(declaration.key);
    }
    let nearest = nearest_name(key, keys.iter().copied());
    let hint = match nearest {
        Some(nearest) => format!("did you mean '{nearest}'?"),
        None => format!("it has {}", keys.join(", ")),
    };
    Err(Failure::usage(format!(
        "the service type '{}' has no field '{key}'",
        source.service_type
    ))
    .hint(hint))
}

/// A text as the record holds it. What does not fit its type stays a text, and the check says so.
fn typed(declaration: &Declaration, text: String) -> Value {
    let trimmed = text.trim();
    match declaration.r#type {
        "int" => trimmed
            .parse::<i64>()
            .map_or(Value::String(text), Value::from),
        "bool" => match trimmed.to_ascii_lowercase().as_str() {
            "true" | "yes" | "on" | "y" => true.into(),
            "false" | "no" | "off" | "n" => false.into(),
            _ => text.into(),
        },
        _ => text.into(),
    }
}

/// The rules of Elasticsearch for names of indices, as far as they can be told here.
fn check_index_name(name: &str) -> Result<()> {
    let wrong = if name.is_empty() || name.len() > 255 {
        "it must have 1 to 255 bytes"
    } else if name.chars().any(char::is_uppercase) {
        "it must be in lower case"
    } else if name.starts_with(['-', '_', '+']) || matches!(name, "." | "..") {
        "it must not begin with -, _ or +"
    } else if name.contains(|c: char| c.is_whitespace() || "\\/*?\"<>|,#:".contains(c)) {
        "it must not hold spaces or any of \\ / * ? \" < > | , # :"
    } else {
        return Ok(());
    };
    Err(Failure::usage(format!(
        "'{name}' cannot be the name of an index: {wrong}"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arguments::FieldFrom;
    use tributary_source_postgresql::POSTGRESQL;

    fn arguments(fields: &[(&str, &str)]) -> CreateConnector {
        CreateConnector {
            field: fields
                .iter()
                .map(|(key, from)| FieldFrom {
                    key: (*key).to_owned(),
                    from: (*from).to_owned(),
                })
                .collect(),
            ..CreateConnector::default()
        }
    }

    #[test]
    fn values_get_the_type_of_their_field() {
        let values =
            given_values(&POSTGRESQL, &arguments(&[("host", "db"), ("port", "5433")])).unwrap();
        assert_eq!(Value::Object(values), json!({"host": "db", "port": 5433}));
    }

    #[test]
    fn a_secret_is_no_argument_and_an_unknown_field_names_the_nearest() {
        let error = given_values(&POSTGRESQL, &arguments(&[("password", "hunter2")])).unwrap_err();
        let error = error.to_string();
        assert!(
            error.contains("--field-env password=") && !error.contains("hunter2"),
            "{error}"
        );
        let error = given_values(&POSTGRESQL, &arguments(&[("hots", "db")])).unwrap_err();
        assert!(
            error.to_string().contains("did you mean 'host'?"),
            "{error}"
        );
    }

    #[test]
    fn all_problems_are_told_together() {
        let values = given_values(&POSTGRESQL, &arguments(&[("port", "many")])).unwrap();
        let error = configuration(&POSTGRESQL, values, false)
            .unwrap_err()
            .to_string();
        for label in ["host", "port", "username", "database"] {
            assert!(
                error.contains(&format!("field: {label}")),
                "{label} is not in {error}"
            );
        }
    }

    #[test]
    fn index_names_are_checked() {
        for name in ["", "Books", "_books", "books*", "a b", "a,b", "."] {
            assert!(check_index_name(name).is_err(), "{name}");
        }
        for name in ["books", "search-books.2", "bücher"] {
            assert!(check_index_name(name).is_ok(), "{name}");
        }
    }
}
