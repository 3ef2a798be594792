//! Errors as answers.

use std::error::Error;

use axum::http::{StatusCode, header::RETRY_AFTER};
use axum::response::{IntoResponse, Response};

/// Why a request failed. Every type that converts into [`cred::Error`] converts into it.
pub struct Failure(cred::Error);

impl<E: Into<cred::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl IntoResponse for Failure {
    /// Error messages contain no secret, but they name paths and backends: they are for the log
    /// alone.
    fn into_response(self) -> Response {
        let error: &(dyn Error + 'static) = &self.0; // tracing records the sources of this type
        let hint = StatusCode::from_u16(self.0.http_status_hint());
        let status = hint.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        match status.is_server_error() {
            true => tracing::error!(error, %status, "a request failed"),
            false => tracing::info!(error, %status, "a request was refused"),
        }
        let pause = self.0.retry_after().map(|pause| pause.as_secs_f64().ceil().to_string());
        (status, pause.map(|seconds| [(RETRY_AFTER, seconds)]), ()).into_response()
    }
}
