//! Digests in the smallest alphabet that all backends share.

use sha2::{Digest, Sha256};

/// Length of a digest in base32, in bytes.
pub(super) const LEN: usize = 52;
const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

/// Returns the SHA-256 of a text in 52 letters and digits of lower-case base32 (RFC 4648, without
/// padding). It is a name or label value that every backend accepts, for a text that is too long
/// itself. It is not secret; never pass a secret.
#[must_use]
pub fn digest(text: &str) -> String {
    let digest = Sha256::new().chain_update(b"cred/name/v1\0").chain_update(text.as_bytes()).finalize();
    let mut encoded = String::with_capacity(LEN);
    let (mut buffer, mut bits) = (0_usize, 0_u32);
    for byte in digest {
        buffer = (buffer << 8) | usize::from(byte);
        bits += 8;
        while bits >= 5 {
            bits -= 5;
            encoded.extend(letter(buffer >> bits));
        }
        buffer &= (1 << bits) - 1;
    }
    // 256 bits are 51 letters and one bit.
    encoded.extend(letter(buffer << (5 - bits)));
    encoded
}

pub(super) fn is_digest(text: &str) -> bool {
    text.len() == LEN && text.bytes().all(|byte| ALPHABET.contains(&byte))
}

fn letter(bits: usize) -> Option<char> {
    ALPHABET.get(bits % ALPHABET.len()).map(|letter| char::from(*letter))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_matches_that_of_other_tools() {
        // python3:
        // digest = hashlib.sha256(b"cred/name/v1\0org:acme/id").digest()
        // base64.b32encode(digest).decode().lower().rstrip("=")
        assert_eq!(digest("org:acme/id"), "2wudjawjs2637rjuk2i3duysribz5qvuai5pgl7sig7dstgce6pq");
        assert!(is_digest(&digest("")));
        assert!(!is_digest("") && !is_digest(&"A".repeat(LEN)) && !is_digest(&"a".repeat(LEN + 1)));
    }
}
