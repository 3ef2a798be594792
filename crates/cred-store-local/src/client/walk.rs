//! Lists of what is stored.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use cred_core::{CredentialFilter, CredentialPath, Operation, PathRef, ScopeId, StorageError};
use cred_provider_kit::CredentialFile;
use cred_provider_kit::naming::Decoded;
use rustix::fs::FileType;

use super::directory::Directory;
use super::{Client, Deadline};

/// File systems stamp changes with a clock that ticks each 1 to 10 ms: what changed within a tick may look unchanged.
const TICK: Duration = Duration::from_millis(20);
/// More directories in a row than a scope has parts: 128 parts of four bytes.
const DEEPEST: usize = 130;

/// One list: what it wants, and the directories on the way.
pub(super) struct Walk<'a> {
    client: &'a Client,
    operation: Operation,
    base: &'a Directory,
    filter: Option<&'a CredentialFilter>,
    deadline: Deadline,
    found: Vec<CredentialPath>,
}

/// What a directory stands for.
#[derive(Clone)]
enum Place {
    Scope(Option<ScopeId>),
    /// Below a hashed name: the files tell, and their names must agree.
    Hashed,
}

impl<'a> Walk<'a> {
    pub(super) fn new(
        client: &'a Client,
        operation: Operation,
        base: &'a Directory,
        filter: Option<&'a CredentialFilter>,
        deadline: Deadline,
    ) -> Self {
        let filter = filter.filter(|filter| !filter.is_empty());
        Self { client, operation, base, filter, deadline, found: Vec::new() }
    }

    /// The credentials in one directory.
    pub(super) fn list(
        mut self,
        directory: &Directory,
        scope: Option<&ScopeId>,
    ) -> Result<Vec<CredentialPath>, StorageError> {
        let (files, _) = self.names(directory)?;
        self.take_files(directory, &Place::Scope(scope.cloned()), &[], files)?;
        Ok(self.found)
    }

    /// The credentials in a directory and all below it.
    pub(super) fn tree(
        mut self,
        directory: Directory,
        scope: Option<&ScopeId>,
    ) -> Result<Vec<CredentialPath>, StorageError> {
        let mut way = match scope {
            Some(scope) => self.client.names.directories(scope).map(|name| name.text).collect(),
            None => Vec::new(),
        };
        self.descend(&directory, &Place::Scope(scope.cloned()), &mut way)?;
        Ok(self.found)
    }

    fn descend(
        &mut self,
        directory: &Directory,
        place: &Place,
        way: &mut Vec<String>,
    ) -> Result<(), StorageError> {
        let (files, directories) = self.names(directory)?;
        self.take_files(directory, place, way, files)?;
        if way.len() >= DEEPEST {
            return Ok(());
        }
        for name in directories {
            let Some(inner) = self.inner(place, &name) else { continue };
            // It may have been removed meanwhile.
            let Some(child) = directory.child(&name)? else { continue };
            way.push(name);
            self.descend(&child, &inner, way)?;
            way.pop();
        }
        Ok(())
    }

    /// What a directory of this name in that place stands for; `None`: it is not ours.
    fn inner(&self, place: &Place, name: &str) -> Option<Place> {
        match (place, self.client.names.decode_directory(name)) {
            (_, Decoded::Foreign) => None,
            (Place::Hashed, _) | (_, Decoded::Hashed) => Some(Place::Hashed),
            (Place::Scope(None), Decoded::Exact(part)) => Some(Place::Scope(Some(part))),
            (Place::Scope(Some(scope)), Decoded::Exact(part)) => {
                ScopeId::new(format!("{scope}/{part}")).ok().map(|scope| Place::Scope(Some(scope)))
            }
        }
    }

    /// Adds the credentials of these files that the filter admits.
    fn take_files(
        &mut self,
        directory: &Directory,
        place: &Place,
        way: &[String],
        files: Vec<String>,
    ) -> Result<(), StorageError> {
        for name in files {
            let path = match (self.client.names.decode_file(&name), place) {
                (Decoded::Foreign, _) => continue,
                (Decoded::Exact(id), Place::Scope(scope)) => Some(CredentialPath::new(scope.clone(), id)),
                _ => None,
            };
            match path {
                Some(path) => self.take_named(directory, &name, path)?,
                None => self.take_hashed(directory, &name, place, way)?,
            }
        }
        Ok(())
    }

    fn take_named(
        &mut self,
        directory: &Directory,
        name: &str,
        path: CredentialPath,
    ) -> Result<(), StorageError> {
        if self.filter.is_some() {
            let at = |error: StorageError| error.at("local", self.operation, path.clone());
            // It may have been removed meanwhile.
            let Some(bytes) = self.client.read(directory, name).map_err(at)? else { return Ok(()) };
            let file = self.client.decode(&bytes, path.as_ref()).map_err(at)?;
            if !self.admits(&file) {
                return Ok(());
            }
        }
        self.found.push(path);
        Ok(())
    }

    fn take_hashed(
        &mut self,
        directory: &Directory,
        name: &str,
        place: &Place,
        way: &[String],
    ) -> Result<(), StorageError> {
        let Some(bytes) = self.client.read(directory, name)? else { return Ok(()) };
        let unnamed = |problem: &str| {
            let place = directory.place(name);
            StorageError::corrupted(format!("`{}`, whose name is hashed, {problem}", place.display()))
        };
        let file = CredentialFile::decode(&bytes).map_err(|_| unnamed("cannot be read to tell its path"))?;
        let Some(path) = file.path.clone() else { return Err(unnamed("does not tell its path")) };
        if !self.is_at(path.as_ref(), name, place, way) {
            return Err(unnamed("tells the path of another credential"));
        }
        if self.admits(&file) {
            self.found.push(path);
        }
        Ok(())
    }

    /// Whether a path has these names.
    fn is_at(&self, path: PathRef<'_>, name: &str, place: &Place, way: &[String]) -> bool {
        let names = &self.client.names;
        let in_place = match place {
            Place::Scope(scope) => scope.as_ref() == path.scope,
            Place::Hashed => {
                let directories = path.scope.into_iter().flat_map(|scope| names.directories(scope));
                directories.map(|name| name.text).eq(way.iter().cloned())
            }
        };
        in_place && names.file(path.id).text == name
    }

    fn admits(&self, file: &CredentialFile) -> bool {
        self.filter.is_none_or(|filter| filter.matches(&file.metadata))
    }

    /// The files and directories in a directory. Some file systems (btrfs, older tmpfs) move a name that is replaced while
    /// the directory is read, and then miss it: where something changed, it is read once more with writers kept out.
    fn names(&self, directory: &Directory) -> Result<(Vec<String>, Vec<String>), StorageError> {
        let started =
            SystemTime::now().checked_sub(TICK).and_then(|start| start.duration_since(UNIX_EPOCH).ok());
        let names = read_names(directory)?;
        let (seconds, nanos) = directory.changed()?;
        let changed = Duration::new(u64::try_from(seconds).unwrap_or_default(), nanos);
        if started.is_some_and(|started| changed < started) || !self.client.locking {
            return Ok(names);
        }
        let _lock = self.client.lock(self.base, self.deadline)?;
        read_names(directory)
    }
}

fn read_names(directory: &Directory) -> Result<(Vec<String>, Vec<String>), StorageError> {
    let (mut files, mut directories) = (Vec::new(), Vec::new());
    directory.entries(|name, kind| match kind {
        _ if name.starts_with('.') => {}
        FileType::Directory => directories.push(name.to_owned()),
        // Refused when it is opened: in the place of a scope it would hide all that is below.
        FileType::Symlink => {
            files.push(name.to_owned());
            directories.push(name.to_owned());
        }
        _ => files.push(name.to_owned()),
    })?;
    Ok((files, directories))
}
