use std::collections::{BTreeSet, HashMap};

use cred_core::CredentialId;
use proptest::prelude::*;

use super::*;

/// The names that a backend accepts, independently of the code under test: from its documentation.
struct Backend {
    names: Names,
    accepts: fn(&str) -> bool,
    ignores_case: bool,
}

impl Backend {
    fn fold(&self, name: &str) -> String {
        if self.ignores_case { name.to_ascii_lowercase() } else { name.to_owned() }
    }
}

fn names(rules: Rules, prefix: &str) -> Names {
    Names::new(rules, "secret_prefix", prefix).unwrap()
}

fn custom(case: Case, punctuation: &str, mark: char) -> Rules {
    Rules::custom("custom", case, punctuation, mark).unwrap()
}

fn backends() -> [Backend; 10] {
    let backend =
        |rules, prefix, accepts| Backend { names: names(rules, prefix), accepts, ignores_case: false };
    [
        backend(AWS, "nebula/credentials/", is_aws_name),
        backend(AWS, "", is_aws_name),
        backend(AWS, "cred-", is_aws_name),
        Backend { ignores_case: true, ..backend(AZURE, "Nebula-credentials-", is_azure_name) },
        backend(VAULT, "nebula/credentials/", is_vault_path),
        backend(KUBERNETES, "nebula-cred-", is_dns_subdomain),
        backend(KUBERNETES, "a.b", is_dns_subdomain),
        backend(custom(Case::Kept, "_-.:/", '%'), "cred:", is_any_path),
        backend(custom(Case::Kept, ".-", '/').with_max_len(100), "", is_key),
        Backend {
            ignores_case: true,
            ..backend(custom(Case::Ignored, "", '_').with_max_len(128), "cred_", is_table_name)
        },
    ]
}

fn is_any_path(name: &str) -> bool {
    name.chars().all(|c| c.is_ascii_alphanumeric() || "_-.:/%".contains(c))
}

fn is_key(name: &str) -> bool {
    (1..=100).contains(&name.len()) && name.chars().all(|c| c.is_ascii_alphanumeric() || "/.-".contains(c))
}

fn is_table_name(name: &str) -> bool {
    let alphabet = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    (1..=128).contains(&name.len()) && name.chars().all(alphabet) && !name.ends_with('_')
}

fn is_aws_name(name: &str) -> bool {
    let hyphen_and_six = name.len() >= 7 && name.as_bytes()[name.len() - 7] == b'-';
    let alphabet = |c: char| c.is_ascii_alphanumeric() || "/_+=.@-".contains(c);
    (1..=512).contains(&name.len()) && name.chars().all(alphabet) && !hyphen_and_six
}

fn is_azure_name(name: &str) -> bool {
    (1..=127).contains(&name.len()) && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
}

fn is_vault_path(name: &str) -> bool {
    let segment = |text: &str| {
        !["", ".", ".."].contains(&text)
            && text.chars().all(|c| c.is_ascii_alphanumeric() || "_-.:".contains(c))
    };
    name.split('/').all(segment)
}

fn is_dns_subdomain(name: &str) -> bool {
    let alphanumeric = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let label = |text: &str| {
        text.chars().all(|c| alphanumeric(c) || c == '-')
            && text.starts_with(alphanumeric)
            && text.ends_with(alphanumeric)
    };
    (1..=253).contains(&name.len()) && name.split('.').all(label)
}

fn is_portable_component(name: &str) -> bool {
    const DEVICES: [&str; 8] = ["con", "prn", "aux", "nul", "com0", "com9", "lpt1", "lpt5"];
    let stem = name.split('.').next().unwrap();
    (1..=255).contains(&name.len())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "_-.=+%".contains(c))
        && !name.starts_with('.')
        && !name.ends_with('.')
        && !DEVICES.contains(&stem)
}

fn path(text: &str) -> CredentialPath {
    text.parse().unwrap()
}

fn long(byte: &str, count: usize) -> CredentialPath {
    path(&byte.repeat(count))
}

#[test]
fn names_match_the_documentation() {
    let table = [
        (
            "stripe-api-key",
            ["p/stripe-api-key", "p-stripe--api--key", "p-stripe--api--key", "p/stripe-api-key"],
        ),
        (
            "STRIPE_API_KEY",
            ["p/STRIPE_API_KEY", "p--kstripe-uapi-ukey", "p--kstripe-uapi-ukey", "p/STRIPE_API_KEY"],
        ),
        ("org:acme/db", ["p/org=acme/db", "p-org-cacme-sdb", "p-org-cacme-sdb", "p/org:acme/db"]),
        ("my-secret", ["p/my@2dsecret", "p-my--secret", "p-my--secret", "p/my-secret"]),
        ("ends-", ["p/ends-", "p-ends--", "p-ends-x2d", "p/ends-"]),
    ];
    let all = [names(AWS, "p/"), names(AZURE, "p-"), names(KUBERNETES, "p-"), names(VAULT, "p/")];
    for (text, expected) in table {
        for (names, expected) in all.iter().zip(expected) {
            assert_eq!(names.encode(path(text).as_path_ref()).text, expected);
        }
    }
    let files = FileNames::new("file_extension", "enc.json").unwrap();
    let file = |text: &str| files.file(&text.parse().unwrap()).text;
    assert_eq!(file("stripe-api-key"), "stripe-api-key.enc.json");
    assert_eq!(file("STRIPE_API_KEY"), "+stripe_api_key.enc.json");
    assert_eq!(file("MyKey"), "+m+y+k+ey.enc.json");
    assert_eq!(file("nul"), "%6eul.enc.json");
    let scope: ScopeId = "org:acme/con.x:a./..:B".parse().unwrap();
    let directories: Vec<_> = files.directories(&scope).map(|name| name.text).collect();
    assert_eq!(directories, ["org=acme", "%63on.x=a%2e", "%2e.=+b"]);
}

#[test]
fn a_name_is_hashed_only_beyond_the_maximum_length() {
    for (names, readable) in [
        (names(AWS, ""), long("a", 255)),
        (names(AZURE, "p"), long("a", 126)),
        (names(KUBERNETES, "p"), long("a", 252)),
        (names(VAULT, "p/"), long("a", 255)),
    ] {
        let name = names.encode(readable.as_path_ref());
        assert!(!name.hashed, "{name:?}");
        assert_eq!(names.decode(&name.text), Decoded::Exact(readable));
    }
    for (names, beyond) in [
        (names(AWS, ""), path(&format!("o:{}/{}", "x".repeat(255), "a".repeat(255)))),
        (names(AZURE, "p"), long("a", 127)),
        (names(KUBERNETES, "p"), long("a", 253)),
    ] {
        let name = names.encode(beyond.as_path_ref());
        assert!(name.hashed, "{name:?}");
        assert_eq!(names.decode(&name.text), Decoded::Hashed);
    }
    let files = FileNames::new("file_extension", "enc.json").unwrap();
    let hashed = |id: CredentialPath| files.is_hashed(id.as_path_ref());
    assert!(
        !hashed(long("a", 246))
            && hashed(long("a", 247))
            && hashed(path(&format!("o:{}/a", "x".repeat(254))))
    );
}

#[test]
fn every_short_id_has_its_own_name() {
    const LETTERS: [char; 14] = ['a', 'A', 'k', 'K', 'u', 'x', 'c', 'h', '0', '2', 'd', 'D', '_', '-'];
    let mut ids = vec![String::new()];
    for length in 0..4 {
        let longest: Vec<_> = ids.iter().filter(|id| id.len() == length).cloned().collect();
        ids.extend(longest.iter().flat_map(|id| LETTERS.map(|letter| format!("{id}{letter}"))));
    }
    ids.remove(0);
    let files = FileNames::new("file_extension", "json").unwrap();
    let distinct: BTreeSet<_> =
        ids.iter().map(|id| files.file(&id.parse().unwrap()).text.to_ascii_lowercase()).collect();
    assert_eq!(distinct.len(), ids.len());
    for backend in backends() {
        let name = |id: &String| backend.fold(&backend.names.encode(path(id).as_path_ref()).text);
        assert_eq!(ids.iter().map(name).collect::<BTreeSet<_>>().len(), ids.len());
    }
}

#[test]
fn names_of_other_software_are_foreign() {
    let aws = names(AWS, "app/");
    for name in ["", "app", "app/", "app-prod/x", "app/a b", "app/x@61", "app/org=a", "app/é", "ap"] {
        assert_eq!(aws.decode(name), Decoded::Foreign, "{name}");
    }
    let kubernetes = names(KUBERNETES, "app-");
    for name in ["app-stripe-api", "app--k0", "app-a-kb-k", "app-A", "app--h", "app--hshort", "app--x61"] {
        assert_eq!(kubernetes.decode(name), Decoded::Foreign, "{name}");
    }
    let files = FileNames::new("file_extension", "enc.json").unwrap();
    for name in
        ["", ".enc.json", "a", "a.json", "A.enc.json", "+a+.enc.json", "org=a.enc.json", "%61.enc.json", "é"]
    {
        assert_eq!(files.decode_file(name), Decoded::Foreign, "{name}");
    }
    for name in ["", ".tmp", "..", "a", "Org=a", "org=", "=a", "org=a=b", "org=a%2fb=c"] {
        assert_eq!(files.decode_directory(name), Decoded::Foreign, "{name}");
    }
}

#[test]
fn azure_names_decode_in_any_case() {
    let azure = names(AZURE, "App-");
    let name = azure.encode(path("org:A/Key").as_path_ref()).text;
    assert_eq!(azure.decode(&name.to_ascii_uppercase()), Decoded::Exact(path("org:A/Key")));
}

#[test]
fn a_prefix_must_be_valid_and_leave_room() {
    let ok = |rules: Rules, prefix: &str| Names::new(rules, "secret_prefix", prefix).is_ok();
    assert!(ok(AWS, &"p".repeat(458)) && !ok(AWS, &"p".repeat(459)) && !ok(AWS, "a b") && !ok(AWS, "a:"));
    assert!(ok(AZURE, &"p".repeat(73)) && !ok(AZURE, &"p".repeat(74)) && !ok(AZURE, "a_"));
    assert!(ok(KUBERNETES, &"p".repeat(199)) && !ok(KUBERNETES, &"p".repeat(200)));
    for prefix in ["", "-a", "A", "a.", ".a", "a..b", "a-.b", "a_b"] {
        assert!(!ok(KUBERNETES, prefix), "{prefix}");
    }
    for prefix in ["a", "/", "/a/", "a//b/", "a/../b/", "a b/", "./", "a/org:acme/"] {
        assert!(!ok(VAULT, prefix), "{prefix}");
    }
    assert!(ok(VAULT, "") && ok(VAULT, "a/b/"));
    let error = Names::new(AZURE, "secret_prefix", "a_").unwrap_err();
    assert_eq!(
        error.to_string(),
        "the azure configuration is invalid: `secret_prefix` contains a character that Azure refuses; use A-Z a-z 0-9 -"
    );
    for extension in ["", ".json", "json.", "a/b", "a b", &"x".repeat(65)] {
        assert!(FileNames::new("file_extension", extension).is_err(), "{extension}");
    }
}

#[test]
fn rules_by_which_two_paths_could_share_a_name_are_refused() {
    let problem = |punctuation: &str, mark: char| {
        let refused = Rules::custom("tables", Case::Kept, punctuation, mark);
        refused.err().map(|error| error.to_string())
    };
    for mark in ['a', 'K', '0', ' ', '\n', '*', 'é'] {
        let error = problem("_-", mark).unwrap();
        assert!(error.starts_with("the tables configuration is invalid: `mark` must be one of"), "{error}");
    }
    assert!(problem("_-", '-').is_some_and(|error| error.contains("two paths could share a name")));
    for punctuation in ["a", "0", " ", "\u{7f}", "é"] {
        assert!(
            problem(punctuation, '-').is_some_and(|error| error.contains("`punctuation`")),
            "{punctuation}"
        );
    }
    assert_eq!(problem("*?()", '-'), None);
}

#[test]
fn names_without_room_for_a_hashed_one_are_refused() {
    let ok = |max_len, prefix: &str| {
        Names::new(custom(Case::Kept, "", '-').with_max_len(max_len), "prefix", prefix).is_ok()
    };
    assert!(ok(54, "") && !ok(53, "") && !ok(0, ""));
    assert!(ok(55, "p") && !ok(55, "pp") && !ok(99, "a_"));
}

fn any_text(alphabet: &'static str, most: usize) -> impl Strategy<Value = String> {
    let texts =
        |lengths: String| proptest::string::string_regex(&format!("{alphabet}{{{lengths}}}")).unwrap();
    prop_oneof![
        4 => texts("1,9".to_owned()),
        1 => texts(format!("{most}")),
        1 => texts(format!("1,{most}")),
    ]
}

/// Six bytes behind a hyphen look like the end of an ARN, and here the hyphen ends the prefix. A
/// byte of the id is escaped, never one of the scope: otherwise, a listing by the prefix of the
/// scope would miss the name.
#[test]
fn an_aws_name_that_must_not_end_as_an_arn_is_still_found_by_its_scope() {
    let names = names(AWS, "cred-");
    for (scope, id, expected) in [
        (Some("k:_"), "hh", "cred-k=_/@68h"),
        (Some("a:b"), "c-", "cred-a=b/@63-"),
        (None, "a-bcde", "cred-@61-bcde"),
    ] {
        let path = CredentialPath::new(scope.map(|scope| scope.parse().unwrap()), id.parse().unwrap());
        let name = names.encode(path.as_path_ref());
        assert_eq!(name.text, expected);
        assert!(name.text.starts_with(&names.scope_prefix(path.scope.as_ref())));
        assert_eq!(names.decode(&name.text), Decoded::Exact(path));
    }
}

/// Letters that collide if case, marks or codes are decoded wrongly.
fn any_id() -> impl Strategy<Value = CredentialId> {
    let devices =
        prop::sample::select(vec!["con", "NUL", "com1", "Lpt9", "aux", "prn"]).prop_map(str::to_owned);
    prop_oneof![
        4 => any_text("[aAkKuxchs02dD_-]", 255),
        1 => any_text("[A-Za-z0-9_-]", 255),
        1 => devices,
    ]
    .prop_map(|text| CredentialId::new(text).unwrap())
}

fn any_scope() -> impl Strategy<Value = ScopeId> {
    let part = ("[oO.k-]{1,3}|con.x|nul", any_text("[aA.k_-]", 120));
    prop::collection::vec(part, 1..4).prop_filter_map("a value is neither . nor ..", |parts| {
        let parts: Vec<_> = parts.iter().map(|(level, value)| format!("{level}:{value}")).collect();
        parts.join("/").parse::<ScopeId>().ok()
    })
}

fn any_path() -> impl Strategy<Value = CredentialPath> {
    (prop::option::of(any_scope()), any_id()).prop_map(|(scope, id)| CredentialPath::new(scope, id))
}

/// A path and a similar one: another case, `-` for `_`, one letter more, or without the scope.
fn any_similar_paths() -> impl Strategy<Value = [CredentialPath; 2]> {
    let change = |path: &CredentialPath, kind: u8| -> Option<CredentialPath> {
        let (scope, id) = (path.scope.clone(), path.id.as_str());
        let id = match kind {
            0 => id.to_ascii_lowercase(),
            1 => id.to_ascii_uppercase(),
            2 => id.replace('_', "-"),
            3 => format!("{id}-"),
            4 => id.get(1..)?.to_owned(),
            5 => return Some(CredentialPath::new(scope?.parent(), path.id.clone())),
            _ => return Some(CredentialPath::new(None, path.id.clone())),
        };
        Some(CredentialPath::new(scope, id.parse().ok()?))
    };
    (any_path(), 0_u8..7).prop_filter_map("they must differ", move |(path, kind)| {
        let other = change(&path, kind).filter(|other| *other != path)?;
        Some([path, other])
    })
}

/// The components of a file's path below the base directory, as the local provider joins them.
fn file_components(files: &FileNames, path: &CredentialPath) -> Vec<String> {
    let directories = path.scope.iter().flat_map(|scope| files.directories(scope));
    directories.chain([files.file(&path.id)]).map(|name| name.text).collect()
}

proptest! {
    #[test]
    fn every_path_round_trips_through_a_name_that_the_backend_accepts(path in any_path()) {
        for backend in backends() {
            let name = backend.names.encode(path.as_path_ref());
            prop_assert!((backend.accepts)(&name.text), "{}", name.text);
            let expected = if name.hashed { Decoded::Hashed } else { Decoded::Exact(path.clone()) };
            prop_assert_eq!(backend.names.decode(&name.text), expected);
            let in_scope = name.text.starts_with(&backend.names.scope_prefix(path.scope.as_ref()));
            prop_assert!(in_scope || name.hashed);
            prop_assert_eq!(name.text.starts_with(&backend.names.hashed_prefix()), name.hashed);
        }
    }

    #[test]
    fn similar_paths_have_distinct_names([one, other] in any_similar_paths()) {
        for backend in backends() {
            let name = |path: &CredentialPath| backend.fold(&backend.names.encode(path.as_path_ref()).text);
            prop_assert_ne!(name(&one), name(&other));
        }
        let files = FileNames::new("file_extension", "enc.json").unwrap();
        let joined = |path| file_components(&files, path).join("/").to_ascii_lowercase();
        prop_assert_ne!(joined(&one), joined(&other));
    }

    #[test]
    fn any_two_paths_have_distinct_names(paths in prop::collection::hash_set(any_path(), 2..6)) {
        for backend in backends() {
            let mut seen = HashMap::new();
            for path in &paths {
                let name = backend.fold(&backend.names.encode(path.as_path_ref()).text);
                prop_assert_eq!(seen.insert(name, path), None);
            }
        }
    }

    #[test]
    fn every_path_round_trips_through_portable_file_names(path in any_path()) {
        let files = FileNames::new("file_extension", "enc.json").unwrap();
        prop_assert!(file_components(&files, &path).iter().all(|name| is_portable_component(name)));
        let file = files.file(&path.id);
        let expected = if file.hashed { Decoded::Hashed } else { Decoded::Exact(path.id.clone()) };
        prop_assert_eq!(files.decode_file(&file.text), expected);
        prop_assert_eq!(files.decode_directory(&file.text), Decoded::Foreign);
        let scope = path.scope.iter().flat_map(|scope| scope.as_str().split('/').zip(files.directories(scope)));
        for (part, directory) in scope {
            let part: ScopeId = part.parse().unwrap();
            let expected = if directory.hashed { Decoded::Hashed } else { Decoded::Exact(part) };
            prop_assert_eq!(files.decode_directory(&directory.text), expected);
            prop_assert_eq!(files.decode_file(&directory.text), Decoded::Foreign);
        }
    }

    #[test]
    fn any_name_is_foreign_or_encodes_back_to_itself(
        name in prop_oneof!["\\PC{0,20}", "[a-zA-Z0-9@%~=+_./:-]{0,60}", "(-[a-z-]|[a-z0-9]){0,20}"],
    ) {
        for backend in backends() {
            for name in [name.clone(), format!("{}{name}", backend.names.prefix())] {
                if let Decoded::Exact(path) = backend.names.decode(&name) {
                    let again = backend.names.encode(path.as_path_ref());
                    prop_assert!(!again.hashed);
                    prop_assert_eq!(backend.fold(&again.text), backend.fold(&name));
                }
            }
        }
        let files = FileNames::new("file_extension", "enc.json").unwrap();
        if let Decoded::Exact(id) = files.decode_file(&format!("{name}.enc.json")) {
            prop_assert_eq!(files.file(&id).text, format!("{name}.enc.json"));
        }
        if let Decoded::Exact(part) = files.decode_directory(&name) {
            prop_assert_eq!(files.directories(&part).map(|name| name.text).collect::<Vec<_>>(), [name]);
        }
    }
}
