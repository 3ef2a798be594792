//! Reading a table of `cred.toml` into a type, so that an error names line and field and never
//! repeats the value.

mod reading;

use std::borrow::Cow;
use std::fmt;

use cred_core::Zeroizing;
use serde::de::{Expected, Unexpected};
use toml_edit::{Item, TableLike, Value};

use self::reading::{Reader, TableOf};
use crate::error::{Error, Place};
use crate::file::{ConfigFile, Origin};
use crate::secret::SecretSource;

/// A value in a file, with its place: to look at what a file says without using it.
#[derive(Clone)]
pub struct Node<'a> {
    file: &'a ConfigFile,
    data: Data<'a>,
    /// From the root of the file, with dots between.
    field: String,
    offset: usize,
    special: Special,
}

#[derive(Clone)]
enum Data<'a> {
    Table(&'a dyn TableLike),
    List(Vec<Node<'a>>),
    Scalar(&'a Value),
}

/// What is special about fields, from a certain table on.
#[derive(Clone, Copy, Default)]
struct Special {
    /// Their values are secret, and are read from elsewhere.
    secrets: &'static [&'static str],
    /// Their values are paths, which may count from the file.
    paths: &'static [&'static str],
    /// Bytes of the field's name that come before those names.
    from: usize,
}

impl<'a> Node<'a> {
    pub(crate) fn root(file: &'a ConfigFile, table: &'a dyn TableLike) -> Self {
        Self { file, data: Data::Table(table), field: String::new(), offset: 0, special: Special::default() }
    }

    /// The table's fields of these names, relative to it, are secret, or are paths.
    #[must_use]
    pub(crate) fn with_special(
        mut self,
        secrets: &'static [&'static str],
        paths: &'static [&'static str],
    ) -> Self {
        self.special = Special { secrets, paths, from: self.field.len() + 1 };
        self
    }

    pub(crate) fn file(&self) -> &'a ConfigFile {
        self.file
    }

    pub(crate) fn field(&self) -> &str {
        &self.field
    }

    /// The value under a key; `None` also where this is not a table.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<Node<'a>> {
        let Data::Table(table) = self.data else { return None };
        let (key, item) = table.get_key_value(key)?;
        self.child(key.get(), key.span(), item)
    }

    /// The value under a dotted name, or the last one on the way to it that there is.
    pub(crate) fn nearest(&self, name: &str) -> Node<'a> {
        let mut node = self.clone();
        for part in name.split('.') {
            let Some(next) = node.get(part) else { break };
            node = next;
        }
        node
    }

    /// Key and value of each entry; none where this is not a table.
    #[must_use]
    pub fn entries(&self) -> Vec<(&'a str, Node<'a>)> {
        let Data::Table(table) = self.data else { return Vec::new() };
        let span = |name: &str| table.key(name).and_then(toml_edit::Key::span);
        table.iter().filter_map(|(name, item)| Some((name, self.child(name, span(name), item)?))).collect()
    }

    /// A whole number or a truth value as text; `None`: it is something else.
    #[must_use]
    pub fn plain(&self) -> Option<String> {
        match &self.data {
            Data::Scalar(Value::Integer(number)) => Some(number.value().to_string()),
            Data::Scalar(Value::Boolean(truth)) => Some(truth.value().to_string()),
            _ => None,
        }
    }

    /// The elements of a list; none where this is not one.
    #[must_use]
    pub fn elements(&self) -> &[Node<'a>] {
        match &self.data {
            Data::List(elements) => elements,
            Data::Table(_) | Data::Scalar(_) => &[],
        }
    }

    /// Whether it is a table, in whatever form it is written.
    #[must_use]
    pub fn is_table(&self) -> bool {
        matches!(self.data, Data::Table(_))
    }

    /// The text of a string; `None`: it is something else.
    #[must_use]
    pub fn text(&self) -> Option<&'a str> {
        match &self.data {
            Data::Scalar(value) => value.as_str(),
            Data::Table(_) | Data::List(_) => None,
        }
    }

    /// Reads it into a type; of a table, all but the entries of these names.
    pub(crate) fn read<T: serde::de::DeserializeOwned>(&self, without: &[&str]) -> Result<T, Misfit> {
        let result = match &self.data {
            Data::Table(_) => T::deserialize(TableOf { node: self, without }),
            Data::List(_) | Data::Scalar(_) => T::deserialize(Reader(self.clone())),
        };
        result.map_err(|misfit| self.located(self.with_names(misfit, without)))
    }

    /// Adds the names of the other entries to the names that an unknown field of this table could
    /// have.
    fn with_names(&self, mut misfit: Misfit, without: &[&str]) -> Misfit {
        let inner = misfit.at.as_ref().and_then(|(field, _)| field.strip_prefix(&self.field));
        let is_own = inner.is_some_and(|field| field.matches('.').count() == 1);
        if let (true, Some(names)) = (is_own && !without.is_empty(), misfit.problem.strip_prefix(NOT_A_FIELD))
        {
            misfit.problem = format!("{NOT_A_FIELD}{}, {names}", without.join(", "));
        }
        misfit
    }

    /// Reads a text that is not secret, also as `{ env = "NAME" }`.
    pub(crate) fn read_text<T: serde::de::DeserializeOwned>(&self) -> Result<T, Misfit> {
        T::deserialize(Reader(self.clone())).map_err(|misfit| self.located(misfit))
    }

    /// Where it is in the file.
    pub(crate) fn place(&self) -> Place {
        self.file.place(self.file.line(self.offset))
    }

    /// What is wrong with this value.
    pub(crate) fn misfit(&self, problem: impl Into<String>) -> Misfit {
        self.located(Misfit { at: None, problem: problem.into() })
    }

    /// What is wrong with a text that a variable may have held: a message that repeats it loses it.
    fn misfit_of(&self, text: &str, misfit: Misfit) -> Misfit {
        let problem = match !text.is_empty() && misfit.problem.contains(text) {
            true => "has a value that is not taken".to_owned(),
            false => misfit.problem,
        };
        self.located(Misfit { problem, ..misfit })
    }

    fn child(&self, name: &str, key: Option<std::ops::Range<usize>>, item: &'a Item) -> Option<Node<'a>> {
        let field = if self.field.is_empty() { name.to_owned() } else { format!("{}.{name}", self.field) };
        let offset = key.or_else(|| item.span()).map_or(self.offset, |span| span.start);
        let mut node =
            Node { file: self.file, data: Data::List(Vec::new()), field, offset, special: self.special };
        node.data = match item {
            Item::None => return None,
            Item::Value(value) => node.data_of(value),
            Item::Table(table) => Data::Table(table),
            Item::ArrayOfTables(tables) => {
                let element = |table| Node { data: Data::Table(table), ..node.clone() };
                Data::List(tables.iter().map(|table| element(table as &dyn TableLike)).collect())
            }
        };
        Some(node)
    }

    fn data_of(&self, value: &'a Value) -> Data<'a> {
        match value {
            Value::InlineTable(table) => Data::Table(table),
            Value::Array(array) => {
                let element = |value: &'a Value| {
                    let offset = value.span().map_or(self.offset, |span| span.start);
                    let node = Node { data: Data::Scalar(value), offset, ..self.clone() };
                    Node { data: node.data_of(value), ..node }
                };
                Data::List(array.iter().map(element).collect())
            }
            _ => Data::Scalar(value),
        }
    }

    fn is_one_of(&self, names: &[&str]) -> bool {
        self.field.get(self.special.from..).is_some_and(|name| names.contains(&name))
    }

    /// What is wrong with the name of this value, as the table has it. Between the tables of a
    /// secret that name may be the secret itself, so there the error is about the table.
    fn misnamed(&self, name: &str, misfit: Misfit) -> Misfit {
        let table = self.field.strip_suffix(name).and_then(|table| table.strip_suffix('.'));
        let inner = table.and_then(|table| table.get(self.special.from..)).unwrap_or_default();
        let leads_to = |secret: &&str| secret.strip_prefix(inner).is_some_and(|rest| rest.starts_with('.'));
        let is_hidden = !inner.is_empty() && self.special.secrets.iter().any(leads_to);
        let line = self.file.line(self.offset);
        match table.filter(|_| is_hidden) {
            Some(table) => {
                let problem = format!("has a name that {}", misfit.problem);
                Misfit { at: Some((table.to_owned(), line)), problem }
            }
            None => Misfit { at: Some((self.field.clone(), line)), ..misfit },
        }
    }

    fn is_secret(&self) -> bool {
        self.is_one_of(self.special.secrets)
    }

    /// The text of a field that is not secret: the text itself, or that of the variable in
    /// `{ env = "NAME" }`; of a path, the path that is meant. `None`: it is neither form.
    fn plain_text(&self) -> Result<Option<Cow<'a, str>>, Misfit> {
        let is_path = self.is_one_of(self.special.paths);
        let text = match (&self.data, self.entries().as_slice()) {
            (Data::Scalar(Value::String(text)), _) => Cow::Borrowed(text.value().as_str()),
            (Data::Table(_), [("env", name)]) if name.text().is_some() => {
                let text =
                    self.secret().map_err(|_| self.misfit("names a variable that is not set; set it"))?;
                let is_relative =
                    !text.starts_with("~/") && !std::path::Path::new(text.as_str()).is_absolute();
                if is_path && is_relative && self.file.origin() == Origin::Project {
                    // It would choose a file of the project, which nothing showed when it was
                    // trusted.
                    return Err(
                        self.misfit("takes a path from a variable, which must be absolute in a project")
                    );
                }
                Cow::Owned(text.to_string())
            }
            _ => return Ok(None),
        };
        if !is_path || text.is_empty() {
            return Ok(Some(text));
        }
        let path = self.file.resolve(text.as_ref()).map_err(|problem| self.misfit(problem))?;
        match path.into_os_string().into_string() {
            Ok(path) => Ok(Some(Cow::Owned(path))),
            Err(_) => Err(self.misfit("is below a folder whose name is not UTF-8")),
        }
    }

    /// The secret that `{ env = ".." }` or `{ file = ".." }` names.
    fn secret(&self) -> Result<Zeroizing<String>, Misfit> {
        SecretSource::of(self)
            .and_then(|source| source.fetch(Some(self.file.exceptions())))
            .map_err(|problem| self.misfit(problem))
    }

    /// The innermost place counts. A message that repeats the value loses it.
    fn located(&self, mut misfit: Misfit) -> Misfit {
        if misfit.at.is_none() {
            if let Data::Scalar(value) = &self.data {
                let shown = value.as_str().map_or_else(|| value.to_string().trim().to_owned(), str::to_owned);
                if !shown.is_empty() && misfit.problem.contains(&shown) {
                    "has a value that is not taken".clone_into(&mut misfit.problem);
                }
            }
            misfit.at = Some((self.field.clone(), self.file.line(self.offset)));
        }
        misfit
    }
}

/// Without the value, which may be a secret.
impl fmt::Debug for Node<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node")
            .field("place", &self.place())
            .field("field", &self.field)
            .finish_non_exhaustive()
    }
}

const NOT_A_FIELD: &str = "is not a field of this table, which has ";

/// Why a value cannot be read.
#[derive(Debug)]
pub(crate) struct Misfit {
    /// Field and line.
    at: Option<(String, usize)>,
    problem: String,
}

impl Misfit {
    /// The error, of a file.
    pub(crate) fn of(self, file: &ConfigFile) -> Error {
        let (field, line) = self.at.unwrap_or_default();
        Error::Value { at: file.place(line.max(1)), field, problem: self.problem }
    }
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.problem)
    }
}

impl std::error::Error for Misfit {}

/// serde's own messages quote what they found.
impl serde::de::Error for Misfit {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self { at: None, problem: message.to_string() }
    }

    fn invalid_type(_: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::custom(format_args!("must be {expected}"))
    }

    fn invalid_value(_: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::custom(format_args!("must be {expected}"))
    }

    fn invalid_length(_: usize, expected: &dyn Expected) -> Self {
        Self::custom(format_args!("must be {expected}"))
    }

    fn unknown_variant(_: &str, expected: &'static [&'static str]) -> Self {
        Self::custom(format_args!("must be one of {}", expected.join(", ")))
    }

    fn unknown_field(_: &str, expected: &'static [&'static str]) -> Self {
        Self::custom(format_args!("{NOT_A_FIELD}{}", expected.join(", ")))
    }

    fn missing_field(field: &'static str) -> Self {
        Self::custom(format_args!("needs the field `{field}`"))
    }

    fn duplicate_field(field: &'static str) -> Self {
        Self::custom(format_args!("has the field `{field}` twice"))
    }
}
