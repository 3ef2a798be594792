//! Escapes text from files, backends and names so that it is safe to print on a terminal.

use std::borrow::Cow;
use std::fmt::Write as _;

/// Escapes every character that could move the cursor, change colours, begin a line or reorder
/// text, for example as `\u{1b}`. Secret values are never passed to this function.
pub(crate) fn escaped(text: &str) -> Cow<'_, str> {
    escaped_if(text, is_active)
}

/// Like [`escaped`], and also escapes every character outside ASCII, which can look like one in
/// ASCII.
pub(crate) fn in_ascii(text: &str) -> Cow<'_, str> {
    escaped_if(text, |letter| is_active(letter) || !letter.is_ascii())
}

fn escaped_if(text: &str, is_escaped: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.chars().any(&is_escaped) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for letter in text.chars() {
        match letter {
            '\n' => shown.push_str("\\n"),
            letter if is_escaped(letter) => _ = write!(shown, "{}", letter.escape_unicode()),
            letter => shown.push(letter),
        }
    }
    Cow::Owned(shown)
}

/// Like [`escaped`], for a JSON document, which has another form of escapes. Such characters occur
/// only inside its strings; line ends between them stay.
pub(crate) fn escaped_json(json: &str) -> String {
    let mut shown = String::with_capacity(json.len());
    for letter in json.chars() {
        if letter != '\n' && is_active(letter) {
            let mut units = [0; 2];
            letter.encode_utf16(&mut units).iter().for_each(|unit| _ = write!(shown, "\\u{unit:04x}"));
        } else {
            shown.push(letter);
        }
    }
    shown
}

/// Control characters (C0, DEL, C1), bidirectional controls (Unicode Annex 9), and characters that
/// some terminals treat as a line end.
pub(crate) fn is_active(letter: char) -> bool {
    letter.is_control()
        || matches!(
            letter,
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_and_bidi_characters_are_escaped_and_other_text_is_not() {
        assert_eq!(escaped("Zürich 東京 \\ \"x\""), "Zürich 東京 \\ \"x\"");
        assert_eq!(escaped("a\x1b[31m\nb\u{9b}c\u{202e}d"), "a\\u{1b}[31m\\nb\\u{9b}c\\u{202e}d");
    }

    #[test]
    fn an_escaped_document_parses_to_the_same_value() {
        let value = "a\u{9b}b\u{202e}c\x7f\n\u{2066}";
        let json = serde_json::to_string_pretty(&[value]).unwrap();
        let shown = escaped_json(&json);
        assert!(!shown.chars().any(|letter| letter != '\n' && is_active(letter)), "{shown}");
        assert_eq!(serde_json::from_str::<Vec<String>>(&shown).unwrap(), [value]);
    }
}
