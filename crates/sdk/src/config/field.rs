//! A typed field: declaration and accessor in one constant.

use super::{Choice, Declaration, Dependency, Plain, Validation, Values};
use crate::{Error, Result, Secret};
use serde_json::Value;
use std::marker::PhantomData;

/// A configuration field with values of type `T`.
#[derive(Debug)]
pub struct Field<T> {
    declaration: Declaration,
    values: PhantomData<fn() -> T>,
}

impl<T> Field<T> {
    const fn new(
        key: &'static str,
        label: &'static str,
        kind: &'static str,
        display: &'static str,
    ) -> Self {
        Self {
            declaration: Declaration {
                key,
                default_value: Plain::Null,
                depends_on: &[],
                display,
                label,
                options: &[],
                order: 1,
                required: true,
                sensitive: false,
                tooltip: None,
                r#type: kind,
                ui_restrictions: &[],
                validations: &[],
                value: Plain::Text(""),
            },
            values: PhantomData,
        }
    }

    /// Its place in the form.
    pub const fn order(mut self, order: u16) -> Self {
        self.declaration.order = order;
        self
    }

    /// A sentence that helps to fill it in.
    pub const fn tooltip(mut self, tooltip: &'static str) -> Self {
        self.declaration.tooltip = Some(tooltip);
        self
    }

    /// Shown under "advanced" only.
    pub const fn advanced(mut self) -> Self {
        self.declaration.ui_restrictions = &["advanced"];
        self
    }

    /// Shown and needed only if all of these hold.
    pub const fn only_if(mut self, depends_on: &'static [Dependency]) -> Self {
        self.declaration.depends_on = depends_on;
        self
    }

    /// What else has to hold for the value.
    pub const fn checked_by(mut self, validations: &'static [Validation]) -> Self {
        self.declaration.validations = validations;
        self
    }

    /// May be left empty; then it reads as nothing.
    pub const fn or_nothing(self) -> Self {
        self.optional(Plain::Null)
    }

    const fn optional(mut self, default_value: Plain) -> Self {
        self.declaration.required = false;
        self.declaration.default_value = default_value;
        self
    }

    const fn filled(mut self, value: Plain) -> Self {
        self.declaration.value = value;
        self
    }

    const fn when(&self, value: Plain) -> Dependency {
        Dependency {
            field: self.declaration.key,
            value,
        }
    }
}

impl Field<String> {
    /// A line of text.
    pub const fn text(key: &'static str, label: &'static str) -> Self {
        Self::new(key, label, "str", "text")
    }

    /// Several lines of text.
    pub const fn long_text(key: &'static str, label: &'static str) -> Self {
        Self::new(key, label, "str", "textarea")
    }

    /// One of several; the form begins with the first.
    pub const fn choice(
        key: &'static str,
        label: &'static str,
        options: &'static [Choice],
    ) -> Self {
        let mut field = Self::new(key, label, "str", "dropdown");
        field.declaration.options = options;
        match options {
            [first, ..] => field.filled(Plain::Text(first.value)),
            [] => field,
        }
    }

    /// May be left empty; then it reads as this.
    pub const fn or(self, default_value: &'static str) -> Self {
        self.optional(Plain::Text(default_value))
    }

    /// What the form begins with.
    pub const fn starting_as(self, value: &'static str) -> Self {
        self.filled(Plain::Text(value))
    }

    /// For the `only_if` of another field.
    pub const fn is(&self, value: &'static str) -> Dependency {
        self.when(Plain::Text(value))
    }
}

impl Field<Secret> {
    /// A line of text that nobody may see again.
    pub const fn secret(key: &'static str, label: &'static str) -> Self {
        let mut field = Self::new(key, label, "str", "text");
        field.declaration.sensitive = true;
        field
    }

    /// Several lines of text that nobody may see again, such as a private key.
    pub const fn long_secret(key: &'static str, label: &'static str) -> Self {
        let mut field = Self::new(key, label, "str", "textarea");
        field.declaration.sensitive = true;
        field
    }
}

impl Field<Vec<String>> {
    /// A comma-separated list.
    pub const fn list(key: &'static str, label: &'static str) -> Self {
        Self::new(key, label, "list", "textarea")
    }

    /// May be left empty; then it reads as this comma-separated list.
    pub const fn or(self, default_value: &'static str) -> Self {
        self.optional(Plain::Text(default_value))
    }

    /// What the form begins with.
    pub const fn starting_as(self, value: &'static str) -> Self {
        self.filled(Plain::Text(value))
    }
}

impl Field<i64> {
    /// A whole number.
    pub const fn integer(key: &'static str, label: &'static str) -> Self {
        Self::new(key, label, "int", "numeric")
    }

    /// May be left empty; then it reads as this.
    pub const fn or(self, default_value: i64) -> Self {
        self.optional(Plain::Integer(default_value))
    }

    /// What the form begins with.
    pub const fn starting_as(self, value: i64) -> Self {
        self.filled(Plain::Integer(value))
    }
}

impl Field<bool> {
    /// A switch and its position in a new form.
    pub const fn toggle(key: &'static str, label: &'static str, on: bool) -> Self {
        Self::new(key, label, "bool", "toggle").filled(Plain::Toggle(on))
    }

    /// May be left empty; then it reads as this.
    pub const fn or(self, default_value: bool) -> Self {
        self.optional(Plain::Toggle(default_value))
    }

    /// For the `only_if` of another field.
    pub const fn is(&self, on: bool) -> Dependency {
        self.when(Plain::Toggle(on))
    }
}

/// A type that a stored value can be read as.
pub trait Read: Sized {
    /// What a field reads as when it is hidden, or empty without a default.
    fn absent() -> Self;
    /// Reads a stored value; the `Err` ends a sentence that begins with the label.
    fn read(value: &Value, declaration: &Declaration) -> Result<Self, String>;
}

impl Read for String {
    fn absent() -> Self {
        Self::new()
    }

    fn read(value: &Value, declaration: &Declaration) -> Result<Self, String> {
        let text = match value {
            Value::String(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            _ => return Err("should be a text.".into()),
        };
        let options = declaration.options;
        if !options.is_empty() && !options.iter().any(|option| option.value == text) {
            let known: Vec<_> = options.iter().map(|option| option.value).collect();
            return Err(format!(
                "value '{text}' should be one of {}.",
                known.join(", ")
            ));
        }
        let mut validations = declaration.validations.iter();
        validations.try_for_each(|validation| validation.check_text(&text))?;
        Ok(text)
    }
}

impl Read for Secret {
    fn absent() -> Self {
        Self::default()
    }

    fn read(value: &Value, _: &Declaration) -> Result<Self, String> {
        match value {
            Value::String(text) => Ok(Self::new(text.as_str())),
            Value::Number(number) => Ok(Self::new(number.to_string())),
            _ => Err("should be a text.".into()),
        }
    }
}

impl Read for Vec<String> {
    fn absent() -> Self {
        Self::new()
    }

    fn read(value: &Value, declaration: &Declaration) -> Result<Self, String> {
        let items: Vec<String> = match value {
            Value::String(text) => text.split(',').map(|item| item.trim().into()).collect(),
            Value::Array(items) => items.iter().filter_map(item_text).collect(),
            Value::Number(number) => vec![number.to_string()],
            _ => return Err("should be a comma-separated list.".into()),
        };
        let items: Vec<String> = items.into_iter().filter(|item| !item.is_empty()).collect();
        let mut validations = declaration.validations.iter();
        validations.try_for_each(|validation| validation.check_list(&items))?;
        Ok(items)
    }
}

fn item_text(item: &Value) -> Option<String> {
    match item {
        Value::String(text) => Some(text.trim().into()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

impl Read for i64 {
    fn absent() -> Self {
        0
    }

    fn read(value: &Value, declaration: &Declaration) -> Result<Self, String> {
        let number = match value {
            Value::Number(number) => number.as_i64(),
            Value::String(text) => text.trim().parse().ok(),
            _ => None,
        };
        let number = number.ok_or_else(|| "should be a whole number.".to_owned())?;
        let mut validations = declaration.validations.iter();
        validations.try_for_each(|validation| validation.check_number(number))?;
        Ok(number)
    }
}

impl Read for bool {
    fn absent() -> Self {
        false
    }

    fn read(value: &Value, _: &Declaration) -> Result<Self, String> {
        as_switch(value).ok_or_else(|| "should be true or false.".into())
    }
}

/// A switch as Kibana and people write it.
pub(super) fn as_switch(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(on) => Some(*on),
        Value::String(text) => match text.trim().to_ascii_lowercase().as_str() {
            "true" => Some(true),
            "false" => Some(false),
            _ => None,
        },
        _ => None,
    }
}

impl<T: Read> Field<T> {
    /// The value. Hidden fields read as nothing, empty optional ones as their default; a value that
    /// cannot work is `InvalidConfig`.
    pub fn get(&self, values: &Values) -> Result<T> {
        let declaration = &self.declaration;
        let stored = values.slot(declaration.key)?;
        if !values.shows(declaration)? {
            return Ok(T::absent());
        }
        let default_value = declaration.default_value.to_value();
        let value = match (is_empty(stored), declaration.required) {
            (false, _) => stored,
            (true, false) if default_value.is_null() => return Ok(T::absent()),
            (true, false) => &default_value,
            (true, true) => return Err(invalid(declaration, "cannot be empty.")),
        };
        T::read(value, declaration).map_err(|why| invalid(declaration, &why))
    }
}

/// Empty in the sense of service sheet §6.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.iter().all(is_empty),
        _ => false,
    }
}

fn invalid(declaration: &Declaration, why: &str) -> Error {
    Error::invalid_config(format!("'{}' {why}", declaration.label)).with("field", declaration.key)
}

/// A field whose type is forgotten, for form, docs and checks.
pub trait AnyField: Sync {
    /// What is declared.
    fn declaration(&self) -> &Declaration;
    /// Whether the value can be read.
    fn check(&self, values: &Values) -> Result<()>;
}

impl<T: Read> AnyField for Field<T> {
    fn declaration(&self) -> &Declaration {
        &self.declaration
    }

    fn check(&self, values: &Values) -> Result<()> {
        self.get(values).map(drop)
    }
}

impl std::fmt::Debug for dyn AnyField {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.declaration().fmt(f)
    }
}
