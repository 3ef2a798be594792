//! Names of variables.

use cred_core::CredentialId;

/// Whether every shell and program takes this for the name of a variable.
pub(crate) fn is_name(text: &str) -> bool {
    let mut bytes = text.bytes();
    bytes.next().is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// The variable that an id becomes: an id with a dash, or in lower case without an underscore, becomes
/// capitals with underscores; any other id is the variable unchanged. `None`: it begins with a digit.
pub(crate) fn of_id(id: &CredentialId) -> Option<String> {
    let id = id.as_str();
    let is_plain = !id.contains(|letter: char| letter.is_ascii_uppercase() || letter == '_');
    let name = match id.contains('-') || is_plain {
        true => id.to_ascii_uppercase().replace('-', "_"),
        false => id.to_owned(),
    };
    is_name(&name).then_some(name)
}

/// The variable of one field of several: in capitals below a stem in capitals.
pub(crate) fn of_field(stem: &str, field: &str) -> String {
    let field = field.replace(['-', '.'], "_");
    match stem.contains(|letter: char| letter.is_ascii_lowercase()) {
        true => format!("{stem}_{field}"),
        false => format!("{stem}_{}", field.to_ascii_uppercase()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_becomes_a_variable() {
        for (id, variable) in [
            ("stripe-api-key", Some("STRIPE_API_KEY")),
            ("db", Some("DB")),
            ("path", Some("PATH")),
            ("http_proxy", Some("http_proxy")),
            ("HTTP_PROXY", Some("HTTP_PROXY")),
            ("TF_VAR_db_password", Some("TF_VAR_db_password")),
            ("npm_config_x", Some("npm_config_x")),
            ("no_proxy", Some("no_proxy")),
            ("apiKey", Some("apiKey")),
            ("a_b-c", Some("A_B_C")),
            ("2fa", None),
            ("2_fa", None),
        ] {
            assert_eq!(of_id(&id.parse().unwrap()).as_deref(), variable, "{id}");
        }
    }

    #[test]
    fn a_field_follows_the_case_of_its_stem() {
        assert_eq!(of_field("DB", "access-token"), "DB_ACCESS_TOKEN");
        assert_eq!(of_field("TF_VAR_db", "password"), "TF_VAR_db_password");
    }
}
