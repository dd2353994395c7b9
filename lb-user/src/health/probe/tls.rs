//! TLS as a client: with the host's roots, or trusting whoever answers.

use std::sync::Arc;

use rustls::{
    ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
    client::{
        Resumption,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::Instant,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::failure::{Failure, by};
use crate::health::{target::Tls, text::Text};

/// What all checks share.
#[derive(Clone)]
pub(super) struct Clients {
    /// `Err`: there is nothing to verify against.
    verifying: Result<TlsConnector, Text>,
    trusting: TlsConnector,
}

impl Clients {
    /// With the host's roots. Blocks on files.
    pub(super) fn load() -> Self {
        let found = rustls_native_certs::load_native_certs();
        let mut store = RootCertStore::empty();
        store.add_parsable_certificates(found.certs);
        Self::of(store)
    }

    /// With these roots, in DER; what is no certificate is left out.
    pub(super) fn with_roots(roots: Vec<Vec<u8>>) -> Self {
        let mut store = RootCertStore::empty();
        store.add_parsable_certificates(roots.into_iter().map(CertificateDer::from));
        Self::of(store)
    }

    fn of(roots: RootCertStore) -> Self {
        let provider = Arc::new(ring::default_provider());
        let builder = || {
            ClientConfig::builder_with_provider(Arc::clone(&provider))
                .with_safe_default_protocol_versions()
                .expect("ring has ciphers for the default versions")
        };
        let trusting = builder()
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Anybody(Arc::clone(&provider))))
            .with_no_client_auth();
        let verifying = if roots.is_empty() {
            Err(Text::new(
                "no root certificates on this host, install ca-certificates",
            ))
        } else {
            let config = builder()
                .with_root_certificates(roots)
                .with_no_client_auth();
            Ok(connector(config))
        };
        Self {
            verifying,
            trusting: connector(trusting),
        }
    }

    /// Shakes hands.
    pub(super) async fn connect<IO>(
        &self,
        tls: &Tls,
        io: IO,
        deadline: Instant,
    ) -> Result<TlsStream<IO>, Failure>
    where
        IO: AsyncRead + AsyncWrite + Unpin,
    {
        let connector = if tls.verify {
            self.verifying
                .as_ref()
                .map_err(|text| Failure::Ours(text.clone()))?
        } else {
            &self.trusting
        };
        let name = ServerName::try_from(tls.name.clone()).map_err(|_| {
            let text = format!("{} is no name for a certificate", tls.name);
            Failure::Ours(Text::new(text))
        })?;
        by(deadline, "TLS handshake", connector.connect(name, io))
            .await?
            .map_err(|error| Failure::of("TLS handshake", &error))
    }
}

fn connector(mut config: ClientConfig) -> TlsConnector {
    // Every check looks at the certificate anew: one that expired in the meantime must not hide behind a session.
    config.resumption = Resumption::disabled();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    TlsConnector::from(Arc::new(config))
}

/// Trusts any certificate whose key signed the handshake: `tls_verify: false`.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(
            message,
            cert,
            dss,
            &self.0.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(
            message,
            cert,
            dss,
            &self.0.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
