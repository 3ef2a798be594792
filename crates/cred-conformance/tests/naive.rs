//! The messages of the suite for a first attempt: a `HashMap` keyed by the id alone, written in ten
//! minutes.

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
use red::failures;

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

struct NaiveHarness;

#[async_trait]
impl Harness for NaiveHarness {
    async fn open(&self) -> Arc<dyn Subject> {
        Arc::new(Naive::new())
    }
}

#[test]
fn the_messages_for_a_naive_provider_name_the_broken_rules_and_the_fixes() {
    let failures = failures(Offers::NONE, || NaiveHarness);
    let mut broken = BTreeSet::new();
    for (clause, message) in &failures {
        let lines: Vec<_> = message.lines().collect();
        let [problem, advice, rule, named] = lines.as_slice() else { panic!("not four lines: {message}") };
        let (number, problem) = problem.split_once(" is broken: ").unwrap();
        assert!(problem.len() > 20 && problem.len() < 500, "{message}");
        assert!(advice.strip_prefix("  what to do: ").is_some_and(|advice| advice.len() > 20), "{message}");
        assert!(rule.starts_with(&format!("  the rule: {number}, in the docs of `cred_core::")), "{message}");
        assert_eq!(*named, format!("  the clause: {clause}"));
        broken.insert(number);
    }
    // The provider ignores scopes and filters, fails to delete an absent credential, and gives
    // errors without a path. Its correct parts are not in this list: it returns values unchanged
    // and NotFound for absent ones.
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
    assert_eq!(broken, BTreeSet::from(expected), "{failures:#?}");
}

#[test]
fn the_message_for_an_ignored_scope_names_both_paths() {
    let failures = failures(Offers::NONE, || NaiveHarness);
    let message = &failures["scope_1_the_same_id_in_two_scopes_is_two_credentials"];
    assert_eq!(
        message,
        "scope-1 is broken: `key` and `org:a/team:x/key` share one physical name: a value stored at one is read at the other\n  \
         what to do: build the physical name from the scope and the id, and take the scope from `ctx.scope_id` alone; \
         both have the same id: first make the scope a part of the physical name\n  the rule: scope-1, in the docs of \
         `cred_core::StorageProvider`\n  the clause: scope_1_the_same_id_in_two_scopes_is_two_credentials"
    );
}
