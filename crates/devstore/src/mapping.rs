//! Field types: declared, or found out from the first value (dynamic mapping), and the errors of values that
//! do not fit.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::dates;
use crate::errors::{Problem, Result, refuse, unsupported};
use crate::schema::check;
use crate::select::{entries, plain_text};

/// Most fields of one index. As in Elasticsearch.
const FIELD_LIMIT: usize = 1000;
const MAPPING: &str = "dynamic:=true,false,strict properties:object _meta:any";
const DEFINITION: &str = "type:=object,text,keyword,long,integer,short,byte,double,float,half_float,boolean,date \
    fields:object properties:object ignore_above:int analyzer:any";

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

impl Kind {
    fn of(type_name: &str) -> Kind {
        match type_name {
            "text" => Kind::Text,
            "keyword" => Kind::Keyword,
            "long" | "integer" | "short" | "byte" => Kind::Integer,
            "double" | "float" | "half_float" => Kind::Float,
            "boolean" => Kind::Boolean,
            "date" => Kind::Date,
            _ => Kind::Object,
        }
    }

    /// The text that stands for a value in exact comparisons and gives the order of values; `None` if it does not fit.
    pub(crate) fn key(self, value: &Value) -> Option<String> {
        let text = value.as_str();
        match self {
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
                let cut = number_of(value).filter(|number| number.abs() < 9.2e18);
                whole.or(cut.map(|number| number as i64)).map(integer_key)
            }
            Kind::Float => number_of(value).map(float_key),
            Kind::Object => None,
        }
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
    let number = value.as_f64().or_else(text);
    number.filter(|number| number.is_finite())
}

/// The mapping of one index.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Mapping {
    /// What stands beside the fields: `dynamic` and `_meta`.
    root: Map<String, Value>,
    /// The types of the fields by their full names, objects among them.
    types: BTreeMap<String, String>,
}

impl Mapping {
    /// The fields with words or whole texts, for queries that name none.
    pub(crate) fn text_fields(&self) -> impl Iterator<Item = &String> {
        let is_text = |type_name: &String| matches!(type_name.as_str(), "text" | "keyword");
        let fields = self.types.iter().filter(move |(_, name)| is_text(name));
        fields.map(|(path, _)| path)
    }

    pub(crate) fn kind(&self, path: &str) -> Option<Kind> {
        self.types.get(path).map(|name| Kind::of(name))
    }

    /// The field of a name in a query, and the path of its values: below every text there are `.keyword` and `.enum`.
    pub(crate) fn field<'n>(&self, name: &'n str) -> Option<(Kind, &'n str)> {
        match (self.kind(name), name.rsplit_once('.')) {
            (Some(kind), _) => Some((kind, name)),
            _ if name == "_id" => Some((Kind::Keyword, name)),
            (None, Some((path, "keyword" | "enum"))) if self.kind(path) == Some(Kind::Text) => {
                Some((Kind::Keyword, path))
            }
            _ => None,
        }
    }

    /// The mapping as clients see it.
    pub(crate) fn tree(&self) -> Value {
        let mut tree = Value::Object(self.root.clone());
        for (path, name) in &self.types {
            let mut place = &mut tree;
            for part in path.split('.') {
                place = &mut place["properties"][part];
            }
            place["type"] = json!(name);
            if name == "text" {
                place["fields"] = json!({"keyword": {"type": "keyword", "ignore_above": 256}});
            }
        }
        tree
    }

    /// Lays `update` over the mapping. After an `Err` it must be thrown away.
    pub(crate) fn merge(&mut self, update: &Value) -> Result<()> {
        check("mapping", update, MAPPING)?;
        for (key, value) in entries(update).filter(|(key, _)| *key != "properties") {
            self.root.insert(key.clone(), value.clone());
        }
        self.declare(&update["properties"], "")
    }

    /// Takes in the `properties` of the root or of an object.
    fn declare(&mut self, properties: &Value, prefix: &str) -> Result<()> {
        for (name, definition) in entries(properties) {
            let path = format!("{prefix}{name}");
            check(&path, definition, DEFINITION)?;
            let mut subfields = entries(&definition["fields"]).map(|(name, _)| name.as_str());
            if let Some(name) = subfields.find(|name| !matches!(*name, "keyword" | "enum")) {
                unsupported!("the subfield [{path}.{name}]");
            }
            let new = definition["type"].as_str().unwrap_or("object");
            let old = self.types.get(&path).map_or(new, String::as_str);
            if old != new {
                refuse!("mapper [{path}] cannot be changed from type [{old}] to [{new}]");
            }
            self.add(&path, new)?;
            self.declare(&definition["properties"], &format!("{path}."))?;
        }
        Ok(())
    }

    /// Adds a field with the objects that it lies in.
    fn add(&mut self, path: &str, type_name: &str) -> Result<()> {
        for (at, _) in path.match_indices('.') {
            let (parent, object) = (&path[..at], "object".to_owned());
            if *self.types.entry(parent.to_owned()).or_insert(object) != "object" {
                let above = format!("Existing mapping for [{parent}] must be of type object");
                refuse!("Could not dynamically add mapping for field [{path}]. {above}");
            }
        }
        self.types.insert(path.to_owned(), type_name.to_owned());
        Ok(())
    }

    /// The mapping with the fields that a document adds, or what is wrong with the document.
    pub(crate) fn fit(&self, document: &Value) -> Result<Cow<'_, Mapping>> {
        let mut mapping = Cow::Borrowed(self);
        fit(&mut mapping, document, "").map_err(Problem::of_document)?;
        if mapping.types.len() > FIELD_LIMIT && matches!(mapping, Cow::Owned(_)) {
            refuse!("Limit of total fields [{FIELD_LIMIT}] has been exceeded");
        }
        Ok(mapping)
    }
}

/// Fits the value of a path in; the document itself has none.
fn fit(mapping: &mut Cow<Mapping>, value: &Value, path: &str) -> Result<()> {
    let kind = match (mapping.kind(path), value) {
        (_, Value::Null) => return Ok(()),
        (_, Value::Array(items)) => {
            let mut items = items.iter();
            return items.try_for_each(|item| fit(mapping, item, path));
        }
        (None, _) if path.is_empty() => Kind::Object,
        (Some(kind), _) => kind,
        (None, _) => match mapping.root.get("dynamic").map(plain_text).as_deref() {
            None | Some("true") => {
                let type_name = dynamic_type(value);
                mapping.to_mut().add(path, type_name)?;
                Kind::of(type_name)
            }
            Some("false") => return Ok(()),
            _ => {
                let what = format!("dynamic introduction of [{path}] within [_doc]");
                refuse!("mapping set to strict, {what} is not allowed")
            }
        },
    };
    if let (Kind::Object, Value::Object(object)) = (kind, value) {
        let dot = if path.is_empty() { "" } else { "." };
        for (key, value) in object {
            let path = format!("{path}{dot}{key}");
            if path == "_id" || key.split('.').any(|part| part.trim().is_empty()) {
                let rule = "is a metadata field and cannot be added inside a document, or no name";
                refuse!("Field [{path}] {rule}");
            }
            fit(mapping, value, &path)?;
        }
        return Ok(());
    }
    if kind == Kind::Object {
        let what = "as object, but found a concrete value";
        refuse!("object mapping for [{path}] tried to parse field [{path}] {what}");
    }
    // Elasticsearch takes an empty text for no number and no truth.
    if kind.key(value).is_none() && (value != "" || kind == Kind::Date) {
        let preview: String = value.to_string().chars().take(50).collect();
        let name = &mapping.types[path];
        refuse!("failed to parse field [{path}] of type [{name}]. Preview of value: '{preview}'");
    }
    Ok(())
}

/// The type that a field gets by its first value.
fn dynamic_type(value: &Value) -> &'static str {
    match value {
        Value::Object(_) => "object",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "float",
        Value::Number(_) => "long",
        // Pure numbers are not dates.
        Value::String(text) if text.contains(['-', ':']) && dates::parse(text).is_some() => "date",
        _ => "text",
    }
}
