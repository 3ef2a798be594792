//! Physical names, in every alphabet: a name that decodes encodes back to itself, no two paths
//! share one, and each has only characters that its backend accepts.
//!
//! The input is up to three lines: a prefix, and two texts that are read as names and as paths.
#![no_main]

use cred_core::{CredentialPath, ScopeId};
use cred_provider_kit::naming::{AWS, AZURE, Decoded, FileNames, KUBERNETES, Names, Rules, VAULT};
use libfuzzer_sys::fuzz_target;

/// A backend's rules, a prefix that it always takes, whether case counts, the longest name, and its
/// characters.
struct Backend {
    rules: Rules,
    prefix: &'static str,
    case_counts: bool,
    longest: usize,
    takes: fn(u8) -> bool,
}

const BACKENDS: [Backend; 4] = [
    Backend {
        rules: AWS,
        prefix: "nebula/credentials/",
        case_counts: true,
        longest: 512,
        takes: |byte| byte.is_ascii_alphanumeric() || b"/_+=.@-".contains(&byte),
    },
    Backend {
        rules: AZURE,
        prefix: "nebula-",
        case_counts: false,
        longest: 127,
        takes: |byte| byte.is_ascii_alphanumeric() || byte == b'-',
    },
    Backend {
        rules: KUBERNETES,
        prefix: "nebula-cred-",
        case_counts: true,
        longest: 253,
        takes: |byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.".contains(&byte),
    },
    Backend {
        rules: VAULT,
        prefix: "nebula/",
        case_counts: true,
        longest: usize::MAX,
        takes: |byte| byte.is_ascii_alphanumeric() || b"/_-.:~".contains(&byte),
    },
];

fuzz_target!(|input: &[u8]| {
    let text = String::from_utf8_lossy(input);
    let mut lines = text.splitn(3, '\n');
    let prefix = lines.next().unwrap_or_default();
    let texts: Vec<&str> = lines.collect();
    let paths: Vec<CredentialPath> = texts.iter().filter_map(|text| text.parse().ok()).collect();
    for backend in &BACKENDS {
        for prefix in [backend.prefix, prefix] {
            let Ok(names) = Names::new(backend.rules, "prefix", prefix) else {
                assert_ne!(prefix, backend.prefix);
                continue;
            };
            assert_eq!(names.prefix(), prefix);
            texts.iter().for_each(|text| any_name(backend, &names, text));
            paths.iter().for_each(|path| any_path(backend, &names, path));
            if let [one, other] = paths.as_slice() {
                let name = |path: &CredentialPath| fold(backend, &names.encode(path.as_path_ref()).text);
                assert_eq!(name(one) == name(other), one == other, "two paths share a name");
            }
        }
    }
    for extension in ["enc.json", prefix] {
        let Ok(files) = FileNames::new("file_extension", extension) else { continue };
        texts.iter().for_each(|text| any_file(&files, extension, text));
        paths.iter().for_each(|path| any_place(&files, path));
        if let [one, other] = paths.as_slice() {
            let place = |path| place(&files, path).join("/").to_ascii_lowercase();
            assert_eq!(place(one) == place(other), one == other, "two paths share a file");
        }
    }
});

fn fold(backend: &Backend, name: &str) -> String {
    if backend.case_counts { name.to_owned() } else { name.to_ascii_lowercase() }
}

fn any_name(backend: &Backend, names: &Names, text: &str) {
    for name in [text.to_owned(), format!("{}{text}", names.prefix())] {
        match names.decode(&name) {
            Decoded::Exact(path) => {
                let again = names.encode(path.as_path_ref());
                assert!(!again.hashed);
                assert_eq!(fold(backend, &again.text), fold(backend, &name), "it is another path's name");
            }
            Decoded::Hashed => {
                assert!(fold(backend, &name).starts_with(&fold(backend, &names.hashed_prefix())));
                assert!(name.bytes().skip(names.prefix().len()).all(backend.takes));
            }
            Decoded::Foreign => {}
        }
    }
}

fn any_path(backend: &Backend, names: &Names, path: &CredentialPath) {
    let name = names.encode(path.as_path_ref());
    assert!(name.text.len() <= backend.longest && name.text.bytes().all(backend.takes), "{}", name.text);
    let expected = if name.hashed { Decoded::Hashed } else { Decoded::Exact(path.clone()) };
    assert_eq!(names.decode(&name.text), expected);
    assert_eq!(name.text.starts_with(&names.hashed_prefix()), name.hashed);
    let mut scope = path.scope.clone();
    while let Some(above) = scope {
        assert!(name.hashed || name.text.starts_with(&names.scope_prefix(Some(&above))), "a list misses it");
        scope = above.parent();
    }
}

fn any_file(files: &FileNames, extension: &str, text: &str) {
    for name in [text.to_owned(), format!("{text}.{extension}")] {
        match files.decode_file(&name) {
            Decoded::Exact(id) => assert_eq!(files.file(&id).text, name),
            Decoded::Hashed | Decoded::Foreign => {}
        }
        if let Decoded::Exact(part) = files.decode_directory(&name) {
            assert_eq!(files.directories(&part).map(|name| name.text).collect::<Vec<_>>(), [name.as_str()]);
            assert_eq!(part.parent(), None);
        }
    }
}

fn any_place(files: &FileNames, path: &CredentialPath) {
    let place = place(files, path);
    for name in &place {
        let fits = name.bytes().all(|byte| (b'!'..=b'~').contains(&byte) && !br#"<>:"/\|?*"#.contains(&byte));
        assert!(fits && name.len() <= 255 && !name.starts_with('.') && !name.ends_with('.'), "{name}");
    }
    let file = files.file(&path.id);
    let expected = if file.hashed { Decoded::Hashed } else { Decoded::Exact(path.id.clone()) };
    assert_eq!(files.decode_file(&file.text), expected);
    assert_eq!(files.decode_directory(&file.text), Decoded::Foreign);
    let mut hashed = file.hashed;
    for (part, directory) in
        path.scope.iter().flat_map(|scope| scope.as_str().split('/').zip(files.directories(scope)))
    {
        let part: ScopeId = part.parse().expect("a part of a scope");
        let expected = if directory.hashed { Decoded::Hashed } else { Decoded::Exact(part) };
        assert_eq!(files.decode_directory(&directory.text), expected);
        assert_eq!(files.decode_file(&directory.text), Decoded::Foreign);
        hashed |= directory.hashed;
    }
    assert_eq!(files.is_hashed(path.as_path_ref()), hashed);
}

fn place(files: &FileNames, path: &CredentialPath) -> Vec<String> {
    let directories = path.scope.iter().flat_map(|scope| files.directories(scope));
    directories.chain([files.file(&path.id)]).map(|name| name.text).collect()
}
