//! The token of a service account, which is replaced on disk before it expires.
//!
//! Everything else that a kubeconfig can name (a token, a certificate, a program that gives either)
//! is kube's to apply. Its reading of token files is not used: it goes on for up to a minute with a
//! token that the server no longer takes.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use cred_core::{ExposeSecret, SecretString, StorageError, StorageErrorKind, StorageResult, Zeroizing};
use http::HeaderValue;

/// How long a token is used before the file is read again, as other clients of Kubernetes do.
const LOOK_AGAIN: Duration = Duration::from_secs(60);

/// A token that was read from a file.
pub(crate) struct Token {
    text: SecretString,
    /// As it goes into a request.
    header: HeaderValue,
}

/// A file that holds the token, by turns another one.
pub(crate) struct TokenFile {
    path: PathBuf,
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    token: Option<Arc<Token>>,
    /// When the file was last looked at.
    looked: Option<Instant>,
}

impl Token {
    pub(crate) fn header(&self) -> HeaderValue {
        self.header.clone()
    }

    /// What no error may repeat.
    pub(crate) fn hidden(&self) -> &str {
        self.text.expose_secret()
    }
}

impl TokenFile {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path, held: Mutex::default() }
    }

    /// The token to ask with. Where the file cannot be read any more, the last one that was: some
    /// remove it on purpose.
    pub(crate) async fn current(&self) -> StorageResult<Arc<Token>> {
        if let Some(token) = self.fresh() {
            return Ok(token);
        }
        let read = self.read().await;
        let mut held = self.held();
        match (read, &held.token) {
            (Ok(token), _) => Ok(held.token.insert(token).clone()),
            (Err(_), Some(last)) => Ok(Arc::clone(last)),
            (Err(error), None) => Err(error),
        }
    }

    /// Another token than one that the server has refused; `None`: there is none yet.
    pub(crate) async fn instead_of(&self, refused: &Token) -> Option<Arc<Token>> {
        let differs = |token: &Arc<Token>| token.hidden() != refused.hidden();
        let held = self.held().token.clone();
        if let Some(token) = held.filter(differs) {
            return Some(token);
        }
        let token = self.read().await.ok().filter(differs)?;
        Some(self.held().token.insert(token).clone())
    }

    /// The token that is held, unless the file is to be read. Who is told to read it is the only
    /// one for a while: others go on with what there is.
    fn fresh(&self) -> Option<Arc<Token>> {
        let mut held = self.held();
        let stale = held.looked.is_none_or(|looked| looked.elapsed() >= LOOK_AGAIN);
        if stale {
            held.looked = Some(Instant::now());
        }
        held.token.clone().filter(|_| !stale)
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
        Token::parse(text.trim()).map(Arc::new).ok_or_else(|| refused("holds no token"))
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
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
        file.held().looked = Instant::now().checked_sub(LOOK_AGAIN);
    }

    #[tokio::test]
    async fn a_token_is_read_again_after_a_while_and_not_before() {
        let (_folder, path, file) = file("one\n");
        assert_eq!(file.current().await.unwrap().hidden(), "one");
        fs::write(&path, "two").unwrap();
        assert_eq!(file.current().await.unwrap().hidden(), "one");
        age(&file);
        assert_eq!(file.current().await.unwrap().hidden(), "two");
    }

    #[tokio::test]
    async fn a_refused_token_is_exchanged_for_the_one_on_disk_if_it_is_another() {
        let (_folder, path, file) = file("one");
        let one = file.current().await.unwrap();
        assert!(file.instead_of(&one).await.is_none());
        fs::write(&path, "two").unwrap();
        assert_eq!(file.instead_of(&one).await.unwrap().hidden(), "two");
        assert_eq!(file.current().await.unwrap().hidden(), "two");
        fs::remove_file(&path).unwrap();
        assert_eq!(file.instead_of(&one).await.unwrap().hidden(), "two", "another request has exchanged it");
    }

    #[tokio::test]
    async fn a_file_that_has_gone_leaves_the_last_token() {
        let (_folder, path, file) = file("one");
        file.current().await.unwrap();
        fs::remove_file(&path).unwrap();
        age(&file);
        assert_eq!(file.current().await.unwrap().hidden(), "one");
        age(&file);
        fs::write(&path, "a b").unwrap();
        assert_eq!(file.current().await.unwrap().hidden(), "one", "nor does one that is being written");
    }

    #[tokio::test]
    async fn without_a_token_the_error_names_the_file_and_not_what_is_in_it() {
        for text in ["", " \n", "hunter2 hunter2", "hunter2\u{e9}"] {
            let (_folder, path, file) = file(text);
            let error = file.current().await.unwrap_err();
            let said = format!("{error} {error:?}");
            assert!(said.contains(&path.display().to_string()) && !said.contains("hunter2"), "{said}");
        }
    }

    #[tokio::test]
    async fn nothing_prints_a_token() {
        let (_folder, _, file) = file("hunter2");
        let token = file.current().await.unwrap();
        let printed = format!("{file:?} {token:?} {:?}", token.header());
        assert!(!printed.contains("hunter2"), "{printed}");
    }
}
