//! `config example`, `config check`.

use crate::{
    arguments::ConfigCommand,
    failure::Result,
    output::{complain, say},
    settings,
    sources::REGISTRY,
};
use tributary_service::config::example;

pub(super) fn run(command: &ConfigCommand) -> Result<()> {
    match command {
        ConfigCommand::Example => say(example().trim_end()),
        ConfigCommand::Check { config } => {
            let parsed = settings::for_service(config)?;
            for warning in &parsed.warnings {
                complain(&format!("warning: {warning}"));
            }
            for connector in &parsed.config.connectors {
                if let Err(unknown) = REGISTRY.find(&connector.service_type) {
                    complain(&format!(
                        "warning: connector '{}': {unknown}",
                        connector.connector_id
                    ));
                }
            }
            say(&format!("{} can be used", config.display()));
        }
    }
    Ok(())
}
