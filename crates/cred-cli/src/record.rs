//! A credential as JSON: what `get --json` and `export` print, and `import` and `--fields` read.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use base64ct::{Base64, Encoding as _};
use cred_core::{Credential, CredentialPath, FieldName, SecretSlice, Tags, Zeroizing};
use serde::de::{self, IgnoredAny, MapAccess, Visitor};
use serde::ser::SerializeMap as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::failure::Failure;
use crate::input;

/// A credential, for printing.
#[derive(Serialize)]
pub(crate) struct Shown<'a> {
    path: String,
    kind: String,
    fields: BTreeMap<&'a str, FieldShown<'a>>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    tags: BTreeMap<&'a str, &'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rotation: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stored: Option<Stored>,
}

/// What storing made of it; not read back.
#[derive(Serialize)]
struct Stored {
    created_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    created_by: Option<String>,
    last_modified: String,
    version: u64,
}

impl<'a> Shown<'a> {
    pub(crate) fn of(path: &CredentialPath, credential: &'a Credential) -> Result<Self, Failure> {
        let mut fields = BTreeMap::new();
        for name in credential.field_names() {
            fields.insert(name.as_str(), FieldShown(credential.expose_bytes(name.as_str())?));
        }
        Ok(Self {
            path: path.to_string(),
            kind: credential.kind().to_string(),
            fields,
            tags: credential.tags().iter().map(|(key, value)| (key.as_str(), value.as_str())).collect(),
            expires_at: credential.expires_at().map(|moment| moment.to_string()),
            rotation: credential.rotation().map(|policy| policy.to_string()),
            stored: credential.lifecycle().map(|lifecycle| Stored {
                created_at: lifecycle.created_at.to_string(),
                created_by: lifecycle.created_by.map(String::from),
                last_modified: lifecycle.last_modified.to_string(),
                version: lifecycle.version,
            }),
        })
    }
}

/// Text where it is some, else `{ "base64": ".." }`.
struct FieldShown<'a>(&'a [u8]);

impl Serialize for FieldShown<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if let Ok(text) = std::str::from_utf8(self.0) {
            return serializer.serialize_str(text);
        }
        let mut buffer = Zeroizing::new(vec![0; Base64::encoded_len(self.0)]);
        let text = Base64::encode(self.0, &mut buffer).map_err(serde::ser::Error::custom)?;
        let mut map = serializer.serialize_map(Some(1))?;
        map.serialize_entry("base64", text)?;
        map.end()
    }
}

/// A credential that was read.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Given {
    path: String,
    #[serde(default = "opaque")]
    kind: String,
    fields: Entries<FieldGiven>,
    #[serde(default)]
    tags: Entries<String>,
    #[serde(default)]
    expires_at: Option<String>,
    #[serde(default)]
    rotation: Option<String>,
    #[serde(default, rename = "stored")]
    _stored: IgnoredAny,
}

fn opaque() -> String {
    "opaque".to_owned()
}

/// An object's entries, in the order of the text. One whose name is there already is refused: of
/// two values one would be lost.
#[derive(Default)]
struct Entries<T>(Vec<(String, T)>);

/// The begin of every message about a name that stands twice: this one, and serde's own.
const TWICE: &str = "duplicate field";

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Entries<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Object<T> {
            type Value = Entries<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entries<T>, A::Error> {
                let mut entries: Vec<(String, T)> = Vec::new();
                while let Some(name) = map.next_key::<String>()? {
                    if entries.iter().any(|(known, _)| *known == name) {
                        return Err(de::Error::custom(TWICE));
                    }
                    entries.push((name, map.next_value()?));
                }
                Ok(Entries(entries))
            }
        }
        deserializer.deserialize_map(Object(PhantomData))
    }
}

/// A field's value. No message of its own repeats it.
struct FieldGiven(SecretSlice<u8>);

impl<'de> Deserialize<'de> for FieldGiven {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Value;
        impl<'de> Visitor<'de> for Value {
            type Value = FieldGiven;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text, or { \"base64\": \"..\" }")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<FieldGiven, E> {
                Ok(FieldGiven(input::secret(text.as_bytes())))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<FieldGiven, A::Error> {
                let wrong = || de::Error::custom("not base64");
                let Some(("base64", text)) = map.next_entry::<&str, String>()? else {
                    return Err(wrong());
                };
                let text = Zeroizing::new(text);
                let mut buffer = Zeroizing::new(vec![0; text.len()]);
                let bytes = Base64::decode(text.as_bytes(), &mut buffer).map_err(|_| wrong())?;
                if map.next_key::<IgnoredAny>()?.is_some() {
                    return Err(wrong());
                }
                Ok(FieldGiven(input::secret(bytes)))
            }
        }
        deserializer.deserialize_any(Value)
    }
}

/// Reads one record or a list of them.
pub(crate) fn read(json: &[u8]) -> Result<Vec<(CredentialPath, Credential)>, Failure> {
    let json = without_mark(json);
    let given: Vec<Given> = match is_list(json) {
        true => serde_json::from_slice(json).map_err(|error| misfit(&error))?,
        false => vec![serde_json::from_slice(json).map_err(|error| misfit(&error))?],
    };
    given.into_iter().enumerate().map(|(number, given)| given.into_credential(number + 1)).collect()
}

/// Names with their values.
pub(crate) type Named = Vec<(String, SecretSlice<u8>)>;

/// Reads an object of names and values; `None`: it is a record or a list of them.
pub(crate) fn flat(json: &[u8]) -> Result<Option<Named>, Failure> {
    /// What every record has, and no object of names and values.
    #[derive(Deserialize)]
    struct Record {
        #[serde(rename = "fields")]
        _fields: BTreeMap<String, IgnoredAny>,
    }
    let json = without_mark(json);
    if is_list(json) {
        return Ok(None);
    }
    match serde_json::from_slice::<Record>(json) {
        Ok(_) => Ok(None),
        Err(error) if error.is_data() => {
            let given: Entries<FieldGiven> = serde_json::from_slice(json).map_err(|error| misfit(&error))?;
            Ok(Some(given.0.into_iter().map(|(name, value)| (name, value.0)).collect()))
        }
        Err(error) => Err(misfit(&error)),
    }
}

/// Reads the fields of one credential.
pub(crate) fn fields(json: &[u8]) -> Result<Vec<(FieldName, SecretSlice<u8>)>, Failure> {
    let given: Entries<FieldGiven> =
        serde_json::from_slice(without_mark(json)).map_err(|error| misfit(&error))?;
    given.0.into_iter().map(|(name, value)| Ok((name.parse()?, value.0))).collect()
}

/// Without the byte order mark that some editors write.
fn without_mark(json: &[u8]) -> &[u8] {
    json.strip_prefix(b"\xef\xbb\xbf").unwrap_or(json)
}

fn is_list(json: &[u8]) -> bool {
    json.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[')
}

/// serde's own message quotes what it read.
fn misfit(error: &serde_json::Error) -> Failure {
    let place = format!("as seen in line {} at column {}", error.line(), error.column());
    if error.to_string().starts_with(TWICE) {
        return Failure::usage(format!("an object of the JSON has one name twice, {place}"))
            .hint("keep the one that is right");
    }
    Failure::usage(format!("the JSON does not have the form that is needed, {place}"))
        .hint("`cred export --format json` and `--format json-flat` print the forms; a value is a text in quotes, or { \"base64\": \"..\" }")
}

impl Given {
    /// `number` counts the records from 1.
    fn into_credential(self, number: usize) -> Result<(CredentialPath, Credential), Failure> {
        let wrong = |what: &str| Failure::usage(format!("record {number} has a wrong {what}"));
        let path: CredentialPath =
            self.path.parse().map_err(|error: cred_core::ParseError| wrong("path").caused_by(error))?;
        let kind = self.kind.parse().map_err(|_| wrong("kind"))?;
        let mut fields = Vec::new();
        for (name, value) in self.fields.0 {
            fields.push((name.parse().map_err(|_| wrong("field name"))?, value.0));
        }
        let mut tags = Tags::new();
        for (key, value) in self.tags.0 {
            tags.insert(key, value).map_err(|error| wrong("tag").caused_by(error))?;
        }
        let expires_at = self.expires_at.map(|text| text.parse().map_err(|_| wrong("expiry"))).transpose()?;
        let rotation = self.rotation.map(|text| text.parse().map_err(|_| wrong("rotation"))).transpose()?;
        let credential = input::credential(&kind, fields)?;
        Ok((path, credential.with_tags(tags).with_expires_at(expires_at).with_rotation(rotation)))
    }
}

#[cfg(test)]
mod tests {
    use cred_core::{RotationPolicy, Timestamp};

    use super::*;

    fn round_trip(credential: &Credential) -> Credential {
        let path: CredentialPath = "org:a/id".parse().unwrap();
        let json = serde_json::to_vec(&[Shown::of(&path, credential).unwrap()]).unwrap();
        let (read_path, read) = read(&json).unwrap().pop().unwrap();
        assert_eq!(read_path, path);
        read
    }

    #[test]
    fn what_is_printed_is_read_again() {
        let plain = Credential::username_password("app", "hunter2\n\"ü")
            .with_tag("env", "prod")
            .unwrap()
            .with_expires_at("2027-01-31".parse::<Timestamp>().unwrap())
            .with_rotation("every:90d".parse::<RotationPolicy>().unwrap());
        assert_eq!(round_trip(&plain), plain);
        let bytes = Credential::opaque(vec![0xff, 0, 1]);
        assert_eq!(round_trip(&bytes), bytes);
        let custom =
            Credential::custom("database".parse().unwrap()).with_field("dsn".parse().unwrap(), b"x".to_vec());
        assert_eq!(round_trip(&custom), custom);
    }

    #[test]
    fn an_object_of_names_and_values_is_distinguished_from_a_record() {
        let names = |json: &str| {
            let given = flat(json.as_bytes()).unwrap();
            given.map(|given| given.into_iter().map(|(name, _)| name).collect::<Vec<_>>())
        };
        assert_eq!(names("\u{feff}{\"STRIPE\": \"sk\", \"path\": \"x\"}").unwrap(), ["STRIPE", "path"]);
        assert_eq!(names(r#"{"fields": "x"}"#).unwrap(), ["fields"]);
        assert_eq!(names(r#"{"path": "a", "fields": {"value": "1"}}"#), None);
        assert_eq!(names(r#" [{"path": "a"}]"#), None);
        for wrong in
            [r#"{"A": "1", "A": "2"}"#, r#"{"A": 5}"#, r#"{"A": null}"#, r#"{"A": ["x"]}"#, r#"{"A": "1""#]
        {
            assert!(flat(wrong.as_bytes()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_is_refused_is_not_repeated() {
        for wrong in [
            r#"{"path": "id", "fields": {"value": 7316}}"#,
            r#"{"path": "id", "fields": {"value": {"base64": "hunter2!"}}}"#,
            r#"{"path": "id", "fields": {"value": "hunter2"}, "hunter2": 1}"#,
            r#"{"path": "id", "kind": "hunter2 7316", "fields": {}}"#,
            r#"{"path": "id", "fields": {"value": "hunter2"}, "expires_at": "hunter2"}"#,
            r#"[{"path": "id" "hunter2"#,
        ] {
            for failure in [read(wrong.as_bytes()).err(), flat(wrong.as_bytes()).err()].into_iter().flatten()
            {
                let text = format!("{failure} {:?}", failure.causes());
                assert!(!text.contains("hunter2") && !text.contains("7316"), "{text}");
            }
            assert!(read(wrong.as_bytes()).is_err(), "{wrong}");
        }
    }
}
