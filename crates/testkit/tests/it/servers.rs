use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Result;
use serde_json::json;
use tributary_testkit::certificates::Authority;
use tributary_testkit::servers::{
    EngineChoice, OpenSearchOptions, Postgres, PostgresAuthentication, PostgresOptions,
    PostgresTls, SearchEngine, engines_from_environment, shared,
};
use tributary_testkit::tcp_faults::{TcpFault, TcpProxy};

#[tokio::test]
async fn postgres_keeps_data_over_a_restart_and_a_crash() -> Result<()> {
    let server = Postgres::start(PostgresOptions {
        settings: vec![("work_mem".into(), "1234kB".into())],
        ..Default::default()
    })
    .await?;
    server
        .psql("CREATE TABLE t (v text); INSERT INTO t VALUES ('ä|b'), (NULL)")
        .await?;
    server.psql("CHECKPOINT").await?;
    let port = server.port();
    server.restart().await?;
    server.kill().await;
    assert!(server.psql("SELECT 1").await.is_err());
    server.start_again().await?;
    assert_eq!(server.port(), port);
    assert_eq!(server.psql("SELECT v FROM t ORDER BY v").await?, "ä|b\n");
    assert_eq!(server.psql("SHOW work_mem").await?, "1234kB");
    assert_eq!(server.psql("SHOW track_commit_timestamp").await?, "on");
    let error = server
        .psql("SELECT 1; SELECT nothing_like_that")
        .await
        .unwrap_err()
        .to_string();
    assert!(error.contains("nothing_like_that"), "{error}");
    Ok(())
}

#[tokio::test]
async fn postgres_that_cannot_start_shows_its_log() -> Result<()> {
    let options = PostgresOptions {
        settings: vec![("no_such_setting".into(), "1".into())],
        ..Default::default()
    };
    let error = format!("{:#}", Postgres::start(options).await.unwrap_err());
    assert!(error.contains("no_such_setting"), "{error}");
    Ok(())
}

#[tokio::test]
async fn trust_needs_no_password_and_scram_does() -> Result<()> {
    async fn log_in(server: &Postgres, password: &str) -> Result<bool> {
        // psql over TCP, unlike Postgres::psql
        let status = tokio::process::Command::new("psql")
            .args([
                "-w",
                "-X",
                "-h",
                server.host(),
                "-U",
                server.user(),
                "-d",
                "postgres",
                "-c",
                "SELECT 1",
                "-p",
            ])
            .arg(server.port().to_string())
            .env("PGPASSWORD", password)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .await?;
        Ok(status.success())
    }
    let scram = Postgres::start(PostgresOptions::default()).await?;
    assert!(log_in(&scram, scram.password()).await?);
    assert!(!log_in(&scram, "wrong").await?);
    let trusting = PostgresOptions {
        authentication: PostgresAuthentication::Trust,
        ..Default::default()
    };
    let trusting = Postgres::start(trusting).await?;
    assert!(log_in(&trusting, "wrong").await?);
    Ok(())
}

#[tokio::test]
async fn terminate_backends_ends_open_connections() -> Result<()> {
    let server = Postgres::start(PostgresOptions::default()).await?;
    let mut sleeper = tokio::process::Command::new("psql")
        .args(["-X", "-c", "SELECT pg_sleep(600)", &server.url("postgres")])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()?;
    let connected = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(600)' AND state = 'active'";
    while server.psql(connected).await? != "1" {}
    assert_eq!(server.terminate_backends().await?, 1);
    assert!(!sleeper.wait().await?.success());
    Ok(())
}

/// What psql says over TCP with these connection settings: a row, or the reason why not.
async fn over_tcp(server: &Postgres, port: u16, settings: &str) -> Result<String> {
    let target = format!(
        "host=127.0.0.1 port={port} user={} password={} dbname=postgres connect_timeout=20 {settings}",
        server.user(),
        server.password()
    );
    let output = tokio::process::Command::new("psql")
        .args([
            "-w",
            "-X",
            "-A",
            "-t",
            "-d",
            &target,
            "-c",
            "SELECT ssl, client_dn FROM pg_stat_ssl WHERE pid = pg_backend_pid()",
        ])
        .output()
        .await?;
    let text = if output.status.success() {
        output.stdout
    } else {
        output.stderr
    };
    Ok(String::from_utf8(text)?.trim().to_owned())
}

#[tokio::test]
async fn postgres_speaks_tls_and_asks_for_client_certificates() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let authority = Authority::new("servers")?;
    let clients = Authority::new("clients")?;
    let certificate = authority.server()?;
    let ca = authority.certificate().write(folder.path(), "ca")?;
    let verified = format!(
        "sslmode=verify-full sslrootcert={}",
        ca.certificate.display()
    );
    let tls = PostgresTls {
        certificate_pem: certificate.certificate_pem.clone(),
        key_pem: certificate.key_pem.clone(),
        client_authority_pem: None,
        required: true,
    };

    let server = Postgres::start(PostgresOptions {
        tls: Some(tls.clone()),
        ..Default::default()
    })
    .await?;
    assert_eq!(over_tcp(&server, server.port(), &verified).await?, "t|");
    let refused = over_tcp(&server, server.port(), "sslmode=disable").await?;
    assert!(refused.contains("no encryption"), "{refused}");

    let tls = PostgresTls {
        client_authority_pem: Some(clients.pem().to_owned()),
        ..tls
    };
    let server = Postgres::start(PostgresOptions {
        tls: Some(tls),
        ..Default::default()
    })
    .await?;
    let refused = over_tcp(&server, server.port(), &verified).await?;
    assert!(refused.contains("certificate"), "{refused}");
    let alice = clients.client("alice")?.write(folder.path(), "alice")?;
    std::fs::set_permissions(
        &alice.key,
        std::os::unix::fs::PermissionsExt::from_mode(0o600),
    )?;
    let shown = format!(
        "{verified} sslcert={} sslkey={}",
        alice.certificate.display(),
        alice.key.display()
    );
    assert_eq!(
        over_tcp(&server, server.port(), &shown).await?,
        "t|/CN=alice"
    );

    let plain = Postgres::start(PostgresOptions::default()).await?;
    let proxy = TcpProxy::start(&format!("127.0.0.1:{}", plain.port())).await?;
    assert_eq!(
        over_tcp(&plain, proxy.port(), "sslmode=disable").await?,
        "f|"
    );
    proxy.set(TcpFault::CutAfterReceived(200));
    let cut = over_tcp(&plain, proxy.port(), "sslmode=disable").await?;
    assert!(cut.contains("closed the connection"), "{cut}");
    Ok(())
}

/// Run as a child by the next test: starts a server, prints its process id, waits to be killed.
#[tokio::test]
async fn child_that_is_killed() -> Result<()> {
    if std::env::var_os("TESTKIT_CHILD").is_none() {
        return Ok(());
    }
    let server = shared::postgres().await?;
    let folder = server.psql("SHOW unix_socket_directories").await?;
    std::fs::write(
        std::env::var("TESTKIT_CHILD")?,
        format!(
            "{} {folder}\n",
            server.process_id().await.unwrap_or_default()
        ),
    )?;
    std::future::pending().await
}

#[test]
fn servers_die_with_a_killed_test_process_and_the_next_one_cleans_up() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let note = folder.path().join("note");
    let mut child = Command::new(std::env::current_exe()?)
        .args(["--exact", "servers::child_that_is_killed"])
        .env("TESTKIT_CHILD", &note)
        .stdout(Stdio::null())
        .spawn()?;
    let limit = Instant::now() + Duration::from_secs(180);
    let text = loop {
        match std::fs::read_to_string(&note) {
            Ok(text) if text.ends_with('\n') => break text,
            _ => assert!(Instant::now() < limit, "the child never wrote its note"),
        }
        std::thread::yield_now();
    };
    let (id, server_folder) = text.trim().split_once(' ').expect("two words");
    let id: u32 = id.parse()?;
    assert!(Path::new(&format!("/proc/{id}")).exists());
    child.kill()?;
    child.wait()?;
    while is_running(id) {
        assert!(
            Instant::now() < limit,
            "the server outlives the killed test process"
        );
        std::thread::yield_now();
    }
    assert!(Path::new(server_folder).exists());
    // a new process sweeps when it makes its first folder
    let swept = Command::new(std::env::current_exe()?)
        .args([
            "--exact",
            "servers::postgres_that_cannot_start_shows_its_log",
        ])
        .stdout(Stdio::null())
        .status()?;
    assert!(swept.success());
    assert!(!Path::new(server_folder).exists());
    Ok(())
}

/// A dead process that its new parent has not waited for yet does not count.
fn is_running(id: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{id}/stat")).is_ok_and(|stat| {
        !stat
            .rsplit(") ")
            .next()
            .unwrap_or_default()
            .starts_with('Z')
    })
}

/// Whether the variable ENGINES asks for this engine; says so if not.
fn is_wanted(engine: EngineChoice) -> Result<bool> {
    let wanted = engines_from_environment()?.contains(&engine);
    if !wanted {
        eprintln!("left out: ENGINES does not name {}", engine.name());
    }
    Ok(wanted)
}

#[tokio::test]
async fn opensearch_restarts_on_its_data_and_port() -> Result<()> {
    if !is_wanted(EngineChoice::OpenSearch)? {
        return Ok(());
    }
    let engine = SearchEngine::opensearch(OpenSearchOptions {
        settings: vec![("http.max_content_length".into(), "1mb".into())],
        ..Default::default()
    })
    .await?;
    engine
        .expect(
            "PUT",
            "/things/_doc/1?refresh=true",
            Some(&json!({ "name": "first" })),
        )
        .await?;
    engine.restart().await?;
    let health = "/_cluster/health/things?wait_for_status=yellow";
    engine.expect("GET", health, None).await?;
    assert_eq!(
        engine.expect("GET", "/things/_count", None).await?["count"],
        1
    );
    let large = "x".repeat(2 << 20);
    assert_eq!(
        engine
            .call("PUT", "/things/_doc/2", Some(&json!({ "name": large })))
            .await?
            .status,
        413
    );
    assert!(
        engine
            .expect("GET", "/nothing-here", None)
            .await
            .unwrap_err()
            .to_string()
            .contains("404")
    );
    engine.pause().await?;
    let frozen =
        tokio::time::timeout(Duration::from_millis(300), engine.call("GET", "/", None)).await;
    assert!(frozen.is_err(), "a paused engine answers");
    engine.resume().await?;
    assert_eq!(engine.call("GET", "/", None).await?.status, 200);
    engine.delete_all_indices().await?;
    assert_eq!(engine.call("GET", "/things", None).await?.status, 404);
    Ok(())
}

#[tokio::test]
async fn elasticsearch_is_secured_and_shared() -> Result<()> {
    if !is_wanted(EngineChoice::Elasticsearch)? {
        return Ok(());
    }
    let engine = shared::elasticsearch().await?;
    let again = shared::elasticsearch().await?;
    assert!(std::ptr::eq(engine, again));
    assert_eq!(
        engine.expect("GET", "/", None).await?["version"]["number"],
        "9.4.3"
    );
    let role = json!({ "r": { "indices": [{ "names": ["mine"], "privileges": ["all"] }] } });
    let key = engine.api_key("narrow", &role).await?;
    let provider = std::sync::Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let _ = rustls::crypto::CryptoProvider::install_default((*provider).clone());
    let client = reqwest::Client::new();
    let put = |index: &str| {
        client
            .put(format!("{}/{index}", engine.url()))
            .header("authorization", format!("ApiKey {key}"))
            .send()
    };
    assert_eq!(put("mine").await?.status(), 200);
    assert_eq!(put("other").await?.status(), 403);
    assert_eq!(client.get(engine.url()).send().await?.status(), 401);
    Ok(())
}

#[tokio::test]
async fn elasticsearch_8_runs_where_it_is_asked_for() -> Result<()> {
    if !is_wanted(EngineChoice::Elasticsearch8)? {
        return Ok(());
    }
    let engine = shared::elasticsearch_8().await?;
    assert_eq!(
        engine.expect("GET", "/", None).await?["version"]["number"],
        "8.19.8"
    );
    Ok(())
}
