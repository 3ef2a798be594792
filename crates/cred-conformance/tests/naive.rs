//! What the kit tells the author of a first attempt: a `HashMap` keyed by the id alone, written in
//! ten minutes.

#![cfg(test)]

mod red;

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cred_conformance::{Harness, Offers, Subject};
use cred_core::{
    CredentialContext, CredentialFilter, CredentialId, CredentialMetadata, CredentialPath, Description,
    EncryptedData, Sealed, StorageError, StorageErrorKind, StorageProvider, async_trait,
};
use red::red;

#[derive(Debug)]
struct Naive {
    description: Description,
    map: Mutex<HashMap<CredentialId, Sealed>>,
}

impl Naive {
    fn new() -> Self {
        Self { description: Description::new("naive", Duration::from_secs(5)), map: Mutex::default() }
    }
}

#[async_trait]
impl StorageProvider for Naive {
    fn describe(&self) -> &Description {
        &self.description
    }

    async fn store(
        &self,
        id: &CredentialId,
        data: EncryptedData,
        metadata: CredentialMetadata,
        _: &CredentialContext,
    ) -> Result<(), StorageError> {
        self.map.lock().unwrap().insert(id.clone(), Sealed { data, metadata });
        Ok(())
    }

    async fn retrieve(&self, id: &CredentialId, _: &CredentialContext) -> Result<Sealed, StorageError> {
        self.map.lock().unwrap().get(id).cloned().ok_or(StorageErrorKind::NotFound.into())
    }

    async fn delete(&self, id: &CredentialId, _: &CredentialContext) -> Result<(), StorageError> {
        self.map.lock().unwrap().remove(id).map(drop).ok_or(StorageErrorKind::NotFound.into())
    }

    async fn exists(&self, id: &CredentialId, _: &CredentialContext) -> Result<bool, StorageError> {
        Ok(self.map.lock().unwrap().contains_key(id))
    }

    async fn list(
        &self,
        _: Option<&CredentialFilter>,
        _: &CredentialContext,
    ) -> Result<Vec<CredentialId>, StorageError> {
        Ok(self.map.lock().unwrap().keys().cloned().collect())
    }

    async fn list_tree(
        &self,
        _: Option<&CredentialFilter>,
        ctx: &CredentialContext,
    ) -> Result<Vec<CredentialPath>, StorageError> {
        let path = |id: &CredentialId| CredentialPath::new(ctx.scope_id.clone(), id.clone());
        Ok(self.map.lock().unwrap().keys().map(path).collect())
    }

    async fn shutdown(&self) {}
}

struct Attempt;

#[async_trait]
impl Harness for Attempt {
    async fn open(&self) -> Arc<dyn Subject> {
        Arc::new(Naive::new())
    }
}

#[test]
fn a_naive_provider_is_told_which_rules_it_breaks_and_what_to_do() {
    let red = red(Offers::NONE, || Attempt);
    let mut broken = BTreeSet::new();
    for (clause, message) in &red {
        let lines: Vec<_> = message.lines().collect();
        let [what, advice, rule, named] = lines.as_slice() else { panic!("not four lines: {message}") };
        let (number, problem) = what.split_once(" is broken: ").unwrap();
        assert!(problem.len() > 20 && problem.len() < 500, "{message}");
        assert!(advice.strip_prefix("  what to do: ").is_some_and(|advice| advice.len() > 20), "{message}");
        assert!(rule.starts_with(&format!("  the rule: {number}, in the docs of `cred_core::")), "{message}");
        assert_eq!(*named, format!("  the clause: {clause}"));
        broken.insert(number);
    }
    // The scope is ignored (and so are filters), a delete of nothing fails, and errors do not say
    // where. What it does right is not among them: values come back whole, and absence is NotFound.
    let expected = [
        "delete-2",
        "delete-3",
        "error-1",
        "exists-2",
        "list-1",
        "list-2",
        "list-3",
        "list-4",
        "many-3",
        "scope-1",
        "scope-2",
        "scope-3",
        "scope-4",
        "shutdown-3",
        "tree-1",
        "tree-2",
        "tree-4",
    ];
    assert_eq!(broken, BTreeSet::from(expected), "{red:#?}");
}

#[test]
fn the_message_of_the_first_mistake_names_both_paths() {
    let red = red(Offers::NONE, || Attempt);
    let message = &red["scope_1_the_same_id_in_two_scopes_is_two_credentials"];
    assert_eq!(
        message,
        "scope-1 is broken: `key` and `org:a/team:x/key` share one physical name: a value stored at one is read at the other\n  \
         what to do: build the physical name from the scope and the id, and take the scope from `ctx.scope_id` alone; \
         both have the same id: first make the scope a part of the physical name\n  the rule: scope-1, in the docs of \
         `cred_core::StorageProvider`\n  the clause: scope_1_the_same_id_in_two_scopes_is_two_credentials"
    );
}
