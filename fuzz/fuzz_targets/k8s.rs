//! What a Kubernetes API server answers, and its configuration.
#![no_main]

use std::path::PathBuf;
use std::sync::LazyLock;

use cred_core::ProviderConfig as _;
use cred_fuzz::{Backend, TIMEOUT, once};
use cred_provider_kit::naming::{KUBERNETES as RULES, Names};
use cred_store_k8s::{KubernetesSecretsConfig, KubernetesSecretsProvider};
use libfuzzer_sys::fuzz_target;

const TOKEN: &str = "token-fuzzfuzzfuzzfuzz";
const PREFIX: &str = "nebula-cred-";

static NAMES: LazyLock<Names> =
    LazyLock::new(|| Names::new(RULES, "secret_prefix", PREFIX).expect("a prefix"));

/// Where the kubeconfig of a server is.
static FOLDER: LazyLock<tempfile::TempDir> = LazyLock::new(cred_fuzz::folder);

static CLUSTER: LazyLock<Backend> = LazyLock::new(|| {
    Backend::served(
        TOKEN,
        |path, text| NAMES.encode(path.as_ref()).text == text,
        &[],
        |address| {
            let config = KubernetesSecretsConfig::default()
                .with_kubeconfig_path(kubeconfig(&format!("http://{address}")))
                .with_secret_prefix(PREFIX)
                .with_timeout(TIMEOUT)
                .with_operation_timeout(TIMEOUT)
                .with_retry_policy(once());
            Box::new(KubernetesSecretsProvider::new(config).expect("a valid configuration"))
        },
    )
});

fuzz_target!(|input: &[u8]| {
    CLUSTER.judge(input);
    if let Ok(config) = serde_json::from_slice::<KubernetesSecretsConfig>(input) {
        // Where it would read files that the fuzzer names, it reads this one.
        let mut config = config.with_kubeconfig_path(FOLDER.path().join("kubeconfig"));
        config.context = None;
        assert_eq!(config.validate(), config.validate());
    }
});

fn kubeconfig(server: &str) -> PathBuf {
    let path = FOLDER.path().join("kubeconfig");
    let text = format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: x\nclusters:\n- name: x\n  cluster: {{server: \"{server}\"}}\n\
         users:\n- {{name: x, user: {{token: {TOKEN}}}}}\ncontexts:\n- {{name: x, context: {{cluster: x, user: x}}}}\n"
    );
    std::fs::write(&path, text).expect("room");
    path
}
