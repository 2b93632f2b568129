use std::sync::Arc;

use anyhow::Result;
use tributary_testkit::certificates::{
    Authority, Certificate, self_signed, self_signed_authority, server_config,
};
use tributary_testkit::faults::{CannedAnswer, Fault, FaultProxy, Rule};

use crate::client::client;

/// A TLS server with this certificate that answers 200 to everything.
async fn server(certificate: &Certificate, client_authority: Option<&str>) -> Result<FaultProxy> {
    let config = server_config(certificate, client_authority)?;
    let proxy = FaultProxy::start_tls("http://127.0.0.1:9", config).await?;
    proxy.set_rules([Rule::new("fine", Fault::Answer(CannedAnswer::status(200)))]);
    Ok(proxy)
}

/// The status, or the whole chain of reasons why there is none.
async fn get(url: &str, trusted: &str, identity: Option<&Certificate>) -> Result<u16, String> {
    let client = client(trusted, identity)
        .and_then(|builder| Ok(builder.build()?))
        .map_err(|error| error.to_string())?;
    match client.get(url).send().await {
        Ok(answer) => Ok(answer.status().as_u16()),
        Err(error) => Err(format!("{:#}", anyhow::Error::new(error))),
    }
}

#[tokio::test]
async fn a_good_certificate_is_trusted_by_both_names_and_by_nobody_else() -> Result<()> {
    let authority = Authority::new("one")?;
    let proxy = server(&authority.server()?, None).await?;
    assert_eq!(get(&proxy.url(), authority.pem(), None).await, Ok(200));
    let by_name = format!("https://localhost:{}", proxy.port());
    assert_eq!(get(&by_name, authority.pem(), None).await, Ok(200));
    let stranger = Authority::new("one")?;
    let reason = get(&proxy.url(), stranger.pem(), None).await.unwrap_err();
    assert!(reason.contains("invalid peer certificate"), "{reason}");
    proxy
        .wait_for_failed_handshakes(1, std::time::Duration::from_secs(60))
        .await?;
    assert_eq!(proxy.failed_handshakes(), 1);
    Ok(())
}

#[tokio::test]
async fn bad_certificates_are_bad_in_their_own_way() -> Result<()> {
    let authority = Authority::new("one")?;
    for (certificate, trusted, expected) in [
        (authority.expired()?, authority.pem(), "expired"),
        (
            authority.wrong_host()?,
            authority.pem(),
            "not valid for name",
        ),
        (self_signed()?, authority.pem(), "UnknownIssuer"),
    ] {
        let proxy = server(&certificate, None).await?;
        let reason = get(&proxy.url(), trusted, None).await.unwrap_err();
        assert!(reason.contains(expected), "{reason}");
    }
    let certificate = self_signed_authority()?;
    let proxy = server(&certificate, None).await?;
    let reason = get(&proxy.url(), &certificate.certificate_pem, None)
        .await
        .unwrap_err();
    assert!(reason.contains("CaUsedAsEndEntity"), "{reason}");
    Ok(())
}

#[tokio::test]
async fn client_certificates_are_asked_for() -> Result<()> {
    let authority = Authority::new("servers")?;
    let clients = Authority::new("clients")?;
    let proxy = server(&authority.server()?, Some(clients.pem())).await?;
    let alice = clients.client("alice")?;
    assert_eq!(
        get(&proxy.url(), authority.pem(), Some(&alice)).await,
        Ok(200)
    );
    assert!(get(&proxy.url(), authority.pem(), None).await.is_err());
    let stranger = Authority::new("clients")?.client("alice")?;
    assert!(
        get(&proxy.url(), authority.pem(), Some(&stranger))
            .await
            .is_err()
    );
    Ok(())
}

#[test]
fn files_and_fingerprints_agree_with_openssl() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let authority = Arc::new(Authority::new("one")?);
    let certificate = authority.server()?;
    let files = certificate.write(folder.path(), "server")?;
    let ca = authority.certificate().write(folder.path(), "ca")?;
    let openssl = |arguments: &[&str]| -> Result<String> {
        let output = std::process::Command::new("openssl")
            .args(arguments)
            .output()?;
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(String::from_utf8(output.stdout)?)
    };
    let path = files.certificate.to_str().unwrap();
    let said = openssl(&["x509", "-in", path, "-noout", "-fingerprint", "-sha256"])?;
    let said = said
        .trim()
        .rsplit('=')
        .next()
        .unwrap()
        .replace(':', "")
        .to_lowercase();
    assert_eq!(certificate.fingerprint(), said);
    openssl(&["verify", "-CAfile", ca.certificate.to_str().unwrap(), path])?;
    openssl(&["pkey", "-in", files.key.to_str().unwrap(), "-noout"])?;
    Ok(())
}
