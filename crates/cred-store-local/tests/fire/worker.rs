//! The worker processes: their operations, their reports, and how they are started.

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

/// The longest that a worker may take until its next report.
const OUTPUT_TIMEOUT: Duration = Duration::from_secs(60);

pub(crate) fn runtime() -> Runtime {
    // One blocking thread, so that its system calls can be counted.
    tokio::runtime::Builder::new_current_thread().max_blocking_threads(1).enable_time().build().unwrap()
}

pub(crate) fn open(base: &Path) -> LocalStorageProvider {
    LocalStorageProvider::new(LocalStorageConfig::default().with_base_path(base)).unwrap()
}

/// A value whose bytes are all derived from its number, so that it differs from all others.
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

/// The number of a value that was read. Fails if the value is torn.
pub(crate) fn number_of(stored: &Sealed) -> u64 {
    let number = u64::from_le_bytes(stored.data.ciphertext[..8].try_into().unwrap());
    assert_eq!(stored, &value(number), "a torn value");
    number
}

pub(crate) fn context(path: &CredentialPath) -> CredentialContext {
    CredentialContext::from(path.scope.clone())
}

/// The number of the stored value, or `None` if nothing is stored.
pub(crate) async fn read_number(
    provider: &LocalStorageProvider,
    path: &CredentialPath,
) -> Result<Option<u64>, StorageError> {
    Ok(read_versioned(provider, path).await?.map(|(number, _)| number))
}

pub(crate) async fn read_versioned(
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

/// Stores `number` if `expected` is the stored revision. Returns whether it did.
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

/// Performs one operation. A rotation is a store on the condition that no other process has stored
/// meanwhile.
pub(crate) async fn perform(
    provider: &LocalStorageProvider,
    operation: &Operation,
) -> Result<(), StorageError> {
    match operation {
        Operation::Store(path, number) => store(provider, path, *number).await,
        Operation::Rotate(path, number) => {
            let found = read_versioned(provider, path).await?.map(|(_, revision)| revision);
            match store_if(provider, path, *number, found.as_ref()).await? {
                true => Ok(()),
                false => Err(StorageError::conflict("another process wrote to the path")),
            }
        }
        Operation::Delete(path) => provider.delete(&path.id, &context(path)).await,
        Operation::Retrieve(path, expected) => {
            let found = read_number(provider, path).await?;
            assert_eq!(found, Some(*expected), "a wrong value");
            Ok(())
        }
        Operation::ListTree(expected) => {
            let found = provider.list_tree(None, &CredentialContext::unscoped()).await?;
            assert_eq!(found.len(), *expected, "an incomplete list: {found:?}");
            Ok(())
        }
    }
}

/// Reports a message to the parent process, in a single write.
pub(crate) fn report(message: &str) {
    let mut out = std::io::stdout().lock();
    out.write_all(format!("@{message}\n").as_bytes()).unwrap();
    out.flush().unwrap();
}

fn setting(name: &str) -> String {
    std::env::var(name).expect("another test starts this one")
}

/// The entry point of the worker processes.
#[test]
#[ignore = "is started by the other tests as a worker process"]
fn worker() {
    let role = setting("CRED_FIRE_ROLE");
    match role.as_str() {
        "script" => script(),
        "random" => random(),
        "client" => crate::register::client(),
        other => panic!("no role {other}"),
    }
}

/// Performs the operations of a script, and reports before and after each.
fn script() {
    let base = setting("CRED_FIRE_BASE");
    runtime().block_on(async {
        let provider = open(Path::new(&base));
        let silent = std::env::var("CRED_FIRE_WARM_UP").map_or(0, |count| count.parse().unwrap());
        for number in 1..=silent {
            let path = "warm".parse().unwrap();
            store(&provider, &path, number).await.unwrap();
            read_number(&provider, &path).await.unwrap();
        }
        for line in setting("CRED_FIRE_SCRIPT").split(';') {
            let operation: Operation = line.parse().unwrap();
            if matches!(operation, Operation::ListTree(_)) {
                // A directory that changed a moment ago is read twice, so that the number of system
                // calls would depend on timing.
                std::thread::sleep(Duration::from_millis(100));
            }
            report(line);
            match perform(&provider, &operation).await {
                Ok(()) => report("ok"),
                Err(error) => report(&format!("failed {} {error}", error.may_have_written())),
            }
        }
    });
    report("end");
}

/// Stores, rotates and deletes at random, on its own paths in shared scopes.
fn random() {
    let (base, slot) = (setting("CRED_FIRE_BASE"), setting("CRED_FIRE_SLOT"));
    let first: u64 = setting("CRED_FIRE_FIRST").parse().unwrap();
    let count: u64 = setting("CRED_FIRE_COUNT").parse().unwrap();
    let paths = paths(&slot);
    runtime().block_on(async {
        let provider = open(Path::new(&base));
        report("ready");
        for number in first..first + count {
            let path = paths[fastrand::usize(..paths.len())].clone();
            let operation = match fastrand::u8(..100) {
                0..60 => Operation::Store(path, number),
                60..85 => Operation::Rotate(path, number),
                _ => Operation::Delete(path),
            };
            report(&operation.to_string());
            match perform(&provider, &operation).await {
                Ok(()) => report("ok"),
                Err(error) => report(&format!("failed {} {error}", error.may_have_written())),
            }
        }
    });
    report("end");
}

/// The paths of one writer: unscoped, in a shared scope, below that, and in its own scope.
pub(crate) fn paths(slot: &str) -> Vec<CredentialPath> {
    let texts = [
        format!("key-{slot}"),
        format!("org:acme/key-{slot}"),
        format!("org:acme/team:shared/key-{slot}"),
        format!("org:own-{slot}/team:a/key"),
    ];
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

/// The command line of a worker, to be run alone or under another program.
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

/// A worker process. It is killed when this is dropped.
pub(crate) struct Process {
    child: Child,
    messages: Receiver<String>,
}

impl Process {
    pub(crate) fn start(role: &str, base: &Path, more: &[(&str, &str)]) -> Self {
        Self::start_under(&[] as &[&str], &settings(role, base, more))
    }

    /// Starts the worker under another program, such as `strace -o file`.
    pub(crate) fn start_under(before: &[impl AsRef<OsStr>], settings: &BTreeMap<String, String>) -> Self {
        let own = arguments();
        let mut words: Vec<&OsStr> = before.iter().map(AsRef::as_ref).collect();
        words.extend(own.iter().map(OsStr::new));
        let mut child = Command::new(words[0])
            .args(&words[1..])
            .envs(settings)
            // Cargo's library path would make the loader search its folders, which changes the
            // number of system calls.
            .env_remove("LD_LIBRARY_PATH")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program that the test needs is installed");
        let out = BufReader::new(child.stdout.take().unwrap());
        let (sender, messages) = channel();
        std::thread::spawn(move || {
            for line in out.lines().map_while(Result::ok) {
                if let Some((_, message)) = line.split_once('@') {
                    // The receiver may be gone.
                    let _ = sender.send(message.to_owned());
                }
            }
        });
        Self { child, messages }
    }

    /// The next report, or `None` if the process has ended.
    pub(crate) fn next(&self) -> Option<String> {
        use std::sync::mpsc::RecvTimeoutError::{Disconnected, Timeout};
        match self.messages.recv_timeout(OUTPUT_TIMEOUT) {
            Ok(message) => Some(message),
            Err(Disconnected) => None,
            Err(Timeout) => panic!("the worker reported nothing in time"),
        }
    }

    pub(crate) fn expect(&self, message: &str) {
        assert_eq!(self.next().as_deref(), Some(message));
    }

    /// Kills the worker and returns its remaining reports.
    pub(crate) fn kill(mut self) -> Vec<String> {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        std::iter::from_fn(|| self.next()).collect()
    }

    /// Waits until the worker ends. Returns its remaining reports and its stderr output.
    pub(crate) fn wait(mut self) -> (Vec<String>, String) {
        let messages: Vec<_> = std::iter::from_fn(|| self.next()).collect();
        let started = Instant::now();
        while self.child.try_wait().unwrap().is_none() {
            assert!(started.elapsed() < OUTPUT_TIMEOUT, "the worker does not end");
            std::thread::sleep(Duration::from_millis(1));
        }
        let stderr = std::io::read_to_string(self.child.stderr.take().unwrap()).unwrap();
        (messages, stderr)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // The worker may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
