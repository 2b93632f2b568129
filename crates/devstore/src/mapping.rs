//! Field types: declared, or found out from the first value (dynamic mapping), and the errors of values that
//! do not fit.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::dates;
use crate::errors::{Problem, Result, refuse};
use crate::schema;

/// Longest text that `.keyword` finds unless the mapping says otherwise, in characters. As in Elasticsearch.
const IGNORE_ABOVE: usize = 256;
const DEPTH_LIMIT: usize = 20;
const FIELD_LIMIT: usize = 1000;
const METADATA: [&str; 6] = [
    "_id", "_index", "_source", "_routing", "_seq_no", "_version",
];

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Kind {
    Text,
    Keyword,
    /// Whole numbers between the two bounds.
    Integer(i64, i64),
    Float,
    Boolean,
    Date,
    Object(Dynamic),
    /// Kept in the source, not searchable.
    Opaque,
}

/// What happens to a field that is not mapped.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) enum Dynamic {
    #[default]
    Add,
    Ignore,
    Refuse,
}

/// A mapped field, or a subfield such as `title.keyword`.
#[derive(Clone, Debug)]
pub(crate) struct Field {
    pub(crate) kind: Kind,
    /// The path of the values in the source; for a subfield that of its parent.
    pub(crate) path: String,
    pub(crate) ignore_above: usize,
    /// Whether the words of the value are in the full-text index.
    pub(crate) analysed: bool,
    type_name: String,
}

/// The mapping of one index: the tree as clients see it, and its fields by their full names.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(from = "Value", into = "Value")]
pub(crate) struct Mapping {
    pub(crate) tree: Value,
    pub(crate) fields: BTreeMap<String, Field>,
    root: Dynamic,
}

impl From<Value> for Mapping {
    /// A tree that was stored; it was checked when it was put.
    fn from(tree: Value) -> Mapping {
        let mut mapping = Mapping {
            tree,
            ..Mapping::default()
        };
        let _ = mapping.flatten();
        mapping
    }
}

impl From<Mapping> for Value {
    fn from(mapping: Mapping) -> Value {
        mapping.tree
    }
}

/// New fields that a document brings: their paths and definitions.
pub(crate) type Additions = Vec<(String, Value)>;

impl Mapping {
    /// The field of a name in a query. `.keyword` and `.enum` work for every text field.
    pub(crate) fn field(&self, name: &str) -> Option<Field> {
        if let Some(field) = self.fields.get(name) {
            return Some(field.clone());
        }
        let (parent, suffix) = name.rsplit_once('.')?;
        let mut field = self.fields.get(parent)?.clone();
        field.ignore_above = IGNORE_ABOVE;
        let is_text = matches!(field.kind, Kind::Text | Kind::Keyword);
        field.kind = Kind::Keyword;
        (is_text && matches!(suffix, "keyword" | "enum")).then_some(field)
    }

    /// Lays `update` over the mapping. A type that would change is an error and nothing is changed.
    pub(crate) fn merge(&mut self, update: &Value) -> Result<()> {
        let mut merged = self.clone();
        merge_trees(&mut merged.tree, update, "")?;
        merged.flatten()?;
        *self = merged;
        Ok(())
    }

    fn flatten(&mut self) -> Result<()> {
        self.root = dynamic_of(&self.tree, Dynamic::Add)?;
        self.fields.clear();
        flatten(&self.tree["properties"], "", self.root, 1, &mut self.fields)
    }

    /// Checks a document. Returns the fields that it adds, or what is wrong with it.
    pub(crate) fn check(
        &self,
        id: &str,
        document: &Map<String, Value>,
        limit: Option<usize>,
    ) -> Result<Additions> {
        let mut check = Check {
            mapping: self,
            id,
            added: HashMap::new(),
            additions: Vec::new(),
        };
        check.object(document, "", self.root, 1)?;
        // A text counts twice: it brings its `.keyword`.
        let texts = check
            .additions
            .iter()
            .filter(|(_, definition)| definition["fields"].is_object());
        let (new, limit) = (
            check.additions.len() + texts.count(),
            limit.unwrap_or(FIELD_LIMIT),
        );
        if new > 0 && self.fields.len() + new > limit {
            refuse!(
                "document_parsing_exception",
                "[1:1] failed to parse: Limit of total fields [{limit}] has been exceeded while adding new fields [{new}]"
            );
        }
        Ok(check.additions)
    }

    /// Takes in what [`Mapping::check`] found.
    pub(crate) fn add(&mut self, additions: Additions) -> Result<()> {
        for (path, definition) in additions {
            let mut place = &mut self.tree;
            for name in path.split('.') {
                place = &mut place["properties"][name];
            }
            // An object may stand there already because a deeper field came first.
            if place.is_null() {
                *place = definition;
            }
        }
        self.flatten()
    }
}

fn dynamic_of(tree: &Value, inherited: Dynamic) -> Result<Dynamic> {
    match tree["dynamic"]
        .as_str()
        .map_or_else(|| tree["dynamic"].to_string(), str::to_owned)
        .as_str()
    {
        "null" => Ok(inherited),
        "true" => Ok(Dynamic::Add),
        "false" => Ok(Dynamic::Ignore),
        "strict" => Ok(Dynamic::Refuse),
        "runtime" => Err(Problem::unsupported("a mapping with [dynamic: runtime]")),
        other => refuse!(
            "mapper_parsing_exception",
            "unknown value [{other}] of [dynamic]"
        ),
    }
}

fn type_name(definition: &Value) -> &str {
    definition["type"].as_str().unwrap_or("object")
}

fn merge_trees(tree: &mut Value, update: &Value, path: &str) -> Result<()> {
    let Value::Object(update) = update else {
        refuse!(
            "mapper_parsing_exception",
            "Expected a map for the definition of [{path}]"
        )
    };
    if tree.is_null() {
        *tree = json!({});
    }
    for (key, value) in update {
        if key != "properties" && key != "fields" {
            tree[key] = value.clone();
            continue;
        }
        let Value::Object(children) = value else {
            refuse!(
                "mapper_parsing_exception",
                "Expected a map for [{key}] of [{path}]"
            )
        };
        for (name, child) in children {
            let path = format!("{path}.{name}").trim_start_matches('.').to_owned();
            let place = &mut tree[key][name];
            let (old, new) = (type_name(place), type_name(child));
            if !place.is_null() && old != new {
                refuse!(
                    "illegal_argument_exception",
                    "mapper [{path}] cannot be changed from type [{old}] to [{new}]"
                );
            }
            merge_trees(place, child, &path)?;
        }
    }
    Ok(())
}

fn flatten(
    properties: &Value,
    prefix: &str,
    dynamic: Dynamic,
    depth: usize,
    fields: &mut BTreeMap<String, Field>,
) -> Result<()> {
    if depth > DEPTH_LIMIT {
        refuse!(
            "illegal_argument_exception",
            "Limit of mapping depth [{DEPTH_LIMIT}] has been exceeded by [{prefix}]"
        );
    }
    for (name, definition) in properties.as_object().into_iter().flatten() {
        let path = format!("{prefix}{name}");
        let mut field = Field::of(definition, &path, &path, dynamic)?;
        if let Kind::Object(dynamic) = field.kind {
            flatten(
                &definition["properties"],
                &format!("{path}."),
                dynamic,
                depth + 1,
                fields,
            )?;
        }
        for (name, definition) in definition["fields"].as_object().into_iter().flatten() {
            let name = format!("{path}.{name}");
            let sub_field = Field::of(definition, &name, &path, dynamic)?;
            field.analysed |= sub_field.analysed;
            fields.insert(name, sub_field);
        }
        fields.insert(path, field);
    }
    Ok(())
}

impl Field {
    fn of(definition: &Value, name: &str, path: &str, dynamic: Dynamic) -> Result<Field> {
        let (kind, path) = (kind_of(definition, name, dynamic)?, path.to_owned());
        let ignore_above = definition["ignore_above"]
            .as_u64()
            .map_or(usize::MAX, |limit| limit as usize);
        let (analysed, type_name) = (kind == Kind::Text, type_name(definition).to_owned());
        Ok(Field {
            kind,
            path,
            ignore_above,
            analysed,
            type_name,
        })
    }
}

fn kind_of(definition: &Value, path: &str, dynamic: Dynamic) -> Result<Kind> {
    let off = |parameter: &str| definition[parameter] == false || definition[parameter] == "false";
    let odd_format = definition["format"].as_str().filter(|format| {
        let known = [
            "strict_date_optional_time",
            "date_optional_time",
            "epoch_millis",
        ];
        !format.split("||").all(|format| known.contains(&format))
    });
    if let Some(parameter) = ["copy_to", "null_value", "script"]
        .iter()
        .find(|name| !definition[**name].is_null())
    {
        return Err(Problem::unsupported(format!(
            "the mapping parameter [{parameter}] of field [{path}]"
        )));
    }
    Ok(match type_name(definition) {
        _ if off("enabled") || off("index") => Kind::Opaque,
        "object" => Kind::Object(dynamic_of(definition, dynamic)?),
        "text" | "match_only_text" => Kind::Text,
        "keyword" | "constant_keyword" | "wildcard" | "ip" | "version" => Kind::Keyword,
        "long" => Kind::Integer(i64::MIN, i64::MAX),
        "integer" => Kind::Integer(i32::MIN.into(), i32::MAX.into()),
        "short" => Kind::Integer(i16::MIN.into(), i16::MAX.into()),
        "byte" => Kind::Integer(i8::MIN.into(), i8::MAX.into()),
        "double" | "float" | "half_float" => Kind::Float,
        "boolean" => Kind::Boolean,
        "date" if odd_format.is_some() => {
            return Err(Problem::unsupported(format!(
                "the date format of field [{path}]"
            )));
        }
        "date" => Kind::Date,
        "binary" | "dense_vector" | "sparse_vector" | "flattened" => Kind::Opaque,
        known if schema::lists("unsupported_types", known) => {
            return Err(Problem::unsupported(format!(
                "the type [{known}] of field [{path}]"
            )));
        }
        other => refuse!(
            "mapper_parsing_exception",
            "No handler for type [{other}] declared on field [{path}]"
        ),
    })
}

/// One document under the magnifying glass.
struct Check<'c> {
    mapping: &'c Mapping,
    id: &'c str,
    added: HashMap<String, Kind>,
    additions: Additions,
}

impl Check<'_> {
    fn object(
        &mut self,
        object: &Map<String, Value>,
        prefix: &str,
        dynamic: Dynamic,
        depth: usize,
    ) -> Result<()> {
        if depth > DEPTH_LIMIT && dynamic == Dynamic::Add {
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
            if METADATA.contains(&path.as_str()) {
                refuse!(
                    "document_parsing_exception",
                    "[1:1] Field [{path}] is a metadata field and cannot be added inside a document."
                );
            }
            self.value(value, &path, dynamic, depth)?;
        }
        Ok(())
    }

    fn kind(&self, path: &str) -> Option<Kind> {
        let known = || self.mapping.fields.get(path).map(|field| field.kind);
        self.added.get(path).copied().or_else(known)
    }

    fn value(&mut self, value: &Value, path: &str, dynamic: Dynamic, depth: usize) -> Result<()> {
        match (self.kind(path), value) {
            (Some(Kind::Opaque), _) | (_, Value::Null) => Ok(()),
            (_, Value::Array(items)) => items
                .iter()
                .try_for_each(|item| self.value(item, path, dynamic, depth)),
            (Some(Kind::Object(dynamic)), Value::Object(object)) => {
                self.object(object, &format!("{path}."), dynamic, depth + 1)
            }
            (Some(Kind::Object(_)), _) => refuse!(
                "document_parsing_exception",
                "[1:1] object mapping for [{path}] tried to parse field [{path}] as object, but found a concrete value"
            ),
            (Some(kind), value) => self.scalar(kind, value, path),
            (None, value) => self.unknown(value, path, dynamic, depth),
        }
    }

    fn scalar(&self, kind: Kind, value: &Value, path: &str) -> Result<()> {
        // Elasticsearch takes an empty text for no number and no truth.
        if key_of(kind, value).is_some() || (value == "" && kind != Kind::Date) {
            return Ok(());
        }
        let type_name = self
            .mapping
            .fields
            .get(path)
            .map_or("long", |field| &field.type_name);
        let preview: String = value.to_string().chars().take(50).collect();
        let reason = format!(
            "[1:1] failed to parse field [{path}] of type [{type_name}] in document with id '{}'. Preview of field's value: '{preview}'",
            self.id
        );
        let cause = json!({"type": "illegal_argument_exception", "reason": format!("For input: {preview}")});
        Err(Problem::new(400, "document_parsing_exception", reason).with("caused_by", cause))
    }

    fn unknown(&mut self, value: &Value, path: &str, dynamic: Dynamic, depth: usize) -> Result<()> {
        // The parents of a dotted name must be objects, or nothing yet.
        for (at, _) in path.match_indices('.') {
            let parent = &path[..at];
            match self.kind(parent) {
                None | Some(Kind::Object(_)) => {}
                Some(Kind::Opaque) => return Ok(()),
                Some(_) => refuse!(
                    "document_parsing_exception",
                    "[1:1] Could not dynamically add mapping for field [{path}]. Existing mapping for [{parent}] must be of type object."
                ),
            }
        }
        let (kind, definition) = match (dynamic, value) {
            (Dynamic::Ignore, _) => return Ok(()),
            (Dynamic::Refuse, _) => refuse!(
                "strict_dynamic_mapping_exception",
                "[1:1] mapping set to strict, dynamic introduction of [{path}] within [_doc] is not allowed"
            ),
            (_, Value::Object(object)) => {
                self.added.insert(path.to_owned(), Kind::Object(dynamic));
                let before = self.additions.len();
                self.object(object, &format!("{path}."), dynamic, depth + 1)?;
                if self.additions.len() == before {
                    self.additions
                        .push((path.to_owned(), json!({"type": "object"})));
                }
                return Ok(());
            }
            (_, Value::Bool(_)) => (Kind::Boolean, json!({"type": "boolean"})),
            (_, Value::Number(number)) if number.is_f64() => {
                (Kind::Float, json!({"type": "float"}))
            }
            (_, Value::Number(_)) => (Kind::Integer(i64::MIN, i64::MAX), json!({"type": "long"})),
            (_, Value::String(text)) if dates::looks_like_date(text) => {
                (Kind::Date, json!({"type": "date"}))
            }
            _ => {
                let keyword = json!({"type": "keyword", "ignore_above": IGNORE_ABOVE});
                (
                    Kind::Text,
                    json!({"type": "text", "fields": {"keyword": keyword}}),
                )
            }
        };
        self.scalar(kind, value, path)?;
        self.added.insert(path.to_owned(), kind);
        self.additions.push((path.to_owned(), definition));
        Ok(())
    }
}

/// The one text that stands for a value in exact comparisons; `None` if the value does not fit the kind.
pub(crate) fn key_of(kind: Kind, value: &Value) -> Option<String> {
    let text = value.as_str();
    match kind {
        Kind::Text | Kind::Keyword if value.is_object() => None,
        Kind::Text | Kind::Keyword => text.map(str::to_owned).or_else(|| Some(value.to_string())),
        Kind::Boolean => value
            .as_bool()
            .or_else(|| text?.parse().ok())
            .map(|truth| truth.to_string()),
        Kind::Date => dates::millis_of(value).map(|millis| millis.to_string()),
        Kind::Integer(low, high) => {
            let whole = value.as_i64().or_else(|| text?.trim().parse().ok());
            // Elasticsearch cuts off the fraction; 9.2e18 and above do not fit.
            let cut = || number_of(value).filter(|number| !value.is_u64() && number.abs() < 9.2e18);
            let whole = whole.or_else(|| cut().map(|number| number as i64))?;
            (low..=high).contains(&whole).then(|| whole.to_string())
        }
        Kind::Float => number_of(value).map(|number| number.to_string()),
        Kind::Object(_) | Kind::Opaque => None,
    }
}

/// The number in a value, for comparisons.
pub(crate) fn number_of(value: &Value) -> Option<f64> {
    let number = value
        .as_f64()
        .or_else(|| value.as_str()?.trim().parse().ok());
    number.filter(|number: &f64| number.is_finite())
}
