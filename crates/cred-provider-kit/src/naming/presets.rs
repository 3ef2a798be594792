//! The rules of the backends that `cred` supports, each with its source.

use super::alphabet::{Alphabet, Plain};
use super::rules::Rules;

/// AWS Secrets Manager: at most 512 characters of `A-Za-z0-9/_+=.@-`, case-sensitive, not ending
/// with a hyphen and six characters
/// ([CreateSecret](https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_CreateSecret.html):
/// they look like the end of an ARN). A prefix has at most 458 bytes.
pub const AWS: Rules = Rules {
    backend: "aws",
    alphabet: Alphabet {
        plain: Plain::ALPHANUMERIC.with(b"_-./"),
        codes: &[(b':', "=")],
        shift: None,
        hex: "@",
        hashed: "@h",
    },
    max_len: Some(512),
    ignores_case: false,
    refused: would_end_as_an_arn,
    unusable: ends_as_an_arn,
    prefix_problem: |_, prefix| {
        // A provider with a shorter prefix would read a `=` in this one as the mark of a scope.
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"/_+.@-".contains(&byte);
        (!prefix.bytes().all(allowed))
            .then_some("contains a character that is not allowed here; use A-Z a-z 0-9 / _ + . @ -")
    },
};

/// Refuses a hyphen of the id before the last six bytes. If the text has six bytes behind a prefix
/// that ends with a hyphen, refuses the first byte of the id. Never refuses a byte of the scope, by
/// which listings find the name.
fn would_end_as_an_arn(prefix: &[u8], text: &[u8], at: usize) -> bool {
    match text.len().checked_sub(7) {
        Some(seventh) => {
            at == seventh && text.get(at) == Some(&b'-') && !text.iter().skip(at).any(|b| *b == b'/')
        }
        None => {
            let id = || text.iter().rposition(|byte| *byte == b'/').map_or(0, |slash| slash + 1);
            text.len() == 6 && prefix.last() == Some(&b'-') && at == id()
        }
    }
}

/// The remaining cases: the hyphen is in the scope, or in the prefix but not its last byte.
fn ends_as_an_arn(name: &str) -> bool {
    name.len().checked_sub(7).is_some_and(|seventh| name.as_bytes().get(seventh) == Some(&b'-'))
}

/// Azure Key Vault: 1 to 127 characters of `0-9A-Za-z-`, compared without case ([object
/// identifiers](https://learn.microsoft.com/azure/key-vault/general/about-keys-secrets-certificates)).
/// A prefix has at most 73 bytes.
pub const AZURE: Rules = Rules {
    backend: "azure",
    alphabet: DASHED,
    max_len: Some(127),
    ignores_case: true,
    refused: |_, _, _| false,
    unusable: |_| false,
    prefix_problem: |_, prefix| {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        (!prefix.bytes().all(allowed)).then_some("contains a character that Azure refuses; use A-Z a-z 0-9 -")
    },
};

/// Kubernetes object names: at most 253 characters, a DNS subdomain
/// ([names](https://kubernetes.io/docs/concepts/overview/working-with-objects/names/)): lower-case
/// letters, digits, `-` and `.`, beginning and ending with a letter or digit, as does each label
/// between dots. A prefix is required, since the first byte of an encoded path may be a mark. It
/// has at most 199 bytes. A [`digest`](fn@super::digest) is also a valid label value.
pub const KUBERNETES: Rules = Rules {
    backend: "kubernetes",
    alphabet: DASHED,
    max_len: Some(253),
    ignores_case: false,
    // A hyphen is encoded as two hyphens, and a hyphen cannot end a name.
    refused: |_, text, at| at + 1 == text.len() && text.get(at) == Some(&b'-'),
    unusable: |_| false,
    prefix_problem: |_, prefix| {
        const PROBLEM: &str = "cannot begin a Kubernetes name; use a-z 0-9 - and . and begin with a letter or digit, as in `app-`";
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let begins = |label: &str| label.starts_with(|first: char| first.is_ascii_alphanumeric());
        let labels = || prefix.split('.');
        let before_a_dot = prefix.rsplit_once('.').map_or("", |(labels, _)| labels);
        let fine = labels().all(|label| label.bytes().all(allowed) && begins(label))
            && before_a_dot.split('.').all(|label| !label.ends_with('-'));
        (!fine).then_some(PROBLEM)
    },
};

/// Vault and OpenBao KV v2: path segments, case-sensitive, none of them empty, `.` or `..`, which
/// clients resolve away. A path already consists of such segments, and the longest is far below the
/// key limit of Raft storage (32 KiB,
/// [limits](https://developer.hashicorp.com/vault/docs/internals/limits)); nothing is ever hashed.
/// The limit of Consul storage is 512 bytes, encrypted and encoded: keep paths below 250 bytes
/// there. A prefix is empty or ends with `/`, and contains no `:`: otherwise, the names of scope
/// `org:acme` below `app/` would be the unscoped names of the prefix `app/org:acme/`.
pub const VAULT: Rules = Rules {
    backend: "vault",
    alphabet: Alphabet {
        plain: Plain::ALPHANUMERIC.with(b"_-.:/"),
        codes: &[],
        shift: None,
        hex: "~",
        hashed: "~h",
    },
    max_len: None,
    ignores_case: false,
    refused: |_, _, _| false,
    unusable: |_| false,
    prefix_problem: |_, prefix| {
        const PROBLEM: &str =
            "must be segments of A-Z a-z 0-9 _ - . joined by `/`, none of them empty, `.` or `..`";
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
        let segment = |text: &str| !matches!(text, "" | "." | "..") && text.bytes().all(allowed);
        let fine =
            prefix.is_empty() || prefix.strip_suffix('/').is_some_and(|path| path.split('/').all(segment));
        (!fine).then_some(PROBLEM)
    },
};

/// For backends that only allow letters of one case, digits and the hyphen.
const DASHED: Alphabet = Alphabet {
    plain: Plain::LOWER_AND_DIGITS,
    codes: &[(b'-', "--"), (b'_', "-u"), (b':', "-c"), (b'/', "-s"), (b'.', "-p")],
    shift: Some("-k"),
    hex: "-x",
    hashed: "-h",
};
