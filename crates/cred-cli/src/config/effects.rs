//! What a file would do if it were used, for a person who decides whether to trust it.

use std::collections::BTreeSet;

use super::file::ConfigFile;
use super::value::Node;
use crate::backend;
use crate::escape::escaped;

/// One line for each kind of effect: backends with their addresses, variables, files, programs. The
/// file is only parsed: nothing that it names is looked at.
pub(crate) fn of(file: &ConfigFile) -> Vec<String> {
    let (mut lines, mut seen) = (Vec::new(), Seen::default());
    let profiles = file.root().get("profiles").map(|node| node.entries()).unwrap_or_default();
    for (name, profile) in profiles {
        let named = profile.get("backend").and_then(|node| node.text()).unwrap_or_default();
        let mut addresses = BTreeSet::new();
        seen.look_at(&profile, &mut addresses);
        let mut line = format!("profile {}: backend {}", escaped(name), backend::shown_name(named));
        if !addresses.is_empty() {
            line += &format!(" at {}", addresses.into_iter().collect::<Vec<_>>().join(", "));
        }
        lines.push(line);
        seen.programs.extend(backend::programs(named));
    }
    if let Some(rings) = file.root().get("rings") {
        seen.look_at(&rings, &mut BTreeSet::new());
    }
    for (what, found) in [
        ("reads the variables", seen.variables),
        ("uses the files and folders", seen.files),
        ("may run", seen.programs),
    ] {
        if !found.is_empty() {
            lines.push(format!("{what} {}", found.into_iter().collect::<Vec<_>>().join(", ")));
        }
    }
    lines
}

/// Fields that decide where a backend is, without being an address.
const WHERE: [&str; 5] = ["region", "profile", "context", "allowed_host", "authority_host"];

#[derive(Default)]
struct Seen {
    variables: BTreeSet<String>,
    files: BTreeSet<String>,
    programs: BTreeSet<String>,
}

impl Seen {
    /// Everything in a table, however deep it is and whether it fits its backend or not.
    fn look_at(&mut self, node: &Node<'_>, addresses: &mut BTreeSet<String>) {
        for (name, value) in node.entries() {
            match value.text() {
                Some(text) if name == "env" => _ = self.variables.insert(escaped(text).into_owned()),
                Some(text) if name == "file" || backend::is_path(name) => {
                    self.files.insert(escaped(text).into_owned());
                }
                Some(text) if WHERE.contains(&name) => {
                    _ = addresses.insert(format!("{name} {}", escaped(text)))
                }
                Some(text) => addresses.extend(address(text)),
                None => self.look_at(&value, addresses),
            }
        }
        for element in node.elements() {
            self.look_at(element, addresses);
        }
    }
}

/// Scheme, host and port of an address, without a user, a path or a query, which may be secret.
fn address(text: &str) -> Option<String> {
    let (scheme, rest) = text.split_once("://")?;
    let authority = rest.split(['/', '?', '#', '\\']).next().unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default();
    Some(escaped(&format!("{scheme}://{host}")).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_shown_without_what_may_be_secret() {
        assert_eq!(address("https://user:pw@vault.example:8200/a?b").unwrap(), "https://vault.example:8200");
        assert_eq!(address("http://a\u{202e}b\\@evil/").unwrap(), "http://a\\u{202e}b");
        assert_eq!(address("secret"), None);
    }
}
