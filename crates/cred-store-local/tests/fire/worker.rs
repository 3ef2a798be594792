//! The other processes: what they do, what they say about it, and how they are started.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use cred_core::{
    CompareAndSet as _, CredentialContext, CredentialMetadata, CredentialPath, EncryptedData, KeyId,
    Revision, Sealed, StorageError, StorageErrorKind, StorageProvider as _, Timestamp,
};
use cred_store_local::{LocalStorageConfig, LocalStorageProvider};
use tokio::runtime::Runtime;

use crate::oracle::Operation;

/// No process of ours needs longer to say its next word.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn runtime() -> Runtime {
    // One thread for the files, so that its system calls can be counted.
    tokio::runtime::Builder::new_current_thread().max_blocking_threads(1).enable_time().build().unwrap()
}

pub(crate) fn open(base: &Path) -> LocalStorageProvider {
    LocalStorageProvider::new(LocalStorageConfig::default().with_base_path(base)).unwrap()
}

/// A value that is told from all others, in every byte, by its number.
pub(crate) fn value(number: u64) -> Sealed {
    let bytes = || number.to_le_bytes().into_iter().cycle();
    let wide = || std::array::from_fn(|at| number.to_le_bytes()[at % 8]);
    let length = 64 + usize::try_from(number * 7_919 % 6_000).unwrap();
    let key = KeyId::new("main").unwrap();
    let nonce = std::array::from_fn(|at| number.to_le_bytes()[at % 8]);
    let tag = std::array::from_fn(|at| number.to_le_bytes()[at % 8]);
    let data = EncryptedData::new(key, wide(), wide(), nonce, bytes().take(length).collect(), tag);
    Sealed::new(data, CredentialMetadata::new(Timestamp::from_unix_millis(number)))
}

/// The number of a value that was read, which must be whole.
pub(crate) fn number_of(stored: &Sealed) -> u64 {
    let number = u64::from_le_bytes(stored.data.ciphertext[..8].try_into().unwrap());
    assert_eq!(stored, &value(number), "torn");
    number
}

pub(crate) fn context(path: &CredentialPath) -> CredentialContext {
    CredentialContext::from(path.scope.clone())
}

/// What is stored: its number, or nothing.
pub(crate) async fn look(
    provider: &LocalStorageProvider,
    path: &CredentialPath,
) -> Result<Option<u64>, StorageError> {
    Ok(look_closely(provider, path).await?.map(|(number, _)| number))
}

pub(crate) async fn look_closely(
    provider: &LocalStorageProvider,
    path: &CredentialPath,
) -> Result<Option<(u64, Revision)>, StorageError> {
    match provider.retrieve_versioned(&path.id, &context(path)).await {
        Ok(found) => Ok(Some((number_of(&found.value), found.revision))),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}

pub(crate) async fn store(
    provider: &LocalStorageProvider,
    path: &CredentialPath,
    number: u64,
) -> Result<(), StorageError> {
    let Sealed { data, metadata } = value(number);
    provider.store(&path.id, data, metadata, &context(path)).await
}

/// Whether `number` was stored where exactly `expected` was.
pub(crate) async fn store_if(
    provider: &LocalStorageProvider,
    path: &CredentialPath,
    number: u64,
    expected: Option<&Revision>,
) -> Result<bool, StorageError> {
    let Sealed { data, metadata } = value(number);
    match provider.store_if(&path.id, data, metadata, expected, &context(path)).await {
        Ok(_) => Ok(true),
        Err(error) if matches!(error.kind(), StorageErrorKind::Conflict { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Does one operation; a rotation is a store on the condition that nobody else has stored
/// meanwhile.
pub(crate) async fn perform(
    provider: &LocalStorageProvider,
    operation: &Operation,
) -> Result<(), StorageError> {
    match operation {
        Operation::Store(path, number) => store(provider, path, *number).await,
        Operation::Rotate(path, number) => {
            let found = look_closely(provider, path).await?.map(|(_, revision)| revision);
            match store_if(provider, path, *number, found.as_ref()).await? {
                true => Ok(()),
                false => Err(StorageError::conflict("nobody else writes here")),
            }
        }
        Operation::Delete(path) => provider.delete(&path.id, &context(path)).await,
        Operation::Retrieve(path, expected) => {
            let found = look(provider, path).await?;
            assert_eq!(found, Some(*expected), "a wrong answer");
            Ok(())
        }
        Operation::ListTree(expected) => {
            let found = provider.list_tree(None, &CredentialContext::unscoped()).await?;
            assert_eq!(found.len(), *expected, "a list that is not complete: {found:?}");
            Ok(())
        }
    }
}

/// Says a word to the process that listens, in one piece.
pub(crate) fn say(word: &str) {
    let mut out = std::io::stdout().lock();
    out.write_all(format!("@{word}\n").as_bytes()).unwrap();
    out.flush().unwrap();
}

fn setting(name: &str) -> String {
    std::env::var(name).expect("it is started by another test")
}

/// What is run in the other processes.
#[test]
#[ignore = "is the other process of the tests of this program"]
fn worker() {
    let role = setting("CRED_FIRE_ROLE");
    match role.as_str() {
        "script" => script(),
        "random" => random(),
        "client" => crate::register::client(),
        other => panic!("no role {other}"),
    }
}

/// Does what it is told, and says before and after each that it did.
fn script() {
    let base = setting("CRED_FIRE_BASE");
    runtime().block_on(async {
        let provider = open(Path::new(&base));
        let silent = std::env::var("CRED_FIRE_WARM_UP").map_or(0, |count| count.parse().unwrap());
        for number in 1..=silent {
            let path = "warm".parse().unwrap();
            store(&provider, &path, number).await.unwrap();
            look(&provider, &path).await.unwrap();
        }
        for line in setting("CRED_FIRE_SCRIPT").split(';') {
            let operation: Operation = line.parse().unwrap();
            if matches!(operation, Operation::ListTree(_)) {
                // What changed a moment ago is read twice, which would make the number of system
                // calls a matter of time.
                std::thread::sleep(Duration::from_millis(100));
            }
            say(line);
            match perform(&provider, &operation).await {
                Ok(()) => say("ok"),
                Err(error) => say(&format!("failed {} {error}", error.may_have_written())),
            }
        }
    });
    say("end");
}

/// Stores, rotates and deletes at random, on paths of its own in scopes that it shares.
fn random() {
    let (base, slot) = (setting("CRED_FIRE_BASE"), setting("CRED_FIRE_SLOT"));
    let first: u64 = setting("CRED_FIRE_FIRST").parse().unwrap();
    let count: u64 = setting("CRED_FIRE_COUNT").parse().unwrap();
    let paths = paths(&slot);
    runtime().block_on(async {
        let provider = open(Path::new(&base));
        say("ready");
        for number in first..first + count {
            let path = paths[fastrand::usize(..paths.len())].clone();
            let operation = match fastrand::u8(..100) {
                0..60 => Operation::Store(path, number),
                60..85 => Operation::Rotate(path, number),
                _ => Operation::Delete(path),
            };
            say(&operation.to_string());
            match perform(&provider, &operation).await {
                Ok(()) => say("ok"),
                Err(error) => say(&format!("failed {} {error}", error.may_have_written())),
            }
        }
    });
    say("end");
}

/// The paths of one writer: unscoped, in a shared scope, below it, and in a scope of its own.
pub(crate) fn paths(slot: &str) -> Vec<CredentialPath> {
    let texts = [
        format!("key-{slot}"),
        format!("org:acme/key-{slot}"),
        format!("org:acme/team:shared/key-{slot}"),
        format!("org:own-{slot}/team:a/key"),
    ];
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

/// The command line of another process, to be started alone or behind another program.
pub(crate) fn arguments() -> [String; 6] {
    let program = std::env::current_exe().unwrap().into_os_string().into_string().unwrap();
    let words = ["--exact", "worker::worker", "--ignored", "--nocapture", "--test-threads=1"];
    let [a, b, c, d, e] = words.map(str::to_owned);
    [program, a, b, c, d, e]
}

pub(crate) fn settings(role: &str, base: &Path, more: &[(&str, &str)]) -> BTreeMap<String, String> {
    let mut settings = BTreeMap::from([
        ("CRED_FIRE_ROLE".to_owned(), role.to_owned()),
        ("CRED_FIRE_BASE".to_owned(), base.to_str().unwrap().to_owned()),
    ]);
    settings.extend(more.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    settings
}

/// Another process that is listened to. It is killed when this is dropped.
pub(crate) struct Process {
    child: Child,
    words: Receiver<String>,
}

impl Process {
    pub(crate) fn start(role: &str, base: &Path, more: &[(&str, &str)]) -> Self {
        Self::start_behind(&[] as &[&str], &settings(role, base, more))
    }

    /// Starts it behind the words of another program, such as `strace -o file`.
    pub(crate) fn start_behind(before: &[impl AsRef<OsStr>], settings: &BTreeMap<String, String>) -> Self {
        let own = arguments();
        let mut words: Vec<&OsStr> = before.iter().map(AsRef::as_ref).collect();
        words.extend(own.iter().map(OsStr::new));
        let mut child = Command::new(words[0])
            .args(&words[1..])
            .envs(settings)
            // Cargo's list of folders would make the loader search them, and with it the numbers of
            // system calls.
            .env_remove("LD_LIBRARY_PATH")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program that a test needs is there");
        let out = BufReader::new(child.stdout.take().unwrap());
        let (sender, words) = channel();
        std::thread::spawn(move || {
            for line in out.lines().map_while(Result::ok) {
                if let Some((_, word)) = line.split_once('@') {
                    // Nobody may listen any more.
                    let _ = sender.send(word.to_owned());
                }
            }
        });
        Self { child, words }
    }

    /// The next word; `None`: it has ended.
    pub(crate) fn next(&self) -> Option<String> {
        use std::sync::mpsc::RecvTimeoutError::{Disconnected, Timeout};
        match self.words.recv_timeout(PATIENCE) {
            Ok(word) => Some(word),
            Err(Disconnected) => None,
            Err(Timeout) => panic!("another process has nothing to say"),
        }
    }

    pub(crate) fn expect(&self, word: &str) {
        assert_eq!(self.next().as_deref(), Some(word));
    }

    /// Kills it at once, and gives what it has still said.
    pub(crate) fn kill(mut self) -> Vec<String> {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        std::iter::from_fn(|| self.next()).collect()
    }

    /// Waits until it ends, and gives what it has still said, and what it complained of.
    pub(crate) fn end(mut self) -> (Vec<String>, String) {
        let words: Vec<_> = std::iter::from_fn(|| self.next()).collect();
        let started = Instant::now();
        while self.child.try_wait().unwrap().is_none() {
            assert!(started.elapsed() < PATIENCE, "another process does not end");
            std::thread::sleep(Duration::from_millis(1));
        }
        let complaints = std::io::read_to_string(self.child.stderr.take().unwrap()).unwrap();
        (words, complaints)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
