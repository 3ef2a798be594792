//! What Vault answers, and its configuration.
#![no_main]

use std::sync::LazyLock;

use cred_core::ProviderConfig as _;
use cred_fuzz::{Backend, CANARY, TIMEOUT, once, silent, silent_text};
use cred_store_vault::{HashiCorpVaultProvider, VaultAuthMethod, VaultConfig};
use libfuzzer_sys::fuzz_target;

const TOKEN: &str = "hvs.fuzzfuzzfuzzfuzzfuzzfuzz";

static VAULT: LazyLock<Backend> = LazyLock::new(|| {
    // The token is asked once for its life: it has no end.
    let beside = &[("/v1/auth/token/lookup-self", r#"{"data":{"ttl":0,"renewable":false}}"#)];
    Backend::served(
        TOKEN,
        |path, text| text == path.id.as_str(),
        beside,
        |address| {
            let config = VaultConfig::default()
                .with_address(format!("http://{address}"))
                .with_auth_method(VaultAuthMethod::token(TOKEN.into()))
                .with_timeout(TIMEOUT)
                .with_operation_timeout(TIMEOUT)
                .with_retry_policy(once());
            Box::new(HashiCorpVaultProvider::new(config).expect("a valid configuration"))
        },
    )
});

fuzz_target!(|input: &[u8]| {
    config(input);
    VAULT.judge(input);
});

/// No secret of a configuration is printed.
fn config(input: &[u8]) {
    let Ok(config) = serde_json::from_slice::<VaultConfig>(input) else { return };
    let (once, twice) = (config.validate(), config.validate());
    assert_eq!(once, twice);
    if String::from_utf8_lossy(input).contains(CANARY) {
        return;
    }
    let config = config.with_auth_method(VaultAuthMethod::token(CANARY.into()));
    silent_text(&format!("{config:?}"));
    if let Err(error) = config.validate() {
        silent(&error);
    }
}
