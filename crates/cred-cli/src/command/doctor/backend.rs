//! What the backend lets this program do, and what is stored there.

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

/// How many stored credentials are looked at.
const SAMPLE: usize = 100;

/// How far clocks may be apart before a version or an expiry is misjudged by people.
const CLOCKS_APART: Duration = Duration::from_secs(5 * 60);

/// Whether the backend answers and accepts who asks.
pub(super) async fn reach(provider: &dyn StorageProvider, probe: &Probe, findings: &mut Findings) -> bool {
    let ctx = CredentialContext::from(probe.path.scope.clone());
    let error = match provider.exists(&probe.path.id, &ctx).await {
        Ok(_) => {
            findings.good("backend", "it answers, and accepts who asks");
            findings.good("read", "allowed");
            return true;
        }
        Err(error) => error,
    };
    let (what, goes_on) = match error.kind() {
        StorageErrorKind::AuthenticationFailed { .. } => ("login", false),
        StorageErrorKind::PermissionDenied { .. } => ("read", true),
        _ => ("backend", false),
    };
    findings.bad(what, &error.into());
    goes_on
}

/// Each operation, on a name that nobody else has. Once the probe is ended, it is only taken away.
pub(super) async fn permissions(
    provider: &dyn StorageProvider,
    keys: Option<&KeyRing>,
    probe: &Probe,
    findings: &mut Findings,
) -> Result<(), Failure> {
    let (id, ctx) = (probe.path.id.clone(), CredentialContext::from(probe.path.scope.clone()));
    let Sealed { data, metadata } = sealed(&probe.path, keys).await?;
    probe.set_there(true);
    let stored = provider.store(&id, data.clone(), metadata.clone(), &ctx).await;
    probe.set_there(stored.as_ref().err().is_none_or(StorageError::may_have_written));
    if findings.tried("write", stored).is_some() && !probe.is_ended() {
        let shown = Instant::now() + provider.describe().consistency.point();
        let back = loop {
            match provider.retrieve(&id, &ctx).await {
                Err(error) if error.is_not_found() && Instant::now() < shown && !probe.is_ended() => {
                    sleep(Duration::from_millis(250)).await
                }
                answer => break answer,
            }
        };
        match back {
            Ok(back) if back == Sealed::new(data.clone(), metadata.clone()) => {
                findings.good("read back", "it is what was written")
            }
            Ok(_) => findings.bad(
                "read back",
                &Failure::new(Exit::Found, "it is not what was written").hint(
                    "find out what stands between this program and the backend and changes what is written",
                ),
            ),
            Err(error) => findings.bad("read back", &error.into()),
        }
        if !probe.is_ended() {
            replace(provider, &id, Sealed { data, metadata }, &ctx, findings).await;
        }
        if !probe.is_ended() {
            findings.tried("list", provider.list(None, &ctx).await);
        }
    }
    if probe.is_there() && findings.tried("delete", provider.delete(&id, &ctx).await).is_some() {
        probe.set_there(false);
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
        findings
            .good("replace if unchanged", "this backend cannot: concurrent writers may overwrite each other");
        return;
    };
    let swapped = async {
        let revision = conditional.retrieve_versioned(id, ctx).await?.revision;
        conditional.store_if(id, data, metadata, Some(&revision), ctx).await
    };
    findings.tried("replace if unchanged", swapped.await);
}

/// What is stored already: whether its keys are here, and its clocks right.
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
    let (mut strangers, mut early, mut broken) = (BTreeSet::new(), 0, 0);
    let mut closed: Option<(usize, Failure)> = None;
    let ahead = Timestamp::now().saturating_add(CLOCKS_APART);
    for path in paths.iter().take(SAMPLE) {
        match compare::stored(&**provider, path).await {
            Ok(Some(Sealed { data, metadata })) => {
                early += usize::from(metadata.last_modified > ahead);
                let Some(keys) = keys else { continue };
                if !known.contains(&data.key_id) {
                    strangers.insert(data.key_id);
                } else if let Err(failure) = compare::open(keys, path, &Sealed { data, metadata }).await {
                    let (count, first) = closed.take().unwrap_or((0, failure));
                    closed = Some((count + 1, first));
                }
            }
            Ok(None) => {}
            Err(error) => {
                broken += 1;
                findings.bad("stored", &error.into());
            }
        }
    }
    let looked = count.min(SAMPLE);
    if !strangers.is_empty() {
        let ids = strangers.iter().map(KeyId::as_str).collect::<Vec<_>>().join(", ");
        let found = format!("of {}, some are sealed under {ids}, which the ring lacks", credentials(looked));
        findings.bad(
            "keys in use",
            &Failure::new(Exit::Found, found).hint(
                "add that key with `cred key add ID --file FILE --inactive`, or delete what is sealed under it",
            ),
        );
    }
    if let Some((count, first)) = closed {
        broken += count;
        let found = format!("could not open {count} of {}, the first since {first}", credentials(looked));
        findings.bad(
            "stored",
            &Failure::new(Exit::Found, found).hint(
                "find the right key before anything else is stored: this ring would seal under the wrong one",
            ),
        );
    }
    if early > 0 {
        findings.warn(
            "clock",
            format!("stored in the future, by this machine's clock: {early} of {}", credentials(looked)),
            "compare this machine's clock with those that write, and let NTP keep them",
        );
    }
    if strangers.is_empty() && early == 0 && broken == 0 {
        findings.good("stored", format!("{}; looked at {looked}", credentials(count)));
    }
}

/// Something to write: sealed under the ring, or under a key that is thrown away where the ring
/// cannot be had.
async fn sealed(path: &CredentialPath, keys: Option<&KeyRing>) -> Result<Sealed, Failure> {
    let throwaway;
    let keys = match keys {
        Some(keys) => keys,
        None => {
            throwaway = KeyRing::generate("doctor".parse()?)?;
            &throwaway
        }
    };
    let metadata = CredentialMetadata::new(Timestamp::now());
    let data = keys.seal(path.as_path_ref(), &metadata, b"written by cred doctor").await?;
    Ok(Sealed { data, metadata })
}
