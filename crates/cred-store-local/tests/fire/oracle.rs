//! Derives the allowed contents of a store from the reports of its writers.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use cred_core::CredentialPath;

/// An operation of a process, in the form of its reports: `store org:a/key 7`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Operation {
    Store(CredentialPath, u64),
    Rotate(CredentialPath, u64),
    Delete(CredentialPath),
    /// With the expected value.
    Retrieve(CredentialPath, u64),
    /// With the expected number of paths.
    ListTree(usize),
}

impl FromStr for Operation {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let messages: Vec<_> = text.split(' ').collect();
        let path =
            || messages.get(1).and_then(|message| message.parse().ok()).ok_or(format!("no path: {text}"));
        let number = |at| {
            messages
                .get(at)
                .and_then(|message: &&str| message.parse().ok())
                .ok_or(format!("no number: {text}"))
        };
        match messages[0] {
            "store" => Ok(Self::Store(path()?, number(2)?)),
            "rotate" => Ok(Self::Rotate(path()?, number(2)?)),
            "delete" => Ok(Self::Delete(path()?)),
            "retrieve" => Ok(Self::Retrieve(path()?, number(2)?)),
            "list" => Ok(Self::ListTree(number(1)?.try_into().unwrap_or(usize::MAX))),
            _ => Err(format!("no operation: {text}")),
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Store(path, number) => write!(f, "store {path} {number}"),
            Self::Rotate(path, number) => write!(f, "rotate {path} {number}"),
            Self::Delete(path) => write!(f, "delete {path}"),
            Self::Retrieve(path, number) => write!(f, "retrieve {path} {number}"),
            Self::ListTree(number) => write!(f, "list {number}"),
        }
    }
}

impl Operation {
    /// The path that it changes, and the value after it.
    fn effect(&self) -> Option<(&CredentialPath, Option<u64>)> {
        match self {
            Self::Store(path, number) | Self::Rotate(path, number) => Some((path, Some(*number))),
            Self::Delete(path) => Some((path, None)),
            Self::Retrieve(..) | Self::ListTree(_) => None,
        }
    }
}

/// The reports of one writer about its paths, which no other writer uses.
#[derive(Debug, Clone, Default)]
pub(crate) struct Oracle {
    acknowledged: BTreeMap<CredentialPath, Option<u64>>,
    pending: Option<Operation>,
    pub(crate) acknowledgements: usize,
}

impl Oracle {
    pub(crate) fn observe(&mut self, message: &str) {
        match message {
            "ready" | "end" => {}
            "ok" => {
                let operation = self.pending.take().expect("an operation is pending");
                if let Some((path, value)) = operation.effect() {
                    self.acknowledged.insert(path.clone(), value);
                    self.acknowledgements += 1;
                }
            }
            failed if failed.starts_with("failed") => panic!("{:?}: {failed}", self.pending),
            pending => self.pending = Some(pending.parse().unwrap()),
        }
    }

    /// The pending operation changed nothing.
    pub(crate) fn fail(&mut self) {
        self.pending = None;
    }

    /// Whether this may be the value of a path: the last acknowledged value, or that of the pending
    /// operation.
    pub(crate) fn allows(&self, path: &CredentialPath, found: Option<u64>) -> bool {
        let acknowledged = self.acknowledged.get(path).copied().flatten();
        let pending = self.pending.as_ref().and_then(Operation::effect);
        found == acknowledged || pending.is_some_and(|(at, value)| at == path && value == found)
    }

    /// Whether the writer has reported an operation on a path.
    pub(crate) fn knows(&self, path: &CredentialPath) -> bool {
        let pending = self.pending.as_ref().and_then(Operation::effect);
        self.acknowledged.contains_key(path) || pending.is_some_and(|(at, _)| at == path)
    }

    pub(crate) fn has_acknowledged(&self, path: &CredentialPath) -> bool {
        self.acknowledged.contains_key(path)
    }

    /// Records the value that was found after the writer was killed.
    pub(crate) fn resolve(&mut self, path: &CredentialPath, found: Option<u64>) {
        self.acknowledged.insert(path.clone(), found);
        if self.pending.as_ref().and_then(Operation::effect).is_some_and(|(at, _)| at == path) {
            self.pending = None;
        }
    }
}

#[test]
fn only_the_acknowledged_and_the_pending_value_are_allowed() {
    let path: CredentialPath = "org:a/key".parse().unwrap();
    let mut oracle = Oracle::default();
    assert!(oracle.allows(&path, None) && !oracle.allows(&path, Some(1)));
    oracle.observe("store org:a/key 1");
    assert!(oracle.allows(&path, None) && oracle.allows(&path, Some(1)));
    oracle.observe("ok");
    assert!(!oracle.allows(&path, None) && oracle.allows(&path, Some(1)));
    oracle.observe("delete org:a/key");
    assert!(oracle.allows(&path, None) && oracle.allows(&path, Some(1)) && !oracle.allows(&path, Some(2)));
    oracle.resolve(&path, None);
    assert!(oracle.allows(&path, None) && !oracle.allows(&path, Some(1)));
}
