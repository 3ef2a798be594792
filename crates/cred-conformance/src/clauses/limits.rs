//! store-5 and store-6: values within the limits are accepted, and others are refused before
//! anything is changed.

use cred_core::{CredentialPath, Sealed, StorageError, StorageErrorKind, Tags};

use crate::rule::{expect_ok, fail};
use crate::trial::Trial;
use crate::value::{key_id, path, tagged, value};

const CHECK_FIRST: &str = "compare the length of the encoded payload with the limit before sending anything, and return \
                           `TooLarge { size, limit }`";

pub(super) fn is_invalid_request(error: &StorageError, what: &str) {
    if !matches!(error.kind(), StorageErrorKind::InvalidRequest { .. }) {
        fail(
            &format!("{what} are refused with another error than InvalidRequest: {error}"),
            "check tags before sending anything, and return InvalidRequest for tags that the backend cannot store exactly",
        );
    }
}

/// A payload whose encoded size the clause controls: coarsely by the ciphertext, finely by the key
/// id, which no encoding rounds up by more than a few bytes.
fn payload(ciphertext_len: usize, key_len: usize) -> Sealed {
    let Sealed { mut data, metadata } = value(1);
    data.ciphertext = vec![0xa5; ciphertext_len];
    data.key_id = key_id(&"k".repeat(key_len));
    Sealed { data, metadata }
}

/// The encoded size and the limit that the refusal reports; `None` if the value was accepted.
async fn refusal(t: &Trial, target: &CredentialPath, stored: &Sealed) -> Option<(usize, usize)> {
    match t.store(target, stored).await {
        Ok(()) => None,
        Err(error) => match *error.kind() {
            StorageErrorKind::TooLarge { size, limit } => Some((size, limit)),
            _ => fail(
                &format!("an oversize payload is refused with another error than TooLarge: {error}"),
                CHECK_FIRST,
            ),
        },
    }
}

/// The payloads nearest to the limit that the encoding allows, below and above it.
struct Boundary {
    fits: Sealed,
    fits_len: usize,
    too_large: Sealed,
    too_large_len: usize,
    limit: usize,
}

/// Computes the boundary from the sizes that refusals report. All probes are far too large, so none
/// is written.
async fn boundary(t: &Trial) -> Boundary {
    /// The number of ciphertext bytes after which the rounding of base64, nested base64 and hex
    /// repeats.
    const PERIOD: usize = 36;
    let Some(limit) = t.description.limits.max_payload_len else {
        fail(
            "offers: `payload_limit` is declared, but not `describe().limits.max_payload_len`",
            "set `max_payload_len`, or remove the word from `offers`",
        );
    };
    let probe = path("org:limits/probe");
    let above = limit + 2 * PERIOD;
    let size_of = async |ciphertext: usize, key: usize| match refusal(t, &probe, &payload(ciphertext, key))
        .await
    {
        Some((size, declared)) if declared == limit && size > limit => size,
        Some((size, declared)) => fail(
            &format!(
                "store-5: the error reports {size} bytes and a limit of {declared}, the description a limit of {limit}"
            ),
            CHECK_FIRST,
        ),
        None => fail(
            &format!(
                "store-5: {ciphertext} bytes of ciphertext were accepted, but the payload limit is {limit}"
            ),
            CHECK_FIRST,
        ),
    };
    let base = size_of(above, 1).await;
    let step = size_of(above + PERIOD, 1).await.saturating_sub(base).max(1);
    let mut keys = Vec::new();
    for key in 1..=64 {
        keys.push((key, size_of(above, key).await));
    }
    // Each candidate is smaller than `above` by a whole number of periods.
    let candidates = keys.iter().flat_map(|(key, size)| {
        let periods = size.saturating_sub(limit) / step;
        [periods, periods + 1].into_iter().filter_map(move |periods| {
            let ciphertext = above.checked_sub(periods.checked_mul(PERIOD)?)?;
            Some((size.checked_sub(periods.checked_mul(step)?)?, ciphertext, *key))
        })
    });
    let candidates: Vec<_> = candidates.collect();
    let fits = candidates.iter().filter(|(size, ..)| *size <= limit).max();
    let too_large = candidates.iter().filter(|(size, ..)| *size > limit).min();
    match (fits, too_large) {
        (Some(&(fits_len, fits, fits_key)), Some(&(too_large_len, too_large, too_large_key))) => Boundary {
            fits: payload(fits, fits_key),
            fits_len,
            too_large: payload(too_large, too_large_key),
            too_large_len,
            limit,
        },
        _ => fail(
            &format!("store-5: nothing can be stored within the limit of {limit} bytes"),
            "declare a limit that leaves room for the envelope",
        ),
    }
}

pub(super) async fn store_5_a_payload_of_exactly_the_limit_is_accepted(t: Trial) {
    let Boundary { fits, fits_len, limit, .. } = boundary(&t).await;
    let target = path("org:limits/fits");
    if let Some((size, _)) = refusal(&t, &target, &fits).await {
        fail(
            &format!(
                "store-5: a payload of {size} bytes (computed: {fits_len}) is refused, but the limit is {limit}"
            ),
            "accept a payload of exactly the limit; refuse only longer ones",
        );
    }
    t.holds(&target, &fits, "store an accepted value completely").await;
}

pub(super) async fn store_5_one_byte_over_the_limit_is_too_large_and_the_old_value_remains(t: Trial) {
    let Boundary { too_large, too_large_len, limit, .. } = boundary(&t).await;
    let (target, absent) = (path("org:limits/old"), path("org:limits/absent"));
    t.put_and_check(&target, &value(1)).await;
    for path in [&target, &absent] {
        match refusal(&t, path, &too_large).await {
            Some((size, declared)) if size == too_large_len && declared == limit => {}
            Some((size, declared)) => fail(
                &format!(
                    "store-5: the error reports {size} bytes and a limit of {declared}, instead of {too_large_len} \
                     bytes and {limit}"
                ),
                CHECK_FIRST,
            ),
            None => fail(
                &format!("store-5: {too_large_len} bytes were accepted, but the limit is {limit}"),
                CHECK_FIRST,
            ),
        }
    }
    t.wait_until_visible().await;
    t.holds(&target, &value(1), "a refused store must leave the old value unchanged").await;
    t.lacks(&absent, "a refused store must write nothing").await;
    t.lacks(&path("org:limits/probe"), "a refused store must write nothing").await;
}

/// Tags at the limits of count, key length and value length. `extra` is the excess over each.
fn tags_at(t: &Trial, extra: [usize; 3]) -> Option<Tags> {
    let limits = t.description.limits;
    let bound = |declared: Option<usize>, most: usize| declared.map_or(most, |declared| declared.min(most));
    let [more_tags, longer_key, longer_value] = extra;
    let mut tags = Tags::new();
    let count = bound(limits.max_tags, Tags::MAX_COUNT) + more_tags;
    let key_len = bound(limits.max_tag_key_len, Tags::MAX_KEY_LEN) + longer_key;
    let value_len = bound(limits.max_tag_value_len, Tags::MAX_VALUE_LEN) + longer_value;
    let by_count = more_tags > 0 || extra == [0; 3];
    if by_count {
        for number in 1..count {
            tags.insert(format!("t{number}"), "v").ok()?;
        }
    }
    tags.insert("k".repeat(key_len), "v".repeat(value_len)).ok()?;
    Some(tags)
}

pub(super) async fn store_6_tags_at_the_limits_are_accepted(t: Trial) {
    let advice = "declare in `describe().limits` what the backend accepts, and accept that much";
    let target = path("org:a/tags");
    let Some(tags) = tags_at(&t, [0; 3]) else {
        fail("the declared tag limits do not allow a single tag", advice);
    };
    let Sealed { data, metadata } = value(1);
    let stored = Sealed::new(data, metadata.with_tags(tags));
    expect_ok(t.store(&target, &stored).await, "store-6: tags at the declared limits are refused", advice);
    t.holds(&target, &stored, "store every tag completely").await;
}

pub(super) async fn store_6_a_tag_over_the_limits_is_refused(t: Trial) {
    let target = path("org:a/tags");
    let old = tagged(1, &[("env", "prod")]);
    t.put_and_check(&target, &old).await;
    for (extra, what) in [
        ([1, 0, 0], "one tag too many"),
        ([0, 1, 0], "a key that is one byte too long"),
        ([0, 0, 1], "a value that is one byte too long"),
    ] {
        // If `Tags` itself refuses the tag, it cannot be passed to a provider.
        let Some(tags) = tags_at(&t, extra) else { continue };
        let Sealed { data, metadata } = value(2);
        match t.store(&target, &Sealed::new(data, metadata.with_tags(tags))).await {
            Ok(()) => fail(
                &format!("store-6: tags with {what} were accepted"),
                "return InvalidRequest for tags over the declared limits; never drop or truncate a tag",
            ),
            Err(error) => is_invalid_request(&error, &format!("tags with {what}")),
        }
        t.wait_until_visible().await;
        t.holds(&target, &old, "a refused store must leave the old value unchanged").await;
    }
}
