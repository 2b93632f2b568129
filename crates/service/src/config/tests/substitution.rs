use super::FakeEnvironment;
use crate::config::{Config, ConfigErrors, Parsed};

fn environment() -> FakeEnvironment {
    FakeEnvironment {
        variables: [
            ("HOST", "es.example.org"),
            ("NUMBER", "17"),
            ("EMPTY", ""),
            ("word", "replaced"),
            ("NESTED", "${HOST} $HOST"),
            ("YAML", "[a]: {b"),
        ]
        .into(),
        ..FakeEnvironment::default()
    }
}

fn try_parse(text: &str) -> Result<Parsed, ConfigErrors> {
    Config::parse(text, &environment())
}

/// What a password written so becomes.
fn password(written: &str) -> String {
    let text = format!("elasticsearch.headers.name: {written}");
    let parsed = try_parse(&text).unwrap_or_else(|errors| panic!("{errors}\n{text}"));
    parsed.config.elasticsearch.headers["name"]
        .expose()
        .to_owned()
}

#[test]
fn variables_stand_for_their_values() {
    for (written, expected) in [
        ("${HOST}", "es.example.org"),
        ("$HOST", "es.example.org"),
        ("\"${HOST}\"", "es.example.org"),
        ("'${HOST}'", "es.example.org"),
        ("a${HOST}b$NUMBER", "aes.example.orgb17"),
        ("$HOST:$NUMBER", "es.example.org:17"),
        ("$HOST.org", "es.example.org.org"),
        ("${NOT_SET:-else where}", "else where"),
        ("${EMPTY:-else}", "else"),
        ("${NOT_SET|else}", "else"),
        ("x${EMPTY|else}", "x"),
        ("x${NOT_SET:-}", "x"),
        ("${HOST:-else}", "es.example.org"),
        // What a variable holds is text and nothing else.
        ("${NESTED}", "${HOST} $HOST"),
        ("${YAML}", "[a]: {b"),
    ] {
        assert_eq!(password(written), expected, "{written}");
    }
}

#[test]
fn dollar_signs_of_passwords_stay() {
    for written in [
        "pa$$word",
        "$abc",
        "pa$",
        "pa$5",
        "$",
        "$$",
        "a$-b",
        "${",
        "pa${ss",
        "${not a name}",
        "${}",
        "x$$$",
        "$$HOST",
        "${1}",
        "$é",
    ] {
        assert_eq!(password(&format!("'{written}'")), written, "{written}");
    }
    assert_eq!(password("$${HOST}"), "${HOST}");
    assert_eq!(password("$$$HOST"), "$$es.example.org");
    assert_eq!(password("${DOLLAR:-$}HOST"), "$HOST");
}

#[test]
fn values_are_typed_after_substitution() {
    let config = try_parse(
        "service:\n  idling: ${NUMBER}\n  worker_mode: ${NOT_SET:-yes}\n  service_types: [\"$HOST\", b]\n\
         sources.dir.depth: $NUMBER\nsources.dir.name: \"$NUMBER\"\n",
    )
    .unwrap()
    .config;
    assert_eq!(config.service.idling.as_secs(), 17);
    assert!(config.service.worker_mode);
    assert_eq!(config.service.service_types, ["es.example.org", "b"]);
    let options = config.source_options("dir").0;
    assert_eq!(options["depth"], 17);
    assert_eq!(options["name"], "17");
}

#[test]
fn a_variable_that_is_not_set_is_an_error_with_a_way_out() {
    let errors = try_parse(
        "elasticsearch:\n  host: http://${ES_HOST}:9200\n  password: a${ES_PASSWORD}b\nconnectors:\n  - connector_id: ${ID}\n    service_type: dir\n",
    )
    .unwrap_err();
    assert_eq!(
        errors.to_string(),
        "elasticsearch.host: the environment variable ES_HOST is not set; set it, or give a \
         default: ${ES_HOST:-value} (line 2, column 9)\n\
         elasticsearch.password: the environment variable ES_PASSWORD is not set; set it, or give \
         a default: ${ES_PASSWORD:-value} (line 3, column 13)\n\
         connectors[0].connector_id: the environment variable ID is not set; set it, or give a \
         default: ${ID:-value} (line 5, column 19)"
    );
}

#[test]
fn an_empty_variable_is_a_value_that_is_not_set() {
    let config = try_parse("elasticsearch.api_key: ${EMPTY}\nservice.idling: $EMPTY\n")
        .unwrap()
        .config;
    assert_eq!(config, Config::default());
}

#[test]
fn keys_and_comments_are_left_alone() {
    let parsed = try_parse("# ${NOT_SET}\n${NOT_SET}: 1\nsources.dir: {$HOST: 2}\n").unwrap();
    let options = parsed.config.source_options("dir").0;
    assert_eq!(options["$HOST"], 2);
}
