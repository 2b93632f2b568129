//! Field types: declared, or found out from the first value (dynamic mapping), and the errors of values that
//! do not fit.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::dates;
use crate::errors::{DOCUMENT, ILLEGAL, Problem, Result, refuse};
use crate::schema;
use crate::select::{entries, plain_text};

/// Longest text that is found as a whole unless the mapping says otherwise, in characters. As in Elasticsearch.
const IGNORE_ABOVE: usize = 256;
/// Longest keyword in characters.
const KEYWORD_LIMIT: usize = 8191;
const DEPTH_LIMIT: usize = 20;
const METADATA: &str = "_id _index _source _routing _seq_no _version";

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Kind {
    Text,
    Keyword,
    Integer,
    Float,
    Boolean,
    Date,
    Object,
}

/// A field as queries see it.
#[derive(Clone, Debug)]
pub(crate) struct Field {
    pub(crate) kind: Kind,
    /// The path of the values in the source; for a subfield such as `title.keyword` that of its parent.
    pub(crate) path: String,
    /// Longest value in characters that can be found as a whole.
    ignore_above: usize,
}

impl Field {
    /// The text that stands for a value in exact comparisons and gives the order of values; `None` if it does not fit.
    pub(crate) fn key(&self, value: &Value) -> Option<String> {
        key_of(self.kind, value)
    }

    /// The key under which a value can be found as a whole; texts may be too long for it.
    pub(crate) fn exact_key(&self, value: &Value) -> Option<String> {
        self.key(value)
            .filter(|key| key.chars().nth(self.ignore_above).is_none())
    }
}

fn key_of(kind: Kind, value: &Value) -> Option<String> {
    let text = value.as_str();
    match kind {
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
            let cut = number_of(value).filter(|number| !value.is_u64() && number.abs() < 9.2e18);
            whole.or(cut.map(|number| number as i64)).map(integer_key)
        }
        Kind::Float => number_of(value).map(float_key),
        Kind::Object => None,
    }
}

/// Whole numbers as texts in the order of the numbers.
pub(crate) fn integer_key(number: i64) -> String {
    format!("{:016x}", number.cast_unsigned() ^ (1 << 63))
}

/// Broken numbers as texts in the order of the numbers.
pub(crate) fn float_key(number: f64) -> String {
    let bits = (number + 0.0).to_bits().cast_signed();
    // Of negative numbers the larger bits are the smaller number.
    integer_key(bits ^ ((bits >> 63) & i64::MAX))
}

/// The number in a value.
pub(crate) fn number_of(value: &Value) -> Option<f64> {
    let text = || value.as_str()?.trim().parse().ok();
    value
        .as_f64()
        .or_else(text)
        .filter(|number: &f64| number.is_finite())
}

fn type_of(definition: &Value) -> &str {
    definition["type"].as_str().unwrap_or("object")
}

/// The kind of a definition that was checked when it was added.
fn kind_of(definition: &Value) -> Kind {
    match type_of(definition) {
        "text" => Kind::Text,
        "keyword" => Kind::Keyword,
        "long" | "integer" | "short" | "byte" => Kind::Integer,
        "double" | "float" | "half_float" => Kind::Float,
        "boolean" => Kind::Boolean,
        "date" => Kind::Date,
        _ => Kind::Object,
    }
}

/// The mapping of one index.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Mapping {
    /// What stands beside the fields, such as `dynamic` and `_meta`.
    root: Map<String, Value>,
    /// The definitions of the fields by their full names, objects among them.
    pub(crate) fields: BTreeMap<String, Value>,
}

impl Mapping {
    /// The field of a name in a query. `.keyword` and `.enum` work for every text field.
    pub(crate) fn field(&self, name: &str) -> Option<Field> {
        let (parent, last) = name.rsplit_once('.').unwrap_or_default();
        let whole = json!({"type": "keyword", "ignore_above": IGNORE_ABOVE});
        let (path, definition) = match (self.fields.get(name), self.fields.get(parent)) {
            (Some(definition), _) => (name, definition),
            (None, Some(above)) if above["fields"][last].is_object() => {
                (parent, &above["fields"][last])
            }
            (None, Some(above))
                if kind_of(above) == Kind::Text && matches!(last, "keyword" | "enum") =>
            {
                (parent, &whole)
            }
            _ => return None,
        };
        let limit = definition["ignore_above"].as_u64();
        Some(Field {
            kind: kind_of(definition),
            path: path.to_owned(),
            ignore_above: limit.map_or(KEYWORD_LIMIT, |limit| limit as usize),
        })
    }

    /// How a value of a field is indexed: whether by its words, and whether as a whole.
    pub(crate) fn indexing(&self, path: &str) -> Option<(bool, Field)> {
        let (definition, mut field) = (self.fields.get(path)?, self.field(path)?);
        let subfields = || entries(&definition["fields"]).map(|(_, subfield)| subfield);
        if field.kind == Kind::Text {
            let limits = subfields().filter_map(|subfield| subfield["ignore_above"].as_u64());
            let longest = limits.max().unwrap_or(0) as usize;
            field.ignore_above = longest.clamp(IGNORE_ABOVE, KEYWORD_LIMIT);
        }
        let has_words =
            field.kind == Kind::Text || subfields().any(|sub| kind_of(sub) == Kind::Text);
        Some((has_words, field))
    }

    /// The mapping as clients see it.
    pub(crate) fn tree(&self) -> Value {
        let mut tree = Value::Object(self.root.clone());
        for (path, definition) in &self.fields {
            let mut place = &mut tree;
            for name in path.split('.') {
                place = &mut place["properties"][name];
            }
            *place = definition.clone();
        }
        tree
    }

    /// Lays `update` over the mapping. After an `Err` it must be thrown away.
    pub(crate) fn merge(&mut self, update: &Value) -> Result<()> {
        schema::check("mapping", update)?;
        for (key, value) in entries(update).filter(|(key, _)| *key != "properties") {
            self.root.insert(key.clone(), value.clone());
        }
        self.declare(&update["properties"], "")
    }

    /// Takes in the `properties` of the root or of an object.
    fn declare(&mut self, properties: &Value, prefix: &str) -> Result<()> {
        for (name, definition) in entries(properties) {
            let path = format!("{prefix}{name}");
            self.add(&path, definition.clone())?;
            self.declare(&definition["properties"], &format!("{path}."))?;
        }
        Ok(())
    }

    /// Adds a field with its parents, or changes its definition; its type must stay the same.
    pub(crate) fn add(&mut self, path: &str, mut definition: Value) -> Result<()> {
        schema::check("field", &definition)?;
        for (_, subfield) in entries(&definition["fields"]) {
            schema::check("field", subfield)?;
        }
        if let Value::Object(definition) = &mut definition {
            definition.shift_remove("properties");
        }
        if let Some(known) = self.fields.get(path) {
            let (old, new) = (type_of(known), type_of(&definition));
            if old != new {
                let change = format!("cannot be changed from type [{old}] to [{new}]");
                refuse!(ILLEGAL, "mapper [{path}] {change}");
            }
        }
        for (at, _) in path.match_indices('.') {
            let parent = self.fields.entry(path[..at].to_owned());
            let parent = parent.or_insert(json!({}));
            if kind_of(parent) != Kind::Object {
                refuse!(
                    DOCUMENT,
                    "[1:1] [{path}] lies below a field that is no object"
                );
            }
            // With fields in it, an object needs no type.
            *parent = json!({});
        }
        self.fields.insert(path.to_owned(), definition);
        Ok(())
    }

    fn dynamic(&self) -> String {
        let dynamic = self.root.get("dynamic");
        dynamic.map_or("true".to_owned(), plain_text)
    }

    /// Checks a document. Returns the mapping with the fields that it adds, or what is wrong with it.
    pub(crate) fn check<'m>(
        &'m self,
        id: &'m str,
        document: &Map<String, Value>,
        limit: usize,
    ) -> Result<Cow<'m, Mapping>> {
        let mapping = Cow::Borrowed(self);
        let mut check = Check { mapping, id };
        check.object(document, "", 1)?;
        let all = check.mapping.fields.values();
        let counts = all.map(|field| 1 + entries(&field["fields"]).count());
        let count: usize = counts.sum();
        if count > limit && check.mapping.fields.len() > self.fields.len() {
            refuse!(
                DOCUMENT,
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
                DOCUMENT,
                "[1:1] Limit of mapping depth [{DEPTH_LIMIT}] is exceeded by [{prefix}]"
            );
        }
        for (key, value) in object {
            let path = format!("{prefix}{key}");
            if key.split('.').any(|part| part.trim().is_empty()) {
                refuse!(
                    DOCUMENT,
                    "[1:1] field name [{path}] cannot be empty or have an empty part"
                );
            }
            if METADATA.split(' ').any(|name| name == path) {
                refuse!(DOCUMENT, "[1:1] Field [{path}] is a metadata field");
            }
            self.value(value, &path, depth)?;
        }
        Ok(())
    }

    fn value(&mut self, value: &Value, path: &str, depth: usize) -> Result<()> {
        match (self.mapping.fields.get(path).map(kind_of), value) {
            (_, Value::Null) => Ok(()),
            (_, Value::Array(items)) => items
                .iter()
                .try_for_each(|item| self.value(item, path, depth)),
            (Some(Kind::Object), Value::Object(object)) => {
                self.object(object, &format!("{path}."), depth + 1)
            }
            (Some(Kind::Object), _) => {
                refuse!(
                    DOCUMENT,
                    "[1:1] [{path}] is an object, but a concrete value was found"
                )
            }
            (Some(kind), value) => self.scalar(kind, value, path),
            (None, value) => self.unknown(value, path, depth),
        }
    }

    fn scalar(&self, kind: Kind, value: &Value, path: &str) -> Result<()> {
        // Elasticsearch takes an empty text for no number and no truth.
        if key_of(kind, value).is_some() || (value == "" && kind != Kind::Date) {
            return Ok(());
        }
        let (type_name, id) = (type_of(&self.mapping.fields[path]), self.id);
        let preview: String = value.to_string().chars().take(50).collect();
        let reason = format!(
            "[1:1] failed to parse field [{path}] of type [{type_name}] in document with id '{id}'. \
            Preview of field's value: '{preview}'"
        );
        let cause = json!({"type": ILLEGAL, "reason": format!("For input: {preview}")});
        Err(Problem::new(400, DOCUMENT, reason).with("caused_by", cause))
    }

    /// Maps a field that is not mapped by its value, if the mapping allows it.
    fn unknown(&mut self, value: &Value, path: &str, depth: usize) -> Result<()> {
        match self.mapping.dynamic().as_str() {
            "true" => {}
            "false" => return Ok(()),
            _ => refuse!(
                "strict_dynamic_mapping_exception",
                "[1:1] mapping set to strict, dynamic introduction of [{path}] within [_doc] is not allowed"
            ),
        }
        let definition = match value {
            Value::Object(_) => json!({"type": "object"}),
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
        self.value(value, path, depth)
    }
}
