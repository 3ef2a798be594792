//! A secret in the input, and the law that nothing repeats it.

use std::error::Error;

/// A secret. No text of ours has it, so a text that does has repeated the input.
pub const CANARY: &str = "hunter2";

/// The input with the canary in it, at a place that the input itself decides: the fuzzer moves it by any change.
#[must_use]
pub fn planted(input: &[u8]) -> Vec<u8> {
    let sum =
        input.iter().fold(input.len(), |sum, byte| sum.wrapping_mul(31).wrapping_add(usize::from(*byte)));
    let (before, after) = input.split_at(sum % (input.len() + 1));
    [before, CANARY.as_bytes(), after].concat()
}

/// # Panics
/// If the error or one of its causes says the canary, in words or by its `Debug`.
pub fn silent(error: &(dyn Error + 'static)) {
    silent_text(&format!("{error:?}"));
    let mut next = Some(error);
    while let Some(cause) = next {
        silent_text(&cause.to_string());
        next = cause.source();
    }
}

/// # Panics
/// If the text has the canary.
pub fn silent_text(text: &str) {
    assert!(!text.contains(CANARY), "the input is repeated: {text}");
}
