//! The conformance suite, for both ways to delete and for hashed names.

use std::sync::Arc;

use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::config::retry::RetryConfig;
use aws_sdk_secretsmanager::types::Filter;
use cred_conformance::{Edit, Effort, Harness, Subject};
use cred_core::{CredentialPath, async_trait};
use cred_fault_proxy::Proxy;
use cred_provider_kit::naming::{AWS, Names};
use cred_store_aws::AwsSecretsManagerConfig;

use crate::client::{ACCESS_KEY, SECRET_KEY, SESSION_TOKEN, sdk};
use crate::server::{config, provider, server};

struct Aws {
    /// Direct access, without the provider.
    sdk: Client,
    proxy: Proxy,
    config: AwsSecretsManagerConfig,
}

impl Aws {
    async fn with(config: AwsSecretsManagerConfig) -> Self {
        // moto responds with 500 if another test writes while it searches all its secrets.
        let patient = RetryConfig::standard().with_max_attempts(10);
        let sdk = Client::from_conf(sdk(server()).config().to_builder().retry_config(patient).build());
        Self { sdk, proxy: Proxy::start(server()).await.unwrap(), config }
    }

    /// Permanent deletions, and default tags, which leave fewer tags to credentials.
    async fn start() -> Self {
        let tags = [("managed-by", "cred")];
        Self::with(config().with_recovery_window_days(None).with_default_tags(tags)).await
    }

    /// Deletions that can be recovered.
    async fn start_soft() -> Self {
        Self::with(config()).await
    }

    /// A prefix that leaves no room: every name is hashed.
    async fn start_hashed() -> Self {
        let config = config();
        let prefix = format!("{}{}/", config.secret_prefix, "p".repeat(457 - config.secret_prefix.len()));
        Self::with(config.with_secret_prefix(prefix)).await
    }

    fn provider(&self) -> Arc<dyn Subject> {
        Arc::new(provider(self.config.clone(), self.proxy.address()))
    }

    fn name(&self, path: &CredentialPath) -> String {
        let names = Names::new(AWS, "secret_prefix", &self.config.secret_prefix).unwrap();
        names.encode(path.as_path_ref()).text
    }
}

#[async_trait]
impl Harness for Aws {
    async fn open(&self) -> Arc<dyn Subject> {
        self.provider()
    }

    async fn reopen(&self) -> Option<Arc<dyn Subject>> {
        Some(self.provider())
    }

    async fn edit_raw(&self, path: &CredentialPath, edit: Edit<'_>) -> bool {
        let (sdk, name) = (&self.sdk, self.name(path));
        let Ok(secret) = sdk.get_secret_value().secret_id(&name).send().await else { return false };
        let edited = edit(secret.secret_string.unwrap().into_bytes());
        // Secrets Manager cannot store an empty value, and as a text only UTF-8. The replacements
        // are as invalid as the edit.
        let edited = Some(String::from_utf8_lossy(&edited).into_owned()).filter(|text| !text.is_empty());
        let edited = edited.unwrap_or_else(|| " ".to_owned());
        sdk.put_secret_value().secret_id(&name).secret_string(edited).send().await.unwrap();
        true
    }

    async fn outage(&self, down: bool) -> bool {
        match down {
            true => self.proxy.refuse().await,
            false => self.proxy.admit().unwrap(),
        }
        true
    }

    fn backend_secrets(&self) -> Vec<String> {
        [ACCESS_KEY, SECRET_KEY, SESSION_TOKEN].map(str::to_owned).into()
    }

    fn physical_name(&self, path: &CredentialPath) -> Option<String> {
        Some(self.name(path))
    }

    fn effort(&self) -> Effort {
        Effort::default().with_list_entries(120).with_rounds(20)
    }

    /// Deletes the secrets of the test, because moto searches all secrets at each call.
    async fn close(&self) {
        let sdk = &self.sdk;
        let ours = Filter::builder().key("name".into()).values(&self.config.secret_prefix).build();
        let mut pages =
            sdk.list_secrets().filters(ours).include_planned_deletion(true).into_paginator().send();
        let mut names = Vec::new();
        while let Some(page) = pages.next().await {
            let secrets = page.unwrap().secret_list.unwrap_or_default();
            names.extend(secrets.into_iter().filter_map(|secret| secret.name));
        }
        for name in names {
            let delete = sdk.delete_secret().secret_id(name).force_delete_without_recovery(true);
            delete.send().await.unwrap();
        }
    }
}

cred_conformance::suite!(
    #[ignore = "needs a real server: cargo xtask test-integration aws"]
    Aws::start().await,
    offers: [metrics, payload_limit, tag_limits, reopen, raw_edit, outage, backend_secrets]
);

mod soft {
    use super::Aws;

    cred_conformance::suite!(
        #[ignore = "needs a real server: cargo xtask test-integration aws"]
        Aws::start_soft().await,
        offers: [soft_delete, metrics, payload_limit, reopen, raw_edit, outage, backend_secrets]
    );
}

mod hashed {
    use super::Aws;

    cred_conformance::suite!(
        #[ignore = "needs a real server: cargo xtask test-integration aws"]
        Aws::start_hashed().await,
        offers: [soft_delete, metrics, payload_limit, reopen, raw_edit, outage, backend_secrets]
    );
}
