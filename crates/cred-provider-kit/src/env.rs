//! Environment variables, from a source that a test can choose.

use std::collections::BTreeMap;
use std::fmt;

use cred_core::{SecretString, Zeroizing};

/// Where a configuration reads environment variables.
///
/// An empty variable counts as unset. Shells and container files cannot easily unset one, so people
/// empty it instead, and a program that then sees "set" does the unexpected: `VAULT_SKIP_VERIFY=""`
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
    /// The variable as it is, empty or not; `None`: it is not there. Readers use [`Env::get`].
    fn lookup(&self, name: &str) -> Option<String>;

    /// The variable's text; `None`: it is not there, or empty. Never trimmed.
    fn get(&self, name: &str) -> Option<String> {
        self.lookup(name).filter(|value| !value.is_empty())
    }

    /// As [`Env::get`], for a variable that holds a secret: the copies made on the way are wiped.
    /// The process's own copy stays.
    fn secret(&self, name: &str) -> Option<SecretString> {
        // From the slice: making a box of a String may move it, and leaves the old place unwiped.
        self.get(name).map(Zeroizing::new).map(|value| SecretString::from(value.as_str()))
    }
}

/// The environment of this process.
///
/// What is not UTF-8 in a variable is replaced by U+FFFD, so that it is refused where it is used.
/// To take it as unset would silently put a default in its place.
#[derive(Debug, Clone, Copy, Default)]
pub struct ProcessEnv;

impl Env for ProcessEnv {
    fn lookup(&self, name: &str) -> Option<String> {
        // `var_os` panics on nothing that it is given; an impossible name is merely not there.
        std::env::var_os(name).map(|value| match value.into_string() {
            Ok(value) => value,
            // It may be a secret: the bytes that are not handed on are wiped.
            Err(value) => {
                let bytes = Zeroizing::new(value.into_encoded_bytes());
                lossy(&bytes)
            }
        })
    }
}

/// What is not UTF-8 replaced, in a text that never grows: growing leaves a copy behind.
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

/// Variables that the caller gives: for tests, and for what is read from elsewhere.
///
/// Its `Debug` prints the names alone.
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
    fn what_is_not_utf8_is_replaced_without_growing() {
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
