//! What was said, and what may therefore be stored.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use cred_core::CredentialPath;

/// What a process does, as it says it: `store org:a/key 7`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Operation {
    Store(CredentialPath, u64),
    Rotate(CredentialPath, u64),
    Delete(CredentialPath),
    /// With the value that must be found.
    Retrieve(CredentialPath, u64),
    /// With the number of paths that must be found.
    ListTree(usize),
}

impl FromStr for Operation {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let words: Vec<_> = text.split(' ').collect();
        let path = || words.get(1).and_then(|word| word.parse().ok()).ok_or(format!("no path: {text}"));
        let number =
            |at| words.get(at).and_then(|word: &&str| word.parse().ok()).ok_or(format!("no number: {text}"));
        match words[0] {
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
    /// What it leaves, and where.
    fn effect(&self) -> Option<(&CredentialPath, Option<u64>)> {
        match self {
            Self::Store(path, number) | Self::Rotate(path, number) => Some((path, Some(*number))),
            Self::Delete(path) => Some((path, None)),
            Self::Retrieve(..) | Self::ListTree(_) => None,
        }
    }
}

/// What one writer has said about its paths, which are its alone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Oracle {
    acknowledged: BTreeMap<CredentialPath, Option<u64>>,
    begun: Option<Operation>,
    pub(crate) acknowledgements: usize,
}

impl Oracle {
    pub(crate) fn hear(&mut self, word: &str) {
        match word {
            "ready" | "end" => {}
            "ok" => {
                let operation = self.begun.take().expect("an answer to something");
                if let Some((path, value)) = operation.effect() {
                    self.acknowledged.insert(path.clone(), value);
                    self.acknowledgements += 1;
                }
            }
            failed if failed.starts_with("failed") => panic!("{:?}: {failed}", self.begun),
            begun => self.begun = Some(begun.parse().unwrap()),
        }
    }

    /// What was begun did nothing.
    pub(crate) fn fail(&mut self) {
        self.begun = None;
    }

    /// Whether this may be found at a path: the last that was acknowledged, or what was begun after
    /// it.
    pub(crate) fn admits(&self, path: &CredentialPath, found: Option<u64>) -> bool {
        let acknowledged = self.acknowledged.get(path).copied().flatten();
        let begun = self.begun.as_ref().and_then(Operation::effect);
        found == acknowledged || begun.is_some_and(|(at, value)| at == path && value == found)
    }

    /// Whether it has said anything of a path.
    pub(crate) fn knows(&self, path: &CredentialPath) -> bool {
        let begun = self.begun.as_ref().and_then(Operation::effect);
        self.acknowledged.contains_key(path) || begun.is_some_and(|(at, _)| at == path)
    }

    pub(crate) fn has_acknowledged(&self, path: &CredentialPath) -> bool {
        self.acknowledged.contains_key(path)
    }

    /// The writer is dead: from now on there is what was found.
    pub(crate) fn settle(&mut self, path: &CredentialPath, found: Option<u64>) {
        self.acknowledged.insert(path.clone(), found);
        if self.begun.as_ref().and_then(Operation::effect).is_some_and(|(at, _)| at == path) {
            self.begun = None;
        }
    }
}

#[test]
fn only_the_acknowledged_and_the_begun_are_admitted() {
    let path: CredentialPath = "org:a/key".parse().unwrap();
    let mut oracle = Oracle::default();
    assert!(oracle.admits(&path, None) && !oracle.admits(&path, Some(1)));
    oracle.hear("store org:a/key 1");
    assert!(oracle.admits(&path, None) && oracle.admits(&path, Some(1)));
    oracle.hear("ok");
    assert!(!oracle.admits(&path, None) && oracle.admits(&path, Some(1)));
    oracle.hear("delete org:a/key");
    assert!(oracle.admits(&path, None) && oracle.admits(&path, Some(1)) && !oracle.admits(&path, Some(2)));
    oracle.settle(&path, None);
    assert!(oracle.admits(&path, None) && !oracle.admits(&path, Some(1)));
}
