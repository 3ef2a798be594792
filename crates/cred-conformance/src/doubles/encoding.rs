//! The encoding in which the reference provider stores a credential. It is injective: different
//! values have different bytes.

use cred_core::{RotationPolicy, Sealed, Timestamp, WrappedKey};

/// Encodes a value; `None` if it has a rotation policy that this version does not know.
pub(super) fn encode(Sealed { data, metadata }: &Sealed) -> Option<Vec<u8>> {
    let mut out = vec![data.version.as_u8()];
    block(&mut out, data.key_id.as_str().as_bytes())?;
    out.extend_from_slice(&data.salt);
    out.extend_from_slice(&data.commitment);
    out.extend_from_slice(&data.nonce);
    block(&mut out, &data.ciphertext)?;
    out.extend_from_slice(&data.tag);
    option(&mut out, data.kdf_salt.as_ref().map(|salt| salt.as_slice()))?;
    option(&mut out, data.wrapped_key.as_ref().map(WrappedKey::as_bytes))?;
    for number in [millis(metadata.created_at), millis(metadata.last_modified), metadata.version] {
        out.extend_from_slice(&number.to_be_bytes());
    }
    count(&mut out, metadata.tags.len())?;
    for (key, value) in metadata.tags.iter() {
        block(&mut out, key.as_bytes())?;
        block(&mut out, value.as_bytes())?;
    }
    option(
        &mut out,
        metadata.expires_at.map(|at| millis(at).to_be_bytes()).as_ref().map(|at| at.as_slice()),
    )?;
    let (kind, number) = match metadata.rotation {
        None => (0, 0),
        Some(RotationPolicy::Periodic { interval_ms }) => (1, interval_ms),
        Some(RotationPolicy::BeforeExpiry { lead_ms }) => (2, lead_ms),
        Some(RotationPolicy::At { at }) => (3, millis(at)),
        Some(RotationPolicy::Manual) => (4, 0),
        Some(_) => return None,
    };
    out.push(kind);
    out.extend_from_slice(&u64::to_be_bytes(number));
    option(&mut out, metadata.created_by.as_ref().map(|name| name.as_str().as_bytes()))?;
    count(&mut out, metadata.unknown.len())?;
    for (number, value) in metadata.unknown.iter() {
        out.extend_from_slice(&number.to_be_bytes());
        block(&mut out, value)?;
    }
    Some(out)
}

fn millis(at: Timestamp) -> u64 {
    at.as_unix_millis()
}

fn count(out: &mut Vec<u8>, number: usize) -> Option<()> {
    out.extend_from_slice(&u32::try_from(number).ok()?.to_be_bytes());
    Some(())
}

fn block(out: &mut Vec<u8>, bytes: &[u8]) -> Option<()> {
    count(out, bytes.len())?;
    out.extend_from_slice(bytes);
    Some(())
}

fn option(out: &mut Vec<u8>, bytes: Option<&[u8]>) -> Option<()> {
    out.push(u8::from(bytes.is_some()));
    bytes.map_or(Some(()), |bytes| block(out, bytes))
}
