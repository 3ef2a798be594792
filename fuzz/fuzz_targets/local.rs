//! Local files with any contents: a list is complete or an error, each listed credential exists,
//! and a credential that is read is exactly the one in the file.
//!
//! The first line of the input is a path below the base, the rest the contents of that file. The
//! whole input is also read as a configuration.
#![no_main]

use std::fs;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use cred_core::{
    CredentialContext, CredentialFilter, CredentialPath, ProviderConfig as _, StorageError, StorageErrorKind,
    StorageProvider as _,
};
use cred_fuzz::{planted, silent};
use cred_provider_kit::CredentialFile;
use cred_store_local::{LocalStorageConfig, LocalStorageProvider};
use libfuzzer_sys::fuzz_target;
use tokio::runtime::Runtime;

fuzz_target!(|input: &[u8]| {
    config(input);
    let (place, bytes) = match input.iter().position(|byte| *byte == b'\n') {
        Some(end) => (&input[..end], &input[end + 1..]),
        None => (&b"org=acme/stripe-api-key.enc.json"[..], input),
    };
    let Some(place) = std::str::from_utf8(place).ok().and_then(place_below) else { return };
    for bytes in [bytes, &planted(bytes)] {
        stored(&place, bytes);
    }
});

/// A relative path without steps up, of names that a file system takes.
fn place_below(text: &str) -> Option<PathBuf> {
    let fits =
        |name: &str| (1..=255).contains(&name.len()) && !matches!(name, "." | "..") && !name.contains('\0');
    let names: Vec<&str> = text.split('/').collect();
    // The base's own lock and its folder of temporary files are the provider's.
    (names.len() <= 8 && names.iter().copied().all(fits) && !text.starts_with('.'))
        .then(|| names.iter().collect())
}

fn stored(place: &Path, bytes: &[u8]) {
    static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
        tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .max_blocking_threads(1)
            .build()
            .expect("a runtime")
    });
    let folder = cred_fuzz::folder();
    let base = folder.path().join("store");
    write(&base, place, bytes);
    let config = LocalStorageConfig::default().with_base_path(&base);
    let provider = LocalStorageProvider::new(config).expect("a valid configuration");
    RUNTIME.block_on(judge(&provider, place, bytes));
}

async fn judge(provider: &LocalStorageProvider, place: &Path, bytes: &[u8]) {
    let root = CredentialContext::unscoped();
    let found = match provider.list_tree(None, &root).await {
        Ok(found) => found,
        Err(error) => return corrupted(&error, place),
    };
    assert!(found.len() <= 1, "one file is {found:?}");
    let filter = CredentialFilter::new().with_tag("env", "prod");
    let filtered = provider.list_tree(Some(&filter), &root).await;
    for path in &found {
        let ctx = CredentialContext::from(path.scope.clone());
        assert!(provider.exists(&path.id, &ctx).await.expect("a file that exists"));
        assert_eq!(provider.list(None, &ctx).await.expect("a list"), std::slice::from_ref(&path.id));
        match provider.retrieve(&path.id, &ctx).await {
            Ok(stored) => {
                assert_eq!(CredentialFile::decode(bytes).expect("what was read").into_sealed(), stored);
                let admitted = filter.matches(&stored.metadata).then(|| path.clone());
                assert_eq!(filtered.as_ref().expect("a readable file"), &Vec::from_iter(admitted));
            }
            Err(error) => {
                corrupted(&error, place);
                corrupted(filtered.as_ref().expect_err("a broken file"), place);
            }
        }
    }
    if found.is_empty() {
        assert_eq!(filtered.expect("nothing"), []);
        // A credential that is not listed cannot be read. A directory may have a file's name, and a
        // file that of a scope.
        let path: CredentialPath = "org:acme/stripe-api-key".parse().expect("a path");
        let error =
            provider.retrieve(&path.id, &CredentialContext::from(path.scope)).await.expect_err("nothing");
        if !error.is_not_found() {
            corrupted(&error, place);
        }
    }
}

/// Errors may contain the names of files, but not their contents.
fn corrupted(error: &StorageError, place: &Path) {
    assert!(matches!(error.kind(), StorageErrorKind::Corrupted { .. }), "{error:?}");
    if !place.to_string_lossy().contains(cred_fuzz::CANARY) {
        silent(error);
    }
}

fn write(base: &Path, place: &Path, bytes: &[u8]) {
    let path = base.join(place);
    let folder = path.parent().unwrap_or(base);
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).expect("a folder");
    let mut options = fs::File::options();
    let mut file = options.write(true).create_new(true).mode(0o600).open(&path).expect("a file");
    std::io::Write::write_all(&mut file, bytes).expect("room");
}

/// A configuration is accepted by its provider exactly if it is valid.
fn config(input: &[u8]) {
    let Ok(config) = serde_json::from_slice::<LocalStorageConfig>(input) else { return };
    let valid = config.validate();
    assert_eq!(valid.is_ok(), LocalStorageProvider::new(config).is_ok(), "{valid:?}");
}
