//! The files in a project's folder that its `cred.toml` names. A pull can change them as well.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use cred_config::model::ConfigFile;
use sha2::{Digest as _, Sha256};

use crate::config::effects::{self, PathKind};
use crate::config::ring::to_hex;
use crate::failure::Failure;

/// Maximum length of a file, in bytes.
const MAX_LEN: u64 = 64 * 1_024 * 1_024;
/// Maximum length of a kubeconfig, in bytes. It is searched for names of other files.
const MAX_KUBECONFIG_LEN: u64 = 1_024 * 1_024;

/// The hash of the files of one kind, in hex; `None` if there are none. `salt` is hashed first: a
/// reader who knows only the hash cannot test guesses of a secret.
pub(super) fn hash(file: &ConfigFile, kind: PathKind, salt: &[u8]) -> Result<Option<String>, Failure> {
    let project = Project::of(file);
    let (mut all, mut count) = (Sha256::new(), 0);
    all.update(salt);
    for (written, _) in effects::files(file).into_iter().filter(|(_, of)| *of == kind) {
        let Ok(path) = file.resolve(&written) else { continue };
        if !project.contains(&path) {
            continue;
        }
        count += 1;
        project.add(&written, &path, &mut all)?;
        if kind == PathKind::Kubeconfig {
            for (word, named) in project.named_by_kubeconfig(&path)? {
                project.add(&word, &named, &mut all)?;
            }
        }
    }
    Ok((count > 0).then(|| to_hex(&all.finalize())))
}

/// The folder of a project.
struct Project {
    folder: PathBuf,
}

impl Project {
    fn of(file: &ConfigFile) -> Self {
        Self { folder: file.path().parent().unwrap_or(Path::new("/")).to_owned() }
    }

    /// Whether a path, or the target of its links, is in the folder.
    fn contains(&self, path: &Path) -> bool {
        path.starts_with(&self.folder)
            || path.canonicalize().is_ok_and(|target| target.starts_with(&self.folder))
    }

    /// Hashes the name as written, the target of its links, and the contents of a regular file. The
    /// hash does not depend on the location of the project. A folder may be created later, because
    /// a store creates its own.
    fn add(&self, written: &str, path: &Path, all: &mut Sha256) -> Result<(), Failure> {
        let failed = |error| Failure::file("read", path, error);
        let target = path.canonicalize().unwrap_or_default();
        let target = target.strip_prefix(&self.folder).unwrap_or(&target);
        let is_link = fs::symlink_metadata(path).is_ok_and(|found| found.is_symlink());
        let is_file = fs::metadata(path).is_ok_and(|found| found.is_file());
        let target = if is_link || is_file { target.as_os_str().as_encoded_bytes() } else { b"" };
        let contents = if is_file { contents(path).map_err(failed)? } else { String::new() };
        for part in [written.as_bytes(), target, contents.as_bytes()] {
            all.update(part.len().to_le_bytes());
            all.update(part);
        }
        Ok(())
    }

    /// Every word of a kubeconfig that is the path of a file in the project: certificates, tokens,
    /// programs and their arguments.
    fn named_by_kubeconfig(&self, path: &Path) -> Result<Vec<(String, PathBuf)>, Failure> {
        let failed = |error| Failure::file("read", path, error);
        if !fs::metadata(path).is_ok_and(|found| found.is_file()) {
            return Ok(Vec::new());
        }
        let unusable = |problem: &str| {
            Failure::config(format!(
                "cannot trust the kubeconfig `{}` of the project: it {problem}",
                path.display()
            ))
            .hint("use a kubeconfig outside the project, or pass its cred.toml with --config")
        };
        if fs::metadata(path).map_err(failed)?.len() > MAX_KUBECONFIG_LEN {
            return Err(unusable("is longer than 1 MiB"));
        }
        let text = fs::read_to_string(path).map_err(failed)?;
        if text.contains('\\') {
            // YAML has escapes, which could hide a name.
            return Err(unusable("contains a backslash, so the files that it names cannot be found"));
        }
        let folder = path.parent().unwrap_or(Path::new("/"));
        let ends = |letter: char| letter.is_whitespace() || "\"'`,;:=()[]{}<>|&$".contains(letter);
        let words = text.split(ends).filter(|word| !word.is_empty() && word.len() <= 4_096);
        let mut named: Vec<_> = words
            .map(|word| (word.to_owned(), folder.join(word)))
            .filter(|(_, path)| path.is_file() && self.contains(path))
            .collect();
        named.sort();
        named.dedup();
        Ok(named)
    }
}

fn contents(path: &Path) -> io::Result<String> {
    let (mut file, mut hash) = (File::open(path)?.take(MAX_LEN + 1), Sha256::new());
    let (mut buffer, mut length) = (vec![0; 64 * 1_024], 0_u64);
    loop {
        match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => {
                hash.update(buffer.get(..read).unwrap_or_default());
                length = length.saturating_add(u64::try_from(read).unwrap_or(u64::MAX));
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    match length > MAX_LEN {
        true => Err(io::Error::new(io::ErrorKind::FileTooLarge, "longer than 64 MiB")),
        false => Ok(to_hex(&hash.finalize())),
    }
}
