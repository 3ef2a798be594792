//! Removes the session token from error responses before the SDK reads them.
//!
//! If a signature is wrong, AWS returns the request that should have been signed, including the
//! header with the token. The SDK logs each error response at TRACE.
//!
//! The length of the body is also limited here, before it is collected: the SDK has no limit.

use aws_sdk_secretsmanager::config::interceptors::{
    BeforeDeserializationInterceptorContextMut, BeforeTransmitInterceptorContextRef,
};
use aws_sdk_secretsmanager::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_secretsmanager::error::BoxError;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::config_bag::{Storable, StoreReplace};
use cred_core::{ExposeSecret, SecretString};
use cred_provider_kit::redact;
use futures_util::stream;
use http_body_util::{BodyExt as _, Limited, StreamBody};
use hyper::body::{Bytes, Frame};

/// The maximum length of a response in bytes, as for the other backends.
const MAX_RESPONSE_LEN: usize = 64 * 1_024 * 1_024;

#[derive(Debug)]
pub(super) struct Redaction;

/// The session token of the current request.
#[derive(Debug, Clone)]
struct SessionToken(SecretString);

impl Storable for SessionToken {
    type Storer = StoreReplace<Self>;
}

impl Intercept for Redaction {
    fn name(&self) -> &'static str {
        "cred redaction"
    }

    fn read_before_transmit(
        &self,
        context: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        cfg: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let token = context.request().headers().get("x-amz-security-token");
        if let Some(token) = token.filter(|token| !token.is_empty()) {
            cfg.interceptor_state().store_put(SessionToken(token.into()));
        }
        Ok(())
    }

    fn modify_before_deserialization(
        &self,
        context: &mut BeforeDeserializationInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        cfg: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let response = context.response_mut();
        let body = std::mem::replace(response.body_mut(), SdkBody::taken());
        let body = SdkBody::from_body_1_x(Limited::new(body, MAX_RESPONSE_LEN));
        let token = cfg.load::<SessionToken>().filter(|_| !response.status().is_success());
        *response.body_mut() = match token {
            Some(token) => without_token(body, token.clone()),
            None => body,
        };
        Ok(())
    }
}

/// Returns the body with the token removed.
fn without_token(body: SdkBody, SessionToken(token): SessionToken) -> SdkBody {
    let whole = async move {
        let bytes = body.collect().await?.to_bytes();
        let text = String::from_utf8_lossy(&bytes);
        let text = redact(&text, &[token.expose_secret()]).into_owned();
        Ok::<_, BoxError>(Frame::data(Bytes::from(text)))
    };
    SdkBody::from_body_1_x(StreamBody::new(stream::once(whole)))
}
