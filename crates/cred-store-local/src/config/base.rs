//! The default base directory, and the check that this process can use it.

use std::borrow::Cow;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use cred_provider_kit::Env;
use rustix::fs::{Access, AtFlags, CWD, accessat};
use rustix::io::Errno;

/// Returns the default base directory on the operating system `os`, named as in
/// [`std::env::consts::OS`]. It is empty if the variables do not name the user's data directory.
///
/// The rule is that of `dirs::data_dir`, with two differences: on Unix the user database is not
/// read if `HOME` is not set, and on Windows the variable `APPDATA` is read instead of the known
/// folder.
pub(super) fn default_base(os: &str, env: &dyn Env) -> PathBuf {
    let absolute = |name: &str| env.get(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let in_home = |folder: &str| absolute("HOME").map(|home| home.join(folder));
    let data = match os {
        "macos" | "ios" => in_home("Library/Application Support"),
        // Not filtered, so that `validate` reports a relative path. Only Windows can recognize one.
        "windows" => env.get("APPDATA").map(PathBuf::from),
        _ => absolute("XDG_DATA_HOME").or_else(|| in_home(".local/share")),
    };
    data.map(|data| data.join("nebula").join("credentials")).unwrap_or_default()
}

/// Checks the base directory without changing anything. The error continues a sentence that begins
/// with `base_path`.
pub(super) fn check(base: &Path, create_dir: bool) -> Result<(), Cow<'static, str>> {
    if base.as_os_str().is_empty() {
        return Err("is empty; set it to the directory for the credentials".into());
    }
    if !base.is_absolute() {
        let problem = "is relative, so it would depend on the working directory; set an absolute path";
        return Err(problem.into());
    }
    match base.metadata() {
        Ok(found) if !found.is_dir() => Err("is not a directory; set it to a directory".into()),
        Ok(_) if is_denied(base, Access::READ_OK) => {
            Err("is not readable by this process; grant read and search permission, or set another directory"
                .into())
        }
        Ok(_) => Ok(()),
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(format!("cannot be accessed: {error}; correct the directories above it").into())
        }
        Err(_) if create_dir => check_creation(base),
        Err(_) => {
            Err("does not exist; restore it if it was moved, mount it, or create it with mode 0700".into())
        }
    }
}

/// Checks that a missing base can be created in the nearest directory above it that exists. On a
/// read-only mount the error is EROFS, which is accepted: another process can create the base where
/// the mount is writable.
fn check_creation(base: &Path) -> Result<(), Cow<'static, str>> {
    match base.ancestors().find(|above| above.exists()) {
        Some(above) if is_denied(above, Access::WRITE_OK) => Err(format!(
            "does not exist and cannot be created, since this process cannot write `{}`; create it with mode 0700 \
             for the user of this process, or set another directory",
            above.display()
        )
        .into()),
        _ => Ok(()),
    }
}

/// Whether the permissions deny access to the contents of a directory. The check uses the effective
/// user, as opening a file does. Only EACCES counts: a seccomp filter that does not know the system
/// call fails it with EPERM.
fn is_denied(directory: &Path, access: Access) -> bool {
    let access = access | Access::EXEC_OK;
    accessat(CWD, directory, access, AtFlags::EACCESS) == Err(Errno::ACCESS)
}

#[cfg(test)]
mod tests {
    use cred_provider_kit::MapEnv;

    use super::*;

    fn base(os: &str, variables: &[(&str, &str)]) -> PathBuf {
        default_base(os, &variables.iter().copied().collect::<MapEnv>())
    }

    #[test]
    fn linux_uses_the_xdg_data_directory() {
        const IN_HOME: &str = "/h/.local/share/nebula/credentials";
        for os in ["linux", "freebsd"] {
            assert_eq!(base(os, &[("HOME", "/h")]), Path::new(IN_HOME));
            assert_eq!(
                base(os, &[("HOME", "/h"), ("XDG_DATA_HOME", "/d")]),
                Path::new("/d/nebula/credentials")
            );
            for ignored in ["", "d", "./d"] {
                assert_eq!(base(os, &[("HOME", "/h"), ("XDG_DATA_HOME", ignored)]), Path::new(IN_HOME));
            }
            for unusable in [&[][..], &[("HOME", "h")], &[("APPDATA", "/a")]] {
                assert_eq!(base(os, unusable), Path::new(""), "{unusable:?}");
            }
        }
    }

    #[test]
    fn macos_uses_application_support_and_ignores_xdg() {
        let expected = Path::new("/Users/u/Library/Application Support/nebula/credentials");
        assert_eq!(base("macos", &[("HOME", "/Users/u")]), expected);
        assert_eq!(base("macos", &[("HOME", "/Users/u"), ("XDG_DATA_HOME", "/d")]), expected);
        for unusable in [&[][..], &[("XDG_DATA_HOME", "/d")], &[("HOME", "u")]] {
            assert_eq!(base("macos", unusable), Path::new(""), "{unusable:?}");
        }
    }

    #[test]
    fn windows_uses_the_roaming_application_data() {
        const APPDATA: &str = r"C:\Users\u\AppData\Roaming";
        let expected = Path::new(APPDATA).join("nebula").join("credentials");
        assert_eq!(base("windows", &[("APPDATA", APPDATA)]), expected);
        let more = [("APPDATA", APPDATA), ("LOCALAPPDATA", r"C:\l"), ("HOME", "/h"), ("XDG_DATA_HOME", "/d")];
        assert_eq!(base("windows", &more), expected);
        for unusable in [&[][..], &[("LOCALAPPDATA", r"C:\l")], &[("HOME", "/h"), ("XDG_DATA_HOME", "/d")]] {
            assert_eq!(base("windows", unusable), Path::new(""), "{unusable:?}");
        }
    }
}
