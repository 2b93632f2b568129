//! What is declared about a field.

use serde::Serialize;
use serde_json::Value;

/// All that is declared about a field. Serialised, it is the field's entry in the connector record:
/// the order of the members here is their order there.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Declaration {
    /// Its name in the connector's configuration.
    #[serde(skip)]
    pub key: &'static str,
    /// What an empty optional field reads as.
    pub default_value: Plain,
    /// The field is shown and needed only if all of these hold.
    pub depends_on: &'static [Dependency],
    /// The kind of input in the form: text, textarea, numeric, toggle, dropdown.
    pub display: &'static str,
    /// What people read.
    pub label: &'static str,
    /// The choices of a dropdown.
    pub options: &'static [Choice],
    /// Its place in the form, from 1.
    pub order: u16,
    /// Whether it may not be empty.
    pub required: bool,
    /// Whether its value is a secret.
    pub sensitive: bool,
    /// A sentence that helps to fill it in.
    pub tooltip: Option<&'static str>,
    /// The type of the value: str, int, bool, list.
    pub r#type: &'static str,
    /// Where the form shows it; `advanced` is the only known word.
    pub ui_restrictions: &'static [&'static str],
    /// What else has to hold for the value.
    pub validations: &'static [Validation],
    /// What a new form begins with.
    pub value: Plain,
}

/// A value in a declaration.
#[derive(Clone, Copy, Debug, Serialize, PartialEq, Eq)]
#[serde(untagged)]
pub enum Plain {
    /// No value.
    Null,
    /// Text, also a choice or a comma-separated list.
    Text(&'static str),
    /// A whole number.
    Integer(i64),
    /// On or off.
    Toggle(bool),
}

impl Plain {
    /// As JSON.
    pub fn to_value(self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Text(text) => text.into(),
            Self::Integer(number) => number.into(),
            Self::Toggle(on) => on.into(),
        }
    }
}

/// The field is shown, and needed, only if that other field has this value.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Dependency {
    /// The key of the other field.
    pub field: &'static str,
    /// The value it must have.
    pub value: Plain,
}

/// An entry of a dropdown.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Choice {
    /// What people read.
    pub label: &'static str,
    /// What is stored.
    pub value: &'static str,
}

/// Something that has to hold for a value (service sheet §6).
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(tag = "type", content = "constraint", rename_all = "snake_case")]
pub enum Validation {
    /// The number is less than this.
    LessThan(i64),
    /// The number is greater than this.
    GreaterThan(i64),
    /// Every item of the list is of this type: `str` or `int`.
    ListType(&'static str),
    /// The value, or every item of the list, is one of these.
    IncludedIn(&'static [&'static str]),
    /// The whole text matches this regular expression.
    Regex(&'static str),
}

impl Validation {
    /// The `Err` ends a sentence that begins with the label.
    pub(super) fn check_number(self, number: i64) -> Result<(), String> {
        match self {
            Self::LessThan(bound) if number >= bound => {
                Err(format!("value {number} should be less than {bound}."))
            }
            Self::GreaterThan(bound) if number <= bound => {
                Err(format!("value {number} should be greater than {bound}."))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn check_text(self, text: &str) -> Result<(), String> {
        match self {
            Self::IncludedIn(choices) if !choices.contains(&text) => Err(format!(
                "value '{text}' should be one of {}.",
                choices.join(", ")
            )),
            Self::Regex(pattern) if !matches_whole(pattern, text) => Err(format!(
                "value '{text}' should match the regular expression {pattern}."
            )),
            _ => Ok(()),
        }
    }

    pub(super) fn check_list(self, items: &[String]) -> Result<(), String> {
        match self {
            Self::ListType("int") => match items.iter().find(|item| item.parse::<i64>().is_err()) {
                Some(item) => Err(format!("item '{item}' should be a whole number.")),
                None => Ok(()),
            },
            Self::IncludedIn(_) => items.iter().try_for_each(|item| self.check_text(item)),
            _ => Ok(()),
        }
    }
}

/// A pattern that cannot be compiled matches nothing; patterns are constants of ours and tested.
fn matches_whole(pattern: &str, text: &str) -> bool {
    regex::Regex::new(&format!("^(?:{pattern})$")).is_ok_and(|regex| regex.is_match(text))
}
