//! A secret in the input, and the rule that no output repeats it.

use std::error::Error;

/// A secret. None of our own texts contains it, so a text that does has repeated the input.
pub const CANARY: &str = "hunter2";

/// The input with the canary in it, at a place that the input itself decides: the fuzzer moves it
/// by any change.
#[must_use]
pub fn planted(input: &[u8]) -> Vec<u8> {
    planted_with(input, CANARY)
}

/// As [`planted`], with another secret than the canary.
#[must_use]
pub fn planted_with(input: &[u8], secret: &str) -> Vec<u8> {
    let sum =
        input.iter().fold(input.len(), |sum, byte| sum.wrapping_mul(31).wrapping_add(usize::from(*byte)));
    let (before, after) = input.split_at(sum % (input.len() + 1));
    [before, secret.as_bytes(), after].concat()
}

/// # Panics
/// If the error or one of its causes contains the canary, in its `Display` or its `Debug`.
pub fn silent(error: &(dyn Error + 'static)) {
    silent_about(CANARY, error);
}

/// # Panics
/// If the error or one of its causes contains the secret, in its `Display` or its `Debug`.
pub fn silent_about(secret: &str, error: &(dyn Error + 'static)) {
    lacks(secret, &format!("{error:?}"));
    let mut next = Some(error);
    while let Some(cause) = next {
        lacks(secret, &cause.to_string());
        next = cause.source();
    }
}

/// # Panics
/// If the text has the canary.
pub fn silent_text(text: &str) {
    lacks(CANARY, text);
}

fn lacks(secret: &str, text: &str) {
    assert!(!text.contains(secret), "the input is repeated: {text}");
}
