//! A key ring refuses every edit of an envelope, of its path and of the unencrypted metadata.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use cred_core::{CreatedBy, CredentialPath, RotationPolicy, Tags, Timestamp, UnknownFields, WrappedKey};
use proptest::prelude::*;
use zeroize::Zeroizing;

use super::*;
use crate::inner;

const SECRET: &[u8] = b"a secret of some length, so that its ciphertext is more than one block long";

fn key(byte: u8) -> SealingKey {
    SealingKey::from_bytes(Zeroizing::new([byte; 32]))
}

fn key_id(id: &str) -> KeyId {
    id.parse().unwrap()
}

fn path(path: &str) -> CredentialPath {
    path.parse().unwrap()
}

fn raw_ring() -> KeyRing {
    KeyRing::builder(key_id("k1")).key(key_id("k1"), key(1)).build().unwrap()
}

/// A passphrase ring with cheap derivations, whose clock advances ten seconds at each reading.
fn passphrase_ring(kdf_salt: Option<[u8; 16]>) -> KeyRing {
    let start = Instant::now();
    let readings = AtomicU64::new(0);
    let clock = move || start + Duration::from_secs(10 * readings.fetch_add(1, Ordering::Relaxed));
    let environment = Environment { clock: Box::new(clock), ..Environment::system() };
    let mut passphrase = Passphrase::new("correct horse battery staple".into()).unwrap();
    if let Some(kdf_salt) = kdf_salt {
        passphrase = passphrase.with_kdf_salt(kdf_salt);
    }
    let derive = |_: &Passphrase, salt: &[u8; 16]| {
        Master::fill(|master| {
            master[..16].copy_from_slice(salt);
            Ok(())
        })
    };
    KeyRing::builder(key_id("k1")).key(key_id("k1"), passphrase).build_with(environment, derive).unwrap()
}

fn metadata() -> CredentialMetadata {
    let at = Timestamp::from_unix_millis;
    let mut tags = Tags::new();
    tags.insert("env", "prod").unwrap();
    tags.insert("team", "payments").unwrap();
    let rotation = RotationPolicy::periodic(Duration::from_secs(60));
    let mut metadata =
        CredentialMetadata::new(at(1_000)).with_tags(tags).with_expires_at(at(9_000)).with_rotation(rotation);
    metadata.last_modified = at(2_000);
    metadata.with_created_by(CreatedBy::from_static("payments-service"))
}

async fn sealed(ring: &KeyRing) -> EncryptedData {
    ring.seal(path("org:a/id").as_path_ref(), &metadata(), SECRET).await.unwrap()
}

async fn open(ring: &KeyRing, data: &EncryptedData) -> Result<Opened, SealError> {
    ring.open(path("org:a/id").as_path_ref(), data, &metadata()).await
}

/// The name of the error variant, or "opened".
fn kind<T: fmt::Debug>(result: Result<T, SealError>) -> &'static str {
    match result {
        Ok(_) => "opened",
        Err(SealError::UnknownKey { .. }) => "unknown key",
        Err(SealError::WrongKey { .. }) => "wrong key",
        Err(SealError::Tampered { .. }) => "tampered",
        Err(SealError::KdfBusy { .. }) => "busy",
        Err(SealError::Unsealable { .. }) => "unsealable",
        Err(SealError::Failed { .. }) => "failed",
        Err(_) => "other",
    }
}

fn difference(result: Result<Opened, SealError>) -> &'static str {
    match result {
        Err(SealError::Tampered { what, .. }) => what,
        other => panic!("{other:?}"),
    }
}

/// Returns all copies of the bytes with one flipped bit.
fn flips(bytes: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    (0..bytes.len() * 8).map(|bit| {
        let mut flipped = bytes.to_vec();
        flipped[bit / 8] ^= 1 << (bit % 8);
        flipped
    })
}

fn array<const N: usize>(bytes: &[u8]) -> [u8; N] {
    bytes.try_into().unwrap()
}

#[tokio::test]
async fn every_flipped_bit_of_an_envelope_is_refused() {
    let kdf_salt = Some([7; 16]);
    for (ring, key_type) in [(raw_ring(), "raw"), (passphrase_ring(kdf_salt), "passphrase")] {
        let data = sealed(&ring).await;
        assert_eq!(*open(&ring, &data).await.unwrap().secret, SECRET);
        let mut cases: Vec<(EncryptedData, &str)> = Vec::new();
        let mut add = |expected, edit: &dyn Fn(&mut EncryptedData)| {
            let mut edited = data.clone();
            edit(&mut edited);
            cases.push((edited, expected));
        };
        flips(&data.salt).for_each(|flip| add("wrong key", &|data| data.salt = array(&flip)));
        flips(&data.commitment).for_each(|flip| add("wrong key", &|data| data.commitment = array(&flip)));
        flips(&data.nonce).for_each(|flip| add("tampered", &|data| data.nonce = array(&flip)));
        flips(&data.ciphertext).for_each(|flip| add("tampered", &|data| data.ciphertext = flip.clone()));
        flips(&data.tag).for_each(|flip| add("tampered", &|data| data.tag = array(&flip)));
        for flip in data.kdf_salt.iter().flat_map(|salt| flips(salt)) {
            add("wrong key", &|data| data.kdf_salt = Some(array(&flip)));
        }
        for flip in flips(data.key_id.as_str().as_bytes()) {
            // A text that is not a key id is refused before it gets here.
            if let Some(id) = String::from_utf8(flip).ok().and_then(|text| KeyId::new(text).ok()) {
                add("unknown key", &|data| data.key_id = id.clone());
            }
        }
        for (edited, expected) in cases {
            assert!(edited != data);
            assert_eq!(kind(open(&ring, &edited).await), expected, "{key_type}: {edited:?}");
        }
    }
}

#[tokio::test]
async fn an_envelope_of_another_length_is_refused() {
    let ring = raw_ring();
    let data = sealed(&ring).await;
    for length in [0, 1, data.ciphertext.len() - 1, data.ciphertext.len() + 1] {
        let mut edited = data.clone();
        edited.ciphertext.resize(length, 0);
        assert_eq!(kind(open(&ring, &edited).await), "tampered", "{length}");
    }
}

#[tokio::test]
async fn parts_of_another_envelope_are_refused() {
    let ring = raw_ring();
    let (data, other) = (sealed(&ring).await, sealed(&ring).await);
    type Swap = fn(&mut EncryptedData, &EncryptedData);
    let swaps: [(&str, Swap); 6] = [
        ("wrong key", |data, other| data.salt = other.salt),
        ("wrong key", |data, other| data.commitment = other.commitment),
        ("tampered", |data, other| (data.salt, data.commitment) = (other.salt, other.commitment)),
        ("tampered", |data, other| data.nonce = other.nonce),
        ("tampered", |data, other| data.ciphertext.clone_from(&other.ciphertext)),
        ("tampered", |data, other| data.tag = other.tag),
    ];
    for (number, (expected, swap)) in swaps.into_iter().enumerate() {
        let mut edited = data.clone();
        swap(&mut edited, &other);
        assert_eq!(kind(open(&ring, &edited).await), expected, "swap {number}");
    }
}

#[tokio::test]
async fn an_envelope_opens_only_at_its_own_path() {
    let ring = raw_ring();
    let paths =
        ["org:a/id", "org:a/di", "org:b/id", "org:a/team:b/id", "org:A/id", "id", "org:a/ID", "org:ai/d"];
    for from in paths {
        let data = ring.seal(path(from).as_path_ref(), &metadata(), SECRET).await.unwrap();
        for to in paths {
            let opened = ring.open(path(to).as_path_ref(), &data, &metadata()).await;
            assert_eq!(kind(opened), if from == to { "opened" } else { "tampered" }, "{from} at {to}");
        }
    }
}

#[tokio::test]
async fn an_envelope_opens_only_under_its_own_key_id() {
    let ring = KeyRing::builder(key_id("k1"))
        .key(key_id("k1"), key(1))
        .key(key_id("k2"), key(1))
        .key(key_id("k3"), key(3))
        .build()
        .unwrap();
    let data = sealed(&ring).await;
    for (id, expected) in [("k1", "opened"), ("k2", "tampered"), ("k3", "wrong key"), ("k4", "unknown key")] {
        let mut edited = data.clone();
        edited.key_id = key_id(id);
        assert_eq!(kind(open(&ring, &edited).await), expected, "{id}");
    }
}

#[tokio::test]
async fn a_kdf_salt_requires_a_passphrase_and_a_wrapped_key_is_refused() {
    let (raw, passphrase) = (raw_ring(), passphrase_ring(Some([7; 16])));
    let edited = sealed(&raw).await.with_kdf_salt(Some([7; 16]));
    assert_eq!(
        difference(open(&raw, &edited).await),
        "it has a passphrase salt, but its key is not a passphrase"
    );
    let edited = sealed(&passphrase).await.with_kdf_salt(None);
    assert_eq!(
        difference(open(&passphrase, &edited).await),
        "it has no passphrase salt, but its key is a passphrase"
    );
    for ring in [raw, passphrase] {
        let edited = sealed(&ring).await.with_wrapped_key(Some(WrappedKey::new(vec![1]).unwrap()));
        assert_eq!(
            difference(open(&ring, &edited).await),
            "it has a wrapped key, but this key is not wrapped by a KMS"
        );
    }
}

#[tokio::test]
async fn each_edit_of_the_unencrypted_metadata_is_named() {
    let ring = raw_ring();
    let data = sealed(&ring).await;
    let at = Timestamp::from_unix_millis;
    type Edit = fn(&mut CredentialMetadata);
    let edits: [(&str, Edit); 14] = [
        ("creation", |outer| outer.created_at = Timestamp::default()),
        ("modification", |outer| outer.last_modified = Timestamp::default()),
        ("version", |outer| outer.version = 0),
        ("version", |outer| outer.version += 1),
        ("tags", |outer| outer.tags = Tags::new()),
        ("tags", |outer| drop(outer.tags.remove("env"))),
        ("tags", |outer| drop(outer.tags.insert("env", "test"))),
        ("tags", |outer| drop(outer.tags.insert("new", ""))),
        ("expiry", |outer| outer.expires_at = None),
        ("expiry", |outer| outer.expires_at = Some(Timestamp::from_unix_millis(u64::MAX))),
        ("rotation policy", |outer| outer.rotation = None),
        ("rotation policy", |outer| outer.rotation = Some(RotationPolicy::Manual)),
        ("creator", |outer| outer.created_by = None),
        ("creator", |outer| outer.created_by = Some(CreatedBy::from_static("mallory"))),
    ];
    for (field, edit) in edits {
        let mut outer = metadata();
        edit(&mut outer);
        let what = difference(ring.open(path("org:a/id").as_path_ref(), &data, &outer).await);
        assert!(what.contains(field), "{field}: {what}");
    }
    let plain = CredentialMetadata::new(at(1));
    let data = ring.seal(path("id").as_path_ref(), &plain, SECRET).await.unwrap();
    for added in [
        plain.clone().with_expires_at(at(0)),
        plain.clone().with_rotation(RotationPolicy::Manual),
        plain.with_created_by(CreatedBy::from_static("mallory")),
    ] {
        assert_eq!(kind(ring.open(path("id").as_path_ref(), &data, &added).await), "tampered", "{added:?}");
    }
}

#[tokio::test]
async fn fields_of_a_newer_version_survive_opening_and_sealing() {
    let ring = raw_ring();
    let here = path("org:a/id");
    let mut newer = metadata();
    newer.unknown.insert(8, b"of a newer writer".to_vec()).unwrap();
    newer.unknown.insert(0x7fff, vec![]).unwrap();
    let data = ring.seal(here.as_path_ref(), &newer, SECRET).await.unwrap();

    let mut foreign = metadata();
    foreign.unknown.insert(9, b"of the backend".to_vec()).unwrap();
    for outer in [newer.clone(), metadata(), foreign] {
        let opened = ring.open(here.as_path_ref(), &data, &outer).await.unwrap();
        assert_eq!(opened.metadata, newer);
        let again = ring.seal(here.as_path_ref(), &opened.metadata, &opened.secret).await.unwrap();
        assert_eq!(ring.open(here.as_path_ref(), &again, &outer).await.unwrap().metadata, newer);
    }
}

#[tokio::test]
async fn older_keys_open_and_the_active_one_seals() {
    let old = raw_ring();
    let ring =
        KeyRing::builder(key_id("k2")).key(key_id("k1"), key(1)).key(key_id("k2"), key(2)).build().unwrap();
    let data = sealed(&old).await;
    assert!(open(&ring, &data).await.is_ok());
    assert!(!ring.is_current(&data));
    let data = sealed(&ring).await;
    assert_eq!(data.key_id, key_id("k2"));
    assert!(ring.is_current(&data));
    assert_eq!(kind(open(&old, &data).await), "unknown key");
}

#[tokio::test]
async fn a_passphrase_envelope_is_current_only_under_the_sealing_salt() {
    let (writer, stranger) = (passphrase_ring(Some([1; 16])), passphrase_ring(Some([2; 16])));
    let (first, second) = (sealed(&writer).await, sealed(&stranger).await);
    let ring = passphrase_ring(None);
    assert!(!ring.is_current(&first), "the sealing salt is not chosen yet");
    open(&ring, &first).await.unwrap();
    open(&ring, &second).await.unwrap();
    assert!(ring.is_current(&first));
    assert!(!ring.is_current(&second));
    assert_eq!(
        sealed(&ring).await.kdf_salt,
        Some([1; 16]),
        "the ring seals under the salt that was proven first"
    );
}

#[tokio::test]
async fn a_wrong_commitment_does_not_prove_a_salt() {
    let writer = passphrase_ring(Some([1; 16]));
    let data = sealed(&writer).await;
    let ring = passphrase_ring(None);
    let mut edited = data.clone();
    edited.kdf_salt = Some([2; 16]);
    assert_eq!(kind(open(&ring, &edited).await), "wrong key");
    assert!(open(&ring, &data).await.is_ok());
    assert_eq!(sealed(&ring).await.kdf_salt, Some([1; 16]));
}

thread_local! {
    static READ_SIZES: Cell<Vec<usize>> = const { Cell::new(Vec::new()) };
}

#[tokio::test]
async fn each_sealing_reads_44_random_bytes_once() {
    let random: Random = |buffer| {
        let mut sizes = READ_SIZES.take();
        sizes.push(buffer.len());
        buffer.iter_mut().zip(1..).for_each(|(byte, count)| *byte = count);
        READ_SIZES.set(sizes);
        Ok(())
    };
    let environment = Environment { random, ..Environment::system() };
    let ring = KeyRing::builder(key_id("k1"))
        .key(key_id("k1"), key(1))
        .build_with(environment, Passphrase::derive)
        .unwrap();
    let data = sealed(&ring).await;
    assert_eq!(READ_SIZES.take(), [44]);
    assert_eq!((data.salt[0], data.salt[31], data.nonce[0], data.nonce[11]), (1, 32, 33, 44));
    open(&ring, &data).await.unwrap();
    assert!(READ_SIZES.take().is_empty());
}

#[tokio::test]
async fn sealing_fails_if_the_random_source_fails() {
    let fail = || Environment { random: |_| Err(Unspecified), ..Environment::system() };
    let raw = KeyRing::builder(key_id("k1")).key(key_id("k1"), key(1));
    let passphrase = KeyRing::builder(key_id("k1")).key(key_id("k1"), Passphrase::new("p".into()).unwrap());
    for builder in [raw, passphrase] {
        let ring = builder.build_with(fail(), |_, _| Master::fill(|_| Ok(()))).unwrap();
        let sealed = ring.seal(path("id").as_path_ref(), &metadata(), SECRET).await;
        assert_eq!(kind(sealed), "failed");
    }
}

#[tokio::test]
async fn a_used_up_budget_is_reported_as_busy_with_the_path() {
    let frozen = Instant::now();
    let environment = Environment { clock: Box::new(move || frozen), ..Environment::system() };
    let ring = KeyRing::builder(key_id("k1"))
        .key(key_id("k1"), Passphrase::new("p".into()).unwrap())
        .build_with(environment, |_, _| Master::fill(|_| Ok(())))
        .unwrap();
    let data = sealed(&raw_ring()).await;
    for number in 0..8 {
        assert_eq!(kind(open(&ring, &data.clone().with_kdf_salt(Some([number; 16]))).await), "wrong key");
    }
    let error = open(&ring, &data.clone().with_kdf_salt(Some([8; 16]))).await.unwrap_err();
    assert!(matches!(error, SealError::KdfBusy { .. }) && error.is_transient());
    assert_eq!(*error.path(), path("org:a/id"));
}

#[test]
fn a_missing_active_key_or_a_duplicate_id_is_refused() {
    let error = KeyRing::builder(key_id("k1")).key(key_id("k2"), key(2)).build().unwrap_err();
    assert!(matches!(error, KeyRingError::MissingActiveKey { key_id } if key_id.as_str() == "k1"));
    let twice = KeyRing::builder(key_id("k1")).key(key_id("k1"), key(1)).key(key_id("k1"), key(1));
    assert!(matches!(twice.build(), Err(KeyRingError::DuplicateKey { key_id }) if key_id.as_str() == "k1"));
    let ring =
        KeyRing::builder(key_id("b")).key(key_id("b"), key(1)).key(key_id("a"), key(2)).build().unwrap();
    assert_eq!(ring.key_ids().map(KeyId::as_str).collect::<Vec<_>>(), ["a", "b"]);
}

fn any_metadata() -> impl Strategy<Value = CredentialMetadata> {
    let rotation = prop_oneof![
        any::<u64>().prop_map(|interval_ms| RotationPolicy::Periodic { interval_ms }),
        any::<u64>().prop_map(|lead_ms| RotationPolicy::BeforeExpiry { lead_ms }),
        any::<u64>().prop_map(|at| RotationPolicy::At { at: Timestamp::from_unix_millis(at) }),
        Just(RotationPolicy::Manual),
    ];
    let number = || prop_oneof![Just(0_u64), Just(u64::MAX), any::<u64>()];
    let tags = prop::collection::btree_map("[^\\p{Cc}]{1,20}", "[^\\p{Cc}]{0,40}", 0..6);
    let unknown =
        prop::collection::btree_map(UnknownFields::NUMBERS, prop::collection::vec(any::<u8>(), 0..40), 0..4);
    let expires_at = prop::option::of(number());
    let created_by = prop::option::of("[ -~]{1,256}");
    let rotation = prop::option::of(rotation);
    (number(), number(), number(), tags, expires_at, rotation, created_by, unknown).prop_map(
        |(created_at, last_modified, version, tags, expires_at, rotation, created_by, unknown)| {
            let at = Timestamp::from_unix_millis;
            let mut metadata = CredentialMetadata::new(at(created_at));
            metadata.last_modified = at(last_modified);
            metadata.version = version;
            metadata.tags = tags.try_into().unwrap();
            metadata.expires_at = expires_at.map(at);
            metadata.rotation = rotation;
            metadata.created_by = created_by.map(|name| name.parse().unwrap());
            for (number, value) in unknown {
                metadata.unknown.insert(number, value).unwrap();
            }
            metadata
        },
    )
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

proptest! {
    #[test]
    fn sealing_and_opening_round_trip(metadata in any_metadata(), secret in prop::collection::vec(any::<u8>(), 0..600)) {
        let ring = raw_ring();
        let here = path("org:a/id");
        let data = block_on(ring.seal(here.as_path_ref(), &metadata, &secret)).unwrap();
        let opened = block_on(ring.open(here.as_path_ref(), &data, &metadata)).unwrap();
        prop_assert_eq!(opened.metadata, metadata);
        prop_assert_eq!(&*opened.secret, &secret);
    }

    #[test]
    fn each_metadata_has_exactly_one_encoding(
        metadata in any_metadata(),
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..3_u8), 1..4),
    ) {
        let mut content = inner::encode(&metadata, b"secret").unwrap().to_vec();
        for (at, byte, edit) in edits {
            let at = at.index(content.len());
            match edit {
                0 => content[at] = byte,
                1 => content.insert(at, byte),
                _ => drop(content.remove(at)),
            }
            if content.is_empty() {
                break;
            }
        }
        if let Ok((decoded, secret_at)) = inner::decode(&content) {
            let again = inner::encode(&decoded, &content[secret_at..]).unwrap();
            prop_assert_eq!(&*again, &content);
        }
    }
}
