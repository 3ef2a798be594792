//! What the author of a provider implements.

use std::fmt;
use std::sync::Arc;

use cred_core::{CredentialPath, StorageProvider, async_trait};

/// A provider under test: any [`StorageProvider`] that has a `Debug`, which must not print what it
/// keeps.
pub trait Subject: StorageProvider + fmt::Debug {}

impl<P: StorageProvider + fmt::Debug + ?Sized> Subject for P {}

/// An edit of the raw bytes that the backend holds for one path: takes the old bytes, gives the new
/// ones.
pub type Edit<'a> = &'a (dyn Fn(Vec<u8>) -> Vec<u8> + Send + Sync);

/// One empty place to store in, and how to reach it.
///
/// [`suite!`](crate::suite) makes a new harness for each clause, and clauses run at the same time,
/// so a harness stands for a namespace that nobody else uses: a temporary directory, a random
/// prefix, a fresh map. Only [`Harness::open`] has to be written. Each of the others makes more
/// clauses run; those that a harness has are declared in the suite's `offers: [...]`.
///
/// A method of a harness panics when it cannot do its work: the clause is red then, and says why.
/// None has a deadline from the kit.
#[async_trait]
pub trait Harness: Send + Sync {
    /// A provider over this harness's namespace, empty at the first call. The harness keeps no copy
    /// of it that has background tasks: a clause drops it and looks for what is left. Tasks of the
    /// harness's own (a server in this process) begin before.
    async fn open(&self) -> Arc<dyn Subject>;

    /// `offers: [reopen]`. Another client, built anew over the same data while the first may still
    /// be in use, by its constructor alone: with `outage`, the backend may be down at that time.
    /// `None`: the data ends with the provider.
    async fn reopen(&self) -> Option<Arc<dyn Subject>> {
        None
    }

    /// `offers: [raw_edit]`. Replaces the bytes that the backend holds for `path`, past the
    /// provider, by what `edit` makes of them. False: it cannot be done. What the backend cannot
    /// hold, such as bytes that are no text, or none at all, may be replaced by the nearest that it
    /// can: `String::from_utf8_lossy`, a single space.
    async fn edit_raw(&self, path: &CredentialPath, edit: Edit<'_>) -> bool {
        let _ = (path, edit);
        false
    }

    /// `offers: [outage]`. Makes the backend unreachable or failing for the open provider, or
    /// brings it back with all its data; bringing back what is not down changes nothing. False: it
    /// cannot be done. An operation in an outage takes as long as the provider tries, so give it an
    /// `operation_timeout` of a few seconds.
    async fn outage(&self, down: bool) -> bool {
        let _ = down;
        false
    }

    /// `offers: [stall]`. Holds the backend, so that a call of the open provider neither takes
    /// effect nor answers nor fails, or lets it go with all its data; letting go what is not held
    /// changes nothing. False: it cannot be done.
    ///
    /// What need not wait, such as a read beside the lock of a writer, may be answered. The backend
    /// itself must not do later what a call had sent before it was given up: let another handle
    /// hold the lock, or let a door in front of a server pass nothing on and then close what it
    /// held; a stopped process does, when it goes on, whatever its socket took.
    ///
    /// It is let go from a thread and a runtime of the kit's own, since the provider's may be
    /// blocked. Clauses wait for the provider's `operation_timeout` and `in_doubt`, so give it a
    /// few seconds of each.
    async fn stall(&self, held: bool) -> bool {
        let _ = held;
        false
    }

    /// `offers: [backend_secrets]`. What the provider itself logs in with; none of it may be
    /// printed. Give values that nothing else contains.
    fn backend_secrets(&self) -> Vec<String> {
        Vec::new()
    }

    /// What the backend calls this path. Where it is known, the kit tries to take that name for
    /// another credential. `None`: unknown.
    fn physical_name(&self, path: &CredentialPath) -> Option<String> {
        let _ = path;
        None
    }

    /// How much to do.
    fn effort(&self) -> Effort {
        Effort::default()
    }

    /// Called after the clause, red or green, to remove what is left.
    async fn close(&self) {}
}

/// How much a clause does. The defaults suit a backend that answers within a few milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Effort {
    /// Credentials in a long list, at least 10. Default: 1,000. Keep it above the backend's page
    /// size.
    pub list_entries: usize,
    /// Rounds of a race, and twice the polls after which a future is dropped at every single one,
    /// later at fewer and fewer; at least 4. Default: 100.
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

/// What a provider and its harness have besides the five operations. Each field is a word of
/// `offers: [...]` in [`suite!`](crate::suite); the clauses that need a word which is not declared
/// are ignored, and one clause finds whatever is declared wrongly or forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
#[expect(clippy::struct_excessive_bools, reason = "a set of words; each is declared by name")]
pub struct Offers {
    /// The provider hands out [`CompareAndSet`](cred_core::CompareAndSet).
    pub compare_and_set: bool,
    /// The provider hands out [`SoftDelete`](cred_core::SoftDelete).
    pub soft_delete: bool,
    /// The provider counts its operations.
    pub metrics: bool,
    /// The provider declares [`max_payload_len`](cred_core::Limits::max_payload_len).
    pub payload_limit: bool,
    /// The provider takes less in tags than [`Tags`](cred_core::Tags) can hold.
    pub tag_limits: bool,
    /// [`Harness::reopen`].
    pub reopen: bool,
    /// [`Harness::edit_raw`].
    pub raw_edit: bool,
    /// [`Harness::outage`].
    pub outage: bool,
    /// [`Harness::stall`].
    pub stall: bool,
    /// [`Harness::backend_secrets`].
    pub backend_secrets: bool,
}

impl Offers {
    /// Nothing besides the five operations.
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

    /// Each word and whether it is there.
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

    /// Whether everything that `needs` names is there.
    #[must_use]
    pub fn cover(self, needs: Self) -> bool {
        self.words().zip(needs.words()).all(|((_, offered), (_, needed))| offered || !needed)
    }
}
