//! `job`, with a service at work.

use crate::program::{World, until};
use serde_json::Value;
use tributary_testkit::faults::{Fault, FaultProxy, Rule};

#[tokio::test]
async fn a_job_is_started_waited_for_and_shown() {
    let world = World::new().await;
    world
        .connector(
            "papers",
            &[("a.txt", "a kaleidoscope"), ("b.txt", "a lighthouse")],
        )
        .await;
    let service = world.service(&world.store.url(), &["papers"], "");
    let ended = world
        .program("job start --connector papers --wait")
        .ended()
        .await
        .with_code(0);
    assert!(
        ended.out.contains("completed")
            && ended.out.contains("2 indexed, 0 deleted, 2 in the index"),
        "{ended}"
    );
    let list = world
        .program("job list --connector papers -o json")
        .ended()
        .await
        .with_code(0)
        .json();
    let id = list[0]["id"].as_str().unwrap();
    assert_eq!(list[0]["indexed_document_count"], 2);
    let text = world
        .program(&format!("job view {id}"))
        .ended()
        .await
        .with_code(0)
        .out;
    for part in [
        "completed",
        "papers",
        "on_demand",
        "documents indexed",
        "duration",
    ] {
        assert!(text.contains(part), "{text}");
    }
    let text = world.program("job list").ended().await.with_code(0).out;
    assert!(text.contains(id) && text.starts_with("ID"), "{text}");
    let count = world
        .program("index count papers")
        .ended()
        .await
        .with_code(0)
        .out;
    assert_eq!(count, "2\n");
    service.signal("TERM").await;
    assert_eq!(service.ended().await.0, Some(0));
}

#[tokio::test]
async fn waiting_for_a_job_that_fails_ends_with_code_5() {
    let world = World::new().await;
    let folder = world
        .connector("papers", &[("a.txt", "a kaleidoscope")])
        .await;
    std::fs::remove_dir_all(folder).unwrap();
    let _service = world.service(&world.store.url(), &["papers"], "");
    let ended = world
        .program("job start --connector papers --wait -o json")
        .ended()
        .await
        .with_code(5);
    assert_eq!(ended.json()["status"], "error");
    ended.complaining(&[
        "the sync ended as 'error'",
        "files-papers",
        "tributary job view",
    ]);
}

#[tokio::test]
async fn a_job_that_waits_is_canceled_at_once_and_a_final_one_is_not() {
    let world = World::new().await;
    world.connector("papers", &[]).await;
    let started = world
        .program("job start --connector papers -o json")
        .ended()
        .await
        .with_code(0);
    let started = started.json();
    let id = started["id"].as_str().unwrap();
    let ended = world
        .program(&format!("job cancel {id}"))
        .ended()
        .await
        .with_code(0);
    assert!(ended.out.contains("canceled"), "{ended}");
    world
        .program(&format!("job cancel {id}"))
        .ended()
        .await
        .with_code(1)
        .complaining(&[id]);
    let unknown = world
        .program("job cancel no-such-job")
        .ended()
        .await
        .with_code(1);
    unknown.complaining(&["no-such-job"]);
    let unknown = world
        .program("job start --connector no-such-connector")
        .ended()
        .await
        .with_code(1);
    unknown.complaining(&["no connector 'no-such-connector'", "connector list"]);
    let unknown = world
        .program("job list --connector no-such-connector")
        .ended()
        .await
        .with_code(1);
    unknown.complaining(&["no connector 'no-such-connector'"]);
}

/// A job that runs until it is told to end: its documents are never acknowledged.
async fn stuck(world: &World) -> (FaultProxy, crate::program::Running, String) {
    world
        .connector("papers", &[("a.txt", "a kaleidoscope")])
        .await;
    let proxy = FaultProxy::start(&world.store.url()).await.unwrap();
    proxy.set_rules([Rule::new("stuck", Fault::Hang).path_contains("_bulk")]);
    let service = world.service(&proxy.url(), &["papers"], "");
    let started = world
        .program("job start --connector papers -o json")
        .ended()
        .await
        .with_code(0)
        .json();
    let id = started["id"].as_str().unwrap().to_owned();
    proxy
        .wait_for("a bulk request", crate::program::LIMIT, |exchanges| {
            exchanges
                .iter()
                .any(|exchange| exchange.rule.as_deref() == Some("stuck"))
        })
        .await
        .unwrap();
    (proxy, service, id)
}

async fn status(world: &World, id: &str) -> Value {
    world.get(&format!("/_connector/_sync_job/{id}")).await["status"].clone()
}

#[tokio::test]
async fn a_running_job_is_canceled() {
    let world = World::new().await;
    let (_proxy, _service, id) = stuck(&world).await;
    let ended = world
        .program(&format!("job cancel {id}"))
        .ended()
        .await
        .with_code(0);
    assert!(ended.out.contains("told to end"), "{ended}");
    until("the job to be canceled", || async {
        (status(&world, &id).await == "canceled").then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_signal_suspends_the_running_job_and_the_next_service_ends_it() {
    let world = World::new().await;
    let (proxy, service, id) = stuck(&world).await;
    service.signal("TERM").await;
    let (code, took) = service.ended().await;
    assert_eq!(code, Some(0));
    assert!(took.as_secs() < 20, "{took:?}");
    assert_eq!(status(&world, &id).await, "suspended");
    proxy.clear_rules();
    let _service = world.service(&proxy.url(), &["papers"], "");
    until("the job to complete", || async {
        (status(&world, &id).await == "completed").then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_second_signal_ends_the_service_at_once() {
    let world = World::new().await;
    let (proxy, service, _) = stuck(&world).await;
    // Now the state of the job cannot be written either, so that a good end takes its time.
    proxy.set_rules([Rule::new("silent", Fault::Hang)]);
    service.signal("INT").await;
    service.logged("once more to end at once").await;
    service.signal("INT").await;
    let (code, took) = service.ended().await;
    assert_eq!(code, Some(130));
    assert!(took.as_secs() < 5, "{took:?}");
}
