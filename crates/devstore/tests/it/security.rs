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
    assert!(!format!("{:?}", config(folder.path(), Some("hidden"))).contains("hidden"));
}

#[tokio::test]
async fn an_api_key_opens_until_it_is_invalidated() {
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
    let with_key = |method: reqwest::Method, path: &str| {
        client
            .request(method, format!("{}{path}", store.url()))
            .header("authorization", &header)
    };
    let who: Value = with_key(reqwest::Method::GET, "/_security/_authenticate")
        .send()
        .await
        .unwrap()
        .json_body()
        .await;
    assert_eq!(
        (&who["authentication_type"], &who["api_key"]["name"]),
        (&json!("api_key"), &json!("music-connector"))
    );
    let asked =
        json!({"cluster": ["monitor"], "index": [{"names": ["music"], "privileges": ["write"]}]});
    let request = with_key(reqwest::Method::POST, "/_security/user/_has_privileges")
        .header("content-type", "application/json");
    let has: Value = request
        .body(asked.to_string())
        .send()
        .await
        .unwrap()
        .json_body()
        .await;
    assert_eq!(
        (
            &has["has_all_requested"],
            &has["index"]["music"]["write"],
            &has["cluster"]["monitor"]
        ),
        (&json!(true), &json!(true), &json!(true))
    );
    let request = with_key(reqwest::Method::DELETE, "/_security/api_key")
        .header("content-type", "application/json");
    let gone: Value = request
        .body(json!({"ids": [key["id"], "absent"]}).to_string())
        .send()
        .await
        .unwrap()
        .json_body()
        .await;
    assert_eq!(gone["invalidated_api_keys"], json!([key["id"]]));
    assert_eq!(
        with_key(reqwest::Method::GET, "/")
            .send()
            .await
            .unwrap()
            .status(),
        401
    );
    store.stop().await.unwrap();
    let store = Store::start(config(folder.path(), Some("x")))
        .await
        .unwrap();
    assert_eq!(
        client
            .get(store.url())
            .header("authorization", &header)
            .send()
            .await
            .unwrap()
            .status(),
        401
    );
}

#[tokio::test]
async fn media_types_of_clients_are_understood() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::start(config(folder.path(), None)).await.unwrap();
    let client = client();
    let send = async |accept: &str, content_type: &str| {
        let request = client
            .put(format!("{}/m/_doc/1", store.url()))
            .header("accept", accept)
            .header("content-type", content_type);
        let response = request.body("{}").send().await.unwrap();
        (
            response.status().as_u16(),
            response.headers()["content-type"]
                .to_str()
                .unwrap()
                .to_owned(),
        )
    };
    for version in ["8", "9"] {
        let vendor = format!("application/vnd.elasticsearch+json; compatible-with={version}");
        let (status, answered) = send(&vendor, &vendor).await;
        assert!((200..300).contains(&status));
        assert_eq!(
            answered,
            format!("application/vnd.elasticsearch+json;compatible-with={version}")
        );
        assert_eq!(send("*/*", &vendor).await.0, 400);
    }
    let vendor = "application/vnd.elasticsearch+json;compatible-with=7";
    assert_eq!(send(vendor, vendor).await.0, 400);
    assert_eq!(
        send("application/json", "application/json; charset=utf-8").await,
        (200, "application/json".to_owned())
    );
    assert_eq!(send("application/json", "text/plain").await.0, 406);
}
