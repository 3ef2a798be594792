//! Built test programs, and how one is run outside of `cargo test`.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use cargo_metadata::{Artifact, Message, Package};

use super::Suite;
use crate::cargo;

/// One test program, as it was built.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Program {
    pub(crate) package: String,
    /// The name of the target.
    pub(crate) name: String,
    /// The source file, relative to the package.
    pub(crate) source: String,
    file: PathBuf,
    /// The package's folder, in which cargo runs it.
    folder: PathBuf,
}

/// Builds what `cargo test` with these words would run, and returns the programs.
pub(crate) fn build(words: &[String], packages: &[Package]) -> Result<Vec<Program>> {
    let mut command = cargo::cargo(["test", "--no-run", "--message-format=json-render-diagnostics"]);
    command.args(words);
    let shown = cargo::shown(&command);
    println!("$ {shown}");
    let output = command.stderr(Stdio::inherit()).output();
    let output = output.with_context(|| format!("cannot start `{shown}`"))?;
    if !output.status.success() {
        bail!("the tests do not build");
    }
    let mut programs = Vec::new();
    for message in Message::parse_stream(output.stdout.as_slice()) {
        if let Message::CompilerArtifact(artifact) = message.context("cannot read cargo's messages")?
            && artifact.profile.test
            && let Some(package) = packages.iter().find(|package| package.id == artifact.package_id)
        {
            programs.extend(Program::of(artifact, package));
        }
    }
    Ok(programs)
}

impl Program {
    #[cfg(test)]
    pub(crate) fn sample(package: &str, name: &str, source: &str) -> Self {
        let [package, name, source] = [package, name, source].map(str::to_owned);
        Self { package, name, source, file: PathBuf::new(), folder: PathBuf::new() }
    }

    fn of(artifact: Artifact, package: &Package) -> Option<Self> {
        let folder = package.manifest_path.parent()?;
        let source = artifact.target.src_path.strip_prefix(folder).ok()?.to_string();
        Some(Self {
            package: package.name.to_string(),
            name: artifact.target.name,
            source,
            file: artifact.executable?.into(),
            folder: folder.into(),
        })
    }

    /// The command that runs it with these words, as cargo would.
    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(&self.file);
        cargo::forget_xtask(&mut command);
        command.current_dir(&self.folder).args(words);
        // trybuild looks for its project by them.
        command.env("CARGO_MANIFEST_DIR", &self.folder).env("CARGO_PKG_NAME", &self.package);
        command
    }

    /// Runs it with these words and variables.
    pub(crate) fn run(&self, words: &[&str], variables: &[(String, String)]) -> Suite {
        let mut command = self.command(words);
        command.envs(variables.iter().map(|(name, value)| (name, value)));
        Suite::run(&self.package, &self.source, &command)
    }

    /// Runs the tests of these names, ignored ones too.
    pub(crate) fn run_ignored(&self, names: &[String], variables: &[(String, String)]) -> Suite {
        let words = ["--exact", "--include-ignored"].into_iter();
        self.run(&words.chain(names.iter().map(String::as_str)).collect::<Vec<_>>(), variables)
    }
}
