use super::{Config, ConfigErrors, Environment, Parsed};
use std::collections::HashMap;
use std::path::Path;

mod connectors;
mod defaults;
mod dotted;
mod errors;
mod example;
mod properties;
mod secrets;
mod substitution;
mod units;

/// Variables, files and commands in memory.
#[derive(Default)]
struct FakeEnvironment {
    variables: HashMap<&'static str, &'static str>,
    files: HashMap<&'static str, &'static str>,
    commands: HashMap<&'static str, &'static str>,
}

impl Environment for FakeEnvironment {
    fn variable(&self, name: &str) -> Option<String> {
        self.variables.get(name).map(|&value| value.to_owned())
    }

    fn read_file(&self, path: &Path) -> Result<String, String> {
        let text = path.to_str().and_then(|path| self.files.get(path));
        text.map(|&text| text.to_owned())
            .ok_or_else(|| "no such file".to_owned())
    }

    fn run_command(&self, command: &str) -> Result<String, String> {
        let output = self.commands.get(command);
        output
            .map(|&output| output.to_owned())
            .ok_or_else(|| "it failed".to_owned())
    }
}

fn try_parse(text: &str) -> Result<Parsed, ConfigErrors> {
    Config::parse(text, &FakeEnvironment::default())
}

/// Parses what must be right and give no warning.
fn parse(text: &str) -> Config {
    let parsed = try_parse(text).unwrap_or_else(|errors| panic!("{errors}\n{text}"));
    assert_eq!(parsed.warnings, Vec::<String>::new(), "{text}");
    parsed.config
}

fn warnings(text: &str) -> Vec<String> {
    try_parse(text)
        .unwrap_or_else(|errors| panic!("{errors}\n{text}"))
        .warnings
}

/// The errors of what must be wrong, as the user sees them.
fn errors(text: &str) -> Vec<String> {
    let errors = try_parse(text).expect_err(text);
    errors.iter().map(ToString::to_string).collect()
}

fn service_errors(text: &str) -> Vec<String> {
    match Config::parse_for_service(text, &FakeEnvironment::default()) {
        Ok(_) => Vec::new(),
        Err(errors) => errors.iter().map(ToString::to_string).collect(),
    }
}
