//! Host and port of the endpoint that the SDK has chosen, for errors. The SDK takes it from the
//! configuration, the environment, the profile or the region, and does not report which.

use std::sync::{Arc, OnceLock};

use aws_sdk_secretsmanager::config::interceptors::BeforeTransmitInterceptorContextRef;
use aws_sdk_secretsmanager::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_secretsmanager::error::BoxError;
use http::Uri;

/// Known once a request was sent. It is the same for all requests of a client.
#[derive(Debug, Clone, Default)]
pub(super) struct Address(Arc<OnceLock<String>>);

impl Address {
    pub(super) fn get(&self) -> Option<&str> {
        self.0.get().map(String::as_str)
    }
}

impl Intercept for Address {
    fn name(&self) -> &'static str {
        "cred address"
    }

    fn read_before_transmit(
        &self,
        context: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if self.0.get().is_none()
            && let Some(address) = host_and_port(context.request().uri())
        {
            // Another request may have been quicker, with the same address.
            let _ = self.0.set(address);
        }
        Ok(())
    }
}

fn host_and_port(uri: &str) -> Option<String> {
    let uri: Uri = uri.parse().ok()?;
    let default = if uri.scheme_str() == Some("http") { 80 } else { 443 };
    Some(format!("{}:{}", uri.host()?, uri.port_u16().unwrap_or(default)))
}
