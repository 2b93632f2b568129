//! Faults on the way to the server, headers, retries.

use crate::{
    engines::index,
    fake::{Fake, ROOT, Reply, StoppedClock},
};
use serde_json::json;
use std::time::Duration;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};
use tributary_elastic::{
    Client, Connection, Credentials, ElasticTarget, ProxySettings, RequestErrorKind,
};
use tributary_engine::{Target, TargetErrorKind};
use tributary_sdk::Secret;

fn client(address: &str) -> Client {
    Client::new(Connection::new(address)).unwrap()
}

/// Accepts connections, reads something, answers these bytes and closes.
async fn raw(answer: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let mut buffer = [0; 4096];
            let _ = socket.read(&mut buffer).await;
            let _ = socket.write_all(answer).await;
            let _ = socket.shutdown().await;
        }
    });
    address
}

async fn closed_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap().port()
}

#[tokio::test]
async fn says_what_is_wrong_with_the_way_to_the_server() {
    let closed = closed_port().await;
    let silent = raw(b"").await;
    let tls_alert = raw(b"\x15\x03\x01\x00\x02\x02\x46").await;
    let cut = raw(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"version\"").await;
    let plain = raw(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n").await;
    let other = raw(b"HTTP/1.1 200 OK\r\ncontent-length: 14\r\n\r\n<html>hi</html").await;
    let moved = raw(b"HTTP/1.1 302 Found\r\nlocation: https://u:hush@elsewhere:9243/x\r\ncontent-length: 0\r\n\r\n").await;
    let old = raw(b"HTTP/1.1 200 OK\r\ncontent-length: 71\r\n\r\n{\"version\":{\"number\":\"7.17.0\"},\"tagline\":\"You Know, for Search\"}       ").await;
    for (address, kind, words) in [
        (
            format!("http://127.0.0.1:{closed}"),
            RequestErrorKind::Unreachable,
            "refused the connection",
        ),
        (
            "http://no-such-host.invalid:9200".to_owned(),
            RequestErrorKind::Unreachable,
            "name is unknown",
        ),
        (
            format!("http://{silent}"),
            RequestErrorKind::Interrupted,
            "https://",
        ),
        (
            format!("http://{tls_alert}"),
            RequestErrorKind::Interrupted,
            "https://",
        ),
        (
            format!("http://{cut}"),
            RequestErrorKind::Interrupted,
            "middle of the answer",
        ),
        (
            format!("https://{plain}"),
            RequestErrorKind::Unreachable,
            "http://",
        ),
        (
            format!("http://{other}"),
            RequestErrorKind::Rejected,
            "neither Elasticsearch nor OpenSearch",
        ),
        (
            format!("http://{moved}"),
            RequestErrorKind::Rejected,
            "https://elsewhere:9243",
        ),
        (format!("http://{old}"), RequestErrorKind::Rejected, "8.10"),
    ] {
        let with_password = address.replacen("://", "://elastic:hush@", 1);
        let error = client(&with_password).info().await.unwrap_err();
        assert_eq!(error.kind, kind, "{address}: {error}");
        let text = format!("{error} {error:?}");
        assert!(error.message.contains(words), "{address}: {error}");
        assert!(
            error.message.contains(&address) && !text.contains("hush"),
            "{error}"
        );
    }
}

#[tokio::test]
async fn gives_up_a_request_after_its_time() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut connection = Connection::new(format!("http://{}", listener.local_addr().unwrap()));
    connection.request_timeout = Duration::from_millis(50);
    let client = Client::new(connection).unwrap();
    let error = client.info().await.unwrap_err();
    assert_eq!(error.kind, RequestErrorKind::TimedOut, "{error}");
    assert!(error.message.contains("request_timeout"), "{error}");
}

#[tokio::test]
async fn goes_through_a_proxy_and_says_what_is_wrong_with_it() {
    let through = |host: &str, proxy: String| {
        let mut connection = Connection::new(host);
        connection.proxy = Some(ProxySettings {
            url: Secret::new(proxy),
            no_proxy: Some("direct.invalid".to_owned()),
        });
        Client::new(connection).unwrap()
    };
    // Plain HTTP: the proxy gets the whole address and answers in the server's place.
    let fake = Fake::start([]).await;
    let proxied = through("http://es.invalid:9200", fake.address().to_owned());
    assert_eq!(proxied.info().await.unwrap().version, "9.1.0");
    let error = through("http://direct.invalid:9200", fake.address().to_owned())
        .info()
        .await
        .unwrap_err();
    assert!(error.message.contains("unknown"), "{error}");

    let wants_login =
        raw(b"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n").await;
    let refuses = raw(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n").await;
    let closed = closed_port().await;
    for (host, proxy, words) in [
        (
            "http://es.invalid:9200",
            wants_login.clone(),
            "user name and a password (407)",
        ),
        (
            "https://es.invalid:9200",
            wants_login,
            "user name and a password (407)",
        ),
        ("https://es.invalid:9200", refuses, "proxy refuses"),
        (
            "https://es.invalid:9200",
            format!("127.0.0.1:{closed}"),
            "the proxy refused the connection",
        ),
    ] {
        let error = through(host, format!("http://u:hush@{proxy}"))
            .info()
            .await
            .unwrap_err();
        assert_eq!(error.kind, RequestErrorKind::Unreachable, "{error}");
        assert!(
            error.message.contains(words) && !format!("{error:?}").contains("hush"),
            "{error}"
        );
    }
}

#[tokio::test]
async fn every_request_says_who_we_are() {
    let fake = Fake::start([
        Reply::new(200, r#"{"count":1,"_shards":{"failed":0}}"#),
        Reply::new(200, r#"{"count":1,"_shards":{"failed":0}}"#),
    ])
    .await;
    let mut connection = Connection::new(fake.address())
        .with_credentials(Credentials::ApiKey(Secret::new("id:key")));
    connection.headers = vec![
        ("X-Mine".to_owned(), Secret::new("yes")),
        (
            "X-Elastic-Product-Origin".to_owned(),
            Secret::new("somebody"),
        ),
    ];
    Client::new(connection).unwrap().count("a b").await.unwrap();
    let seen = fake.seen();
    assert_eq!(seen[0].line(), "POST /a%20b/_refresh");
    assert_eq!(seen[1].line(), "GET /a%20b/_count");
    for request in &seen {
        assert_eq!(request.header("authorization"), Some("ApiKey aWQ6a2V5"));
        assert_eq!(request.header("x-mine"), Some("yes"));
        assert_eq!(request.header("x-elastic-product-origin"), Some("somebody"));
        assert!(
            request
                .header("user-agent")
                .unwrap()
                .starts_with("tributary/")
        );
        assert_eq!(
            request.header("accept"),
            Some("application/vnd.elasticsearch+json; compatible-with=9")
        );
        assert!(request.header("accept-encoding").is_none());
    }
    let fake = Fake::start([Reply::new(200, r#"{"count":1,"_shards":{"failed":0}}"#)]).await;
    let counted = fake.client(&StoppedClock::new()).count("a").await;
    assert!(counted.is_err());
    assert_eq!(
        fake.seen()[0].header("x-elastic-product-origin"),
        Some("connectors")
    );
    assert!(fake.seen()[0].header("authorization").is_none());
}

#[tokio::test]
async fn tries_again_in_growing_steps_or_as_the_server_asks() {
    let counted = r#"{"count":3}"#;
    let clock = StoppedClock::new();
    let fake = Fake::start([
        Reply::new(503, ""),
        Reply::new(429, "").with("retry-after", "7"),
        Reply::new(502, "<html>bad gateway</html>"),
        Reply::new(200, "{}"),
        Reply::new(500, ""),
        Reply::new(200, counted),
    ])
    .await;
    assert_eq!(fake.client(&clock).count("i").await.unwrap(), 3);
    assert_eq!(clock.waits(), [10, 7, 30, 10]);
    assert_eq!(fake.seen().len(), 6);

    // Six attempts, then the last error.
    let clock = StoppedClock::new();
    let fake = Fake::start((0..9).map(|n| Reply::new(503, format!("attempt {n}")))).await;
    let error = fake.client(&clock).count("i").await.unwrap_err();
    assert!(error.message.contains("attempt 5"), "{error}");
    assert_eq!(clock.waits(), [10, 20, 30, 40, 50]);

    // What repeating does not change is not repeated.
    for status in [400, 401, 403, 404, 409, 413] {
        let clock = StoppedClock::new();
        let fake = Fake::start([Reply::new(status, "")]).await;
        fake.client(&clock).count("i").await.unwrap_err();
        assert_eq!((fake.seen().len(), clock.waits().len()), (1, 0), "{status}");
    }
}

#[tokio::test]
async fn waits_for_a_server_that_is_not_there_yet() {
    let clock = StoppedClock::new();
    let closed =
        client(&format!("http://127.0.0.1:{}", closed_port().await)).with_clock(clock.clone());
    let error = closed
        .wait(Duration::from_secs(1), 2, Duration::from_secs(10))
        .await
        .unwrap_err();
    assert_eq!(error.kind, RequestErrorKind::Unreachable);
    assert_eq!(clock.waits(), [1, 2, 4, 3]);

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        let body = ROOT;
        for answer in [
            "HTTP/1.1 503 x\r\ncontent-length: 0\r\n\r\n".to_owned(),
            format!(
                "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            ),
        ] {
            let (mut socket, _) = listener.accept().await.unwrap();
            let _ = socket.read(&mut [0; 4096]).await;
            let _ = socket.write_all(answer.as_bytes()).await;
        }
    });
    let clock = StoppedClock::new();
    let client = client(&format!("http://{address}")).with_clock(clock.clone());
    let info = client
        .wait(Duration::from_secs(1), 2, Duration::from_secs(10))
        .await
        .unwrap();
    assert_eq!((&*info.version, clock.waits()), ("9.1.0", vec![1]));
}

#[tokio::test]
async fn a_target_tries_once_and_says_what_the_engine_must_know() {
    for (reply, kind) in [
        (
            Reply::new(429, "").with("retry-after", "3"),
            TargetErrorKind::Busy {
                retry_after: Some(Duration::from_secs(3)),
            },
        ),
        (
            Reply::new(429, "{}"),
            TargetErrorKind::Busy { retry_after: None },
        ),
        (Reply::new(413, ""), TargetErrorKind::TooLarge),
        (Reply::new(503, ""), TargetErrorKind::Unavailable),
        (Reply::new(504, "<html>"), TargetErrorKind::Unavailable),
        (Reply::new(401, ""), TargetErrorKind::Unauthorised),
        (Reply::new(403, ""), TargetErrorKind::Forbidden),
        (Reply::new(404, ""), TargetErrorKind::NotFound),
        (
            Reply::new(400, "{\"error\":{\"type\":\"x\",\"reason\":\"y\"}}"),
            TargetErrorKind::Rejected,
        ),
        (
            Reply::new(200, "{\"errors\":false,\"items\":["),
            TargetErrorKind::Unavailable,
        ),
        (
            Reply::new(200, "{\"errors\":false,\"items\":[]}"),
            TargetErrorKind::Unavailable,
        ),
        (Reply::new(200, ""), TargetErrorKind::Unavailable),
    ] {
        let clock = StoppedClock::new();
        let fake = Fake::start([reply.clone()]).await;
        let target = ElasticTarget::new(fake.client(&clock), "i", Some("p".to_owned()));
        let error = target.bulk(&[index("a", &json!({}))]).await.unwrap_err();
        assert_eq!(error.kind, kind, "{reply:?}");
        assert!(error.message.contains(fake.address()), "{error}");
        assert_eq!((fake.seen().len(), clock.waits().len()), (1, 0));
        assert_eq!(
            fake.seen()[0].header("content-type"),
            Some("application/vnd.elasticsearch+x-ndjson; compatible-with=9")
        );
        assert!(
            fake.seen()[0]
                .path
                .starts_with("/i/_bulk?filter_path=errors%2Citems")
        );
        assert!(fake.seen()[0].path.ends_with("&pipeline=p"));
    }
}
