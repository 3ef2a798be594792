//! A model of a disk that loses power: synced data survives, and of the rest any prefix.

use std::collections::BTreeMap;
use std::fs::{DirBuilder, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use crate::trace::{Call, Effect};

type Inode = usize;

/// A file system as programs see it, and the part of it that is certain to be on the disk.
#[derive(Debug, Clone)]
pub(crate) struct Disk {
    root: PathBuf,
    inodes: Vec<Node>,
}

#[derive(Debug, Clone)]
enum Node {
    File {
        now: Vec<u8>,
        /// The contents at the last sync.
        durable: Vec<u8>,
        synced: bool,
    },
    Directory {
        durable: BTreeMap<String, Inode>,
        /// Changes of directory entries since the last sync, each with its time.
        pending: Vec<(usize, String, Option<Inode>)>,
    },
}

const ROOT: Inode = 0;

impl Disk {
    /// Starts from an existing empty directory.
    pub(crate) fn new(root: &Path) -> Self {
        Self { root: root.to_owned(), inodes: vec![directory()] }
    }

    pub(crate) fn apply(&mut self, call: &Call) {
        let moment = call.ended;
        match call.effect() {
            // Other processes may find the directory, and sync its parent, before the call returns.
            Some(Effect::Directory(path)) => self.put(&path, call.began, directory()),
            Some(Effect::Created(path)) if self.find(&path).is_none() => {
                self.put(&path, moment, Node::File { now: Vec::new(), durable: Vec::new(), synced: false });
            }
            Some(Effect::Wrote(path, bytes)) => {
                let inode = self.find(&path);
                if let Some(Node::File { now, synced, .. }) = inode.map(|inode| &mut self.inodes[inode]) {
                    now.extend(bytes);
                    *synced = false;
                }
            }
            Some(Effect::Renamed(from, to)) => {
                let inode = self.find(&from).expect("a renamed file exists");
                self.change(&to, moment, Some(inode));
                self.change(&from, moment, None);
            }
            Some(Effect::Removed(path)) => self.change(&path, moment, None),
            Some(Effect::Synced(path)) => self.sync(&path, call.began),
            Some(Effect::Created(_) | Effect::Locked(_) | Effect::Reported(_)) | None => {}
        }
    }

    /// Changes from before the sync began are on the disk when it has ended.
    fn sync(&mut self, path: &Path, began: usize) {
        let Some(inode) = self.find(path) else { return };
        match &mut self.inodes[inode] {
            Node::File { now, durable, synced } => {
                durable.clone_from(now);
                *synced = true;
            }
            Node::Directory { durable, pending } => {
                let (done, later) =
                    std::mem::take(pending).into_iter().partition(|(moment, ..)| *moment < began);
                *pending = later;
                for (_, name, inode) in done {
                    apply(durable, name, inode);
                }
            }
        }
    }

    fn put(&mut self, path: &Path, moment: usize, node: Node) {
        self.inodes.push(node);
        let inode = self.inodes.len() - 1;
        self.change(path, moment, Some(inode));
    }

    fn change(&mut self, path: &Path, moment: usize, inode: Option<Inode>) {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        // The model ignores paths outside its root.
        let Some(above) = self.find(path.parent().unwrap()) else { return };
        if let Node::Directory { pending, .. } = &mut self.inodes[above] {
            pending.push((moment, name, inode));
        }
    }

    fn find(&self, path: &Path) -> Option<Inode> {
        let mut inode = ROOT;
        for name in path.strip_prefix(&self.root).ok()? {
            let Node::Directory { durable, pending } = &self.inodes[inode] else { return None };
            let name = name.to_str().unwrap();
            let changed = pending.iter().rev().find(|(_, changed, _)| changed == name);
            inode = match changed {
                Some((_, _, inode)) => (*inode)?,
                None => *durable.get(name)?,
            };
        }
        Some(inode)
    }

    /// Writes the contents of the disk after a power cut into an empty directory. Of the changes to
    /// a directory since its last sync, any prefix survives. An unsynced file has its contents of
    /// the last sync, a prefix of the new contents, zeros, or all of the new contents.
    pub(crate) fn cut(&self, into: &Path) {
        self.write(ROOT, into);
    }

    fn write(&self, inode: Inode, into: &Path) {
        match &self.inodes[inode] {
            Node::File { now, durable, synced } => {
                let bytes = match fastrand::u8(..4) {
                    _ if *synced => now.clone(),
                    0 => durable.clone(),
                    1 => now[..fastrand::usize(..=now.len())].to_vec(),
                    2 => vec![0; now.len()],
                    _ => now.clone(),
                };
                let mut file =
                    OpenOptions::new().write(true).create_new(true).mode(0o600).open(into).unwrap();
                file.write_all(&bytes).unwrap();
            }
            Node::Directory { durable, pending } => {
                if inode != ROOT {
                    DirBuilder::new().mode(0o700).create(into).unwrap();
                }
                let mut names = durable.clone();
                for (_, name, inode) in &pending[..fastrand::usize(..=pending.len())] {
                    apply(&mut names, name.clone(), *inode);
                }
                for (name, inode) in names {
                    self.write(inode, &into.join(name));
                }
            }
        }
    }
}

fn directory() -> Node {
    Node::Directory { durable: BTreeMap::new(), pending: Vec::new() }
}

fn apply(names: &mut BTreeMap<String, Inode>, name: String, inode: Option<Inode>) {
    match inode {
        Some(inode) => names.insert(name, inode),
        None => names.remove(&name),
    };
}
