use std::collections::BTreeMap;

use serde::Deserialize;

use super::*;

#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    name: String,
    count: Option<u8>,
    factor: f64,
    on: bool,
    pair: (i64, char),
    tags: BTreeMap<String, Kind>,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
enum Kind {
    Unit,
    Newtype(String),
    Table { field: u64 },
}

#[derive(Debug, PartialEq, Deserialize)]
struct UnquotedSettings(#[serde(deserialize_with = "unquoted")] Settings);

const VALID: &str = r#"{"name":"n","count":null,"factor":2,"on":true,"pair":[-1,"c"],
    "tags":{"a":"unit","b":{"newtype":"x"},"c":{"table":{"field":7}}}}"#;

fn error(from: &str, to: &str) -> String {
    assert!(VALID.contains(from), "{from}");
    let error = serde_json::from_str::<UnquotedSettings>(&VALID.replace(from, to)).unwrap_err().to_string();
    assert!(!error.contains("hunter2") && !error.contains("7316"), "{error}");
    error.split(" at line").next().unwrap().to_owned()
}

#[test]
fn a_valid_configuration_is_read_as_by_plain_serde() {
    let read: UnquotedSettings = serde_json::from_str(VALID).unwrap();
    assert_eq!(read.0, serde_json::from_str::<Settings>(VALID).unwrap());
    let some: UnquotedSettings = serde_json::from_str(&VALID.replace("null", "3")).unwrap();
    assert_eq!(some.0.count, Some(3));
}

#[test]
fn an_error_names_the_expected_value_and_not_the_one_found() {
    for (from, to, expected) in [
        (r#""n""#, "7316", "invalid type, expected a string"),
        ("null", "7316", "invalid value, expected u8"),
        ("null", r#""hunter2""#, "invalid type, expected u8"),
        ("2", r#""hunter2""#, "invalid type, expected f64"),
        ("true", r#""hunter2""#, "invalid type, expected a boolean"),
        (r#"[-1,"c"]"#, r#""hunter2""#, "invalid type, expected a tuple of size 2"),
        (r#""c""#, r#""hunter2""#, "invalid value, expected a character"),
        (r#""on""#, r#""hunter2""#, "unknown field, expected one of name, count, factor, on, pair, tags"),
        (r#""unit""#, r#""hunter2""#, "unknown variant, expected one of unit, newtype, table"),
        (r#""unit""#, "7316", "invalid type, expected exactly one of unit, newtype, table"),
        (r#""unit""#, r#"{"unit":"hunter2"}"#, "invalid type, expected unit"),
        (r#"{"newtype""#, r#"{"hunter2""#, "unknown variant, expected one of unit, newtype, table"),
        (r#""x""#, "7316", "invalid type, expected a string"),
        (r#"{"field":7}"#, r#""hunter2""#, "invalid type, expected struct variant Kind::Table"),
        (r#""field""#, r#""hunter2""#, "unknown field, expected one of field"),
        (
            r#"{"newtype":"x"}"#,
            r#"{"newtype":"x","hunter2":1}"#,
            "several variants, expected exactly one of unit, newtype, table",
        ),
    ] {
        assert_eq!(error(from, to), expected, "{to}");
    }
}

#[test]
fn an_error_type_that_quotes_nothing_is_used_unchanged() {
    assert!(quotes_input::<serde_json::Error>());
    assert!(!quotes_input::<Error<serde_json::Error>>());
}
