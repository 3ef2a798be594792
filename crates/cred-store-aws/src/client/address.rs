//! Host and port of the endpoint that the SDK uses, for errors. The SDK takes the endpoint from the
//! configuration, the environment, the profile or the region, and does not report it.

use std::sync::{Arc, OnceLock};

use aws_sdk_secretsmanager::config::interceptors::BeforeTransmitInterceptorContextRef;
use aws_sdk_secretsmanager::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_secretsmanager::error::BoxError;
use http::Uri;

/// The address, known after the first request. It is the same for all requests of a client.
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
            // Another request may already have set it, to the same address.
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
