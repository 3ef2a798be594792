//! Which project files this user trusts: a file counts only with the contents that were trusted.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use cred_provider_kit::{Env as _, ProcessEnv};
use sha2::{Digest as _, Sha256};

use super::edit;
use super::file::{ConfigFile, Origin, exists, user_folder};
use super::opened::{self, Exceptions};
use super::ring::to_hex;
use crate::failure::Failure;

/// The name of the record in the user's folder.
const NAME: &str = "trusted.json";
/// The longest record that is read, in bytes.
const MAX_LEN: usize = 4 * 1_024 * 1_024;

/// The record of trusted files: canonical paths, each with the SHA-256 of the contents.
#[derive(Default)]
pub(crate) struct TrustRecord(BTreeMap<String, String>);

impl TrustRecord {
    /// Reads the record. It is empty where there is none yet, and where there is no home folder.
    pub(crate) fn read() -> Result<Self, Failure> {
        let Some(path) = path().filter(|path| exists(path)) else { return Ok(Self::default()) };
        let unusable = |problem: &str| {
            Failure::config(format!("the record of trusted files `{}` {problem}", path.display()))
                .hint("fix it, or remove it and trust your files again with `cred trust`")
        };
        let content = opened::settings(&path, Origin::User, &Exceptions::default(), MAX_LEN)
            .map_err(|refusal| unusable(&refusal.problem))?;
        let content = content.ok_or_else(|| unusable("is longer than 4 MiB"))?;
        serde_json::from_slice(&content).map(Self).map_err(|_| unusable("is not what `cred trust` wrote"))
    }

    /// The trusted files with the hashes of their contents.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(path, hash)| (path.as_str(), hash.as_str()))
    }

    /// Whether a file may be used: by its origin, by `CRED_TRUST`, or by this record.
    pub(crate) fn trusts(&self, file: &ConfigFile) -> bool {
        if file.origin != Origin::Project {
            return true;
        }
        let hash = hash(file.text());
        let given = ProcessEnv.get("CRED_TRUST").unwrap_or_default();
        given.split([',', ' ']).any(|given| given.eq_ignore_ascii_case(&hash))
            || canonical(&file.path).is_ok_and(|path| self.0.get(&path) == Some(&hash))
    }
}

/// Records that a file with this text may be used.
pub(crate) fn record(file: &Path, text: &str) -> Result<(), Failure> {
    let (file, hash) = (canonical(file)?, hash(text));
    change(|entries| entries.insert(file, hash)).map(drop)
}

/// Forgets a file, which may not exist any more. Returns whether it was trusted.
pub(crate) fn revoke(file: &Path) -> Result<bool, Failure> {
    let absolute = std::path::absolute(file).map_err(|error| Failure::file("find", file, error))?;
    let name = canonical(file).unwrap_or_else(|_| absolute.to_string_lossy().into_owned());
    change(|entries| entries.remove(&name)).map(|before| before.is_some())
}

/// The SHA-256 of a file's text, in hex, as `sha256sum` prints it and `CRED_TRUST` takes it.
pub(crate) fn hash(text: &str) -> String {
    to_hex(&Sha256::digest(text.as_bytes()))
}

/// Reads the record, changes it and writes it, alone.
fn change<T>(work: impl FnOnce(&mut BTreeMap<String, String>) -> T) -> Result<T, Failure> {
    let path = path().ok_or_else(|| {
        Failure::config("no folder can keep the record of trusted files: HOME is not set")
            .hint("set HOME, or set CRED_TRUST to the SHA-256 of the file")
    })?;
    let failed = |error| Failure::file("write", &path, error);
    let _lock = edit::lock()?;
    let mut record = TrustRecord::read()?;
    let result = work(&mut record.0);
    let text = serde_json::to_string_pretty(&record.0).unwrap_or_default();
    let fresh = path.with_extension(format!("{}.new", std::process::id()));
    edit::create(&fresh, &text, 0o600).map_err(failed)?;
    fs::rename(&fresh, &path).map_err(failed)?;
    Ok(result)
}

fn path() -> Option<PathBuf> {
    user_folder().map(|folder| folder.join(NAME))
}

/// The path without links, by which the record knows a file.
fn canonical(file: &Path) -> Result<String, Failure> {
    let path = fs::canonicalize(file).map_err(|error| Failure::file("find", file, error))?;
    path.into_os_string().into_string().map_err(|_| {
        Failure::config(format!("`{}` cannot be trusted: its path is not UTF-8", file.display()))
            .hint("rename the folder, or name the file with --config")
    })
}
