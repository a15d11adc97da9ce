//! TLS to the server with libpq's meaning of `sslmode`.

use super::super::environment::Environment;
use super::super::input;
use super::error::ConnectionError;
use super::parameters::Parameters;
use super::passfile;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The system's trusted authorities, as `sslrootcert=system` means them: Debian's file,
/// then Fedora's.
const SYSTEM_ROOTS: [&str; 2] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt"];
/// The application protocol that direct negotiation must offer.
const ALPN: &[u8] = b"postgresql";

/// Whether and how a connection is encrypted and the server verified
/// (<https://www.postgresql.org/docs/current/libpq-ssl.html>).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum SslMode {
    /// Never encrypted.
    Disable,
    /// Encrypted only when the server wants it.
    Allow,
    /// Encrypted when the server can.
    Prefer,
    /// Encrypted; the server is not verified, unless there is a root certificate.
    Require,
    /// Encrypted, with a certificate that a trusted authority signed.
    VerifyCa,
    /// Likewise, and the certificate is for this host.
    VerifyFull,
}

/// The trusted authorities.
#[derive(Debug, Clone, PartialEq)]
enum Roots {
    /// None, unless this file of the home folder exists.
    HomeFile(Option<PathBuf>),
    /// Those of this file.
    File(PathBuf),
    /// The system's, or Mozilla's when it has none.
    System,
}

/// The parameters of TLS.
#[derive(Debug, Clone)]
pub(super) struct TlsSettings {
    pub mode: SslMode,
    /// TLS from the first byte on, without asking the server.
    pub direct: bool,
    roots: Roots,
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
    sni: bool,
    only_tls13: bool,
}

impl TlsSettings {
    pub fn from_parameters(
        parameters: &Parameters,
        environment: &Environment,
    ) -> Result<Self, ConnectionError> {
        let home_file = |name: &str| {
            passfile::home(environment)
                .map(|home| home.join(".postgresql").join(name))
                .filter(|path| path.exists())
        };
        let roots = match parameters.get("sslrootcert") {
            Some("system") => Roots::System,
            Some(path) => Roots::File(path.into()),
            None => Roots::HomeFile(home_file("root.crt")),
        };
        let path_of =
            |name, file| parameters.get(name).map(PathBuf::from).or_else(|| home_file(file));
        let settings = TlsSettings {
            mode: mode(parameters, &roots)?,
            direct: parameters.word(
                "sslnegotiation",
                &[("postgres", false), ("direct", true)],
                false,
            )?,
            roots,
            certificate: path_of("sslcert", "postgresql.crt"),
            key: path_of("sslkey", "postgresql.key"),
            sni: parameters.get("sslsni") != Some("0"),
            only_tls13: parameters.word(
                "ssl_min_protocol_version",
                &[("TLSv1", false), ("TLSv1.1", false), ("TLSv1.2", false), ("TLSv1.3", true)],
                false,
            )?,
        };
        if settings.direct && settings.mode < SslMode::Require {
            return Err(ConnectionError::new(
                "weak sslmode may not be used with sslnegotiation=direct (use \"require\", \
                 \"verify-ca\" or \"verify-full\")",
            ));
        }
        Ok(settings)
    }

    /// Reads the certificates and makes the client's side of TLS.
    pub fn client_config(&self) -> Result<ClientConfig, ConnectionError> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let versions: &[_] =
            if self.only_tls13 { &[&rustls::version::TLS13] } else { rustls::ALL_VERSIONS };
        let builder = ClientConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(versions)
            .map_err(|e| ConnectionError::new(format!("TLS: {e}")))?
            .dangerous()
            .with_custom_certificate_verifier(self.verifier(provider)?);
        let mut config = match &self.certificate {
            Some(path) => {
                let (chain, key) = self.client_certificate(path)?;
                builder
                    .with_client_auth_cert(chain, key)
                    .map_err(|e| ConnectionError::new(format!("sslcert {}: {e}", path.display())))?
            }
            None => builder.with_no_client_auth(),
        };
        config.enable_sni = self.sni;
        config.alpn_protocols = vec![ALPN.to_vec()];
        Ok(config)
    }

    fn client_certificate(
        &self,
        path: &Path,
    ) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), ConnectionError> {
        let key_path = self.key.as_deref().ok_or_else(|| {
            ConnectionError::new(format!("sslcert {} has no sslkey", path.display()))
        })?;
        let error =
            |why: String| ConnectionError::new(format!("sslkey {}: {why}", key_path.display()));
        let pem = input::read(key_path).map_err(|e| error(e.to_string()))?;
        let key = PrivateKeyDer::from_pem_slice(&pem).map_err(|e| error(e.to_string()))?;
        Ok((certificates("sslcert", path)?, key))
    }

    /// What verifies the server's certificate.
    fn verifier(
        &self,
        provider: Arc<CryptoProvider>,
    ) -> Result<Arc<dyn ServerCertVerifier>, ConnectionError> {
        let (roots, pinned) = match &self.roots {
            Roots::HomeFile(None) if self.mode < SslMode::VerifyCa => {
                return Ok(Arc::new(AcceptAny(provider)));
            }
            Roots::HomeFile(None) => {
                return Err(ConnectionError::new(
                    "sslmode verifies the server, but there is no root certificate: give \
                     sslrootcert a file, or \"system\"",
                ));
            }
            Roots::HomeFile(Some(path)) | Roots::File(path) => roots_of("sslrootcert", path)?,
            Roots::System => system_roots(),
        };
        let chain = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
            .build()
            .map_err(|e| ConnectionError::new(format!("sslrootcert: {e}")))?;
        // With a root certificate, weaker modes verify the authority too.
        Ok(Arc::new(VerifyAuthority { chain, pinned, host: self.mode == SslMode::VerifyFull }))
    }
}

fn mode(parameters: &Parameters, roots: &Roots) -> Result<SslMode, ConnectionError> {
    let words = [
        ("disable", SslMode::Disable),
        ("allow", SslMode::Allow),
        ("prefer", SslMode::Prefer),
        ("require", SslMode::Require),
        ("verify-ca", SslMode::VerifyCa),
        ("verify-full", SslMode::VerifyFull),
    ];
    // Anybody may have a certificate of a public authority, so it must be for this host.
    let default = if *roots == Roots::System { SslMode::VerifyFull } else { SslMode::Prefer };
    let mode = parameters.word("sslmode", &words, default)?;
    if *roots == Roots::System && mode != SslMode::VerifyFull {
        return Err(ConnectionError::new(
            "weak sslmode may not be used with sslrootcert=system (use \"verify-full\")",
        ));
    }
    Ok(mode)
}

/// The certificates of a PEM file.
fn certificates(
    parameter: &str,
    path: &Path,
) -> Result<Vec<CertificateDer<'static>>, ConnectionError> {
    let error =
        |why: String| ConnectionError::new(format!("{parameter} {}: {why}", path.display()));
    let pem = input::read(path).map_err(|e| error(e.to_string()))?;
    let found: Vec<_> = CertificateDer::pem_slice_iter(&pem)
        .collect::<Result<_, _>>()
        .map_err(|e| error(e.to_string()))?;
    if found.is_empty() { Err(error("it holds no certificate".into())) } else { Ok(found) }
}

/// Trusted authorities, and the same certificates as they are.
type TrustedRoots = (RootCertStore, Vec<CertificateDer<'static>>);

fn roots_of(parameter: &str, path: &Path) -> Result<TrustedRoots, ConnectionError> {
    let certificates = certificates(parameter, path)?;
    let mut roots = RootCertStore::empty();
    let (added, _) = roots.add_parsable_certificates(certificates.iter().cloned());
    if added == 0 {
        return Err(ConnectionError::new(format!(
            "{parameter} {}: it holds no certificate that can be read",
            path.display()
        )));
    }
    Ok((roots, certificates))
}

fn system_roots() -> TrustedRoots {
    SYSTEM_ROOTS
        .iter()
        .find_map(|path| roots_of("sslrootcert", Path::new(path)).ok())
        .map(|(roots, _)| (roots, Vec::new()))
        .unwrap_or_else(|| {
            let roots = webpki_roots::TLS_SERVER_ROOTS.to_vec();
            (RootCertStore { roots }, Vec::new())
        })
}

/// `require` and weaker without a root certificate: encryption without knowing to whom.
/// The signature of the handshake is not looked at either; it would prove that the server
/// has the key of a certificate which anybody could have made.
#[derive(Debug)]
struct AcceptAny(Arc<CryptoProvider>);

impl ServerCertVerifier for AcceptAny {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// `verify-ca`, and with `host` also `verify-full`.
#[derive(Debug)]
struct VerifyAuthority {
    chain: Arc<WebPkiServerVerifier>,
    /// Certificates that are trusted as they are: a server may have a self-signed one,
    /// which webpki takes for an authority and so for no server's.
    pinned: Vec<CertificateDer<'static>>,
    host: bool,
}

impl ServerCertVerifier for VerifyAuthority {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if self.pinned.contains(end_entity) {
            if self.host {
                let certificate = rustls::server::ParsedCertificate::try_from(end_entity)?;
                rustls::client::verify_server_name(&certificate, server_name)?;
            }
            return Ok(ServerCertVerified::assertion());
        }
        let verified = self.chain.verify_server_cert(
            end_entity,
            intermediates,
            server_name,
            ocsp_response,
            now,
        );
        match verified {
            // The name is looked at after the chain was found good.
            Err(rustls::Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) if !self.host => Ok(ServerCertVerified::assertion()),
            other => other,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.chain.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.chain.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.chain.supported_verify_schemes()
    }
}
