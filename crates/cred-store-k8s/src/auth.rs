//! The token of a service account, which is replaced on disk before it expires.
//!
//! kube applies everything else that a kubeconfig can name: a token, a certificate, or a program
//! that returns either. Its reader of token files is not used, because it uses a token that the
//! server has refused for up to another minute.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use cred_core::{ExposeSecret, SecretString, StorageError, StorageErrorKind, StorageResult, Zeroizing};
use http::HeaderValue;

/// How long a token is used before the file is read again, as in other clients of Kubernetes.
const REREAD_AFTER: Duration = Duration::from_secs(60);

/// A token that was read from a file.
pub(crate) struct Token {
    text: SecretString,
    /// The value of the `Authorization` header.
    header: HeaderValue,
}

/// A file with the current token, which is replaced from time to time.
pub(crate) struct TokenFile {
    path: PathBuf,
    cache: Mutex<CachedToken>,
}

#[derive(Default)]
struct CachedToken {
    token: Option<Arc<Token>>,
    /// When the file was last read.
    last_read: Option<Instant>,
}

impl Token {
    pub(crate) fn header(&self) -> HeaderValue {
        self.header.clone()
    }

    /// The text of the token, which no error may repeat.
    pub(crate) fn secret(&self) -> &str {
        self.text.expose_secret()
    }
}

impl TokenFile {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path, cache: Mutex::default() }
    }

    /// Returns the token for a request. If the file can no longer be read, returns the last token:
    /// some users remove the file on purpose.
    pub(crate) async fn current(&self) -> StorageResult<Arc<Token>> {
        if let Some(token) = self.cached() {
            return Ok(token);
        }
        let read = self.read().await;
        let mut cached = self.cache();
        match (read, &cached.token) {
            (Ok(token), _) => Ok(cached.token.insert(token).clone()),
            (Err(_), Some(last)) => Ok(Arc::clone(last)),
            (Err(error), None) => Err(error),
        }
    }

    /// Returns another token than the one that the server has refused. `None`: no other token
    /// exists yet.
    pub(crate) async fn replacement_for(&self, refused: &Token) -> Option<Arc<Token>> {
        let differs = |token: &Arc<Token>| token.secret() != refused.secret();
        let cached = self.cache().token.clone();
        if let Some(token) = cached.filter(differs) {
            return Some(token);
        }
        let token = self.read().await.ok().filter(differs)?;
        Some(self.cache().token.insert(token).clone())
    }

    /// Returns the cached token. `None`: the caller has to read the file. When a token is due, only
    /// one caller per interval gets `None`; the others continue with the cached token.
    fn cached(&self) -> Option<Arc<Token>> {
        let mut cached = self.cache();
        let stale = cached.last_read.is_none_or(|last_read| last_read.elapsed() >= REREAD_AFTER);
        if stale {
            cached.last_read = Some(Instant::now());
        }
        cached.token.clone().filter(|_| !stale)
    }

    async fn read(&self) -> StorageResult<Arc<Token>> {
        let refused = |problem: &str| {
            let path = self.path.display();
            StorageError::from(StorageErrorKind::AuthenticationFailed {
                reason: format!("the token file `{path}` {problem}").into(),
            })
        };
        let path = self.path.clone();
        let read =
            tokio::task::spawn_blocking(move || std::fs::read_to_string(path).map(Zeroizing::new)).await;
        let text = match read {
            Ok(Ok(text)) => text,
            Ok(Err(error)) => return Err(refused(&format!("cannot be read ({})", error.kind()))),
            Err(_) => return Err(refused("could not be read, since the runtime is shutting down")),
        };
        Token::parse(text.trim()).map(Arc::new).ok_or_else(|| refused("contains no usable token; replace it"))
    }

    fn cache(&self) -> MutexGuard<'_, CachedToken> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Token {
    fn parse(text: &str) -> Option<Self> {
        if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return None;
        }
        let line = Zeroizing::new(format!("Bearer {text}"));
        let mut header = HeaderValue::from_str(&line).ok()?;
        header.set_sensitive(true);
        Some(Self { text: SecretString::from(text), header })
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token([redacted])")
    }
}

impl fmt::Debug for TokenFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenFile").field("path", &self.path).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn file(text: &str) -> (tempfile::TempDir, PathBuf, TokenFile) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        fs::write(&path, text).unwrap();
        let token = TokenFile::new(path.clone());
        (folder, path, token)
    }

    fn age(file: &TokenFile) {
        file.cache().last_read = Instant::now().checked_sub(REREAD_AFTER);
    }

    #[tokio::test]
    async fn a_token_is_read_again_only_after_the_interval() {
        let (_folder, path, file) = file("one\n");
        assert_eq!(file.current().await.unwrap().secret(), "one");
        fs::write(&path, "two").unwrap();
        assert_eq!(file.current().await.unwrap().secret(), "one");
        age(&file);
        assert_eq!(file.current().await.unwrap().secret(), "two");
    }

    #[tokio::test]
    async fn a_refused_token_is_replaced_by_a_different_one_on_disk() {
        let (_folder, path, file) = file("one");
        let one = file.current().await.unwrap();
        assert!(file.replacement_for(&one).await.is_none());
        fs::write(&path, "two").unwrap();
        assert_eq!(file.replacement_for(&one).await.unwrap().secret(), "two");
        assert_eq!(file.current().await.unwrap().secret(), "two");
        fs::remove_file(&path).unwrap();
        assert_eq!(
            file.replacement_for(&one).await.unwrap().secret(),
            "two",
            "another request has exchanged it"
        );
    }

    #[tokio::test]
    async fn the_last_token_is_used_if_the_file_is_missing_or_invalid() {
        let (_folder, path, file) = file("one");
        file.current().await.unwrap();
        fs::remove_file(&path).unwrap();
        age(&file);
        assert_eq!(file.current().await.unwrap().secret(), "one");
        age(&file);
        fs::write(&path, "a b").unwrap();
        assert_eq!(
            file.current().await.unwrap().secret(),
            "one",
            "a file that is being written does not replace the last token either"
        );
    }

    #[tokio::test]
    async fn an_unusable_token_file_is_named_without_its_contents() {
        for text in ["", " \n", "hunter2 hunter2", "hunter2\u{e9}"] {
            let (_folder, path, file) = file(text);
            let error = file.current().await.unwrap_err();
            let text = format!("{error} {error:?}");
            assert!(text.contains(&path.display().to_string()) && !text.contains("hunter2"), "{text}");
        }
    }

    #[tokio::test]
    async fn debug_output_does_not_contain_the_token() {
        let (_folder, _, file) = file("hunter2");
        let token = file.current().await.unwrap();
        let printed = format!("{file:?} {token:?} {:?}", token.header());
        assert!(!printed.contains("hunter2"), "{printed}");
    }
}
