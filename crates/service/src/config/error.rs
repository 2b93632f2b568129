use super::tree::Place;
use std::fmt;

/// One thing that is wrong with a configuration: where, and the way out.
///
/// Shown on one line, as `elasticsearch.request_timeout: must be a number of seconds, got 'abc'
/// (line 3, column 20)`. Values of secret keys are never part of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    key: String,
    message: String,
    place: Option<Place>,
}

impl ConfigError {
    pub(super) fn new(
        key: impl Into<String>,
        place: Option<Place>,
        message: impl Into<String>,
    ) -> Self {
        Self {
            key: key.into(),
            message: message.into(),
            place,
        }
    }

    /// The dotted key, such as `connectors[0].api_key`; empty when the text is not even YAML.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// What is wrong and what to do.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The line in the text, counted from 1; `None` for something that is missing.
    pub fn line(&self) -> Option<usize> {
        self.place.map(|place| place.line)
    }

    /// The column in the line, counted from 1 in characters.
    pub fn column(&self) -> Option<usize> {
        self.place.map(|place| place.column)
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.message)?;
        if let Some(place) = self.place {
            write!(f, " ({place})")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}

/// Everything that is wrong with a configuration, in the order of the text. Never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigErrors(Vec<ConfigError>);

impl ConfigErrors {
    /// `None` if nothing is wrong.
    pub(super) fn from_list(mut errors: Vec<ConfigError>) -> Option<Self> {
        // What is missing has no place and comes last.
        errors.sort_by_key(|error| error.place.unwrap_or(Place::END));
        (!errors.is_empty()).then_some(Self(errors))
    }

    /// The single problems.
    pub fn iter(&self) -> impl Iterator<Item = &ConfigError> {
        self.0.iter()
    }
}

impl From<ConfigError> for ConfigErrors {
    fn from(error: ConfigError) -> Self {
        Self(vec![error])
    }
}

/// One problem a line.
impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{error}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}
