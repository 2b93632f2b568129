//! From YAML text to a tree. Reads what PyYAML's `safe_load` reads, with places.

use super::error::ConfigError;
use super::tree::{Map, Node, Place, Value, given_twice, join};
use serde_saphyr::granit_parser::{self, Event, Parser, ScalarStyle, Span, StrInput};
use std::collections::HashMap;

/// Far above any real configuration; keeps deep nesting off the stack.
const MAX_DEPTH: usize = 32;
/// Aliases can multiply a short text without end ("billion laughs").
const MAX_NODES: usize = 50_000;
const MAX_BYTES: usize = 1024 * 1024;

/// The tree of the one document in the text; an empty text is an empty mapping.
///
/// Of a key that one mapping has twice the later counts, as in PyYAML, and a warning says so.
pub(super) fn parse(text: &str, warnings: &mut Vec<String>) -> Result<Map, ConfigError> {
    if text.len() > MAX_BYTES {
        return Err(at_start(
            "the configuration is larger than 1 MiB; is this the right file?",
        ));
    }
    let options = granit_parser::options! { emit_comments: false };
    let mut reader = Reader {
        events: Parser::new_from_str_with_options(text, options),
        anchors: HashMap::new(),
        node_count: 0,
        warnings,
    };
    reader.document()
}

struct Reader<'text, 'out> {
    events: Parser<'text, StrInput<'text>>,
    /// Finished nodes only, so that an alias inside its own anchor finds nothing.
    anchors: HashMap<usize, Node>,
    node_count: usize,
    warnings: &'out mut Vec<String>,
}

impl<'text> Reader<'text, '_> {
    fn document(&mut self) -> Result<Map, ConfigError> {
        let mut root = None;
        loop {
            let (event, span) = self.next()?;
            match event {
                Event::StreamStart | Event::DocumentStart(..) | Event::DocumentEnd => {}
                Event::StreamEnd => break,
                _ if root.is_some() => {
                    return Err(error(
                        &span,
                        "a second YAML document begins here; the configuration must be one \
                         document, so remove the `---` line",
                    ));
                }
                event => root = Some(self.node(event, &span, "", 0)?),
            }
        }
        match root {
            None => Ok(Map::default()),
            Some(node) if node.is_null() => Ok(Map::default()),
            Some(Node {
                value: Value::Map(map),
                ..
            }) => Ok(map),
            Some(node) => Err(ConfigError::new(
                "",
                Some(node.place),
                "the configuration must consist of lines like `key: value`",
            )),
        }
    }

    fn next(&mut self) -> Result<(Event<'text>, Span), ConfigError> {
        match self.events.next_event() {
            Some(Ok(next)) => Ok(next),
            Some(Err(scan_error)) => {
                let marker = scan_error.marker();
                Err(ConfigError::new(
                    "",
                    Some(Place {
                        line: marker.line(),
                        column: marker.col() + 1,
                    }),
                    format!(
                        "not valid YAML: {}{}",
                        scan_error.kind(),
                        hint(scan_error.kind())
                    ),
                ))
            }
            None => Err(at_start("not valid YAML: it ends too early")),
        }
    }

    fn node(
        &mut self,
        event: Event<'text>,
        span: &Span,
        path: &str,
        depth: usize,
    ) -> Result<Node, ConfigError> {
        if depth > MAX_DEPTH {
            return Err(error(span, "the configuration is nested too deeply here"));
        }
        self.count(1, span)?;
        let (anchor, value) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                let tagged_text = match tag.as_deref() {
                    None => false,
                    Some(tag) if tag.is_yaml_core_schema_tag("str") => true,
                    Some(tag) if tag.is_yaml_core_schema() => false,
                    Some(_) => return Err(unknown_tag(span)),
                };
                let plain = style == ScalarStyle::Plain && !tagged_text;
                // The parser shows a value that is not there as an empty or as a `~` word.
                let text = text.into_owned();
                (anchor, Value::Scalar { text, plain })
            }
            Event::SequenceStart(_, anchor, tag) => {
                if tag.is_some_and(|tag| !tag.is_yaml_core_schema()) {
                    return Err(unknown_tag(span));
                }
                (anchor, Value::List(self.list(path, depth)?))
            }
            Event::MappingStart(_, anchor, tag) => {
                if tag.is_some_and(|tag| !tag.is_yaml_core_schema()) {
                    return Err(unknown_tag(span));
                }
                (anchor, Value::Map(self.map(path, depth)?))
            }
            Event::Alias(anchor) => return self.alias(anchor, span, depth),
            _ => return Err(error(span, "not valid YAML: a value is missing here")),
        };
        let node = Node {
            place: start(span),
            value,
        };
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    fn alias(&mut self, anchor: usize, span: &Span, depth: usize) -> Result<Node, ConfigError> {
        let Some(target) = self.anchors.get(&anchor) else {
            return Err(error(span, "this alias stands inside what it stands for"));
        };
        let (nodes, height) = size(target);
        let node = Node {
            place: start(span),
            value: target.value.clone(),
        };
        if depth + height > MAX_DEPTH {
            return Err(error(span, "the configuration is nested too deeply here"));
        }
        self.count(nodes, span)?;
        Ok(node)
    }

    fn count(&mut self, nodes: usize, span: &Span) -> Result<(), ConfigError> {
        self.node_count += nodes;
        if self.node_count > MAX_NODES {
            return Err(error(
                span,
                "the configuration has more than 50000 values, counting aliases in full",
            ));
        }
        Ok(())
    }

    fn list(&mut self, path: &str, depth: usize) -> Result<Vec<Node>, ConfigError> {
        let mut nodes = Vec::new();
        loop {
            let (event, span) = self.next()?;
            if event == Event::SequenceEnd {
                return Ok(nodes);
            }
            let path = format!("{path}[{}]", nodes.len());
            nodes.push(self.node(event, &span, &path, depth + 1)?);
        }
    }

    fn map(&mut self, path: &str, depth: usize) -> Result<Map, ConfigError> {
        let mut map = Map::default();
        let mut merged = Vec::new();
        loop {
            let (event, key_span) = self.next()?;
            if event == Event::MappingEnd {
                break;
            }
            let key = self.node(event, &key_span, path, depth + 1)?;
            let Value::Scalar { text: key, plain } = key.value else {
                return Err(error(
                    &key_span,
                    "a key must be a word, not a list or a mapping",
                ));
            };
            let full = join(path, &key);
            let (event, span) = self.next()?;
            let node = self.node(event, &span, &full, depth + 1)?;
            if plain && key == "<<" {
                merged.push((start(&key_span), node));
                continue;
            }
            let place = start(&key_span);
            if let Some((first, _)) = map.0.insert(key, (place, node)) {
                self.warnings.push(given_twice(&full, first, place));
            }
        }
        for (place, node) in merged {
            merge(&mut map, node, place)?;
        }
        Ok(map)
    }
}

/// `<<: *base` and `<<: [*one, *two]`: own keys win, then earlier mappings over later ones.
fn merge(map: &mut Map, node: Node, place: Place) -> Result<(), ConfigError> {
    let nodes = match node.value {
        Value::List(nodes) => nodes,
        value => vec![Node { value, ..node }],
    };
    for node in nodes {
        let Value::Map(base) = node.value else {
            return Err(ConfigError::new(
                "",
                Some(place),
                "`<<` must be followed by a mapping or a list of mappings",
            ));
        };
        for (key, entry) in base.0 {
            map.0.entry(key).or_insert(entry);
        }
    }
    Ok(())
}

/// How many nodes, and how many levels below this one.
fn size(node: &Node) -> (usize, usize) {
    let children: Vec<&Node> = match &node.value {
        Value::Scalar { .. } => return (1, 0),
        Value::List(nodes) => nodes.iter().collect(),
        Value::Map(map) => map.0.values().map(|(_, node)| node).collect(),
    };
    children
        .into_iter()
        .map(size)
        .fold((1, 0), |(count, height), (child_count, child_height)| {
            (count + child_count, height.max(child_height + 1))
        })
}

fn start(span: &Span) -> Place {
    Place {
        line: span.start.line(),
        column: span.start.col() + 1,
    }
}

fn error(span: &Span, message: &str) -> ConfigError {
    ConfigError::new("", Some(start(span)), message)
}

fn at_start(message: &str) -> ConfigError {
    ConfigError::new("", Some(Place::START), message)
}

fn unknown_tag(span: &Span) -> ConfigError {
    error(
        span,
        "YAML tags such as `!name` are not supported; quote a value that begins with `!`",
    )
}

fn hint(kind: &granit_parser::ErrorKind) -> &'static str {
    use granit_parser::ErrorKind;
    match kind {
        ErrorKind::UnknownAnchor
        | ErrorKind::UnexpectedCharacter { .. }
        | ErrorKind::MissingAnchorOrAliasName
        | ErrorKind::UndeclaredTagHandle => {
            "; a value that begins with one of * & ! % @ ` must stand in quotes"
        }
        ErrorKind::TabNotAllowed
        | ErrorKind::TabInBlockIndentation
        | ErrorKind::TabInIndentation => "; indent with spaces",
        ErrorKind::MappingValueNotAllowed | ErrorKind::InvalidColonPlacement => {
            "; a value with `: ` in it must stand in quotes"
        }
        _ => "",
    }
}
