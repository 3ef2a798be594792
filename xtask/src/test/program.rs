//! Built test programs, and how one is run outside of `cargo test`.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use cargo_metadata::{Artifact, Message, Package};

use super::Report;
use crate::cargo;

/// One test program, as it was built.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Program {
    pub(crate) package: String,
    /// The name of the target.
    pub(crate) name: String,
    /// The source file, as cargo prints it.
    pub(crate) source: String,
    pub(crate) file: PathBuf,
    /// Where cargo would run it.
    folder: PathBuf,
}

/// Runs one `cargo test` of these words as far as the building, and gives what it would run. What it runs later does not print its
/// crate: several may have a `tests/conformance.rs`.
pub(crate) fn build(args: &[String], packages: &[Package]) -> Result<Vec<Program>> {
    let mut command = cargo::cargo(args);
    command.args(["--no-run", "--message-format=json-render-diagnostics"]);
    let shown = cargo::shown(&command);
    println!("$ {shown}");
    let output =
        command.stderr(Stdio::inherit()).output().with_context(|| format!("cannot start `{shown}`"))?;
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

    /// Runs it, or of it what `words` say, with these variables.
    pub(crate) fn run(
        &self,
        words: &[&str],
        variables: &[(String, String)],
        report: &mut Report,
    ) -> Result<()> {
        let mut command = Command::new(&self.file);
        cargo::forget_xtask(&mut command);
        command.current_dir(&self.folder).args(words);
        command.envs(variables.iter().map(|(name, value)| (name, value)));
        println!("\n{} {}", self.package, self.source);
        let mut run = report.start(&self.source);
        run.program(&self.package, &self.source);
        let success = cargo::each_line(&command, |line| run.line(line, |_| self.package.clone()))?;
        run.end(success)
    }

    /// Runs those of its tests that `report` has as skipped, by name; they are skipped there no longer.
    pub(crate) fn catch_up(
        &self,
        names: &[&str],
        words: &[&str],
        variables: &[(String, String)],
        report: &mut Report,
    ) -> Result<()> {
        let mut later = Report::default();
        let words: Vec<&str> =
            ["--exact", "--include-ignored"].iter().chain(words).chain(names).copied().collect();
        let result = self.run(&words, variables, &mut later);
        report.caught_up(&self.package, &self.source, names, later);
        result
    }
}
