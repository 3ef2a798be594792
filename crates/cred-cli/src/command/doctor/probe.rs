//! The credential that `cred doctor` writes, and those that an earlier run could not take away
//! again.

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

/// A probe that is older is of no run that goes on, even where clocks are a little apart.
const LEFT_AFTER: Duration = Duration::from_secs(10 * 60);

const BEGIN: &str = "probe-";

/// A credential with a name that nobody else has.
pub(super) struct Probe {
    pub(super) path: CredentialPath,
    /// Whether it may be stored.
    there: Cell<bool>,
    /// Whether nothing more is to be tried than to take it away.
    ended: Cell<bool>,
}

impl Probe {
    pub(super) fn new() -> Result<Self, Failure> {
        let mark = ring::to_hex(&*input::random::<8>()?);
        let path = CredentialPath::new(Some(scope()?), format!("{BEGIN}{mark}").parse()?);
        Ok(Self { path, there: Cell::new(false), ended: Cell::new(false) })
    }

    pub(super) fn is_there(&self) -> bool {
        self.there.get()
    }

    pub(super) fn set_there(&self, there: bool) {
        self.there.set(there);
    }

    pub(super) fn is_ended(&self) -> bool {
        self.ended.get()
    }

    pub(super) fn end(&self) {
        self.ended.set(true);
    }
}

fn scope() -> Result<ScopeId, Failure> {
    Ok("cred:doctor".parse()?)
}

fn is_probe(id: &CredentialId) -> bool {
    let mark = id.as_str().strip_prefix(BEGIN);
    mark.is_some_and(|mark| mark.len() == 16 && mark.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// Removes, or only counts, what runs that were killed have left.
pub(super) async fn leftovers(
    provider: &dyn StorageProvider,
    read_only: bool,
    findings: &mut Findings,
) -> Result<(), Failure> {
    let scope = scope()?;
    let ctx = CredentialContext::from(Some(scope.clone()));
    // Where nothing can be listed, that is told with what is stored.
    let ids = provider.list(None, &ctx).await.unwrap_or_default();
    let limit = Timestamp::now().saturating_sub(LEFT_AFTER);
    let mut count = 0;
    for id in ids.into_iter().filter(is_probe) {
        let path = CredentialPath::new(Some(scope.clone()), id);
        // How old another one is, nobody can tell.
        let Ok(Some(Sealed { metadata, .. })) = compare::stored(provider, &path).await else { continue };
        if metadata.created_at >= limit {
            continue;
        }
        if !read_only && let Err(error) = provider.delete(&path.id, &ctx).await {
            findings.bad("leftovers", &error.into());
            continue;
        }
        count += 1;
    }
    let (probes, are) = if count == 1 { ("probe", "is") } else { ("probes", "are") };
    match (count, read_only) {
        (0, _) => {}
        (_, true) => findings.warn(
            "leftovers",
            format!("{count} {probes} of an earlier run {are} left in the scope `{scope}`"),
            "run `cred doctor` without --read-only, which removes them",
        ),
        (_, false) => findings.good("leftovers", format!("removed {count} {probes} of an earlier run")),
    }
    Ok(())
}
