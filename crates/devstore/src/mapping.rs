//! Field types: declared, or found out from the first value (dynamic mapping), and the errors of values that
//! do not fit.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::dates;
use crate::errors::{Problem, Result, refuse};
use crate::schema;
use crate::select::plain_text;

/// Longest text that is found as a whole unless the mapping says otherwise, in characters. As in Elasticsearch.
const IGNORE_ABOVE: usize = 256;
/// Longest keyword in characters.
const KEYWORD_LIMIT: usize = 8191;
const DEPTH_LIMIT: usize = 20;
const FIELD_LIMIT: usize = 1000;
const METADATA: &str = "_id _index _source _routing _seq_no _version";
/// What the store cannot do as the mapping asks.
const UNSUPPORTED: [&str; 3] = ["copy_to", "null_value", "script"];
const DATE_FORMATS: &str = "strict_date_optional_time date_optional_time epoch_millis";

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Kind {
    Text,
    Keyword,
    Integer,
    Float,
    Boolean,
    Date,
    Object,
    /// Kept in the source, not searchable.
    Opaque,
}

/// A mapped field, or a subfield such as `title.keyword`.
#[derive(Clone, Debug)]
pub(crate) struct Field {
    pub(crate) kind: Kind,
    /// The path of the values in the source; for a subfield that of its parent.
    pub(crate) path: String,
    /// Longest value in characters that can be found as a whole.
    ignore_above: usize,
    /// Whether the words of the value are in the full-text index.
    pub(crate) has_words: bool,
    type_name: String,
}

impl Field {
    fn of(definition: &Value, name: &str, path: &str) -> Result<Field> {
        let type_name = definition["type"].as_str().unwrap_or("object");
        let kind = kind_of(definition, type_name, name)?;
        let limit = definition["ignore_above"]
            .as_u64()
            .map(|limit| limit as usize);
        let default = if kind == Kind::Text {
            IGNORE_ABOVE
        } else {
            KEYWORD_LIMIT
        };
        Ok(Field {
            kind,
            path: path.to_owned(),
            ignore_above: limit.unwrap_or(default).min(KEYWORD_LIMIT),
            has_words: kind == Kind::Text,
            type_name: type_name.to_owned(),
        })
    }

    /// The text that stands for a value in exact comparisons and gives the order of values; `None` if it does not fit.
    pub(crate) fn key(&self, value: &Value) -> Option<String> {
        let text = value.as_str();
        match self.kind {
            Kind::Text | Kind::Keyword if value.is_object() || value.is_array() => None,
            Kind::Text | Kind::Keyword => Some(plain_text(value)),
            Kind::Boolean => {
                let truth = value.as_bool().or_else(|| text?.parse().ok())?;
                Some(truth.to_string())
            }
            Kind::Date => dates::millis_of(value).map(integer_key),
            Kind::Integer => {
                let whole = value.as_i64().or_else(|| text?.trim().parse().ok());
                // Elasticsearch cuts off the fraction; 9.2e18 and above do not fit.
                let cut =
                    number_of(value).filter(|number| !value.is_u64() && number.abs() < 9.2e18);
                let whole = whole.or(cut.map(|number| number as i64))?;
                let fits = match self.type_name.as_str() {
                    "integer" => i32::try_from(whole).is_ok(),
                    "short" => i16::try_from(whole).is_ok(),
                    "byte" => i8::try_from(whole).is_ok(),
                    _ => true,
                };
                fits.then(|| integer_key(whole))
            }
            Kind::Float => number_of(value).map(float_key),
            Kind::Object | Kind::Opaque => None,
        }
    }

    /// The key under which a value can be found as a whole; texts may be too long for it.
    pub(crate) fn exact_key(&self, value: &Value) -> Option<String> {
        let fits = |key: &String| key.chars().nth(self.ignore_above).is_none();
        self.key(value).filter(fits)
    }
}

/// Whole numbers as texts in the order of the numbers.
pub(crate) fn integer_key(number: i64) -> String {
    format!("{:016x}", number.cast_unsigned() ^ (1 << 63))
}

/// Broken numbers as texts in the order of the numbers.
pub(crate) fn float_key(number: f64) -> String {
    let bits = (number + 0.0).to_bits();
    let ordered = if bits >> 63 == 0 {
        bits | (1 << 63)
    } else {
        !bits
    };
    format!("{ordered:016x}")
}

/// The number in a value.
pub(crate) fn number_of(value: &Value) -> Option<f64> {
    let text = || value.as_str()?.trim().parse().ok();
    value
        .as_f64()
        .or_else(text)
        .filter(|number: &f64| number.is_finite())
}

fn kind_of(definition: &Value, type_name: &str, path: &str) -> Result<Kind> {
    let is_off = |key: &str| definition[key] == false || definition[key] == "false";
    let formats = definition["format"].as_str().unwrap_or("epoch_millis");
    let mut formats = formats.split("||");
    let odd = UNSUPPORTED.iter().find(|key| !definition[**key].is_null());
    let what = match odd {
        Some(parameter) => parameter,
        None if !definition["properties"].is_null() && !definition["dynamic"].is_null() => {
            "dynamic"
        }
        None if !formats.all(|format| DATE_FORMATS.contains(format)) => "format",
        None => "",
    };
    if !what.is_empty() {
        return Err(Problem::unsupported(format!(
            "[{what}] of the field [{path}]"
        )));
    }
    Ok(match type_name {
        _ if is_off("enabled") || is_off("index") => Kind::Opaque,
        "object" => Kind::Object,
        "text" | "match_only_text" => Kind::Text,
        "keyword" | "constant_keyword" | "wildcard" | "ip" | "version" => Kind::Keyword,
        "long" | "integer" | "short" | "byte" => Kind::Integer,
        "double" | "float" | "half_float" => Kind::Float,
        "boolean" => Kind::Boolean,
        "date" => Kind::Date,
        "binary" | "dense_vector" | "sparse_vector" | "flattened" => Kind::Opaque,
        other if schema::lists("unsupported_types", other) => {
            let what = format!("the type [{other}] of the field [{path}]");
            return Err(Problem::unsupported(what));
        }
        other => refuse!(
            "mapper_parsing_exception",
            "No handler for type [{other}] declared on field [{path}]"
        ),
    })
}

/// The mapping of one index: the tree as clients see it, and its fields by their full names.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(try_from = "Value", into = "Value")]
pub(crate) struct Mapping {
    pub(crate) tree: Map<String, Value>,
    pub(crate) fields: BTreeMap<String, Field>,
}

impl TryFrom<Value> for Mapping {
    type Error = String;

    fn try_from(tree: Value) -> std::result::Result<Mapping, String> {
        let mut mapping = Mapping::default();
        mapping.merge(&tree).map_err(|problem| problem.reason)?;
        Ok(mapping)
    }
}

impl From<Mapping> for Value {
    fn from(mapping: Mapping) -> Value {
        Value::Object(mapping.tree)
    }
}

impl Mapping {
    /// The field of a name in a query. `.keyword` and `.enum` work for every text field.
    pub(crate) fn field(&self, name: &str) -> Option<Field> {
        if let Some(field) = self.fields.get(name) {
            return Some(field.clone());
        }
        let parent = name
            .strip_suffix(".keyword")
            .or_else(|| name.strip_suffix(".enum"))?;
        let field = self.fields.get(parent)?.clone();
        let (kind, ignore_above) = (Kind::Keyword, IGNORE_ABOVE);
        let is_text = matches!(field.kind, Kind::Text | Kind::Keyword);
        is_text.then_some(Field {
            kind,
            ignore_above,
            ..field
        })
    }

    /// Lays `update` over the mapping. After an `Err` it must be thrown away.
    pub(crate) fn merge(&mut self, update: &Value) -> Result<()> {
        let Value::Object(update) = update else {
            refuse!("mapper_parsing_exception", "Expected a map for the mapping")
        };
        for (key, value) in update.iter().filter(|(key, _)| *key != "properties") {
            self.tree.insert(key.clone(), value.clone());
        }
        let dynamic = self.dynamic();
        if !matches!(dynamic.as_str(), "true" | "false" | "strict") {
            return Err(Problem::unsupported(format!(
                "a mapping with [dynamic: {dynamic}]"
            )));
        }
        match update.get("properties") {
            Some(properties) => self.declare(properties, "", 1),
            None => Ok(()),
        }
    }

    /// Takes in the `properties` of the root or of an object.
    fn declare(&mut self, properties: &Value, prefix: &str, depth: usize) -> Result<()> {
        let Value::Object(properties) = properties else {
            refuse!(
                "mapper_parsing_exception",
                "Expected a map for the properties of [{prefix}]"
            )
        };
        if depth > DEPTH_LIMIT {
            refuse!(
                "illegal_argument_exception",
                "[{prefix}] is nested deeper than {DEPTH_LIMIT}"
            );
        }
        for (name, definition) in properties {
            let path = format!("{prefix}{name}");
            let Value::Object(object) = definition else {
                refuse!(
                    "mapper_parsing_exception",
                    "Expected a map for the definition of [{path}]"
                )
            };
            let mut own = object.clone();
            let inner = own.shift_remove("properties");
            self.add(&path, Value::Object(own))?;
            if let Some(inner) = inner {
                self.declare(&inner, &format!("{path}."), depth + 1)?;
            }
        }
        Ok(())
    }

    /// Adds a field with its parents and subfields, or changes its definition; its type must stay the same.
    pub(crate) fn add(&mut self, path: &str, definition: Value) -> Result<()> {
        let mut field = Field::of(&definition, path, path)?;
        if let Some(known) = self.fields.get(path) {
            let (old, new) = (&known.type_name, &field.type_name);
            if old != new {
                refuse!(
                    "illegal_argument_exception",
                    "mapper [{path}] cannot be changed from type [{old}] to [{new}]"
                );
            }
        }
        for (name, definition) in definition["fields"].as_object().into_iter().flatten() {
            let name = format!("{path}.{name}");
            let subfield = Field::of(definition, &name, path)?;
            field.has_words |= subfield.has_words;
            field.ignore_above = field.ignore_above.max(subfield.ignore_above);
            self.fields.insert(name, subfield);
        }
        self.fields.insert(path.to_owned(), field);
        let mut place = self.tree.entry("properties").or_insert_with(|| json!({}));
        let mut names = path.split('.').peekable();
        let mut parent = String::new();
        while let Some(name) = names.next() {
            place = &mut place[name];
            parent = format!("{parent}.{name}");
            if names.peek().is_some() {
                if !self.fields.contains_key(&parent[1..]) {
                    let object = Field::of(&json!({}), path, &parent[1..])?;
                    self.fields.insert(parent[1..].to_owned(), object);
                }
                place = &mut place["properties"];
            }
        }
        match (place, definition) {
            (Value::Object(place), Value::Object(definition)) => place.extend(definition),
            (place, definition) => *place = definition,
        }
        Ok(())
    }

    fn dynamic(&self) -> String {
        self.tree
            .get("dynamic")
            .map_or("true".to_owned(), plain_text)
    }

    /// Checks a document. Returns the mapping with the fields that it adds, or what is wrong with it.
    pub(crate) fn check<'m>(
        &'m self,
        id: &'m str,
        document: &Map<String, Value>,
        limit: Option<usize>,
    ) -> Result<Cow<'m, Mapping>> {
        let mut check = Check {
            mapping: Cow::Borrowed(self),
            id,
        };
        check.object(document, "", 1)?;
        let (limit, count) = (limit.unwrap_or(FIELD_LIMIT), check.mapping.fields.len());
        if count > limit && count > self.fields.len() {
            refuse!(
                "document_parsing_exception",
                "[1:1] failed to parse: Limit of total fields [{limit}] has been exceeded"
            );
        }
        Ok(check.mapping)
    }
}

/// One document under the magnifying glass.
struct Check<'c> {
    mapping: Cow<'c, Mapping>,
    id: &'c str,
}

impl Check<'_> {
    fn object(&mut self, object: &Map<String, Value>, prefix: &str, depth: usize) -> Result<()> {
        if depth > DEPTH_LIMIT && self.mapping.dynamic() == "true" {
            refuse!(
                "document_parsing_exception",
                "[1:1] Limit of mapping depth [{DEPTH_LIMIT}] has been exceeded by [{prefix}]"
            );
        }
        for (key, value) in object {
            let path = format!("{prefix}{key}");
            if key.split('.').any(|part| part.trim().is_empty()) {
                refuse!(
                    "document_parsing_exception",
                    "[1:1] field name [{path}] cannot be empty or have an empty part"
                );
            }
            if METADATA.split(' ').any(|name| name == path) {
                refuse!(
                    "document_parsing_exception",
                    "[1:1] Field [{path}] is a metadata field and cannot be added inside a document."
                );
            }
            self.value(value, &path, depth)?;
        }
        Ok(())
    }

    fn value(&mut self, value: &Value, path: &str, depth: usize) -> Result<()> {
        let field = self.mapping.fields.get(path);
        match (field.map(|field| field.kind), value) {
            (Some(Kind::Opaque), _) | (_, Value::Null) => Ok(()),
            (_, Value::Array(items)) => {
                let mut items = items.iter();
                items.try_for_each(|item| self.value(item, path, depth))
            }
            (Some(Kind::Object), Value::Object(object)) => {
                self.object(object, &format!("{path}."), depth + 1)
            }
            (Some(Kind::Object), _) => refuse!(
                "document_parsing_exception",
                "[1:1] object mapping for [{path}] tried to parse field [{path}] as object, but found a concrete value"
            ),
            (Some(_), value) => self.scalar(value, path),
            (None, value) => self.unknown(value, path, depth),
        }
    }

    fn scalar(&self, value: &Value, path: &str) -> Result<()> {
        let Some(field) = self.mapping.fields.get(path) else {
            return Ok(());
        };
        // Elasticsearch takes an empty text for no number and no truth.
        if field.key(value).is_some() || (value == "" && field.kind != Kind::Date) {
            return Ok(());
        }
        let (type_name, id) = (&field.type_name, self.id);
        let preview: String = value.to_string().chars().take(50).collect();
        let reason = format!(
            "[1:1] failed to parse field [{path}] of type [{type_name}] in document with id '{id}'. Preview of field's value: '{preview}'"
        );
        let cause = json!({"type": "illegal_argument_exception", "reason": format!("For input: {preview}")});
        Err(Problem::new(400, "document_parsing_exception", reason).with("caused_by", cause))
    }

    /// Maps a field that is not mapped by its value, if the mapping allows it.
    fn unknown(&mut self, value: &Value, path: &str, depth: usize) -> Result<()> {
        // The parents of a dotted name must be objects, or nothing yet.
        for (at, _) in path.match_indices('.') {
            let parent = &path[..at];
            match self.mapping.fields.get(parent).map(|field| field.kind) {
                None | Some(Kind::Object) => {}
                Some(Kind::Opaque) => return Ok(()),
                Some(_) => refuse!(
                    "document_parsing_exception",
                    "[1:1] Could not dynamically add mapping for field [{path}]. Existing mapping for [{parent}] must be of type object."
                ),
            }
        }
        match self.mapping.dynamic().as_str() {
            "true" => {}
            "false" => return Ok(()),
            _ => refuse!(
                "strict_dynamic_mapping_exception",
                "[1:1] mapping set to strict, dynamic introduction of [{path}] within [_doc] is not allowed"
            ),
        }
        let definition = match value {
            Value::Object(object) => {
                self.object(object, &format!("{path}."), depth + 1)?;
                if self.mapping.fields.contains_key(path) {
                    return Ok(());
                }
                json!({"type": "object"})
            }
            Value::Bool(_) => json!({"type": "boolean"}),
            Value::Number(number) if number.is_f64() => json!({"type": "float"}),
            Value::Number(_) => json!({"type": "long"}),
            // Pure numbers are not dates.
            Value::String(text) if text.contains(['-', ':']) && dates::parse(text).is_some() => {
                json!({"type": "date"})
            }
            _ => {
                let keyword = json!({"type": "keyword", "ignore_above": IGNORE_ABOVE});
                json!({"type": "text", "fields": {"keyword": keyword}})
            }
        };
        self.mapping.to_mut().add(path, definition)?;
        if value.is_object() {
            Ok(())
        } else {
            self.scalar(value, path)
        }
    }
}
