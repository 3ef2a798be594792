//! The files: each method is the whole blocking work of one operation. Nothing else here knows the
//! operating system.

mod anchored;
mod directory;
mod lock;
mod temporary;
mod walk;

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use cred_core::{
    ConfigError, CredentialFilter, CredentialPath, Description, PathRef, Revision, ScopeId, StorageError,
    StorageErrorKind, StorageResult, Versioned,
};
use cred_provider_kit::naming::FileNames;
use cred_provider_kit::{CredentialFile, Reach};
use sha2::{Digest, Sha256};

use self::anchored::Anchored;
use self::directory::{Directory, Trust};
use self::lock::{Access, Queue, StoreLock};
use self::temporary::Temporary;
use self::walk::Walk;
use crate::LocalStorageConfig;
use crate::error::WriteError;

/// What must be stored for a write to happen.
#[derive(Debug)]
pub(crate) enum Condition {
    Anything,
    Nothing,
    Exactly(Revision),
}

/// When a write gives up, and the time that it was given.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deadline {
    pub(crate) at: Instant,
    pub(crate) limit: Duration,
}

impl Deadline {
    fn check(&self) -> StorageResult<()> {
        match Instant::now() < self.at {
            true => Ok(()),
            false => Err(StorageErrorKind::Timeout { limit: self.limit }.into()),
        }
    }
}

#[derive(Debug)]
pub(crate) struct Client {
    base: PathBuf,
    create_dir: bool,
    locking: bool,
    trust: Trust,
    names: FileNames,
    /// Bytes of the longest file that is read.
    max_read_len: usize,
    /// Whether the base was there once: from then on its absence is an outage.
    opened: AtomicBool,
    /// The base, open since it was last seen: to look whether it still is what it was takes less
    /// than to open it.
    held: Mutex<Option<Arc<Directory>>>,
    anchored: Anchored,
    queue: Queue,
}

impl Client {
    /// A valid configuration is expected.
    pub(crate) fn new(config: LocalStorageConfig) -> Result<Self, ConfigError> {
        let (names, max_read_len) = (config.names()?, config.max_read_len());
        let LocalStorageConfig { base_path: base, create_dir, enable_locking: locking, .. } = config;
        let trust = if config.allow_open_dirs { Trust::OpenDirectories } else { Trust::Owner };
        Ok(Self {
            base,
            create_dir,
            locking,
            trust,
            names,
            max_read_len,
            opened: AtomicBool::new(false),
            held: Mutex::default(),
            anchored: Anchored::default(),
            queue: Queue::default(),
        })
    }

    /// Opens the base directory, creates it where that is wanted, and removes what crashed writers
    /// left.
    pub(crate) fn connect(&self) -> StorageResult<()> {
        self.opened.store(false, Ordering::Relaxed);
        self.open_or_create_base().map(drop)
    }

    /// The file of a path; `None`: it does not exist.
    pub(crate) fn retrieve(&self, path: PathRef<'_>) -> StorageResult<Option<CredentialFile>> {
        self.bytes(path)?.map(|bytes| self.decode(&bytes, path)).transpose()
    }

    pub(crate) fn retrieve_versioned(
        &self,
        path: PathRef<'_>,
    ) -> StorageResult<Option<Versioned<CredentialFile>>> {
        let Some(bytes) = self.bytes(path)? else { return Ok(None) };
        Ok(Some(Versioned::new(self.decode(&bytes, path)?, revision(&bytes))))
    }

    pub(crate) fn exists(&self, path: PathRef<'_>) -> StorageResult<bool> {
        let Some(base) = self.base()? else { return Ok(false) };
        let Some(directory) = self.directory(&base, path.scope)? else { return Ok(false) };
        directory.has_file(&self.names.file(path.id).text)
    }

    /// The file of one store of a path. It tells its path exactly where the names cannot.
    pub(crate) fn address(&self, file: CredentialFile, path: PathRef<'_>) -> CredentialFile {
        let place = self.names.is_hashed(path).then(|| path.to_path());
        file.with_path(place).with_mark(Some(fastrand::u128(..).to_be_bytes()))
    }

    /// Replaces the file of a path where the condition holds.
    pub(crate) fn store(
        &self,
        path: PathRef<'_>,
        file: &CredentialFile,
        condition: &Condition,
        description: &Description,
        deadline: Deadline,
    ) -> Result<Revision, WriteError> {
        let name = self.names.file(path.id).text;
        let prepare = || {
            deadline.check()?;
            let bytes = file.encode_within(description, path)?;

            let base = self.created_base()?;
            base.anchor(&self.anchored)?;
            let target = self.created_directory(&base, path.scope)?;
            let mut temporary = Temporary::create(&base, &self.anchored)?;
            temporary.write(&bytes)?;

            let access = match condition {
                Condition::Anything => Access::Together,
                Condition::Nothing | Condition::Exactly(_) => Access::Alone,
            };
            let lock = self.lock(access, &base, deadline)?;
            self.check(&target, &name, condition)?;
            deadline.check()?;
            Ok((bytes, target, temporary, lock))
        };
        let (bytes, target, temporary, lock) = prepare().map_err(WriteError::Nothing)?;
        temporary.rename(&target, &name)?;
        drop(lock);
        target.sync().map_err(not_durable)?;
        Ok(revision(&bytes))
    }

    /// Removes whatever has the path's name, readable or not.
    pub(crate) fn delete(&self, path: PathRef<'_>, deadline: Deadline) -> Result<(), WriteError> {
        let prepare = || {
            let Some(base) = self.base()? else { return Ok(None) };
            let Some(directory) = self.directory(&base, path.scope)? else { return Ok(None) };
            let lock = self.lock(Access::Together, &base, deadline)?;
            deadline.check()?;
            Ok(Some((directory, lock)))
        };
        let Some((directory, lock)) = prepare().map_err(WriteError::Nothing)? else { return Ok(()) };
        directory.remove(&self.names.file(path.id).text)?;
        drop(lock);
        // Also where nothing was there: an earlier removal may not be durable yet.
        directory.sync().map_err(not_durable)
    }

    pub(crate) fn list(
        &self,
        reach: Reach<'_>,
        filter: Option<&CredentialFilter>,
        deadline: Deadline,
    ) -> StorageResult<Vec<CredentialPath>> {
        let Some(base) = self.base()? else { return Ok(Vec::new()) };
        let Some(directory) = self.directory(&base, reach.scope())? else { return Ok(Vec::new()) };
        Walk::new(self, reach, &base, filter, deadline).list(&directory)
    }
}

/// What the operations are made of.
impl Client {
    /// The base as it is, for what creates nothing; `None`: it does not exist yet, so nothing is
    /// stored.
    fn base(&self) -> StorageResult<Option<Arc<Directory>>> {
        match self.held_base()? {
            Some(base) => Ok(Some(base)),
            None => self.open_base(),
        }
    }

    /// The base for a store, created where that is wanted.
    fn created_base(&self) -> StorageResult<Arc<Directory>> {
        match self.held_base()? {
            Some(base) => Ok(base),
            None => self.open_or_create_base(),
        }
    }

    /// The base that is open, if it still is what it was.
    fn held_base(&self) -> StorageResult<Option<Arc<Directory>>> {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match held {
            Some(base) if base.is_at(&self.base)? => Ok(Some(base)),
            _ => Ok(None),
        }
    }

    fn open_or_create_base(&self) -> StorageResult<Arc<Directory>> {
        match self.open_base()? {
            Some(base) => Ok(base),
            None => Ok(self.hold(Directory::create_base(&self.base, self.trust)?)),
        }
    }

    /// `None`: it does not exist, and a store may create it.
    fn open_base(&self) -> StorageResult<Option<Arc<Directory>>> {
        // Read before the directory is looked for: another thread may create and open it meanwhile.
        let was_opened = self.opened.load(Ordering::Acquire);
        match Directory::base(&self.base, self.trust)? {
            Some(base) => Ok(Some(self.hold(base))),
            None if self.create_dir && !was_opened => Ok(None),
            None => Err(self.base_is_missing()),
        }
    }

    fn hold(&self, base: Directory) -> Arc<Directory> {
        if !self.opened.swap(true, Ordering::AcqRel) {
            // What cannot be removed now is at the next opening; a read must work on a file system
            // without room or rights.
            let _ = temporary::sweep(&base);
        }
        let base = Arc::new(base);
        *self.held.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&base));
        base
    }

    fn base_is_missing(&self) -> StorageError {
        let base = self.base.display();
        StorageError::unavailable(format!(
            "its directory `{base}` is missing, so mount, restore or create it"
        ))
    }

    /// The directory of a scope; `None`: nothing was ever stored there.
    fn directory(
        &self,
        base: &Arc<Directory>,
        scope: Option<&ScopeId>,
    ) -> StorageResult<Option<Arc<Directory>>> {
        let mut directory = Arc::clone(base);
        for name in scope.into_iter().flat_map(|scope| self.names.directories(scope)) {
            match directory.child(&name.text)? {
                Some(child) => directory = Arc::new(child),
                None => return Ok(None),
            }
        }
        Ok(Some(directory))
    }

    fn created_directory(
        &self,
        base: &Arc<Directory>,
        scope: Option<&ScopeId>,
    ) -> StorageResult<Arc<Directory>> {
        let mut directory = Arc::clone(base);
        for name in scope.into_iter().flat_map(|scope| self.names.directories(scope)) {
            directory = Arc::new(directory.child_or_create(&name.text, &self.anchored)?);
        }
        Ok(directory)
    }

    fn lock(
        &self,
        access: Access,
        base: &Directory,
        deadline: Deadline,
    ) -> StorageResult<Option<StoreLock<'_>>> {
        self.locking.then(|| StoreLock::acquire(&self.queue, access, base, deadline.at)).transpose()
    }

    fn bytes(&self, path: PathRef<'_>) -> StorageResult<Option<Vec<u8>>> {
        let Some(base) = self.base()? else { return Ok(None) };
        let Some(directory) = self.directory(&base, path.scope)? else { return Ok(None) };
        self.read(&directory, &self.names.file(path.id).text)
    }

    /// The bytes of a file; `None`: it is not there.
    fn read(&self, directory: &Directory, name: &str) -> StorageResult<Option<Vec<u8>>> {
        let Some(file) = directory.open_file(name)? else { return Ok(None) };
        if self.locking {
            file.share()?;
        }
        file.read(self.max_read_len).map(Some)
    }

    /// What the bytes at the place of a path hold.
    fn decode(&self, bytes: &[u8], path: PathRef<'_>) -> StorageResult<CredentialFile> {
        let file = CredentialFile::decode(bytes)?;
        // A path stands in the file exactly where the names cannot tell it.
        let expected = self.names.is_hashed(path).then(|| path.to_path());
        match file.path == expected {
            true => Ok(file),
            false => Err(StorageError::corrupted("the file is that of another credential")),
        }
    }

    fn check(&self, directory: &Directory, name: &str, condition: &Condition) -> StorageResult<()> {
        match condition {
            Condition::Anything => Ok(()),
            Condition::Nothing => match directory.has_file(name)? {
                false => Ok(()),
                true => Err(StorageError::conflict("something is stored there already")),
            },
            Condition::Exactly(expected) => match self.read(directory, name)? {
                Some(bytes) if revision(&bytes) == *expected => Ok(()),
                Some(_) => Err(StorageError::conflict("another revision is stored")),
                None => Err(StorageError::conflict("nothing is stored there any more")),
            },
        }
    }
}

/// The hash of a file. Each store has a mark of its own in it, so no two have the same.
fn revision(bytes: &[u8]) -> Revision {
    use std::fmt::Write as _;
    let mut text = String::with_capacity(64);
    for byte in Sha256::digest(bytes) {
        // Writing to a String does not fail.
        let _ = write!(text, "{byte:02x}");
    }
    Revision::new(text)
}

fn not_durable(error: StorageError) -> WriteError {
    let reason = "the directory could not be synced".into();
    WriteError::Doubtful(error.with_kind(StorageErrorKind::NotDurable { reason }))
}
