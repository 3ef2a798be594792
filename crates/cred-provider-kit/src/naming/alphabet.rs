//! Writing a text in the letters that a backend has, and reading it back.

use super::digest;

/// How texts are written in one backend. No code begins another, and none begins with a byte that
/// stands for itself, so that a text is read back in one way.
#[derive(Debug, Clone, Copy)]
pub(super) struct Alphabet {
    /// Bytes that stand for themselves.
    pub(super) plain: Plain,
    /// Bytes that have a code of their own.
    pub(super) codes: &'static [(u8, &'static str)],
    /// Switches between lower and upper case; `None`: letters stand for themselves.
    pub(super) shift: Option<&'static str>,
    /// Goes before a byte's two hexadecimal digits.
    pub(super) hex: &'static str,
    /// Goes before a digest.
    pub(super) hashed: &'static str,
}

/// A set of ASCII bytes: a bit for each.
#[derive(Debug, Clone, Copy)]
pub(super) struct Plain(u128);

impl Plain {
    pub(super) const LOWER_AND_DIGITS: Self = Self(0).and(b"abcdefghijklmnopqrstuvwxyz0123456789");
    pub(super) const ALPHANUMERIC: Self = Self::LOWER_AND_DIGITS.and(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ");

    /// With these besides. What is not ASCII stays out.
    pub(super) const fn and(self, bytes: &[u8]) -> Self {
        let (mut set, mut rest) = (self.0, bytes);
        while let [byte, after @ ..] = rest {
            if byte.is_ascii() {
                set |= 1 << *byte;
            }
            rest = after;
        }
        Self(set)
    }

    pub(super) const fn has(self, byte: u8) -> bool {
        byte.is_ascii() && (self.0 >> byte) & 1 == 1
    }
}

impl Alphabet {
    /// Writes a text. The byte at a position that is `refused` is written in hexadecimal.
    pub(super) fn encode(&self, text: &str, refused: impl Fn(usize) -> bool) -> String {
        let mut written = String::with_capacity(text.len() * 2);
        let mut upper = false;
        for (at, byte) in text.bytes().enumerate() {
            if refused(at) {
                self.push_hex(byte, &mut written);
            } else if let Some(shift) = self.shift.filter(|_| byte.is_ascii_alphabetic()) {
                if byte.is_ascii_uppercase() != upper {
                    upper = !upper;
                    written.push_str(shift);
                }
                written.push(char::from(byte.to_ascii_lowercase()));
            } else if self.plain.has(byte) {
                written.push(char::from(byte));
            } else if let Some((_, code)) = self.codes.iter().find(|(coded, _)| *coded == byte) {
                written.push_str(code);
            } else {
                self.push_hex(byte, &mut written);
            }
        }
        written
    }

    /// Reads a text; `None` where no text is written so. What it gives must be written again and
    /// compared, as a text can be spelled in more ways than one.
    pub(super) fn decode(&self, written: &str) -> Option<String> {
        let mut text = String::with_capacity(written.len());
        let mut upper = false;
        let mut rest = written;
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
                let byte = u8::try_from(first).ok().filter(|byte| self.plain.has(*byte))?;
                text.push(char::from(if upper { byte.to_ascii_uppercase() } else { byte }));
                rest = rest.get(1..)?;
            }
        }
        Some(text)
    }

    /// Whether it is a digest with its mark.
    pub(super) fn is_hashed(&self, written: &str) -> bool {
        written.strip_prefix(self.hashed).is_some_and(digest::is_digest)
    }

    fn code<'a>(&self, rest: &'a str) -> Option<(u8, &'a str)> {
        self.codes.iter().find_map(|(byte, code)| Some((*byte, rest.strip_prefix(code)?)))
    }

    fn push_hex(&self, byte: u8, written: &mut String) {
        written.push_str(self.hex);
        for digit in [byte >> 4, byte & 0xf] {
            written.extend(char::from_digit(digit.into(), 16));
        }
    }
}
