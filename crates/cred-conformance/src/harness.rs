//! The traits and types that the author of a provider uses.

use std::fmt;
use std::sync::Arc;

use cred_core::{CredentialPath, StorageProvider, async_trait};

/// A provider under test: any [`StorageProvider`] that implements `Debug`. Its `Debug` must not
/// print stored data.
pub trait Subject: StorageProvider + fmt::Debug {}

impl<P: StorageProvider + fmt::Debug + ?Sized> Subject for P {}

/// An edit of the raw bytes that the backend stores for one path: takes the old bytes and returns
/// the new ones.
pub type Edit<'a> = &'a (dyn Fn(Vec<u8>) -> Vec<u8> + Send + Sync);

/// Opens a provider over an empty namespace, and controls the backend below it.
///
/// [`suite!`](crate::suite) creates a new harness for each clause, and clauses run concurrently. So
/// each harness needs a namespace that nothing else uses: a temporary directory, a random prefix, a
/// new map. Only [`Harness::open`] is required. Each of the other methods enables more clauses;
/// declare the methods that you implement in the suite's `offers: [...]`.
///
/// A method of a harness panics when it cannot do its work. The clause then fails and reports the
/// panic message. The suite sets no deadline for these methods.
#[async_trait]
pub trait Harness: Send + Sync {
    /// Opens a provider over this harness's namespace, which is empty at the first call.
    ///
    /// The harness must not keep a copy of the provider that has background tasks: a clause drops
    /// the provider and looks for tasks that are left. The harness must start its own tasks (such
    /// as a server in this process) before this call.
    async fn open(&self) -> Arc<dyn Subject>;

    /// Opens another client over the same data, while the first may still be in use. Declared as
    /// `offers: [reopen]`.
    ///
    /// It must call the constructor and nothing else: with `outage`, the backend may be down at
    /// that time. `None` (the default): the data is lost when the provider is dropped.
    async fn reopen(&self) -> Option<Arc<dyn Subject>> {
        None
    }

    /// Replaces the bytes that the backend stores for `path` by the result of `edit`, without going
    /// through the provider. Declared as `offers: [raw_edit]`.
    ///
    /// If the backend cannot store the new bytes, for example because they are not text or are
    /// empty, the harness may store the nearest value that it can: `String::from_utf8_lossy`, a
    /// single space. Returns `false` if raw edits are not supported (the default).
    async fn edit_raw(&self, path: &CredentialPath, edit: Edit<'_>) -> bool {
        let _ = (path, edit);
        false
    }

    /// Makes the backend unreachable or failing for the open provider, or brings it back with all
    /// its data. Declared as `offers: [outage]`.
    ///
    /// Bringing back a backend that is not down changes nothing. Returns `false` if outages are not
    /// supported (the default). An operation in an outage takes as long as the provider keeps
    /// trying, so give the provider an `operation_timeout` of a few seconds.
    async fn outage(&self, down: bool) -> bool {
        let _ = down;
        false
    }

    /// Stalls the backend (`held` is `true`), or lets it continue with all its data. Declared as
    /// `offers: [stall]`.
    ///
    /// During a stall, a call of the open provider must not take effect, return a result or fail.
    /// Calls that need not wait, such as a read that does not need a writer's lock, may be
    /// answered. Ending a stall that was not started changes nothing. Returns `false` if stalls are
    /// not supported (the default).
    ///
    /// After the stall, the backend itself must not execute requests of calls that were abandoned
    /// during it. To achieve that, let another handle hold the backend's lock, or put a proxy in
    /// front of a server that forwards nothing and then closes the connections it held. Do not stop
    /// the server process: when it continues, it executes everything that its socket received.
    ///
    /// The suite ends the stall from its own thread and runtime, since the provider's may be
    /// blocked. Clauses wait for the provider's `operation_timeout` and `in_doubt`, so set each to
    /// a few seconds.
    async fn stall(&self, held: bool) -> bool {
        let _ = held;
        false
    }

    /// Returns the secrets with which the provider authenticates to its backend; the clauses check
    /// that none of them is printed. Declared as `offers: [backend_secrets]`. Return values that
    /// appear nowhere else.
    fn backend_secrets(&self) -> Vec<String> {
        Vec::new()
    }

    /// Returns the backend's name for this path. If it is known, the suite tries to use that name
    /// for another credential. `None` (the default): unknown.
    fn physical_name(&self, path: &CredentialPath) -> Option<String> {
        let _ = path;
        None
    }

    /// Returns how much work each clause does.
    fn effort(&self) -> Effort {
        Effort::default()
    }

    /// Cleans up. Called after each clause, whether it passed or failed.
    async fn close(&self) {}
}

/// How much work a clause does. The defaults suit a backend that answers within a few milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Effort {
    /// Number of credentials in a long list, at least 10. Default: 1,000. Keep it above the
    /// backend's page size.
    pub list_entries: usize,
    /// Number of rounds of a race, at least 4. Default: 100.
    ///
    /// It also controls the cancellation tests: they drop a future after each of its first
    /// `rounds / 2` polls, and after increasingly sparse ones beyond that.
    pub rounds: usize,
}

impl Default for Effort {
    fn default() -> Self {
        Self { list_entries: 1_000, rounds: 100 }
    }
}

impl Effort {
    /// Sets [`list_entries`](Self::list_entries); fewer than 10 count as 10.
    #[must_use]
    pub const fn with_list_entries(mut self, entries: usize) -> Self {
        self.list_entries = if entries < 10 { 10 } else { entries };
        self
    }

    /// Sets [`rounds`](Self::rounds); fewer than 4 count as 4.
    #[must_use]
    pub const fn with_rounds(mut self, rounds: usize) -> Self {
        self.rounds = if rounds < 4 { 4 } else { rounds };
        self
    }
}

/// The optional features of a provider and its harness, in addition to the five operations.
///
/// Each field is a word of `offers: [...]` in [`suite!`](crate::suite). Clauses that need a word
/// which is not declared are ignored. One clause fails if a word is declared wrongly or missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
#[expect(clippy::struct_excessive_bools, reason = "a set of words; each is declared by name")]
pub struct Offers {
    /// The provider supports [`CompareAndSet`](cred_core::CompareAndSet).
    pub compare_and_set: bool,
    /// The provider supports [`SoftDelete`](cred_core::SoftDelete).
    pub soft_delete: bool,
    /// The provider counts its operations.
    pub metrics: bool,
    /// The provider declares [`max_payload_len`](cred_core::Limits::max_payload_len).
    pub payload_limit: bool,
    /// The provider accepts fewer or shorter tags than [`Tags`](cred_core::Tags) can hold.
    pub tag_limits: bool,
    /// The harness implements [`Harness::reopen`].
    pub reopen: bool,
    /// The harness implements [`Harness::edit_raw`].
    pub raw_edit: bool,
    /// The harness implements [`Harness::outage`].
    pub outage: bool,
    /// The harness implements [`Harness::stall`].
    pub stall: bool,
    /// The harness implements [`Harness::backend_secrets`].
    pub backend_secrets: bool,
}

impl Offers {
    /// No optional feature: only the five operations.
    pub const NONE: Self = Self {
        compare_and_set: false,
        soft_delete: false,
        metrics: false,
        payload_limit: false,
        tag_limits: false,
        reopen: false,
        raw_edit: false,
        outage: false,
        stall: false,
        backend_secrets: false,
    };

    /// Returns each word and whether it is offered.
    pub fn words(self) -> impl Iterator<Item = (&'static str, bool)> {
        [
            ("compare_and_set", self.compare_and_set),
            ("soft_delete", self.soft_delete),
            ("metrics", self.metrics),
            ("payload_limit", self.payload_limit),
            ("tag_limits", self.tag_limits),
            ("reopen", self.reopen),
            ("raw_edit", self.raw_edit),
            ("outage", self.outage),
            ("stall", self.stall),
            ("backend_secrets", self.backend_secrets),
        ]
        .into_iter()
    }

    /// Returns whether every word of `needs` is offered.
    #[must_use]
    pub fn cover(self, needs: Self) -> bool {
        self.words().zip(needs.words()).all(|((_, offered), (_, needed))| offered || !needed)
    }
}
