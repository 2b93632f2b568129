use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::Result;
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use bytes::Bytes;
use futures_util::StreamExt;
use tributary_testkit::faults::{CannedAnswer, Fault, FaultProxy, Outcome, Rule};

use crate::client::plain;

const LIMIT: Duration = Duration::from_secs(60);
const LONG: usize = 300_000;

/// What the server has seen.
#[derive(Default)]
struct Seen {
    requests: AtomicU64,
    whole_bodies: AtomicU64,
    body_bytes: AtomicU64,
}

struct Server {
    url: String,
    seen: Arc<Seen>,
}

impl Server {
    fn requests(&self) -> u64 {
        self.seen.requests.load(Ordering::SeqCst)
    }
}

async fn server() -> Result<Server> {
    async fn upload(State(seen): State<Arc<Seen>>, request: Request) -> Response {
        let mut body = request.into_body().into_data_stream();
        let mut length = 0;
        while let Some(piece) = body.next().await {
            let Ok(piece) = piece else {
                return "cut".into_response();
            };
            length += piece.len() as u64;
            seen.body_bytes
                .fetch_add(piece.len() as u64, Ordering::SeqCst);
        }
        seen.whole_bodies.fetch_add(1, Ordering::SeqCst);
        length.to_string().into_response()
    }
    let seen = Arc::new(Seen::default());
    let counting = Arc::clone(&seen);
    let app = Router::new()
        .route("/upload", post(upload))
        .route(
            "/refuse",
            post(|| async { (axum::http::StatusCode::PAYLOAD_TOO_LARGE, "too large") }),
        )
        .route("/long", get(|| async { "x".repeat(LONG) }))
        .route(
            "/json",
            get(|| async { ([("content-type", "application/json")], "{\"items\":[1,2]}") }),
        )
        .route(
            "/chunked",
            get(|| async {
                let pieces =
                    (0..50).map(|n| Ok::<_, std::io::Error>(Bytes::from(format!("piece {n};"))));
                Body::from_stream(futures_util::stream::iter(pieces))
            }),
        )
        .route(
            "/empty",
            get(|| async { axum::http::StatusCode::NO_CONTENT }),
        )
        .route(
            "/headers",
            any(|headers: HeaderMap| async move {
                let value = |name| {
                    headers
                        .get(name)
                        .and_then(|value| value.to_str().ok())
                        .unwrap_or("-")
                        .to_owned()
                };
                (
                    [("x-answer", "yes")],
                    format!("{} {}", value("x-mine"), value("authorization")),
                )
            }),
        )
        .layer(axum::middleware::from_fn(
            move |request: Request, next: axum::middleware::Next| {
                counting.requests.fetch_add(1, Ordering::SeqCst);
                next.run(request)
            },
        ))
        .with_state(Arc::clone(&seen));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    tokio::spawn(async move { axum::serve(listener, app).await });
    Ok(Server { url, seen })
}

async fn setting() -> Result<(Server, FaultProxy, reqwest::Client)> {
    let server = server().await?;
    let proxy = FaultProxy::start(&server.url).await?;
    Ok((server, proxy, plain()?))
}

#[tokio::test]
async fn without_rules_everything_passes_and_is_recorded() -> Result<()> {
    let (server, proxy, client) = setting().await?;
    let url = |path: &str| format!("{}{path}", proxy.url());
    let answer = client
        .get(url("/headers?q=1"))
        .header("x-mine", "seen")
        .header("authorization", "Bearer secret")
        .send()
        .await?;
    assert_eq!(answer.headers()["x-answer"], "yes");
    assert_eq!(answer.text().await?, "seen Bearer secret");
    assert_eq!(
        client.get(url("/long")).send().await?.text().await?.len(),
        LONG
    );
    let chunked = client.get(url("/chunked")).send().await?.text().await?;
    assert!(chunked.starts_with("piece 0;") && chunked.ends_with("piece 49;"));
    assert_eq!(client.get(url("/empty")).send().await?.status(), 204);
    let head = client.head(url("/long")).send().await?;
    assert_eq!(head.headers()["content-length"], LONG.to_string());
    assert_eq!(client.get(url("/nothing")).send().await?.status(), 404);
    assert_eq!(server.requests(), 6);

    proxy
        .wait_for("six records", LIMIT, |all| {
            all.len() == 6 && all.iter().all(|one| one.ended.is_some())
        })
        .await?;
    let exchanges = proxy.exchanges();
    let first = &exchanges[0];
    assert_eq!(
        (first.number, first.method.as_str(), first.target.as_str()),
        (0, "GET", "/headers?q=1")
    );
    assert_eq!(
        (first.status, first.header("x-mine")),
        (Some(200), Some("seen"))
    );
    assert_eq!(first.header("authorization"), Some("<hidden>"));
    assert!(!format!("{exchanges:?}").contains("secret"));
    assert_eq!(exchanges[1].answer_bytes, LONG as u64);
    assert!(
        exchanges
            .iter()
            .all(|one| one.outcome == Outcome::Answered && one.rule.is_none())
    );
    proxy.forget_exchanges();
    assert!(proxy.exchanges().is_empty());
    Ok(())
}

#[tokio::test]
async fn large_bodies_are_streamed_in_both_framings() -> Result<()> {
    let (server, proxy, client) = setting().await?;
    proxy.keep_bodies(10);
    let url = format!("{}/upload", proxy.url());
    let megabytes = 64_usize;
    let known = vec![b'a'; megabytes << 20];
    assert_eq!(
        client.post(&url).body(known).send().await?.text().await?,
        (megabytes << 20).to_string()
    );
    let piece = Bytes::from(vec![b'b'; 1 << 20]);
    let pieces = futures_util::stream::iter(
        (0..megabytes).map(move |_| Ok::<_, std::io::Error>(piece.clone())),
    );
    let streamed = client
        .post(&url)
        .body(reqwest::Body::wrap_stream(pieces))
        .send()
        .await?;
    assert_eq!(streamed.text().await?, (megabytes << 20).to_string());
    assert_eq!(server.seen.whole_bodies.load(Ordering::SeqCst), 2);
    let bodies: Vec<_> = proxy
        .exchanges()
        .into_iter()
        .map(|one| (one.request_bytes, one.request_body))
        .collect();
    assert_eq!(
        bodies,
        [
            (64 << 20, b"aaaaaaaaaa".to_vec()),
            (64 << 20, b"bbbbbbbbbb".to_vec())
        ]
    );
    Ok(())
}

#[tokio::test]
async fn an_early_answer_of_the_server_reaches_the_client() -> Result<()> {
    let (_server, proxy, client) = setting().await?;
    let answer = client
        .post(format!("{}/refuse", proxy.url()))
        .body(vec![0; 20 << 20])
        .send()
        .await?;
    assert_eq!(
        (answer.status().as_u16(), answer.text().await?.as_str()),
        (413, "too large")
    );
    Ok(())
}

#[tokio::test]
async fn canned_answers_never_reach_the_server() -> Result<()> {
    let (server, proxy, client) = setting().await?;
    let busy = CannedAnswer::status(429)
        .header("retry-after", "7")
        .json(&serde_json::json!({ "error": "busy" }));
    proxy.set_rules([Rule::new("busy", Fault::Answer(busy))
        .method("POST")
        .path_contains("upload")
        .times(2)]);
    let send = || {
        client
            .post(format!("{}/upload", proxy.url()))
            .body("12345")
            .send()
    };
    for _ in 0..2 {
        let answer = send().await?;
        assert_eq!(
            (answer.status().as_u16(), &answer.headers()["retry-after"]),
            (429, &"7".parse()?)
        );
        assert_eq!(answer.text().await?, "{\"error\":\"busy\"}");
    }
    assert_eq!(server.requests(), 0);
    assert_eq!(send().await?.text().await?, "5");
    let rules: Vec<_> = proxy
        .exchanges()
        .into_iter()
        .map(|one| (one.rule, one.status, one.server_status))
        .collect();
    let busy = (Some("busy".to_owned()), Some(429), None);
    assert_eq!(rules, [busy.clone(), busy, (None, Some(200), Some(200))]);

    for status in [401, 403, 404, 410, 413, 500, 503] {
        proxy.set_rules([Rule::new("status", Fault::status(status))]);
        assert_eq!(send().await?.status(), status);
        proxy.set_rules([Rule::new(
            "unread",
            Fault::AnswerUnread(CannedAnswer::status(status)),
        )]);
        assert_eq!(send().await?.status(), status);
    }
    assert_eq!(server.requests(), 1);
    Ok(())
}

#[tokio::test]
async fn cuts_happen_where_the_script_says() -> Result<()> {
    let (server, proxy, client) = setting().await?;
    let upload = || {
        client
            .post(format!("{}/upload", proxy.url()))
            .body(vec![b'z'; 100_000])
            .send()
    };

    proxy.set_rules([Rule::new("drop", Fault::DropRequest)]);
    assert!(upload().await.is_err());
    assert_eq!(server.requests(), 0);

    proxy.set_rules([Rule::new("lost", Fault::LoseAnswer)]);
    assert!(upload().await.is_err());
    assert_eq!(
        server.seen.whole_bodies.load(Ordering::SeqCst),
        1,
        "the server has carried it out"
    );
    let lost = proxy.exchanges().pop().unwrap();
    assert_eq!(
        (lost.status, lost.server_status, lost.outcome),
        (None, Some(200), Outcome::Cut)
    );

    server.seen.body_bytes.store(0, Ordering::SeqCst);
    proxy.set_rules([Rule::new("cut", Fault::CutRequest { after: 1_000 })]);
    assert!(upload().await.is_err());
    assert!(server.seen.body_bytes.load(Ordering::SeqCst) <= 1_000);
    assert_eq!(server.seen.whole_bodies.load(Ordering::SeqCst), 1);

    for (path, whole) in [("/long", LONG), ("/chunked", 440)] {
        for after in [0, 100] {
            proxy.set_rules([Rule::new("cut", Fault::CutAnswer { after })]);
            let answer = client.get(format!("{}{path}", proxy.url())).send().await?;
            assert_eq!(answer.status(), 200);
            assert!(answer.bytes().await.is_err(), "{path} cut after {after}");
            let record = proxy.exchanges().pop().unwrap();
            assert_eq!((record.answer_bytes, record.outcome), (after, Outcome::Cut));
        }
        proxy.clear_rules();
        let answer = client.get(format!("{}{path}", proxy.url())).send().await?;
        assert_eq!(answer.bytes().await?.len(), whole);
    }
    Ok(())
}

#[tokio::test]
async fn answers_can_be_garbled_changed_and_slow() -> Result<()> {
    let (_server, proxy, client) = setting().await?;
    let get = || async {
        anyhow::Ok(
            client
                .get(format!("{}/json", proxy.url()))
                .send()
                .await?
                .text()
                .await?,
        )
    };
    proxy.set_rules([Rule::new("garble", Fault::GarbleAnswer)]);
    assert_eq!(get().await?, "#".repeat(15));

    proxy.set_rules([Rule::new(
        "change",
        Fault::change(|answer| {
            answer.status = 207;
            answer.body = String::from_utf8_lossy(&answer.body)
                .replace("1,2", "3")
                .into_bytes();
        }),
    )]);
    let answer = client.get(format!("{}/json", proxy.url())).send().await?;
    assert_eq!(
        (answer.status().as_u16(), answer.text().await?.as_str()),
        (207, "{\"items\":[3]}")
    );

    let every = Duration::from_millis(20);
    proxy.set_rules([Rule::new("drip", Fault::DripAnswer { bytes: 5, every })]);
    let began = Instant::now();
    assert_eq!(get().await?, "{\"items\":[1,2]}");
    assert!(began.elapsed() >= 2 * every);

    proxy.set_rules([Rule::new("late", Fault::Forward).delay(every)]);
    let began = Instant::now();
    assert_eq!(get().await?, "{\"items\":[1,2]}");
    assert!(began.elapsed() >= every);
    Ok(())
}

#[tokio::test]
async fn what_hangs_ends_with_the_rule_or_the_client() -> Result<()> {
    let (server, proxy, client) = setting().await?;
    let hanging = |proxy: &FaultProxy| {
        let request = client.get(format!("{}/json", proxy.url())).send();
        tokio::spawn(request)
    };
    proxy.set_rules([Rule::new("hang", Fault::Hang)]);
    let request = hanging(&proxy);
    proxy
        .wait_for("a hanging request", LIMIT, |all| {
            all.iter().any(|one| one.rule.is_some())
        })
        .await?;
    proxy.clear_rules();
    assert!(request.await?.is_err());

    proxy.forget_exchanges();
    proxy.set_rules([Rule::new("hang", Fault::Hang)]);
    let request = hanging(&proxy);
    proxy
        .wait_for("a hanging request", LIMIT, |all| {
            all.iter().any(|one| one.rule.is_some())
        })
        .await?;
    request.abort();
    proxy
        .wait_for("its end", LIMIT, |all| {
            all.iter()
                .any(|one| matches!(one.outcome, Outcome::Failed(_)))
        })
        .await?;
    assert_eq!(server.requests(), 0);
    Ok(())
}

#[tokio::test]
async fn the_port_can_be_closed_and_opened() -> Result<()> {
    let (server, proxy, client) = setting().await?;
    let get = || client.get(format!("{}/json", proxy.url())).send();
    assert_eq!(get().await?.status(), 200);
    proxy.refuse().await?;
    assert!(get().await.unwrap_err().is_connect());
    proxy.refuse().await?;
    proxy.listen().await?;
    proxy.listen().await?;
    assert_eq!(get().await?.status(), 200);

    proxy.set_rules([Rule::new("hang", Fault::Hang)]);
    let request = tokio::spawn(get());
    proxy
        .wait_for("a hanging request", LIMIT, |all| {
            all.iter().any(|one| one.rule.is_some())
        })
        .await?;
    proxy.close_connections().await?;
    assert!(request.await?.is_err());
    let failed = Outcome::Failed("the connection was closed".into());
    assert_eq!(proxy.exchanges().pop().unwrap().outcome, failed);
    proxy.clear_rules();
    assert_eq!(get().await?.status(), 200);
    assert_eq!(server.requests(), 3);
    Ok(())
}

#[tokio::test]
async fn a_server_that_is_away_is_a_closed_connection() -> Result<()> {
    let port = tributary_testkit::servers::free_port()?;
    let proxy = FaultProxy::start(&format!("http://127.0.0.1:{port}")).await?;
    assert!(plain()?.get(proxy.url()).send().await.is_err());
    let record = proxy.exchanges().pop().unwrap();
    assert!(
        matches!(record.outcome, Outcome::Failed(reason) if reason.contains("cannot be reached"))
    );
    Ok(())
}

#[tokio::test]
async fn waiting_for_what_never_comes_tells_what_came() -> Result<()> {
    let (_server, proxy, client) = setting().await?;
    client.get(format!("{}/json", proxy.url())).send().await?;
    let error = proxy
        .wait_for("two requests", Duration::from_millis(50), |all| {
            all.len() == 2
        })
        .await
        .unwrap_err();
    let error = error.to_string();
    assert!(
        error.contains("two requests") && error.contains("GET /json"),
        "{error}"
    );
    Ok(())
}

#[tokio::test]
async fn a_wrong_upstream_is_named() {
    for wrong in [
        "https://x:1",
        "127.0.0.1:9200",
        "http://host-without-port",
        "http://h:1/path",
    ] {
        let error = FaultProxy::start(wrong).await.unwrap_err().to_string();
        assert!(error.contains(wrong), "{error}");
    }
}
