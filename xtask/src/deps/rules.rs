//! The design's table of crates, as numbers and names. A change here is a change of the design.

/// What one crate may depend on.
pub(super) struct Rule {
    name: &'static str,
    /// Crates of ours that it may use always ...
    pub(super) arrows: &'static [&'static str],
    /// ... or behind a feature only.
    pub(super) optional: &'static [&'static str],
    /// Families of packages that may not be in its tree: `aws` is `aws` and `aws-*`.
    pub(super) without: &'static [&'static str],
    /// Families that a build with the default features may not have, whatever a feature brings.
    pub(super) default_without: &'static [&'static str],
    /// At most so many other packages that its users build on Linux with all features, procedural macros and
    /// what they need included: measured, plus a few, so that growth is noticed and is decided on.
    pub(super) budget: usize,
}

/// No SDK, no TLS, no runtime: core is what a provider's author builds on, whatever they choose of these.
const CORE_WITHOUT: &[&str] = &[
    "tokio",
    "async-std",
    "smol",
    "futures",
    "rustls",
    "ring",
    "aws-lc-rs",
    "openssl",
    "native-tls",
    "hyper",
    "h2",
    "reqwest",
    "aws",
    "azure",
    "kube",
];

/// What keeps a cloud's SDK out: who keeps credentials in files waits for none of it to build.
const NO_CLOUD: &[&str] = &[
    "aws",
    "azure",
    "typespec",
    "kube",
    "k8s-openapi",
    "vaultrs",
    "rustify",
    "reqwest",
    "hyper",
    "h2",
    "rustls",
];

const RULES: &[Rule] = &[
    Rule {
        name: "cred-core",
        arrows: &[],
        optional: &[],
        without: CORE_WITHOUT,
        default_without: &[],
        budget: 22,
    },
    Rule {
        name: "cred-provider-kit",
        arrows: &["cred-core"],
        optional: &[],
        without: &["ring"],
        default_without: &["rustls"],
        budget: 54,
    },
    Rule {
        name: "cred-crypto",
        arrows: &["cred-core"],
        optional: &[],
        without: &["rustls", "hyper"],
        default_without: &[],
        budget: 44,
    },
    Rule {
        name: "cred-conformance",
        arrows: &["cred-core"],
        optional: &[],
        without: &["ring", "rustls"],
        default_without: &[],
        budget: 28,
    },
    // For tests alone.
    Rule {
        name: "cred-fault-proxy",
        arrows: &["cred-core"],
        optional: &[],
        without: &["ring", "hyper"],
        default_without: &[],
        budget: 48,
    },
    Rule {
        name: "cred-manager",
        arrows: &["cred-core"],
        optional: &["cred-crypto"],
        without: &["rustls", "hyper"],
        default_without: &[],
        budget: 66,
    },
    Rule {
        name: "cred-store-memory",
        arrows: STORE,
        optional: &[],
        without: &["ring", "rustls"],
        default_without: &[],
        budget: 46,
    },
    Rule {
        name: "cred-store-local",
        arrows: STORE,
        optional: &[],
        without: &["ring", "rustls"],
        default_without: &[],
        budget: 52,
    },
    // Its SDK and TLS by rustls, whose one provider is aws-lc-rs: `ring` is for sealing.
    Rule {
        name: "cred-store-vault",
        arrows: STORE,
        optional: &[],
        without: &["ring", "h2"],
        default_without: &[],
        budget: 140,
    },
    Rule {
        name: "cred-store-k8s",
        arrows: STORE,
        optional: &[],
        without: &["ring", "h2"],
        default_without: &[],
        budget: 130,
    },
    // As the vault's, and most of it is AWS's SDK with three ways to get credentials.
    Rule {
        name: "cred-store-aws",
        arrows: STORE,
        optional: &[],
        without: &["ring"],
        default_without: &[],
        budget: 168,
    },
    Rule {
        name: "cred-store-azure",
        arrows: STORE,
        optional: &[],
        without: &["ring", "h2"],
        default_without: &[],
        budget: 152,
    },
    // The program for people: each backend behind a feature of its name, local by default.
    Rule {
        name: "cred-cli",
        arrows: &["cred-core", "cred-crypto", "cred-manager", "cred-provider-kit"],
        optional: &[
            "cred-store-local",
            "cred-store-aws",
            "cred-store-azure",
            "cred-store-k8s",
            "cred-store-vault",
        ],
        without: &[],
        default_without: NO_CLOUD,
        budget: 305,
    },
];

/// A program on one backend, as somebody else would write it: `examples/downstream/NAME`, and beside a remote one
/// `examples/downstream/bare-NAME`, which does the same on the SDK alone.
pub(super) struct Sample {
    /// That of the backend: it uses `cred-store-NAME`.
    pub(super) name: &'static str,
    /// Families of packages by which the backend's SDK is known; none: the backend has no SDK, and so no bare program.
    pub(super) sdk: &'static [&'static str],
    /// At most so many other packages, as a [`Rule`]'s.
    pub(super) budget: usize,
}

pub(super) const SAMPLES: &[Sample] = &[
    Sample { name: "local", sdk: &[], budget: 80 },
    Sample { name: "vault", sdk: &["vaultrs", "rustify"], budget: 160 },
    // Not `aws`: aws-lc-rs is everybody's cryptography for TLS.
    Sample { name: "aws", sdk: &["aws-config", "aws-sdk", "aws-smithy"], budget: 182 },
    Sample { name: "azure", sdk: &["azure", "typespec"], budget: 168 },
    Sample { name: "k8s", sdk: &["kube", "k8s-openapi"], budget: 150 },
];

/// A store knows the contract and the kit: never another store, the manager or how things are sealed.
const STORE: &[&str] = &["cred-core", "cred-provider-kit"];

/// Packages that may not be anywhere, each with its reason.
pub(super) const NOWHERE: [(&str, &str); 3] = [
    ("openssl", "C of the system's that is linked in: one TLS, rustls, is enough to review and to patch"),
    ("openssl-sys", "as openssl"),
    ("native-tls", "is openssl on Linux"),
];

/// Packages that no crate may bring twice, each with its reason.
pub(super) const ONCE: [(&str, &str); 3] = [
    ("rustls", "two sets of TLS settings and of cryptography"),
    ("hyper", "an SDK's old default HTTP client beside its new one"),
    ("tokio", "a future of one runtime panics in the other"),
];

/// Features that nothing may turn on, each with its reason: one crate that does turns it on for all.
pub(super) const OFF: [(&str, &str, &str); 2] = [
    ("azure_core", "debug", "its types then print what they hold, and its logs the bearer of each request"),
    ("typespec_client_core", "debug", "as azure_core"),
];

pub(super) fn rule(name: &str) -> Option<&'static Rule> {
    RULES.iter().find(|rule| rule.name == name)
}
