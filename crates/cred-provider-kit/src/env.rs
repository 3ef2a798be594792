//! Environment variables, from a source that a test can replace.

use std::collections::BTreeMap;
use std::fmt;

use cred_core::{SecretString, Zeroizing};

/// A source of environment variables for a configuration.
///
/// An empty variable counts as unset. Shells and container files cannot easily unset a variable, so
/// people set it to an empty value. In a program that treats it as set, `VAULT_SKIP_VERIFY=""`
/// turned verification off.
///
/// ```
/// use cred_provider_kit::{Env, MapEnv};
///
/// let env = MapEnv::from([("VAULT_ADDR", "https://vault:8200"), ("VAULT_NAMESPACE", "")]);
/// assert_eq!(env.get("VAULT_ADDR").as_deref(), Some("https://vault:8200"));
/// assert_eq!(env.get("VAULT_NAMESPACE"), None);
/// ```
pub trait Env: Send + Sync {
    /// Returns the variable's value unchanged, even if it is empty; `None` if the variable does not
    /// exist. Callers use [`Env::get`].
    fn lookup(&self, name: &str) -> Option<String>;

    /// Returns the variable's value, never trimmed; `None` if the variable does not exist or is
    /// empty.
    fn get(&self, name: &str) -> Option<String> {
        self.lookup(name).filter(|value| !value.is_empty())
    }

    /// Like [`Env::get`], for a variable that contains a secret: intermediate copies are wiped. The
    /// copy in the process environment remains.
    fn secret(&self, name: &str) -> Option<SecretString> {
        // From the slice: turning a `String` into a box may move it, and would leave the old memory
        // unwiped.
        self.get(name).map(Zeroizing::new).map(|value| SecretString::from(value.as_str()))
    }
}

/// The environment of this process.
///
/// Bytes of a variable that are not UTF-8 are replaced by U+FFFD, so that the value is rejected
/// where it is used. If such a variable counted as unset, a default would silently replace it.
#[derive(Debug, Clone, Copy, Default)]
pub struct ProcessEnv;

impl Env for ProcessEnv {
    fn lookup(&self, name: &str) -> Option<String> {
        // `var_os` does not panic on any name; for an impossible one it returns `None`.
        std::env::var_os(name).map(|value| match value.into_string() {
            Ok(value) => value,
            // The value may be a secret: wipe the bytes that are not returned.
            Err(value) => {
                let bytes = Zeroizing::new(value.into_encoded_bytes());
                lossy(&bytes)
            }
        })
    }
}

/// Replaces bytes that are not UTF-8. The text never grows, since growing leaves a copy behind.
fn lossy(bytes: &[u8]) -> String {
    let longest = bytes.len().saturating_mul(char::REPLACEMENT_CHARACTER.len_utf8());
    let mut text = String::with_capacity(longest);
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        if !chunk.invalid().is_empty() {
            text.push(char::REPLACEMENT_CHARACTER);
        }
    }
    text
}

/// Variables given by the caller, for tests and for values from another source.
///
/// Its `Debug` prints only the names.
#[derive(Clone, Default)]
pub struct MapEnv(BTreeMap<String, String>);

impl Env for MapEnv {
    fn lookup(&self, name: &str) -> Option<String> {
        self.0.get(name).cloned()
    }
}

impl<N: Into<String>, V: Into<String>> FromIterator<(N, V)> for MapEnv {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(variables: I) -> Self {
        Self(variables.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }
}

impl<N: Into<String>, V: Into<String>, const COUNT: usize> From<[(N, V); COUNT]> for MapEnv {
    fn from(variables: [(N, V); COUNT]) -> Self {
        variables.into_iter().collect()
    }
}

impl fmt::Debug for MapEnv {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("MapEnv").field(&self.0.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use cred_core::ExposeSecret;

    use super::*;

    #[test]
    fn an_empty_variable_counts_as_unset() {
        let env = MapEnv::from([("EMPTY", ""), ("BLANK", " "), ("SET", "value")]);
        assert_eq!(env.get("EMPTY"), None);
        assert_eq!(env.get("ABSENT"), None);
        assert!(env.secret("EMPTY").is_none());
        assert_eq!(env.get("BLANK").as_deref(), Some(" "));
        assert_eq!(env.get("SET").as_deref(), Some("value"));
        assert_eq!(env.lookup("EMPTY").as_deref(), Some(""));
    }

    #[test]
    fn a_secret_variable_is_not_printed() {
        let env = MapEnv::from([("VAULT_TOKEN", "hunter2")]);
        let secret = env.secret("VAULT_TOKEN").unwrap();
        assert_eq!(secret.expose_secret(), "hunter2");
        let printed = format!("{env:?} {secret:?}");
        assert!(printed.contains("VAULT_TOKEN") && !printed.contains("hunter2"), "{printed}");
    }

    #[test]
    fn the_process_environment_is_read() {
        // Cargo sets this one for every test.
        assert_eq!(ProcessEnv.get("CARGO_PKG_NAME").as_deref(), Some("cred-provider-kit"));
        for impossible in ["CRED_KIT_IS_NOT_SET", "", "A=B", "A\0B"] {
            assert_eq!(ProcessEnv.get(impossible), None, "{impossible:?}");
        }
    }

    #[test]
    fn invalid_utf8_is_replaced_without_growing_the_text() {
        for bytes in [&b"tok\xffen\xf0\x9f"[..], &[0xff; 40], b"", b"token"] {
            let text = lossy(bytes);
            assert_eq!(text, String::from_utf8_lossy(bytes));
            assert_eq!(text.capacity(), 3 * bytes.len());
        }
    }

    #[test]
    fn the_source_is_chosen_at_run_time() {
        let sources: [&dyn Env; 2] = [&ProcessEnv, &MapEnv::default()];
        assert!(sources.iter().all(|env| env.get("CRED_KIT_IS_NOT_SET").is_none()));
    }
}
