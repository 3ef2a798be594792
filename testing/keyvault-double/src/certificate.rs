//! Creates an authority and the certificate of the server at startup.

use std::io;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use crate::settings::Certificate;

/// Returns the configuration of a TLS server for these hosts, and the authority that clients must
/// trust, as PEM. There are two certificates, because rustls does not accept an authority as the
/// certificate of a server.
pub(crate) fn make(kind: Certificate, hosts: Vec<String>) -> io::Result<(Arc<ServerConfig>, String)> {
    let mut params = CertificateParams::new(Vec::new()).map_err(io::Error::other)?;
    params.distinguished_name.push(DnType::CommonName, "authority of a test double");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    // OpenSSL, which Python uses, requires these.
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let key = KeyPair::generate().map_err(io::Error::other)?;
    let authority = CertifiedIssuer::self_signed(params, key).map_err(io::Error::other)?;
    let hosts = if kind == Certificate::OfAnotherHost { vec!["elsewhere.example".to_owned()] } else { hosts };
    let mut params = CertificateParams::new(hosts).map_err(io::Error::other)?;
    if kind == Certificate::Expired {
        params.not_before = rcgen::date_time_ymd(2000, 1, 1);
        params.not_after = rcgen::date_time_ymd(2001, 1, 1);
    }
    params.distinguished_name.push(DnType::CommonName, "test double");
    params.use_authority_key_identifier_extension = true;
    let key = KeyPair::generate().map_err(io::Error::other)?;
    let certificate = params.signed_by(&key, &authority).map_err(io::Error::other)?;
    let secret = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], secret)
        .map_err(io::Error::other)?;
    Ok((Arc::new(config), authority.pem()))
}
