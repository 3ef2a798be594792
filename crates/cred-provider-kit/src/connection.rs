//! Why no whole answer came, read from the causes of a client's error; with the feature `tls`.

use std::borrow::Cow;
use std::error::Error;
use std::io;
use std::iter;

use cred_core::{StorageError, StorageErrorKind};
use rustls::CertificateError;

use crate::{Env, ProcessEnv};

/// An error and its causes, the outermost first. An I/O error keeps its cause where `source` does
/// not give it.
pub fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    iter::successors(Some(error), |error| inner(*error))
}

fn inner<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    match error.downcast_ref::<io::Error>() {
        Some(error) => error.get_ref().map(|cause| cause as &(dyn Error + 'static)),
        None => error.source(),
    }
}

/// The outermost cause of this type, the error itself among them.
#[must_use]
pub fn cause<'a, E: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a E> {
    causes(error).find_map(|error| error.downcast_ref::<E>())
}

/// The kind of the innermost I/O error: what the system said.
#[must_use]
pub fn io_kind(error: &(dyn Error + 'static)) -> Option<io::ErrorKind> {
    causes(error).filter_map(|error| error.downcast_ref::<io::Error>()).last().map(io::Error::kind)
}

/// Where a connection was to go, and what a reader can do if it fails.
#[derive(Debug, Clone, Copy)]
pub struct Way<'a> {
    /// Host and port; `None`: they are not known.
    pub address: Option<&'a str>,
    /// What to do about an authority that is not trusted, as "give that authority as `ca_cert`".
    pub trust: &'a str,
}

impl Way<'_> {
    fn server(&self) -> String {
        self.address.map_or_else(|| "the server".to_owned(), |address| format!("`{address}`"))
    }
}

/// The error of a certificate that is refused, if that is what failed: an
/// [`AuthenticationFailed`](StorageErrorKind::AuthenticationFailed) that distinguishes an expired
/// certificate, one of an unknown authority and one of another host.
#[must_use]
pub fn untrusted(error: &(dyn Error + 'static), way: Way<'_>) -> Option<StorageError> {
    use CertificateError as Why;
    let rustls::Error::InvalidCertificate(why) = cause(error)? else { return None };
    let problem = match why {
        Why::Expired | Why::ExpiredContext { .. } => "it has expired".to_owned(),
        Why::NotValidYet | Why::NotValidYetContext { .. } => "it is not valid yet".to_owned(),
        // The second: by one that only has the name of one that is trusted.
        Why::UnknownIssuer | Why::BadSignature => {
            format!("it is signed by no authority that is trusted here; {}", way.trust)
        }
        Why::NotValidForName | Why::NotValidForNameContext { .. } => {
            "it is for another host; connect by a name that is in it".to_owned()
        }
        Why::Revoked => "it was revoked".to_owned(),
        other => other.to_string(),
    };
    let reason = format!("the certificate of {} is refused: {problem}", way.server()).into();
    Some(StorageErrorKind::AuthenticationFailed { reason }.into())
}

/// What it means that no whole answer came, with a hint for a host that DNS does not know and for a
/// port without TLS: [`untrusted`], else [`Unreachable`](StorageErrorKind::Unreachable) where no
/// connection was made (`connected` is false), so that nothing was sent, else
/// [`Unavailable`](StorageErrorKind::Unavailable).
#[must_use]
pub fn no_answer(error: &(dyn Error + 'static), connected: bool, way: Way<'_>) -> StorageError {
    if let Some(error) = untrusted(error, way) {
        return error;
    }
    let seen: Cow<'static, str> = match (cause::<rustls::Error>(error), io_kind(error)) {
        (Some(rustls::Error::InvalidMessage(_)), _) => "what answers there does not speak TLS".into(),
        (Some(error), _) => format!("TLS failed: {error}").into(),
        (None, _) if is_of_dns(error) => "DNS does not know the host".into(),
        (None, None) if is_of_time(error) => "no connection in time".into(),
        (None, Some(kind)) => kind.to_string().into(),
        (None, None) => "the connection broke".into(),
    };
    match connected {
        true => StorageError::unavailable(format!("the connection ended before the answer did ({seen})")),
        false => {
            let reason = format!("{}: {seen}{}", way.server(), proxy_hint(&ProcessEnv)).into();
            StorageErrorKind::Unreachable { reason }.into()
        }
    }
}

/// Whether the name of the host could not be resolved. The clients have no type for it.
fn is_of_dns(error: &(dyn Error + 'static)) -> bool {
    causes(error).any(|cause| {
        let text = cause.to_string();
        text == "dns error" || text.starts_with("failed to lookup address information")
    })
}

/// Whether a client gave up. `reqwest` has no type for it that could be named here.
fn is_of_time(error: &(dyn Error + 'static)) -> bool {
    causes(error).any(|cause| cause.to_string() == "operation timed out")
}

/// What may explain a host that other programs reach.
fn proxy_hint(env: &dyn Env) -> String {
    let variables = ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"];
    match variables.iter().find(|name| env.get(name).is_some()) {
        Some(name) => {
            format!(" (`{name}` is set; only the AWS provider and clients of your own use such a proxy)")
        }
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WAY: Way<'_> =
        Way { address: Some("vault.example.com:8200"), trust: "give that authority as `ca_cert`" };

    /// As a client wraps it: an I/O error in one of its own.
    #[derive(Debug, thiserror::Error)]
    #[error("the request failed")]
    struct Wrapped(#[source] io::Error);

    fn of_tls(error: rustls::Error) -> Wrapped {
        Wrapped(io::Error::new(io::ErrorKind::InvalidData, error))
    }

    #[test]
    fn each_fault_of_a_certificate_is_told_apart() {
        for (why, said) in [
            (CertificateError::Expired, "it has expired"),
            (CertificateError::NotValidYet, "it is not valid yet"),
            (CertificateError::UnknownIssuer, "trusted here; give that authority as `ca_cert`"),
            (CertificateError::NotValidForName, "it is for another host"),
            (CertificateError::Revoked, "it was revoked"),
        ] {
            for connected in [true, false] {
                let error = no_answer(&of_tls(why.clone().into()), connected, WAY);
                assert!(matches!(error.kind(), StorageErrorKind::AuthenticationFailed { .. }), "{error}");
                assert!(error.to_string().contains(said), "{error}");
                assert!(error.to_string().contains("certificate of `vault.example.com:8200`"), "{error}");
                assert!(!error.is_transient());
            }
        }
    }

    #[test]
    fn what_the_system_said_is_found_below_the_clients_error() {
        let refused = Wrapped(io::ErrorKind::ConnectionRefused.into());
        let error = no_answer(&refused, false, WAY);
        assert!(matches!(error.kind(), StorageErrorKind::Unreachable { .. }), "{error}");
        assert!(error.to_string().contains("`vault.example.com:8200`: connection refused"), "{error}");

        let reset = Wrapped(io::Error::other(Wrapped(io::ErrorKind::ConnectionReset.into())));
        let error = no_answer(&reset, true, WAY);
        assert!(matches!(error.kind(), StorageErrorKind::Unavailable { .. }), "{error}");
        assert!(error.to_string().contains("connection reset"), "the innermost: {error}");
    }

    #[test]
    fn another_fault_of_tls_is_no_word_about_the_server() {
        let error = of_tls(rustls::Error::DecryptError);
        assert!(untrusted(&error, WAY).is_none());
        assert!(no_answer(&error, true, WAY).to_string().contains("TLS failed"));
    }

    #[test]
    fn a_name_that_dns_does_not_know_and_a_port_without_tls_are_named() {
        let dns =
            Wrapped(io::Error::other("failed to lookup address information: Name or service not known"));
        let text = no_answer(&dns, false, WAY).to_string();
        assert!(text.contains("`vault.example.com:8200`: DNS does not know the host"), "{text}");
        let plain = of_tls(rustls::InvalidMessage::InvalidContentType.into());
        let text = no_answer(&plain, false, WAY).to_string();
        assert!(text.contains("does not speak TLS"), "{text}");
    }

    #[test]
    fn a_proxy_variable_is_named_and_not_its_value() {
        let env = [("https_proxy", "http://user:hunter2@proxy")].into_iter().collect::<crate::MapEnv>();
        assert_eq!(
            proxy_hint(&env),
            " (`https_proxy` is set; only the AWS provider and clients of your own use such a proxy)"
        );
        assert_eq!(proxy_hint(&crate::MapEnv::default()), "");
    }
}
