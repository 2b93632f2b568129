use super::FakeEnvironment;
use crate::config::{Config, json, nearest_name, tree, yaml};
use proptest::prelude::*;
use std::collections::BTreeMap;

/// A value at each leaf; names and depth are drawn so that sections are shared.
#[derive(Debug, Clone)]
enum Tree {
    Leaf(u32),
    Section(BTreeMap<String, Tree>),
}

fn trees() -> impl Strategy<Value = BTreeMap<String, Tree>> {
    let leaf = any::<u32>().prop_map(Tree::Leaf);
    let tree = leaf.prop_recursive(4, 24, 4, |inner| {
        prop::collection::btree_map("[a-d]", inner, 1..4).prop_map(Tree::Section)
    });
    prop::collection::btree_map("[a-d]", tree, 0..4)
}

/// Writes a section; each decision says whether a subsection is nested or dotted.
fn write(
    section: &BTreeMap<String, Tree>,
    prefix: &str,
    indent: usize,
    decisions: &mut impl FnMut() -> bool,
    out: &mut String,
) {
    for (name, tree) in section {
        let name = format!("{prefix}{name}");
        match tree {
            Tree::Leaf(value) => {
                out.push_str(&format!("{}{name}: {value}\n", "  ".repeat(indent)));
            }
            Tree::Section(inner) if decisions() => {
                write(inner, &format!("{name}."), indent, decisions, out);
            }
            Tree::Section(inner) => {
                out.push_str(&format!("{}{name}:\n", "  ".repeat(indent)));
                write(inner, "", indent + 1, decisions, out);
            }
        }
    }
}

fn as_json(text: &str) -> serde_json::Value {
    let mut warnings = Vec::new();
    let map = yaml::parse(text, &mut warnings).unwrap_or_else(|error| panic!("{error}\n{text}"));
    let map = tree::undotted(map, "", &mut warnings);
    assert_eq!(warnings, Vec::<String>::new(), "{text}");
    serde_json::Value::Object(json::json_map(&map))
}

proptest! {
    #[test]
    fn dotted_nested_and_mixed_are_the_same(
        section in trees(),
        mix in prop::collection::vec(any::<bool>(), 1..32),
    ) {
        let mut nested = String::new();
        write(&section, "", 0, &mut || false, &mut nested);
        let mut dotted = String::new();
        write(&section, "", 0, &mut || true, &mut dotted);
        let mut mixed = String::new();
        let mut decisions = mix.iter().cycle().copied();
        write(&section, "", 0, &mut || decisions.next().unwrap_or(false), &mut mixed);
        prop_assert_eq!(as_json(&dotted), as_json(&nested));
        prop_assert_eq!(as_json(&mixed), as_json(&nested));
    }

    #[test]
    fn never_panics_on_any_text(text in "\\PC{0,200}") {
        let _ = Config::parse_for_service(&text, &FakeEnvironment::default());
    }

    #[test]
    fn never_panics_on_what_looks_like_a_configuration(
        text in "(elasticsearch|service|connectors|sources|bulk|host|idling|connector_id|api_key|a|\\.|: |:|\n|\n  |\n    |- |\\[|\\]|\\{|\\}|, |&a |\\*a|<<|\\||>|'|\"|\\$\\{|\\$|A|#|~|!|\t|---|1|http://|é){0,60}"
    ) {
        let environment = FakeEnvironment { variables: [("A", "${A}"), ("a", "")].into(), ..FakeEnvironment::default() };
        if let Err(errors) = Config::parse_for_service(&text, &environment) {
            prop_assert!(errors.iter().count() > 0);
            prop_assert!(!errors.to_string().is_empty());
        }
    }

    #[test]
    fn any_value_at_any_key_is_read_or_refused(
        index in any::<prop::sample::Index>(),
        value in "(\\[|\\{|-|[0-9]{1,40}|\\.|e|[a-z]{1,5}|ms|KiB|:|/|@|%|é| ){0,8}",
    ) {
        let keys: Vec<_> = crate::config::known_keys().collect();
        let key = index.get(&keys);
        let _ = Config::parse(&format!("{}: {value}", key.path), &FakeEnvironment::default());
        let _ = Config::parse(&format!("{}: '{value}'", key.path), &FakeEnvironment::default());
    }

    #[test]
    fn values_without_a_dollar_stay_as_they_are(value in "[a-zA-Z0-9 _{}|:-]{1,30}") {
        let text = format!("elasticsearch.headers.name: '{value}'");
        let parsed = Config::parse(&text, &FakeEnvironment::default()).unwrap();
        prop_assert_eq!(parsed.config.elasticsearch.headers["name"].expose(), value);
    }

    #[test]
    fn the_nearest_of_known_words_is_the_word_itself(index in any::<prop::sample::Index>(), word in "\\PC{0,12}") {
        let words = ["password", "username", "api_key", "chunk_size"];
        let known = words[index.index(words.len())];
        prop_assert_eq!(nearest_name(known, words), Some(known));
        let _ = nearest_name(&word, words);
    }
}
