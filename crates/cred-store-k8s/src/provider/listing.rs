//! Lists: page by page, by labels, and with contents only where a filter has to look into them.

use std::collections::BTreeSet;

use cred_core::{CredentialFilter, CredentialPath, Operation, StorageError};
use cred_provider_kit::Wire;

use super::{Inner, decode};
use crate::client::{Listed, Part, Secret};
use crate::marks::narrowed;

/// Secrets on a page without their data, some 1 KiB each.
const NAMES: u32 = 500;
/// Secrets on a page with their data, at first. Where they are long, pages become as short as they must.
const CONTENTS: u32 = 250;

/// How often a list that expires is begun again.
const RESTARTS: u32 = 3;

impl Inner {
    /// One short page, whatever is on it.
    pub(super) async fn greet(&self, wire: &mut Wire<'_>) -> Result<(), StorageError> {
        let selector = &self.marks.below(None);
        wire.read(|_| self.client.names(Part { selector, limit: 1, next: None })).await.map(drop)
    }

    /// The paths that a selector finds and that the filter admits.
    pub(super) async fn listed(
        &self,
        wire: &mut Wire<'_>,
        operation: Operation,
        selector: String,
        filter: Option<&CredentialFilter>,
    ) -> Result<Vec<CredentialPath>, StorageError> {
        match filter.filter(|filter| !filter.is_empty()) {
            None => self.names(wire, &selector).await,
            Some(filter) => self.admitted(wire, operation, &narrowed(selector, filter), filter).await,
        }
    }

    async fn names(&self, wire: &mut Wire<'_>, selector: &str) -> Result<Vec<CredentialPath>, StorageError> {
        let mut pages = Pages::new(selector, NAMES);
        while let Some(part) = pages.next() {
            match wire.read(|_| self.client.names(part)).await? {
                Listed::Page(page) => {
                    pages.found.extend(page.items.iter().filter_map(|secret| self.marks.path_of(secret)));
                    pages.go_on(page.next);
                }
                Listed::TooLong => pages.shorten()?,
                Listed::Expired(error) => pages.restart(error)?,
            }
        }
        Ok(pages.found.into_iter().collect())
    }

    async fn admitted(
        &self,
        wire: &mut Wire<'_>,
        operation: Operation,
        selector: &str,
        filter: &CredentialFilter,
    ) -> Result<Vec<CredentialPath>, StorageError> {
        let mut pages = Pages::new(selector, CONTENTS);
        while let Some(part) = pages.next() {
            match wire.read(|_| self.client.contents(part)).await? {
                Listed::Page(page) => {
                    for secret in page.items {
                        pages.found.extend(self.admits(operation, &secret, filter)?);
                    }
                    pages.go_on(page.next);
                }
                Listed::TooLong => pages.shorten()?,
                Listed::Expired(error) => pages.restart(error)?,
            }
        }
        Ok(pages.found.into_iter().collect())
    }

    fn admits(
        &self,
        operation: Operation,
        secret: &Secret,
        filter: &CredentialFilter,
    ) -> Result<Option<CredentialPath>, StorageError> {
        let Some(path) = self.marks.path_of(&secret.identity) else { return Ok(None) };
        match decode(secret) {
            Ok(file) => Ok(filter.matches(&file.metadata).then_some(path)),
            Err(error) => Err(error.at(self.description.name.clone(), operation, path)),
        }
    }
}

/// A list that is read page by page. Of a page only the paths are kept.
struct Pages<'a> {
    selector: &'a str,
    limit: u32,
    next: Option<String>,
    ended: bool,
    restarts: u32,
    found: BTreeSet<CredentialPath>,
}

impl<'a> Pages<'a> {
    fn new(selector: &'a str, limit: u32) -> Self {
        Self { selector, limit, next: None, ended: false, restarts: 0, found: BTreeSet::new() }
    }

    /// What is to be asked for now; `None`: nothing more.
    fn next(&self) -> Option<Part<'_>> {
        (!self.ended).then_some(Part {
            selector: self.selector,
            limit: self.limit,
            next: self.next.as_deref(),
        })
    }

    fn go_on(&mut self, next: Option<String>) {
        self.ended = next.is_none();
        self.next = next;
    }

    /// Asks for the same part in shorter pages.
    fn shorten(&mut self) -> Result<(), StorageError> {
        if self.limit == 1 {
            return Err(StorageError::corrupted("a single secret is longer than Kubernetes allows"));
        }
        self.limit /= 2;
        Ok(())
    }

    /// Begins the list again, after the rest of it expired. A new list is of another moment, so what
    /// was found so far is dropped. A first page cannot expire, so that is an error at once.
    fn restart(&mut self, expired: StorageError) -> Result<(), StorageError> {
        if self.next.is_none() || self.restarts == RESTARTS {
            return Err(expired);
        }
        self.restarts += 1;
        self.found.clear();
        self.next = None;
        Ok(())
    }
}
