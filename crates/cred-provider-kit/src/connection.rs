//! Finds out from the causes of a client's error why no complete response arrived. Needs the
//! feature `tls`.

use std::borrow::Cow;
use std::error::Error;
use std::io;
use std::iter;

use cred_core::{StorageError, StorageErrorKind};
use rustls::CertificateError;

use crate::{Env, ProcessEnv};

/// Returns an error and its causes, outermost first. Includes the error inside an [`io::Error`],
/// which its `source` does not return.
pub fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    iter::successors(Some(error), |error| inner(*error))
}

fn inner<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    match error.downcast_ref::<io::Error>() {
        Some(error) => error.get_ref().map(|cause| cause as &(dyn Error + 'static)),
        None => error.source(),
    }
}

/// Returns the outermost error of type `E`, among the error itself and its causes.
#[must_use]
pub fn cause<'a, E: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a E> {
    causes(error).find_map(|error| error.downcast_ref::<E>())
}

/// Returns the kind of the innermost I/O error, which is the error of the operating system.
#[must_use]
pub fn io_kind(error: &(dyn Error + 'static)) -> Option<io::ErrorKind> {
    causes(error).filter_map(|error| error.downcast_ref::<io::Error>()).last().map(io::Error::kind)
}

/// The server of a connection, and advice for the reader of an error.
#[derive(Debug, Clone, Copy)]
pub struct Server<'a> {
    /// Host and port; `None` if unknown.
    pub address: Option<&'a str>,
    /// Advice if the authority of a certificate is not trusted, such as "give that authority as
    /// `ca_cert`".
    pub trust: &'a str,
}

impl Server<'_> {
    fn server(&self) -> String {
        self.address.map_or_else(|| "the server".to_owned(), |address| format!("`{address}`"))
    }
}

/// Returns the error for a rejected certificate, or `None` if that is not the cause. It is an
/// [`AuthenticationFailed`](StorageErrorKind::AuthenticationFailed) that distinguishes an expired
/// certificate, one of an unknown authority and one for another host.
#[must_use]
pub fn certificate_error(error: &(dyn Error + 'static), server: Server<'_>) -> Option<StorageError> {
    use CertificateError as Fault;
    let rustls::Error::InvalidCertificate(fault) = cause(error)? else { return None };
    let problem = match fault {
        Fault::Expired | Fault::ExpiredContext { .. } => "it has expired".to_owned(),
        Fault::NotValidYet | Fault::NotValidYetContext { .. } => "it is not valid yet".to_owned(),
        // `BadSignature`: the authority only has the name of a trusted one.
        Fault::UnknownIssuer | Fault::BadSignature => {
            format!("it is not signed by an authority that is trusted here; {}", server.trust)
        }
        Fault::NotValidForName | Fault::NotValidForNameContext { .. } => {
            "it is for another host; connect to a host name that it contains".to_owned()
        }
        Fault::Revoked => "it was revoked".to_owned(),
        other => other.to_string(),
    };
    let reason = format!("the certificate of {} is refused: {problem}", server.server()).into();
    Some(StorageErrorKind::AuthenticationFailed { reason }.into())
}

/// Returns the error for a response that is missing or incomplete:
///
/// - that of [`certificate_error`], if a certificate was rejected;
/// - otherwise [`Unreachable`](StorageErrorKind::Unreachable), if no connection was made
///   (`connected` is false), so that nothing was sent;
/// - otherwise [`Unavailable`](StorageErrorKind::Unavailable).
///
/// The message has a hint if DNS cannot resolve the host, or if the port does not use TLS.
#[must_use]
pub fn connection_error(error: &(dyn Error + 'static), connected: bool, server: Server<'_>) -> StorageError {
    if let Some(error) = certificate_error(error, server) {
        return error;
    }
    let problem: Cow<'static, str> = match (cause::<rustls::Error>(error), io_kind(error)) {
        (Some(rustls::Error::InvalidMessage(_)), _) => "the server on that port does not speak TLS".into(),
        (Some(error), _) => format!("TLS failed: {error}").into(),
        (None, _) if is_dns_error(error) => "DNS cannot resolve the host".into(),
        (None, None) if is_timeout(error) => "the connection timed out".into(),
        (None, Some(kind)) => kind.to_string().into(),
        (None, None) => "the connection broke".into(),
    };
    match connected {
        true => StorageError::unavailable(format!(
            "the connection ended before the response was complete ({problem})"
        )),
        false => {
            let reason = format!("{}: {problem}{}", server.server(), proxy_hint(&ProcessEnv)).into();
            StorageErrorKind::Unreachable { reason }.into()
        }
    }
}

/// Whether the host name could not be resolved. The clients have no error type for it.
fn is_dns_error(error: &(dyn Error + 'static)) -> bool {
    causes(error).any(|cause| {
        let text = cause.to_string();
        text == "dns error" || text.starts_with("failed to lookup address information")
    })
}

/// Whether a client timed out. `reqwest` has no type for it that could be named here.
fn is_timeout(error: &(dyn Error + 'static)) -> bool {
    causes(error).any(|cause| cause.to_string() == "operation timed out")
}

/// A possible reason why only other programs can reach the host: a proxy.
fn proxy_hint(env: &dyn Env) -> String {
    let variables = ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"];
    match variables.iter().find(|name| env.get(name).is_some()) {
        Some(name) => {
            format!(" (`{name}` is set; only the AWS provider and custom clients use such a proxy)")
        }
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERVER: Server<'_> =
        Server { address: Some("vault.example.com:8200"), trust: "give that authority as `ca_cert`" };

    /// An error of a client that wraps an I/O error.
    #[derive(Debug, thiserror::Error)]
    #[error("the request failed")]
    struct Wrapped(#[source] io::Error);

    fn tls_error(error: rustls::Error) -> Wrapped {
        Wrapped(io::Error::new(io::ErrorKind::InvalidData, error))
    }

    #[test]
    fn each_fault_of_a_certificate_is_distinguished() {
        for (fault, expected) in [
            (CertificateError::Expired, "it has expired"),
            (CertificateError::NotValidYet, "it is not valid yet"),
            (CertificateError::UnknownIssuer, "trusted here; give that authority as `ca_cert`"),
            (CertificateError::NotValidForName, "it is for another host"),
            (CertificateError::Revoked, "it was revoked"),
        ] {
            for connected in [true, false] {
                let error = connection_error(&tls_error(fault.clone().into()), connected, SERVER);
                assert!(matches!(error.kind(), StorageErrorKind::AuthenticationFailed { .. }), "{error}");
                assert!(error.to_string().contains(expected), "{error}");
                assert!(error.to_string().contains("certificate of `vault.example.com:8200`"), "{error}");
                assert!(!error.is_transient());
            }
        }
    }

    #[test]
    fn the_system_error_is_found_below_the_clients_error() {
        let refused = Wrapped(io::ErrorKind::ConnectionRefused.into());
        let error = connection_error(&refused, false, SERVER);
        assert!(matches!(error.kind(), StorageErrorKind::Unreachable { .. }), "{error}");
        assert!(error.to_string().contains("`vault.example.com:8200`: connection refused"), "{error}");

        let reset = Wrapped(io::Error::other(Wrapped(io::ErrorKind::ConnectionReset.into())));
        let error = connection_error(&reset, true, SERVER);
        assert!(matches!(error.kind(), StorageErrorKind::Unavailable { .. }), "{error}");
        assert!(error.to_string().contains("connection reset"), "the innermost: {error}");
    }

    #[test]
    fn another_tls_error_does_not_blame_the_certificate() {
        let error = tls_error(rustls::Error::DecryptError);
        assert!(certificate_error(&error, SERVER).is_none());
        assert!(connection_error(&error, true, SERVER).to_string().contains("TLS failed"));
    }

    #[test]
    fn an_unresolvable_host_and_a_port_without_tls_are_named() {
        let dns =
            Wrapped(io::Error::other("failed to lookup address information: Name or service not known"));
        let text = connection_error(&dns, false, SERVER).to_string();
        assert!(text.contains("`vault.example.com:8200`: DNS cannot resolve the host"), "{text}");
        let plain = tls_error(rustls::InvalidMessage::InvalidContentType.into());
        let text = connection_error(&plain, false, SERVER).to_string();
        assert!(text.contains("does not speak TLS"), "{text}");
    }

    #[test]
    fn a_proxy_variable_is_named_and_not_its_value() {
        let env = [("https_proxy", "http://user:hunter2@proxy")].into_iter().collect::<crate::MapEnv>();
        assert_eq!(
            proxy_hint(&env),
            " (`https_proxy` is set; only the AWS provider and custom clients use such a proxy)"
        );
        assert_eq!(proxy_hint(&crate::MapEnv::default()), "");
    }
}
