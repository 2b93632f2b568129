//! Errors say what happened, to what, and what to do; the exit code tells the kinds apart.

use crate::program::{PASSWORD, Program, World, closed_port, provide_tls};
use serde_json::{Value, json};
use std::{net::TcpListener, path::Path};
use tributary_devstore::{Store, StoreConfig};
use tributary_testkit::{
    certificates::Authority,
    faults::{CannedAnswer, Fault, FaultProxy, Rule},
    servers::shared,
};

/// A folder that is there.
const SOURCES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src");

async fn run_with(config: &str) -> crate::program::Ended {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("config.yml"), config).unwrap();
    Program::in_folder(folder.path(), "run").ended().await
}

#[tokio::test]
async fn a_missing_configuration_file() {
    let folder = tempfile::tempdir().unwrap();
    let ended = Program::in_folder(folder.path(), "run -c mine.yml")
        .ended()
        .await;
    ended
        .with_code(3)
        .complaining(&["no configuration file mine.yml", "tributary config example"]);
}

#[tokio::test]
async fn bad_yaml_and_bad_values_name_line_and_key() {
    run_with("elasticsearch:\n  host: [\n")
        .await
        .with_code(3)
        .complaining(&["config.yml", "line"]);
    let config =
        "elasticsearch:\n  request_timeout: soon\n  verify_certs: perhaps\nconnectors: []\n";
    run_with(config).await.with_code(3).complaining(&[
        "elasticsearch.request_timeout",
        "line 2",
        "elasticsearch.verify_certs",
        "line 3",
        "no connector is configured",
    ]);
    let secret = "elasticsearch:\n  password: [hunter2]\n";
    let ended = run_with(secret).await.with_code(3);
    assert!(!ended.err.contains("hunter2"), "{ended}");
}

#[tokio::test]
async fn an_unknown_host_and_a_closed_port() {
    let folder = tempfile::tempdir().unwrap();
    let list = |url: &str| {
        Program::in_folder(folder.path(), &format!("connector list --url {url}")).ended()
    };
    list("http://no-such-host.invalid:9200")
        .await
        .with_code(4)
        .complaining(&["no-such-host.invalid", "host name is unknown"]);
    let url = format!("http://127.0.0.1:{}", closed_port());
    list(&url)
        .await
        .with_code(4)
        .complaining(&[&url, "refused the connection"]);
    list("localhost")
        .await
        .with_code(3)
        .complaining(&["https://host:9200"]);
    list("https://elastic:hunter2@es:9200")
        .await
        .with_code(2)
        .complaining(&["ELASTICSEARCH_PASSWORD"]);
    let both = Program::in_folder(folder.path(), "connector list --url http://x:1 -c y.yml")
        .ended()
        .await;
    both.with_code(2).complaining(&["--config"]);
}

#[tokio::test]
async fn a_service_gives_up_on_a_host_that_never_answers() {
    let config = format!(
        "elasticsearch:\n  host: http://127.0.0.1:{}\n  max_wait_duration: 0\n  max_retries: 0\n\
         service.health_address: off\nconnectors: [{{connector_id: a, service_type: dir}}]\n",
        closed_port()
    );
    run_with(&config)
        .await
        .with_code(4)
        .complaining(&["elasticsearch.max_wait_duration", "refused"]);
}

#[tokio::test]
async fn a_wrong_password() {
    let world = World::new().await;
    let list = world
        .program("connector list")
        .env("ELASTICSEARCH_PASSWORD", "hunter2")
        .ended()
        .await;
    let list = list
        .with_code(4)
        .complaining(&[&world.store.url(), "password"]);
    assert!(!list.err.contains("hunter2"), "{list}");
    let config = format!(
        "elasticsearch.host: {}\nelasticsearch.password: hunter2\nservice.health_address: off\n\
         connectors: [{{connector_id: a, service_type: dir}}]\n",
        world.store.url()
    );
    let run = run_with(&config)
        .await
        .with_code(4)
        .complaining(&["password"]);
    assert!(!run.err.contains("hunter2"), "{run}");
    let user = world
        .program("connector list --user ada")
        .env("ELASTICSEARCH_PASSWORD", "")
        .ended()
        .await;
    user.with_code(2)
        .complaining(&["no password for the user 'ada'", "ELASTICSEARCH_PASSWORD"]);
    let named = world
        .program("connector list --api-key-env NO_SUCH_VARIABLE")
        .ended()
        .await;
    named.with_code(2).complaining(&["NO_SUCH_VARIABLE"]);
}

#[tokio::test]
async fn a_certificate_that_nobody_trusts() {
    let world = World::new().await;
    let authority = Authority::new("nobody").unwrap();
    let certificate = authority.server().unwrap();
    let tls = tributary_testkit::certificates::server_config(&certificate, None).unwrap();
    let proxy = FaultProxy::start_tls(&world.store.url(), tls)
        .await
        .unwrap();
    let list = world
        .program("connector list")
        .env("ELASTICSEARCH_URL", &proxy.url())
        .ended()
        .await;
    list.with_code(4)
        .complaining(&[&proxy.url(), "certificate"]);
    std::fs::write(world.path("ca.pem"), authority.pem()).unwrap();
    let config = format!(
        "elasticsearch: {{host: '{}', password: {PASSWORD}, ca_certs: ca.pem}}\n",
        proxy.url()
    );
    std::fs::write(world.path("good.yml"), config).unwrap();
    world
        .program("connector list -c good.yml")
        .ended()
        .await
        .with_code(0);
    let missing = format!(
        "elasticsearch: {{host: '{}', ca_certs: none.pem}}\n",
        proxy.url()
    );
    std::fs::write(world.path("missing.yml"), missing).unwrap();
    world
        .program("connector list -c missing.yml")
        .ended()
        .await
        .with_code(3)
        .complaining(&["none.pem"]);
}

#[tokio::test]
async fn an_unknown_service_type_names_the_nearest() {
    let folder = Path::new(".");
    let ended = Program::in_folder(folder, "source show postgresq")
        .ended()
        .await;
    ended
        .with_code(2)
        .complaining(&["'postgresq'", "did you mean 'postgresql'?"]);
}

/// What Elasticsearch answers to a key without the right to read the records.
fn forbidden() -> Value {
    let reason = "action [indices:data/read/search] is unauthorized for API key id [k1] of user [elastic] on indices \
                  [.elastic-connectors-v1], this action is granted by the index privileges [read,all]";
    let error = json!({"type": "security_exception", "reason": reason});
    json!({"error": {"root_cause": [error], "type": "security_exception", "reason": reason}, "status": 403})
}

#[tokio::test]
async fn a_missing_privilege_is_named() {
    let world = World::new().await;
    let proxy = FaultProxy::start(&world.store.url()).await.unwrap();
    let refusal = CannedAnswer::status(403)
        .header("x-elastic-product", "Elasticsearch")
        .json(&forbidden());
    proxy.set_rules([
        Rule::new("forbidden", Fault::Answer(refusal)).path_contains("/.elastic-connectors")
    ]);
    let list = world
        .program("connector list")
        .env("ELASTICSEARCH_URL", &proxy.url())
        .ended()
        .await;
    list.with_code(4)
        .complaining(&["lacks a privilege", ".elastic-connectors-v1", "read"]);
}

#[tokio::test]
async fn a_port_in_use() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let config = format!(
        "service.health_address: 127.0.0.1:{port}\nconnectors: [{{connector_id: a, service_type: dir}}]\n"
    );
    run_with(&config).await.with_code(3).complaining(&[
        "service.health_address",
        &port.to_string(),
        "in use",
    ]);
    let folder = tempfile::tempdir().unwrap();
    let arguments = format!(
        "quickstart --folder . --data-dir {}/data --port {port}",
        folder.path().display()
    );
    let ended = Program::in_folder(Path::new(SOURCES), &arguments)
        .ended()
        .await;
    ended
        .with_code(1)
        .complaining(&[&port.to_string(), "already in use", "--port"]);
}

#[tokio::test]
async fn a_store_that_another_process_uses() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("data");
    let _store = Store::start(StoreConfig {
        folder: place.join("store"),
        listen: ([127, 0, 0, 1], 0).into(),
        password: None,
    })
    .await
    .unwrap();
    let arguments = format!(
        "quickstart --folder . --data-dir {} --port 0",
        place.display()
    );
    let ended = Program::in_folder(Path::new(SOURCES), &arguments)
        .ended()
        .await;
    ended
        .with_code(1)
        .complaining(&["in use by another store", "--data-dir"]);
}

#[tokio::test]
async fn a_folder_that_is_not_there_and_one_that_holds_the_store() {
    let folder = tempfile::tempdir().unwrap();
    let called = |arguments: &str| {
        Program::in_folder(folder.path(), &format!("quickstart --port 0 {arguments}")).ended()
    };
    called("--folder nowhere")
        .await
        .with_code(2)
        .complaining(&["nowhere", "--folder"]);
    called("--folder .")
        .await
        .with_code(2)
        .complaining(&["--data-dir"]);
}

#[tokio::test]
async fn a_database_that_is_not_there() {
    provide_tls();
    let server = shared::postgres().await.unwrap();
    let world = World::new().await;
    let fields = format!(
        "--field host={} --field port={} --field username={} --field database=no_such_database --field schema=public",
        server.host(),
        server.port(),
        server.user()
    );
    let create = format!(
        "connector create --id books --service-type postgresql --index-name books {fields} --field-env password=SECRET"
    );
    world
        .program(&create)
        .env("SECRET", server.password())
        .ended()
        .await
        .with_code(0);
    let config = format!(
        "elasticsearch.host: {}\nelasticsearch.password: {PASSWORD}\nservice.health_address: off\n\
         service.idling: 1\nconnectors: [{{connector_id: books, service_type: postgresql}}]\n",
        world.store.url()
    );
    std::fs::write(world.path("config.yml"), config).unwrap();
    let _service = world.program("run").start(&world.path("log"));
    let ended = world
        .program("job start --connector books --wait")
        .ended()
        .await
        .with_code(5);
    let ended = ended.complaining(&["no_such_database", "there is no database"]);
    assert!(!ended.err.contains(server.password()), "{ended}");
    let shown = world
        .program("connector show books")
        .ended()
        .await
        .with_code(0)
        .out;
    assert!(shown.contains("no_such_database"), "{shown}");
}
