//! The token endpoint, and the tokens that it issues.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};

use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::Settings;
use crate::clock::now;
use crate::refusal::Refusal;

/// The audience of tokens for Key Vault.
pub(crate) const RESOURCE: &str = "https://vault.azure.net";

pub(crate) struct Tokens {
    key: hmac::Key,
    next: AtomicU64,
    /// Tokens with a lower number are revoked.
    valid_from: AtomicU64,
}

impl Tokens {
    pub(crate) fn new() -> std::io::Result<Self> {
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new())
            .map_err(|_| std::io::Error::other("no randomness"))?;
        Ok(Self { key, next: AtomicU64::new(0), valid_from: AtomicU64::new(0) })
    }

    /// Revokes all tokens issued so far.
    pub(crate) fn revoke(&self) {
        self.valid_from.store(self.next.load(Ordering::SeqCst), Ordering::SeqCst);
    }

    /// Answers a request for a token.
    pub(crate) fn grant(
        &self,
        settings: &Settings,
        tenant: &str,
        form: &HashMap<String, String>,
    ) -> Result<Value, Refusal> {
        let field = |name: &str| form.get(name).map_or("", String::as_str);
        if tenant != settings.tenant_id {
            let text = format!(
                "AADSTS90002: Tenant '{tenant}' not found. Check to make sure you have the correct tenant ID"
            );
            return Err(refused(400, "invalid_request", 90_002, &text));
        }
        if field("grant_type") != "client_credentials" {
            return Err(refused(
                400,
                "unsupported_grant_type",
                70_003,
                "AADSTS70003: The app requested an unsupported grant type.",
            ));
        }
        if field("client_id") != settings.client_id {
            let text = format!(
                "AADSTS700016: Application with identifier '{}' was not found in the directory.",
                field("client_id")
            );
            return Err(refused(400, "unauthorized_client", 700_016, &text));
        }
        if field("client_secret") != settings.client_secret {
            let text = "AADSTS7000215: Invalid client secret provided. Ensure the secret being sent in the request is the client \
                        secret value, not the client secret ID.";
            return Err(refused(401, "invalid_client", 7_000_215, text));
        }
        let scope = field("scope").split(' ').find_map(|scope| scope.strip_suffix("/.default"));
        let Some(audience) = scope.filter(|scope| scope.starts_with("https://")) else {
            let text = "AADSTS1002012: The provided value for scope is not valid. Client credential flows must have a scope value \
                        with /.default suffixed to the resource identifier.";
            return Err(refused(400, "invalid_scope", 1_002_012, text));
        };
        let lifetime = settings.token_lifetime.as_secs();
        let token = self.issue(settings, audience);
        Ok(
            json!({"token_type": "Bearer", "expires_in": lifetime, "ext_expires_in": lifetime, "access_token": token}),
        )
    }

    /// Answers a request for a token of the managed identity. A header proves that it comes from
    /// the same machine.
    pub(crate) fn grant_identity(
        &self,
        settings: &Settings,
        header: Option<&str>,
        query: &HashMap<String, String>,
    ) -> Result<Value, Refusal> {
        if header != Some(&settings.identity_header) {
            return Err(no_identity(401, "X-IDENTITY-HEADER is missing or wrong"));
        }
        // Without a client id, it is the system-assigned identity.
        if query.get("client_id").is_some_and(|client| client != &settings.client_id) {
            let text = "No User Assigned or Delegated Managed Identity found for specified ClientId";
            return Err(no_identity(400, text));
        }
        let Some(audience) = query.get("resource").filter(|resource| resource.starts_with("https://")) else {
            return Err(no_identity(400, "resource is missing"));
        };
        let ends = now().saturating_add(settings.token_lifetime.as_secs()).to_string();
        let token = self.issue(settings, audience);
        Ok(json!({"token_type": "Bearer", "resource": audience, "expires_on": ends, "access_token": token}))
    }

    fn issue(&self, settings: &Settings, audience: &str) -> String {
        self.sign(&json!({
            "aud": audience,
            "appid": settings.client_id,
            "tid": settings.tenant_id,
            "exp": now().saturating_add(settings.token_lifetime.as_secs()),
            "jti": self.next.fetch_add(1, Ordering::SeqCst),
        }))
    }

    /// Checks that a request has a valid token for Key Vault. Otherwise returns the reason.
    pub(crate) fn check(&self, header: Option<&str>) -> Result<(), String> {
        let Some(token) = header.and_then(|header| header.strip_prefix("Bearer ")) else {
            return Err("AKV10000: Request is missing a Bearer or PoP token.".to_owned());
        };
        let Some(claims) = self.verified_claims(token) else {
            return Err("IDX10511: Signature validation failed.".to_owned());
        };
        let number = |name: &str| claims.get(name).and_then(Value::as_u64).unwrap_or_default();
        let audience = claims.get("aud").and_then(Value::as_str).unwrap_or_default();
        if audience.trim_end_matches('/') != RESOURCE {
            return Err(format!("AKV10022: Invalid audience. Expected {RESOURCE}, found: {audience}."));
        }
        if number("exp") <= now() {
            return Err("[TokenExpired] Error validating token: 'S2S12086'.".to_owned());
        }
        if number("jti") < self.valid_from.load(Ordering::SeqCst) {
            return Err("[TokenRevoked] Error validating token: it was revoked.".to_owned());
        }
        Ok(())
    }

    fn sign(&self, claims: &Value) -> String {
        let encode = |text: &str| BASE64_URL_SAFE_NO_PAD.encode(text);
        let body = format!("{}.{}", encode(r#"{"alg":"HS256","typ":"JWT"}"#), encode(&claims.to_string()));
        let signature = hmac::sign(&self.key, body.as_bytes());
        format!("{body}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature.as_ref()))
    }

    fn verified_claims(&self, token: &str) -> Option<Value> {
        let (body, signature) = token.rsplit_once('.')?;
        let signature = BASE64_URL_SAFE_NO_PAD.decode(signature).ok()?;
        hmac::verify(&self.key, body.as_bytes(), &signature).ok()?;
        let claims = BASE64_URL_SAFE_NO_PAD.decode(body.split_once('.')?.1).ok()?;
        serde_json::from_slice(&claims).ok()
    }
}

/// A refusal in the format of App Service.
fn no_identity(status: u16, message: &str) -> Refusal {
    let correlation = "0a1b2c3d-0000-0000-0000-000000000000";
    let body = json!({"statusCode": status, "message": message, "correlationId": correlation});
    Refusal { status, body, headers: Vec::new() }
}

/// A refusal in the format of Entra, with line ends in its description.
fn refused(status: u16, error: &str, code: u32, description: &str) -> Refusal {
    let description = format!(
        "{description}\r\nTrace ID: 0a1b2c3d-0000-0000-0000-000000000000\r\nCorrelation ID: \
         4e5f6a7b-0000-0000-0000-000000000000\r\nTimestamp: 2026-01-01 00:00:00Z"
    );
    let body = json!({"error": error, "error_description": description, "error_codes": [code]});
    Refusal { status, body, headers: Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant(tokens: &Tokens, settings: &Settings, scope: &str) -> Result<String, Refusal> {
        let form = HashMap::from(
            [
                ("grant_type", "client_credentials"),
                ("client_id", &settings.client_id),
                ("client_secret", &settings.client_secret),
                ("scope", scope),
            ]
            .map(|(name, value)| (name.to_owned(), value.to_owned())),
        );
        let answer = tokens.grant(settings, &settings.tenant_id, &form)?;
        Ok(format!("Bearer {}", answer["access_token"].as_str().unwrap_or_default()))
    }

    #[test]
    fn signature_audience_expiry_and_revocation_are_checked() {
        let (tokens, settings) = (Tokens::new().unwrap(), Settings::default());
        let good = grant(&tokens, &settings, "https://vault.azure.net/.default").unwrap();
        assert!(tokens.check(Some(&good)).is_ok());
        assert!(tokens.check(None).unwrap_err().contains("AKV10000"));
        let other = Tokens::new().unwrap();
        assert!(other.check(Some(&good)).unwrap_err().contains("Signature"));
        let elsewhere = grant(&tokens, &settings, "https://management.azure.com/.default").unwrap();
        assert!(tokens.check(Some(&elsewhere)).unwrap_err().contains("AKV10022"));
        let ended = Settings { token_lifetime: std::time::Duration::ZERO, ..Settings::default() };
        let ended = grant(&tokens, &ended, "https://vault.azure.net/.default").unwrap();
        assert!(tokens.check(Some(&ended)).unwrap_err().contains("Expired"));
        tokens.revoke();
        assert!(tokens.check(Some(&good)).unwrap_err().contains("Revoked"));
        let next = grant(&tokens, &settings, "https://vault.azure.net/.default").unwrap();
        assert!(tokens.check(Some(&next)).is_ok());
    }

    #[test]
    fn a_wrong_client_is_refused_with_its_code() {
        let (tokens, settings) = (Tokens::new().unwrap(), Settings::default());
        let wrong = Settings { client_secret: "wrong".to_owned(), ..Settings::default() };
        let form = HashMap::from(
            [
                ("grant_type", "client_credentials"),
                ("client_id", &wrong.client_id),
                ("client_secret", "wrong"),
            ]
            .map(|(name, value)| (name.to_owned(), value.to_owned())),
        );
        let refusal = tokens.grant(&settings, &settings.tenant_id, &form).unwrap_err();
        assert_eq!(refusal.status, 401);
        assert_eq!(refusal.body["error_codes"][0], 7_000_215);
        assert_eq!(tokens.grant(&settings, "other", &form).unwrap_err().body["error_codes"][0], 90_002);
    }
}
