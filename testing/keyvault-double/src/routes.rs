//! Routes requests, and parses their queries and bodies.

use std::collections::HashMap;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::refusal::Refusal;
use crate::server::Vault;
use crate::store::{Properties, RequestContext, SecretList};
use crate::tokens::RESOURCE;

/// Maximum number of entries in a page of a list.
const PAGE_SIZE: usize = 25;

/// A complete request.
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) query: String,
    /// Host and port from the `Host` header.
    pub(crate) host: String,
    pub(crate) authorization: Option<String>,
    pub(crate) identity_header: Option<String>,
    pub(crate) body: Vec<u8>,
}

/// The status of a successful response, and its body unless that is empty.
pub(crate) type Success = (u16, Value);

impl Vault {
    pub(crate) fn respond_to(&self, request: &Request) -> Result<Success, Refusal> {
        let segments: Vec<&str> = request.path.split('/').filter(|segment| !segment.is_empty()).collect();
        match (request.method.as_str(), segments.as_slice()) {
            (method, ["double", rest @ ..]) => self.control_route(method, rest, &fields(&request.query)),
            ("POST", [tenant, "oauth2", "v2.0", "token"]) => {
                self.control.count_token_request();
                let form = fields(&String::from_utf8_lossy(&request.body));
                Ok((200, self.tokens.grant(&self.settings, tenant, &form)?))
            }
            ("GET", ["msi", "token"]) => {
                self.control.count_token_request();
                let header = request.identity_header.as_deref();
                Ok((200, self.tokens.grant_identity(&self.settings, header, &fields(&request.query))?))
            }
            ("GET", [tenant, "v2.0", ".well-known", "openid-configuration"]) => {
                Ok((200, discovery(&request.host, tenant)))
            }
            (method, segments) => {
                if let Some(refusal) = self.control.count_vault_request() {
                    return Err(refusal);
                }
                self.authorized(request)?;
                self.secrets(method, segments, request)
            }
        }
    }

    fn authorized(&self, request: &Request) -> Result<(), Refusal> {
        self.tokens.check(request.authorization.as_deref()).map_err(|reason| {
            let authorization = format!("https://{}/{}", request.host, self.settings.tenant_id);
            let challenge = format!("Bearer authorization=\"{authorization}\", resource=\"{RESOURCE}\"");
            Refusal::new(401, "Unauthorized", reason).header("WWW-Authenticate", challenge)
        })
    }

    fn secrets(&self, method: &str, segments: &[&str], request: &Request) -> Result<Success, Refusal> {
        let query = fields(&request.query);
        if query.get("api-version").is_none_or(String::is_empty) {
            return Err(Refusal::bad("api-version must be specified"));
        }
        let context = &RequestContext { base: format!("https://{}", request.host), settings: &self.settings };
        let mut store = self.store();
        match segments {
            ["secrets"] | ["deletedsecrets"] => {}
            [_, name, ..] => check_name(name)?,
            _ => {}
        }
        match (method, segments) {
            ("GET", ["secrets"]) => {
                let (after, page_size) = paging(&query)?;
                let (page, after) = store.list(context, SecretList::Live, after.as_deref(), page_size);
                Ok((200, list_body(context, "secrets", &query, page, after)))
            }
            ("GET", ["deletedsecrets"]) => {
                let (after, page_size) = paging(&query)?;
                let (page, after) = store.list(context, SecretList::Deleted, after.as_deref(), page_size);
                Ok((200, list_body(context, "deletedsecrets", &query, page, after)))
            }
            ("GET", ["secrets", name, "versions"]) => {
                let (after, page_size) = paging(&query)?;
                let after =
                    after.map_or(Ok(0), |after| after.parse()).map_err(|_| Refusal::bad("$skiptoken"))?;
                let (page, after) = store.versions(context, name, after, page_size)?;
                Ok((200, list_body(context, &format!("secrets/{name}/versions"), &query, page, after)))
            }
            ("PUT", ["secrets", name]) => {
                let (value, properties) = set_body(&request.body)?;
                Ok((200, store.set(context, name, value, properties)?))
            }
            ("GET", ["secrets", name]) => Ok((200, store.get(context, name, None)?)),
            ("GET", ["secrets", name, version]) => Ok((200, store.get(context, name, Some(version))?)),
            ("PATCH", ["secrets", name]) => {
                Ok((200, store.update(context, name, None, update_body(&request.body)?)?))
            }
            ("PATCH", ["secrets", name, version]) => {
                Ok((200, store.update(context, name, Some(version), update_body(&request.body)?)?))
            }
            ("DELETE", ["secrets", name]) => Ok((200, store.delete(context, name)?)),
            ("GET", ["deletedsecrets", name]) => Ok((200, store.get_deleted(context, name)?)),
            ("DELETE", ["deletedsecrets", name]) => store.purge(context, name).map(|()| (204, Value::Null)),
            ("POST", ["deletedsecrets", name, "recover"]) => Ok((200, store.recover(context, name)?)),
            _ => Err(Refusal::new(405, "BadParameter", "This double does not support the method or path")),
        }
    }

    /// Handles the paths that control the double and do not exist in Azure.
    fn control_route(
        &self,
        method: &str,
        segments: &[&str],
        query: &HashMap<String, String>,
    ) -> Result<Success, Refusal> {
        let number = |name: &str| query.get(name).and_then(|text| text.parse::<u64>().ok());
        match (method, segments) {
            ("GET", ["health"]) => {
                Ok((200, json!({"double": "Azure Key Vault", "version": env!("CARGO_PKG_VERSION")})))
            }
            ("POST", ["revoke-tokens"]) => {
                self.tokens.revoke();
                Ok((204, Value::Null))
            }
            ("POST", ["refuse"]) => {
                let refusal = match number("status") {
                    Some(429) => Refusal::throttled(number("retry-after")),
                    Some(503) => Refusal::unavailable(),
                    _ => return Err(Refusal::bad("status must be 429 or 503")),
                };
                let times = number("times").and_then(|times| usize::try_from(times).ok());
                self.control.refuse(&refusal, times.unwrap_or(1));
                Ok((204, Value::Null))
            }
            _ => Err(Refusal::new(404, "NotFound", "the double has no such control path")),
        }
    }
}

fn discovery(host: &str, tenant: &str) -> Value {
    let base = format!("https://{host}/{tenant}");
    json!({
        "issuer": format!("{base}/v2.0"),
        "authorization_endpoint": format!("{base}/oauth2/v2.0/authorize"),
        "token_endpoint": format!("{base}/oauth2/v2.0/token"),
    })
}

fn check_name(name: &str) -> Result<(), Refusal> {
    let good = (1..=127).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    match good {
        true => Ok(()),
        false => Err(Refusal::bad(format!("The request URI contains an invalid name: {name}"))),
    }
}

fn paging(query: &HashMap<String, String>) -> Result<(Option<String>, usize), Refusal> {
    let page_size = match query.get("maxresults") {
        None => PAGE_SIZE,
        Some(text) => match text.parse() {
            Ok(page_size) if (1..=PAGE_SIZE).contains(&page_size) => page_size,
            _ => return Err(Refusal::bad("maxresults must be 1 to 25")),
        },
    };
    let after = query.get("$skiptoken").map(|token| {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(token).ok()?;
        String::from_utf8(bytes).ok()
    });
    match after {
        Some(None) => Err(Refusal::bad("$skiptoken is not one of this vault")),
        after => Ok((after.flatten(), page_size)),
    }
}

fn list_body(
    context: &RequestContext<'_>,
    path: &str,
    query: &HashMap<String, String>,
    page: Vec<Value>,
    after: Option<String>,
) -> Value {
    let next = after.map(|after| {
        let version = query.get("api-version").map_or("", String::as_str);
        let token = BASE64_URL_SAFE_NO_PAD.encode(after);
        let page_size = query.get("maxresults").map_or_else(|| PAGE_SIZE.to_string(), Clone::clone);
        format!("{}/{path}?api-version={version}&$skiptoken={token}&maxresults={page_size}", context.base)
    });
    json!({"value": page, "nextLink": next})
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Body {
    value: Option<String>,
    content_type: Option<String>,
    tags: Option<Map<String, Value>>,
    attributes: Option<Attributes>,
}

#[derive(Deserialize)]
struct Attributes {
    enabled: Option<bool>,
    exp: Option<u64>,
    nbf: Option<u64>,
}

fn set_body(bytes: &[u8]) -> Result<(String, Properties), Refusal> {
    let mut body = parse(bytes)?;
    let value = body.value.take().ok_or_else(|| Refusal::bad("value is required"))?;
    if value.len() > 25 * 1_024 {
        return Err(Refusal::bad("Secret value size exceeds the limit of 25600 bytes"));
    }
    Ok((value, properties(body)?))
}

fn update_body(bytes: &[u8]) -> Result<Properties, Refusal> {
    properties(parse(bytes)?)
}

fn parse(bytes: &[u8]) -> Result<Body, Refusal> {
    serde_json::from_slice(bytes).map_err(|_| Refusal::bad("The request body is not the JSON of a secret"))
}

fn properties(body: Body) -> Result<Properties, Refusal> {
    let Body { content_type, tags, attributes, .. } = body;
    let short = |text: &str| text.chars().count() <= 256;
    if tags.as_ref().is_some_and(|tags| tags.len() > 15) {
        return Err(Refusal::bad("The number of tags exceeds the limit of 15"));
    }
    if tags.iter().flatten().any(|(key, value)| !short(key) || !value.as_str().is_some_and(short)) {
        return Err(Refusal::bad("A tag exceeds the limit of 256 characters"));
    }
    let mut properties = Properties { content_type, tags, ..Properties::default() };
    if let Some(Attributes { enabled, exp, nbf }) = attributes {
        (properties.enabled, properties.expires, properties.not_before) = (enabled, exp, nbf);
    }
    Ok(properties)
}

/// Parses the fields of a form or a query.
fn fields(text: &str) -> HashMap<String, String> {
    let pairs = text.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decoded(name), decoded(value))
        })
        .collect()
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        rest = after;
        match (*first, after) {
            (b'+', _) => bytes.push(b' '),
            (b'%', [high, low, after @ ..]) => {
                let digit =
                    |byte: &u8| char::from(*byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
                if let (Some(high), Some(low)) = (digit(high), digit(low)) {
                    bytes.push(high << 4 | low);
                    rest = after;
                }
            }
            (byte, _) => bytes.push(byte),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn form_fields_are_decoded() {
        let form =
            fields("client_secret=a%2Bb+c%25&scope=https%3A%2F%2Fvault.azure.net%2F.default&empty=&flag");
        assert_eq!(form["client_secret"], "a+b c%");
        assert_eq!(form["scope"], "https://vault.azure.net/.default");
        assert_eq!((form["empty"].as_str(), form["flag"].as_str()), ("", ""));
    }

    #[test]
    fn limits_are_those_of_azure() {
        let long = "x".repeat(25 * 1_024 + 1);
        assert!(set_body(json!({"value": &long[1..]}).to_string().as_bytes()).is_ok());
        assert!(set_body(json!({"value": long}).to_string().as_bytes()).is_err());
        let tags = |count: usize| (0..count).map(|n| (n.to_string(), json!("v"))).collect::<Map<_, _>>();
        assert!(set_body(json!({"value": "", "tags": tags(15)}).to_string().as_bytes()).is_ok());
        assert!(set_body(json!({"value": "", "tags": tags(16)}).to_string().as_bytes()).is_err());
        assert!(
            set_body(json!({"value": "", "tags": {"k": "v".repeat(257)}}).to_string().as_bytes()).is_err()
        );
        assert!(check_name(&"n".repeat(127)).is_ok());
        for name in ["", "a_b", "..", &"n".repeat(128)] {
            assert!(check_name(name).is_err(), "{name}");
        }
    }
}
