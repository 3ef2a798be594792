//! Encodes texts in the characters that a backend allows, and decodes them.

use super::digest;

/// The encoding of texts in one backend. No code is the beginning of another, and none begins with
/// a byte that stands for itself, so decoding is unambiguous.
#[derive(Debug, Clone, Copy)]
pub(super) struct Alphabet {
    /// Bytes that stand for themselves.
    pub(super) plain: Plain,
    /// Bytes that have a special code.
    pub(super) codes: &'static [(u8, &'static str)],
    /// Switches between lower and upper case; `None`: letters stand for themselves.
    pub(super) shift: Option<&'static str>,
    /// Precedes the two hexadecimal digits of a byte.
    pub(super) hex: &'static str,
    /// Precedes a digest.
    pub(super) hashed: &'static str,
}

/// A set of ASCII bytes: a bit for each.
#[derive(Debug, Clone, Copy)]
pub(super) struct Plain(u128);

impl Plain {
    pub(super) const LOWER_AND_DIGITS: Self = Self(0).with(b"abcdefghijklmnopqrstuvwxyz0123456789");
    pub(super) const ALPHANUMERIC: Self = Self::LOWER_AND_DIGITS.with(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ");

    /// Adds these bytes. Ignores bytes that are not ASCII.
    pub(super) const fn with(self, bytes: &[u8]) -> Self {
        let (mut set, mut rest) = (self.0, bytes);
        while let [byte, after @ ..] = rest {
            if byte.is_ascii() {
                set |= 1 << *byte;
            }
            rest = after;
        }
        Self(set)
    }

    pub(super) const fn contains(self, byte: u8) -> bool {
        byte.is_ascii() && (self.0 >> byte) & 1 == 1
    }
}

impl Alphabet {
    /// Encodes a text. The byte at a `refused` position is encoded in hexadecimal.
    pub(super) fn encode(&self, text: &str, refused: impl Fn(usize) -> bool) -> String {
        let mut encoded = String::with_capacity(text.len() * 2);
        let mut upper = false;
        for (at, byte) in text.bytes().enumerate() {
            if refused(at) {
                self.push_hex(byte, &mut encoded);
            } else if let Some(shift) = self.shift.filter(|_| byte.is_ascii_alphabetic()) {
                if byte.is_ascii_uppercase() != upper {
                    upper = !upper;
                    encoded.push_str(shift);
                }
                encoded.push(char::from(byte.to_ascii_lowercase()));
            } else if self.plain.contains(byte) {
                encoded.push(char::from(byte));
            } else if let Some((_, code)) = self.codes.iter().find(|(coded, _)| *coded == byte) {
                encoded.push_str(code);
            } else {
                self.push_hex(byte, &mut encoded);
            }
        }
        encoded
    }

    /// Decodes a text; `None` if no text is encoded like this. The caller must encode the result
    /// again and compare, since several inputs can decode to one text.
    pub(super) fn decode(&self, encoded: &str) -> Option<String> {
        let mut text = String::with_capacity(encoded.len());
        let mut upper = false;
        let mut rest = encoded;
        while let Some(first) = rest.chars().next() {
            if let Some(after) = rest.strip_prefix(self.hex) {
                let (digits, after) = after.split_at_checked(2)?;
                text.push(char::from(u8::from_str_radix(digits, 16).ok().filter(u8::is_ascii)?));
                rest = after;
            } else if let Some(after) = self.shift.and_then(|shift| rest.strip_prefix(shift)) {
                upper = !upper;
                rest = after;
            } else if let Some((byte, after)) = self.code(rest) {
                text.push(char::from(byte));
                rest = after;
            } else {
                let byte = u8::try_from(first).ok().filter(|byte| self.plain.contains(*byte))?;
                text.push(char::from(if upper { byte.to_ascii_uppercase() } else { byte }));
                rest = rest.get(1..)?;
            }
        }
        Some(text)
    }

    /// Whether the text is a digest with its mark.
    pub(super) fn is_hashed(&self, encoded: &str) -> bool {
        encoded.strip_prefix(self.hashed).is_some_and(digest::is_digest)
    }

    fn code<'a>(&self, rest: &'a str) -> Option<(u8, &'a str)> {
        self.codes.iter().find_map(|(byte, code)| Some((*byte, rest.strip_prefix(code)?)))
    }

    fn push_hex(&self, byte: u8, encoded: &mut String) {
        encoded.push_str(self.hex);
        for digit in [byte >> 4, byte & 0xf] {
            encoded.extend(char::from_digit(digit.into(), 16));
        }
    }
}
