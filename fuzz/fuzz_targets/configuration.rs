//! `config.yml`: any text is a configuration or a list of errors. Durations, sizes and values are in it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::path::Path;
use tributary_fuzz::within;
use tributary_service::config::{Config, Environment};

/// Nothing of the process is read, and no command runs.
struct Small;

impl Environment for Small {
    fn variable(&self, name: &str) -> Option<String> {
        (name.len() < 3).then(|| "${X} y: [".to_owned())
    }

    fn read_file(&self, _: &Path) -> Result<String, String> {
        Ok("secret\n".to_owned())
    }

    fn run_command(&self, _: &str) -> Result<String, String> {
        Err("it failed".to_owned())
    }
}

fuzz_target!(|text: &str| {
    within(1024, text.len(), || {
        let outcomes = [
            Config::parse(text, &Small),
            Config::parse_for_service(text, &Small),
        ];
        for outcome in outcomes {
            match outcome {
                Ok(parsed) => drop(format!("{parsed:?}")),
                Err(errors) => drop(errors.to_string()),
            }
        }
    });
});
