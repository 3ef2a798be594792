//! A credential as JSON: printed by `get --json` and `export`, read by `import` and `--fields`.

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

/// The JSON document of a credential.
#[derive(Serialize)]
pub(crate) struct CredentialDocument<'a> {
    path: String,
    kind: String,
    fields: BTreeMap<&'a str, FieldValue<'a>>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    tags: BTreeMap<&'a str, &'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rotation: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stored: Option<Lifecycle>,
}

/// The data that the manager adds when it stores a credential. `import` ignores it.
#[derive(Serialize)]
struct Lifecycle {
    created_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    created_by: Option<String>,
    last_modified: String,
    version: u64,
}

impl<'a> CredentialDocument<'a> {
    pub(crate) fn of(path: &CredentialPath, credential: &'a Credential) -> Result<Self, Failure> {
        let mut fields = BTreeMap::new();
        for name in credential.field_names() {
            fields.insert(name.as_str(), FieldValue(credential.expose_bytes(name.as_str())?));
        }
        Ok(Self {
            path: path.to_string(),
            kind: credential.kind().to_string(),
            fields,
            tags: credential.tags().iter().map(|(key, value)| (key.as_str(), value.as_str())).collect(),
            expires_at: credential.expires_at().map(|moment| moment.to_string()),
            rotation: credential.rotation().map(|policy| policy.to_string()),
            stored: credential.lifecycle().map(|lifecycle| Lifecycle {
                created_at: lifecycle.created_at.to_string(),
                created_by: lifecycle.created_by.map(String::from),
                last_modified: lifecycle.last_modified.to_string(),
                version: lifecycle.version,
            }),
        })
    }
}

/// A field value: a string if it is UTF-8, else `{ "base64": ".." }`.
struct FieldValue<'a>(&'a [u8]);

impl Serialize for FieldValue<'_> {
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

/// A credential in JSON input.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CredentialInput {
    path: String,
    #[serde(default = "opaque")]
    kind: String,
    fields: Entries<FieldInput>,
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

/// The entries of an object, in the order of the text. Duplicate names are rejected: one of the
/// values would be lost.
#[derive(Default)]
struct Entries<T>(Vec<(String, T)>);

/// The start of every message about a duplicate name: the one below, and that of serde itself.
const DUPLICATE: &str = "duplicate field";

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
                        return Err(de::Error::custom(DUPLICATE));
                    }
                    entries.push((name, map.next_value()?));
                }
                Ok(Entries(entries))
            }
        }
        deserializer.deserialize_map(Object(PhantomData))
    }
}

/// The value of a field in JSON input. No error message repeats it.
struct FieldInput(SecretSlice<u8>);

impl<'de> Deserialize<'de> for FieldInput {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Value;
        impl<'de> Visitor<'de> for Value {
            type Value = FieldInput;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string, or { \"base64\": \"..\" }")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<FieldInput, E> {
                Ok(FieldInput(input::secret(text.as_bytes())))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<FieldInput, A::Error> {
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
                Ok(FieldInput(input::secret(bytes)))
            }
        }
        deserializer.deserialize_any(Value)
    }
}

/// Reads one record or a list of them.
pub(crate) fn read(json: &[u8]) -> Result<Vec<(CredentialPath, Credential)>, Failure> {
    let json = without_mark(json);
    let given: Vec<CredentialInput> = match is_list(json) {
        true => serde_json::from_slice(json).map_err(|error| json_failure(&error))?,
        false => vec![serde_json::from_slice(json).map_err(|error| json_failure(&error))?],
    };
    given.into_iter().enumerate().map(|(number, given)| given.into_credential(number + 1)).collect()
}

/// Names with their values.
pub(crate) type NamedValues = Vec<(String, SecretSlice<u8>)>;

/// Reads an object of names and values; `None` if the input is a record or a list of records.
pub(crate) fn flat(json: &[u8]) -> Result<Option<NamedValues>, Failure> {
    /// Matches every record, and no object of names and values.
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
            let given: Entries<FieldInput> =
                serde_json::from_slice(json).map_err(|error| json_failure(&error))?;
            Ok(Some(given.0.into_iter().map(|(name, value)| (name, value.0)).collect()))
        }
        Err(error) => Err(json_failure(&error)),
    }
}

/// Reads the fields of one credential.
pub(crate) fn fields(json: &[u8]) -> Result<Vec<(FieldName, SecretSlice<u8>)>, Failure> {
    let given: Entries<FieldInput> =
        serde_json::from_slice(without_mark(json)).map_err(|error| json_failure(&error))?;
    given.0.into_iter().map(|(name, value)| Ok((name.parse()?, value.0))).collect()
}

/// Strips the byte order mark that some editors write.
fn without_mark(json: &[u8]) -> &[u8] {
    json.strip_prefix(b"\xef\xbb\xbf").unwrap_or(json)
}

fn is_list(json: &[u8]) -> bool {
    json.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[')
}

/// The message of serde is not used, because it quotes the input.
fn json_failure(error: &serde_json::Error) -> Failure {
    let place = format!("line {}, column {}", error.line(), error.column());
    if error.to_string().starts_with(DUPLICATE) {
        return Failure::usage(format!("the JSON input has a duplicate name in one object, at {place}"))
            .hint("remove the entry that is wrong");
    }
    Failure::usage(format!("the JSON input does not have the expected structure, at {place}"))
        .hint("`cred export --format json` and `--format json-flat` print examples; a value is a string, or { \"base64\": \"..\" }")
}

impl CredentialInput {
    /// `number` counts the records from 1.
    fn into_credential(self, number: usize) -> Result<(CredentialPath, Credential), Failure> {
        let wrong =
            |part: &str| Failure::usage(format!("record {number} of the JSON input has an invalid {part}"));
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
        let json = serde_json::to_vec(&[CredentialDocument::of(&path, credential).unwrap()]).unwrap();
        let (read_path, read) = read(&json).unwrap().pop().unwrap();
        assert_eq!(read_path, path);
        read
    }

    #[test]
    fn a_printed_credential_is_read_back_unchanged() {
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
    fn an_error_does_not_repeat_rejected_input() {
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
