//! Why no whole answer came, read from the causes of a client's error; with the feature `tls`.

use std::borrow::Cow;
use std::error::Error;
use std::io;
use std::iter;

use cred_core::{StorageError, StorageErrorKind};
use rustls::CertificateError;

/// An error and its causes, the outermost first. An I/O error keeps its cause where `source` does not give it.
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

/// Why the server was not believed to be who it says, where that is what failed: an
/// [`AuthenticationFailed`](StorageErrorKind::AuthenticationFailed) that tells an expired certificate, one of an unknown
/// authority and one of another host apart. `trust` says what to do about an authority that is not trusted, as "give that authority
/// as `ca_cert`".
#[must_use]
pub fn untrusted(error: &(dyn Error + 'static), trust: &str) -> Option<StorageError> {
    use CertificateError as Why;
    let rustls::Error::InvalidCertificate(why) = cause(error)? else { return None };
    let problem = match why {
        Why::Expired | Why::ExpiredContext { .. } => "it has expired".to_owned(),
        Why::NotValidYet | Why::NotValidYetContext { .. } => "it is not valid yet".to_owned(),
        // The second: by one that only has the name of one that is trusted.
        Why::UnknownIssuer | Why::BadSignature => {
            format!("it is signed by no authority that is trusted here; {trust}")
        }
        Why::NotValidForName | Why::NotValidForNameContext { .. } => {
            "it is for another host; connect by a name that is in it".to_owned()
        }
        Why::Revoked => "it was revoked".to_owned(),
        other => other.to_string(),
    };
    let reason = format!("the server's certificate is refused: {problem}").into();
    Some(StorageErrorKind::AuthenticationFailed { reason }.into())
}

/// What it means that no whole answer came: [`untrusted`], else [`Unreachable`](StorageErrorKind::Unreachable) where no
/// connection was made (`connected` is false), so that nothing was sent, else [`Unavailable`](StorageErrorKind::Unavailable).
#[must_use]
pub fn no_answer(error: &(dyn Error + 'static), connected: bool, trust: &str) -> StorageError {
    if let Some(error) = untrusted(error, trust) {
        return error;
    }
    let seen: Cow<'static, str> = match (cause::<rustls::Error>(error), io_kind(error)) {
        (Some(error), _) => format!("TLS failed: {error}").into(),
        (None, Some(kind)) => kind.to_string().into(),
        (None, None) => "the connection broke".into(),
    };
    match connected {
        true => StorageError::unavailable(format!("the connection ended before the answer did ({seen})")),
        false => StorageErrorKind::Unreachable { reason: seen }.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRUST: &str = "give that authority as `ca_cert`";

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
                let error = no_answer(&of_tls(why.clone().into()), connected, TRUST);
                assert!(matches!(error.kind(), StorageErrorKind::AuthenticationFailed { .. }), "{error}");
                assert!(error.to_string().contains(said), "{error}");
                assert!(!error.is_transient());
            }
        }
    }

    #[test]
    fn what_the_system_said_is_found_below_the_clients_error() {
        let refused = Wrapped(io::ErrorKind::ConnectionRefused.into());
        let error = no_answer(&refused, false, TRUST);
        assert!(matches!(error.kind(), StorageErrorKind::Unreachable { .. }), "{error}");
        assert!(error.to_string().contains("connection refused"), "{error}");

        let reset = Wrapped(io::Error::other(Wrapped(io::ErrorKind::ConnectionReset.into())));
        let error = no_answer(&reset, true, TRUST);
        assert!(matches!(error.kind(), StorageErrorKind::Unavailable { .. }), "{error}");
        assert!(error.to_string().contains("connection reset"), "the innermost: {error}");
    }

    #[test]
    fn another_fault_of_tls_is_no_word_about_the_server() {
        let error = of_tls(rustls::Error::DecryptError);
        assert!(untrusted(&error, TRUST).is_none());
        assert!(no_answer(&error, true, TRUST).to_string().contains("TLS failed"));
    }
}
