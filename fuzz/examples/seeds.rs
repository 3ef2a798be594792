//! Writes the seed corpus: real encodings of the crates themselves and of the vectors, the same in
//! each run.
//!
//! `cargo run --manifest-path fuzz/Cargo.toml --example seeds` rewrites it; `git diff` then shows
//! what has changed.

use std::fs;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cred_core::{Credential, CredentialPath, PathRef, Tags};
use cred_fuzz::{Known, known};
use cred_provider_kit::CredentialFile;
use cred_provider_kit::naming::{AWS, AZURE, FileNames, KUBERNETES, Names, VAULT, digest};
use serde_json::{Value, json};

type Seeds = Vec<(String, Vec<u8>)>;

fn main() -> std::io::Result<()> {
    let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds");
    if seeds.exists() {
        fs::remove_dir_all(&seeds)?;
    }
    for (target, made) in [
        ("envelope", envelopes()),
        ("names", names()),
        ("keys", keys()),
        ("content", contents()),
        ("open", opened()),
        ("local", files()),
        ("cred_toml", configurations()),
        ("import", imports()),
        ("answers", answers()),
    ] {
        let folder = seeds.join(target);
        fs::create_dir_all(&folder)?;
        for (name, bytes) in made {
            fs::write(folder.join(name), bytes)?;
        }
    }
    Ok(())
}

fn seed(name: &str, bytes: impl AsRef<[u8]>) -> (String, Vec<u8>) {
    (name.to_owned(), bytes.as_ref().to_vec())
}

/// Those whose encoding is short: a fuzzer is as slow as its seeds are long.
fn short() -> impl Iterator<Item = &'static Known> {
    known().iter().filter(|known| known.data.ciphertext.len() <= 512)
}

fn envelope(known: &Known) -> Vec<u8> {
    CredentialFile::new(known.data.clone(), known.metadata.clone()).encode().expect("a vector")
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).expect("JSON")
}

/// One that the filter of `local` admits.
fn tagged() -> String {
    let known = &known()[0];
    let mut tags = Tags::new();
    tags.insert("env", "prod").expect("a tag");
    text(
        CredentialFile::new(known.data.clone(), known.metadata.clone().with_tags(tags))
            .encode()
            .expect("a vector"),
    )
}

fn first() -> String {
    text(envelope(&known()[0]))
}

fn envelopes() -> Seeds {
    let mut seeds: Seeds = short().map(|known| (known.name.clone(), envelope(known))).collect();
    let known = &known()[1];
    let file = CredentialFile::new(known.data.clone(), known.metadata.clone());
    let marked =
        file.with_path(Some(known.path.clone())).with_mark(Some([7; 16])).encode().expect("a vector");
    seeds.push(seed("newer", text(marked.clone()).replacen("\"version\":1", "\"version\":2", 1)));
    seeds.push(seed("canary", text(marked.clone()).replace("k-2026", "hunter2")));
    seeds.push(seed("marked", marked));
    seeds
}

fn names() -> Seeds {
    let long = format!("{}:{}/{}", "l".repeat(200), "v".repeat(200), "i".repeat(200));
    let mut seeds = Vec::new();
    for (name, one, other) in [
        ("plain", "stripe-api-key", "org:acme/db"),
        ("case", "STRIPE_API_KEY", "stripe-api-key"),
        ("devices", "con", "org:acme/com1"),
        ("dots", "org:acme.de/key", "org:acme.de/a.b:c/key"),
        ("arn", "org:acme-prod/key-abcdef", "key-abcdef"),
        ("long", &long, "org:acme/key"),
    ] {
        seeds.push(seed(name, format!("app/\n{one}\n{other}")));
        for (backend, rules, prefix) in [
            ("aws", AWS, "app/"),
            ("azure", AZURE, "app-"),
            ("k8s", KUBERNETES, "app-"),
            ("vault", VAULT, "app/"),
        ] {
            let names = Names::new(rules, "prefix", prefix).expect("a prefix");
            let written = |text: &str| names.encode(path(text).as_path_ref()).text;
            seeds.push(seed(
                &format!("{name}-{backend}"),
                format!("{prefix}\n{}\n{}", written(one), written(other)),
            ));
        }
        let files = FileNames::new("file_extension", "enc.json").expect("an extension");
        let file = files.file(&path(one).id).text;
        let directory =
            path(other).scope.and_then(|scope| files.directories(&scope).next()).map(|name| name.text);
        seeds.push(seed(
            &format!("{name}-files"),
            format!("enc.json\n{file}\n{}", directory.unwrap_or_default()),
        ));
    }
    seeds
}

fn path(text: &str) -> CredentialPath {
    text.parse().expect("a path")
}

fn keys() -> Seeds {
    let key = STANDARD.encode([7; 32]);
    vec![
        seed("key", &key),
        seed("line", format!("{key}\n")),
        seed("line-of-windows", format!("{key}\r\n")),
        seed("unpadded", key.trim_end_matches('=')),
        seed("loose-bits", key.replace("Bwc=", "Bwd=")),
        seed("ring", "k-2026\nk-2026\nk-2025"),
        seed("no-active-key", "k-2026\nk-2025"),
        seed("twice", "k\nk\nk"),
        seed("canary", "hunter2"),
    ]
}

fn contents() -> Seeds {
    let mut seeds: Seeds = short().map(|known| (known.name.clone(), known.content.clone())).collect();
    for (name, credential) in [
        ("api-key", Credential::api_key("hunter2")),
        ("login", Credential::username_password("app", "hunter2")),
        ("token", Credential::oauth2_token("access", "refresh")),
        ("key-pair", Credential::key_pair(vec![1, 2], vec![3])),
        ("custom", Credential::custom("database".parse().expect("a kind"))),
    ] {
        seeds.push(seed(name, &*credential.to_secret_bytes().expect("a short secret")));
    }
    // A credential inside, as a manager seals one.
    let secret = Credential::username_password("app", "x").to_secret_bytes().expect("a short secret");
    let content = &known()[0].content;
    let at = content.len() - known()[0].secret.len();
    seeds.push(seed("sealed-login", [&content[..at], &secret].concat()));
    seeds
}

fn opened() -> Seeds {
    let file = |known: &Known| {
        let file = CredentialFile::new(known.data.clone(), known.metadata.clone());
        file.with_path(Some(known.path.clone())).encode().expect("a vector")
    };
    let mut seeds: Seeds = short().map(|known| (known.name.clone(), file(known))).collect();
    for edit in 0..18_u8 {
        // A choice of the credential, an edit (numbered in the upper bytes of four), and what it
        // needs.
        let bytes = [&[0][..], &u32::to_le_bytes(u32::from(edit) * 238_609_295), &[1; 12]].concat();
        seeds.push(seed(&format!("edit-{edit}"), bytes));
    }
    seeds
}

fn files() -> Seeds {
    let names = FileNames::new("file_extension", "enc.json").expect("an extension");
    let place = |path: PathRef<'_>| {
        let directories = path.scope.into_iter().flat_map(|scope| names.directories(scope));
        directories.chain([names.file(path.id)]).map(|name| name.text).collect::<Vec<_>>().join("/")
    };
    let mut seeds = Vec::new();
    for known in short().take(6) {
        let hashed = names.is_hashed(known.path.as_path_ref()).then(|| known.path.clone());
        let file = CredentialFile::new(known.data.clone(), known.metadata.clone()).with_path(hashed);
        let bytes = file.with_mark(Some([7; 16])).encode().expect("a vector");
        seeds.push(seed(&known.name, [place(known.path.as_path_ref()).as_bytes(), b"\n", &bytes].concat()));
    }
    let scope = ["a:b"; 4].join("/");
    for text in
        ["STRIPE_API_KEY", "org:acme/Key", &"I".repeat(255), &format!("{scope}/key"), "org:acme.de./key"]
    {
        let path = path(text);
        let hashed = names.is_hashed(path.as_path_ref()).then(|| path.clone());
        let known = &known()[0];
        let bytes =
            CredentialFile::new(known.data.clone(), known.metadata.clone()).with_path(hashed).encode();
        let name = format!("place-{}", seeds.len());
        seeds.push(seed(
            &name,
            [place(path.as_path_ref()).as_bytes(), b"\n", &bytes.expect("a vector")].concat(),
        ));
    }
    seeds.push(seed("tagged", format!("stripe.enc.json\n{}", tagged())));
    seeds.push(seed("foreign", "notes.txt\nhunter2"));
    seeds.push(seed("empty", "stripe.enc.json\n"));
    let config = json!({"base_path": "store", "file_extension": "json", "operation_timeout": "30s", "max_payload_len": 65_536});
    seeds.push(seed("config", config.to_string()));
    seeds
}

const CRED_TOML: &str = r#"profile = "dev"

[profiles.dev]
backend = "local"
ring = "main"
base_path = "store"
operation_timeout = "30s"

[profiles.prod]
backend = "vault"
address = "https://vault:8200"
auth_method = { token = { token = { env = "VAULT_TOKEN" } } }

[rings.main]
active = "k-2026"

[rings.main.keys]
k-2026 = { file = "cred.key" }
k-2025 = { env = "CRED_KEY" }
old = { passphrase = "prompt", m_kib = 65536, t = 3, p = 4 }
"#;

fn configurations() -> Seeds {
    vec![
        seed("two-profiles", CRED_TOML),
        seed("one-profile", "[profiles.a]\nbackend = \"local\"\nbase_path = \"x\"\n"),
        seed(
            "wrong-field",
            "[profiles.a]\nbackend = \"local\"\nbase_path = 7\nfile_extension = [1, {a = 1979-05-27}]\n",
        ),
        seed("no-toml", "[profiles.a\nbackend = hunter2"),
        seed(
            "ring",
            "[rings.r]\nactive = \"k\"\n[rings.r.keys.k.passphrase]\nenv = \"PASS\"\n[rings.r.keys.k]\nkdf_salt = \"BQUFBQUFBQUFBQUFBQUFBQ==\"\n",
        ),
        seed("tables", "[[profiles]]\nbackend = \"local\"\n[rings]\nmain = 3\n"),
    ]
}

fn imports() -> Seeds {
    let record = json!({
        "path": "org:acme/db", "kind": "username_password", "fields": {"username": "app", "password": "x\n\"y"},
        "tags": {"env": "prod"}, "expires_at": "2027-01-31T00:00:00Z", "rotation": "every:90d",
        "stored": {"created_at": "2026-01-01T00:00:00Z", "last_modified": "2026-01-01T00:00:00Z", "version": 1},
    });
    let bytes = json!({"path": "blob", "fields": {"value": {"base64": "/wAB"}}});
    vec![
        seed("env", include_str!("../../examples/app.env")),
        seed("quotes", "A='it'\"'\"'s'\nexport B=\"x\\n\\$5\"\n# a comment\nC=plain # more\nD=\n"),
        seed("refused", "A=$B\n"),
        seed("record", record.to_string()),
        seed("records", json!([record, bytes]).to_string()),
        seed("fields", json!({"username": "app", "password": {"base64": "/wAB"}}).to_string()),
        seed("moment", 253_402_300_799_000_u64.to_be_bytes()),
        seed("canary", r#"{"path": "id", "fields": {"value": "hunter2"}, "expires_at": "hunter2"}"#),
    ]
}

/// Answers of the backends, and their configurations in the place of one.
fn answers() -> Seeds {
    [aws(), azure(), kubernetes(), vault()].concat()
}

/// An answer under its first line: the backend and the status.
fn answer(name: &str, head: &str, body: &Value) -> (String, Vec<u8>) {
    seed(name, format!("{head}\n{body}"))
}

fn aws() -> Seeds {
    let names = Names::new(AWS, "secret_prefix", "nebula/credentials/").expect("a prefix");
    let name = |text: &str| names.encode(path(text).as_path_ref()).text;
    let long = format!("{}:{}/key", "l".repeat(250), "v".repeat(250));
    let list = json!([{"Name": name("stripe-api-key")}, {"Name": name("org:acme/db")}, {"Name": name(&long), "Description": long}]);
    let refused = |code: &str| json!({"__type": code, "Message": "Secrets Manager can't."});
    let config = json!({
        "region": "eu-central-1", "secret_prefix": "nebula/credentials/", "timeout": "5s", "default_tags": {"team": "a"},
        "recovery_window_days": 7, "over_deleted": "recover", "read_lag": "0s", "list_lag": "5m",
    });
    vec![
        answer("aws-read", "aws 200", &json!({"SecretString": first()})),
        answer("aws-list", "aws 200", &json!({"SecretList": list})),
        answer("aws-absent", "aws 400", &refused("ResourceNotFoundException")),
        answer("aws-throttled", "aws 400", &refused("ThrottlingException")),
        answer("aws-denied", "aws 400", &refused("AccessDeniedException")),
        answer("aws-config", "aws 200", &config),
    ]
}

fn azure() -> Seeds {
    let names = Names::new(AZURE, "secret_prefix", "nebula-").expect("a prefix");
    let id = |text: &str| {
        format!("https://my-vault.vault.azure.net/secrets/{}", names.encode(path(text).as_path_ref()).text)
    };
    let long = format!("{}:{}/key", "l".repeat(100), "v".repeat(100));
    let list = json!([{"id": id("stripe-api-key")}, {"id": id("org:acme/db")}, {"id": id(&long), "tags": {"cred-path-0": long}}]);
    let refused = |code: &str, inner: &str, message: &str| json!({"error": {"code": code, "message": message, "innererror": {"code": inner}}});
    let denied = "Not authorized.\r\nCaller: appid=1\r\nAction: 'Microsoft.KeyVault/vaults/secrets/read'";
    let entra = "AADSTS7000215: Invalid client secret.\r\nTrace ID: 1";
    let config = json!({
        "vault_url": "https://my-vault.vault.azure.net", "timeout": "5s", "secret_prefix": "nebula-",
        "default_tags": {"team": "a"}, "over_deleted": "recover",
    });
    vec![
        answer("azure-list", "azure 200", &json!({"value": list})),
        answer("azure-absent", "azure 404", &refused("SecretNotFound", "", "A secret was not found.")),
        answer("azure-deleted", "azure 409", &refused("Conflict", "ObjectIsDeletedButRecoverable", "")),
        answer("azure-denied", "azure 403", &refused("Forbidden", "ForbiddenByRbac", denied)),
        answer("azure-token", "azure 401", &json!({"error": "invalid_client", "error_description": entra})),
        answer("azure-config", "azure 200", &config),
    ]
}

fn kubernetes() -> Seeds {
    let names = Names::new(KUBERNETES, "secret_prefix", "nebula-cred-").expect("a prefix");
    let secret = |text: &str| {
        json!({
            "metadata": {
                "name": names.encode(path(text).as_path_ref()).text, "uid": "u-1", "resourceVersion": "41",
                "labels": {"cred-rs.github.io/store": digest("nebula-cred-")},
                "annotations": {"cred-rs.github.io/path": text},
            },
            "data": {"envelope": STANDARD.encode(first())},
        })
    };
    let mut ending = secret("ending");
    ending["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    let list = json!([secret("stripe-api-key"), secret("org:acme/db"), ending]);
    let refused = |reason: &str| json!({"kind": "Status", "reason": reason, "message": "it is so", "details": {"kind": "secrets"}});
    let config = json!({
        "namespace": "default", "secret_prefix": "nebula-cred-", "timeout": "5s", "default_labels": {"team": "a"},
        "default_annotations": {"example.org/a": "b"}, "replace_immutable": true,
    });
    vec![
        answer("k8s-read", "k8s 200", &secret("stripe-api-key")),
        answer("k8s-list", "k8s 200", &json!({"metadata": {"continue": ""}, "items": list})),
        answer("k8s-absent", "k8s 404", &refused("NotFound")),
        answer("k8s-denied", "k8s 403", &refused("Forbidden")),
        answer("k8s-config", "k8s 200", &config),
    ]
}

fn vault() -> Seeds {
    let version = json!({"version": 3, "created_time": "2026-01-01T00:00:00Z", "destroyed": false});
    let read = json!({"data": {"envelope": first()}, "metadata": version});
    let login = json!({"client_token": "hvs.x", "lease_duration": 60, "renewable": true});
    let refused = |reason: &str| json!({"errors": [reason]});
    let config = json!({
        "address": "http://127.0.0.1:8200", "mount_path": "secret", "path_prefix": "nebula/", "timeout": "5s",
        "operation_timeout": "30s", "retry_policy": {"max_retries": 3}, "delete_mode": "soft",
    });
    vec![
        answer("vault-read", "vault 200", &json!({"data": read})),
        answer(
            "vault-list",
            "vault 200",
            &json!({"data": {"keys": ["stripe-api-key", "org:acme/", "other.txt"]}}),
        ),
        answer("vault-login", "vault 200", &json!({"auth": login})),
        answer("vault-deleted", "vault 404", &json!({"data": {"data": null, "metadata": version}})),
        answer("vault-denied", "vault 403", &refused("1 error occurred:\n\t* permission denied\n\n")),
        answer("vault-sealed", "vault 503", &refused("Vault is sealed")),
        answer("vault-config", "vault 200", &config),
    ]
}
