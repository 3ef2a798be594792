//! The encoding of a credential's kind and secret fields.
//!
//! ```text
//! version (01) || kind || u16 n || n * field          integers big-endian
//! kind  = 00 opaque | 01 api key | 02 username+password | 03 token | 04 key pair | ff lp(name)
//! field = lp(name) || u32 length || value             names strictly ascending
//! lp(x) = u16 length || x
//! ```
//! It is written into one buffer of exactly its size, because a growing buffer leaves unwiped
//! copies behind.

use std::collections::BTreeMap;

use super::{CredentialError, CredentialKind, FieldName, KindName, secret_copy};
use crate::{ExposeSecret, SecretSlice, Zeroizing};

const VERSION: u8 = 1;
const CUSTOM: u8 = 0xff;

type Fields = BTreeMap<FieldName, SecretSlice<u8>>;

pub(super) fn encode(kind: &CredentialKind, fields: &Fields) -> Result<Zeroizing<Vec<u8>>, CredentialError> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(encoded_len(kind, fields)));
    bytes.push(VERSION);
    match kind_byte(kind) {
        Ok(byte) => bytes.push(byte),
        Err(name) => {
            bytes.push(CUSTOM);
            put_short(&mut bytes, name.as_str().as_bytes())?;
        }
    }
    bytes.extend_from_slice(&u16::try_from(fields.len()).map_err(too_large)?.to_be_bytes());
    for (name, value) in fields {
        put_short(&mut bytes, name.as_str().as_bytes())?;
        let value = value.expose_secret();
        bytes.extend_from_slice(&u32::try_from(value.len()).map_err(too_large)?.to_be_bytes());
        bytes.extend_from_slice(value);
    }
    Ok(bytes)
}

pub(super) fn decode(bytes: &[u8]) -> Result<(CredentialKind, Fields), CredentialError> {
    let mut reader = Reader(bytes);
    if reader.array::<1>()? != [VERSION] {
        return Err(malformed("its version is unknown"));
    }
    let kind = match reader.array()? {
        [0] => CredentialKind::Opaque,
        [1] => CredentialKind::ApiKey,
        [2] => CredentialKind::UsernamePassword,
        [3] => CredentialKind::Token,
        [4] => CredentialKind::KeyPair,
        [CUSTOM] => CredentialKind::Custom(reader.name(KindName::new)?),
        _ => return Err(malformed("its kind is unknown")),
    };
    let count = u16::from_be_bytes(reader.array()?);
    let mut fields = Fields::new();
    for _ in 0..count {
        let name = reader.name(FieldName::new)?;
        if fields.last_key_value().is_some_and(|(last, _)| *last >= name) {
            return Err(malformed("its fields are out of order"));
        }
        let len = usize::try_from(u32::from_be_bytes(reader.array()?)).map_err(too_large)?;
        fields.insert(name, secret_copy(reader.take(len)?));
    }
    match reader.0.is_empty() {
        true => Ok((kind, fields)),
        false => Err(malformed("it has trailing bytes")),
    }
}

fn encoded_len(kind: &CredentialKind, fields: &Fields) -> usize {
    let kind = kind_byte(kind).map_or_else(|name| 2 + name.as_str().len(), |_| 0);
    let fields = fields.iter().map(|(name, value)| 2 + name.as_str().len() + 4 + value.expose_secret().len());
    4 + kind + fields.sum::<usize>()
}

/// Returns the byte of a built-in kind, or the name of a custom one.
fn kind_byte(kind: &CredentialKind) -> Result<u8, &KindName> {
    match kind {
        CredentialKind::Opaque => Ok(0),
        CredentialKind::ApiKey => Ok(1),
        CredentialKind::UsernamePassword => Ok(2),
        CredentialKind::Token => Ok(3),
        CredentialKind::KeyPair => Ok(4),
        CredentialKind::Custom(name) => Err(name),
    }
}

fn put_short(bytes: &mut Vec<u8>, text: &[u8]) -> Result<(), CredentialError> {
    bytes.extend_from_slice(&u16::try_from(text.len()).map_err(too_large)?.to_be_bytes());
    bytes.extend_from_slice(text);
    Ok(())
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, len: usize) -> Result<&'a [u8], CredentialError> {
        let (head, tail) = self.0.split_at_checked(len).ok_or(malformed("it is truncated"))?;
        self.0 = tail;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], CredentialError> {
        self.take(N)?.try_into().map_err(|_| malformed("it is truncated"))
    }

    fn name<T, E>(&mut self, parse: impl FnOnce(&'a str) -> Result<T, E>) -> Result<T, CredentialError> {
        let len = u16::from_be_bytes(self.array()?);
        let text =
            std::str::from_utf8(self.take(len.into())?).map_err(|_| malformed("a name is not UTF-8 text"))?;
        parse(text).map_err(|_| malformed("a name is invalid"))
    }
}

const fn malformed(what: &'static str) -> CredentialError {
    CredentialError::Malformed { what }
}

fn too_large<E>(_: E) -> CredentialError {
    CredentialError::TooLarge
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{Credential, CredentialMetadata};

    fn samples() -> Vec<Credential> {
        vec![
            Credential::opaque(vec![]),
            Credential::text("value"),
            Credential::api_key("k"),
            Credential::username_password("u", "p"),
            Credential::oauth2_token("a", "r"),
            Credential::key_pair(vec![0, 255], vec![1]),
            Credential::custom("mine".parse().unwrap()).with_field("f".parse().unwrap(), vec![9; 70_000]),
        ]
    }

    #[test]
    fn encoding_round_trips_without_growing_the_buffer() {
        for credential in samples() {
            let bytes = credential.to_secret_bytes().unwrap();
            assert_eq!(bytes.len(), encoded_len(credential.kind(), &credential.0.fields), "{credential:?}");
            let back = Credential::from_secret_bytes(&bytes, &CredentialMetadata::default()).unwrap();
            assert_eq!(back, credential);
        }
    }

    #[test]
    fn truncated_and_extended_encodings_are_refused() {
        for credential in samples().iter().take(6) {
            let mut bytes = credential.to_secret_bytes().unwrap().to_vec();
            for len in 0..bytes.len() {
                assert!(decode(&bytes[..len]).is_err(), "{credential:?} cut to {len}");
            }
            bytes.push(0);
            assert!(decode(&bytes).is_err());
        }
    }

    #[test]
    fn unordered_or_duplicate_fields_are_refused() {
        let field = |name: &str| [&[0, 1], name.as_bytes(), &[0, 0, 0, 0]].concat();
        for (names, good) in [(["a", "b"], true), (["b", "a"], false), (["a", "a"], false)] {
            let bytes = [vec![VERSION, 0, 0, 2], field(names[0]), field(names[1])].concat();
            assert_eq!(decode(&bytes).is_ok(), good, "{names:?}");
        }
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_are_refused_or_round_trip(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            if let Ok((kind, fields)) = decode(&bytes) {
                prop_assert_eq!(encode(&kind, &fields).unwrap().to_vec(), bytes);
            }
        }
    }
}
