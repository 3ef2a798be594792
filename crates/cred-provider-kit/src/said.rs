//! What a backend says of itself, as a part of an error's reason.

use crate::redact::{is_invisible, redact};

/// Characters, beyond which nobody reads on.
const LONGEST: usize = 400;

/// A backend's own words, fit for a reason: one line of at most 400 characters and `...`, in which
/// control, invisible and bidirectional characters are escaped; `without a reason` if there are
/// none. A server may repeat what it was sent: `hide` are values that must not be reported, in any
/// spelling that [`redact`] finds, and `looks_secret` judges a word where they are not known; both
/// become `[redacted]`.
///
/// ```
/// use cred_provider_kit::said;
///
/// let words = said("denied:\n token s.1234 of AKIAEXAMPLE", &["s.1234"], |word| word.starts_with("AKIA"));
/// assert_eq!(words, "denied: token [redacted] of [redacted]");
/// ```
#[must_use]
pub fn said(text: &str, hide: &[&str], looks_secret: impl Fn(&str) -> bool) -> String {
    // Before it is cut: half a secret would not be found.
    let text = redact(text, hide);
    let visible = |word: &str| word.chars().filter(|letter| !is_invisible(*letter)).collect::<String>();
    let words = text.split_whitespace().map(|word| match looks_secret(&visible(word)) {
        true => "[redacted]".to_owned(),
        false => word.chars().map(escaped).collect(),
    });
    let line = words.collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}...", line.get(..end).unwrap_or_default()),
        None if line.is_empty() => "without a reason".to_owned(),
        None => line,
    }
}

/// A character as a terminal may be given it.
fn escaped(letter: char) -> String {
    match is_invisible(letter) {
        true => letter.escape_unicode().to_string(),
        false => letter.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_one_line() {
        assert_eq!(said(" a\r\n\tb \u{1b}[2Jc", &[], |_| false), "a b \\u{1b}[2Jc");
        assert_eq!(said("a\u{202e}b \u{7f}\u{200b}", &[], |_| false), "a\\u{202e}b \\u{7f}\\u{200b}");
        assert_eq!(said("\n", &[], |_| false), "without a reason");
    }

    #[test]
    fn it_is_cut_between_characters_and_after_secrets_were_taken_out() {
        assert_eq!(said(&"é".repeat(401), &[], |_| false), format!("{}...", "é".repeat(400)));
        assert_eq!(said(&"é".repeat(400), &[], |_| false), "é".repeat(400));
        let long = format!("{} secret-token", "x".repeat(395));
        assert!(!said(&long, &["secret-token"], |_| false).contains("secr"));
    }

    #[test]
    fn a_word_is_judged_without_the_invisible_characters_in_it() {
        assert_eq!(said("id AK\u{200b}IA\u{1b}1 x", &[], |word| word == "AKIA1"), "id [redacted] x");
        assert_eq!(said("s.12\r\n34 s.1%32%334", &["s.1234"], |_| false), "[redacted] [redacted]");
    }

    #[test]
    fn nothing_to_hide_hides_nothing() {
        assert_eq!(said("abc", &[""], |_| false), "abc");
    }
}
