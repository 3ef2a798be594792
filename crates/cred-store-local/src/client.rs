//! The file operations. Each method does the whole blocking work of one storage operation. Only
//! this module, `error.rs` and the configuration use the operating system directly.

mod directory;
mod durable;
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
use cred_provider_kit::{CredentialFile, ListRange};
use sha2::{Digest, Sha256};

use self::directory::{Directory, Trust};
use self::durable::DurableDirectories;
use self::lock::{Access, Queue, StoreLock};
use self::temporary::Temporary;
use self::walk::Walk;
use crate::LocalStorageConfig;
use crate::error::WriteError;

/// The condition of a write.
#[derive(Debug)]
pub(crate) enum Condition {
    Always,
    /// The credential must not exist.
    Absent,
    /// This revision must be stored.
    AtRevision(Revision),
}

/// When an operation stops waiting, and the timeout that its error reports.
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
    /// Maximum size of a file that is read, in bytes.
    max_read_len: usize,
    /// Whether the base was opened before. If so, a missing base is an outage.
    was_opened: AtomicBool,
    /// The open base directory. Checking that it is unchanged costs less than opening it again.
    cached_base: Mutex<Option<Arc<Directory>>>,
    durable: DurableDirectories,
    queue: Queue,
}

impl Client {
    /// Expects a configuration that was validated.
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
            was_opened: AtomicBool::new(false),
            cached_base: Mutex::default(),
            durable: DurableDirectories::default(),
            queue: Queue::default(),
        })
    }

    /// Opens the base directory and removes files that crashed writers left. Creates a missing base
    /// directory if the configuration allows it.
    pub(crate) fn connect(&self) -> StorageResult<()> {
        self.was_opened.store(false, Ordering::Relaxed);
        self.open_or_create_base().map(drop)
    }

    /// The credential file of a path, or `None` if it does not exist.
    pub(crate) fn retrieve(&self, path: PathRef<'_>) -> StorageResult<Option<CredentialFile>> {
        self.read_path(path)?.map(|bytes| self.decode(&bytes, path)).transpose()
    }

    pub(crate) fn retrieve_versioned(
        &self,
        path: PathRef<'_>,
    ) -> StorageResult<Option<Versioned<CredentialFile>>> {
        let Some(bytes) = self.read_path(path)? else { return Ok(None) };
        Ok(Some(Versioned::new(self.decode(&bytes, path)?, revision(&bytes))))
    }

    pub(crate) fn exists(&self, path: PathRef<'_>) -> StorageResult<bool> {
        let Some(base) = self.base_for_read()? else { return Ok(false) };
        let Some(directory) = self.scope_directory(&base, path.scope)? else { return Ok(false) };
        directory.has_file(&self.names.file(path.id).text)
    }

    /// Prepares the file of one store operation: adds a unique mark, and the path if the file name
    /// is hashed.
    pub(crate) fn address(&self, file: CredentialFile, path: PathRef<'_>) -> CredentialFile {
        let recorded_path = self.names.is_hashed(path).then(|| path.to_path());
        file.with_path(recorded_path).with_mark(Some(fastrand::u128(..).to_be_bytes()))
    }

    /// Replaces the file of a path if the condition holds.
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

            let base = self.base_for_write()?;
            base.sync_ancestors_once(&self.durable)?;
            let target = self.scope_directory_for_write(&base, path.scope)?;
            let mut temporary = Temporary::create(&base, &self.durable)?;
            temporary.write(&bytes)?;

            let access = match condition {
                Condition::Always => Access::Grouped,
                Condition::Absent | Condition::AtRevision(_) => Access::Exclusive,
            };
            let lock = self.lock(access, &base, deadline)?;
            self.check(&target, &name, condition)?;
            deadline.check()?;
            Ok((bytes, target, temporary, lock))
        };
        let (bytes, target, temporary, lock) = prepare().map_err(WriteError::NothingWritten)?;
        temporary.rename(&target, &name)?;
        drop(lock);
        target.sync().map_err(not_durable)?;
        Ok(revision(&bytes))
    }

    /// Removes the file of the path, readable or not.
    pub(crate) fn delete(&self, path: PathRef<'_>, deadline: Deadline) -> Result<(), WriteError> {
        let prepare = || {
            let Some(base) = self.base_for_read()? else { return Ok(None) };
            let Some(directory) = self.scope_directory(&base, path.scope)? else { return Ok(None) };
            let lock = self.lock(Access::Grouped, &base, deadline)?;
            deadline.check()?;
            Ok(Some((directory, lock)))
        };
        let Some((directory, lock)) = prepare().map_err(WriteError::NothingWritten)? else { return Ok(()) };
        directory.remove(&self.names.file(path.id).text)?;
        drop(lock);
        // Also if the file did not exist: an earlier removal may not be durable yet.
        directory.sync().map_err(not_durable)
    }

    pub(crate) fn list(
        &self,
        reach: ListRange<'_>,
        filter: Option<&CredentialFilter>,
        deadline: Deadline,
    ) -> StorageResult<Vec<CredentialPath>> {
        let Some(base) = self.base_for_read()? else { return Ok(Vec::new()) };
        let Some(directory) = self.scope_directory(&base, reach.scope())? else { return Ok(Vec::new()) };
        Walk::new(self, reach, &base, filter, deadline).list(&directory)
    }
}

/// Steps of the operations.
impl Client {
    /// The base, for operations that create nothing. `None` if it does not exist yet, so that
    /// nothing is stored.
    fn base_for_read(&self) -> StorageResult<Option<Arc<Directory>>> {
        match self.cached_base_if_current()? {
            Some(base) => Ok(Some(base)),
            None => self.open_base(),
        }
    }

    /// The base, for a store. Creates a missing base if the configuration allows it.
    fn base_for_write(&self) -> StorageResult<Arc<Directory>> {
        match self.cached_base_if_current()? {
            Some(base) => Ok(base),
            None => self.open_or_create_base(),
        }
    }

    /// The cached base, if the path still leads to the same directory.
    fn cached_base_if_current(&self) -> StorageResult<Option<Arc<Directory>>> {
        let cached = self.cached_base.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match cached {
            Some(base) if base.is_at(&self.base)? => Ok(Some(base)),
            _ => Ok(None),
        }
    }

    fn open_or_create_base(&self) -> StorageResult<Arc<Directory>> {
        match self.open_base()? {
            Some(base) => Ok(base),
            None => Ok(self.cache_base(Directory::create_base(&self.base, self.trust)?)),
        }
    }

    /// Opens the base. `None` if it does not exist and a store may create it.
    fn open_base(&self) -> StorageResult<Option<Arc<Directory>>> {
        // Read before opening the directory: another thread may create and open it meanwhile.
        let was_opened = self.was_opened.load(Ordering::Acquire);
        match Directory::base(&self.base, self.trust)? {
            Some(base) => Ok(Some(self.cache_base(base))),
            None if self.create_dir && !was_opened => Ok(None),
            None => Err(self.base_is_missing()),
        }
    }

    fn cache_base(&self, base: Directory) -> Arc<Directory> {
        if !self.was_opened.swap(true, Ordering::AcqRel) {
            // Files that cannot be removed now are removed when a provider next opens the base. A
            // read must also work on a full or read-only file system.
            let _ = temporary::sweep(&base);
        }
        let base = Arc::new(base);
        *self.cached_base.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&base));
        base
    }

    fn base_is_missing(&self) -> StorageError {
        let base = self.base.display();
        StorageError::unavailable(format!("its directory `{base}` is missing; mount, restore or create it"))
    }

    /// The directory of a scope, or `None` if nothing was ever stored there.
    fn scope_directory(
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

    /// The directory of a scope. Creates missing directories.
    fn scope_directory_for_write(
        &self,
        base: &Arc<Directory>,
        scope: Option<&ScopeId>,
    ) -> StorageResult<Arc<Directory>> {
        let mut directory = Arc::clone(base);
        for name in scope.into_iter().flat_map(|scope| self.names.directories(scope)) {
            directory = Arc::new(directory.child_or_create(&name.text, &self.durable)?);
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

    fn read_path(&self, path: PathRef<'_>) -> StorageResult<Option<Vec<u8>>> {
        let Some(base) = self.base_for_read()? else { return Ok(None) };
        let Some(directory) = self.scope_directory(&base, path.scope)? else { return Ok(None) };
        self.read(&directory, &self.names.file(path.id).text)
    }

    /// The bytes of a file, or `None` if it does not exist.
    fn read(&self, directory: &Directory, name: &str) -> StorageResult<Option<Vec<u8>>> {
        let Some(file) = directory.open_file(name)? else { return Ok(None) };
        if self.locking {
            file.lock_shared()?;
        }
        file.read(self.max_read_len).map(Some)
    }

    /// Decodes the file of a path, and checks that it belongs to that path.
    fn decode(&self, bytes: &[u8], path: PathRef<'_>) -> StorageResult<CredentialFile> {
        let file = CredentialFile::decode(bytes)?;
        // A file contains its path if and only if its name is hashed.
        let expected = self.names.is_hashed(path).then(|| path.to_path());
        match file.path == expected {
            true => Ok(file),
            false => Err(StorageError::corrupted("the file belongs to another credential")),
        }
    }

    fn check(&self, directory: &Directory, name: &str, condition: &Condition) -> StorageResult<()> {
        match condition {
            Condition::Always => Ok(()),
            Condition::Absent => match directory.has_file(name)? {
                false => Ok(()),
                true => Err(StorageError::conflict("the credential already exists")),
            },
            Condition::AtRevision(expected) => match self.read(directory, name)? {
                Some(bytes) if revision(&bytes) == *expected => Ok(()),
                Some(_) => Err(StorageError::conflict("another revision is stored")),
                None => Err(StorageError::conflict("the credential no longer exists")),
            },
        }
    }
}

/// The hash of a file. Each store writes its own mark into the file, so revisions are unique.
fn revision(bytes: &[u8]) -> Revision {
    use std::fmt::Write as _;
    let mut text = String::with_capacity(64);
    for byte in Sha256::digest(bytes) {
        // Writing to a `String` cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    Revision::new(text)
}

fn not_durable(error: StorageError) -> WriteError {
    let reason = "the directory could not be synced".into();
    WriteError::OutcomeUnknown(error.with_kind(StorageErrorKind::NotDurable { reason }))
}
