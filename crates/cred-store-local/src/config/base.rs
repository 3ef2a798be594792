//! The base directory: its default, and whether this process can use it.

use std::path::PathBuf;

use cred_provider_kit::Env;

/// Returns the default base directory on the operating system `os`, named as in
/// [`std::env::consts::OS`]. It is empty if the variables do not name the user's data directory.
///
/// The rule is that of `dirs::data_dir`, with two differences: on Unix the user database is not read
/// if `HOME` is not set, and on Windows the variable `APPDATA` is read instead of the known folder.
pub(super) fn default_base(os: &str, env: &dyn Env) -> PathBuf {
    let absolute = |name: &str| env.get(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let in_home = |folder: &str| absolute("HOME").map(|home| home.join(folder));
    let data = match os {
        "macos" | "ios" => in_home("Library/Application Support"),
        // Not filtered, so that `validate` reports a relative path. Only Windows knows which are.
        "windows" => env.get("APPDATA").map(PathBuf::from),
        _ => absolute("XDG_DATA_HOME").or_else(|| in_home(".local/share")),
    };
    data.map(|data| data.join("nebula").join("credentials")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use cred_provider_kit::MapEnv;

    use super::*;

    fn base(os: &str, variables: &[(&str, &str)]) -> PathBuf {
        default_base(os, &variables.iter().copied().collect::<MapEnv>())
    }

    #[test]
    fn linux_has_the_data_directory_of_xdg() {
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
    fn macos_has_application_support_and_ignores_xdg() {
        let expected = Path::new("/Users/u/Library/Application Support/nebula/credentials");
        assert_eq!(base("macos", &[("HOME", "/Users/u")]), expected);
        assert_eq!(base("macos", &[("HOME", "/Users/u"), ("XDG_DATA_HOME", "/d")]), expected);
        for unusable in [&[][..], &[("XDG_DATA_HOME", "/d")], &[("HOME", "u")]] {
            assert_eq!(base("macos", unusable), Path::new(""), "{unusable:?}");
        }
    }

    #[test]
    fn windows_has_the_roaming_application_data() {
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
