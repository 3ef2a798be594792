//! Quotes a message of the backend in the reason of an error.

use crate::redact::{is_invisible, redact};

/// Maximum length of a quote, in characters.
const MAX_QUOTE_LEN: usize = 400;
/// Length of the part of a text that is examined, in bytes. The server controls the length of the
/// text.
const MAX_EXAMINED_LEN: usize = 64 * 1_024;

/// Quotes a message of the backend, for the reason of an error.
///
/// - The quote is one line of at most 400 characters and `...`.
/// - Control, invisible and bidirectional characters are escaped.
/// - The quote of an empty message is `without a reason`.
/// - A server may repeat what it received. `hide` has values that must not be reported, in any
///   encoding that [`redact`] finds. `looks_secret` judges each word, for secrets that are not
///   known. Both are replaced by `[redacted]`.
///
/// ```
/// use cred_provider_kit::quote_message;
///
/// let words = quote_message("denied:\n token s.1234 of AKIAEXAMPLE", &["s.1234"], |word| word.starts_with("AKIA"));
/// assert_eq!(words, "denied: token [redacted] of [redacted]");
/// ```
#[must_use]
pub fn quote_message(text: &str, hide: &[&str], looks_secret: impl Fn(&str) -> bool) -> String {
    // Before the text is cut: half a secret would not be found.
    let text = redact(text, hide);
    let examined = examined_part(&text);
    let visible = |word: &str| word.chars().filter(|letter| !is_invisible(*letter)).collect::<String>();
    let words = examined.split_whitespace().map(|word| match looks_secret(&visible(word)) {
        true => "[redacted]",
        false => word,
    });
    let spaced = words.enumerate().flat_map(|(index, word)| {
        let space = (index > 0).then_some(' ');
        space.into_iter().chain(word.chars())
    });
    let mut letters = spaced.flat_map(escaped);
    let line: String = letters.by_ref().take(MAX_QUOTE_LEN).collect();
    match letters.next().is_some() || examined.len() < text.len() {
        true => format!("{line}..."),
        false if line.is_empty() => "without a reason".to_owned(),
        false => line,
    }
}

/// Returns the part of a text that is examined: at most 64 KiB, cut at the end of a word, since
/// half a secret would not look like one.
fn examined_part(text: &str) -> &str {
    if text.len() <= MAX_EXAMINED_LEN {
        return text;
    }
    let cut = (0..=MAX_EXAMINED_LEN).rev().find_map(|end| text.get(..end)).unwrap_or_default();
    match cut.rfind(char::is_whitespace) {
        Some(end) => cut.get(..end).unwrap_or_default(),
        None => cut,
    }
}

/// Escapes a character that must not reach a terminal.
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
    fn a_quote_is_one_line() {
        assert_eq!(quote_message(" a\r\n\tb \u{1b}[2Jc", &[], |_| false), "a b \\u{1b}[2Jc");
        assert_eq!(
            quote_message("a\u{202e}b \u{7f}\u{200b}", &[], |_| false),
            "a\\u{202e}b \\u{7f}\\u{200b}"
        );
        assert_eq!(quote_message("\n", &[], |_| false), "without a reason");
    }

    #[test]
    fn a_quote_is_cut_between_characters_and_after_redaction() {
        assert_eq!(quote_message(&"é".repeat(401), &[], |_| false), format!("{}...", "é".repeat(400)));
        assert_eq!(quote_message(&"é".repeat(400), &[], |_| false), "é".repeat(400));
        let long = format!("{} secret-token", "x".repeat(395));
        assert!(!quote_message(&long, &["secret-token"], |_| false).contains("secr"));
    }

    #[test]
    fn only_the_beginning_of_a_long_text_is_examined() {
        let examined = std::cell::Cell::new(0);
        let judge = |word: &str| {
            examined.set(examined.get() + word.len());
            word.starts_with("AKIA")
        };
        let line = quote_message(&"AKIA1 x\n".repeat(1_000_000), &[], judge);
        assert!(line.starts_with("[redacted] x [redacted] x") && line.ends_with("..."), "{line}");
        assert_eq!(line.chars().count(), MAX_QUOTE_LEN + 3);
        assert!(examined.get() < 1_000, "only the words of the quote: {}", examined.get());
        examined.set(0);
        assert_eq!(
            quote_message(&"x".repeat(1 << 20), &[], judge),
            format!("{}...", "x".repeat(MAX_QUOTE_LEN))
        );
        assert_eq!(examined.get(), MAX_EXAMINED_LEN);
    }

    #[test]
    fn a_word_across_the_end_of_the_examined_part_is_left_out() {
        let spaces = " ".repeat(MAX_EXAMINED_LEN - 6);
        assert_eq!(quote_message(&format!("a{spaces}hunter2hunter2"), &[], |word| word.len() == 14), "a...");
        assert_eq!(
            quote_message(&format!("a{spaces}hunter2hunter2"), &["hunter2hunter2"], |_| false),
            "[redacted]"
        );
        assert_eq!(
            quote_message(&"é".repeat(MAX_EXAMINED_LEN), &[], |_| false),
            format!("{}...", "é".repeat(MAX_QUOTE_LEN))
        );
    }

    #[test]
    fn a_word_is_judged_without_the_invisible_characters_in_it() {
        assert_eq!(quote_message("id AK\u{200b}IA\u{1b}1 x", &[], |word| word == "AKIA1"), "id [redacted] x");
        assert_eq!(quote_message("s.12\r\n34 s.1%32%334", &["s.1234"], |_| false), "[redacted] [redacted]");
    }

    #[test]
    fn an_empty_secret_hides_nothing() {
        assert_eq!(quote_message("abc", &[""], |_| false), "abc");
    }
}
