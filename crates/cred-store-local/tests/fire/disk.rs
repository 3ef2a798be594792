//! A model of a disk that loses its power: what was synced is there, of the rest any beginning.

use std::collections::BTreeMap;
use std::fs::{DirBuilder, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use crate::trace::{Call, Deed};

type Inode = usize;

/// A file system as its programs see it, with what of it is certain to be on the disk.
#[derive(Debug, Clone)]
pub(crate) struct Disk {
    root: PathBuf,
    inodes: Vec<Node>,
}

#[derive(Debug, Clone)]
enum Node {
    File {
        now: Vec<u8>,
        /// What was there at the last sync.
        durable: Vec<u8>,
        synced: bool,
    },
    Directory {
        durable: BTreeMap<String, Inode>,
        /// Changes of names since the last sync, with the moments when they were made.
        pending: Vec<(usize, String, Option<Inode>)>,
    },
}

const ROOT: Inode = 0;

impl Disk {
    /// An empty directory that is there already.
    pub(crate) fn new(root: &Path) -> Self {
        Self { root: root.to_owned(), inodes: vec![directory()] }
    }

    pub(crate) fn apply(&mut self, call: &Call) {
        let moment = call.ended;
        match call.deed() {
            // Others may find it, and sync what is above it, before the call has ended for who made
            // it.
            Some(Deed::Directory(place)) => self.put(&place, call.began, directory()),
            Some(Deed::Created(place)) if self.find(&place).is_none() => {
                self.put(&place, moment, Node::File { now: Vec::new(), durable: Vec::new(), synced: false });
            }
            Some(Deed::Wrote(place, bytes)) => {
                let inode = self.find(&place);
                if let Some(Node::File { now, synced, .. }) = inode.map(|inode| &mut self.inodes[inode]) {
                    now.extend(bytes);
                    *synced = false;
                }
            }
            Some(Deed::Renamed(from, to)) => {
                let inode = self.find(&from).expect("only what is there is renamed");
                self.change(&to, moment, Some(inode));
                self.change(&from, moment, None);
            }
            Some(Deed::Removed(place)) => self.change(&place, moment, None),
            Some(Deed::Synced(place)) => self.sync(&place, call.began),
            Some(Deed::Created(_) | Deed::Locked(_) | Deed::Said(_)) | None => {}
        }
    }

    /// What was done before the sync began is on the disk when it has ended.
    fn sync(&mut self, place: &Path, began: usize) {
        let Some(inode) = self.find(place) else { return };
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

    fn put(&mut self, place: &Path, moment: usize, node: Node) {
        self.inodes.push(node);
        let inode = self.inodes.len() - 1;
        self.change(place, moment, Some(inode));
    }

    fn change(&mut self, place: &Path, moment: usize, inode: Option<Inode>) {
        let name = place.file_name().unwrap().to_str().unwrap().to_owned();
        // What is outside of the model's root is of no interest.
        let Some(above) = self.find(place.parent().unwrap()) else { return };
        if let Node::Directory { pending, .. } = &mut self.inodes[above] {
            pending.push((moment, name, inode));
        }
    }

    fn find(&self, place: &Path) -> Option<Inode> {
        let mut inode = ROOT;
        for name in place.strip_prefix(&self.root).ok()? {
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

    /// Writes into an empty directory what the disk holds after a cut: of each directory's changes
    /// since its last sync a beginning, of each file's bytes what was synced, a beginning, zeros or
    /// all.
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
