//! Field constants, the JSON they make, and what they say about values.

use proptest::prelude::*;
use serde_json::{Map, Value, json};
use std::sync::Arc;
use tributary_sdk::{
    Error, ErrorKind, Features, Field, Result, Run, Secret, Session, Setup, Source, SourceOptions,
    SourceType, StopSignal, Values, async_trait,
    config::{Choice, Validation},
};

const KINDS: &[Choice] = &[
    Choice {
        label: "Basic",
        value: "basic",
    },
    Choice {
        label: "Token",
        value: "token",
    },
];
const HOST: Field<String> = Field::text("host", "Host")
    .order(1)
    .checked_by(&[Validation::Regex("https://.*")]);
const PORT: Field<i64> = Field::integer("port", "Port")
    .order(2)
    .checked_by(&[Validation::GreaterThan(0), Validation::LessThan(65536)]);
const KIND: Field<String> = Field::choice("kind", "Authentication", KINDS).order(3);
const TOKEN: Field<Secret> = Field::secret("token", "Token")
    .order(4)
    .only_if(&[KIND.is("token")]);
const SPACES: Field<Vec<String>> = Field::list("spaces", "Spaces")
    .order(5)
    .tooltip("Which ones.")
    .starting_as("*");
const IDS: Field<Vec<String>> = Field::list("ids", "Ids")
    .order(6)
    .or("1,2")
    .checked_by(&[Validation::ListType("int")]);
const COLOURS: Field<Vec<String>> = Field::list("colours", "Colours")
    .order(7)
    .or("red")
    .checked_by(&[Validation::IncludedIn(&["red", "blue"])]);
const RETRIES: Field<i64> = Field::integer("retries", "Retries")
    .order(8)
    .or(3)
    .advanced();
const TLS: Field<bool> = Field::toggle("tls", "Use TLS", false).order(9);
const CA: Field<String> = Field::long_text("ca", "Certificate")
    .order(10)
    .only_if(&[TLS.is(true)]);
const NOTE: Field<String> = Field::text("note", "Note").order(11).or_nothing();

const SAMPLE: SourceType = SourceType {
    service_type: "sample",
    name: "Sample",
    features: Features::BASIC,
    fields: &[
        &HOST, &PORT, &KIND, &TOKEN, &SPACES, &IDS, &COLOURS, &RETRIES, &TLS, &CA, &NOTE,
    ],
    build: |setup| {
        let values = setup.values;
        HOST.get(values)?;
        PORT.get(values)?;
        KIND.get(values)?;
        TOKEN.get(values)?;
        SPACES.get(values)?;
        IDS.get(values)?;
        COLOURS.get(values)?;
        RETRIES.get(values)?;
        TLS.get(values)?;
        CA.get(values)?;
        NOTE.get(values)?;
        Ok(Arc::new(Nothing))
    },
};

struct Nothing;

#[async_trait]
impl Source for Nothing {
    async fn ping(&self) -> Result<()> {
        Ok(())
    }

    async fn open(&self, _: &Run) -> Result<Box<dyn Session>> {
        Err(Error::stopped())
    }
}

fn values(entries: Value) -> Values {
    let entries = entries.as_object().unwrap().iter();
    let configuration: Map<String, Value> = entries
        .map(|(key, value)| (key.clone(), json!({"value": value})))
        .collect();
    Values::new(SAMPLE.fields, &configuration)
}

fn good() -> Value {
    json!({"host": "https://x", "port": 443, "kind": "basic"})
}

fn with(key: &str, value: Value) -> Values {
    let mut entries = good();
    entries[key] = value;
    values(entries)
}

#[test]
fn the_configuration_of_a_new_record_is_as_the_protocol_wants_it() {
    let expected = r#"{"host":{"default_value":null,"depends_on":[],"display":"text","label":"Host","options":[],"order":1,"required":true,"sensitive":false,"tooltip":null,"type":"str","ui_restrictions":[],"validations":[{"type":"regex","constraint":"https://.*"}],"value":""},"#;
    let text = serde_json::to_string(&SAMPLE.configuration()).unwrap();
    assert!(text.starts_with(expected), "{text}");
    let map = SAMPLE.configuration().to_map();
    assert_eq!(
        Value::Object(map.clone()),
        serde_json::from_str::<Value>(&text).unwrap()
    );
    assert_eq!(
        map["port"]["validations"],
        json!([{"type": "greater_than", "constraint": 0}, {"type": "less_than", "constraint": 65536}])
    );
    assert_eq!(
        map["kind"]["options"],
        json!([{"label": "Basic", "value": "basic"}, {"label": "Token", "value": "token"}])
    );
    assert_eq!(map["kind"]["value"], "basic");
    assert_eq!(
        map["token"]["depends_on"],
        json!([{"field": "kind", "value": "token"}])
    );
    assert_eq!(
        (&map["token"]["sensitive"], &map["host"]["sensitive"]),
        (&json!(true), &json!(false))
    );
    assert_eq!(map["retries"]["default_value"], 3);
    assert_eq!(
        (
            &map["retries"]["required"],
            &map["retries"]["ui_restrictions"]
        ),
        (&json!(false), &json!(["advanced"]))
    );
    assert_eq!(
        (
            &map["tls"]["type"],
            &map["tls"]["display"],
            &map["tls"]["value"]
        ),
        (&json!("bool"), &json!("toggle"), &json!(false))
    );
    assert_eq!(
        (&map["spaces"]["tooltip"], &map["spaces"]["display"]),
        (&json!("Which ones."), &json!("textarea"))
    );
    assert_eq!(
        map["colours"]["validations"],
        json!([{"type": "included_in", "constraint": ["red", "blue"]}])
    );
}

#[test]
fn values_are_read_as_people_and_kibana_write_them() {
    let stored = values(
        json!({"host": "https://x", "port": " 8080 ", "kind": "token", "token": "t", "spaces": " a, b ,,c",
        "ids": [1, "2"], "retries": "", "tls": "true", "ca": "pem"}),
    );
    assert_eq!(PORT.get(&stored).unwrap(), 8080);
    assert_eq!(TOKEN.get(&stored).unwrap().expose(), "t");
    assert_eq!(SPACES.get(&stored).unwrap(), ["a", "b", "c"]);
    assert_eq!(IDS.get(&stored).unwrap(), ["1", "2"]);
    assert_eq!(COLOURS.get(&stored).unwrap(), ["red"]);
    assert_eq!(RETRIES.get(&stored).unwrap(), 3);
    assert!(TLS.get(&stored).unwrap());
    assert_eq!(CA.get(&stored).unwrap(), "pem");
    assert_eq!(NOTE.get(&stored).unwrap(), "");
    SAMPLE.check(&stored).unwrap();
    assert_eq!(stored.unread(), [] as [&str; 0]);
}

#[test]
fn a_hidden_field_is_neither_read_nor_missed() {
    let stored = with("token", json!("left over"));
    assert!(TOKEN.get(&stored).unwrap().is_empty());
    SAMPLE.check(&stored).unwrap();
    let shown = with("kind", json!("token"));
    assert_eq!(
        SAMPLE.check(&shown).unwrap_err().message(),
        "Field validation errors: 'Token' cannot be empty."
    );
}

#[test]
fn all_problems_are_reported_together() {
    let stored = values(
        json!({"host": "http://x", "port": 0, "kind": "magic", "spaces": [], "ids": "1,x", "colours": ["red", "green"], "tls": "perhaps"}),
    );
    let error = SAMPLE.check(&stored).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidConfig);
    for part in [
        "'Host' value 'http://x' should match the regular expression https://.*.",
        "'Port' value 0 should be greater than 0.",
        "'Authentication' value 'magic' should be one of basic, token.",
        "'Spaces' cannot be empty.",
        "'Ids' item 'x' should be a whole number.",
        "'Colours' value 'green' should be one of red, blue.",
        "'Use TLS' should be true or false.",
    ] {
        assert!(
            error.message().contains(part),
            "{part} in {}",
            error.message()
        );
    }
}

#[test]
fn bounds_are_strict_and_emptiness_is_wide() {
    assert!(SAMPLE.check(&with("port", json!(65535))).is_ok());
    assert!(SAMPLE.check(&with("port", json!(65536))).is_err());
    for empty in [json!(null), json!(""), json!([]), json!(["", null])] {
        assert!(SAMPLE.check(&with("spaces", empty)).is_err());
    }
}

#[test]
fn keys_that_a_record_lacks_are_named() {
    let configuration = json!({"host": {"value": "x"}, "other": {}});
    let missing = SAMPLE.missing_keys(configuration.as_object().unwrap());
    assert_eq!(missing.len(), SAMPLE.fields.len() - 1);
    assert!(!missing.contains(&"host"));
}

#[test]
fn a_value_never_prints() {
    let stored = with("token", json!("hunter2"));
    assert!(!format!("{stored:?}").contains("hunter2"));
}

#[test]
fn options_of_the_file_refuse_typing_errors() {
    #[derive(serde::Deserialize, Debug)]
    #[serde(deny_unknown_fields)]
    struct Options {
        #[serde(default)]
        connections: u32,
    }
    let read =
        |options: Value| SourceOptions::new(options.as_object().unwrap().clone()).read::<Options>();
    assert_eq!(read(json!({"connections": 4})).unwrap().connections, 4);
    let error = read(json!({"conections": 4})).unwrap_err();
    assert!(error.message().contains("conections"), "{error}");
}

#[test]
fn building_reads_every_field() {
    let stored = values(good());
    let options = SourceOptions::default();
    let setup = Setup::new(&stored, &options, StopSignal::never(), std::env::temp_dir());
    (SAMPLE.build)(&setup).unwrap();
    assert_eq!(stored.unread(), [] as [&str; 0]);
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((any::<String>(), inner), 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn no_value_panics(stored in prop::collection::vec(any_json(), 11)) {
        let keys = SAMPLE.fields.iter().map(|field| field.declaration().key.to_owned());
        let configuration: Map<String, Value> = keys.zip(stored).map(|(key, value)| (key, json!({"value": value}))).collect();
        let values = Values::new(SAMPLE.fields, &configuration);
        let _ = SAMPLE.check(&values);
    }

    #[test]
    fn no_record_panics(entry in any_json()) {
        let configuration: Map<String, Value> = SAMPLE.fields.iter().map(|field| (field.declaration().key.to_owned(), entry.clone())).collect();
        let values = Values::new(SAMPLE.fields, &configuration);
        let _ = SAMPLE.check(&values);
    }
}
