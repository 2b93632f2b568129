//! Which engines the end-to-end tests of this run use.

use anyhow::{Context, Result, bail};

/// An engine that the end-to-end scenarios can run against.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EngineChoice {
    /// The development store, in the tested binary.
    Store,
    /// Elasticsearch 9.
    Elasticsearch,
    /// Elasticsearch 8.19.
    Elasticsearch8,
    /// OpenSearch 3.
    OpenSearch,
}

impl EngineChoice {
    const ALL: [EngineChoice; 4] = [
        EngineChoice::Store,
        EngineChoice::Elasticsearch,
        EngineChoice::Elasticsearch8,
        EngineChoice::OpenSearch,
    ];

    /// The name used in the variable `ENGINES`.
    pub fn name(self) -> &'static str {
        match self {
            EngineChoice::Store => "store",
            EngineChoice::Elasticsearch => "elasticsearch",
            EngineChoice::Elasticsearch8 => "elasticsearch8",
            EngineChoice::OpenSearch => "opensearch",
        }
    }
}

/// The engines named by the environment variable `ENGINES` (comma separated), in that order.
///
/// Unset or empty means `store,elasticsearch,opensearch`.
///
/// # Errors
/// A name that is not known, with the list of known ones.
pub fn engines_from_environment() -> Result<Vec<EngineChoice>> {
    match std::env::var("ENGINES") {
        Ok(text) if !text.trim().is_empty() => parse(&text),
        Ok(_) | Err(std::env::VarError::NotPresent) => Ok(vec![
            EngineChoice::Store,
            EngineChoice::Elasticsearch,
            EngineChoice::OpenSearch,
        ]),
        Err(error) => Err(error).context("the environment variable ENGINES cannot be read"),
    }
}

fn parse(text: &str) -> Result<Vec<EngineChoice>> {
    let mut chosen = Vec::new();
    for name in text
        .split(',')
        .map(str::trim)
        .filter(|name| !name.is_empty())
    {
        let Some(engine) = EngineChoice::ALL
            .into_iter()
            .find(|engine| engine.name() == name)
        else {
            let known: Vec<_> = EngineChoice::ALL
                .iter()
                .map(|engine| engine.name())
                .collect();
            bail!("ENGINES names \"{name}\"; known are {}", known.join(", "));
        };
        if !chosen.contains(&engine) {
            chosen.push(engine);
        }
    }
    if chosen.is_empty() {
        bail!("ENGINES is \"{text}\", which names no engine");
    }
    Ok(chosen)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_parsed_once_each_and_in_order() {
        assert_eq!(
            parse(" opensearch, store,opensearch").unwrap(),
            [EngineChoice::OpenSearch, EngineChoice::Store]
        );
    }

    #[test]
    fn an_unknown_name_is_named_with_the_known_ones() {
        let message = parse("store,solr").unwrap_err().to_string();
        assert!(
            message.contains("solr") && message.contains("elasticsearch8"),
            "{message}"
        );
        assert!(parse(",").is_err());
    }
}
