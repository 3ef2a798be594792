//! The plaintext side: a secret value with a kind.

mod codec;
mod error;
mod format;
mod kind;
mod typed;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use subtle::ConstantTimeEq;

pub use error::CredentialError;
pub use format::FormatProblem;
pub use kind::{CredentialKind, FieldName, KindName, field};
pub use typed::TypedCredential;

use crate::{
    CreatedBy, CredentialMetadata, ExposeSecret, ParseError, RotationPolicy, SecretSlice, SecretString, Tags,
    Timestamp, Zeroizing,
};

/// A secret value with a kind, tags, an expiry and a rotation policy.
///
/// Cheap to clone; the secret fields are wiped from memory when the last clone is dropped. It
/// prints its kind and the names of its fields, never a value, and does not serialize: it leaves
/// the process sealed, or not at all.
///
/// ```
/// use cred_core::{Credential, field};
/// use std::time::Duration;
///
/// let key = Credential::api_key("sk_live_example");
/// assert_eq!(key.expose_secret()?, "sk_live_example");
///
/// let login = Credential::username_password("app", "hunter2").with_tag("env", "prod")?;
/// assert_eq!(login.expose_login()?.password, "hunter2");
/// assert_eq!(login.expose_text(field::PASSWORD)?, "hunter2");
/// assert!(!format!("{login:?}").contains("hunter2"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Credential(Arc<Inner>);

#[derive(Clone)]
struct Inner {
    kind: CredentialKind,
    fields: BTreeMap<FieldName, SecretSlice<u8>>,
    tags: Tags,
    expires_at: Option<Timestamp>,
    rotation: Option<RotationPolicy>,
    lifecycle: Option<Lifecycle>,
}

/// Name and password of a login. Its `Debug` prints neither.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct Login<'a> {
    /// The name.
    pub username: &'a str,
    /// The password.
    pub password: &'a str,
}

impl fmt::Debug for Login<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login").finish_non_exhaustive()
    }
}

/// What storing made of a credential.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Lifecycle {
    /// When it was first stored.
    pub created_at: Timestamp,
    /// When this value was stored.
    pub last_modified: Timestamp,
    /// Counts its values: one more after each rotation, and after a plain store where the manager
    /// has the credential in its cache. Any other store starts at 1.
    pub version: u64,
    /// What its first writer named itself; `None`: not recorded. Not a proof of who wrote it, see
    /// [`CredentialMetadata::created_by`].
    pub created_by: Option<CreatedBy>,
}

impl Lifecycle {
    /// What this metadata says of it.
    #[must_use]
    pub fn of(metadata: &CredentialMetadata) -> Self {
        Self {
            created_at: metadata.created_at,
            last_modified: metadata.last_modified,
            version: metadata.version,
            created_by: metadata.created_by.clone(),
        }
    }
}

/// Making one.
impl Credential {
    /// A single secret value of any form, in the field [`field::VALUE`].
    #[must_use]
    pub fn opaque(value: impl Into<SecretSlice<u8>>) -> Self {
        Self::of(CredentialKind::Opaque).set(field::VALUE, value.into())
    }

    /// A single secret text, in the field [`field::VALUE`].
    #[must_use]
    pub fn text(value: impl Into<SecretString>) -> Self {
        Self::of(CredentialKind::Opaque).set_text(field::VALUE, &value.into())
    }

    /// An API key, in the field [`field::VALUE`].
    #[must_use]
    pub fn api_key(key: impl Into<SecretString>) -> Self {
        Self::of(CredentialKind::ApiKey).set_text(field::VALUE, &key.into())
    }

    /// A login, in the fields [`field::USERNAME`] and [`field::PASSWORD`].
    #[must_use]
    pub fn username_password(username: impl Into<SecretString>, password: impl Into<SecretString>) -> Self {
        Self::of(CredentialKind::UsernamePassword)
            .set_text(field::USERNAME, &username.into())
            .set_text(field::PASSWORD, &password.into())
    }

    /// A bearer or OAuth 2.0 access token, in the field [`field::ACCESS_TOKEN`].
    #[must_use]
    pub fn token(access_token: impl Into<SecretString>) -> Self {
        Self::of(CredentialKind::Token).set_text(field::ACCESS_TOKEN, &access_token.into())
    }

    /// An OAuth 2.0 access token with its refresh token, in the fields [`field::ACCESS_TOKEN`] and
    /// [`field::REFRESH_TOKEN`].
    #[must_use]
    pub fn oauth2_token(
        access_token: impl Into<SecretString>,
        refresh_token: impl Into<SecretString>,
    ) -> Self {
        Self::token(access_token).set_text(field::REFRESH_TOKEN, &refresh_token.into())
    }

    /// A private key with its public key or certificate chain, PEM or DER, in the fields
    /// [`field::PRIVATE_KEY`] and [`field::PUBLIC_KEY`].
    #[must_use]
    pub fn key_pair(private_key: impl Into<SecretSlice<u8>>, public_key: impl Into<SecretSlice<u8>>) -> Self {
        Self::of(CredentialKind::KeyPair)
            .set(field::PRIVATE_KEY, private_key.into())
            .set(field::PUBLIC_KEY, public_key.into())
    }

    /// A kind of your own, without fields yet.
    #[must_use]
    pub fn custom(kind: KindName) -> Self {
        Self::of(CredentialKind::Custom(kind))
    }

    /// Sets a secret field.
    #[must_use]
    pub fn with_field(self, name: FieldName, value: impl Into<SecretSlice<u8>>) -> Self {
        self.change(|inner| {
            inner.fields.insert(name, value.into());
        })
    }

    /// Sets a tag. Tags are **not secret**.
    ///
    /// # Errors
    /// [`ParseError`] if it breaks the rules of [`Tags`].
    pub fn with_tag(self, key: impl Into<String>, value: impl Into<String>) -> Result<Self, ParseError> {
        let mut tags = self.0.tags.clone();
        tags.insert(key, value)?;
        Ok(self.with_tags(tags))
    }

    /// Sets all tags. Tags are **not secret**.
    #[must_use]
    pub fn with_tags(self, tags: Tags) -> Self {
        self.change(|inner| inner.tags = tags)
    }

    /// Sets when the value stops being valid; `None`: it does not expire.
    #[must_use]
    pub fn with_expires_at(self, expires_at: impl Into<Option<Timestamp>>) -> Self {
        self.change(|inner| inner.expires_at = expires_at.into())
    }

    /// Sets when it should be replaced; `None`: no policy.
    #[must_use]
    pub fn with_rotation(self, rotation: impl Into<Option<RotationPolicy>>) -> Self {
        self.change(|inner| inner.rotation = rotation.into())
    }

    fn of(kind: CredentialKind) -> Self {
        Self(Arc::new(Inner {
            kind,
            fields: BTreeMap::new(),
            tags: Tags::new(),
            expires_at: None,
            rotation: None,
            lifecycle: None,
        }))
    }

    fn set(self, name: &str, value: SecretSlice<u8>) -> Self {
        self.change(|inner| {
            inner.fields.insert(FieldName::known(name), value);
        })
    }

    fn set_text(self, name: &str, value: &SecretString) -> Self {
        self.set(name, secret_copy(value.expose_secret().as_bytes()))
    }

    /// A changed credential is a new one: it was not stored yet.
    fn change(mut self, change: impl FnOnce(&mut Inner)) -> Self {
        let inner = Arc::make_mut(&mut self.0);
        inner.lifecycle = None;
        change(inner);
        self
    }
}

/// Reading one.
impl Credential {
    /// What kind of secret it is.
    #[must_use]
    pub fn kind(&self) -> &CredentialKind {
        &self.0.kind
    }

    /// The names of its secret fields, sorted.
    pub fn field_names(&self) -> impl Iterator<Item = &FieldName> {
        self.0.fields.keys()
    }

    /// A secret field's bytes.
    ///
    /// # Errors
    /// [`CredentialError::NoSuchField`].
    pub fn expose_bytes(&self, field: &str) -> Result<&[u8], CredentialError> {
        match self.0.fields.get(field) {
            Some(value) => Ok(value.expose_secret()),
            None => Err(CredentialError::NoSuchField { kind: self.0.kind.clone(), field: field.to_owned() }),
        }
    }

    /// A secret field's text.
    ///
    /// # Errors
    /// [`CredentialError::NoSuchField`], or [`CredentialError::NotText`] if its bytes are no UTF-8.
    pub fn expose_text(&self, field: &str) -> Result<&str, CredentialError> {
        std::str::from_utf8(self.expose_bytes(field)?)
            .map_err(|_| CredentialError::NotText { kind: self.0.kind.clone(), field: field.to_owned() })
    }

    /// The one secret text of the credential: the access token of a [token](Credential::token), the
    /// password of a [login](Credential::username_password), else the field [`field::VALUE`].
    ///
    /// # Errors
    /// [`CredentialError::NoSuchField`] where it has none, as a key pair;
    /// [`CredentialError::NotText`] where its bytes are not UTF-8.
    pub fn expose_secret(&self) -> Result<&str, CredentialError> {
        self.expose_text(match self.0.kind {
            CredentialKind::Token => field::ACCESS_TOKEN,
            CredentialKind::UsernamePassword => field::PASSWORD,
            _ => field::VALUE,
        })
    }

    /// Name and password of a [login](Credential::username_password).
    ///
    /// # Errors
    /// [`CredentialError::WrongKind`] if it is of another kind, even if it has these fields; read
    /// those with [`expose_text`](Credential::expose_text). Else as `expose_text`, for either
    /// field.
    pub fn expose_login(&self) -> Result<Login<'_>, CredentialError> {
        self.check_kind(CredentialKind::UsernamePassword)?;
        Ok(Login {
            username: self.expose_text(field::USERNAME)?,
            password: self.expose_text(field::PASSWORD)?,
        })
    }

    fn check_kind(&self, expected: CredentialKind) -> Result<(), CredentialError> {
        match self.0.kind == expected {
            true => Ok(()),
            false => Err(CredentialError::WrongKind { kind: self.0.kind.clone(), expected }),
        }
    }

    /// Its labels, which are not secret.
    #[must_use]
    pub fn tags(&self) -> &Tags {
        &self.0.tags
    }

    /// When the value stops being valid; `None`: it does not expire.
    #[must_use]
    pub fn expires_at(&self) -> Option<Timestamp> {
        self.0.expires_at
    }

    /// Whether its expiry has passed, by the system clock. A credential without an expiry never
    /// expires.
    #[must_use]
    pub fn is_expired(&self) -> bool {
        self.is_expired_at(Timestamp::now())
    }

    /// Whether its expiry has passed at a moment: from the expiry itself on.
    #[must_use]
    pub fn is_expired_at(&self, now: Timestamp) -> bool {
        self.0.expires_at.is_some_and(|expiry| expiry <= now)
    }

    /// When it should be replaced; `None`: no policy.
    #[must_use]
    pub fn rotation(&self) -> Option<RotationPolicy> {
        self.0.rotation
    }

    /// When it was stored; `None` before it was stored and read back, and after a change.
    #[must_use]
    pub fn lifecycle(&self) -> Option<Lifecycle> {
        self.0.lifecycle.clone()
    }

    /// The metadata that goes with it into storage when it is first stored at `now`.
    #[must_use]
    pub fn to_metadata(&self, now: Timestamp) -> CredentialMetadata {
        CredentialMetadata::new(now)
            .with_tags(self.0.tags.clone())
            .with_expires_at(self.0.expires_at)
            .with_rotation(self.0.rotation)
    }

    /// The secret half as bytes, to be sealed: kind and fields, without what
    /// [`Credential::to_metadata`] has.
    ///
    /// # Errors
    /// [`CredentialError::TooLarge`] if a field does not fit the format's 32-bit lengths.
    pub fn to_secret_bytes(&self) -> Result<Zeroizing<Vec<u8>>, CredentialError> {
        codec::encode(&self.0.kind, &self.0.fields)
    }

    /// Puts an opened credential together again.
    ///
    /// # Errors
    /// [`CredentialError::Malformed`] if the bytes are not what [`Credential::to_secret_bytes`]
    /// makes.
    pub fn from_secret_bytes(secret: &[u8], metadata: &CredentialMetadata) -> Result<Self, CredentialError> {
        let (kind, fields) = codec::decode(secret)?;
        Ok(Self(Arc::new(Inner {
            kind,
            fields,
            tags: metadata.tags.clone(),
            expires_at: metadata.expires_at,
            rotation: metadata.rotation,
            lifecycle: Some(Lifecycle::of(metadata)),
        })))
    }
}

/// Equal in kind, secret fields, tags, expiry and policy, whenever they were stored. Values of
/// equal length are compared in constant time.
impl PartialEq for Credential {
    fn eq(&self, other: &Self) -> bool {
        let (a, b) = (&*self.0, &*other.0);
        let public = a.kind == b.kind
            && a.tags == b.tags
            && a.expires_at == b.expires_at
            && a.rotation == b.rotation
            && a.fields.keys().eq(b.fields.keys());
        let secret = a
            .fields
            .values()
            .zip(b.fields.values())
            .map(|(a, b)| a.expose_secret().ct_eq(b.expose_secret()))
            .fold(subtle::Choice::from(1), |all, one| all & one);
        public && bool::from(secret)
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        struct Redacted<'a>(&'a BTreeMap<FieldName, SecretSlice<u8>>);
        impl fmt::Debug for Redacted<'_> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_map().entries(self.0.keys().map(|name| (name.as_str(), "[REDACTED]"))).finish()
            }
        }
        f.debug_struct("Credential")
            .field("kind", &self.0.kind)
            .field("fields", &Redacted(&self.0.fields))
            .field("tags", &self.0.tags)
            .field("expires_at", &self.0.expires_at)
            .field("rotation", &self.0.rotation)
            .field("lifecycle", &self.0.lifecycle)
            .finish()
    }
}

/// A copy in a box of exactly its size; `Vec::into` would leave the old allocation behind, unwiped.
fn secret_copy(bytes: &[u8]) -> SecretSlice<u8> {
    SecretSlice::new(Box::from(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_one_secret_of_each_kind_is_read_without_its_field_name() {
        for (credential, secret) in [
            (Credential::text("a"), "a"),
            (Credential::api_key("b"), "b"),
            (Credential::oauth2_token("c", "refresh"), "c"),
            (Credential::username_password("name", "d"), "d"),
        ] {
            assert_eq!(credential.expose_secret().unwrap(), secret);
        }
        assert!(Credential::key_pair(vec![1], vec![2]).expose_secret().is_err());
        assert!(Credential::api_key("b").expose_login().is_err());
        let login = Credential::username_password("hunter1", "hunter2");
        let login = login.expose_login().unwrap();
        assert_eq!((login.username, login.password), ("hunter1", "hunter2"));
        assert!(!format!("{login:?}").contains("hunter"));
    }

    #[test]
    fn it_is_expired_from_its_expiry_on() {
        let at = Timestamp::from_unix_millis;
        let credential = Credential::text("a").with_expires_at(at(5));
        assert_eq!([4, 5, 6].map(|now| credential.is_expired_at(at(now))), [false, true, true]);
        assert!(credential.is_expired());
        assert!(!Credential::text("a").is_expired());
    }

    #[test]
    fn debug_shows_names_and_no_value() {
        let credential = Credential::username_password("canary-user", "canary-word");
        let printed = format!("{credential:?} {credential:#?}");
        assert!(printed.contains("password") && !printed.contains("canary"), "{printed}");
    }

    #[test]
    fn equality_sees_every_part() {
        let login = || Credential::username_password("a", "b");
        assert_eq!(login(), login());
        assert_ne!(login(), Credential::username_password("a", "c"));
        assert_ne!(login(), Credential::username_password("a", "bb"));
        assert_ne!(login(), login().with_tag("k", "v").unwrap());
        assert_ne!(login(), login().with_field("extra".parse().unwrap(), b"x".to_vec()));
        assert_ne!(Credential::text("a"), Credential::api_key("a"));
    }

    #[test]
    fn clones_share_until_one_is_changed() {
        let one = Credential::text("a");
        let two = one.clone().with_tag("k", "v").unwrap();
        assert!(one.tags().is_empty());
        assert_eq!(two.expose_text(field::VALUE).unwrap(), "a");
    }

    #[test]
    fn missing_and_binary_fields_are_told_apart() {
        let credential = Credential::opaque(vec![0xff]);
        assert!(matches!(credential.expose_text(field::VALUE), Err(CredentialError::NotText { .. })));
        assert!(matches!(credential.expose_bytes(field::PASSWORD), Err(CredentialError::NoSuchField { .. })));
    }
}
