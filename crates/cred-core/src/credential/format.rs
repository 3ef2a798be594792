//! Checks the format of a credential's fields by its kind.

use std::fmt;

use self::FormatProblem::{ControlCharacter, ControlCharacterAtEnd, Empty, IncompletePem, NoValue, NotText};
use super::{Credential, CredentialKind, field};
use crate::ExposeSecret;

/// A fault in the fields of a credential, found by [`Credential::format_problems`]. The message
/// names the field and what to do, and never contains a value.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FormatProblem {
    /// An opaque or custom credential has no field, or all its fields are empty.
    #[error("none of its fields has a value; store the credential again with a value")]
    NoValue,
    /// A field that the kind requires is missing or empty. An API key or a token that consists only
    /// of white space and control characters counts as empty.
    #[error("field `{field}` is missing or empty; store the credential again with its value")]
    Empty {
        /// The field.
        field: &'static str,
    },
    /// An API key or a token is not UTF-8 text.
    #[error("field `{field}` is not UTF-8 text; store it as text, or as an opaque credential")]
    NotText {
        /// The field.
        field: &'static str,
    },
    /// A single-line API key or token begins or ends with a control character, such as the line
    /// break at the end of a file; or a multi-line one begins or ends with a control character
    /// other than a line break or a tab.
    #[error(
        "field `{field}` begins or ends with a line break or another control character; store it again \
         without that character"
    )]
    ControlCharacterAtEnd {
        /// The field.
        field: &'static str,
    },
    /// An API key or a token contains a control character other than a line break or a tab, such as
    /// the escape characters that a terminal adds to pasted text.
    #[error("field `{field}` contains a control character; store it again without that character")]
    ControlCharacter {
        /// The field.
        field: &'static str,
    },
    /// A key or certificate has a PEM `BEGIN` line without the matching `END` line, or the reverse.
    #[error("field `{field}` has an incomplete PEM block; store the complete file again")]
    IncompletePem {
        /// The field.
        field: &'static str,
    },
}

impl fmt::Debug for FormatProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        crate::fmt_report(self, f)
    }
}

impl Credential {
    /// Returns every fault in the format of the fields, by the rules of the kind; empty if no
    /// field has a fault. The faults are in the order of the fields in this table:
    ///
    /// | kind | rules |
    /// |---|---|
    /// | API key | [`VALUE`](field::VALUE) is text, is not blank, and has no stray control characters |
    /// | token | the same for [`ACCESS_TOKEN`](field::ACCESS_TOKEN), and for [`REFRESH_TOKEN`](field::REFRESH_TOKEN) if it has a value |
    /// | login | [`PASSWORD`](field::PASSWORD) is not empty; it and [`USERNAME`](field::USERNAME) may contain any characters |
    /// | key pair | [`PRIVATE_KEY`](field::PRIVATE_KEY) and [`PUBLIC_KEY`](field::PUBLIC_KEY) are not empty; each PEM block is complete; other formats, such as DER, are not checked |
    /// | opaque, custom | at least one field is not empty |
    ///
    /// A line break at the end of a multi-line text, such as a JSON file, is not a fault. Other
    /// fields are not checked. The rules only check the format: a service may still refuse a
    /// credential without faults.
    ///
    /// A credential with a fault can still be stored; `validate` of `cred-manager` reports it. This
    /// method does not call a backend. Its time is linear in the size of the fields.
    ///
    /// ```
    /// use cred_core::{Credential, FormatProblem, field};
    ///
    /// let from_file = Credential::api_key("sk_live_example\n");
    /// let found = from_file.format_problems();
    /// assert_eq!(found, [FormatProblem::ControlCharacterAtEnd { field: field::VALUE }]);
    /// assert!(Credential::api_key("sk_live_example").format_problems().is_empty());
    /// ```
    #[must_use]
    pub fn format_problems(&self) -> Vec<FormatProblem> {
        match self.0.kind {
            CredentialKind::ApiKey => self.text_problems(field::VALUE),
            CredentialKind::Token => {
                let mut problems = self.text_problems(field::ACCESS_TOKEN);
                if !self.value(field::REFRESH_TOKEN).is_empty() {
                    problems.extend(self.text_problems(field::REFRESH_TOKEN));
                }
                problems
            }
            CredentialKind::UsernamePassword => {
                // Some services take a token without a user name.
                let field = field::PASSWORD;
                if self.value(field).is_empty() { vec![Empty { field }] } else { Vec::new() }
            }
            CredentialKind::KeyPair => {
                let fields = [field::PRIVATE_KEY, field::PUBLIC_KEY].into_iter();
                fields.filter_map(|field| self.key_problem(field)).collect()
            }
            CredentialKind::Opaque | CredentialKind::Custom(_) => {
                let has_value = self.0.fields.values().any(|value| !value.expose_secret().is_empty());
                if has_value { Vec::new() } else { vec![NoValue] }
            }
        }
    }

    fn text_problems(&self, field: &'static str) -> Vec<FormatProblem> {
        let Ok(text) = std::str::from_utf8(self.value(field)) else { return vec![NotText { field }] };
        let inner = text.trim_matches(char::is_control);
        if inner.trim().is_empty() {
            return vec![Empty { field }];
        }
        let is_stray = |c: char| !(inner.contains('\n') && matches!(c, '\t' | '\r' | '\n'));
        let (start, end) = text.split_once(inner).unwrap_or_default();
        let at_end = start.chars().chain(end.chars()).any(is_stray);
        let inside = inner.chars().any(|c| c.is_control() && !matches!(c, '\t' | '\r' | '\n'));
        let at_end = at_end.then_some(ControlCharacterAtEnd { field });
        at_end.into_iter().chain(inside.then_some(ControlCharacter { field })).collect()
    }

    fn key_problem(&self, field: &'static str) -> Option<FormatProblem> {
        match self.value(field) {
            [] => Some(Empty { field }),
            key => has_incomplete_pem(key).then_some(IncompletePem { field }),
        }
    }

    /// Returns the value of a field; empty if the field is missing.
    fn value(&self, field: &str) -> &[u8] {
        self.0.fields.get(field).map_or(&[], |value| value.expose_secret())
    }
}

/// Returns whether a PEM block lacks its `BEGIN` line, or an `END` line with the same label. Bytes
/// that are not text are not PEM.
fn has_incomplete_pem(key: &[u8]) -> bool {
    let mut rest = std::str::from_utf8(key).unwrap_or_default();
    while let Some((before, block)) = rest.split_once("-----BEGIN ") {
        match after_pem_block(block) {
            Some(after) if !before.contains("-----END ") => rest = after,
            _ => return true,
        }
    }
    rest.contains("-----END ")
}

/// Returns the text after a PEM block that starts at its label. It does not allocate, because in a
/// damaged block the key may be in the place of the label.
fn after_pem_block(block: &str) -> Option<&str> {
    let (label, body) = block.split_once("-----")?;
    let (contents, end) = body.split_once("-----END ")?;
    if contents.contains("-----BEGIN ") {
        return None;
    }
    end.strip_prefix(label)?.strip_prefix("-----")
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEM: &str = "-----BEGIN PRIVATE KEY-----\nbm90IGEga2V5\n-----END PRIVATE KEY-----\n";
    const CHAIN: &str = "subject=a\n-----BEGIN CERTIFICATE-----\nYQ==\n-----END CERTIFICATE-----\n\
                         -----BEGIN CERTIFICATE-----\nYg==\n-----END CERTIFICATE-----\n";

    fn custom(fields: &[(&str, &str)]) -> Credential {
        fields.iter().fold(Credential::custom("webhook".parse().unwrap()), |credential, (name, value)| {
            credential.with_field(name.parse().unwrap(), value.as_bytes().to_vec())
        })
    }

    #[test]
    fn real_credentials_have_no_format_problems() {
        for credential in [
            Credential::api_key("sk_live_example"),
            Credential::api_key(" key with spaces\tand a tab "),
            Credential::api_key("schlüssel"),
            Credential::api_key("{\n  \"type\": \"service_account\"\n}\n"),
            Credential::api_key("{\r\n  \"type\": \"service_account\"\r\n}\r\n"),
            Credential::token("eyJhbGciOiJIUzI1NiJ9.e30.c2ln"),
            Credential::oauth2_token("a", "r"),
            Credential::oauth2_token("a", ""),
            Credential::username_password("app", "hunter2"),
            Credential::username_password("", "a token"),
            Credential::username_password("app", " \u{1b}\n"),
            Credential::key_pair(PEM.as_bytes().to_vec(), CHAIN.as_bytes().to_vec()),
            Credential::key_pair(PEM.replace('\n', "\\n").into_bytes(), b"ssh-ed25519 AAAA app\n".to_vec()),
            Credential::key_pair(vec![0x30, 0x82, 0xff], vec![0x30, 0x82]),
            Credential::text("\n"),
            Credential::opaque(vec![0]),
            custom(&[("url", "https://example.com"), ("note", "")]),
        ] {
            assert_eq!(credential.format_problems(), [], "{credential:?}");
        }
    }

    #[test]
    fn each_kind_finds_its_faults() {
        let value = field::VALUE;
        let binary = |credential: Credential, name: &str| {
            credential.with_field(name.parse().unwrap(), vec![0xff, 0xfe, b'k', 0])
        };
        let (private_key, public_key) = (field::PRIVATE_KEY, field::PUBLIC_KEY);
        for (credential, expected) in [
            (Credential::api_key(""), vec![Empty { field: value }]),
            (Credential::api_key(" \n"), vec![Empty { field: value }]),
            (Credential::api_key("key\n"), vec![ControlCharacterAtEnd { field: value }]),
            (Credential::api_key("key\r\n"), vec![ControlCharacterAtEnd { field: value }]),
            (Credential::api_key("\0key"), vec![ControlCharacterAtEnd { field: value }]),
            (Credential::api_key("\u{1b}[200~{\n}\n\0"), vec![ControlCharacterAtEnd { field: value }]),
            (Credential::api_key("k\0e\0y"), vec![ControlCharacter { field: value }]),
            (binary(Credential::api_key("k"), value), vec![NotText { field: value }]),
            (Credential::of(CredentialKind::ApiKey), vec![Empty { field: value }]),
            (Credential::token(""), vec![Empty { field: field::ACCESS_TOKEN }]),
            (Credential::username_password("app", ""), vec![Empty { field: field::PASSWORD }]),
            (Credential::key_pair(PEM.as_bytes().to_vec(), vec![]), vec![Empty { field: public_key }]),
            (
                Credential::key_pair(PEM.as_bytes()[..40].to_vec(), vec![1]),
                vec![IncompletePem { field: private_key }],
            ),
            (
                Credential::key_pair(vec![1], CHAIN.as_bytes()[..CHAIN.len() - 9].to_vec()),
                vec![IncompletePem { field: public_key }],
            ),
            (
                Credential::key_pair(PEM.replace("END PRIVATE", "END PUBLIC").into_bytes(), vec![1]),
                vec![IncompletePem { field: private_key }],
            ),
            (
                Credential::key_pair(PEM.replace("-----BEGIN", "").into_bytes(), vec![1]),
                vec![IncompletePem { field: private_key }],
            ),
            (
                Credential::key_pair(
                    vec![1],
                    CHAIN.replacen("-----END CERTIFICATE-----\n", "", 1).into_bytes(),
                ),
                vec![IncompletePem { field: public_key }],
            ),
            (Credential::text(""), vec![NoValue]),
            (Credential::opaque(vec![]), vec![NoValue]),
            (custom(&[]), vec![NoValue]),
            (custom(&[("a", ""), ("b", "")]), vec![NoValue]),
        ] {
            assert_eq!(credential.format_problems(), expected, "{credential:?}");
        }
    }

    #[test]
    fn all_faults_of_a_credential_are_found() {
        let (access, refresh) = (field::ACCESS_TOKEN, field::REFRESH_TOKEN);
        assert_eq!(
            Credential::oauth2_token("\u{1b}[200~a\n", "r\u{1}r\n").format_problems(),
            [
                ControlCharacterAtEnd { field: access },
                ControlCharacterAtEnd { field: refresh },
                ControlCharacter { field: refresh },
            ]
        );
        assert_eq!(
            Credential::username_password("", "").format_problems(),
            [Empty { field: field::PASSWORD }]
        );
        assert_eq!(
            Credential::key_pair(vec![], b"-----BEGIN CERTIFICATE".to_vec()).format_problems(),
            [Empty { field: field::PRIVATE_KEY }, IncompletePem { field: field::PUBLIC_KEY }]
        );
    }

    #[test]
    fn a_format_problem_does_not_contain_the_value() {
        let credential = Credential::oauth2_token("hunter2\n", "hunt\0er2");
        let found = credential.format_problems();
        assert_eq!(found.len(), 2);
        for problem in found {
            assert!(!format!("{problem} {problem:?}").contains("hunt"), "{problem}");
        }
    }
}
