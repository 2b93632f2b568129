use serde_json::{Value, json};
use tributary_devstore::Store;

use crate::harness::{JsonBody, client, config};

#[tokio::test]
async fn a_password_is_asked_for_where_one_is_set() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::start(config(folder.path(), Some("sécret: x")))
        .await
        .unwrap();
    let (client, url) = (client(), store.url());
    let response = client.get(&url).send().await.unwrap();
    assert_eq!(response.status(), 401);
    assert!(response.headers().contains_key("www-authenticate"));
    let body: Value = response.json_body().await;
    assert_eq!(
        (&body["error"]["type"], &body["status"]),
        (&json!("security_exception"), &json!(401))
    );
    for (user, password) in [
        ("elastic", ""),
        ("elastic", "sécret: y"),
        ("elastic", "sécret: xx"),
        ("other", "sécret: x"),
        ("", ""),
    ] {
        assert_eq!(
            client
                .get(&url)
                .basic_auth(user, Some(password))
                .send()
                .await
                .unwrap()
                .status(),
            401,
            "{user}:{password}"
        );
    }
    for value in [
        "Basic",
        "Basic !!!",
        "Bearer x",
        "ApiKey x",
        "ApiKey eDp5",
        "\u{7f}",
    ] {
        let sent = client
            .get(&url)
            .header("authorization", value.as_bytes())
            .send()
            .await;
        if let Ok(response) = sent {
            assert_eq!(response.status(), 401, "{value}");
        }
    }
    assert_eq!(
        client
            .get(&url)
            .basic_auth("elastic", Some("sécret: x"))
            .send()
            .await
            .unwrap()
            .status(),
        200
    );
}

#[tokio::test]
async fn an_api_key_opens_the_store() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::start(config(folder.path(), Some("x")))
        .await
        .unwrap();
    let client = client();
    let body = json!({"name": "music-connector", "role_descriptors": {"r": {"cluster": ["monitor"], "index": []}}, "metadata": {"a": 1}});
    let request = client
        .post(format!("{}/_security/api_key", store.url()))
        .basic_auth("elastic", Some("x"));
    let key: Value = request
        .header("content-type", "application/json")
        .body(body.to_string())
        .send()
        .await
        .unwrap()
        .json_body()
        .await;
    assert_eq!(key["name"], "music-connector");
    let header = format!("ApiKey {}", key["encoded"].as_str().unwrap());
    store.stop().await.unwrap();
    // Keys outlive the process.
    let store = Store::start(config(folder.path(), Some("x")))
        .await
        .unwrap();
    let with_key = |path: &str| {
        client
            .get(format!("{}{path}", store.url()))
            .header("authorization", &header)
    };
    let about = with_key("/").send().await.unwrap();
    assert_eq!(about.status(), 200);
    // A key that was tampered with opens nothing.
    let wrong = client.get(store.url()).header(
        "authorization",
        format!("{}x", header.trim_end_matches('=')),
    );
    assert_eq!(wrong.send().await.unwrap().status(), 401);
}

#[tokio::test]
async fn clients_may_name_their_media_types() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::start(config(folder.path(), None)).await.unwrap();
    let client = client();
    for media_type in [
        "application/json; charset=utf-8",
        "application/vnd.elasticsearch+json; compatible-with=8",
        "application/vnd.elasticsearch+json; compatible-with=9",
    ] {
        let request = client
            .put(format!("{}/m/_doc/1", store.url()))
            .header("accept", media_type)
            .header("content-type", media_type);
        let response = request.body("{}").send().await.unwrap();
        assert!(response.status().is_success());
        assert_eq!(response.headers()["content-type"], "application/json");
    }
}
