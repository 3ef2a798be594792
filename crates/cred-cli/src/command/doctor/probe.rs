//! The test credential that `cred doctor` writes, and leftovers of earlier runs.

use std::cell::Cell;
use std::time::Duration;

use cred_core::{
    CredentialContext, CredentialId, CredentialPath, ScopeId, Sealed, StorageProvider, Timestamp,
};

use super::Findings;
use crate::compare;
use crate::config::ring;
use crate::failure::Failure;
use crate::input;

/// A probe of this age belongs to no running `cred doctor`, even if clocks differ a little.
const LEFTOVER_AGE: Duration = Duration::from_secs(10 * 60);

const PREFIX: &str = "probe-";

/// The test credential, which has a unique name.
pub(super) struct Probe {
    pub(super) path: CredentialPath,
    /// Whether it may exist in the backend.
    may_exist: Cell<bool>,
    /// Whether the tests were cancelled, so that the probe is only deleted.
    cancelled: Cell<bool>,
}

impl Probe {
    pub(super) fn new() -> Result<Self, Failure> {
        let mark = ring::to_hex(&*input::random::<8>()?);
        let path = CredentialPath::new(Some(scope()?), format!("{PREFIX}{mark}").parse()?);
        Ok(Self { path, may_exist: Cell::new(false), cancelled: Cell::new(false) })
    }

    pub(super) fn may_exist(&self) -> bool {
        self.may_exist.get()
    }

    pub(super) fn set_may_exist(&self, may_exist: bool) {
        self.may_exist.set(may_exist);
    }

    pub(super) fn is_cancelled(&self) -> bool {
        self.cancelled.get()
    }

    pub(super) fn cancel(&self) {
        self.cancelled.set(true);
    }
}

fn scope() -> Result<ScopeId, Failure> {
    Ok("cred:doctor".parse()?)
}

fn is_probe(id: &CredentialId) -> bool {
    let mark = id.as_str().strip_prefix(PREFIX);
    mark.is_some_and(|mark| mark.len() == 16 && mark.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// Deletes the probes of killed runs; with `read_only`, only counts them.
pub(super) async fn leftovers(
    provider: &dyn StorageProvider,
    read_only: bool,
    findings: &mut Findings,
) -> Result<(), Failure> {
    let scope = scope()?;
    let ctx = CredentialContext::from(Some(scope.clone()));
    // `contents` reports a list that fails.
    let ids = provider.list(None, &ctx).await.unwrap_or_default();
    let limit = Timestamp::now().saturating_sub(LEFTOVER_AGE);
    let mut count = 0;
    for id in ids.into_iter().filter(is_probe) {
        let path = CredentialPath::new(Some(scope.clone()), id);
        // The age of an unreadable probe is unknown.
        let Ok(Some(Sealed { metadata, .. })) = compare::retrieve(provider, &path).await else { continue };
        if metadata.created_at >= limit {
            continue;
        }
        if !read_only && let Err(error) = provider.delete(&path.id, &ctx).await {
            findings.bad("leftovers", &error.into());
            continue;
        }
        count += 1;
    }
    let (credentials, are) = if count == 1 { ("test credential", "is") } else { ("test credentials", "are") };
    match (count, read_only) {
        (0, _) => {}
        (_, true) => findings.warn(
            "leftovers",
            format!("{count} {credentials} of earlier runs {are} left in the scope `{scope}`"),
            "run `cred doctor` without --read-only to delete them",
        ),
        (_, false) => findings.good("leftovers", format!("deleted {count} {credentials} of earlier runs")),
    }
    Ok(())
}
