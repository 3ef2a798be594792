//! Lists: page by page, by labels, and with contents only if a filter needs them.

use cred_core::{CredentialFilter, CredentialPath, StorageError, StorageResult};
use cred_provider_kit::{ListRange, Wire};

use super::{Kubernetes, decode};
use crate::client::{ListResponse, PageRequest, Secret};
use crate::marks::narrow_by_tags;

/// Secrets on a page without their data, about 1 KiB each.
const METADATA_PAGE: u32 = 500;
/// Secrets on a page with their data, at first. If they are large, the pages become smaller.
const SECRET_PAGE: u32 = 250;

/// How often a list that expires is restarted.
const MAX_RESTARTS: u32 = 3;

impl Kubernetes {
    /// Lists the paths in reach.
    pub(super) async fn list_paths(
        &self,
        wire: &mut Wire<'_>,
        reach: ListRange<'_>,
    ) -> StorageResult<Vec<CredentialPath>> {
        let selector = self.selector(reach);
        let mut pages = Pages::new(&selector, METADATA_PAGE);
        while let Some(part) = pages.next() {
            let listed = wire.read(|_| self.client.list_metadata(part)).await?;
            pages.take(listed, |secret| Ok(self.marks.path_of(&secret)))?;
        }
        Ok(pages.found)
    }

    /// Lists the paths in reach that the filter matches.
    pub(super) async fn list_matching(
        &self,
        wire: &mut Wire<'_>,
        reach: ListRange<'_>,
        filter: &CredentialFilter,
    ) -> StorageResult<Vec<CredentialPath>> {
        let selector = narrow_by_tags(self.selector(reach), filter);
        let mut pages = Pages::new(&selector, SECRET_PAGE);
        while let Some(part) = pages.next() {
            let listed = wire.read(|_| self.client.list_secrets(part)).await?;
            pages.take(listed, |secret| self.matching_path(wire, &secret, filter))?;
        }
        Ok(pages.found)
    }

    fn selector(&self, reach: ListRange<'_>) -> String {
        match reach {
            ListRange::Scope(scope) => self.marks.in_scope(scope),
            ListRange::Tree(scope) => self.marks.below(scope),
        }
    }

    fn matching_path(
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

/// A list that is read page by page. Only the paths of a page are kept.
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

    /// Returns the next request; `None`: the list is complete.
    fn next(&self) -> Option<PageRequest<'_>> {
        (!self.ended).then_some(PageRequest {
            selector: self.selector,
            limit: self.limit,
            next: self.next.as_deref(),
        })
    }

    /// Keeps the paths that `path_of` finds on a page, or prepares another request if there is no
    /// page.
    fn take<T>(
        &mut self,
        listed: ListResponse<T>,
        path_of: impl Fn(T) -> StorageResult<Option<CredentialPath>>,
    ) -> StorageResult<()> {
        match listed {
            ListResponse::Page(page) => {
                for item in page.items {
                    self.found.extend(path_of(item)?);
                }
                self.ended = page.next.is_none();
                self.next = page.next;
                Ok(())
            }
            ListResponse::TooLarge => self.shorten(),
            ListResponse::Expired(error) => self.restart(error),
        }
    }

    /// Requests the same part again, in smaller pages.
    fn shorten(&mut self) -> StorageResult<()> {
        if self.limit == 1 {
            return Err(StorageError::corrupted("a single Secret is larger than Kubernetes allows"));
        }
        self.limit /= 2;
        Ok(())
    }

    /// Restarts the list after the rest of it has expired. The new list is of another moment, so
    /// the paths found so far are dropped. A first page cannot expire, so for it this is an error
    /// immediately.
    fn restart(&mut self, expired: StorageError) -> StorageResult<()> {
        if self.next.is_none() || self.restarts == MAX_RESTARTS {
            return Err(expired);
        }
        self.restarts += 1;
        self.found.clear();
        self.next = None;
        Ok(())
    }
}
