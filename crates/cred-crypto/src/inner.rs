//! The sealed content: `"CRP1" || u32 len(M) || M || secret`, where M is the metadata.
//!
//! M is a list of fields `u16 number || u32 length || value` with ascending numbers. Default values
//! are omitted. Each metadata value has exactly one encoding, and the decoder accepts no other.

use cred_core::{CreatedBy, CredentialMetadata, RotationPolicy, Tags, Timestamp};
use zeroize::Zeroizing;

const MAGIC: &[u8; 4] = b"CRP1";

const CREATED_AT: u16 = 1;
const LAST_MODIFIED: u16 = 2;
const VERSION: u16 = 3;
const TAGS: u16 = 4;
const EXPIRES_AT: u16 = 5;
const ROTATION: u16 = 6;
const CREATED_BY: u16 = 7;

const PERIODIC: u8 = 1;
const BEFORE_EXPIRY: u8 = 2;
const AT: u8 = 3;
const MANUAL: u8 = 4;

/// Encodes the content into one buffer of exact capacity, because a growing buffer leaves copies of
/// the secret behind.
///
/// The error describes the part that does not fit.
pub(crate) fn encode(
    metadata: &CredentialMetadata,
    secret: &[u8],
) -> Result<Zeroizing<Vec<u8>>, &'static str> {
    let mut metadata_len = 0_usize;
    put_metadata(metadata, &mut |bytes| metadata_len = metadata_len.saturating_add(bytes.len()))?;
    let prefix = u32::try_from(metadata_len).map_err(|_| TOO_LARGE)?.to_be_bytes();

    let length = [MAGIC.len(), prefix.len(), metadata_len, secret.len()]
        .into_iter()
        .try_fold(0_usize, usize::checked_add)
        .ok_or(TOO_LARGE)?;
    let mut content = Zeroizing::new(Vec::with_capacity(length));
    content.extend_from_slice(MAGIC);
    content.extend_from_slice(&prefix);
    put_metadata(metadata, &mut |bytes| content.extend_from_slice(bytes))?;
    content.extend_from_slice(secret);
    Ok(content)
}

/// Decodes the metadata, and returns it with the offset of the secret.
///
/// The error describes the malformed part.
pub(crate) fn decode(content: &[u8]) -> Result<(CredentialMetadata, usize), &'static str> {
    let mut rest = Reader(content);
    if rest.array() != Some(MAGIC) {
        return Err("its sealed content has a wrong header");
    }
    let length = rest.array().copied().map(u32::from_be_bytes).ok_or(TRUNCATED)?;
    let metadata = rest.take(length).ok_or(TRUNCATED)?;
    let secret_at = content.len().saturating_sub(rest.0.len());
    Ok((decode_metadata(metadata)?, secret_at))
}

const TOO_LARGE: &str = "its metadata or secret is too large for the sealed format; store a smaller value";
const TRUNCATED: &str = "its sealed content is truncated";

/// Passes the encoded metadata to `put`, piece by piece. It is called twice: to count the bytes,
/// and to write them.
fn put_metadata(metadata: &CredentialMetadata, put: &mut impl FnMut(&[u8])) -> Result<(), &'static str> {
    let CredentialMetadata {
        created_at,
        last_modified,
        version,
        tags,
        expires_at,
        rotation,
        created_by,
        unknown,
        ..
    } = metadata;
    for (number, value) in [
        (CREATED_AT, created_at.as_unix_millis()),
        (LAST_MODIFIED, last_modified.as_unix_millis()),
        (VERSION, *version),
    ] {
        if value != 0 {
            put_field(number, &[&value.to_be_bytes()], put)?;
        }
    }
    if !tags.is_empty() {
        let length = tags.iter().map(|(key, value)| key.len() + value.len() + 4).sum();
        put_header(TAGS, length, put)?;
        for text in tags.iter().flat_map(|(key, value)| [key, value]) {
            put_prefixed(text.as_bytes(), put);
        }
    }
    if let Some(expires_at) = expires_at {
        put_field(EXPIRES_AT, &[&expires_at.as_unix_millis().to_be_bytes()], put)?;
    }
    if let Some(rotation) = rotation {
        put_rotation(*rotation, put)?;
    }
    if let Some(created_by) = created_by {
        put_field(CREATED_BY, &[created_by.as_str().as_bytes()], put)?;
    }
    unknown.iter().try_for_each(|(number, value)| put_field(*number, &[value], put))
}

fn put_rotation(rotation: RotationPolicy, put: &mut impl FnMut(&[u8])) -> Result<(), &'static str> {
    let (kind, number) = match rotation {
        RotationPolicy::Periodic { interval_ms } => (PERIODIC, interval_ms),
        RotationPolicy::BeforeExpiry { lead_ms } => (BEFORE_EXPIRY, lead_ms),
        RotationPolicy::At { at } => (AT, at.as_unix_millis()),
        RotationPolicy::Manual => return put_field(ROTATION, &[&[MANUAL]], put),
        _ => {
            return Err("this version cannot seal its kind of rotation policy; update cred-crypto");
        }
    };
    put_field(ROTATION, &[&[kind], &number.to_be_bytes()], put)
}

fn put_field(number: u16, parts: &[&[u8]], put: &mut impl FnMut(&[u8])) -> Result<(), &'static str> {
    put_header(number, parts.iter().map(|part| part.len()).sum(), put)?;
    parts.iter().for_each(|part| put(part));
    Ok(())
}

fn put_header(number: u16, length: usize, put: &mut impl FnMut(&[u8])) -> Result<(), &'static str> {
    put(&number.to_be_bytes());
    put(&u32::try_from(length).map_err(|_| TOO_LARGE)?.to_be_bytes());
    Ok(())
}

/// Passes `u16 length || bytes` to `put`. Only for ids, scopes, tags and wrapped keys, whose types
/// limit them to far less than 65,536 bytes.
pub(crate) fn put_prefixed(bytes: &[u8], put: &mut impl FnMut(&[u8])) {
    put(&u16::try_from(bytes.len()).unwrap_or(u16::MAX).to_be_bytes());
    put(bytes);
}

fn decode_metadata(bytes: &[u8]) -> Result<CredentialMetadata, &'static str> {
    let mut metadata = CredentialMetadata::default();
    let mut rest = Reader(bytes);
    let mut last = 0;
    while !rest.0.is_empty() {
        let number = rest.array().copied().map(u16::from_be_bytes).ok_or(TRUNCATED)?;
        let length = rest.array().copied().map(u32::from_be_bytes).ok_or(TRUNCATED)?;
        let value = rest.take(length).ok_or(TRUNCATED)?;
        // This also refuses the number 0.
        if number <= last {
            return Err("its sealed metadata fields are out of order");
        }
        last = number;
        match number {
            CREATED_AT => metadata.created_at = Timestamp::from_unix_millis(nonzero_number(value)?),
            LAST_MODIFIED => metadata.last_modified = Timestamp::from_unix_millis(nonzero_number(value)?),
            VERSION => metadata.version = nonzero_number(value)?,
            TAGS => metadata.tags = decode_tags(value)?,
            EXPIRES_AT => metadata.expires_at = Some(Timestamp::from_unix_millis(decode_number(value)?)),
            ROTATION => metadata.rotation = Some(decode_rotation(value)?),
            CREATED_BY => metadata.created_by = Some(decode_created_by(value)?),
            _ => metadata
                .unknown
                .insert(number, value.to_vec())
                .map_err(|_| "its sealed metadata has a reserved field")?,
        }
    }
    Ok(metadata)
}

fn decode_number(value: &[u8]) -> Result<u64, &'static str> {
    let bytes = value.try_into().map_err(|_| "a sealed metadata number is not eight bytes long")?;
    Ok(u64::from_be_bytes(bytes))
}

/// Decodes a number whose default, 0, is never written.
fn nonzero_number(value: &[u8]) -> Result<u64, &'static str> {
    match decode_number(value)? {
        0 => Err(EXPLICIT_DEFAULT),
        number => Ok(number),
    }
}

const EXPLICIT_DEFAULT: &str = "a sealed metadata field has its default value, which must be omitted";

fn decode_tags(value: &[u8]) -> Result<Tags, &'static str> {
    const MALFORMED: &str = "its sealed tags are malformed";
    if value.is_empty() {
        return Err(EXPLICIT_DEFAULT);
    }
    let mut tags = Tags::new();
    let mut rest = Reader(value);
    let mut last: Option<&str> = None;
    while !rest.0.is_empty() {
        let key = rest.prefixed_text().ok_or(MALFORMED)?;
        let value = rest.prefixed_text().ok_or(MALFORMED)?;
        if last.is_some_and(|last| key <= last) {
            return Err("its sealed tags are out of order");
        }
        last = Some(key);
        tags.insert(key, value).map_err(|_| MALFORMED)?;
    }
    Ok(tags)
}

fn decode_rotation(value: &[u8]) -> Result<RotationPolicy, &'static str> {
    const MALFORMED: &str = "its sealed rotation policy is malformed";
    let (kind, rest) = value.split_first().ok_or(MALFORMED)?;
    let number = || rest.try_into().map(u64::from_be_bytes).map_err(|_| MALFORMED);
    match *kind {
        PERIODIC => Ok(RotationPolicy::Periodic { interval_ms: number()? }),
        BEFORE_EXPIRY => Ok(RotationPolicy::BeforeExpiry { lead_ms: number()? }),
        AT => Ok(RotationPolicy::At { at: Timestamp::from_unix_millis(number()?) }),
        MANUAL if rest.is_empty() => Ok(RotationPolicy::Manual),
        _ => Err(MALFORMED),
    }
}

fn decode_created_by(value: &[u8]) -> Result<CreatedBy, &'static str> {
    let name = std::str::from_utf8(value).ok().and_then(|name| name.parse().ok());
    name.ok_or("its sealed creator is malformed")
}

/// The remaining bytes. Each method removes bytes from the front, or returns `None`.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: u32) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(usize::try_from(length).ok()?)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<&'a [u8; N]> {
        let (taken, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(taken)
    }

    fn prefixed_text(&mut self) -> Option<&'a str> {
        let length = self.array().copied().map(u16::from_be_bytes)?;
        std::str::from_utf8(self.take(length.into())?).ok()
    }
}
