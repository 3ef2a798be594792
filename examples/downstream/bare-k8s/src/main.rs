//! A secret in Kubernetes, by `kube` alone.

use std::error::Error;

use k8s_openapi::api::core::v1::Secret;
use kube::Client;
use kube::api::{Api, Patch, PatchParams};
use serde_json::json;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let secrets: Api<Secret> = Api::default_namespaced(Client::try_default().await?);
    let secret = json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "bare-stripe-api-key"},
        "stringData": {"value": "sk_live_example"},
    });
    secrets.patch("bare-stripe-api-key", &PatchParams::apply("bare-k8s"), &Patch::Apply(&secret)).await?;
    let found = secrets.get("bare-stripe-api-key").await?.data.unwrap_or_default();
    println!("stripe-api-key: {} characters", found.get("value").ok_or("it is gone")?.0.len());
    Ok(())
}
