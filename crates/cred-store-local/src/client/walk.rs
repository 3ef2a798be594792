//! Lists of what is stored.

use std::thread::available_parallelism;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use cred_core::{
    CredentialFilter, CredentialId, CredentialPath, Operation, PathRef, ScopeId, StorageError, StorageResult,
};
use cred_provider_kit::naming::Decoded;
use cred_provider_kit::{CredentialFile, Reach};
use rustix::fs::FileType;

use super::directory::Directory;
use super::lock::Access;
use super::{Client, Deadline};

/// File systems stamp changes with a clock that ticks each 1 to 10 ms: what changed within a tick
/// may look unchanged.
const TICK: Duration = Duration::from_millis(20);
/// More directories in a row than a scope has parts: 128 parts of four bytes.
const DEEPEST: usize = 130;
/// Threads that read the files of one list by their contents.
const MOST_READERS: usize = 4;
/// Files that are worth a thread.
const LEAST_SHARE: usize = 256;

/// One list: what it wants, and the directories on the way.
pub(super) struct Walk<'a> {
    client: &'a Client,
    reach: Reach<'a>,
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

/// What is in one directory, without what is nobody's of ours as far as a name tells.
#[derive(Default)]
struct Names {
    /// Told by the names of files.
    ids: Vec<CredentialId>,
    /// Names of files that tell nothing.
    hashed: Vec<String>,
    directories: Vec<String>,
}

impl<'a> Walk<'a> {
    pub(super) fn new(
        client: &'a Client,
        reach: Reach<'a>,
        base: &'a Directory,
        filter: Option<&'a CredentialFilter>,
        deadline: Deadline,
    ) -> Self {
        Self { client, reach, base, filter, deadline, found: Vec::new() }
    }

    /// The credentials in reach, from the directory of its scope on.
    pub(super) fn list(mut self, directory: &Directory) -> StorageResult<Vec<CredentialPath>> {
        let scope = self.reach.scope();
        let directories = scope.into_iter().flat_map(|scope| self.client.names.directories(scope));
        let mut way = directories.map(|name| name.text).collect();
        self.descend(directory, &Place::Scope(scope.cloned()), &mut way)?;
        Ok(self.found)
    }

    fn descend(&mut self, directory: &Directory, place: &Place, way: &mut Vec<String>) -> StorageResult<()> {
        let mut names = self.names(directory)?;
        let directories = std::mem::take(&mut names.directories);
        self.take_files(directory, place, way, names)?;
        if matches!(self.reach, Reach::Scope(_)) || way.len() >= DEEPEST {
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
                format!("{scope}/{part}").parse().ok().map(|scope| Place::Scope(Some(scope)))
            }
        }
    }

    /// Adds the credentials of these files that the filter admits.
    fn take_files(
        &mut self,
        directory: &Directory,
        place: &Place,
        way: &[String],
        names: Names,
    ) -> StorageResult<()> {
        match place {
            Place::Scope(scope) => {
                let paths = names.ids.into_iter().map(|id| CredentialPath::new(scope.clone(), id));
                match self.filter {
                    None => self.found.extend(paths),
                    Some(filter) => self.take_admitted(directory, &paths.collect::<Vec<_>>(), filter)?,
                }
            }
            Place::Hashed => {
                for id in names.ids {
                    self.take_hashed(directory, &self.client.names.file(&id).text, place, way)?;
                }
            }
        }
        for name in names.hashed {
            self.take_hashed(directory, &name, place, way)?;
        }
        Ok(())
    }

    /// Reads the files of these paths, many of them on a few threads.
    fn take_admitted(
        &mut self,
        directory: &Directory,
        paths: &[CredentialPath],
        filter: &CredentialFilter,
    ) -> StorageResult<()> {
        let readers = available_parallelism().map_or(1, |cores| cores.get().min(MOST_READERS));
        let share = paths.len().div_ceil(readers).max(LEAST_SHARE);
        let this = &*self;
        let read = |share: &[CredentialPath]| {
            let admitted = share.iter().filter_map(|path| match this.admits(directory, path, filter) {
                Ok(true) => Some(Ok(path.clone())),
                Ok(false) => None,
                Err(error) => Some(Err(error)),
            });
            admitted.collect::<Result<Vec<_>, _>>()
        };
        let (first, others) = paths.split_at(share.min(paths.len()));
        let answers = std::thread::scope(|scope| {
            let others: Vec<_> = others.chunks(share).map(|share| scope.spawn(move || read(share))).collect();
            let mut answers = vec![read(first)];
            for other in others {
                answers.push(
                    other.join().unwrap_or_else(|_| Err(StorageError::other("reading the files panicked"))),
                );
            }
            answers
        });
        for answer in answers {
            self.found.extend(answer?);
        }
        Ok(())
    }

    fn admits(
        &self,
        directory: &Directory,
        path: &CredentialPath,
        filter: &CredentialFilter,
    ) -> StorageResult<bool> {
        let operation = match self.reach {
            Reach::Scope(_) => Operation::List,
            Reach::Tree(_) => Operation::ListTree,
        };
        let at = |error: StorageError| error.at("local", operation, path.clone());
        self.deadline.check()?;
        // It may have been removed meanwhile.
        let name = self.client.names.file(&path.id).text;
        let Some(bytes) = self.client.read(directory, &name).map_err(at)? else { return Ok(false) };
        let file = self.client.decode(&bytes, path.as_path_ref()).map_err(at)?;
        Ok(filter.matches(&file.metadata))
    }

    fn take_hashed(
        &mut self,
        directory: &Directory,
        name: &str,
        place: &Place,
        way: &[String],
    ) -> StorageResult<()> {
        self.deadline.check()?;
        let Some(bytes) = self.client.read(directory, name)? else { return Ok(()) };
        let unnamed = |problem: &str| {
            let place = directory.place(name);
            StorageError::corrupted(format!("`{}`, whose name is hashed, {problem}", place.display()))
        };
        let file = CredentialFile::decode(&bytes).map_err(|_| unnamed("cannot be read to tell its path"))?;
        let Some(path) = file.path.clone() else { return Err(unnamed("does not tell its path")) };
        if !self.is_at(path.as_path_ref(), name, place, way) {
            return Err(unnamed("tells the path of another credential"));
        }
        if self.filter.is_none_or(|filter| filter.matches(&file.metadata)) {
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

    /// What is in a directory. Some file systems (btrfs, older tmpfs) move a name that is replaced
    /// while the directory is read, and then miss it: where something changed, it is read once more
    /// with writers kept out.
    fn names(&self, directory: &Directory) -> StorageResult<Names> {
        let started =
            SystemTime::now().checked_sub(TICK).and_then(|start| start.duration_since(UNIX_EPOCH).ok());
        let names = self.read_names(directory)?;
        let (seconds, nanos) = directory.changed()?;
        let changed = Duration::new(u64::try_from(seconds).unwrap_or_default(), nanos);
        if started.is_some_and(|started| changed < started) || !self.client.locking {
            return Ok(names);
        }
        let _lock = self.client.lock(Access::Listing, self.base, self.deadline)?;
        self.read_names(directory)
    }

    fn read_names(&self, directory: &Directory) -> StorageResult<Names> {
        let mut names = Names::default();
        directory.entries(|name, kind| {
            if name.starts_with('.') {
                return;
            }
            // A link is both, and refused when it is opened: in the place of a scope it would hide
            // all that is below.
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
