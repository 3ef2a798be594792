//! Names of environment variables.

use cred_core::CredentialId;

/// Whether every shell and program accepts this as the name of a variable.
pub(crate) fn is_name(text: &str) -> bool {
    let mut bytes = text.bytes();
    bytes.next().is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// The variable name of an id. An id with a dash, or in lower case without an underscore, becomes
/// upper case with underscores; any other id is used unchanged. `None` if the id starts with a
/// digit.
pub(crate) fn of_id(id: &CredentialId) -> Option<String> {
    let id = id.as_str();
    let is_plain = !id.contains(|letter: char| letter.is_ascii_uppercase() || letter == '_');
    let name = match id.contains('-') || is_plain {
        true => id.to_ascii_uppercase().replace('-', "_"),
        false => id.to_owned(),
    };
    is_name(&name).then_some(name)
}

/// The variable name of one of several fields. The field is in upper case if the stem has no
/// lower-case letter.
pub(crate) fn of_field(stem: &str, field: &str) -> String {
    let field = field.replace(['-', '.'], "_");
    match stem.contains(|letter: char| letter.is_ascii_lowercase()) {
        true => format!("{stem}_{field}"),
        false => format!("{stem}_{}", field.to_ascii_uppercase()),
    }
}

/// Whether a variable can choose code that a program, its runtime, its shell or its loader runs, or
/// the files that they trust. A principal that can write a scope must not gain that.
pub(crate) fn can_choose_code(name: &str) -> bool {
    // Windows does not distinguish case.
    let upper = cfg!(windows).then(|| name.to_ascii_uppercase());
    let name = upper.as_deref().unwrap_or(name);
    // npm accepts its settings in upper and lower case.
    let of_npm =
        || name.to_ascii_lowercase().strip_prefix("npm_config_").is_some_and(|name| NPM.contains(&name));
    NAMES.contains(&name)
        || PREFIXES.iter().any(|prefix| name.starts_with(prefix))
        || SUFFIXES.iter().any(|suffix| name.ends_with(suffix))
        || (name.starts_with("GIT_") && name.ends_with("COMMAND"))
        || of_npm()
}

/// Settings of npm that choose programs, or where packages come from.
const NPM: [&str; 12] = [
    "cache",
    "editor",
    "git",
    "globalconfig",
    "init_module",
    "node_gyp",
    "node_options",
    "prefix",
    "registry",
    "script_shell",
    "shell",
    "userconfig",
];

const SUFFIXES: [&str; 8] = ["_EDITOR", "_OPTIONS", "_OPTS", "_PAGER", "_RSH", "_RUNNER", "_SSH", "_WRAPPER"];

const PREFIXES: [&str; 20] = [
    "BASH_FUNC_",
    "CARGO_BUILD_",
    "CARGO_TARGET_",
    "CGO_",
    "CORECLR_",
    "COR_",
    "CRED_",
    "DYLD_",
    "GIT_CONFIG",
    "GIT_SSL_",
    "JULIA_",
    "LD_",
    "LUA_CPATH",
    "LUA_INIT",
    "LUA_PATH",
    "MALLOC_",
    "PERL5",
    "PYTHON",
    "TF_CLI_",
    "XDG_CONFIG_",
];

const NAMES: [&str; 98] = [
    // The search for programs, and shells.
    "PATH",
    "PATHEXT",
    "COMSPEC",
    "SHELL",
    "BASH_ENV",
    "ENV",
    "IFS",
    "SHELLOPTS",
    "BASHOPTS",
    "PS0",
    "PS1",
    "PS2",
    "PS4",
    "PROMPT_COMMAND",
    "CDPATH",
    "FPATH",
    "ZDOTDIR",
    "HOME",
    // The C library.
    "GCONV_PATH",
    "GETCONF_DIR",
    "GLIBC_TUNABLES",
    "HOSTALIASES",
    "LOCALDOMAIN",
    "LOCPATH",
    "NLSPATH",
    "RESOLV_HOST_CONF",
    "TMPDIR",
    "TMP",
    "TEMP",
    "TZDIR",
    "TERMCAP",
    "TERMINFO",
    "TERMINFO_DIRS",
    // Other libraries.
    "OPENSSL_CONF",
    "OPENSSL_ENGINES",
    "OPENSSL_MODULES",
    // The authorities that a program trusts.
    "CURL_CA_BUNDLE",
    "NODE_EXTRA_CA_CERTS",
    "NODE_TLS_REJECT_UNAUTHORIZED",
    "REQUESTS_CA_BUNDLE",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
    // Settings of programs that start others.
    "ANSIBLE_CONFIG",
    "AWS_CONFIG_FILE",
    "AWS_SHARED_CREDENTIALS_FILE",
    "CARGO_HOME",
    "CURL_HOME",
    "DOCKER_CONFIG",
    "DOCKER_HOST",
    "EXINIT",
    "KUBECONFIG",
    "LESS",
    "PIP_CONFIG_FILE",
    "R_ENVIRON_USER",
    "R_PROFILE_USER",
    "VIMINIT",
    "WGETRC",
    // Compilers.
    "GOENV",
    "GOFLAGS",
    "GOINSECURE",
    "GOPROXY",
    "GOTOOLCHAIN",
    "RUSTC",
    "RUSTDOC",
    "RUSTFLAGS",
    "SSLKEYLOGFILE",
    // Language runtimes.
    "NODE_PATH",
    "NODE_REPL_EXTERNAL_MODULE",
    "PERLLIB",
    "RUBYOPT",
    "RUBYLIB",
    "GEM_HOME",
    "GEM_PATH",
    "BUNDLE_GEMFILE",
    "CLASSPATH",
    "DOTNET_STARTUP_HOOKS",
    "PHPRC",
    "PHP_INI_SCAN_DIR",
    "ERL_AFLAGS",
    "ERL_FLAGS",
    "ERL_ZFLAGS",
    // Programs that other programs start.
    "EDITOR",
    "VISUAL",
    "PAGER",
    "MANPAGER",
    "BROWSER",
    "LESSOPEN",
    "LESSCLOSE",
    "SSH_ASKPASS",
    "SUDO_ASKPASS",
    "GIT_ASKPASS",
    "GIT_DIR",
    "GIT_EXEC_PATH",
    "GIT_EXTERNAL_DIFF",
    "GIT_TEMPLATE_DIR",
    "GIT_WORK_TREE",
    "MAKEFLAGS",
    "MAKEFILES",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_choose_code_are_recognized() {
        for name in [
            "PATH",
            "LD_PRELOAD",
            "DYLD_INSERT_LIBRARIES",
            "BASH_FUNC_ls%%",
            "PYTHONSTARTUP",
            "PERL5LIB",
            "GIT_SSH_COMMAND",
            "GIT_CONFIG_COUNT",
            "CRED_CONFIG",
            "NODE_OPTIONS",
            "GLIBC_TUNABLES",
            "TAR_OPTIONS",
            "npm_config_node_options",
            "NPM_CONFIG_SCRIPT_SHELL",
            "RUSTC_WRAPPER",
            "AWS_PAGER",
            "KUBECONFIG",
        ] {
            assert!(can_choose_code(name), "{name}");
        }
        for name in [
            "STRIPE_API_KEY",
            "http_proxy",
            "GIT_TOKEN",
            "PATHS",
            "TF_VAR_path",
            "NODE_ENV",
            "npm_config__auth",
        ] {
            assert!(!can_choose_code(name), "{name}");
        }
    }

    #[test]
    fn an_id_becomes_a_variable() {
        for (id, variable) in [
            ("stripe-api-key", Some("STRIPE_API_KEY")),
            ("db", Some("DB")),
            ("path", Some("PATH")),
            ("http_proxy", Some("http_proxy")),
            ("HTTP_PROXY", Some("HTTP_PROXY")),
            ("TF_VAR_db_password", Some("TF_VAR_db_password")),
            ("npm_config_x", Some("npm_config_x")),
            ("no_proxy", Some("no_proxy")),
            ("apiKey", Some("apiKey")),
            ("a_b-c", Some("A_B_C")),
            ("2fa", None),
            ("2_fa", None),
        ] {
            assert_eq!(of_id(&id.parse().unwrap()).as_deref(), variable, "{id}");
        }
    }

    #[test]
    fn a_field_name_follows_the_case_of_its_stem() {
        assert_eq!(of_field("DB", "access-token"), "DB_ACCESS_TOKEN");
        assert_eq!(of_field("TF_VAR_db", "password"), "TF_VAR_db_password");
    }
}
