//! Lists stored credentials.

use std::thread::available_parallelism;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use cred_core::{
    CredentialFilter, CredentialId, CredentialPath, Operation, PathRef, ScopeId, StorageError, StorageResult,
};
use cred_provider_kit::naming::Decoded;
use cred_provider_kit::{CredentialFile, ListRange};
use rustix::fs::FileType;

use super::directory::Directory;
use super::lock::Access;
use super::{Client, Deadline};

/// File systems take timestamps from a clock that ticks every 1 to 10 ms, so a change within the
/// same tick may not be visible in the timestamp.
const TICK: Duration = Duration::from_millis(20);
/// Maximum depth of directories: more than the 128 parts of four bytes that a scope can have.
const MAX_DEPTH: usize = 130;
/// Maximum number of threads that read the files of one filtered list.
const MAX_READERS: usize = 4;
/// A thread is only started for at least this many files.
const MIN_FILES_PER_READER: usize = 256;

/// One list operation.
pub(super) struct Walk<'a> {
    client: &'a Client,
    reach: ListRange<'a>,
    base: &'a Directory,
    filter: Option<&'a CredentialFilter>,
    deadline: Deadline,
    found: Vec<CredentialPath>,
}

/// The scope that a directory stands for.
#[derive(Clone)]
enum DirectoryScope {
    Known(Option<ScopeId>),
    /// At or below a hashed name. The files contain their paths, which must match the names.
    Hashed,
}

/// The entries of one directory, without those whose names this crate does not use.
#[derive(Default)]
struct DirectoryNames {
    /// Ids decoded from file names.
    ids: Vec<CredentialId>,
    /// File names that are hashed, so that the file must be read for its path.
    hashed: Vec<String>,
    directories: Vec<String>,
}

impl<'a> Walk<'a> {
    pub(super) fn new(
        client: &'a Client,
        reach: ListRange<'a>,
        base: &'a Directory,
        filter: Option<&'a CredentialFilter>,
        deadline: Deadline,
    ) -> Self {
        Self { client, reach, base, filter, deadline, found: Vec::new() }
    }

    /// Lists the credentials in reach, starting at the directory of its scope.
    pub(super) fn list(mut self, directory: &Directory) -> StorageResult<Vec<CredentialPath>> {
        let scope = self.reach.scope();
        let directories = scope.into_iter().flat_map(|scope| self.client.names.directories(scope));
        let mut names_from_base = directories.map(|name| name.text).collect();
        self.descend(directory, &DirectoryScope::Known(scope.cloned()), &mut names_from_base)?;
        Ok(self.found)
    }

    fn descend(
        &mut self,
        directory: &Directory,
        scope: &DirectoryScope,
        names_from_base: &mut Vec<String>,
    ) -> StorageResult<()> {
        let mut names = self.names(directory)?;
        let directories = std::mem::take(&mut names.directories);
        self.add_files(directory, scope, names_from_base, names)?;
        if matches!(self.reach, ListRange::Scope(_)) || names_from_base.len() >= MAX_DEPTH {
            return Ok(());
        }
        for name in directories {
            let Some(child_scope) = self.child_scope(scope, &name) else { continue };
            // The directory may have been removed meanwhile.
            let Some(child) = directory.child(&name)? else { continue };
            names_from_base.push(name);
            self.descend(&child, &child_scope, names_from_base)?;
            names_from_base.pop();
        }
        Ok(())
    }

    /// The scope of a subdirectory, or `None` if this crate does not use its name.
    fn child_scope(&self, scope: &DirectoryScope, name: &str) -> Option<DirectoryScope> {
        match (scope, self.client.names.decode_directory(name)) {
            (_, Decoded::Foreign) => None,
            (DirectoryScope::Hashed, _) | (_, Decoded::Hashed) => Some(DirectoryScope::Hashed),
            (DirectoryScope::Known(None), Decoded::Exact(part)) => Some(DirectoryScope::Known(Some(part))),
            (DirectoryScope::Known(Some(scope)), Decoded::Exact(part)) => {
                format!("{scope}/{part}").parse().ok().map(|scope| DirectoryScope::Known(Some(scope)))
            }
        }
    }

    /// Adds the credentials of these files that the filter matches.
    fn add_files(
        &mut self,
        directory: &Directory,
        scope: &DirectoryScope,
        names_from_base: &[String],
        names: DirectoryNames,
    ) -> StorageResult<()> {
        match scope {
            DirectoryScope::Known(scope) => {
                let paths = names.ids.into_iter().map(|id| CredentialPath::new(scope.clone(), id));
                match self.filter {
                    None => self.found.extend(paths),
                    Some(filter) => self.add_matching(directory, &paths.collect::<Vec<_>>(), filter)?,
                }
            }
            DirectoryScope::Hashed => {
                for id in names.ids {
                    self.add_hashed(directory, &self.client.names.file(&id).text, scope, names_from_base)?;
                }
            }
        }
        for name in names.hashed {
            self.add_hashed(directory, &name, scope, names_from_base)?;
        }
        Ok(())
    }

    /// Adds those of these paths whose files match the filter. Reads many files on a few threads.
    fn add_matching(
        &mut self,
        directory: &Directory,
        paths: &[CredentialPath],
        filter: &CredentialFilter,
    ) -> StorageResult<()> {
        let readers = available_parallelism().map_or(1, |cores| cores.get().min(MAX_READERS));
        let chunk = paths.len().div_ceil(readers).max(MIN_FILES_PER_READER);
        let this = &*self;
        let read = |chunk: &[CredentialPath]| {
            let matching = chunk.iter().filter_map(|path| match this.matches(directory, path, filter) {
                Ok(true) => Some(Ok(path.clone())),
                Ok(false) => None,
                Err(error) => Some(Err(error)),
            });
            matching.collect::<Result<Vec<_>, _>>()
        };
        let (first, others) = paths.split_at(chunk.min(paths.len()));
        let results = std::thread::scope(|scope| {
            let others: Vec<_> = others.chunks(chunk).map(|chunk| scope.spawn(move || read(chunk))).collect();
            let mut results = vec![read(first)];
            for other in others {
                results.push(
                    other.join().unwrap_or_else(|_| Err(StorageError::other("reading the files panicked"))),
                );
            }
            results
        });
        for result in results {
            self.found.extend(result?);
        }
        Ok(())
    }

    fn matches(
        &self,
        directory: &Directory,
        path: &CredentialPath,
        filter: &CredentialFilter,
    ) -> StorageResult<bool> {
        let operation = match self.reach {
            ListRange::Scope(_) => Operation::List,
            ListRange::Tree(_) => Operation::ListTree,
        };
        let at = |error: StorageError| error.at("local", operation, path.clone());
        self.deadline.check()?;
        // The file may have been removed meanwhile.
        let name = self.client.names.file(&path.id).text;
        let Some(bytes) = self.client.read(directory, &name).map_err(at)? else { return Ok(false) };
        let file = self.client.decode(&bytes, path.as_path_ref()).map_err(at)?;
        Ok(filter.matches(&file.metadata))
    }

    fn add_hashed(
        &mut self,
        directory: &Directory,
        name: &str,
        scope: &DirectoryScope,
        names_from_base: &[String],
    ) -> StorageResult<()> {
        self.deadline.check()?;
        let Some(bytes) = self.client.read(directory, name)? else { return Ok(()) };
        let corrupted = |problem: &str| {
            let file = directory.path_of(name);
            StorageError::corrupted(format!("`{}`, whose name is hashed, {problem}", file.display()))
        };
        let file = CredentialFile::decode(&bytes)
            .map_err(|_| corrupted("cannot be decoded, so its credential is unknown"))?;
        let Some(path) = file.path.clone() else { return Err(corrupted("does not contain its path")) };
        if !self.is_at(path.as_path_ref(), name, scope, names_from_base) {
            return Err(corrupted("contains the path of another credential"));
        }
        if self.filter.is_none_or(|filter| filter.matches(&file.metadata)) {
            self.found.push(path);
        }
        Ok(())
    }

    /// Whether the names of the directories and the file are those of a path.
    fn is_at(
        &self,
        path: PathRef<'_>,
        name: &str,
        scope: &DirectoryScope,
        names_from_base: &[String],
    ) -> bool {
        let names = &self.client.names;
        let in_scope = match scope {
            DirectoryScope::Known(scope) => scope.as_ref() == path.scope,
            DirectoryScope::Hashed => {
                let directories = path.scope.into_iter().flat_map(|scope| names.directories(scope));
                directories.map(|name| name.text).eq(names_from_base.iter().cloned())
            }
        };
        in_scope && names.file(path.id).text == name
    }

    /// The entries of a directory. Some file systems (btrfs, older tmpfs) move a name that is
    /// replaced while the directory is read, so that the listing misses it. If the directory
    /// changed, it is therefore read again under the store lock.
    fn names(&self, directory: &Directory) -> StorageResult<DirectoryNames> {
        let started =
            SystemTime::now().checked_sub(TICK).and_then(|start| start.duration_since(UNIX_EPOCH).ok());
        let names = self.read_names(directory)?;
        let (seconds, nanos) = directory.changed()?;
        let changed = Duration::new(u64::try_from(seconds).unwrap_or_default(), nanos);
        if started.is_some_and(|started| changed < started) || !self.client.locking {
            return Ok(names);
        }
        let _lock = self.client.lock(Access::List, self.base, self.deadline)?;
        self.read_names(directory)
    }

    fn read_names(&self, directory: &Directory) -> StorageResult<DirectoryNames> {
        let mut names = DirectoryNames::default();
        directory.entries(|name, kind| {
            if name.starts_with('.') {
                return;
            }
            // A link counts as a directory and as a file, and opening it fails. If it were skipped,
            // a link that replaced a scope's directory would hide the whole scope.
            if matches!(kind, FileType::Directory | FileType::Symlink) {
                names.directories.push(name.to_owned());
            }
            if kind != FileType::Directory {
                match self.client.names.decode_file(name) {
                    Decoded::Exact(id) => names.ids.push(id),
                    Decoded::Hashed => names.hashed.push(name.to_owned()),
                    Decoded::Foreign => {}
                }
            }
        })?;
        Ok(names)
    }
}
