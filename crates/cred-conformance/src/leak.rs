//! Searches a text for secret bytes, in any of the spellings that a derived `Debug` or an encoder
//! produces.

/// Returns the spelling in which the secret was found; `None` if it was not found.
pub(crate) fn leak(text: &str, secret: &[u8]) -> Option<&'static str> {
    let list = |spell: fn(&u8) -> String, separator: &str| {
        secret.iter().map(spell).collect::<Vec<_>>().join(separator)
    };
    let hex = list(|byte| format!("{byte:02x}"), "");
    let spellings = [
        ("as plain text", String::from_utf8_lossy(secret).into_owned()),
        ("as escaped text", secret.escape_ascii().to_string()),
        ("in lower hex", hex.clone()),
        ("in upper hex", hex.to_uppercase()),
        ("as a list of numbers", list(u8::to_string, ", ")),
        ("as a list of numbers", list(u8::to_string, ",")),
    ];
    if let Some((how, _)) = spellings.iter().find(|(_, spelling)| text.contains(spelling.as_str())) {
        return Some(how);
    }
    // Inside a longer encoding the same bytes are encoded in one of three ways, depending on their
    // offset. The letters at both ends depend on the neighbouring bytes and are left out.
    (0..3_usize)
        .filter_map(|skip| secret.get(skip..))
        .map(|tail| base64(tail.get(..tail.len() / 3 * 3).unwrap_or_default()))
        .filter(|spelling| spelling.len() >= 8)
        .any(|spelling| {
            text.contains(&spelling) || text.contains(&spelling.replace('+', "-").replace('/', "_"))
        })
        .then_some("in base64")
}

/// Standard base64 (RFC 4648) without padding.
pub(crate) fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let byte = |index: usize| u32::from(chunk.get(index).copied().unwrap_or_default());
        let group = byte(0) << 16 | byte(1) << 8 | byte(2);
        for index in 0..=chunk.len() {
            let letter = group >> (18 - 6 * index) & 63;
            text.extend(LETTERS.get(letter as usize).map(|letter| char::from(*letter)));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_matches_the_rfc_test_vectors() {
        for (bytes, text) in [
            ("", ""),
            ("f", "Zg"),
            ("fo", "Zm8"),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg"),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
    }

    #[test]
    fn a_secret_is_found_in_every_spelling() {
        let secret = b"canary-7f3a91";
        let debug = format!("{secret:?}");
        for text in [
            "the token canary-7f3a91 is bad",
            &debug,
            "63616e6172792d376633613931",
            "63616E6172792D376633613931",
            &base64(b"canary-7f3a91"),
            &base64(b"xcanary-7f3a91y"),
            &base64(b"xycanary-7f3a91"),
        ] {
            assert!(leak(text, secret).is_some(), "{text}");
        }
        assert_eq!(leak("the token is bad; log in again", secret), None);
    }
}
