//! Sources of a value: a prompt, stdin, a file or the system's random source, never an argument.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use clap::Args;
use cred_core::{Credential, CredentialKind, FieldName, SecretSlice, Zeroizing, field};

use crate::blocking::{self, Stdin};
use crate::failure::{Exit, Failure};
use crate::{record, terminal};

/// Maximum length of a value, in bytes.
const MAX_LEN: usize = 64 * 1_024 * 1_024;

/// The options for the source of a value.
#[derive(Args)]
pub(crate) struct ValueArgs {
    /// Read the value from a file, byte for byte; `-` is stdin
    #[arg(long, value_name = "FILE", conflicts_with = "generate")]
    file: Option<PathBuf>,
    /// Generate a random value of LENGTH letters and digits (8 to 4096; default: 32)
    #[arg(long, value_name = "LENGTH", num_args = 0..=1, default_missing_value = "32", value_parser = clap::value_parser!(u16).range(8..=4096))]
    generate: Option<u16>,
    /// Read a JSON object with all fields, such as {"username": "..", "password": ".."}
    #[arg(long, conflicts_with = "generate")]
    fields: bool,
    /// Keep the line end at the end of stdin; by default, one is removed
    #[arg(long)]
    raw: bool,
}

impl ValueArgs {
    /// Reads the fields of a credential of this kind; with `only`, that one field.
    pub(crate) fn read(
        &self,
        kind: &CredentialKind,
        only: Option<&FieldName>,
    ) -> Result<Vec<(FieldName, SecretSlice<u8>)>, Failure> {
        if self.fields {
            return record::fields(&self.bytes("the fields")?);
        }
        let names = match only {
            Some(name) => vec![name.clone()],
            None => required_fields(kind)?,
        };
        let many = names.len() > 1;
        if many && (self.file().is_some() || self.generate.is_some() || !terminal::stdin_is_terminal()) {
            let list = names.iter().map(FieldName::as_str).collect::<Vec<_>>().join(", ");
            return Err(Failure::usage(format!("a credential of kind `{kind}` has several fields: {list}"))
                .hint("pass them as a JSON object with --fields"));
        }
        let read = |name: FieldName| Ok((name.clone(), secret(&self.bytes(name.as_str())?)));
        names.into_iter().map(read).collect()
    }

    /// The file of `--file`, unless it is stdin.
    fn file(&self) -> Option<&Path> {
        self.file.as_deref().filter(|path| path.as_os_str() != "-")
    }

    /// Reads one value.
    fn bytes(&self, name: &str) -> Result<Zeroizing<Vec<u8>>, Failure> {
        let bytes = match (self.file(), self.generate) {
            (Some(path), _) => {
                let failed = |error| Failure::file("read", path, error);
                read_all(File::open(path).map_err(failed)?).map_err(failed)?
            }
            (None, Some(length)) => generated(usize::from(length))?,
            (None, None) if terminal::stdin_is_terminal() => {
                let typed = terminal::prompt_hidden(&format!("Value of {name}: "))?;
                Zeroizing::new(typed.as_bytes().to_vec())
            }
            (None, None) if self.raw => stdin()?,
            (None, None) => without_line_end(stdin()?),
        };
        match bytes.is_empty() {
            true => Err(Failure::usage(format!("the field `{name}` is empty"))
                .hint("nothing was stored; give a value, or delete the credential with `cred rm`")),
            false => Ok(bytes),
        }
    }
}

/// Strips the line end that `echo` and most programs add.
fn without_line_end(mut bytes: Zeroizing<Vec<u8>>) -> Zeroizing<Vec<u8>> {
    if bytes.last() == Some(&b'\n') {
        bytes.pop();
        if bytes.last() == Some(&b'\r') {
            bytes.pop();
        }
    }
    bytes
}

/// Builds a credential of a kind from its fields.
pub(crate) fn credential(
    kind: &CredentialKind,
    fields: Vec<(FieldName, SecretSlice<u8>)>,
) -> Result<Credential, Failure> {
    let bare = match kind {
        CredentialKind::Opaque => Credential::text(""),
        CredentialKind::ApiKey => Credential::api_key(""),
        CredentialKind::UsernamePassword => Credential::username_password("", ""),
        CredentialKind::Token => Credential::token(""),
        CredentialKind::KeyPair => Credential::key_pair(Vec::new(), Vec::new()),
        CredentialKind::Custom(name) => Credential::custom(name.clone()),
        _ => {
            return Err(Failure::usage(format!(
                "this version of cred cannot create a credential of kind `{kind}`"
            )));
        }
    };
    for name in required_fields(kind)? {
        if !fields.iter().any(|(given, _)| *given == name) && !matches!(kind, CredentialKind::Custom(_)) {
            return Err(Failure::usage(format!("a credential of kind `{kind}` needs the field `{name}`")));
        }
    }
    Ok(fields.into_iter().fold(bare, |credential, (name, value)| credential.with_field(name, value)))
}

/// Rejects a single field for a kind that needs others.
pub(crate) fn check_field(kind: &CredentialKind, field: &FieldName) -> Result<(), Failure> {
    let required = required_fields(kind)?;
    if matches!(kind, CredentialKind::Custom(_)) || required.iter().all(|name| name == field) {
        return Ok(());
    }
    let names: Vec<_> = required.iter().map(|name| format!("`{name}`")).collect();
    let needed = format!("the field{} {}", if names.len() == 1 { "" } else { "s" }, names.join(" and "));
    Err(Failure::usage(format!(
        "a credential of kind `{kind}` needs {needed}, but --field gives only `{field}`"
    ))
    .hint("omit --field, use a custom kind such as `--kind database`, or give all fields with --fields"))
}

/// The fields that a credential of a kind must have.
fn required_fields(kind: &CredentialKind) -> Result<Vec<FieldName>, Failure> {
    let names: &[&str] = match kind {
        CredentialKind::Token => &[field::ACCESS_TOKEN],
        CredentialKind::UsernamePassword => &[field::USERNAME, field::PASSWORD],
        CredentialKind::KeyPair => &[field::PRIVATE_KEY, field::PUBLIC_KEY],
        _ => &[field::VALUE],
    };
    names.iter().map(|name| Ok(name.parse()?)).collect()
}

/// Parses `KEY=VALUE`. Tags are not secret, so they may be arguments.
pub(crate) fn tag(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("write KEY=VALUE")?;
    Ok((key.to_owned(), value.to_owned()))
}

/// Copies bytes into a box of exactly their size.
pub(crate) fn secret(bytes: &[u8]) -> SecretSlice<u8> {
    SecretSlice::new(Box::from(bytes))
}

/// Reads all of stdin.
pub(crate) fn stdin() -> Result<Zeroizing<Vec<u8>>, Failure> {
    Stdin::new().and_then(read_all).map_err(|error| match blocking::signal_of(&error) {
        Some(exit) => Failure::new(exit, "interrupted before all of stdin was read; nothing was changed"),
        None => Failure::new(Exit::Failed, "could not read stdin").caused_by(error),
    })
}

/// Reads to the end. Outgrown buffers are wiped.
pub(crate) fn read_all(mut reader: impl Read) -> io::Result<Zeroizing<Vec<u8>>> {
    let mut bytes = Zeroizing::new(vec![0; 64 * 1_024]);
    let mut length = 0;
    loop {
        if length == bytes.len() {
            if length > MAX_LEN {
                return Err(io::Error::new(io::ErrorKind::FileTooLarge, "longer than 64 MiB"));
            }
            let mut larger = Zeroizing::new(Vec::with_capacity(length * 2));
            larger.extend_from_slice(&bytes);
            larger.resize(length * 2, 0);
            bytes = larger;
        }
        let Some(rest) = bytes.get_mut(length..) else { break };
        match reader.read(rest) {
            Ok(0) => break,
            Ok(read) => length += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    bytes.truncate(length);
    Ok(bytes)
}

/// Random bytes from the system, for secrets.
pub(crate) fn random<const N: usize>() -> Result<Zeroizing<[u8; N]>, Failure> {
    let mut bytes = Zeroizing::new([0; N]);
    getrandom::fill(&mut *bytes).map_err(|error| {
        Failure::new(Exit::Failed, "could not read the system's random source").caused_by(error)
    })?;
    Ok(bytes)
}

/// Random letters and digits, uniformly distributed.
fn generated(length: usize) -> Result<Zeroizing<Vec<u8>>, Failure> {
    const ALPHABET: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    let mut text = Zeroizing::new(Vec::with_capacity(length));
    while text.len() < length {
        let drawn = random::<64>()?;
        // Two of the 64 numbers have no letter and are skipped.
        let fair = drawn.iter().filter_map(|byte| ALPHABET.get(usize::from(byte & 63)));
        let missing = length - text.len();
        text.extend(fair.take(missing));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generated_value_has_the_requested_length_and_uses_all_letters() {
        let text = generated(4_096).unwrap();
        assert_eq!(text.len(), 4_096);
        assert!(text.iter().all(u8::is_ascii_alphanumeric));
        let different: std::collections::BTreeSet<_> = text.iter().collect();
        assert_eq!(different.len(), 62);
        assert_ne!(*generated(32).unwrap(), *generated(32).unwrap());
    }

    #[test]
    fn a_long_value_is_read_to_its_end() {
        for length in [0, 1, 65_535, 65_536, 65_537, 300_000] {
            let value: Vec<u8> = (0..length).map(|at: usize| at.to_le_bytes()[0]).collect();
            assert_eq!(*read_all(value.as_slice()).unwrap(), value);
        }
        assert!(read_all(io::repeat(0)).is_err());
    }

    #[test]
    fn a_kind_requires_its_fields() {
        let name = |text: &str| text.parse::<FieldName>().unwrap();
        let one = |text: &str| vec![(name(text), secret(b"x"))];
        assert!(credential(&CredentialKind::Opaque, one("value")).is_ok());
        assert!(credential(&CredentialKind::UsernamePassword, one("password")).is_err());
        assert!(credential(&CredentialKind::Token, one("value")).is_err());
        let custom = "database".parse().unwrap();
        let made = credential(&custom, one("dsn")).unwrap();
        assert_eq!(made.field_names().map(FieldName::as_str).collect::<Vec<_>>(), ["dsn"]);
    }
}
