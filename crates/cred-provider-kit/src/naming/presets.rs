//! The rules of the backends, each with its source.

use super::alphabet::Alphabet;
use super::digest;

/// How one backend's names are built: one of [`AWS`], [`AZURE`], [`VAULT`] and [`KUBERNETES`].
#[derive(Debug, Clone, Copy)]
pub struct Rules {
    /// The backend in errors.
    pub(super) backend: &'static str,
    pub(super) alphabet: Alphabet,
    /// Bytes of a name with its prefix; `None`: every path has room.
    pub(super) max_len: Option<usize>,
    /// Whether the backend takes two names that differ in case for one.
    pub(super) ignores_case: bool,
    /// Whether the byte of a text at a position must be written in hexadecimal behind this prefix: a matter of its place.
    pub(super) refused: fn(prefix: &[u8], text: &[u8], at: usize) -> bool,
    /// Whether a whole name is refused none the less, so that it is hashed.
    pub(super) unusable: fn(&str) -> bool,
    /// What is wrong with a prefix, continuing a sentence that begins with it.
    prefix_problem: fn(&str) -> Option<&'static str>,
}

impl Rules {
    pub(super) fn check_prefix(&self, prefix: &str) -> Result<(), String> {
        if let Some(problem) = (self.prefix_problem)(prefix) {
            return Err(problem.to_owned());
        }
        let hashed = self.alphabet.hashed.len() + digest::LEN;
        match self.max_len.map(|limit| limit.saturating_sub(hashed)) {
            Some(limit) if prefix.len() > limit => {
                let length = prefix.len();
                Err(format!("is {length} bytes long and leaves no room for names; use at most {limit}"))
            }
            _ => Ok(()),
        }
    }
}

/// AWS Secrets Manager: 512 characters of `A-Za-z0-9/_+=.@-`, case-sensitive, not ending with a hyphen and six characters
/// ([CreateSecret](https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_CreateSecret.html): they look like
/// the end of an ARN). A prefix has at most 458 bytes.
pub const AWS: Rules = Rules {
    backend: "aws",
    alphabet: Alphabet {
        plain: |byte| byte.is_ascii_alphanumeric() || b"_-./".contains(&byte),
        codes: &[(b':', "=")],
        shift: None,
        hex: "@",
        hashed: "@h",
    },
    max_len: Some(512),
    ignores_case: false,
    refused: would_end_as_an_arn,
    unusable: ends_as_an_arn,
    prefix_problem: |prefix| {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"/_+=.@-".contains(&byte);
        (!prefix.bytes().all(allowed))
            .then_some("has a character that AWS refuses; use A-Z a-z 0-9 / _ + = . @ -")
    },
};

/// A hyphen of the id before the last six bytes, and, of six bytes behind a prefix that ends with a hyphen, the id's first. Never
/// a byte of the scope, by which listings find the name.
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
/// identifiers](https://learn.microsoft.com/azure/key-vault/general/about-keys-secrets-certificates)). A prefix has at
/// most 73 bytes.
pub const AZURE: Rules = Rules {
    backend: "azure",
    alphabet: DASHED,
    max_len: Some(127),
    ignores_case: true,
    refused: |_, _, _| false,
    unusable: |_| false,
    prefix_problem: |prefix| {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        (!prefix.bytes().all(allowed)).then_some("has a character that Azure refuses; use A-Z a-z 0-9 -")
    },
};

/// Kubernetes object names: 253 characters, a DNS subdomain
/// ([names](https://kubernetes.io/docs/concepts/overview/working-with-objects/names/)): lower-case letters, digits, `-`
/// and `.`, beginning and ending with a letter or digit, as does each label between dots. A prefix is needed, as a name's
/// own first byte may be a mark; it has at most 199 bytes. A [`digest`](fn@digest::digest) is a label value as well.
pub const KUBERNETES: Rules = Rules {
    backend: "kubernetes",
    alphabet: DASHED,
    max_len: Some(253),
    ignores_case: false,
    // A hyphen is written with hyphens alone, which cannot end a name.
    refused: |_, text, at| at + 1 == text.len() && text.get(at) == Some(&b'-'),
    unusable: |_| false,
    prefix_problem: |prefix| {
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

/// Vault and OpenBao KV v2: path segments, case-sensitive, none of them empty, `.` or `..`, which clients resolve away.
/// A path is such segments already, and the longest is far below what Raft storage takes for a key (32 KiB,
/// [limits](https://developer.hashicorp.com/vault/docs/internals/limits)); nothing is ever hashed. Consul as storage takes 512
/// bytes only, encrypted and encoded: keep paths below 250 bytes there. A prefix is empty or ends with `/`,
/// and has no `:`: the names of scope `org:acme` below `app/` would be the unscoped ones of the prefix `app/org:acme/`.
pub const VAULT: Rules = Rules {
    backend: "vault",
    alphabet: Alphabet {
        plain: |byte| byte.is_ascii_alphanumeric() || b"_-.:/".contains(&byte),
        codes: &[],
        shift: None,
        hex: "~",
        hashed: "~h",
    },
    max_len: None,
    ignores_case: false,
    refused: |_, _, _| false,
    unusable: |_| false,
    prefix_problem: |prefix| {
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
    plain: |byte| byte.is_ascii_lowercase() || byte.is_ascii_digit(),
    codes: &[(b'-', "--"), (b'_', "-u"), (b':', "-c"), (b'/', "-s"), (b'.', "-p")],
    shift: Some("-k"),
    hex: "-x",
    hashed: "-h",
};
