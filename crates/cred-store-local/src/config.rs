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
/// ```
/// use cred_store_local::LocalStorageConfig;
/// let config = LocalStorageConfig::default()
///     .with_base_path("/var/lib/app/credentials")
///     .with_create_dir(false);
/// ```
///
/// `Default` reads variables of the process, as [`from_env`](Self::from_env) does, so its base path
/// differs between two users; set [`base_path`](Self::base_path) where it must not. A configuration
/// that is read from a file takes no default from a variable, and must name its base path.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default = "defaults", deny_unknown_fields)]
#[non_exhaustive]
pub struct LocalStorageConfig {
    /// The base directory, as an absolute path. Default: `nebula/credentials` in the user's data
    /// directory, as [`from_env`](Self::from_env) finds it; a configuration file must name it.
    pub base_path: PathBuf,
    /// Whether the first store creates the base directory and those missing above it, with mode
    /// 0700; default true.
    pub create_dir: bool,
    /// Extension of the files, without its dot: 1 to 64 bytes of `[A-Za-z0-9._-]`; default
    /// `enc.json`.
    pub file_extension: String,
    /// Whether writers exclude each other with a lock file; default true. Without it there is no
    /// compare-and-set, and a list may miss a credential that is replaced while it runs.
    pub enable_locking: bool,
    /// Whether directories that other users can write, and directories of root, are accepted;
    /// default false. For a mount whose modes cannot be changed, such as one where each directory
    /// has mode 0777. Files must still be 0600 and belong to this user. Other users can then delete
    /// a credential, or replace it with an older file of it. On a mount with ordinary modes, let
    /// the provider create the directory instead.
    pub allow_open_dirs: bool,
    /// The longest time of one operation, 100 ms to 10 minutes; default 30 s. Written `"30s"` in
    /// files.
    #[serde(with = "cred_provider_kit::duration")]
    pub operation_timeout: Duration,
    /// Bytes of the longest file that is written, 4 KiB to 1 GiB; default 16 MiB. A file has about
    /// 4/3 of the sealed bytes. A longer file that is found is refused as corrupted and not read,
    /// unless it has at most 16 MiB.
    ///
    /// A store and a read have the whole file and the sealed bytes in memory, together 1.8 times
    /// the length of the file (measured at 171 MiB and at 341 MiB): with the maximum, one operation
    /// takes up to 1.8 GiB. A file of more than 1 MiB is written with a warning in the log.
    pub max_payload_len: usize,
}

/// The defaults of a configuration that is read from a file, which takes none from variables.
fn defaults() -> LocalStorageConfig {
    LocalStorageConfig::from_env_with(&MapEnv::default())
}

impl Default for LocalStorageConfig {
    fn default() -> Self {
        Self::from_env()
    }
}

impl LocalStorageConfig {
    const SHORTEST_TIMEOUT: Duration = Duration::from_millis(100);
    const LONGEST_TIMEOUT: Duration = Duration::from_secs(600);
    const LEAST_PAYLOAD_LEN: usize = 4 * 1_024;
    const DEFAULT_MAX_PAYLOAD_LEN: usize = 16 * 1_024 * 1_024;
    const MOST_PAYLOAD_LEN: usize = 1_024 * 1_024 * 1_024;
    /// By the specification's table of size limits.
    const RECOMMENDED_PAYLOAD_LEN: usize = 1_024 * 1_024;

    /// Returns the defaults, with the base path `nebula/credentials` in the user's data directory:
    ///
    /// | system | data directory |
    /// |---|---|
    /// | Linux, other Unix | `$XDG_DATA_HOME` if it is absolute, else `$HOME/.local/share` |
    /// | macOS, iOS | `$HOME/Library/Application Support`; `XDG_DATA_HOME` is ignored |
    ///
    /// This is the rule of `dirs::data_dir`, except that the user database is not read if `HOME` is
    /// not set. If none of these is an absolute path, the base path is empty, and
    /// [`validate`](ProviderConfig::validate) refuses it.
    ///
    /// An empty variable counts as not set. [`from_env_with`](Self::from_env_with) takes another
    /// source of variables.
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

    /// Bytes of the longest file that is read. Lowering `max_payload_len` does not make stored
    /// files of up to the default unreadable.
    pub(crate) fn max_read_len(&self) -> usize {
        self.max_payload_len.max(Self::DEFAULT_MAX_PAYLOAD_LEN)
    }

    /// What a file may have, and the size that is recommended.
    pub(crate) fn limits(&self) -> Limits {
        Limits::none()
            .with_max_payload_len(self.max_payload_len)
            .with_recommended_payload_len(Self::RECOMMENDED_PAYLOAD_LEN.min(self.max_payload_len))
    }

    /// The names of the files.
    pub(crate) fn names(&self) -> Result<FileNames, ConfigError> {
        FileNames::new("file_extension", &self.file_extension)
    }
}

impl ProviderConfig for LocalStorageConfig {
    /// Checks each field, and what the effective user of this process may do with the base
    /// directory. Creates nothing, and takes a few system calls.
    ///
    /// An existing base directory must be readable. It need not be writable, since reading never
    /// needs write access: a store without it writes nothing and fails with
    /// [`ReadOnly`](cred_core::StorageErrorKind::ReadOnly) or
    /// [`PermissionDenied`](cred_core::StorageErrorKind::PermissionDenied).
    ///
    /// A missing base directory is an error unless [`create_dir`](LocalStorageConfig::create_dir)
    /// is set and the permissions let this process create it. On a read-only mount it is accepted,
    /// since another process can create it where the mount is writable.
    fn validate(&self) -> Result<(), ConfigError> {
        let invalid =
            |field, problem: Cow<'static, str>| ConfigError::invalid(self.provider_name(), field, problem);
        base::check(&self.base_path, self.create_dir).map_err(|problem| invalid("base_path", problem))?;
        self.names()?;
        if !(Self::SHORTEST_TIMEOUT..=Self::LONGEST_TIMEOUT).contains(&self.operation_timeout) {
            return Err(invalid("operation_timeout", "must be 100 ms to 10 minutes".into()));
        }
        if !(Self::LEAST_PAYLOAD_LEN..=Self::MOST_PAYLOAD_LEN).contains(&self.max_payload_len) {
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
    fn each_wrong_field_is_named() {
        let base = tempfile::tempdir().unwrap();
        let good = LocalStorageConfig::default().with_base_path(base.path());
        assert!(good.validate().is_ok());
        assert!(problem(&defaults()).contains("`base_path` is empty"));
        assert!(problem(&good.clone().with_base_path("a/b")).contains("`base_path` is relative"));
        let missing = good.clone().with_base_path(base.path().join("missing"));
        assert!(missing.validate().is_ok(), "it is created at the first use");
        assert!(!missing.base_path.exists(), "and not before");
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
    fn a_file_may_leave_out_fields_but_not_misspell_them() {
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
