//! Looking after connectors: complete records, status, drafts of sync rules.

use crate::{
    source::{Act, SOON, data_source},
    world::{World, at},
};
use serde_json::{Value, json};
use std::{sync::atomic::Ordering, time::Duration};
use tributary_protocol::{ConnectorStatus, JobType, records::RecordsErrorKind};
use tributary_sdk::{ErrorKind, Finding};

#[tokio::test(start_paused = true)]
async fn a_new_connector_gets_its_form_waits_for_values_and_syncs_when_it_has_them() {
    let mut world = World::default();
    world.name("c", "rich");
    let (host, behaviour) = data_source();
    let bare = json!({"index_name": "index-c", "configuration": {}, "status": "created"});
    world.records.state().put_connector("c", bare);
    let running = world.start();
    tokio::time::sleep(SOON).await;

    let source = world.records.connector_source("c");
    assert_eq!(source["status"], "needs_configuration");
    assert_eq!(source["service_type"], "rich");
    assert_eq!(at(&source, "/configuration/host/label"), "Host");
    assert_eq!(at(&source, "/configuration/host/required"), true);
    assert_eq!(
        source["features"],
        json!({
            "document_level_security": {"enabled": true},
            "incremental_sync": {"enabled": true},
            "sync_rules": {"advanced": {"enabled": true}, "basic": {"enabled": true}}
        })
    );
    // Nothing runs before there are values.
    world.job("j", "c", JobType::Full);
    tokio::time::sleep(Duration::from_secs(100)).await;
    assert_eq!(world.records.read_job("j").status.as_str(), "pending");
    assert_eq!(behaviour.pings.load(Ordering::SeqCst), 0);

    let values = json!({"configuration": {"host": {"value": host}}, "status": "configured"});
    world.records.state().merge_connector("c", values);
    world
        .until_job("j", tributary_protocol::JobStatus::Completed)
        .await;
    assert_eq!(world.ids("index-c"), ["a", "b", "c"]);
    let source = world.records.connector_source("c");
    assert_eq!(source["status"], "connected");
    running.end().await.unwrap();
    assert_eq!(world.rooms_in_use(), 0);
}

#[tokio::test(start_paused = true)]
async fn missing_fields_properties_and_features_are_added_and_values_stay() {
    let mut world = World::default();
    let behaviour = world.connector("c", "rich");
    let features = json!({"features": {"sync_rules": {"basic": {"enabled": false}}}});
    world.records.state().merge_connector("c", features);
    let value = at(
        &world.records.connector_source("c"),
        "/configuration/host/value",
    )
    .clone();
    let mut source = world.records.connector_source("c");
    source["configuration"] = json!({"host": {"value": value}, "mine": {"value": 7}});
    world.records.state().put_connector("c", source);
    let running = world.start();
    tokio::time::sleep(SOON).await;
    let source = world.records.connector_source("c");
    assert_eq!(at(&source, "/configuration/host/value"), &value);
    assert_eq!(at(&source, "/configuration/host/type"), "str");
    assert_eq!(at(&source, "/configuration/mine/value"), 7);
    assert_eq!(
        at(&source, "/configuration/use_document_level_security/value"),
        false
    );
    assert_eq!(at(&source, "/features/sync_rules/basic/enabled"), true);
    assert_eq!(source["status"], "connected");
    // Complete is complete: nothing is written again.
    let prepared = world.records.calls("prepare_connector");
    tokio::time::sleep(Duration::from_secs(200)).await;
    assert_eq!(world.records.calls("prepare_connector"), prepared);
    assert!(behaviour.pings.load(Ordering::SeqCst) >= 6);
    running.end().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_status_says_what_is_wrong_and_when_it_is_right_again() {
    let mut world = World::default();
    let behaviour = world.connector("c", "plain");
    *behaviour.ping.lock().unwrap() =
        Act::Fail(ErrorKind::Unavailable, "db1:5432 refuses connections");
    let running = world.start();
    tokio::time::sleep(SOON).await;
    let connector = world.records.read_connector("c");
    assert_eq!(connector.status, ConnectorStatus::Error);
    assert_eq!(
        connector.error.unwrap(),
        "Unavailable: db1:5432 refuses connections"
    );
    // Said once, not at every look.
    tokio::time::sleep(Duration::from_secs(200)).await;
    assert_eq!(world.records.calls("status"), 1);

    *behaviour.ping.lock().unwrap() = Act::Answer;
    *behaviour.findings.lock().unwrap() = vec![
        Finding::at("host", "no such table"),
        Finding::new("no right to read"),
    ];
    tokio::time::sleep(Duration::from_secs(31)).await;
    let error = world.records.read_connector("c").error.unwrap();
    assert_eq!(
        error,
        "ConfigurationError: host: no such table; no right to read"
    );

    behaviour.findings.lock().unwrap().clear();
    tokio::time::sleep(Duration::from_secs(31)).await;
    let connector = world.records.read_connector("c");
    assert_eq!(
        (connector.status, connector.error),
        (ConnectorStatus::Connected, None)
    );
    running.end().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn all_problems_of_the_configuration_are_said_together() {
    let mut world = World::default();
    world.connector("c", "rich");
    let values = json!({"configuration": {
        "host": {"value": ""}, "use_document_level_security": {"value": "maybe"}
    }});
    world.records.state().merge_connector("c", values);
    let running = world.start();
    tokio::time::sleep(SOON).await;
    let error = world.records.read_connector("c").error.unwrap();
    assert!(error.contains("'Host' cannot be empty."), "{error}");
    assert!(
        error.contains("'Document-level security' should be true or false."),
        "{error}"
    );
    running.end().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_unknown_service_type_names_the_nearest() {
    let mut world = World::default();
    world.new_connector("c", "plainn");
    let running = world.start();
    tokio::time::sleep(SOON).await;
    let connector = world.records.read_connector("c");
    assert_eq!(connector.status, ConnectorStatus::Error);
    let error = connector.error.unwrap();
    assert!(error.contains("'plainn'; did you mean 'plain'?"), "{error}");
    // A job of it ends with the same words.
    world.job("j", "c", JobType::Full);
    world
        .until_job("j", tributary_protocol::JobStatus::Error)
        .await;
    let error = world.records.read_job("j").error.unwrap();
    assert!(error.contains("did you mean 'plain'?"), "{error}");
    running.end().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_a_source_is_an_error_of_its_connector() {
    let mut world = World::default();
    let behaviour = world.connector("c", "plain");
    world.connector("good", "plain");
    *behaviour.ping.lock().unwrap() = Act::Panic;
    let running = world.start();
    tokio::time::sleep(SOON).await;
    let error = world.records.read_connector("c").error.unwrap();
    assert!(
        error.starts_with("InternalError: ") && error.contains("scripted panic"),
        "{error}"
    );
    assert_eq!(
        world.records.read_connector("good").status,
        ConnectorStatus::Connected
    );

    *behaviour.ping.lock().unwrap() = Act::Answer;
    tokio::time::sleep(Duration::from_secs(31)).await;
    assert_eq!(
        world.records.read_connector("c").status,
        ConnectorStatus::Connected
    );
    running.end().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_unreadable_schedule_is_said() {
    let mut world = World::default();
    world.connector("c", "plain");
    let schedule = json!({"scheduling": {"full": {"enabled": true, "interval": "0 0 25 * * ?"}}});
    world.records.state().merge_connector("c", schedule);
    let running = world.start();
    tokio::time::sleep(SOON).await;
    let error = world.records.read_connector("c").error.unwrap();
    assert!(
        error.contains("the schedule of full syncs, '0 0 25 * * ?'"),
        "{error}"
    );
    running.end().await.unwrap();
}

fn draft(rules: Value, advanced: Value) -> Value {
    let set = |rules: &Value, state: &str| {
        json!({
            "rules": rules,
            "advanced_snippet": {"value": advanced},
            "validation": {"state": state, "errors": []}
        })
    };
    let nothing = json!([]);
    json!({"filtering": [{
        "domain": "DEFAULT",
        "active": set(&nothing, "valid"),
        "draft": set(&rules, "edited"),
    }]})
}

fn rule(id: &str, kind: &str, value: &str) -> Value {
    json!({
        "id": id, "policy": "exclude", "field": "name", "rule": kind, "value": value, "order": 1
    })
}

#[tokio::test(start_paused = true)]
async fn a_valid_draft_is_activated() {
    let mut world = World::default();
    world.connector("c", "rich");
    let edited = draft(json!([rule("r", "equals", "b")]), json!([{"table": "t"}]));
    world.records.state().merge_connector("c", edited);
    let running = world.start();
    tokio::time::sleep(SOON).await;
    let source = world.records.connector_source("c");
    assert_eq!(at(&source, "/filtering/0/draft/validation/state"), "valid");
    assert_eq!(at(&source, "/filtering/0/active/rules/0/id"), "r");
    assert_eq!(
        at(
            &source,
            "/filtering/0/active/advanced_snippet/value/0/table"
        ),
        "t"
    );
    // And used by the next job.
    world.job("j", "c", JobType::Full);
    world
        .until_job("j", tributary_protocol::JobStatus::Completed)
        .await;
    assert_eq!(world.ids("index-c"), ["a", "c"]);
    running.end().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_invalid_draft_says_why_and_is_not_activated() {
    let mut world = World::default();
    let behaviour = world.connector("c", "rich");
    *behaviour.rule_findings.lock().unwrap() = vec![Finding::at("[0].table", "no table 't'")];
    let rules = json!([rule("r1", "regex", "("), rule("r2", "equals", "b")]);
    let edited = draft(rules, json!([{"table": "t"}]));
    world.records.state().merge_connector("c", edited);
    let running = world.start();
    tokio::time::sleep(SOON).await;
    let source = world.records.connector_source("c");
    let validation = at(&source, "/filtering/0/draft/validation");
    assert_eq!(validation["state"], "invalid");
    assert_eq!(at(validation, "/errors/0/ids"), &json!(["r1"]));
    assert_eq!(
        at(validation, "/errors/1"),
        &json!({"ids": ["advanced_snippet"], "messages": ["[0].table: no table 't'"]})
    );
    assert_eq!(at(&source, "/filtering/0/active/rules"), &json!([]));
    running.end().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn advanced_rules_wait_for_the_data_source_and_basic_rules_do_not() {
    let mut world = World::default();
    let behaviour = world.connector("c", "rich");
    *behaviour.ping.lock().unwrap() = Act::Fail(ErrorKind::Unavailable, "away");
    world.connector("d", "rich");
    let basic = draft(json!([rule("r", "equals", "b")]), json!({}));
    let advanced = draft(json!([]), json!([{"table": "t"}]));
    world.records.state().merge_connector("c", advanced);
    world.records.state().merge_connector("d", basic);
    let running = world.start();
    tokio::time::sleep(SOON).await;
    let state = |id| {
        let source = world.records.connector_source(id);
        at(&source, "/filtering/0/draft/validation/state").clone()
    };
    assert_eq!((state("c"), state("d")), (json!("edited"), json!("valid")));
    *behaviour.ping.lock().unwrap() = Act::Answer;
    tokio::time::sleep(Duration::from_secs(31)).await;
    assert_eq!(state("c"), "valid");
    running.end().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_draft_that_changes_while_it_is_checked_is_checked_again() {
    let mut world = World::default();
    world.connector("c", "plain");
    let bad = draft(json!([rule("bad", "regex", "(")]), json!({}));
    world.records.state().merge_connector("c", bad);
    world.records.meddle("filtering", |state| {
        state.merge_connector("c", draft(json!([rule("good", "equals", "b")]), json!({})));
    });
    let running = world.start();
    tokio::time::sleep(SOON).await;
    let source = world.records.connector_source("c");
    // The verdict about the old draft was not written over the new one.
    assert_eq!(at(&source, "/filtering/0/draft/validation/state"), "edited");
    tokio::time::sleep(Duration::from_secs(31)).await;
    let source = world.records.connector_source("c");
    assert_eq!(at(&source, "/filtering/0/draft/validation/state"), "valid");
    assert_eq!(at(&source, "/filtering/0/active/rules/0/id"), "good");
    running.end().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn one_connector_that_cannot_be_written_does_not_keep_others_from_it() {
    let mut world = World::default();
    world.new_connector("a", "plain");
    world.new_connector("b", "plain");
    world
        .records
        .refuse("prepare_connector", 1, RecordsErrorKind::Rejected);
    let running = world.start();
    tokio::time::sleep(SOON).await;
    let written = ["a", "b"]
        .iter()
        .filter(|id| world.records.read_connector(id).status.as_str() == "needs_configuration");
    assert_eq!(written.count(), 1);
    tokio::time::sleep(Duration::from_secs(31)).await;
    assert_eq!(
        world.records.read_connector("a").status.as_str(),
        "needs_configuration"
    );
    running.end().await.unwrap();
}
