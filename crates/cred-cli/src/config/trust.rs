//! The project files that this user trusts. Trust covers the contents of the file, and of the files
//! in the project that it names; any change ends it.

mod named;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use cred_config::model::{self, ConfigFile, Origin};
use cred_provider_kit::{Env as _, ProcessEnv};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::edit;
use super::effects::PathKind;
use super::file::{exists, user_folder};
use super::ring::to_hex;
use crate::failure::{Exit, Failure};
use crate::input;

/// The file name of the record, in the user's folder.
const NAME: &str = "trusted.json";
/// Maximum length of the record, in bytes.
const MAX_LEN: usize = 4 * 1_024 * 1_024;

/// The trusted files, by canonical path.
#[derive(Default)]
pub(crate) struct TrustRecord(BTreeMap<String, Trusted>);

/// The hashes of a trusted `cred.toml`, and of the files in its folder that it names.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Trusted {
    /// The hash of the text, in hex, as `sha256sum` prints it.
    sha256: String,
    /// The hash of the files in the project that the text names, except secrets; `None` if it names
    /// none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    files: Option<String>,
    /// The hash of the files with secrets in the project; `None` if the text names none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    secrets: Option<String>,
    /// The salt of `secrets`, different in every record.
    salt: String,
}

impl Trusted {
    /// Hashes the current contents of a file, and of the files of the project that it names.
    pub(crate) fn of(file: &ConfigFile) -> Result<Self, Failure> {
        Self::salted(file, to_hex(&*input::random::<16>()?))
    }

    fn salted(file: &ConfigFile, salt: String) -> Result<Self, Failure> {
        let paths = named::hash(file, PathKind::Path, b"")?;
        let kubeconfigs = named::hash(file, PathKind::Kubeconfig, b"")?;
        let files = match (paths, kubeconfigs) {
            (None, None) => None,
            (paths, kubeconfigs) => {
                Some(hash([paths, kubeconfigs].map(Option::unwrap_or_default).join(":").as_bytes()))
            }
        };
        let secrets = named::hash(file, PathKind::Secret, salt.as_bytes())?;
        Ok(Self { sha256: hash(file.text().as_bytes()), files, secrets, salt })
    }

    /// The value for `CRED_TRUST`. It does not cover secrets, because it may be public.
    pub(crate) fn to_variable(&self) -> String {
        match &self.files {
            Some(files) => format!("{}:{files}", self.sha256),
            None => self.sha256.clone(),
        }
    }
}

impl TrustRecord {
    /// Reads the record. It is empty if it does not exist, or without a home folder.
    pub(crate) fn read() -> Result<Self, Failure> {
        let Some(path) = path().filter(|path| exists(path)) else { return Ok(Self::default()) };
        let unusable = |problem: &str| {
            Failure::config(format!(
                "cannot use the record of trusted files `{}`: it {problem}",
                path.display()
            ))
            .hint("fix it, or delete it and trust your files again with `cred trust`")
        };
        let content =
            model::read_of_user(&path, MAX_LEN).map_err(|refusal| unusable(&refusal.to_string()))?;
        let content = content.ok_or_else(|| unusable("is longer than 4 MiB"))?;
        serde_json::from_slice(&content).map(Self).map_err(|_| unusable("was not written by `cred trust`"))
    }

    /// Whether a file was trusted earlier, with any contents.
    pub(crate) fn has(&self, file: &ConfigFile) -> bool {
        canonical(file.path()).is_ok_and(|path| self.0.contains_key(&path))
    }

    /// The trusted files.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (&str, &Trusted)> {
        self.0.iter().map(|(path, trusted)| (path.as_str(), trusted))
    }
}

/// Whether a file may be used: by its origin, by `CRED_TRUST`, or by the record. The files that it
/// names are read only if its own text is trusted.
pub(crate) fn is_trusted(file: &ConfigFile) -> Result<bool, Failure> {
    if file.origin() != Origin::Project {
        return Ok(true);
    }
    let sha256 = hash(file.text().as_bytes());
    let given = ProcessEnv.get("CRED_TRUST").unwrap_or_default().to_ascii_lowercase();
    let given: Vec<&str> = given.split([',', ' ']).filter(|given| given.starts_with(&sha256)).collect();
    if !given.is_empty() && given.contains(&Trusted::of(file)?.to_variable().as_str()) {
        return Ok(true);
    }
    let record = TrustRecord::read()?;
    match canonical(file.path()).ok().and_then(|path| record.0.get(&path).cloned()) {
        Some(trusted) if trusted.sha256 == sha256 => {
            Ok(Trusted::salted(file, trusted.salt.clone())? == trusted)
        }
        _ => Ok(false),
    }
}

/// Records a file as trusted with the given contents.
pub(crate) fn record(file: &ConfigFile, trusted: Trusted) -> Result<(), Failure> {
    let path = canonical(file.path())?;
    change(|entries| entries.insert(path, trusted)).map(drop)
}

/// Removes a file from the record. The file may no longer exist.
pub(crate) fn revoke(file: &Path) -> Result<(), Failure> {
    let name = canonical(file)?;
    match change(|entries| entries.remove(&name))? {
        Some(_) => Ok(()),
        None => Err(Failure::new(
            Exit::NotFound,
            format!("the file `{}` is not in the record of trusted files", file.display()),
        )
        .hint("`cred trust --list` shows the trusted files")),
    }
}

fn hash(bytes: &[u8]) -> String {
    to_hex(&Sha256::digest(bytes))
}

/// Reads, changes and writes the record, under the lock.
fn change<T>(work: impl FnOnce(&mut BTreeMap<String, Trusted>) -> T) -> Result<T, Failure> {
    let path = path().ok_or_else(|| {
        Failure::config("cannot write the record of trusted files: HOME is not set")
            .hint("set HOME, or set CRED_TRUST to the hash of the file")
    })?;
    let _lock = edit::lock()?;
    let mut record = TrustRecord::read()?;
    let result = work(&mut record.0);
    let text = serde_json::to_string_pretty(&record.0).unwrap_or_default();
    edit::put(&path, &text, 0o600).map_err(|error| Failure::file("write", &path, error))?;
    Ok(result)
}

fn path() -> Option<PathBuf> {
    user_folder().map(|folder| folder.join(NAME))
}

/// The path of a file with all links in its folder resolved, the key of the record. The file may no
/// longer exist.
fn canonical(file: &Path) -> Result<String, Failure> {
    let failed = |error| Failure::file("find", file, error);
    let absolute = std::path::absolute(file).map_err(failed)?;
    let (Some(folder), Some(name)) = (absolute.parent(), absolute.file_name()) else {
        return Err(Failure::usage(format!("`{}` is not the path of a file", file.display())));
    };
    let path = folder.canonicalize().unwrap_or_else(|_| folder.to_owned()).join(name);
    path.into_os_string().into_string().map_err(|_| {
        Failure::config(format!("cannot trust `{}`: its path is not UTF-8", file.display()))
            .hint("rename the folder, or pass the file with --config")
    })
}
