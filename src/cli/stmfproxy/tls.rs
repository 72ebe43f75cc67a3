//! TLS of the peer channel: version 1.3 only, certificates both ways, each compared with the one pinned peer.
//!
//! What must stay true:
//! - The peer's certificate equals the pinned one byte for byte, holds now, and its key has signed this handshake.
//! - Nothing is remembered from one connection to the next: no tickets, no early data. Each connection proves it anew.
#![forbid(unsafe_code)]

use super::greeting::Member;
use super::handshake::Handshake;
use super::identity::Identity;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, verify_server_cert_signed_by_trust_anchor};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, ring, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{NoServerSessionStorage, ParsedCertificate};
use rustls::{
    AlertDescription, CertificateError, CipherSuite, ClientConfig, DigitallySignedStruct, DistinguishedName, Error,
    InvalidMessage, RootCertStore, ServerConfig, SignatureScheme,
};
use std::sync::Arc;
use time::OffsetDateTime;

/// The daemon warns when a certificate ends within this time.
const SOON: u64 = 30 * 24 * 3600;

/// What every connection is made from.
pub struct Tls {
    /// Who this node is.
    pub own: Member,
    /// The only certificate that is accepted.
    pub pinned: CertificateDer<'static>,
    side: Side,
}

enum Side {
    Listens(Arc<ServerConfig>),
    Connects(Arc<ClientConfig>, ServerName<'static>),
}

impl Tls {
    /// For the daemon that listens, or for the one that connects. The error is for people.
    pub fn new(identity: &Identity, listens: bool) -> Result<Tls, String> {
        let provider = Arc::new(provider());
        let verifier = Arc::new(Pinned {
            certificate: identity.peer.certificate.clone(),
            algorithms: provider.signature_verification_algorithms,
        });
        let chain = vec![identity.own.certificate.clone()];
        let key = identity.key.clone_key();
        let side = if listens {
            server(provider, verifier, chain, key).map(|config| Side::Listens(Arc::new(config)))
        } else {
            client(provider, verifier, chain, key).and_then(|config| {
                // Never sent, but the interface wants a name.
                let name = ServerName::try_from("stmfproxy").map_err(|error| Error::General(error.to_string()))?;
                Ok(Side::Connects(Arc::new(config), name))
            })
        };
        Ok(Tls {
            own: identity.own.member.clone(),
            pinned: identity.peer.certificate.clone(),
            side: side.map_err(|error| format!("this node's key and certificate: {error}"))?,
        })
    }

    /// The state of a new connection.
    pub fn handshake(&self) -> Result<Handshake, Error> {
        match &self.side {
            Side::Listens(config) => Handshake::listens(Arc::clone(config)),
            Side::Connects(config, name) => Handshake::connects(Arc::clone(config), name.clone()),
        }
    }
}

/// Without the cipher suite whose keys are shorter than [`crate::proxy::sealed::Keys`] has them.
fn provider() -> CryptoProvider {
    let mut provider = ring::default_provider();
    provider
        .cipher_suites
        .retain(|suite| suite.suite() != CipherSuite::TLS13_AES_128_GCM_SHA256);
    provider
}

fn server(
    provider: Arc<CryptoProvider>,
    verifier: Arc<Pinned>,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<ServerConfig, Error> {
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, key)?;
    config.enable_secret_extraction = true;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(config)
}

fn client(
    provider: Arc<CryptoProvider>,
    verifier: Arc<Pinned>,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<ClientConfig, Error> {
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_client_auth_cert(chain, key)?;
    config.enable_secret_extraction = true;
    config.resumption = Resumption::disabled();
    config.enable_sni = false;
    Ok(config)
}

/// Accepts one certificate and no other.
#[derive(Debug)]
struct Pinned {
    certificate: CertificateDer<'static>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl Pinned {
    fn verify(&self, certificate: &CertificateDer<'_>, now: UnixTime) -> Result<(), Error> {
        if *certificate != self.certificate {
            return Err(CertificateError::ApplicationVerificationFailure.into());
        }
        check_validity(certificate, now)
    }

    /// Unreachable: version 1.2 is not compiled in.
    fn no_tls12() -> Error {
        Error::General("TLS 1.2".to_owned())
    }
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.verify(end_entity, now).map(|()| ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Pinned::no_tls12())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

impl ClientCertVerifier for Pinned {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.verify(end_entity, now).map(|()| ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Pinned::no_tls12())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// A self-signed certificate is its own trust anchor; what is left to check is its time and its form.
fn check_validity(certificate: &CertificateDer<'_>, now: UnixTime) -> Result<(), Error> {
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone().into_owned())?;
    let algorithms = ring::default_provider().signature_verification_algorithms;
    verify_server_cert_signed_by_trust_anchor(
        &ParsedCertificate::try_from(certificate)?,
        &roots,
        &[],
        now,
        algorithms.all,
    )
}

/// Whether a certificate holds now; the error calls it `whose`.
pub fn check_certificate(certificate: &CertificateDer<'_>, whose: &str) -> Result<(), String> {
    check_validity(certificate, UnixTime::now()).map_err(|error| match &error {
        Error::InvalidCertificate(reason) => describe(reason, whose),
        _ => format!("{whose}: {error}"),
    })
}

/// Logs what the administrator must know about the two certificates before anything fails. The daemon starts all the same:
/// at boot the clock may still be wrong, and each handshake looks again.
pub fn warn_of_validity(identity: &Identity) {
    let soon = UnixTime::since_unix_epoch(std::time::Duration::from_secs(
        UnixTime::now().as_secs().saturating_add(SOON),
    ));
    let (own, peer) = (&identity.own.certificate, &identity.peer.certificate);
    for (certificate, whose) in [(own, "this node's certificate"), (peer, "the peer's certificate")] {
        if let Err(error) = check_certificate(certificate, whose) {
            log::error!("{error}");
        } else if let Err(Error::InvalidCertificate(CertificateError::ExpiredContext { not_after, .. })) =
            check_validity(certificate, soon)
        {
            log::warn!("{whose} ends on {}: pair the nodes again before", date(&not_after));
        }
    }
}

/// Why a connection was refused, for people.
pub fn explain(error: &Error) -> String {
    match error {
        Error::InvalidCertificate(reason) => describe(reason, "the peer's certificate"),
        Error::NoCertificatesPresented => "the peer shows no certificate".to_owned(),
        Error::InvalidMessage(InvalidMessage::InvalidContentType | InvalidMessage::UnknownProtocolVersion) => {
            "the peer does not speak TLS (is it run with --plain or a node name?)".to_owned()
        }
        Error::PeerIncompatible(_) => format!("the peer does not offer TLS 1.3 as this node does ({error})"),
        Error::DecryptError => "a record cannot be decrypted: damaged, replayed or forged".to_owned(),
        Error::AlertReceived(AlertDescription::AccessDenied) => {
            "the peer has pinned another certificate for this node: run 'stmfproxy pair --accept' there again"
                .to_owned()
        }
        Error::AlertReceived(AlertDescription::CertificateExpired) => format!(
            "to the peer this node's certificate is expired or not yet valid: compare the clocks of both nodes (here it is \
             {}), or pair them again",
            date(&UnixTime::now())
        ),
        _ => format!("TLS: {error}"),
    }
}

fn describe(reason: &CertificateError, whose: &str) -> String {
    match reason {
        CertificateError::ApplicationVerificationFailure => {
            format!("{whose} is not the pinned one; if it was paired anew, run 'stmfproxy pair --accept' here again")
        }
        CertificateError::ExpiredContext { time, not_after } => format!(
            "{whose} expired on {}, and by this node's clock it is {}: correct the clock, or pair the nodes again",
            date(not_after),
            date(time)
        ),
        CertificateError::NotValidYetContext { time, not_before } => format!(
            "{whose} is valid from {} on, and by this node's clock it is {}: correct the clock",
            date(not_before),
            date(time)
        ),
        _ => format!("{whose}: {reason}"),
    }
}

fn date(time: &UnixTime) -> String {
    i64::try_from(time.as_secs())
        .ok()
        .and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok())
        .map_or_else(
            || format!("{} s after 1970", time.as_secs()),
            |time| {
                let (hour, minute, second) = time.to_hms();
                format!("{} {hour:02}:{minute:02}:{second:02} UTC", time.date())
            },
        )
}

/// The same end, as a session that goes on by itself: what peers of earlier releases have.
#[cfg(test)]
pub fn session(tls: &Tls) -> rustls::Connection {
    match &tls.side {
        Side::Listens(config) => rustls::ServerConnection::new(Arc::clone(config)).unwrap().into(),
        Side::Connects(config, name) => rustls::ClientConnection::new(Arc::clone(config), name.clone())
            .unwrap()
            .into(),
    }
}

/// A caller that trusts `listener` but shows nothing itself.
#[cfg(test)]
pub fn session_without_certificate(listener: &CertificateDer<'static>) -> rustls::Connection {
    let provider = Arc::new(ring::default_provider());
    let verifier = Arc::new(Pinned {
        certificate: listener.clone(),
        algorithms: provider.signature_verification_algorithms,
    });
    let config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    let name = ServerName::try_from("stmfproxy").unwrap();
    rustls::Connection::Client(rustls::ClientConnection::new(Arc::new(config), name).unwrap())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_and_words() {
        let at = |seconds| UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds));
        assert_eq!(date(&at(1_741_075_200)), "2025-03-04 08:00:00 UTC");
        assert_eq!(date(&at(u64::MAX)), format!("{} s after 1970", u64::MAX));
        let expired = CertificateError::ExpiredContext {
            time: at(1_741_075_200),
            not_after: at(0),
        };
        let text = explain(&Error::InvalidCertificate(expired));
        assert!(
            text.contains("expired on 1970-01-01 00:00:00 UTC") && text.contains("clock"),
            "{text}"
        );
    }
}
