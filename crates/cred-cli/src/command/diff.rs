//! `cred diff`.

use std::collections::BTreeSet;

use clap::Args;
use cred_core::{CredentialContext, CredentialPath, ScopeId, StorageProvider};
use futures_util::{StreamExt as _, TryStreamExt as _};
use serde::Serialize;

use crate::app::App;
use crate::compare::{self, Rings};
use crate::failure::{Exit, Failure};
use crate::output::{BAD, GOOD, Progress, WARN, credentials};

/// Compare the credentials of two profiles
#[derive(Args)]
#[command(after_help = "Examples:
  cred diff dev production
  cred diff dev production --scope org:acme --sealed

Each credential is opened with the ring of the second profile. If the two are stored differently, the first one is opened \
with its ring too, and the contents are compared. Exit code 9 if anything differs; 10 \
if some credentials could not be compared, which are listed.")]
pub(crate) struct Diff {
    /// The first profile
    a: String,
    /// The second profile
    b: String,
    /// Only this scope and the scopes below it
    #[arg(long, value_name = "SCOPE")]
    scope: Option<ScopeId>,
    /// Compare the sealed bytes, which needs no key; resealed credentials differ
    #[arg(long)]
    sealed: bool,
}

/// The differences.
#[derive(Default, Serialize)]
struct Findings {
    same: usize,
    only_in_a: Vec<String>,
    only_in_b: Vec<String>,
    differ: Vec<(String, Vec<&'static str>)>,
    /// Credentials that could not be compared.
    failed: Vec<String>,
}

impl Diff {
    pub(crate) fn run(self, app: &App) -> Result<(), Failure> {
        let config = app.config()?;
        let (a, b) =
            (config.profile(&self.a, "the command line")?, config.profile(&self.b, "the command line")?);
        let rings = match self.sealed {
            true => None,
            false => {
                let from = app.keys(&a)?;
                let to = if a.has_ring_of(&b) { from.clone() } else { app.keys(&b)? };
                Some(Rings { from, to })
            }
        };
        let (of_a, of_b) = (app.provider(&a)?, app.provider(&b)?);
        let ctx = self.scope.into();
        let progress = app.output.progress("comparing", 0);
        let (findings, failures) = app.wait(compared(&*of_a, &*of_b, &ctx, rings.as_ref(), &progress))?;
        drop(progress);

        let count = findings.only_in_a.len() + findings.only_in_b.len() + findings.differ.len();
        let failed = failures.len();
        if app.output.json {
            app.output.document(&findings)?;
        } else {
            let only_a =
                findings.only_in_a.iter().map(|path| format!("{BAD}-{BAD:#} {path}: only in {}", a.name()));
            let only_b =
                findings.only_in_b.iter().map(|path| format!("{GOOD}+{GOOD:#} {path}: only in {}", b.name()));
            let differ = findings
                .differ
                .iter()
                .map(|(path, parts)| format!("{WARN}!{WARN:#} {path}: {}", parts.join(", ")));
            let lines: Vec<String> = only_a.chain(only_b).chain(differ).collect();
            if !lines.is_empty() {
                app.output.result(&lines.join("\n"))?;
            }
            app.output.info(format!("{} equal, {count} different.", credentials(findings.same)));
        }
        match (failed, count) {
            (0, 0) => Ok(()),
            (0, _) => Err(Failure::silent(Exit::Found)),
            _ => {
                let both = findings.same + findings.differ.len() + failed;
                Err(Failure::partial(
                    format!("could not compare {failed} of {}", credentials(both)),
                    failures,
                ))
            }
        }
    }
}

async fn compared(
    a: &dyn StorageProvider,
    b: &dyn StorageProvider,
    ctx: &CredentialContext,
    rings: Option<&Rings>,
    progress: &Progress,
) -> Result<(Findings, Vec<(CredentialPath, Failure)>), Failure> {
    let in_a: BTreeSet<CredentialPath> = a.list_tree(None, ctx).await?.into_iter().collect();
    let in_b: BTreeSet<CredentialPath> = b.list_tree(None, ctx).await?.into_iter().collect();
    let both: Vec<CredentialPath> = in_a.intersection(&in_b).cloned().collect();
    progress.set_total(both.len());
    let mut findings = Findings {
        only_in_a: in_a.difference(&in_b).map(ToString::to_string).collect(),
        only_in_b: in_b.difference(&in_a).map(ToString::to_string).collect(),
        ..Findings::default()
    };
    let compare = |path: CredentialPath| async move {
        let parts = differences(a, b, &path, rings).await;
        progress.step();
        match parts {
            Err(failure) if failure.is_outage() => Err(failure),
            parts => Ok((path, parts)),
        }
    };
    let results = futures_util::stream::iter(both.into_iter().map(compare)).buffered(compare::CONCURRENCY);
    let mut failures = Vec::new();
    for (path, parts) in results.try_collect::<Vec<_>>().await? {
        match parts {
            Ok(parts) if parts.is_empty() => findings.same += 1,
            Ok(parts) => findings.differ.push((path.to_string(), parts)),
            Err(failure) => {
                findings.failed.push(path.to_string());
                failures.push((path, failure));
            }
        }
    }
    Ok((findings, failures))
}

async fn differences(
    a: &dyn StorageProvider,
    b: &dyn StorageProvider,
    path: &CredentialPath,
    rings: Option<&Rings>,
) -> Result<Vec<&'static str>, Failure> {
    match (compare::retrieve(a, path).await?, compare::retrieve(b, path).await?) {
        (Some(of_a), Some(of_b)) => compare::differences(path, &of_a, &of_b, rings).await,
        (None, None) => Ok(Vec::new()),
        _ => Ok(vec!["deleted during the comparison"]),
    }
}
