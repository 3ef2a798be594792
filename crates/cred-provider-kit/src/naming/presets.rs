//! The rules of the backends that `cred` has, each with its source.

use super::alphabet::{Alphabet, Plain};
use super::rules::Rules;

/// AWS Secrets Manager: 512 characters of `A-Za-z0-9/_+=.@-`, case-sensitive, not ending with a
/// hyphen and six characters
/// ([CreateSecret](https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_CreateSecret.html):
/// they look like the end of an ARN). A prefix has at most 458 bytes.
pub const AWS: Rules = Rules {
    backend: "aws",
    alphabet: Alphabet {
        plain: Plain::ALPHANUMERIC.and(b"_-./"),
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
        // A `=` would be the mark of a scope to who has the part before it for a prefix.
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"/_+.@-".contains(&byte);
        (!prefix.bytes().all(allowed))
            .then_some("has a character that it cannot have; use A-Z a-z 0-9 / _ + . @ -")
    },
};

/// A hyphen of the id before the last six bytes, and, of six bytes behind a prefix that ends with a
/// hyphen, the id's first. Never a byte of the scope, by which listings find the name.
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

/// What is left of them: the hyphen is one of the scope, or of the prefix but not its last.
fn ends_as_an_arn(name: &str) -> bool {
    name.len().checked_sub(7).is_some_and(|seventh| name.as_bytes().get(seventh) == Some(&b'-'))
}

/// Azure Key Vault: 1 to 127 of `0-9A-Za-z-`, compared without case ([object
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
        (!prefix.bytes().all(allowed)).then_some("has a character that Azure refuses; use A-Z a-z 0-9 -")
    },
};

/// Kubernetes object names: 253 characters, a DNS subdomain
/// ([names](https://kubernetes.io/docs/concepts/overview/working-with-objects/names/)): lower-case
/// letters, digits, `-` and `.`, beginning and ending with a letter or digit, as does each label
/// between dots. A prefix is needed, as a name's own first byte may be a mark; it has at most 199
/// bytes. A [`digest`](fn@super::digest) is a label value as well.
pub const KUBERNETES: Rules = Rules {
    backend: "kubernetes",
    alphabet: DASHED,
    max_len: Some(253),
    ignores_case: false,
    // A hyphen is written with hyphens alone, which cannot end a name.
    refused: |_, text, at| at + 1 == text.len() && text.get(at) == Some(&b'-'),
    unusable: |_| false,
    prefix_problem: |_, prefix| {
        const PROBLEM: &str = "begins no name in Kubernetes; use a-z 0-9 - and . and begin with a letter or digit, as in `app-`";
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
/// clients resolve away. A path is such segments already, and the longest is far below what Raft
/// storage takes for a key (32 KiB,
/// [limits](https://developer.hashicorp.com/vault/docs/internals/limits)); nothing is ever hashed.
/// Consul as storage takes 512 bytes only, encrypted and encoded: keep paths below 250 bytes there.
/// A prefix is empty or ends with `/`, and has no `:`: the names of scope `org:acme` below `app/`
/// would be the unscoped ones of the prefix `app/org:acme/`.
pub const VAULT: Rules = Rules {
    backend: "vault",
    alphabet: Alphabet {
        plain: Plain::ALPHANUMERIC.and(b"_-.:/"),
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

/// For backends that have letters of one case, digits and the hyphen alone.
const DASHED: Alphabet = Alphabet {
    plain: Plain::LOWER_AND_DIGITS,
    codes: &[(b'-', "--"), (b'_', "-u"), (b':', "-c"), (b'/', "-s"), (b'.', "-p")],
    shift: Some("-k"),
    hex: "-x",
    hashed: "-h",
};
