//! A small certificate authority and real handshakes over a pipe in memory.

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ServerConfig};
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::{TlsAcceptor, TlsConnector};
use tributary_tls::{ClientTls, TlsError};

pub(crate) struct Authority(pub(crate) CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }

    pub(crate) fn der(&self) -> CertificateDer<'static> {
        self.0.der().clone()
    }

    pub(crate) fn issue(&self, params: CertificateParams) -> Identity {
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        Identity {
            pem: certificate.pem(),
            chain: vec![certificate.der().clone()],
            key,
        }
    }
}

pub(crate) struct Identity {
    pub(crate) pem: String,
    pub(crate) chain: Vec<CertificateDer<'static>>,
    pub(crate) key: KeyPair,
}

impl Identity {
    pub(crate) fn self_signed(params: CertificateParams) -> Self {
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        Self {
            pem: certificate.pem(),
            chain: vec![certificate.der().clone()],
            key,
        }
    }

    fn key(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::try_from(self.key.serialize_der()).unwrap()
    }

    pub(crate) fn server(&self) -> ServerConfig {
        server_builder()
            .with_no_client_auth()
            .with_single_cert(self.chain.clone(), self.key())
            .unwrap()
    }

    /// A server that demands a certificate of the given authority.
    pub(crate) fn strict_server(&self, clients: &Authority) -> ServerConfig {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(clients.der()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let verifier =
            rustls::server::WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                .build()
                .unwrap();
        server_builder()
            .with_client_cert_verifier(verifier)
            .with_single_cert(self.chain.clone(), self.key())
            .unwrap()
    }
}

fn server_builder() -> rustls::ConfigBuilder<ServerConfig, rustls::WantsVerifier> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
}

pub(crate) fn for_host(name: &str) -> CertificateParams {
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

pub(crate) fn expired(mut params: CertificateParams) -> CertificateParams {
    params.not_before = date_time_ymd(2001, 1, 1);
    params.not_after = date_time_ymd(2002, 1, 1);
    params
}

pub(crate) fn marked_as_authority(mut params: CertificateParams) -> CertificateParams {
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params
}

/// Connects to `localhost`, sends a byte and waits for it to come back. The error is the client's,
/// in the words of [`tributary_tls::explain`].
pub(crate) async fn connect(tls: &ClientTls, server: ServerConfig) -> Result<(), String> {
    let config = tls.build().map_err(|error: TlsError| error.to_string())?;
    exchange(config, server).await
}

pub(crate) async fn exchange(
    client: Arc<ClientConfig>,
    server: ServerConfig,
) -> Result<(), String> {
    let (near, far) = tokio::io::duplex(64 * 1024);
    let echo = tokio::spawn(async move {
        if let Ok(mut stream) = TlsAcceptor::from(Arc::new(server)).accept(far).await {
            let mut byte = [0];
            if stream.read_exact(&mut byte).await.is_ok() {
                let _ = stream.write_all(&byte).await;
                let _ = stream.flush().await;
            }
        }
    });
    let name = ServerName::try_from("localhost").unwrap();
    let outcome = async {
        let mut stream = TlsConnector::from(client).connect(name, near).await?;
        // With TLS 1.3 a client learns only from its first read that its certificate was refused.
        stream.write_all(b"x").await?;
        stream.flush().await?;
        let mut byte = [0];
        stream.read_exact(&mut byte).await?;
        Ok::<(), std::io::Error>(())
    }
    .await;
    echo.await.unwrap();
    outcome.map_err(|error| {
        tributary_tls::explain(&error).unwrap_or_else(|| format!("not TLS: {error}"))
    })
}
