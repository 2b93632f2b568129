use anyhow::Result;
use tributary_testkit::certificates::{Authority, server_config};
use tributary_testkit::faults::{CannedAnswer, Fault, FaultProxy, Rule};
use tributary_testkit::forward_proxy::ForwardProxy;

use crate::client::client;

#[tokio::test]
async fn plain_and_tls_requests_go_through_and_are_seen() -> Result<()> {
    let authority = Authority::new("one")?;
    let plain = FaultProxy::start("http://127.0.0.1:9").await?;
    let secure = FaultProxy::start_tls(
        "http://127.0.0.1:9",
        server_config(&authority.server()?, None)?,
    )
    .await?;
    for server in [&plain, &secure] {
        server.set_rules([Rule::new(
            "fine",
            Fault::Answer(CannedAnswer::status(200).body("hello")),
        )]);
    }
    let proxy = ForwardProxy::start().await?;
    let client = client(authority.pem(), None)?
        .proxy(reqwest::Proxy::all(proxy.url())?)
        .build()?;
    for server in [&plain, &plain, &secure] {
        let answer = client
            .post(format!("{}/path?query", server.url()))
            .body("data")
            .send()
            .await?;
        assert_eq!(answer.text().await?, "hello");
    }
    assert_eq!(plain.exchanges()[0].target, "/path?query");
    assert_eq!(plain.exchanges()[1].request_bytes, 4);
    let seen: Vec<_> = proxy
        .requests()
        .into_iter()
        .map(|one| format!("{} {}", one.method, one.target))
        .collect();
    let post = format!("POST {}/path?query", plain.url());
    assert_eq!(
        seen,
        [
            post.clone(),
            post,
            format!("CONNECT 127.0.0.1:{}", secure.port())
        ]
    );
    Ok(())
}

#[tokio::test]
async fn a_password_is_wanted() -> Result<()> {
    let server = FaultProxy::start("http://127.0.0.1:9").await?;
    server.set_rules([Rule::new("fine", Fault::status(200))]);
    let proxy = ForwardProxy::start_with_password("user", "pässword").await?;
    let through = |settings: reqwest::Proxy| anyhow::Ok(client("", None)?.proxy(settings).build()?);
    let anonymous = through(reqwest::Proxy::all(proxy.url())?)?;
    assert_eq!(anonymous.get(server.url()).send().await?.status(), 407);
    let known = through(reqwest::Proxy::all(proxy.url())?.basic_auth("user", "pässword"))?;
    assert_eq!(known.get(server.url()).send().await?.status(), 200);
    let seen: Vec<_> = proxy
        .requests()
        .into_iter()
        .map(|one| one.let_through)
        .collect();
    assert_eq!(seen, [false, true]);
    Ok(())
}
