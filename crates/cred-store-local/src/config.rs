//! The configuration of the provider, and its validation.

mod base;

use std::borrow::Cow;
use std::env::consts::OS;
use std::path::PathBuf;
use std::time::Duration;

use cred_core::{ConfigError, Limits, ProviderConfig};
use cred_provider_kit::naming::FileNames;
use cred_provider_kit::{Env, MapEnv, ProcessEnv, setters};
use serde::Deserialize;

/// Configuration of [`LocalStorageProvider`](crate::LocalStorageProvider).
///
/// `Default` is [`from_env`](Self::from_env): it reads environment variables, so the default base
/// path differs between users. Set [`base_path`](Self::base_path) if it must not. A configuration
/// that is read from a file takes no default from a variable and must set its base path.
///
/// # Examples
/// ```
/// use std::time::Duration;
///
/// use cred_core::ProviderConfig as _;
/// use cred_store_local::LocalStorageConfig;
///
/// # let scratch = tempfile::tempdir()?;
/// # let folder = scratch.path();
/// let config = LocalStorageConfig::default()
///     .with_base_path(folder.join("credentials"))
///     .with_operation_timeout(Duration::from_secs(5));
/// config.validate()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default = "defaults", deny_unknown_fields)]
#[non_exhaustive]
pub struct LocalStorageConfig {
    /// The base directory, as an absolute path. Default: `nebula/credentials` in the user's data
    /// directory, as [`from_env`](Self::from_env) finds it; a configuration file must name it.
    pub base_path: PathBuf,
    /// Whether the first store creates the base directory and any missing parent directories, with
    /// mode 0700. Default: true.
    pub create_dir: bool,
    /// Extension of the files, without the leading dot: 1 to 64 bytes of `[A-Za-z0-9._-]`. Default:
    /// `enc.json`.
    pub file_extension: String,
    /// Whether writers exclude each other with a lock file. Default: true. If false,
    /// compare-and-set is not available, and a list may miss a credential that is replaced while
    /// the list runs.
    pub enable_locking: bool,
    /// Whether directories that other users can write, and directories of root, are accepted.
    /// Default: false.
    ///
    /// Set it only for a mount whose modes cannot be changed, such as one where every directory has
    /// mode 0777. Files must still be 0600 and belong to this user. Other users can then delete a
    /// credential, or replace it with an older file of the same credential. On a mount with
    /// ordinary modes, let the provider create the directory instead.
    pub allow_open_dirs: bool,
    /// Maximum time for one operation, 100 ms to 10 minutes. Default: 30 s. Written `"30s"` in
    /// files.
    #[serde(with = "cred_provider_kit::duration")]
    pub operation_timeout: Duration,
    /// Maximum size of a written file in bytes, 4 KiB to 1 GiB. Default: 16 MiB. A file takes about
    /// 4/3 of the sealed bytes. A stored file that is larger than both this limit and 16 MiB is not
    /// read but reported as corrupted.
    ///
    /// A store and a read keep the whole file and the sealed bytes in memory, together 1.8 times
    /// the size of the file (measured at 171 MiB and at 341 MiB). With the largest limit, one
    /// operation takes up to 1.8 GiB. Writing a file of more than 1 MiB logs a warning.
    pub max_payload_len: usize,
}

/// The defaults of a configuration that is read from a file. None of them comes from a variable.
fn defaults() -> LocalStorageConfig {
    LocalStorageConfig::from_env_with(&MapEnv::default())
}

impl Default for LocalStorageConfig {
    fn default() -> Self {
        Self::from_env()
    }
}

impl LocalStorageConfig {
    const MIN_TIMEOUT: Duration = Duration::from_millis(100);
    const MAX_TIMEOUT: Duration = Duration::from_secs(600);
    const MIN_PAYLOAD_LEN: usize = 4 * 1_024;
    const DEFAULT_MAX_PAYLOAD_LEN: usize = 16 * 1_024 * 1_024;
    const MAX_PAYLOAD_LEN: usize = 1_024 * 1_024 * 1_024;
    /// From the table of size limits in the specification.
    const RECOMMENDED_PAYLOAD_LEN: usize = 1_024 * 1_024;

    /// Returns the defaults, with the base path `nebula/credentials` in the user's data directory:
    ///
    /// | system | data directory |
    /// |---|---|
    /// | Linux, other Unix | `$XDG_DATA_HOME` if it is absolute, else `$HOME/.local/share` |
    /// | macOS, iOS | `$HOME/Library/Application Support`; `XDG_DATA_HOME` is ignored |
    ///
    /// This matches `dirs::data_dir`, except that the user database is not read if `HOME` is not
    /// set. If none of these is an absolute path, the base path is empty, and
    /// [`validate`](ProviderConfig::validate) rejects it.
    ///
    /// An empty variable counts as not set. [`from_env_with`](Self::from_env_with) reads variables
    /// from another source.
    #[must_use]
    pub fn from_env() -> Self {
        Self::from_env_with(&ProcessEnv)
    }

    /// Returns [`from_env`](Self::from_env) for the variables of `env`, such as a
    /// [`MapEnv`](cred_provider_kit::MapEnv) in a test.
    #[must_use]
    pub fn from_env_with(env: &dyn Env) -> Self {
        Self {
            base_path: base::default_base(OS, env),
            create_dir: true,
            file_extension: "enc.json".to_owned(),
            enable_locking: true,
            allow_open_dirs: false,
            operation_timeout: Duration::from_secs(30),
            max_payload_len: Self::DEFAULT_MAX_PAYLOAD_LEN,
        }
    }

    setters! {
        into with_base_path(base_path: PathBuf);
        const with_create_dir(create_dir: bool);
        into with_file_extension(file_extension: String);
        const with_enable_locking(enable_locking: bool);
        const with_allow_open_dirs(allow_open_dirs: bool);
        const with_operation_timeout(operation_timeout: Duration);
        const with_max_payload_len(max_payload_len: usize);
    }

    /// Maximum size of a file that is read, in bytes. Lowering `max_payload_len` does not make
    /// stored files of up to the default size unreadable.
    pub(crate) fn max_read_len(&self) -> usize {
        self.max_payload_len.max(Self::DEFAULT_MAX_PAYLOAD_LEN)
    }

    /// The maximum and the recommended size of a file.
    pub(crate) fn limits(&self) -> Limits {
        Limits::none()
            .with_max_payload_len(self.max_payload_len)
            .with_recommended_payload_len(Self::RECOMMENDED_PAYLOAD_LEN.min(self.max_payload_len))
    }

    /// The naming scheme of the files.
    pub(crate) fn names(&self) -> Result<FileNames, ConfigError> {
        FileNames::new("file_extension", &self.file_extension)
    }
}

impl ProviderConfig for LocalStorageConfig {
    /// Checks each field, and the access of this process's effective user to the base directory.
    /// Creates nothing and makes a few system calls.
    ///
    /// - An existing base directory must be readable. It does not have to be writable, since reads
    ///   never need write access. Without write access, a store writes nothing and fails with
    ///   [`ReadOnly`](cred_core::StorageErrorKind::ReadOnly) or
    ///   [`PermissionDenied`](cred_core::StorageErrorKind::PermissionDenied).
    /// - A missing base directory is an error unless [`create_dir`](LocalStorageConfig::create_dir)
    ///   is set and the permissions let this process create it. On a read-only mount it is
    ///   accepted, since another process, for which the mount is writable, can create it.
    fn validate(&self) -> Result<(), ConfigError> {
        let invalid =
            |field, problem: Cow<'static, str>| ConfigError::invalid(self.provider_name(), field, problem);
        base::check(&self.base_path, self.create_dir).map_err(|problem| invalid("base_path", problem))?;
        self.names()?;
        if !(Self::MIN_TIMEOUT..=Self::MAX_TIMEOUT).contains(&self.operation_timeout) {
            return Err(invalid("operation_timeout", "must be 100 ms to 10 minutes".into()));
        }
        if !(Self::MIN_PAYLOAD_LEN..=Self::MAX_PAYLOAD_LEN).contains(&self.max_payload_len) {
            return Err(invalid("max_payload_len", "must be 4 KiB to 1 GiB, in bytes".into()));
        }
        Ok(())
    }

    fn provider_name(&self) -> &'static str {
        "local"
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn problem(config: &LocalStorageConfig) -> String {
        config.validate().unwrap_err().to_string()
    }

    #[test]
    fn each_invalid_field_is_named() {
        let base = tempfile::tempdir().unwrap();
        let good = LocalStorageConfig::default().with_base_path(base.path());
        assert!(good.validate().is_ok());
        assert!(problem(&defaults()).contains("`base_path` is empty"));
        assert!(problem(&good.clone().with_base_path("a/b")).contains("`base_path` is relative"));
        let missing = good.clone().with_base_path(base.path().join("missing"));
        assert!(missing.validate().is_ok(), "it is created on first use");
        assert!(!missing.base_path.exists(), "validation must not create it");
        assert!(problem(&missing.with_create_dir(false)).contains("`base_path` does not exist"));
        let file = base.path().join("file");
        std::fs::write(&file, "").unwrap();
        assert!(problem(&good.clone().with_base_path(&file)).contains("`base_path` is not a directory"));
        assert!(
            problem(&good.clone().with_base_path(file.join("below")))
                .contains("`base_path` cannot be accessed: Not a directory")
        );
        for extension in ["", "a/b", ".json"] {
            assert!(problem(&good.clone().with_file_extension(extension)).contains("`file_extension`"));
        }
        for timeout in [Duration::ZERO, Duration::from_secs(601)] {
            assert!(problem(&good.clone().with_operation_timeout(timeout)).contains("`operation_timeout`"));
        }
        for length in [0, 4_095, (1 << 30) + 1] {
            assert!(problem(&good.clone().with_max_payload_len(length)).contains("`max_payload_len`"));
        }
    }

    #[test]
    fn fields_are_optional_and_unknown_ones_are_rejected() {
        let read = |text: &str| serde_json::from_str::<LocalStorageConfig>(text);
        let expected =
            LocalStorageConfig::default().with_base_path("/a").with_operation_timeout(Duration::from_secs(5));
        assert_eq!(read(r#"{"base_path":"/a","operation_timeout":"5s"}"#).unwrap(), expected);
        assert!(!expected.allow_open_dirs && read(r#"{"allow_open_dirs":true}"#).unwrap().allow_open_dirs);
        assert!(read(r#"{"base_bath":"/a"}"#).is_err());
        assert!(read(r#"{"operation_timeout":5}"#).is_err());
    }

    #[test]
    fn the_default_base_path_is_in_the_data_directory_of_this_system() {
        let env = MapEnv::from([("HOME", "/h"), ("XDG_DATA_HOME", "/d")]);
        assert_eq!(LocalStorageConfig::from_env_with(&env).base_path, base::default_base(OS, &env));
        assert_eq!(LocalStorageConfig::from_env(), LocalStorageConfig::from_env_with(&ProcessEnv));
        assert_eq!(LocalStorageConfig::default(), LocalStorageConfig::from_env());
        assert_eq!(serde_json::from_str::<LocalStorageConfig>("{}").unwrap().base_path, Path::new(""));
    }
}
