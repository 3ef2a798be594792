//! Unencrypted credentials.

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
/// It is cheap to clone. The secret fields are wiped from memory when the last clone is dropped.
/// `Debug` prints the kind and the names of the fields, never a value. It cannot be serialized, so
/// that it leaves the process only when it is sealed.
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
pub struct Credential(Arc<CredentialData>);

#[derive(Clone)]
struct CredentialData {
    kind: CredentialKind,
    fields: BTreeMap<FieldName, SecretSlice<u8>>,
    tags: Tags,
    expires_at: Option<Timestamp>,
    rotation: Option<RotationPolicy>,
    lifecycle: Option<Lifecycle>,
}

/// The user name and password of a login. `Debug` prints neither.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct Login<'a> {
    /// The user name.
    pub username: &'a str,
    /// The password.
    pub password: &'a str,
}

impl fmt::Debug for Login<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login").finish_non_exhaustive()
    }
}

/// The part of a credential's metadata that is set when it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Lifecycle {
    /// When the credential was first stored.
    pub created_at: Timestamp,
    /// When this value was stored.
    pub last_modified: Timestamp,
    /// Number of values so far. Each rotation increments it, and so does a plain store if the
    /// manager has the credential in its cache. Any other store sets it to 1.
    pub version: u64,
    /// The name that the first writer chose for itself; `None`: not recorded. It does not prove the
    /// identity of the writer, see [`CredentialMetadata::created_by`].
    pub created_by: Option<CreatedBy>,
}

impl Lifecycle {
    /// Takes the lifecycle from metadata.
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

/// Constructors.
impl Credential {
    /// Creates a credential with one secret value of any format, in the field [`field::VALUE`].
    #[must_use]
    pub fn opaque(value: impl Into<SecretSlice<u8>>) -> Self {
        Self::of(CredentialKind::Opaque).set(field::VALUE, value.into())
    }

    /// Creates a credential with one secret text, in the field [`field::VALUE`].
    #[must_use]
    pub fn text(value: impl Into<SecretString>) -> Self {
        Self::of(CredentialKind::Opaque).set_text(field::VALUE, &value.into())
    }

    /// Creates an API key, in the field [`field::VALUE`].
    ///
    /// ```
    /// use cred_core::Credential;
    ///
    /// let key = Credential::api_key("sk_live_example");
    /// assert_eq!(key.expose_secret()?, "sk_live_example");
    /// # Ok::<(), cred_core::CredentialError>(())
    /// ```
    #[must_use]
    pub fn api_key(key: impl Into<SecretString>) -> Self {
        Self::of(CredentialKind::ApiKey).set_text(field::VALUE, &key.into())
    }

    /// Creates a login, in the fields [`field::USERNAME`] and [`field::PASSWORD`].
    #[must_use]
    pub fn username_password(username: impl Into<SecretString>, password: impl Into<SecretString>) -> Self {
        Self::of(CredentialKind::UsernamePassword)
            .set_text(field::USERNAME, &username.into())
            .set_text(field::PASSWORD, &password.into())
    }

    /// Creates a bearer or OAuth 2.0 access token, in the field [`field::ACCESS_TOKEN`].
    #[must_use]
    pub fn token(access_token: impl Into<SecretString>) -> Self {
        Self::of(CredentialKind::Token).set_text(field::ACCESS_TOKEN, &access_token.into())
    }

    /// Creates an OAuth 2.0 access token with its refresh token, in the fields
    /// [`field::ACCESS_TOKEN`] and [`field::REFRESH_TOKEN`].
    #[must_use]
    pub fn oauth2_token(
        access_token: impl Into<SecretString>,
        refresh_token: impl Into<SecretString>,
    ) -> Self {
        Self::token(access_token).set_text(field::REFRESH_TOKEN, &refresh_token.into())
    }

    /// Creates a private key with its public key or certificate chain, PEM or DER, in the fields
    /// [`field::PRIVATE_KEY`] and [`field::PUBLIC_KEY`].
    #[must_use]
    pub fn key_pair(private_key: impl Into<SecretSlice<u8>>, public_key: impl Into<SecretSlice<u8>>) -> Self {
        Self::of(CredentialKind::KeyPair)
            .set(field::PRIVATE_KEY, private_key.into())
            .set(field::PUBLIC_KEY, public_key.into())
    }

    /// Creates a credential of a custom kind, without fields. Add them with
    /// [`with_field`](Self::with_field).
    #[must_use]
    pub fn custom(kind: KindName) -> Self {
        Self::of(CredentialKind::Custom(kind))
    }

    /// Sets a secret field.
    #[must_use]
    pub fn with_field(self, name: FieldName, value: impl Into<SecretSlice<u8>>) -> Self {
        self.change(|data| {
            data.fields.insert(name, value.into());
        })
    }

    /// Sets a tag. Tags are **not secret**.
    ///
    /// # Errors
    /// [`ParseError`] if the tag breaks the rules of [`Tags`].
    pub fn with_tag(self, key: impl Into<String>, value: impl Into<String>) -> Result<Self, ParseError> {
        let mut tags = self.0.tags.clone();
        tags.insert(key, value)?;
        Ok(self.with_tags(tags))
    }

    /// Sets all tags. Tags are **not secret**.
    #[must_use]
    pub fn with_tags(self, tags: Tags) -> Self {
        self.change(|data| data.tags = tags)
    }

    /// Sets when the value stops being valid; `None`: it does not expire.
    #[must_use]
    pub fn with_expires_at(self, expires_at: impl Into<Option<Timestamp>>) -> Self {
        self.change(|data| data.expires_at = expires_at.into())
    }

    /// Sets when the value should be replaced; `None`: no policy.
    #[must_use]
    pub fn with_rotation(self, rotation: impl Into<Option<RotationPolicy>>) -> Self {
        self.change(|data| data.rotation = rotation.into())
    }

    fn of(kind: CredentialKind) -> Self {
        Self(Arc::new(CredentialData {
            kind,
            fields: BTreeMap::new(),
            tags: Tags::new(),
            expires_at: None,
            rotation: None,
            lifecycle: None,
        }))
    }

    fn set(self, name: &str, value: SecretSlice<u8>) -> Self {
        self.change(|data| {
            data.fields.insert(FieldName::known(name), value);
        })
    }

    fn set_text(self, name: &str, value: &SecretString) -> Self {
        self.set(name, secret_copy(value.expose_secret().as_bytes()))
    }

    /// Changes the credential. A changed credential is new and not stored yet, so it has no
    /// lifecycle.
    fn change(mut self, change: impl FnOnce(&mut CredentialData)) -> Self {
        let data = Arc::make_mut(&mut self.0);
        data.lifecycle = None;
        change(data);
        self
    }
}

/// Read access.
impl Credential {
    /// Returns the kind of the credential.
    #[must_use]
    pub fn kind(&self) -> &CredentialKind {
        &self.0.kind
    }

    /// Returns the names of the secret fields, sorted.
    pub fn field_names(&self) -> impl Iterator<Item = &FieldName> {
        self.0.fields.keys()
    }

    /// Returns the bytes of a secret field.
    ///
    /// # Errors
    /// [`CredentialError::NoSuchField`].
    pub fn expose_bytes(&self, field: &str) -> Result<&[u8], CredentialError> {
        match self.0.fields.get(field) {
            Some(value) => Ok(value.expose_secret()),
            None => Err(CredentialError::NoSuchField { kind: self.0.kind.clone(), field: field.to_owned() }),
        }
    }

    /// Returns the text of a secret field.
    ///
    /// # Errors
    /// [`CredentialError::NoSuchField`], or [`CredentialError::NotText`] if its bytes are not
    /// UTF-8.
    pub fn expose_text(&self, field: &str) -> Result<&str, CredentialError> {
        std::str::from_utf8(self.expose_bytes(field)?)
            .map_err(|_| CredentialError::NotText { kind: self.0.kind.clone(), field: field.to_owned() })
    }

    /// Returns the main secret text of the credential: the access token of a
    /// [token](Credential::token), the password of a [login](Credential::username_password),
    /// otherwise the field [`field::VALUE`].
    ///
    /// # Errors
    /// [`CredentialError::NoSuchField`] if it does not have that field, as a key pair does not;
    /// [`CredentialError::NotText`] if its bytes are not UTF-8.
    pub fn expose_secret(&self) -> Result<&str, CredentialError> {
        self.expose_text(match self.0.kind {
            CredentialKind::Token => field::ACCESS_TOKEN,
            CredentialKind::UsernamePassword => field::PASSWORD,
            _ => field::VALUE,
        })
    }

    /// Returns the user name and password of a [login](Credential::username_password).
    ///
    /// # Errors
    /// [`CredentialError::WrongKind`] if the credential has another kind, even if it has these
    /// fields; read them with [`expose_text`](Credential::expose_text) then. Otherwise as
    /// `expose_text` for each field.
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

    /// Returns the tags, which are not secret.
    #[must_use]
    pub fn tags(&self) -> &Tags {
        &self.0.tags
    }

    /// Returns when the value stops being valid; `None`: it does not expire.
    #[must_use]
    pub fn expires_at(&self) -> Option<Timestamp> {
        self.0.expires_at
    }

    /// Returns whether the credential is expired, by the system clock. A credential without an
    /// expiry never is.
    #[must_use]
    pub fn is_expired(&self) -> bool {
        self.is_expired_at(Timestamp::now())
    }

    /// Returns whether the credential is expired at `now`: true from the expiry itself on.
    #[must_use]
    pub fn is_expired_at(&self, now: Timestamp) -> bool {
        self.0.expires_at.is_some_and(|expiry| expiry <= now)
    }

    /// Returns when the value should be replaced; `None`: no policy.
    #[must_use]
    pub fn rotation(&self) -> Option<RotationPolicy> {
        self.0.rotation
    }

    /// Returns the lifecycle; `None` unless the credential was read from storage and not changed
    /// since.
    #[must_use]
    pub fn lifecycle(&self) -> Option<Lifecycle> {
        self.0.lifecycle.clone()
    }

    /// Returns the metadata for a first store at `now`.
    #[must_use]
    pub fn to_metadata(&self, now: Timestamp) -> CredentialMetadata {
        CredentialMetadata::new(now)
            .with_tags(self.0.tags.clone())
            .with_expires_at(self.0.expires_at)
            .with_rotation(self.0.rotation)
    }

    /// Encodes the part to seal: the kind and the fields. The rest is in
    /// [`Credential::to_metadata`].
    ///
    /// # Errors
    /// [`CredentialError::TooLarge`] if the length of a field does not fit 32 bits, or the number
    /// of fields does not fit 16 bits.
    pub fn to_secret_bytes(&self) -> Result<Zeroizing<Vec<u8>>, CredentialError> {
        codec::encode(&self.0.kind, &self.0.fields)
    }

    /// Creates a credential from opened bytes and metadata.
    ///
    /// # Errors
    /// [`CredentialError::Malformed`] if the bytes are not an encoding of
    /// [`Credential::to_secret_bytes`].
    pub fn from_secret_bytes(secret: &[u8], metadata: &CredentialMetadata) -> Result<Self, CredentialError> {
        let (kind, fields) = codec::decode(secret)?;
        Ok(Self(Arc::new(CredentialData {
            kind,
            fields,
            tags: metadata.tags.clone(),
            expires_at: metadata.expires_at,
            rotation: metadata.rotation,
            lifecycle: Some(Lifecycle::of(metadata)),
        })))
    }
}

/// Compares kind, secret fields, tags, expiry and policy, but not the lifecycle. Values of equal
/// length are compared in constant time.
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

/// Copies bytes into an allocation of exactly their size. Converting a `Vec` could leave its old
/// allocation behind, unwiped.
fn secret_copy(bytes: &[u8]) -> SecretSlice<u8> {
    SecretSlice::new(Box::from(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expose_secret_finds_the_field_of_each_kind() {
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
    fn a_credential_is_expired_from_its_expiry_on() {
        let at = Timestamp::from_unix_millis;
        let credential = Credential::text("a").with_expires_at(at(5));
        assert_eq!([4, 5, 6].map(|now| credential.is_expired_at(at(now))), [false, true, true]);
        assert!(credential.is_expired());
        assert!(!Credential::text("a").is_expired());
    }

    #[test]
    fn debug_prints_field_names_and_no_value() {
        let credential = Credential::username_password("canary-user", "canary-word");
        let printed = format!("{credential:?} {credential:#?}");
        assert!(printed.contains("password") && !printed.contains("canary"), "{printed}");
    }

    #[test]
    fn equality_compares_every_part() {
        let login = || Credential::username_password("a", "b");
        assert_eq!(login(), login());
        assert_ne!(login(), Credential::username_password("a", "c"));
        assert_ne!(login(), Credential::username_password("a", "bb"));
        assert_ne!(login(), login().with_tag("k", "v").unwrap());
        assert_ne!(login(), login().with_field("extra".parse().unwrap(), b"x".to_vec()));
        assert_ne!(Credential::text("a"), Credential::api_key("a"));
    }

    #[test]
    fn changing_a_clone_leaves_the_original_unchanged() {
        let one = Credential::text("a");
        let two = one.clone().with_tag("k", "v").unwrap();
        assert!(one.tags().is_empty());
        assert_eq!(two.expose_text(field::VALUE).unwrap(), "a");
    }

    #[test]
    fn missing_and_binary_fields_have_different_errors() {
        let credential = Credential::opaque(vec![0xff]);
        assert!(matches!(credential.expose_text(field::VALUE), Err(CredentialError::NotText { .. })));
        assert!(matches!(credential.expose_bytes(field::PASSWORD), Err(CredentialError::NoSuchField { .. })));
    }
}
