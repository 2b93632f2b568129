use proptest::prelude::*;
use serde_json::json;

use super::*;

fn rule(id: &str, policy: &str, field: &str, operator: &str, value: &str, order: i64) -> BasicRule {
    BasicRule {
        id: id.into(),
        policy: policy.into(),
        field: field.into(),
        rule: operator.into(),
        value: value.into(),
        order: Some(order),
        ..BasicRule::default()
    }
}

fn document(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        other => panic!("not an object: {other}"),
    }
}

/// Whether `{"f": value}` is matched by one rule.
#[track_caller]
fn check(value: Value, operator: &str, rule_value: &str, expected: bool) {
    let rules = RuleSet::compile(&[rule("r", "exclude", "f", operator, rule_value, 0)]).unwrap();
    let matched = rules.decide(&document(json!({ "f": value }))) == Decision::Exclude;
    assert_eq!(matched, expected, "{value} {operator} {rule_value}");
}

#[track_caller]
fn problems(rules: &[BasicRule]) -> Vec<RuleProblem> {
    RuleSet::compile(rules).map(|_| ()).unwrap_err()
}

#[test]
fn text_is_compared_as_text() {
    check(json!("apple"), "equals", "apple", true);
    check(json!("Apple"), "equals", "apple", false);
    check(json!("pineapple"), "contains", "neap", true);
    check(json!("pineapple"), "starts_with", "pine", true);
    check(json!("pineapple"), "starts_with", "apple", false);
    check(json!("pineapple"), "ends_with", "apple", true);
    check(json!("b"), ">", "a", true);
    check(json!("10"), ">", "9", false);
    check(json!("straße"), "ends_with", "ße", true);
}

#[test]
fn numbers_are_compared_as_numbers() {
    check(json!(10), ">", "9", true);
    check(json!(10), "<", "9", false);
    check(json!(1), "equals", "1.0", true);
    check(json!(1.5), ">", " 1 ", true);
    check(
        json!(9_007_199_254_740_993_u64),
        "equals",
        "9007199254740992",
        false,
    );
    check(
        json!(9_007_199_254_740_993_u64),
        ">",
        "9007199254740992.0",
        true,
    );
    check(json!(u64::MAX), "<", "1e300", true);
    check(json!(u64::MAX), "equals", "18446744073709551615", true);
    check(json!(u64::MAX), "equals", "18446744073709551616", false);
    check(json!(2_f64.powi(127)), ">", &i128::MAX.to_string(), true);
    check(json!(-0.0), "equals", "0", true);
    // Text where the rule's value is no number, and for the operators of text.
    check(json!(5), "equals", "five", false);
    check(json!(5), "<", "five", true);
    check(json!(1503), "contains", "50", true);
    check(json!(5), "equals", "NaN", false);
}

#[test]
fn booleans_understand_words() {
    for word in ["true", "T", "yes", "Y", "On"] {
        check(json!(true), "equals", word, true);
        check(json!(false), "equals", word, false);
        check(json!(false), "<", word, true);
    }
    for word in ["false", "F", "no", "N", "OFF"] {
        check(json!(false), "equals", word, true);
        check(json!(true), ">", word, true);
    }
    check(json!(true), "equals", "1", false);
    check(json!(true), "starts_with", "tr", true);
}

#[test]
fn dates_are_compared_as_instants() {
    check(
        json!("2024-05-01T12:00:00+02:00"),
        "equals",
        "2024-05-01T10:00:00Z",
        true,
    );
    check(
        json!("2024-05-01T12:00:00+02:00"),
        ">",
        "2024-05-01 10:30",
        false,
    );
    check(json!("2024-05-01T23:59:59.999999"), "<", "2024-05-02", true);
    check(json!("2024-05-02"), "equals", "2024-05-02T00:00", true);
    check(
        json!("2024-05-02T00:00:00+0000"),
        "equals",
        "2024-05-02",
        true,
    );
    check(
        json!("2024-05-02T00:00:00+00"),
        "equals",
        "2024-05-02",
        true,
    );
    // One side alone is no date: text.
    check(json!("2024-05-02"), "<", "a", true);
    check(json!("2024-99-99"), "equals", "2024-99-99", true);
    // Operators of text see the text.
    check(json!("2024-05-02T00:00:00+00:00"), "contains", "Z", false);
}

#[test]
fn lists_and_objects_are_json_text() {
    check(json!(["red", "blue"]), "contains", "blue", true);
    check(json!(["red", "blue"]), "equals", r#"["red","blue"]"#, true);
    check(json!({"a": {"b": 1}}), "contains", r#""b":1"#, true);
}

#[test]
fn null_and_missing_fields_do_not_match() {
    check(Value::Null, "equals", "null", false);
    check(Value::Null, "regex", "n.*", false);
    let rules = RuleSet::compile(&[
        rule("1", "exclude", "a.b", "equals", "1", 0),
        rule("2", "exclude", "b", "equals", "1", 1),
    ])
    .unwrap();
    assert_eq!(
        rules.decide(&document(json!({"a": {"b": 1}}))),
        Decision::Include
    );
    assert_eq!(
        rules.decide(&document(json!({"a.b": 1}))),
        Decision::Exclude
    );
}

#[test]
fn regular_expressions_are_anchored_at_the_start_only() {
    check(json!("release-1"), "regex", "release", true);
    check(json!("a release"), "regex", "release", false);
    check(json!("release"), "regex", "release$", true);
    check(json!("b"), "regex", "a|b", true);
    check(json!("xb"), "regex", "a|b", false);
    check(json!("ab"), "regex", "(?x) a # the first\n b", true);
    check(json!("ab"), "regex", "(?x) a # no end", true);
    check(json!("xa"), "regex", "(?x) a # no end", false);
    check(json!(42), "regex", r"\d{2}$", true);
}

#[test]
fn the_first_match_in_order_decides_and_default_is_never_evaluated() {
    let mut everything = rule("DEFAULT", "exclude", "kind", "regex", ".*", -5);
    everything.order = Some(-5);
    let rules = RuleSet::compile(&[
        rule("3", "exclude", "kind", "contains", "a", 3),
        everything,
        rule("1", "include", "kind", "equals", "draft", 1),
        rule("2", "exclude", "kind", "starts_with", "d", 2),
    ])
    .unwrap();
    assert!(!rules.is_trivial());
    assert_eq!(
        rules.decide(&document(json!({"kind": "draft"}))),
        Decision::Include
    );
    assert_eq!(
        rules.decide(&document(json!({"kind": "data"}))),
        Decision::Exclude
    );
    assert_eq!(
        rules.decide(&document(json!({"kind": "xyz"}))),
        Decision::Include
    );
    assert_eq!(rules.decide(&document(json!({}))), Decision::Include);
}

#[test]
fn a_rule_without_a_place_comes_last() {
    let mut unplaced = rule("1", "exclude", "kind", "contains", "a", 0);
    unplaced.order = None;
    let placed = rule("2", "include", "kind", "contains", "b", 7);
    let rules = RuleSet::compile(&[unplaced, placed]).unwrap();
    assert_eq!(
        rules.decide(&document(json!({"kind": "ab"}))),
        Decision::Include
    );
}

#[test]
fn only_the_default_rule_is_trivial() {
    assert!(RuleSet::compile(&[]).unwrap().is_trivial());
    let default = BasicRule::default_rule("2026-11-25T07:02:41.123456+00:00");
    assert!(RuleSet::compile(&[default]).unwrap().is_trivial());
}

#[test]
fn schema_problems_are_reported_by_rule() {
    let found = problems(&[
        rule("", "include", "f", "equals", "x", 0),
        rule("b", "maybe", " ", "like", "", 1),
        rule("c", "include", "f", "equals", "ok", 2),
    ]);
    assert_eq!(found.len(), 2);
    assert_eq!(found[0].ids, Vec::<String>::new());
    assert_eq!(found[0].messages, ["The rule at position 1 has no 'id'."]);
    assert_eq!(found[1].ids, ["b"]);
    assert_eq!(found[1].messages.len(), 4, "{:?}", found[1].messages);
}

#[test]
fn match_all_and_unusable_expressions_are_reported() {
    for pattern in [".*", "(.*)", " .* "] {
        let found = problems(&[rule("all", "exclude", "f", "regex", pattern, 0)]);
        assert!(
            found[0].messages[0].contains("matches every document"),
            "{found:?}"
        );
    }
    for pattern in ["a)|(b", "(?=x)", "[", r"(a)\1", "*"] {
        let found = problems(&[rule("bad", "exclude", "f", "regex", pattern, 0)]);
        assert_eq!(found[0].ids, ["bad"]);
        assert!(found[0].messages[0].contains("cannot be used"), "{found:?}");
    }
    let deep = "(".repeat(5_000) + &")".repeat(5_000);
    for bomb in [
        "(a{999}){999}",
        r"(\w{100}){100}",
        deep.as_str(),
        "x".repeat(10_001).as_str(),
    ] {
        assert_eq!(
            problems(&[rule("bomb", "exclude", "f", "regex", bomb, 0)])[0].ids,
            ["bomb"]
        );
    }
    // `.*` is text for every other operator.
    check(json!("a.*b"), "contains", ".*", true);
}

#[test]
fn both_duplicates_are_reported() {
    let found = problems(&[
        rule("a", "include", "f", "equals", "x", 0),
        rule("b", "exclude", "f", "equals", "x", 1),
        rule("c", "exclude", "f", "equals", "y", 2),
    ]);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].ids, ["a", "b"]);
}

#[test]
fn records_are_read_with_tolerance_and_written_back() {
    let written = json!({
        "id": "r1", "policy": "exclude", "field": "size", "rule": ">", "value": "10",
        "order": 1, "created_at": "2026-01-01T00:00:00.000Z",
        "updated_at": "2026-01-01T00:00:00.000Z", "note": {"kept": true}
    });
    let read: BasicRule = serde_json::from_value(written.clone()).unwrap();
    assert_eq!(read.order, Some(1));
    assert_eq!(serde_json::to_value(&read).unwrap(), written);

    let by_hand: BasicRule =
        serde_json::from_value(json!({"id": 7, "value": 10, "order": "2", "field": null})).unwrap();
    assert_eq!(
        (by_hand.id.as_str(), by_hand.value.as_str(), by_hand.order),
        ("7", "10", Some(2))
    );
    assert_eq!(by_hand.field, "");

    // What cannot be meant is reported, never dropped.
    let odd: BasicRule =
        serde_json::from_value(json!({"id": "o", "value": ["x"], "order": {}})).unwrap();
    assert_eq!(odd.value, "");
    assert_eq!(serde_json::to_value(&odd).unwrap()["value"], json!(["x"]));
    assert_eq!(serde_json::to_value(&odd).unwrap()["order"], json!({}));
    let not_an_object: BasicRule = serde_json::from_value(json!("exclude all")).unwrap();
    assert_eq!(problems(&[not_an_object]).len(), 1);
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
        "[0-9]{4}-[0-9]{2}-[0-9]{2}[T ]?[0-9:.Z+-]{0,16}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec(("[a-c]{1,2}", inner), 0..4)
                .prop_map(|pairs| Value::Object(pairs.into_iter().collect())),
        ]
    })
}

fn any_rule() -> impl Strategy<Value = BasicRule> {
    let operator = prop_oneof![
        Just("equals"),
        Just("contains"),
        Just("starts_with"),
        Just("ends_with"),
        Just("regex"),
        Just(">"),
        Just("<"),
    ];
    let value = prop_oneof![
        ".{1,12}",
        "-?[0-9]{1,20}(\\.[0-9]{1,5})?(e[0-9]{1,3})?",
        "[0-9]{4}-[0-9]{2}-[0-9]{2}[T ]?[0-9:.Z+-]{0,16}",
        "(true|f|no|on)",
    ];
    let policy = prop_oneof![Just("include"), Just("exclude")];
    (
        "[a-z0-9]{1,6}",
        policy,
        "[a-c]{1,2}",
        operator,
        value,
        any::<i64>(),
    )
        .prop_map(|(id, policy, field, operator, value, order)| {
            rule(&id, policy, &field, operator, &value, order)
        })
}

proptest! {
    #[test]
    fn never_panics_and_never_judges_by_an_absent_field(
        rules in prop::collection::vec(any_rule(), 0..6),
        fields in prop::collection::vec(("[a-c]{1,2}", any_json()), 0..6),
    ) {
        let document: Map<String, Value> = fields.into_iter().collect();
        if let Ok(set) = RuleSet::compile(&rules) {
            set.decide(&document);
            prop_assert_eq!(set.decide(&Map::new()), Decision::Include);
        }
    }

    #[test]
    fn reading_any_json_as_a_rule_gives_a_rule_that_can_be_judged(value in any_json()) {
        let read: BasicRule = serde_json::from_value(value).unwrap();
        let _ = RuleSet::compile(&[read]);
    }

    /// The model: sort by order, ask each rule alone, take the first that matches.
    #[test]
    fn a_set_decides_as_its_rules_one_by_one(
        rules in prop::collection::vec(any_rule(), 0..6),
        fields in prop::collection::vec(("[a-c]{1,2}", any_json()), 0..6),
    ) {
        let document: Map<String, Value> = fields.into_iter().collect();
        let Ok(set) = RuleSet::compile(&rules) else { return Ok(()) };
        let mut sorted = rules;
        sorted.sort_by_key(|rule| rule.order);
        let mut expected = Decision::Include;
        for single in &sorted {
            let mut probe = single.clone();
            probe.policy = "exclude".into();
            let alone = RuleSet::compile(std::slice::from_ref(&probe)).unwrap();
            if alone.decide(&document) == Decision::Exclude {
                if single.policy == "exclude" {
                    expected = Decision::Exclude;
                }
                break;
            }
        }
        prop_assert_eq!(set.decide(&document), expected);
    }

    #[test]
    fn whole_numbers_compare_exactly(a in any::<i64>(), b in any::<i64>()) {
        check(json!(a), ">", &b.to_string(), a > b);
        check(json!(a), "<", &b.to_string(), a < b);
        check(json!(a), "equals", &b.to_string(), a == b);
        check(json!(a), "equals", &a.to_string(), true);
    }

    #[test]
    fn floats_compare_as_floats(a in -1e12_f64..1e12, b in -1e12_f64..1e12) {
        check(json!(a), ">", &b.to_string(), a > b);
        check(json!(a), "<", &b.to_string(), a < b);
    }

    #[test]
    fn a_whole_number_and_a_float_compare_without_rounding(a in any::<i64>(), half in any::<i32>()) {
        let float = f64::from(half) + 0.5;
        check(json!(a), ">", &float.to_string(), a > i64::from(half));
        check(json!(a), "<", &float.to_string(), a <= i64::from(half));
    }
}
