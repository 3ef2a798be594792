//! Tests what the backend permits, and checks the stored credentials.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use cred_core::{
    CredentialContext, CredentialId, CredentialMetadata, CredentialPath, KeyId, Sealed, Sealer as _,
    StorageError, StorageErrorKind, StorageProvider, Timestamp,
};
use cred_crypto::KeyRing;
use tokio::time::{Instant, sleep};

use super::Findings;
use super::probe::Probe;
use crate::compare;
use crate::failure::{Exit, Failure};
use crate::output::credentials;

/// Maximum number of stored credentials that are checked.
const SAMPLE: usize = 100;

/// Largest clock difference that is not reported.
const MAX_CLOCK_SKEW: Duration = Duration::from_secs(5 * 60);

/// Whether the backend answers and accepts the login.
pub(super) async fn reach(provider: &dyn StorageProvider, probe: &Probe, findings: &mut Findings) -> bool {
    let ctx = CredentialContext::from(probe.path.scope.clone());
    let error = match provider.exists(&probe.path.id, &ctx).await {
        Ok(_) => {
            findings.good("backend", "reachable, and accepts the login");
            findings.good("read", "allowed");
            return true;
        }
        Err(error) => error,
    };
    let (what, continues) = match error.kind() {
        StorageErrorKind::AuthenticationFailed { .. } => ("login", false),
        StorageErrorKind::PermissionDenied { .. } => ("read", true),
        _ => ("backend", false),
    };
    findings.bad(what, &error.into());
    continues
}

/// Tests each operation on the probe, which has a unique name. Once the probe is cancelled, it is
/// only deleted.
pub(super) async fn permissions(
    provider: &dyn StorageProvider,
    keys: Option<&KeyRing>,
    probe: &Probe,
    findings: &mut Findings,
) -> Result<(), Failure> {
    let (id, ctx) = (probe.path.id.clone(), CredentialContext::from(probe.path.scope.clone()));
    let Sealed { data, metadata } = sealed(&probe.path, keys).await?;
    probe.set_may_exist(true);
    let stored = provider.store(&id, data.clone(), metadata.clone(), &ctx).await;
    probe.set_may_exist(stored.as_ref().err().is_none_or(StorageError::may_have_written));
    if findings.record("write", stored).is_some() && !probe.is_cancelled() {
        let visible_at = Instant::now() + provider.describe().consistency.point();
        let read_back = loop {
            match provider.retrieve(&id, &ctx).await {
                Err(error)
                    if error.is_not_found() && Instant::now() < visible_at && !probe.is_cancelled() =>
                {
                    sleep(Duration::from_millis(250)).await
                }
                result => break result,
            }
        };
        match read_back {
            Ok(found) if found == Sealed::new(data.clone(), metadata.clone()) => {
                findings.good("read back", "equal to what was written")
            }
            Ok(_) => findings.bad(
                "read back",
                &Failure::new(Exit::Found, "not equal to what was written").hint(
                    "check for a proxy or another program that changes data between this program and the backend",
                ),
            ),
            Err(error) => findings.bad("read back", &error.into()),
        }
        if !probe.is_cancelled() {
            replace(provider, &id, Sealed { data, metadata }, &ctx, findings).await;
        }
        if !probe.is_cancelled() {
            findings.record("list", provider.list(None, &ctx).await);
        }
    }
    if probe.may_exist() && findings.record("delete", provider.delete(&id, &ctx).await).is_some() {
        probe.set_may_exist(false);
    }
    Ok(())
}

async fn replace(
    provider: &dyn StorageProvider,
    id: &CredentialId,
    Sealed { data, metadata }: Sealed,
    ctx: &CredentialContext,
    findings: &mut Findings,
) {
    let Some(conditional) = provider.compare_and_set() else {
        findings.good(
            "replace if unchanged",
            "not supported by this backend: concurrent writers may overwrite each other",
        );
        return;
    };
    let swapped = async {
        let revision = conditional.retrieve_versioned(id, ctx).await?.revision;
        conditional.store_if(id, data, metadata, Some(&revision), ctx).await
    };
    findings.record("replace if unchanged", swapped.await);
}

/// Checks stored credentials: whether the ring has their keys, and whether their times are
/// plausible.
pub(super) async fn contents(
    provider: &Arc<dyn StorageProvider>,
    keys: Option<&KeyRing>,
    findings: &mut Findings,
) {
    let paths = match provider.list_tree(None, &CredentialContext::unscoped()).await {
        Ok(paths) => paths,
        Err(error) => return findings.bad("list", &error.into()),
    };
    let count = paths.len();
    let known: BTreeSet<&KeyId> = keys.map(|keys| keys.key_ids().collect()).unwrap_or_default();
    let (mut missing_keys, mut early, mut broken) = (BTreeSet::new(), 0, 0);
    let mut unopened: Option<(usize, Failure)> = None;
    let limit = Timestamp::now().saturating_add(MAX_CLOCK_SKEW);
    for path in paths.iter().take(SAMPLE) {
        match compare::retrieve(&**provider, path).await {
            Ok(Some(Sealed { data, metadata })) => {
                early += usize::from(metadata.last_modified > limit);
                let Some(keys) = keys else { continue };
                if !known.contains(&data.key_id) {
                    missing_keys.insert(data.key_id);
                } else if let Err(failure) = compare::open(keys, path, &Sealed { data, metadata }).await {
                    let (count, first) = unopened.take().unwrap_or((0, failure));
                    unopened = Some((count + 1, first));
                }
            }
            Ok(None) => {}
            Err(error) => {
                broken += 1;
                findings.bad("stored", &error.into());
            }
        }
    }
    let checked = count.min(SAMPLE);
    if !missing_keys.is_empty() {
        let ids = missing_keys.iter().map(KeyId::as_str).collect::<Vec<_>>().join(", ");
        let found = format!(
            "of {}, some are sealed under keys that the ring does not have: {ids}",
            credentials(checked)
        );
        findings.bad(
            "keys in use",
            &Failure::new(Exit::Found, found).hint(
                "add each key with `cred key add ID --file FILE --inactive`, or delete the credentials that need it",
            ),
        );
    }
    if let Some((count, first)) = unopened {
        broken += count;
        let found = format!("could not open {count} of {}; the first error: {first}", credentials(checked));
        findings.bad(
            "stored",
            &Failure::new(Exit::Found, found)
                .hint("find the right key before you store anything: this ring would seal under a wrong key"),
        );
    }
    if early > 0 {
        findings.warn(
            "clock",
            format!("{early} of {} have a time in the future, by the clock of this machine", credentials(checked)),
            "compare the clocks of this machine and of the machines that write, and synchronize them with NTP",
        );
    }
    if missing_keys.is_empty() && early == 0 && broken == 0 {
        findings.good("stored", format!("{}; {checked} checked", credentials(count)));
    }
}

/// The contents of the test credential: sealed with the ring, or with a temporary key if the ring
/// could not be loaded.
async fn sealed(path: &CredentialPath, keys: Option<&KeyRing>) -> Result<Sealed, Failure> {
    let temporary;
    let keys = match keys {
        Some(keys) => keys,
        None => {
            temporary = KeyRing::generate("doctor".parse()?)?;
            &temporary
        }
    };
    let metadata = CredentialMetadata::new(Timestamp::now());
    let data = keys.seal(path.as_path_ref(), &metadata, b"written by cred doctor").await?;
    Ok(Sealed { data, metadata })
}
