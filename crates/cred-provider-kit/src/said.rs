//! What a backend says of itself, as a part of an error's reason.

/// Characters, beyond which nobody reads on.
const LONGEST: usize = 400;

/// A backend's own words, fit for a reason: one line of at most 400 characters and `...`, without control characters; `without a
/// reason` where there are none. A server may repeat what it was sent: `hide` are values that must not be told, and
/// `looks_secret` judges a word where they are not known; both become `[redacted]`.
///
/// ```
/// use cred_provider_kit::said;
///
/// let words = said("denied:\n token s.1234 of AKIAEXAMPLE", &["s.1234"], |word| word.starts_with("AKIA"));
/// assert_eq!(words, "denied: token [redacted] of [redacted]");
/// ```
#[must_use]
pub fn said(text: &str, hide: &[&str], looks_secret: impl Fn(&str) -> bool) -> String {
    const REDACTED: &str = "[redacted]";
    let words = text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty());
    let words: Vec<_> = words.map(|word| if looks_secret(word) { REDACTED } else { word }).collect();
    let mut line = words.join(" ");
    // Before it is cut: half a secret would not be found.
    for secret in hide.iter().filter(|secret| !secret.is_empty()) {
        line = line.replace(secret, REDACTED);
    }
    match line.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}...", line.get(..end).unwrap_or_default()),
        None if line.is_empty() => "without a reason".to_owned(),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_one_line() {
        assert_eq!(said(" a\r\n\tb \u{1b}[2Jc", &[], |_| false), "a b [2Jc");
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
    fn nothing_to_hide_hides_nothing() {
        assert_eq!(said("abc", &[""], |_| false), "abc");
    }
}
