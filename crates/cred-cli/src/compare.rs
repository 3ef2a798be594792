//! Compares the credentials of two profiles.

use cred_core::{
    CredentialContext, CredentialMetadata, CredentialPath, Opened, Sealed, Sealer as _, StorageError,
    StorageProvider,
};
use cred_crypto::KeyRing;

use crate::failure::Failure;

/// Number of credentials that are read concurrently.
pub(crate) const CONCURRENCY: usize = 8;

/// The key rings of both sides. Without them, sealed bytes are compared.
pub(crate) struct Rings {
    pub(crate) from: KeyRing,
    pub(crate) to: KeyRing,
}

/// Reads the credential at a path; `None` if nothing is stored there.
pub(crate) async fn retrieve(
    provider: &dyn StorageProvider,
    path: &CredentialPath,
) -> Result<Option<Sealed>, StorageError> {
    let ctx: CredentialContext = path.scope.clone().into();
    match provider.retrieve(&path.id, &ctx).await {
        Ok(stored) => Ok(Some(stored)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}

/// The parts in which two credentials differ. Empty if they are equal and, with `rings`, the copy
/// in `to` can be opened.
pub(crate) async fn differences(
    path: &CredentialPath,
    from: &Sealed,
    to: &Sealed,
    rings: Option<&Rings>,
) -> Result<Vec<&'static str>, Failure> {
    let Some(rings) = rings else {
        let mut parts = of_metadata(&from.metadata, &to.metadata);
        if from.data.key_id != to.data.key_id {
            parts.push("key");
        }
        if from.data != to.data {
            parts.push("sealed bytes");
        }
        return Ok(parts);
    };
    // A copy that the target ring cannot open is useless, even with the same bytes.
    let opened_to = match rings.to.open(path.as_path_ref(), &to.data, &to.metadata).await {
        Ok(opened) => opened,
        Err(error) if error.is_transient() => return Err(error.into()),
        Err(_) => return Ok(vec!["the copy cannot be opened with the key ring of its profile"]),
    };
    if from == to {
        return Ok(Vec::new());
    }
    let (from, to) = (open(&rings.from, path, from).await?, opened_to);
    let mut parts = of_metadata(&from.metadata, &to.metadata);
    if from.secret != to.secret {
        parts.push("value");
    }
    Ok(parts)
}

/// Opens a stored credential.
pub(crate) async fn open(ring: &KeyRing, path: &CredentialPath, stored: &Sealed) -> Result<Opened, Failure> {
    Ok(ring.open(path.as_path_ref(), &stored.data, &stored.metadata).await?)
}

fn of_metadata(from: &CredentialMetadata, to: &CredentialMetadata) -> Vec<&'static str> {
    let parts = [
        ("tags", from.tags == to.tags),
        ("expiry", from.expires_at == to.expires_at),
        ("rotation", from.rotation == to.rotation),
        ("version", from.version == to.version),
        ("times", from.created_at == to.created_at && from.last_modified == to.last_modified),
        ("creator", from.created_by == to.created_by),
        ("fields of a newer version", from.unknown == to.unknown),
    ];
    parts.into_iter().filter(|(_, same)| !same).map(|(part, _)| part).collect()
}
