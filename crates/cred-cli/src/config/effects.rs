//! Describes what a configuration file would do, for a user who decides whether to trust it.

use std::collections::BTreeSet;

use cred_config::model::{Backend, ConfigFile, Node, Origin, Ring};

use crate::escape::{escaped, in_ascii};

/// One line for each profile, then one for each kind of effect: profiles and rings of the user,
/// variables, files, programs, prompts. The file is only parsed; nothing that it names is read.
pub(crate) fn of(file: &ConfigFile) -> Vec<String> {
    let (mut lines, mut effects) = (Vec::new(), Effects::default());
    let has = |kind: &str, name: &str| file.root().get(kind).is_some_and(|table| table.get(name).is_some());
    for (name, profile) in entries(file, "profiles") {
        let text = |field: &str| profile.get(field).and_then(|node| node.text());
        let named = text("backend").unwrap_or_default();
        let mut facts = Vec::new();
        effects.collect_from(&profile, &mut facts);
        let backend = Backend::find(named);
        let shown_name = backend.map_or("with an unknown name", Backend::name);
        let mut line = format!("profile {}: backend {shown_name}", escaped(name));
        facts.iter().for_each(|fact| line += &format!(", {fact}"));
        lines.push(line);
        effects.programs.extend(backend.and_then(Backend::programs));
        let ring = text("ring").unwrap_or(Ring::DEFAULT);
        if file.origin() == Origin::Project && !has("rings", ring) {
            lines.push(format!("profile {}: sealed with YOUR ring {}", escaped(name), escaped(ring)));
        }
    }
    if let Some(name) = file.root().get("profile").and_then(|node| node.text())
        && file.origin() == Origin::Project
        && !has("profiles", name)
    {
        lines.push(format!("chooses YOUR profile {}", escaped(name)));
    }
    if let Some(rings) = file.root().get("rings") {
        effects.collect_from(&rings, &mut Vec::new());
    }
    for (what, found) in [
        ("reads the variables", effects.variables),
        (
            "uses the files and folders",
            effects.files.iter().map(|(path, _)| escaped(path).into_owned()).collect(),
        ),
        ("may run", effects.programs.into_iter().map(str::to_owned).collect()),
    ] {
        if !found.is_empty() {
            lines.push(format!("{what} {}", found.into_iter().collect::<Vec<_>>().join(", ")));
        }
    }
    if effects.asks {
        lines.push("asks you for a passphrase".to_owned());
    }
    lines
}

/// The purpose of a path in a configuration file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum PathKind {
    /// A certificate, or a folder.
    Path,
    /// A kubeconfig, which itself names other files and programs.
    Kubeconfig,
    Secret,
}

/// The paths in a configuration file, as written.
pub(super) fn files(file: &ConfigFile) -> BTreeSet<(String, PathKind)> {
    let mut effects = Effects::default();
    for (_, table) in entries(file, "profiles").into_iter().chain(entries(file, "rings")) {
        effects.collect_from(&table, &mut Vec::new());
    }
    effects.files
}

fn entries<'a>(file: &'a ConfigFile, kind: &str) -> Vec<(&'a str, Node<'a>)> {
    file.root().get(kind).map(|node| node.entries()).unwrap_or_default()
}

#[derive(Default)]
struct Effects {
    variables: BTreeSet<String>,
    files: BTreeSet<(String, PathKind)>,
    programs: BTreeSet<&'static str>,
    asks: bool,
}

impl Effects {
    /// Collects everything in a table, at any depth, even if its backend does not accept it.
    /// `facts` receives the address of the backend and its permissions.
    fn collect_from(&mut self, node: &Node<'_>, facts: &mut Vec<String>) {
        for (name, value) in node.entries() {
            match value.text() {
                Some(text) if name == "env" => _ = self.variables.insert(escaped(text).into_owned()),
                Some(text) if name == "file" => _ = self.files.insert((text.to_owned(), PathKind::Secret)),
                Some(text) if name == "kubeconfig_path" => {
                    self.files.insert((text.to_owned(), PathKind::Kubeconfig));
                }
                Some(text) if Backend::is_path(name) => {
                    _ = self.files.insert((text.to_owned(), PathKind::Path))
                }
                Some("prompt") if name == "passphrase" => self.asks = true,
                Some(text) if ADDRESSES.contains(&name) || text.contains("://") => facts.push(address(text)),
                Some(text) if SHOWN_FIELDS.contains(&name) => facts.push(format!("{name} {}", escaped(text))),
                Some(_) => {}
                // Labels and tags, which other programs may act on.
                None if name.starts_with("default_") && value.is_table() => {
                    for (key, value) in value.entries() {
                        let shown = value.text().unwrap_or("?");
                        facts.push(format!("{name} {}={}", escaped(key), escaped(shown)));
                    }
                }
                None if SHOWN_FIELDS.contains(&name)
                    || ADDRESSES.contains(&name)
                    || Backend::is_path(name) =>
                {
                    let shown = value.plain().unwrap_or_else(|| "from a variable".to_owned());
                    facts.push(format!("{name} {}", escaped(&shown)));
                    self.collect_from(&value, facts);
                }
                None => self.collect_from(&value, facts),
            }
        }
        for element in node.elements() {
            self.collect_from(element, facts);
        }
    }
}

/// Fields that are shown as addresses, whatever they contain.
const ADDRESSES: [&str; 4] = ["address", "vault_url", "endpoint_url", "authority_host"];

/// Fields that decide where data goes, or what may happen to it. Other fields, such as limits and
/// times, are not shown, because a secret may have been written there by mistake.
const SHOWN_FIELDS: [&str; 26] = [
    "allow_http",
    "allow_open_dirs",
    "allowed_host",
    "client_id",
    "context",
    "create_dir",
    "created_by",
    "custom_metadata",
    "delete_mode",
    "enable_locking",
    "kms_key_id",
    "mount_path",
    "namespace",
    "over_deleted",
    "path_prefix",
    "profile",
    "recovery_window_days",
    "region",
    "replace_immutable",
    "role",
    "role_arn",
    "secret_prefix",
    "tenant_id",
    "tls_verify",
    "update_tags",
    "file_extension",
];

/// Scheme, host and port of an address, without user, path and query, which may be secret. An
/// address in any other form is shown whole, because a library may parse it in an unexpected way.
fn address(text: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte);
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let authority = rest.and_then(|rest| rest.split(['/', '?', '#']).next()).unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default();
    if host.is_empty() || !host.bytes().all(is_plain) {
        return format!("at the unusual address `{}`", in_ascii(text));
    }
    let scheme = if text.starts_with("https") { "https" } else { "http" };
    format!("at {scheme}://{host}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_shown_without_its_secret_parts() {
        assert_eq!(address("https://user:pw@vault.example:8200/a?b"), "at https://vault.example:8200");
        assert_eq!(address("http://127.0.0.1#x"), "at http://127.0.0.1");
    }

    /// Libraries read these as addresses of a host.
    #[test]
    fn an_address_in_an_unusual_form_is_shown_whole() {
        for text in [
            "http:evil.example",
            "http:/evil.example",
            "http:\\\\evil",
            "ht\ttp:evil",
            "http:///evil",
            "evil:1",
        ] {
            assert_eq!(address(text), format!("at the unusual address `{}`", escaped(text)));
        }
        assert!(address("https://v\u{430}ult.example").contains("v\\u{430}ult"));
        assert!(address("http://\u{ff11}27.0.0.1").contains("\\u{ff11}27"));
    }
}
