//! What a backend says of itself, as a part of an error's reason.

use crate::redact::{is_invisible, redact};

/// Characters, beyond which nobody reads on.
const LONGEST: usize = 400;
/// Bytes of a text that are looked at. A server decides how long the text is.
const LONGEST_READ: usize = 64 * 1_024;

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
    let read = beginning(&text);
    let visible = |word: &str| word.chars().filter(|letter| !is_invisible(*letter)).collect::<String>();
    let words = read.split_whitespace().map(|word| match looks_secret(&visible(word)) {
        true => "[redacted]",
        false => word,
    });
    let spaced = words.enumerate().flat_map(|(index, word)| {
        let space = (index > 0).then_some(' ');
        space.into_iter().chain(word.chars())
    });
    let mut letters = spaced.flat_map(escaped);
    let line: String = letters.by_ref().take(LONGEST).collect();
    match letters.next().is_some() || read.len() < text.len() {
        true => format!("{line}..."),
        false if line.is_empty() => "without a reason".to_owned(),
        false => line,
    }
}

/// The part of a text that is looked at: at most 64 KiB, and up to the end of a word, since half a
/// secret would not look like one.
fn beginning(text: &str) -> &str {
    if text.len() <= LONGEST_READ {
        return text;
    }
    let cut = (0..=LONGEST_READ).rev().find_map(|end| text.get(..end)).unwrap_or_default();
    match cut.rfind(char::is_whitespace) {
        Some(end) => cut.get(..end).unwrap_or_default(),
        None => cut,
    }
}

/// A character as a terminal may be given it.
fn escaped(letter: char) -> impl Iterator<Item = char> {
    let (plain, escape) = match is_invisible(letter) {
        true => (None, Some(letter.escape_unicode())),
        false => (Some(letter), None),
    };
    plain.into_iter().chain(escape.into_iter().flatten())
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
    fn of_a_text_without_end_only_the_beginning_is_looked_at() {
        let looked_at = std::cell::Cell::new(0);
        let judge = |word: &str| {
            looked_at.set(looked_at.get() + word.len());
            word.starts_with("AKIA")
        };
        let line = said(&"AKIA1 x\n".repeat(1_000_000), &[], judge);
        assert!(line.starts_with("[redacted] x [redacted] x") && line.ends_with("..."), "{line}");
        assert_eq!(line.chars().count(), LONGEST + 3);
        assert!(looked_at.get() < 1_000, "only what is shown: {}", looked_at.get());
        looked_at.set(0);
        assert_eq!(said(&"x".repeat(1 << 20), &[], judge), format!("{}...", "x".repeat(LONGEST)));
        assert_eq!(looked_at.get(), LONGEST_READ);
    }

    #[test]
    fn a_word_across_the_end_of_what_is_looked_at_is_left_out() {
        let spaces = " ".repeat(LONGEST_READ - 6);
        assert_eq!(said(&format!("a{spaces}hunter2hunter2"), &[], |word| word.len() == 14), "a...");
        assert_eq!(said(&format!("a{spaces}hunter2hunter2"), &["hunter2hunter2"], |_| false), "[redacted]");
        assert_eq!(said(&"é".repeat(LONGEST_READ), &[], |_| false), format!("{}...", "é".repeat(LONGEST)));
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
