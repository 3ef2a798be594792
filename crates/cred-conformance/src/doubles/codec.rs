//! The bytes in which the reference provider keeps a credential: canonical, so that nothing else decodes.

use cred_core::{
    CredentialMetadata, EncryptedData, KeyId, RotationPolicy, SealVersion, Stored, Tags, Timestamp,
    WrappedKey,
};

/// `None` where something cannot be kept: a policy that this version does not know.
pub(super) fn encode((data, metadata): &Stored) -> Option<Vec<u8>> {
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
    count(&mut out, metadata.unknown.len())?;
    for (number, value) in metadata.unknown.iter() {
        out.extend_from_slice(&number.to_be_bytes());
        block(&mut out, value)?;
    }
    Some(out)
}

/// `None` where the bytes are not what [`encode`] makes.
pub(super) fn decode(bytes: &[u8]) -> Option<Stored> {
    let mut input = Input(bytes);
    let version = SealVersion::from_u8(input.byte()?)?;
    let key_id = KeyId::new(input.text()?).ok()?;
    let (salt, commitment, nonce) = (input.array()?, input.array()?, input.array()?);
    let ciphertext = input.block()?.to_vec();
    let tag = input.array()?;
    let kdf_salt = input.option()?.map(<[u8; 16]>::try_from).transpose().ok()?;
    let wrapped_key = input.option()?.map(|key| WrappedKey::new(key.to_vec())).transpose().ok()?;
    let mut data = EncryptedData::new(key_id, salt, commitment, nonce, ciphertext, tag)
        .with_kdf_salt(kdf_salt)
        .with_wrapped_key(wrapped_key);
    data.version = version;

    let mut metadata = CredentialMetadata::new(input.moment()?);
    metadata.last_modified = input.moment()?;
    metadata.version = input.number()?;
    let mut tags = Tags::new();
    for _ in 0..u32::from_be_bytes(input.array()?) {
        tags.insert(input.text()?, input.text()?).ok()?;
    }
    metadata.tags = tags;
    let expires_at = input.option()?.map(<[u8; 8]>::try_from).transpose().ok()?;
    metadata.expires_at = expires_at.map(|at| Timestamp::from_unix_millis(u64::from_be_bytes(at)));
    metadata.rotation = match (input.byte()?, input.number()?) {
        (0, _) => None,
        (1, interval_ms) => Some(RotationPolicy::Periodic { interval_ms }),
        (2, lead_ms) => Some(RotationPolicy::BeforeExpiry { lead_ms }),
        (3, at) => Some(RotationPolicy::At { at: Timestamp::from_unix_millis(at) }),
        (4, _) => Some(RotationPolicy::Manual),
        _ => return None,
    };
    for _ in 0..u32::from_be_bytes(input.array()?) {
        metadata.unknown.insert(u16::from_be_bytes(input.array()?), input.block()?.to_vec()).ok()?;
    }
    let stored = (data, metadata);
    (encode(&stored)? == bytes).then_some(stored)
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

struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const LEN: usize>(&mut self) -> Option<[u8; LEN]> {
        self.take(LEN)?.try_into().ok()
    }

    fn byte(&mut self) -> Option<u8> {
        self.array().map(|[byte]| byte)
    }

    fn number(&mut self) -> Option<u64> {
        self.array().map(u64::from_be_bytes)
    }

    fn moment(&mut self) -> Option<Timestamp> {
        self.number().map(Timestamp::from_unix_millis)
    }

    fn block(&mut self) -> Option<&'a [u8]> {
        let len = u32::from_be_bytes(self.array()?);
        self.take(usize::try_from(len).ok()?)
    }

    fn text(&mut self) -> Option<&'a str> {
        std::str::from_utf8(self.block()?).ok()
    }

    fn option(&mut self) -> Option<Option<&'a [u8]>> {
        match self.byte()? {
            0 => Some(None),
            1 => self.block().map(Some),
            _ => None,
        }
    }
}
