//! The program of a server: on `PATH`, in the cache, or built or installed into the cache from the
//! package registries.

use std::ffi::OsStr;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, fs};

use anyhow::{Context, Result, bail};

use super::catalog::Server;
use super::probe::UNKNOWN;
use crate::{cache, cargo, workspace};

/// The slowest build, HashiCorp Vault on two cores, takes 11 minutes.
const LIMIT: Duration = Duration::from_secs(60 * 60);

/// A program to start.
pub(super) struct Program {
    pub(super) path: PathBuf,
    pub(super) version: String,
    /// Where it comes from.
    pub(super) source: String,
}

/// How to find a program, and how to make it.
pub(super) struct Recipe {
    pub(super) name: &'static str,
    /// Shown before the version of a program that is not called like its server; else empty.
    pub(super) label: &'static str,
    /// A command on `PATH` that succeeds and prints the version; empty: not looked for.
    pub(super) on_path: &'static str,
    pub(super) kind: Kind,
    /// Made only by `servers make NAME`.
    pub(super) only_if_named: bool,
}

pub(super) enum Kind {
    /// A script in `servers/`, and the folder beside it whose files pin every version. The
    /// arguments stand after the folder to fill and the name of the program there.
    Script { script: &'static str, folder: &'static str, args: [&'static str; 2] },
    /// A package of this workspace, built by cargo each time: it is part of what is tested.
    Workspace(&'static str),
}

/// Of the server's recipes, the first whose program exists or may be made.
pub(super) fn program(server: &Server) -> Result<Program> {
    program_in(server, &env::var_os("PATH").unwrap_or_default(), &shelf()?)
}

fn program_in(server: &Server, path: &OsStr, shelf: &Path) -> Result<Program> {
    for recipe in server.recipes {
        if let Some(program) = recipe.found(path) {
            return Ok(program);
        }
        if !recipe.only_if_named || recipe.home(shelf)?.is_dir() {
            return recipe.made(shelf);
        }
    }
    bail!("no program can be {}", server.name)
}

/// Where the cache has the servers.
pub(super) fn shelf() -> Result<PathBuf> {
    Ok(cache::folder()?.join("servers"))
}

impl Recipe {
    pub(super) const fn new(name: &'static str, on_path: &'static str, kind: Kind) -> Self {
        Self { name, label: "", on_path, kind, only_if_named: false }
    }

    /// The first program on the path that runs: a version manager may have put a script there that
    /// only reports that the program is not installed.
    fn found(&self, path: &OsStr) -> Option<Program> {
        let mut words = self.on_path.split_whitespace();
        let (name, args) = (words.next()?, words.collect::<Vec<_>>());
        for folder in env::split_paths(path).filter(|folder| folder.is_absolute()) {
            let path = folder.join(name);
            if !path.is_file() {
                continue;
            }
            match Command::new(&path).args(&args).stdin(Stdio::null()).output() {
                Ok(output) if output.status.success() => {
                    let output = String::from_utf8_lossy(&output.stdout);
                    let version = printed_version(&output);
                    let version = self.label.to_owned() + version.unwrap_or(UNKNOWN);
                    return Some(Program { source: path.display().to_string(), path, version });
                }
                _ => eprintln!("{}: {} does not run; searching further", self.name, path.display()),
            }
        }
        None
    }

    /// The program in the cache, built first if it is missing.
    pub(super) fn made(&self, shelf: &Path) -> Result<Program> {
        if let Kind::Workspace(package) = self.kind {
            cargo::run(&mut cargo::cargo(["build", "--quiet", "--package", package]))?;
            let path = workspace::metadata()?.target_directory.join("debug").join(package).into();
            return Ok(Program { path, version: "(this workspace)".to_owned(), source: "cargo".to_owned() });
        }
        let (home, mut source) = (self.home(shelf)?, "cache");
        let path = cache::made(&home, &Path::new("bin").join(self.name), |making| {
            source = "made now";
            self.make(making)
        })?;
        let version = fs::read_to_string(home.join("version")).unwrap_or_else(|_| UNKNOWN.to_owned());
        Ok(Program { path, version: format!("{}{}", self.label, version.trim()), source: source.to_owned() })
    }

    /// Runs the script under a guard, so that a build of minutes ends with xtask. Prints the output
    /// of one that fails.
    fn make(&self, making: &Path) -> Result<()> {
        let (name, begin, mut output) = (self.name, Instant::now(), String::new());
        let Kind::Script { script, folder, args } = self.kind else { bail!("{name} has no script") };
        let mut command = Command::new("sh");
        command.current_dir(servers().join(folder)).arg(format!("../{script}"));
        command.arg(making).arg(name).args(args);
        let shown = cargo::shown(&command);
        eprintln!("{name}: making it, once for this machine, within minutes: {shown}");
        if !cargo::each_line_unseen(&command, LIMIT, |line| output += &format!("{name}: {line}\n"))? {
            bail!("cannot make {name}; put it on PATH, or fix `{shown}`:\n{output}");
        }
        eprintln!("{name}: made in {} s", begin.elapsed().as_secs());
        Ok(())
    }

    /// Its folder in the cache. The name has a hash of everything that decides what is made. A new
    /// release of Rust may hash differently; then it is made again.
    pub(super) fn home(&self, shelf: &Path) -> Result<PathBuf> {
        let Kind::Script { script, folder, args } = self.kind else { bail!("{} has no script", self.name) };
        let bound_to = match script {
            // A virtual environment works with one interpreter.
            "pip.sh" => Command::new("python3").arg("--version").output().map(|output| output.stdout),
            // Unpacked programs need the libraries of the same Debian release.
            "debian.sh" => fs::read("/etc/debian_version"),
            _ => Ok(Vec::new()),
        };
        let mut hash = DefaultHasher::new();
        (env::consts::OS, env::consts::ARCH, args, bound_to.unwrap_or_default()).hash(&mut hash);
        let folder = servers().join(folder);
        let list = fs::read_dir(&folder).with_context(|| format!("cannot list {}", folder.display()))?;
        let mut files = list.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
        files.push(servers().join(script));
        files.sort();
        for file in files.iter().filter(|file| file.is_file()) {
            fs::read(file).with_context(|| format!("cannot read {}", file.display()))?.hash(&mut hash);
        }
        Ok(shelf.join(format!("{}-{:016x}", self.name, hash.finish())))
    }
}

fn servers() -> PathBuf {
    workspace::root().join("servers")
}

/// The first word like `1.21.0` or `v1.21.0`.
fn printed_version(output: &str) -> Option<&str> {
    let words = output.split(|c: char| c.is_whitespace() || "=,;".contains(c));
    let mut words = words.map(|word| word.trim_start_matches('v'));
    words.find(|word| word.starts_with(|c: char| c.is_ascii_digit()) && word.matches('.').count() == 2)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::super::catalog;
    use super::*;

    fn script(path: &Path, text: &str) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, format!("#!/bin/sh\n{text}\n")).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    #[test]
    fn vault_is_hashicorp_vault_where_there_is_one_and_else_openbao() {
        let machine = tempfile::tempdir().unwrap();
        let [bin, broken, shelf] = ["bin", "broken", "shelf"].map(|name| machine.path().join(name));
        let path = env::join_paths([&broken, &bin]).unwrap();
        let assert = |version: &str, source: &str| {
            let program = program_in(catalog::find("vault-tls").unwrap(), &path, &shelf).unwrap();
            assert_eq!((program.version.as_str(), program.source.as_str()), (version, source));
        };
        let cache = |name, version| {
            let home = catalog::recipe(name).unwrap().home(&shelf).unwrap();
            script(&home.join("bin").join(name), "");
            fs::write(home.join("version"), version).unwrap();
        };
        script(&broken.join("vault"), "exit 127");
        cache("openbao", "2.7.2\n");
        assert("OpenBao 2.7.2", "cache");
        script(&bin.join("bao"), "echo OpenBao v2.1.0, built yesterday");
        assert("OpenBao 2.1.0", bin.join("bao").to_str().unwrap());
        cache("vault", "1.21.0\n");
        assert("1.21.0", "cache");
        script(&bin.join("vault"), "echo 'Vault v1.20.4 (abc), built 2025'");
        assert("1.20.4", bin.join("vault").to_str().unwrap());
    }

    #[test]
    fn reads_the_printed_versions() {
        assert_eq!(printed_version("Vault v1.21.0 (abc), built 2026-01-01"), Some("1.21.0"));
        assert_eq!(printed_version("etcd Version: 3.6.8\nGit SHA: 1.2"), Some("3.6.8"));
        assert_eq!(printed_version("Redis server v=7.0.15 sha=0"), Some("7.0.15"));
        assert_eq!(printed_version("usage: moto_server -H 127.0.0.1"), None);
    }
}
