//! Field types: declared, or found out from the first value (dynamic mapping), and the errors of values that do not fit.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::dates;
use crate::errors::Problem;
use crate::schema;

/// Longest text that `.keyword` finds unless the mapping says otherwise, in characters. As in Elasticsearch.
const IGNORE_ABOVE: usize = 256;
/// Longest keyword that can be stored, in bytes. As in Lucene.
const KEYWORD_LIMIT: usize = 32_766;
const DEPTH_LIMIT: usize = 20;
const FIELD_LIMIT: usize = 1000;

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
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Dynamic {
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

/// The mapping of one index: the tree as clients see it and a table of its fields.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(from = "Value", into = "Value")]
pub(crate) struct Mapping {
    tree: Value,
    fields: HashMap<String, Field>,
    root: Dynamic,
}

impl Default for Mapping {
    fn default() -> Mapping {
        Mapping::from(json!({}))
    }
}

impl From<Value> for Mapping {
    fn from(tree: Value) -> Mapping {
        let root = dynamic_of(&tree, Dynamic::Add).unwrap_or(Dynamic::Add);
        let mut mapping = Mapping {
            tree,
            fields: HashMap::new(),
            root,
        };
        // A stored tree was checked when it was put.
        let _ = mapping.flatten();
        mapping
    }
}

impl From<Mapping> for Value {
    fn from(mapping: Mapping) -> Value {
        mapping.tree
    }
}

/// A new field that a document brings: its path and its definition.
pub(crate) type Additions = Vec<(String, Value)>;

impl Mapping {
    pub(crate) fn tree(&self) -> &Value {
        &self.tree
    }

    /// All fields with their full names.
    pub(crate) fn fields(&self) -> impl Iterator<Item = (&str, &Field)> {
        self.fields
            .iter()
            .map(|(name, field)| (name.as_str(), field))
    }

    /// The field of a name in a query. `.keyword` and `.enum` work for every text field.
    pub(crate) fn field(&self, name: &str) -> Option<Field> {
        if let Some(field) = self.fields.get(name) {
            return Some(field.clone());
        }
        let parent = name
            .strip_suffix(".keyword")
            .or_else(|| name.strip_suffix(".enum"))?;
        let field = self
            .fields
            .get(parent)
            .filter(|field| matches!(field.kind, Kind::Text | Kind::Keyword))?;
        Some(Field {
            kind: Kind::Keyword,
            ignore_above: IGNORE_ABOVE,
            ..field.clone()
        })
    }

    /// Lays `update` over the mapping. A type that would change is an error and nothing is changed.
    pub(crate) fn merge(&mut self, update: &Value) -> Result<(), Problem> {
        let Value::Object(update) = update else {
            return Err(Problem::new(
                400,
                "mapper_parsing_exception",
                "the mapping must be an object",
            ));
        };
        let mut merged = self.clone();
        merge_trees(&mut merged.tree, update, "")?;
        merged.root = dynamic_of(&merged.tree, Dynamic::Add)?;
        merged.flatten()?;
        *self = merged;
        Ok(())
    }

    fn flatten(&mut self) -> Result<(), Problem> {
        let mut fields = HashMap::new();
        if let Some(properties) = self.tree.get("properties") {
            flatten(properties, "", self.root, 1, &mut fields)?;
        }
        self.fields = fields;
        Ok(())
    }

    /// Checks a document. Returns the fields that it adds, or what is wrong with it.
    pub(crate) fn check(
        &self,
        id: &str,
        document: &Map<String, Value>,
        limit: Option<usize>,
    ) -> Result<Additions, Problem> {
        let mut check = Check {
            mapping: self,
            id,
            added: HashMap::new(),
            additions: Vec::new(),
        };
        check.object(document, "", self.root, 1)?;
        // A text counts twice: it brings its `.keyword`.
        let new: usize = check
            .additions
            .iter()
            .map(|(_, definition)| 1 + usize::from(definition.get("fields").is_some()))
            .sum();
        let limit = limit.unwrap_or(FIELD_LIMIT);
        if new > 0 && self.fields.len() + new > limit {
            let reason = format!(
                "Limit of total fields [{limit}] has been exceeded while adding new fields [{new}]"
            );
            return Err(document_problem(id, reason));
        }
        Ok(check.additions)
    }

    /// Takes in what [`Mapping::check`] found.
    pub(crate) fn add(&mut self, additions: Additions) -> Result<(), Problem> {
        for (path, definition) in additions {
            let mut place = &mut self.tree;
            for name in path.split('.') {
                if !place.is_object() {
                    *place = json!({});
                }
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

fn dynamic_of(tree: &Value, inherited: Dynamic) -> Result<Dynamic, Problem> {
    let text = match tree.get("dynamic") {
        None => return Ok(inherited),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    };
    match text.as_str() {
        "true" => Ok(Dynamic::Add),
        "false" => Ok(Dynamic::Ignore),
        "strict" => Ok(Dynamic::Refuse),
        "runtime" => Err(Problem::unsupported("a mapping with [dynamic: runtime]")),
        _ => Err(Problem::new(
            400,
            "mapper_parsing_exception",
            format!("unknown value [{text}] of [dynamic]"),
        )),
    }
}

fn merge_trees(tree: &mut Value, update: &Map<String, Value>, path: &str) -> Result<(), Problem> {
    if !tree.is_object() {
        *tree = json!({});
    }
    for (key, value) in update {
        if key != "properties" && key != "fields" {
            tree[key] = value.clone();
            continue;
        }
        let Value::Object(children) = value else {
            let reason = format!("Expected map for property [{key}] on field [{path}]");
            return Err(Problem::new(400, "mapper_parsing_exception", reason));
        };
        for (name, child) in children {
            let child_path = if path.is_empty() {
                name.clone()
            } else {
                format!("{path}.{name}")
            };
            let Value::Object(definition) = child else {
                let reason = format!("Expected map for property [fields] on field [{child_path}]");
                return Err(Problem::new(400, "mapper_parsing_exception", reason));
            };
            let place = &mut tree[key][name];
            if !place.is_null() && type_name(place) != type_name(child) {
                let (old, new) = (type_name(place), type_name(child));
                let reason =
                    format!("mapper [{child_path}] cannot be changed from type [{old}] to [{new}]");
                return Err(Problem::illegal(reason));
            }
            merge_trees(place, definition, &child_path)?;
        }
    }
    Ok(())
}

fn type_name(definition: &Value) -> &str {
    definition
        .get("type")
        .and_then(Value::as_str)
        .unwrap_or("object")
}

fn flatten(
    properties: &Value,
    prefix: &str,
    dynamic: Dynamic,
    depth: usize,
    fields: &mut HashMap<String, Field>,
) -> Result<(), Problem> {
    if depth > DEPTH_LIMIT {
        return Err(Problem::illegal(format!(
            "Limit of mapping depth [{DEPTH_LIMIT}] has been exceeded due to object field [{prefix}]"
        )));
    }
    let Value::Object(properties) = properties else {
        return Ok(());
    };
    for (name, definition) in properties {
        let path = if prefix.is_empty() {
            name.clone()
        } else {
            format!("{prefix}.{name}")
        };
        let kind = kind_of(definition, &path, dynamic)?;
        let mut field = field_of(definition, kind, &path);
        if let Kind::Object(dynamic) = kind {
            flatten(
                definition.get("properties").unwrap_or(&Value::Null),
                &path,
                dynamic,
                depth + 1,
                fields,
            )?;
        }
        for (sub_name, sub) in definition
            .get("fields")
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
        {
            let sub_path = format!("{path}.{sub_name}");
            let sub_field = field_of(sub, kind_of(sub, &sub_path, dynamic)?, &path);
            field.analysed |= sub_field.analysed;
            fields.insert(sub_path, sub_field);
        }
        fields.insert(path, field);
    }
    Ok(())
}

fn field_of(definition: &Value, kind: Kind, path: &str) -> Field {
    let ignore_above = definition.get("ignore_above").and_then(Value::as_u64);
    Field {
        kind,
        path: path.to_owned(),
        ignore_above: ignore_above
            .and_then(|limit| usize::try_from(limit).ok())
            .unwrap_or(usize::MAX),
        analysed: kind == Kind::Text,
        type_name: type_name(definition).to_owned(),
    }
}

fn kind_of(definition: &Value, path: &str, dynamic: Dynamic) -> Result<Kind, Problem> {
    for parameter in ["copy_to", "null_value", "script"] {
        if definition.get(parameter).is_some() {
            return Err(Problem::unsupported(format!(
                "the mapping parameter [{parameter}] of field [{path}]"
            )));
        }
    }
    let off = |parameter: &str| {
        definition
            .get(parameter)
            .is_some_and(|value| *value == false || value == "false")
    };
    Ok(match type_name(definition) {
        _ if off("enabled") || off("index") => Kind::Opaque,
        "object" => Kind::Object(dynamic_of(definition, dynamic)?),
        "text" | "match_only_text" | "search_as_you_type" | "annotated_text" => Kind::Text,
        "keyword" | "constant_keyword" | "wildcard" | "ip" | "version" => Kind::Keyword,
        "long" => Kind::Integer(i64::MIN, i64::MAX),
        "integer" => Kind::Integer(i64::from(i32::MIN), i64::from(i32::MAX)),
        "short" => Kind::Integer(i64::from(i16::MIN), i64::from(i16::MAX)),
        "byte" => Kind::Integer(i64::from(i8::MIN), i64::from(i8::MAX)),
        "double" | "float" | "half_float" => Kind::Float,
        "boolean" => Kind::Boolean,
        "date" | "date_nanos" => match definition.get("format").and_then(Value::as_str) {
            Some(format)
                if format.split("||").any(|format| {
                    !matches!(
                        format,
                        "strict_date_optional_time" | "date_optional_time" | "epoch_millis"
                    )
                }) =>
            {
                return Err(Problem::unsupported(format!(
                    "the date format [{format}] of field [{path}]"
                )));
            }
            _ => Kind::Date,
        },
        "binary" | "dense_vector" | "sparse_vector" | "flattened" => Kind::Opaque,
        known if schema::lists("unsupported_types", known) => {
            return Err(Problem::unsupported(format!(
                "the type [{known}] of field [{path}]"
            )));
        }
        other => {
            let reason = format!("No handler for type [{other}] declared on field [{path}]");
            return Err(Problem::new(400, "mapper_parsing_exception", reason));
        }
    })
}

fn document_problem(id: &str, reason: String) -> Problem {
    let cause = json!({"type": "illegal_argument_exception", "reason": reason});
    Problem::new(
        400,
        "document_parsing_exception",
        format!("[1:1] failed to parse document with id '{id}': {reason}"),
    )
    .with("caused_by", cause)
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
    ) -> Result<(), Problem> {
        if depth > DEPTH_LIMIT && dynamic == Dynamic::Add {
            let reason = format!(
                "Limit of mapping depth [{DEPTH_LIMIT}] has been exceeded due to object field [{prefix}]"
            );
            return Err(document_problem(self.id, reason));
        }
        for (key, value) in object {
            if key.split('.').any(|part| part.trim().is_empty()) {
                let reason =
                    format!("field name [{prefix}{key}] cannot be empty or contain an empty part");
                return Err(document_problem(self.id, reason));
            }
            let path = format!("{prefix}{key}");
            if prefix.is_empty()
                && matches!(
                    key.as_str(),
                    "_id"
                        | "_index"
                        | "_source"
                        | "_routing"
                        | "_seq_no"
                        | "_version"
                        | "_primary_term"
                )
            {
                let reason = format!(
                    "Field [{key}] is a metadata field and cannot be added inside a document. Use the index API request parameters."
                );
                return Err(Problem::new(400, "document_parsing_exception", reason));
            }
            self.value(value, &path, dynamic, depth)?;
        }
        Ok(())
    }

    fn value(
        &mut self,
        value: &Value,
        path: &str,
        dynamic: Dynamic,
        depth: usize,
    ) -> Result<(), Problem> {
        if value.is_null() {
            return Ok(());
        }
        if let Value::Array(items) = value {
            return items
                .iter()
                .try_for_each(|item| self.value(item, path, dynamic, depth));
        }
        let known = self.mapping.fields.get(path);
        let kind = self
            .added
            .get(path)
            .copied()
            .or_else(|| known.map(|field| field.kind));
        match (kind, value) {
            (Some(Kind::Opaque), _) => Ok(()),
            (Some(Kind::Object(dynamic)), Value::Object(object)) => {
                self.object(object, &format!("{path}."), dynamic, depth + 1)
            }
            (Some(Kind::Object(_)), _) => {
                let reason = format!(
                    "object mapping for [{path}] tried to parse field [{path}] as object, but found a concrete value"
                );
                Err(Problem::new(
                    400,
                    "document_parsing_exception",
                    format!("[1:1] {reason}"),
                ))
            }
            (Some(kind), value) => {
                let field = known.map_or((type_word(kind), IGNORE_ABOVE), |field| {
                    (field.type_name.as_str(), field.ignore_above)
                });
                self.scalar(kind, value, path, field)
            }
            (None, value) => self.unknown(value, path, dynamic, depth),
        }
    }

    fn scalar(
        &self,
        kind: Kind,
        value: &Value,
        path: &str,
        (type_name, ignore_above): (&str, usize),
    ) -> Result<(), Problem> {
        let why = match key_of(kind, value) {
            _ if value.is_object() => {
                format!("Can't get a value of type [{type_name}] from an object")
            }
            Some(key)
                if kind == Kind::Keyword
                    && key.len() > KEYWORD_LIMIT
                    && ignore_above == usize::MAX =>
            {
                let reason = format!(
                    "Document contains at least one immense term in field=\"{path}\" (whose UTF8 encoding is longer than the max length {KEYWORD_LIMIT}), field [{path}]"
                );
                return Err(Problem::illegal(reason));
            }
            Some(_) => return Ok(()),
            // Elasticsearch takes an empty text for no number and no truth.
            None if value == "" && kind != Kind::Date => return Ok(()),
            None => format!("For input string: {value}"),
        };
        let preview: String = value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned)
            .chars()
            .take(50)
            .collect();
        let reason = format!(
            "[1:1] failed to parse field [{path}] of type [{type_name}] in document with id '{}'. Preview of field's value: '{preview}'",
            self.id
        );
        Err(
            Problem::new(400, "document_parsing_exception", reason).with(
                "caused_by",
                json!({"type": "illegal_argument_exception", "reason": why}),
            ),
        )
    }

    fn unknown(
        &mut self,
        value: &Value,
        path: &str,
        dynamic: Dynamic,
        depth: usize,
    ) -> Result<(), Problem> {
        // The parents of a dotted name must be objects, or nothing yet.
        for (at, _) in path.match_indices('.') {
            let parent = path.get(..at).unwrap_or_default();
            let kind = self
                .added
                .get(parent)
                .copied()
                .or_else(|| self.mapping.fields.get(parent).map(|field| field.kind));
            match kind {
                None | Some(Kind::Object(_)) => {}
                Some(Kind::Opaque) => return Ok(()),
                Some(kind) => {
                    let reason = format!(
                        "Could not dynamically add mapping for field [{path}]. Existing mapping for [{parent}] must be of type object but found [{}].",
                        type_word(kind)
                    );
                    return Err(Problem::new(
                        400,
                        "document_parsing_exception",
                        format!("[1:1] {reason}"),
                    ));
                }
            }
        }
        let definition = match (dynamic, value) {
            (Dynamic::Ignore, _) => return Ok(()),
            (Dynamic::Refuse, _) => {
                let reason = format!(
                    "[1:1] mapping set to strict, dynamic introduction of [{path}] within [_doc] is not allowed"
                );
                return Err(Problem::new(
                    400,
                    "strict_dynamic_mapping_exception",
                    reason,
                ));
            }
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
            (_, Value::Bool(_)) => json!({"type": "boolean"}),
            (_, Value::Number(number)) if number.is_f64() => json!({"type": "float"}),
            (_, Value::Number(_)) => json!({"type": "long"}),
            (_, Value::String(text)) if dates::looks_like_date(text) => json!({"type": "date"}),
            _ => {
                json!({"type": "text", "fields": {"keyword": {"type": "keyword", "ignore_above": IGNORE_ABOVE}}})
            }
        };
        let kind = kind_of(&definition, path, dynamic)?;
        self.scalar(kind, value, path, (type_word(kind), IGNORE_ABOVE))?;
        self.added.insert(path.to_owned(), kind);
        self.additions.push((path.to_owned(), definition));
        Ok(())
    }
}

fn type_word(kind: Kind) -> &'static str {
    match kind {
        Kind::Text => "text",
        Kind::Keyword => "keyword",
        Kind::Integer(..) => "long",
        Kind::Float => "float",
        Kind::Boolean => "boolean",
        Kind::Date => "date",
        Kind::Object(_) => "object",
        Kind::Opaque => "binary",
    }
}

/// The one text that stands for a value in exact comparisons; `None` if the value does not fit the kind.
pub(crate) fn key_of(kind: Kind, value: &Value) -> Option<String> {
    match (kind, value) {
        (Kind::Text | Kind::Keyword, Value::String(text)) => Some(text.clone()),
        (Kind::Text | Kind::Keyword, Value::Number(_) | Value::Bool(_)) => Some(value.to_string()),
        (Kind::Boolean, Value::Bool(_)) => Some(value.to_string()),
        (Kind::Boolean, Value::String(text)) => {
            matches!(text.as_str(), "true" | "false").then(|| text.clone())
        }
        (Kind::Date, value) => dates::millis_of(value).map(|millis| millis.to_string()),
        (Kind::Integer(low, high), value) => {
            let whole = value
                .as_i64()
                .or_else(|| value.as_str()?.trim().parse().ok());
            // Elasticsearch cuts off the fraction; 9.2e18 and above do not fit.
            let whole = whole.or_else(|| {
                number_of(value)
                    .filter(|number| !value.is_u64() && number.abs() < 9.2e18)
                    .map(|number| number as i64)
            });
            whole
                .filter(|whole| (low..=high).contains(whole))
                .map(|whole| whole.to_string())
        }
        (Kind::Float, value) => number_of(value).map(|number| number.to_string()),
        _ => None,
    }
}

/// The number in a value, for comparisons.
pub(crate) fn number_of(value: &Value) -> Option<f64> {
    value
        .as_f64()
        .or_else(|| value.as_str()?.trim().parse().ok())
        .filter(|number: &f64| number.is_finite())
}
