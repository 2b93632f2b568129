//! `run`: metrics, health, log, actions.

use crate::program::{PASSWORD, World, closed_port, until};

async fn asked(url: &str) -> Option<(u16, String)> {
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let answer = http.get(url).send().await.ok()?;
    Some((answer.status().as_u16(), answer.text().await.ok()?))
}

#[tokio::test]
async fn metrics_and_health_are_served() {
    let world = World::new().await;
    world
        .connector("papers", &[("a.txt", "a kaleidoscope")])
        .await;
    let service = world.service(
        &world.store.url(),
        &["papers"],
        "service.health_address: 127.0.0.1:0\n",
    );
    service.logged("metrics and health at http://").await;
    let log = service.log();
    let address = log
        .split_once("health at ")
        .unwrap()
        .1
        .lines()
        .next()
        .unwrap()
        .to_owned();
    until("the service to be ready", || async {
        let (status, _) = asked(&format!("{address}/readyz")).await?;
        (status == 200).then_some(())
    })
    .await;
    assert_eq!(asked(&format!("{address}/healthz")).await.unwrap().0, 200);
    world
        .program("job start --connector papers --wait")
        .ended()
        .await
        .with_code(0);
    // The service counts a job once its record says that it has ended.
    until("the job in the metrics", || async {
        let (_, metrics) = asked(&format!("{address}/metrics")).await?;
        metrics.contains("tributary_jobs_ended_total").then_some(())
    })
    .await;
    service.signal("INT").await;
    assert_eq!(service.ended().await.0, Some(0));
}

#[tokio::test]
async fn a_service_that_cannot_reach_elasticsearch_is_alive_but_not_ready() {
    let world = World::new().await;
    let url = format!("http://127.0.0.1:{}", closed_port());
    let service = world.service(&url, &["papers"], "service.health_address: 127.0.0.1:0\n");
    service.logged("metrics and health at http://").await;
    service.logged("trying again").await;
    let log = service.log();
    let address = log
        .split_once("health at ")
        .unwrap()
        .1
        .lines()
        .next()
        .unwrap()
        .to_owned();
    let (status, body) = asked(&format!("{address}/readyz")).await.unwrap();
    assert!(status == 503 && body.contains("refused"), "{status} {body}");
    assert_eq!(asked(&format!("{address}/healthz")).await.unwrap().0, 200);
    service.signal("TERM").await;
    assert_eq!(service.ended().await.0, Some(0));
}

#[tokio::test]
async fn only_the_wanted_part_of_the_work_is_done() {
    let world = World::new().await;
    world
        .connector("papers", &[("a.txt", "a kaleidoscope")])
        .await;
    let config = format!(
        "elasticsearch.host: {}\nelasticsearch.password: {PASSWORD}\nservice.health_address: off\n\
         service.idling: 1\nconnectors: [{{connector_id: papers, service_type: dir}}]\n",
        world.store.url()
    );
    std::fs::write(world.path("config.yml"), config).unwrap();
    let started = world
        .program("job start --connector papers -o json")
        .ended()
        .await
        .with_code(0)
        .json();
    let service = world
        .program("run --action schedule --log-level debug")
        .start(&world.path("log"));
    until("the heartbeat", || async {
        let connector = world.get("/_connector/papers").await;
        (connector["status"] == "connected").then_some(())
    })
    .await;
    let job = world
        .get(&format!(
            "/_connector/_sync_job/{}",
            started["id"].as_str().unwrap()
        ))
        .await;
    assert_eq!(job["status"], "pending");
    assert!(!service.log().contains(PASSWORD));
}
