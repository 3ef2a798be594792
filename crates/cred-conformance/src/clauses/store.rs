//! store-1 to store-4 and store-7: stored values stay complete and unchanged, also during
//! concurrent writes.

use std::sync::Arc;

use cred_core::{CreatedBy, CredentialMetadata, RotationPolicy, Sealed, Tags, Timestamp};
use tokio::task::{JoinSet, yield_now};

use crate::rule::{expect_ok, fail};
use crate::trial::{Trial, all};
use crate::value::{created_by, key_id, path, scope, sized, tagged, tags, value, wrapped};
use crate::watch::Watch;

const EVERY_FIELD: &str =
    "store every byte of the data and every field of the metadata, even if the backend does not use it";
const ATOMIC: &str = "replace in one step (rename, one request, one map insert): never delete and then write, and never \
                      write in parts that a reader can see";

async fn round_trip(t: &Trial, name: &str, values: impl IntoIterator<Item = Sealed>) {
    for (index, value) in values.into_iter().enumerate() {
        let path = path(&format!("org:a/{name}-{index}"));
        t.put(&path, &value).await;
        t.holds(&path, &value, EVERY_FIELD).await;
    }
}

pub(super) async fn store_1_a_stored_value_is_returned_unchanged(t: Trial) {
    round_trip(&t, "value", (0..12).map(value)).await;
}

pub(super) async fn store_1_ciphertexts_of_any_bytes_and_length_are_preserved(t: Trial) {
    let lengths = [0, 1, 2, 3, 4, 15, 16, 17, 255, 256, 1_023, 4_096];
    round_trip(&t, "length", lengths.into_iter().zip(1..).map(|(len, number)| sized(number, len))).await;
    let extremes =
        [vec![0; 64], vec![0xff; 64], (0..=255).collect(), b"{\"a\": null}\r\n\0 \xef\xbb\xbf".to_vec()];
    let with = |ciphertext: Vec<u8>| {
        let Sealed { mut data, metadata } = value(1);
        let byte = ciphertext.first().copied().unwrap_or_default();
        (data.salt, data.commitment, data.nonce, data.tag) = ([byte; 32], [byte; 32], [byte; 12], [byte; 16]);
        data.ciphertext = ciphertext;
        Sealed { data, metadata }
    };
    round_trip(&t, "bytes", extremes.into_iter().map(with)).await;
}

pub(super) async fn store_1_absent_fields_stay_distinct_from_empty_ones(t: Trial) {
    let Sealed { data: plain, metadata } = value(0);
    let plain = plain.with_kdf_salt(None).with_wrapped_key(None);
    let metadata = metadata.with_expires_at(None).with_rotation(None).with_tags(Tags::new());
    let data = |salt: Option<[u8; 16]>, key: Option<Vec<u8>>| {
        plain.clone().with_kdf_salt(salt).with_wrapped_key(key.map(wrapped))
    };
    let moment = Timestamp::from_unix_millis;
    round_trip(
        &t,
        "optional",
        [
            Sealed::new(data(None, None), metadata.clone()),
            Sealed::new(data(Some([0; 16]), None), metadata.clone()),
            Sealed::new(data(None, Some(vec![0])), metadata.clone()),
            Sealed::new(data(Some([0xff; 16]), Some(vec![0xff; 1_024])), metadata.clone()),
            Sealed::new(plain.clone(), metadata.clone().with_expires_at(moment(0))),
            Sealed::new(plain.clone(), metadata.clone().with_expires_at(moment(u64::MAX))),
            Sealed::new(plain.clone(), metadata.clone().with_rotation(RotationPolicy::Manual)),
            Sealed::new(
                plain.clone(),
                metadata.clone().with_rotation(RotationPolicy::Periodic { interval_ms: 0 }),
            ),
            Sealed::new(
                plain.clone(),
                metadata.clone().with_rotation(RotationPolicy::Periodic { interval_ms: u64::MAX }),
            ),
            Sealed::new(
                plain.clone(),
                metadata.clone().with_rotation(RotationPolicy::BeforeExpiry { lead_ms: u64::MAX }),
            ),
            Sealed::new(
                plain.clone(),
                metadata.clone().with_rotation(RotationPolicy::At { at: moment(u64::MAX) }),
            ),
        ],
    )
    .await;
}

pub(super) async fn store_1_numbers_are_preserved_exactly(t: Trial) {
    let numbers = [0, 1, u64::from(u32::MAX), (1 << 53) + 1, i64::MAX as u64 + 2, u64::MAX];
    let with = |number: u64| {
        let Sealed { data, mut metadata } = value(2);
        metadata.created_at = Timestamp::from_unix_millis(number);
        metadata.last_modified = Timestamp::from_unix_millis(number);
        metadata.version = number;
        metadata.expires_at = Some(Timestamp::from_unix_millis(number));
        Sealed { data, metadata }
    };
    round_trip(&t, "number", numbers.map(with)).await;
}

pub(super) async fn store_1_unknown_fields_are_preserved(t: Trial) {
    let with = |fields: &[(u16, Vec<u8>)]| {
        let Sealed { data, mut metadata } = value(3);
        for (number, bytes) in fields {
            if metadata.unknown.insert(*number, bytes.clone()).is_err() {
                fail("the conformance suite uses a field number that is not free", "report this bug");
            }
        }
        Sealed { data, metadata }
    };
    let values = [
        with(&[(8, vec![])]),
        with(&[(0x7fff, vec![0, 0xff, b'"', b'\\', b'\n'])]),
        with(&[(8, vec![1]), (9, vec![2, 3]), (1_000, (0..=255).collect())]),
    ];
    round_trip(&t, "unknown", values).await;
}

pub(super) async fn store_1_key_ids_are_preserved(t: Trial) {
    let names = ["k", "2026.01-main_key", "-", "_", "...", "A", "a", &"k".repeat(64)].map(key_id);
    let with = |key_id| {
        let Sealed { mut data, metadata } = value(4);
        data.key_id = key_id;
        Sealed { data, metadata }
    };
    round_trip(&t, "key", names.map(with)).await;
}

pub(super) async fn store_1_creator_names_are_preserved(t: Trial) {
    let all: String = (' '..='~').collect();
    let long = all.repeat(3).chars().take(CreatedBy::MAX_LEN).collect::<String>();
    let names =
        ["x", " ", "  two  spaces  ", "Payments", "payments", "<a@b>&\"'\\", "null", "0", &all, &long];
    let with = |name| {
        let Sealed { data, metadata } = value(5);
        Sealed { data, metadata: metadata.with_created_by(name) }
    };
    round_trip(&t, "creator", names.map(created_by).map(Some).into_iter().chain([None]).map(with)).await;
}

/// A backend may not support every tag. The provider must then refuse the store.
pub(super) async fn store_1_tags_are_preserved_exactly_or_refused(t: Trial) {
    let plain = tagged(5, &[("env", "prod"), ("owner", "team-a")]);
    round_trip(&t, "plain-tag", [plain]).await;
    let odd: [&[(&str, &str)]; 12] = [
        &[("empty", "")],
        &[("Case", "A"), ("case", "a")],
        &[(" leading", " and trailing "), ("inner  space", "two  spaces")],
        &[("a=b", "c=d,e;f"), ("x:y", "z/w")],
        &[("quote\"", "back\\slash'"), ("<tag>", "&amp;")],
        &[("clé", "élève"), ("e\u{301}", "decomposed"), ("\u{e9}", "composed")],
        &[("鍵", "値"), ("ключ", "значение")],
        &[("emoji", "🔐👩‍👩‍👧"), ("rtl", "\u{202e}abc"), ("zero", "a\u{200b}b"), ("bom", "\u{feff}x")],
        &[("null", "null"), ("true", "false"), ("0", "1"), ("__proto__", "x")],
        &[("%41", "%2F"), ("${x}", "{{y}}"), ("-", "_")],
        &[("aws:reserved", "x"), ("kubernetes.io/name", "y"), (".", "..")],
        &[("\u{10ffff}", "\u{fffd}")],
    ];
    for (index, wanted) in odd.iter().enumerate() {
        let (path, stored) = (path(&format!("org:a/tag-{index}")), tagged(6, wanted));
        match t.store(&path, &stored).await {
            Ok(()) => t.holds(&path, &stored, EVERY_FIELD).await,
            Err(error) => {
                super::limits::is_invalid_request(&error, &format!("the tags {wanted:?}"));
                t.lacks(&path, "a refused store must write nothing").await;
            }
        }
    }
}

pub(super) async fn store_1_stored_values_outlive_the_client(t: Trial) {
    let entries: Vec<_> = ["key", "org:a/key", "org:a/team:x/key", "org:A/K_-"]
        .into_iter()
        .map(path)
        .zip((1..).map(value))
        .collect();
    t.put_all(entries.clone()).await;
    t.put(&path("org:a/gone"), &value(9)).await;
    t.remove(&path("org:a/gone")).await;
    t.wait_until_visible().await;
    t.shutdown().await;
    let later = t.reopen().await;
    drop(t);
    let advice = "return Ok only once the backend has stored the value, and read everything from the backend";
    later.all_hold(&entries, advice).await;
    later.lacks(&path("org:a/gone"), advice).await;
    let paths: Vec<_> = entries.iter().map(|(path, _)| path.clone()).collect();
    later.has_tree(None, None, &paths, advice).await;
    later.lists(Some(&scope("org:a")), None, &[path("org:a/key").id], advice).await;
}

pub(super) async fn store_2_a_reader_sees_the_old_or_the_new_value(t: Trial) {
    let target = path("org:a/hot");
    let writes = u64::try_from(t.effort.rounds).unwrap_or(100);
    // Alternating long and short values: a write in place leaves a tail of the longer one.
    let values: Arc<Vec<Sealed>> =
        Arc::new((0..=writes).map(|n| sized(n, if n % 2 == 0 { 9_000 } else { 20 })).collect());
    t.put(&target, &value_at(&values, 0)).await;
    t.holds(&target, &value_at(&values, 0), ATOMIC).await;

    let bound = t.patience_for_point();
    let watch = Arc::new(Watch::new(t.effort.rounds));
    let mut tasks = JoinSet::new();
    for _ in 0..2 {
        let (t, target, values, watch) = (t.clone(), target.clone(), Arc::clone(&values), Arc::clone(&watch));
        let bound = bound.clone();
        tasks.spawn(async move {
            while watch.is_writing() {
                // Before the declared bound, the first value may not have reached every replica.
                let strict = bound.has_passed();
                match t.retrieve(&target).await {
                    Ok(read) if values.contains(&read) => {}
                    Ok(_) => {
                        fail("store-2: a reader saw a value that was never written, a mix of two", ATOMIC)
                    }
                    Err(error) if !strict && error.is_not_found() => {}
                    Err(error) => {
                        fail(&format!("store-2: a read failed while the value was replaced: {error}"), ATOMIC)
                    }
                }
                if !t.exists_now(&target).await && strict {
                    fail("store-2: exists returned false while the value was replaced", ATOMIC);
                }
                watch.count_read();
                yield_now().await;
            }
        });
    }
    let (writer, written) = (t.clone(), target.clone());
    tasks.spawn(async move {
        for (round, value) in values.iter().cycle().enumerate() {
            if round >= values.len() && watch.is_enough() {
                break;
            }
            writer.put(&written, value).await;
            yield_now().await;
        }
        watch.end();
    });
    all(tasks).await;
}

pub(super) async fn store_2_a_list_never_omits_a_credential_that_is_being_replaced(t: Trial) {
    let target = path("org:a/hot");
    t.put(&target, &value(0)).await;
    let only = [target.id.clone()];
    t.lists(target.scope.as_ref(), None, &only, ATOMIC).await;
    let watch = Arc::new(Watch::new((t.effort.rounds / 4).max(4)));
    let mut tasks = JoinSet::new();
    let (lister, listed, watched) = (t.clone(), target.clone(), Arc::clone(&watch));
    tasks.spawn(async move {
        while watched.is_writing() {
            lister.lists(listed.scope.as_ref(), None, &only, ATOMIC).await;
            watched.count_read();
            yield_now().await;
        }
    });
    tasks.spawn(async move {
        for round in 0.. {
            if round >= t.effort.rounds && watch.is_enough() {
                break;
            }
            let len = if round % 2 == 0 { 5_000 } else { 5 };
            t.put(&target, &sized(round as u64 + 1, len)).await;
            yield_now().await;
        }
        watch.end();
    });
    all(tasks).await;
}

pub(super) async fn store_3_concurrent_stores_leave_one_complete_value(t: Trial) {
    for round in 0..(t.effort.rounds / 10).max(2) {
        let target = path(&format!("org:a/contended-{round}"));
        let values: Vec<_> = (0..8).map(|n| sized(n, if n % 2 == 0 { 6_000 } else { 10 })).collect();
        let mut tasks = JoinSet::new();
        for value in values.clone() {
            let (t, target) = (t.clone(), target.clone());
            tasks.spawn(async move { t.put(&target, &value).await });
        }
        all(tasks).await;
        t.wait_until_visible().await;
        let problem = "store-3: a read after concurrent stores fails";
        let winner = expect_ok(t.retrieve(&target).await, problem, ATOMIC);
        if !values.contains(&winner) {
            fail("store-3: concurrent writers left a mix of their values", ATOMIC);
        }
        t.holds(&target, &winner, "the value must not change once all stores have returned").await;
    }
}

pub(super) async fn store_3_concurrent_stores_of_different_ids_all_persist(t: Trial) {
    let entries: Vec<_> = (0..40)
        .map(|n| (path(&format!("org:{}/key-{n}", ["a", "b"].get(n % 2).unwrap_or(&"a"))), value(n as u64)))
        .collect();
    t.put_all(entries.clone()).await;
    let advice = "store each credential separately, or lock a shared file or map across its read and write";
    t.all_hold(&entries, advice).await;
    let paths: Vec<_> = entries.iter().map(|(path, _)| path.clone()).collect();
    t.has_tree(None, None, &paths, advice).await;
}

pub(super) async fn store_4_an_id_can_be_stored_again_after_a_delete(t: Trial) {
    let target = path("org:a/phoenix");
    for number in 0..5 {
        t.put(&target, &value(number)).await;
        t.holds(
            &target,
            &value(number),
            "a store after a delete must write the new value; clear any tombstone",
        )
        .await;
        t.lists_only(&target, "list a credential that was stored again").await;
        t.remove(&target).await;
        t.lacks(&target, "delete must remove the credential").await;
    }
}

pub(super) async fn store_7_storing_the_same_value_twice_succeeds(t: Trial) {
    let target = path("org:a/twice");
    let stored = value(1);
    for _ in 0..3 {
        t.put(&target, &stored).await;
    }
    t.holds(&target, &stored, EVERY_FIELD).await;
    t.lists_only(&target, "list a path once, however often it was stored").await;

    let metadata: CredentialMetadata = stored.metadata.clone().with_tags(tags(&[("changed", "yes")]));
    let changed = Sealed::new(stored.data, metadata);
    t.put(&target, &changed).await;
    t.holds(&target, &changed, "a store of the same data with other metadata must write the metadata").await;
}

fn value_at(values: &[Sealed], index: usize) -> Sealed {
    values.get(index).cloned().unwrap_or_else(|| value(0))
}
