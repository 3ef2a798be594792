//! Lists: page by page, by labels, and with contents only where a filter has to look into them.

use cred_core::{CredentialFilter, CredentialPath, StorageError, StorageResult};
use cred_provider_kit::{Reach, Wire};

use super::{Kubernetes, decode};
use crate::client::{Listed, Part, Secret};
use crate::marks::narrowed;

/// Secrets on a page without their data, some 1 KiB each.
const NAMES: u32 = 500;
/// Secrets on a page with their data, at first. Where they are long, pages become as short as they
/// must.
const CONTENTS: u32 = 250;

/// How often a list that expires is begun again.
const RESTARTS: u32 = 3;

impl Kubernetes {
    /// The paths in reach.
    pub(super) async fn listed(
        &self,
        wire: &mut Wire<'_>,
        reach: Reach<'_>,
    ) -> StorageResult<Vec<CredentialPath>> {
        let selector = self.selector(reach);
        let mut pages = Pages::new(&selector, NAMES);
        while let Some(part) = pages.next() {
            let listed = wire.read(|_| self.client.names(part)).await?;
            pages.take(listed, |secret| Ok(self.marks.path_of(&secret)))?;
        }
        Ok(pages.found)
    }

    /// The paths in reach that the filter admits.
    pub(super) async fn admitted(
        &self,
        wire: &mut Wire<'_>,
        reach: Reach<'_>,
        filter: &CredentialFilter,
    ) -> StorageResult<Vec<CredentialPath>> {
        let selector = narrowed(self.selector(reach), filter);
        let mut pages = Pages::new(&selector, CONTENTS);
        while let Some(part) = pages.next() {
            let listed = wire.read(|_| self.client.contents(part)).await?;
            pages.take(listed, |secret| self.admits(wire, &secret, filter))?;
        }
        Ok(pages.found)
    }

    fn selector(&self, reach: Reach<'_>) -> String {
        match reach {
            Reach::Scope(scope) => self.marks.in_scope(scope),
            Reach::Tree(scope) => self.marks.below(scope),
        }
    }

    fn admits(
        &self,
        wire: &Wire<'_>,
        secret: &Secret,
        filter: &CredentialFilter,
    ) -> StorageResult<Option<CredentialPath>> {
        let Some(path) = self.marks.path_of(&secret.identity) else { return Ok(None) };
        match decode(secret) {
            Ok(file) => Ok(filter.matches(&file.metadata).then_some(path)),
            Err(error) => Err(wire.locate(error, path)),
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
    found: Vec<CredentialPath>,
}

impl<'a> Pages<'a> {
    fn new(selector: &'a str, limit: u32) -> Self {
        Self { selector, limit, next: None, ended: false, restarts: 0, found: Vec::new() }
    }

    /// What is to be asked for now; `None`: nothing more.
    fn next(&self) -> Option<Part<'_>> {
        (!self.ended).then_some(Part {
            selector: self.selector,
            limit: self.limit,
            next: self.next.as_deref(),
        })
    }

    /// Keeps the paths that `path_of` finds on a page, or asks again for what did not come.
    fn take<T>(
        &mut self,
        listed: Listed<T>,
        path_of: impl Fn(T) -> StorageResult<Option<CredentialPath>>,
    ) -> StorageResult<()> {
        match listed {
            Listed::Page(page) => {
                for item in page.items {
                    self.found.extend(path_of(item)?);
                }
                self.ended = page.next.is_none();
                self.next = page.next;
                Ok(())
            }
            Listed::TooLong => self.shorten(),
            Listed::Expired(error) => self.restart(error),
        }
    }

    /// Asks for the same part in shorter pages.
    fn shorten(&mut self) -> StorageResult<()> {
        if self.limit == 1 {
            return Err(StorageError::corrupted("a single secret is longer than Kubernetes allows"));
        }
        self.limit /= 2;
        Ok(())
    }

    /// Begins the list again, after the rest of it expired. A new list is of another moment, so
    /// what was found so far is dropped. A first page cannot expire, so that is an error at once.
    fn restart(&mut self, expired: StorageError) -> StorageResult<()> {
        if self.next.is_none() || self.restarts == RESTARTS {
            return Err(expired);
        }
        self.restarts += 1;
        self.found.clear();
        self.next = None;
        Ok(())
    }
}
