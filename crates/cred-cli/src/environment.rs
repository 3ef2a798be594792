//! Credentials as environment variables, for `run` and for the variable formats of `export`.

use std::collections::BTreeMap;

use cred_core::{Credential, CredentialPath, FieldName};

use crate::failure::{Exit, Failure};
use crate::variable;

/// Variables, each with the credential and the value behind it.
#[derive(Default)]
pub(crate) struct Environment<'c>(BTreeMap<String, (&'c CredentialPath, &'c str)>);

/// One variable of an [`Environment`].
#[derive(Clone, Copy)]
pub(crate) struct Variable<'e, 'c> {
    pub(crate) name: &'e str,
    pub(crate) path: &'c CredentialPath,
    pub(crate) value: &'c str,
}

impl<'c> Environment<'c> {
    /// Adds all fields of a credential. A single field is named after the id, several fields after
    /// the id and the field. `unusable` handles a field that cannot be a variable.
    pub(crate) fn add_all(
        &mut self,
        path: &'c CredentialPath,
        credential: &'c Credential,
        unusable: &mut dyn FnMut(Failure) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let Some(stem) = variable::of_id(&path.id) else {
            return unusable(
                Failure::usage(format!("`{path}` cannot be a variable, because its id begins with a digit"))
                    .hint("give the variable a name with `cred run --env NAME=PATH`, or use `cred export --format json`"),
            );
        };
        let names: Vec<&str> = credential.field_names().map(FieldName::as_str).collect();
        for name in &names {
            let variable = match names.len() {
                1 => stem.clone(),
                _ => variable::of_field(&stem, name),
            };
            match text(path, credential, name) {
                Ok(value) => self.insert(variable, path, value)?,
                Err(failure) => unusable(failure)?,
            }
        }
        Ok(())
    }

    /// Adds one field of a credential under the given name.
    pub(crate) fn add(
        &mut self,
        variable: String,
        path: &'c CredentialPath,
        credential: &'c Credential,
        field: &str,
    ) -> Result<(), Failure> {
        self.insert(variable, path, text(path, credential, field)?)
    }

    fn insert(&mut self, variable: String, path: &'c CredentialPath, value: &'c str) -> Result<(), Failure> {
        match self.0.get(&variable) {
            // With a duplicate name, it is undefined which of the two a process sees.
            Some((other, _)) => Err(Failure::usage(format!(
                "the credentials `{other}` and `{path}` would both become the variable {variable}"
            ))
            .hint("give one of them another name with `cred run --env NAME=PATH`, or use `cred export --format json`, which has the paths")),
            None => {
                self.0.insert(variable, (path, value));
                Ok(())
            }
        }
    }

    /// All variables, sorted by name.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Variable<'_, 'c>> {
        self.0.iter().map(|(name, (path, value))| Variable { name, path, value })
    }
}

/// The value of a field, if a variable can hold it.
fn text<'c>(path: &CredentialPath, credential: &'c Credential, field: &str) -> Result<&'c str, Failure> {
    let value = credential.expose_bytes(field).map_err(|_| Failure::no_field(path, field, credential))?;
    let text = std::str::from_utf8(value).ok().filter(|value| !value.contains('\0'));
    text.ok_or_else(|| {
        Failure::new(
            Exit::Failed,
            format!("the field `{field}` of `{path}` is not text, so it cannot be a variable"),
        )
        .hint("use `cred get --field`, or `cred export --format json`, which prints it as base64")
    })
}
