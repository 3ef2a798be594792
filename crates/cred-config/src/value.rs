//! Deserializes tables of a `cred.toml`. Errors name the line and the field, and never repeat a
//! value.

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

/// A value in a file, with its field and line, to inspect a file without opening what it describes.
#[derive(Clone)]
pub struct Node<'a> {
    file: &'a ConfigFile,
    data: Data<'a>,
    /// The dotted name from the root of the file.
    field: String,
    offset: usize,
    rules: FieldRules,
}

#[derive(Clone)]
enum Data<'a> {
    Table(&'a dyn TableLike),
    List(Vec<Node<'a>>),
    Scalar(&'a Value),
}

/// Rules for the fields below a table.
#[derive(Clone, Copy, Default)]
struct FieldRules {
    /// Fields whose values are secret, and read from a variable or a file.
    secrets: &'static [&'static str],
    /// Fields whose values are paths, which may be relative to the folder of the file.
    paths: &'static [&'static str],
    /// The length in bytes of the prefix of the field's name that these names omit.
    from: usize,
}

impl<'a> Node<'a> {
    pub(crate) fn root(file: &'a ConfigFile, table: &'a dyn TableLike) -> Self {
        Self { file, data: Data::Table(table), field: String::new(), offset: 0, rules: FieldRules::default() }
    }

    /// Declares fields below this table as secret or as paths, by dotted names relative to it.
    #[must_use]
    pub(crate) fn with_field_rules(
        mut self,
        secrets: &'static [&'static str],
        paths: &'static [&'static str],
    ) -> Self {
        self.rules = FieldRules { secrets, paths, from: self.field.len() + 1 };
        self
    }

    pub(crate) fn file(&self) -> &'a ConfigFile {
        self.file
    }

    pub(crate) fn field(&self) -> &str {
        &self.field
    }

    /// Returns the value of a key. `None` if the key does not exist or this is not a table.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<Node<'a>> {
        let Data::Table(table) = self.data else { return None };
        let (key, item) = table.get_key_value(key)?;
        self.child(key.get(), key.span(), item)
    }

    /// The value of a dotted name, or the last existing value on the way to it.
    pub(crate) fn nearest(&self, name: &str) -> Node<'a> {
        let mut node = self.clone();
        for part in name.split('.') {
            let Some(next) = node.get(part) else { break };
            node = next;
        }
        node
    }

    /// Returns the key and the value of each entry. Empty if this is not a table.
    #[must_use]
    pub fn entries(&self) -> Vec<(&'a str, Node<'a>)> {
        let Data::Table(table) = self.data else { return Vec::new() };
        let span = |name: &str| table.key(name).and_then(toml_edit::Key::span);
        table.iter().filter_map(|(name, item)| Some((name, self.child(name, span(name), item)?))).collect()
    }

    /// Returns an integer or a boolean as text. `None` if the value has another type.
    #[must_use]
    pub fn plain(&self) -> Option<String> {
        match &self.data {
            Data::Scalar(Value::Integer(number)) => Some(number.value().to_string()),
            Data::Scalar(Value::Boolean(truth)) => Some(truth.value().to_string()),
            _ => None,
        }
    }

    /// Returns the elements of a list. Empty if this is not a list.
    #[must_use]
    pub fn elements(&self) -> &[Node<'a>] {
        match &self.data {
            Data::List(elements) => elements,
            Data::Table(_) | Data::Scalar(_) => &[],
        }
    }

    /// Whether this is a table, in any notation.
    #[must_use]
    pub fn is_table(&self) -> bool {
        matches!(self.data, Data::Table(_))
    }

    /// Returns the text of a string. `None` if the value has another type.
    #[must_use]
    pub fn text(&self) -> Option<&'a str> {
        match &self.data {
            Data::Scalar(value) => value.as_str(),
            Data::Table(_) | Data::List(_) => None,
        }
    }

    /// Deserializes the value; for a table, without the entries of these names.
    pub(crate) fn read<T: serde::de::DeserializeOwned>(&self, without: &[&str]) -> Result<T, ValueError> {
        let result = match &self.data {
            Data::Table(_) => T::deserialize(TableOf { node: self, without }),
            Data::List(_) | Data::Scalar(_) => T::deserialize(Reader(self.clone())),
        };
        result.map_err(|error| self.located(self.with_names(error, without)))
    }

    /// Adds the names of the omitted entries to the field names in an error about an unknown field.
    fn with_names(&self, mut error: ValueError, without: &[&str]) -> ValueError {
        let inner = error.at.as_ref().and_then(|(field, _)| field.strip_prefix(&self.field));
        let is_own = inner.is_some_and(|field| field.matches('.').count() == 1);
        if let (true, Some(names)) = (is_own && !without.is_empty(), error.problem.strip_prefix(NOT_A_FIELD))
        {
            error.problem = format!("{NOT_A_FIELD}{}, {names}", without.join(", "));
        }
        error
    }

    /// Deserializes a text that is not secret, also as `{ env = "NAME" }`.
    pub(crate) fn read_text<T: serde::de::DeserializeOwned>(&self) -> Result<T, ValueError> {
        T::deserialize(Reader(self.clone())).map_err(|error| self.located(error))
    }

    /// The location in the file.
    pub(crate) fn place(&self) -> Place {
        self.file.place(self.file.line(self.offset))
    }

    /// An error about this value.
    pub(crate) fn invalid(&self, problem: impl Into<String>) -> ValueError {
        self.located(ValueError { at: None, problem: problem.into() })
    }

    /// An error about a text that may come from a variable. Replaces a message that repeats the
    /// text.
    fn invalid_text(&self, text: &str, error: ValueError) -> ValueError {
        let problem = match !text.is_empty() && error.problem.contains(text) {
            true => "has an invalid value".to_owned(),
            false => error.problem,
        };
        self.located(ValueError { problem, ..error })
    }

    fn child(&self, name: &str, key: Option<std::ops::Range<usize>>, item: &'a Item) -> Option<Node<'a>> {
        let field = if self.field.is_empty() { name.to_owned() } else { format!("{}.{name}", self.field) };
        let offset = key.or_else(|| item.span()).map_or(self.offset, |span| span.start);
        let mut node =
            Node { file: self.file, data: Data::List(Vec::new()), field, offset, rules: self.rules };
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
        self.field.get(self.rules.from..).is_some_and(|name| names.contains(&name))
    }

    /// An error about the name of this value. Within the tables around a secret, the name may be
    /// the secret itself, so there the error is about the table.
    fn invalid_name(&self, name: &str, error: ValueError) -> ValueError {
        let table = self.field.strip_suffix(name).and_then(|table| table.strip_suffix('.'));
        let inner = table.and_then(|table| table.get(self.rules.from..)).unwrap_or_default();
        let leads_to = |secret: &&str| secret.strip_prefix(inner).is_some_and(|rest| rest.starts_with('.'));
        let is_hidden = !inner.is_empty() && self.rules.secrets.iter().any(leads_to);
        let line = self.file.line(self.offset);
        match table.filter(|_| is_hidden) {
            Some(table) => {
                let problem = format!("has a name that {}", error.problem);
                ValueError { at: Some((table.to_owned(), line)), problem }
            }
            None => ValueError { at: Some((self.field.clone(), line)), ..error },
        }
    }

    fn is_secret(&self) -> bool {
        self.is_one_of(self.rules.secrets)
    }

    /// The text of a field that is not secret: a string, or the value of the variable in
    /// `{ env = "NAME" }`. A path is resolved. `None` if the value has neither form.
    fn plain_text(&self) -> Result<Option<Cow<'a, str>>, ValueError> {
        let is_path = self.is_one_of(self.rules.paths);
        let text = match (&self.data, self.entries().as_slice()) {
            (Data::Scalar(Value::String(text)), _) => Cow::Borrowed(text.value().as_str()),
            (Data::Table(_), [("env", name)]) if name.text().is_some() => {
                let text =
                    self.secret().map_err(|_| self.invalid("names a variable that is not set; set it"))?;
                let is_relative =
                    !text.starts_with("~/") && !std::path::Path::new(text.as_str()).is_absolute();
                if is_path && is_relative && self.file.origin() == Origin::Project {
                    // It would select a file of the project that was not shown when the project was
                    // trusted.
                    return Err(self.invalid(
                        "takes a path from a variable, which must be absolute in a project's file",
                    ));
                }
                Cow::Owned(text.to_string())
            }
            _ => return Ok(None),
        };
        if !is_path || text.is_empty() {
            return Ok(Some(text));
        }
        let path = self.file.resolve(text.as_ref()).map_err(|problem| self.invalid(problem))?;
        match path.into_os_string().into_string() {
            Ok(path) => Ok(Some(Cow::Owned(path))),
            Err(_) => Err(self.invalid("is below a folder whose name is not UTF-8")),
        }
    }

    /// The secret that `{ env = ".." }` or `{ file = ".." }` names.
    fn secret(&self) -> Result<Zeroizing<String>, ValueError> {
        SecretSource::from_node(self)
            .and_then(|source| source.fetch(Some(self.file.exceptions())))
            .map_err(|problem| self.invalid(problem))
    }

    /// Adds the location, unless an inner value has set it. Replaces a message that repeats the
    /// value.
    fn located(&self, mut error: ValueError) -> ValueError {
        if error.at.is_none() {
            if let Data::Scalar(value) = &self.data {
                let shown = value.as_str().map_or_else(|| value.to_string().trim().to_owned(), str::to_owned);
                if !shown.is_empty() && error.problem.contains(&shown) {
                    "has an invalid value".clone_into(&mut error.problem);
                }
            }
            error.at = Some((self.field.clone(), self.file.line(self.offset)));
        }
        error
    }
}

/// Omits the value, which may be a secret.
impl fmt::Debug for Node<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node")
            .field("place", &self.place())
            .field("field", &self.field)
            .finish_non_exhaustive()
    }
}

const NOT_A_FIELD: &str = "is not a field of this table, which has ";

/// The error of reading a value.
#[derive(Debug)]
pub(crate) struct ValueError {
    /// Field and line.
    at: Option<(String, usize)>,
    problem: String,
}

impl ValueError {
    /// The error, with its location in a file.
    pub(crate) fn in_file(self, file: &ConfigFile) -> Error {
        let (field, line) = self.at.unwrap_or_default();
        Error::Value { at: file.place(line.max(1)), field, problem: self.problem }
    }
}

impl fmt::Display for ValueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.problem)
    }
}

impl std::error::Error for ValueError {}

/// The default messages of serde quote the value, so they are replaced.
impl serde::de::Error for ValueError {
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
