//! The routes. A credential goes in and the service uses it; no response contains a secret.

use axum::extract::{FromRequestParts, Path, Query, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use cred::{Credential, CredentialId, CredentialManager, ErrorClass, Revision, RotationPolicy, ScopeId};
use metrics_exporter_prometheus::PrometheusHandle;
use serde::Deserialize;
use serde_json::json;
use subtle::ConstantTimeEq;

use crate::failure::Failure;

pub fn router(manager: CredentialManager, metrics: PrometheusHandle) -> Router {
    Router::new()
        .route("/tenants/{tenant}/credentials/{id}", get(show).put(store).delete(delete))
        .route("/tenants/{tenant}/credentials/{id}/verify", post(verify))
        .route("/metrics", get(async move || metrics.render()))
        .route("/readyz", get(ready))
        .with_state(manager)
}

/// The credential that the path names. Handlers take this and never the manager itself, so each of
/// them is limited to one tenant.
struct Slot {
    tenant: CredentialManager,
    id: CredentialId,
}

impl FromRequestParts<CredentialManager> for Slot {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, manager: &CredentialManager) -> Result<Self, Response> {
        let path = Path::<(String, String)>::from_request_parts(parts, manager).await;
        let Path((tenant, id)) = path.map_err(IntoResponse::into_response)?;
        // A real service checks here that the caller may act for the tenant. `ScopeId::new` takes
        // the name as one value: `acme/team:x` is an error, not a scope inside acme.
        let open = || Ok(Self { tenant: manager.scoped(ScopeId::new("org", &tenant)?)?, id: id.parse()? });
        open().map_err(|failure: Failure| failure.into_response())
    }
}

#[derive(Deserialize)]
struct Policy {
    rotation: Option<RotationPolicy>,
}

/// Stores the body, for the job to rotate with `?rotation=every:90d`. With `If-Match`, it replaces
/// only the value that the client has seen, and with `If-None-Match: *` none.
async fn store(
    Slot { tenant, id }: Slot,
    Query(policy): Query<Policy>,
    headers: HeaderMap,
    secret: String,
) -> Result<Response, Failure> {
    let credential = Credential::api_key(secret).with_rotation(policy.rotation);
    let revision = |tag: &HeaderValue| Revision::new(tag.to_str().unwrap_or_default().trim_matches('"'));
    let seen = headers.get(header::IF_MATCH).map(revision);
    if seen.is_none() && !headers.contains_key(header::IF_NONE_MATCH) {
        tenant.store(&id, credential).await?;
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    match tenant.store_if(&id, seen.as_ref(), credential).await {
        Err(error) if error.class() == ErrorClass::Conflict => {
            Ok(StatusCode::PRECONDITION_FAILED.into_response())
        }
        stored => Ok((StatusCode::NO_CONTENT, etag(&stored?)).into_response()),
    }
}

/// Returns facts about a credential, and its ETag where the backend has revisions. Never the
/// secret: a value that can be read back over HTTP ends up in browsers, proxies and logs.
async fn show(Slot { tenant, id }: Slot) -> Result<Response, Failure> {
    let found = match tenant.supports_conditional_updates() {
        true => tenant.retrieve_versioned(&id).await?.map(|found| (found.value, Some(found.revision))),
        false => tenant.retrieve(&id).await?.map(|credential| (credential, None)),
    };
    let Some((credential, revision)) = found else { return Ok(StatusCode::NOT_FOUND.into_response()) };
    let facts = json!({
        "characters": credential.expose_secret()?.chars().count(),
        "version": credential.lifecycle().map(|stored| stored.version),
        "rotation": credential.rotation(),
    });
    Ok((revision.as_ref().map(etag), Json(facts)).into_response())
}

fn etag(revision: &Revision) -> [(header::HeaderName, String); 1] {
    [(header::ETAG, format!("\"{revision}\""))]
}

async fn delete(Slot { tenant, id }: Slot) -> Result<StatusCode, Failure> {
    tenant.delete(&id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Compares the body with the stored secret. This stands for the requests that need a credential:
/// most of them get it from the cache.
async fn verify(Slot { tenant, id }: Slot, presented: String) -> Result<StatusCode, Failure> {
    let Some(stored) = tenant.retrieve(&id).await? else { return Ok(StatusCode::NOT_FOUND) };
    let is_equal = stored.expose_secret()?.as_bytes().ct_eq(presented.as_bytes());
    Ok(if is_equal.into() { StatusCode::NO_CONTENT } else { StatusCode::FORBIDDEN })
}

/// Ready if the backend can be read.
async fn ready(State(manager): State<CredentialManager>) -> Result<StatusCode, Failure> {
    manager.check_ready().await?;
    Ok(StatusCode::NO_CONTENT)
}
