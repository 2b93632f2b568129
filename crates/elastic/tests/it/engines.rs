//! The real servers, and clients for them.

use serde_json::{Value, json};
use tempfile::TempDir;
use tributary_devstore::{Store, StoreConfig};
use tributary_elastic::{Client, Connection, Credentials, ElasticTarget};
use tributary_engine::{Action, Operation, Source, Target};
use tributary_sdk::Secret;
use tributary_testkit::servers::{EngineChoice, SearchEngine, engines_from_environment, shared};

/// The real servers that `ENGINES` names.
pub(crate) async fn engines() -> Vec<&'static SearchEngine> {
    let mut engines = Vec::new();
    for choice in engines_from_environment().unwrap() {
        engines.push(match choice {
            // Has tests of its own.
            EngineChoice::Store => continue,
            EngineChoice::Elasticsearch => shared::elasticsearch().await.unwrap(),
            EngineChoice::Elasticsearch8 => shared::elasticsearch_8().await.unwrap(),
            EngineChoice::OpenSearch => shared::opensearch().await.unwrap(),
        });
    }
    engines
}

/// A client with the rights of the key that Kibana makes for this index.
pub(crate) async fn client(engine: &SearchEngine, index: &str) -> Client {
    Client::new(connection(engine, index).await).unwrap()
}

pub(crate) async fn connection(engine: &SearchEngine, index: &str) -> Connection {
    let connection = Connection::new(engine.url());
    if engine.credentials().is_none() {
        return connection;
    }
    let role = json!({
        "connector-role": {
            "cluster": ["monitor", "manage_connector"],
            "index": [{
                "names": [index, format!(".search-acl-filter-{index}"), ".elastic-connectors*"],
                "privileges": ["all"],
            }],
        },
    });
    let key = engine
        .api_key(&format!("{index}-connector"), &role)
        .await
        .unwrap();
    connection.with_credentials(Credentials::ApiKey(Secret::new(key)))
}

/// A client that may do everything.
pub(crate) fn administrator(engine: &SearchEngine) -> Client {
    let mut connection = Connection::new(engine.url());
    if let Some((username, password)) = engine.credentials() {
        connection = connection.with_credentials(Credentials::Basic {
            username: username.to_owned(),
            password: Secret::new(password),
        });
    }
    Client::new(connection).unwrap()
}

/// The small store, in a folder that goes with it.
pub(crate) async fn store() -> (Client, Store, TempDir) {
    let folder = TempDir::new().unwrap();
    let store = Store::start(StoreConfig {
        folder: folder.path().to_owned(),
        listen: "127.0.0.1:0".parse().unwrap(),
        password: Some("store-password".to_owned()),
    })
    .await
    .unwrap();
    let connection = Connection::new(store.url()).with_credentials(Credentials::Basic {
        username: "elastic".to_owned(),
        password: Secret::new("store-password"),
    });
    (Client::new(connection).unwrap(), store, folder)
}

/// A target that is ready.
pub(crate) async fn target(engine: &SearchEngine, index: &str) -> ElasticTarget {
    let target = ElasticTarget::new(client(engine, index).await, index, None);
    target.prepare(false).await.unwrap();
    target
}

pub(crate) fn index(id: &str, body: &Value) -> Operation {
    Operation {
        id: id.into(),
        action: Action::Index(source(body)),
    }
}

pub(crate) fn source(body: &Value) -> Source {
    let mut text = body.to_string().into_bytes();
    text.pop();
    Source::new(text, None)
}

/// Everything that a scan lists, in order of ids.
pub(crate) async fn scanned(target: &ElasticTarget) -> Vec<(String, tributary_engine::Version)> {
    let mut scan = target.scan().await.unwrap();
    let mut all = Vec::new();
    while let Some(page) = scan.next().await.unwrap() {
        all.extend(
            page.into_iter()
                .map(|scanned| (scanned.id.to_string(), scanned.version)),
        );
    }
    all.sort();
    all
}
