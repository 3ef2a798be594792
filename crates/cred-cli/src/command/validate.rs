//! `cred validate`.

use std::time::Duration;

use clap::Args;
use cred_core::{CredentialPath, ScopeId};
use cred_manager::{Finding, ValidationResult};
use futures_util::StreamExt as _;
use serde_json::{Value, json};

use crate::app::App;
use crate::failure::{Exit, Failure};
use crate::{moment, output};

/// Open every credential, and list those that are expired, malformed, due for rotation or
/// unreadable
#[derive(Args)]
#[command(after_help = "Examples:
  cred validate
  cred validate org:acme --warn 30d --json

A credential is listed once for each finding. It is malformed if a field does not have the format of its kind, such as an \
empty API key.

Exit code 9 if any credential is expired, malformed, expiring soon, due for rotation or unreadable; 6 if the backend \
cannot be reached or is busy, and nothing else was found; 0 otherwise.")]
pub(crate) struct Validate {
    /// Only this scope and the scopes below it
    scope: Option<ScopeId>,
    /// Report credentials that expire within this time
    #[arg(long, value_name = "TIME", default_value = "7d", value_parser = moment::duration)]
    warn: Duration,
    /// Also list valid credentials
    #[arg(long)]
    all: bool,
}

impl Validate {
    pub(crate) fn run(self, app: &App) -> Result<(), Failure> {
        let profile = app.profile()?;
        let manager = app.builder(&profile)?.expiry_warning(self.warn).build();
        app.close_at_exit(&manager);
        let handle = match self.scope {
            Some(scope) => manager.scoped(scope)?,
            None => manager,
        };
        let progress = app.output.progress("validating", 0);
        let found: Vec<(CredentialPath, ValidationResult)> = app.wait(async {
            let paths = handle.list_tree().await?;
            progress.set_total(paths.len());
            let judge = |path: CredentialPath| {
                let (handle, progress) = (&handle, &progress);
                async move {
                    let work = async { handle.at(&path)?.validate(&path.id).await };
                    let result = work.await.unwrap_or_else(|error| ValidationResult::LookupFailed { error });
                    progress.step();
                    (path, result)
                }
            };
            Ok(futures_util::stream::iter(paths.into_iter().map(judge)).buffered(8).collect().await)
        })?;
        drop(progress);

        let count = found.len();
        let mut shown = Vec::new();
        let (mut findings, mut outages) = (0, 0);
        for (path, result) in found {
            if let ValidationResult::LookupFailed { error } = &result {
                // Only a transient error counts as an outage.
                outages += usize::from(error.is_transient());
            }
            let states = states(result);
            let faults = states.iter().filter(|(state, _)| *state != VALID).count();
            findings += faults;
            if faults > 0 || (self.all && !states.is_empty()) {
                shown.push((path.to_string(), states));
            }
        }
        if app.output.json {
            let credentials: Vec<_> = shown.iter().map(|(path, states)| record(path, states)).collect();
            app.output.document(&json!({"checked": count, "credentials": credentials}))?;
        } else if !shown.is_empty() {
            let row =
                |path: &str, (state, detail): (&str, String)| vec![path.to_owned(), state.to_owned(), detail];
            let rows = shown
                .into_iter()
                .flat_map(|(path, states)| states.into_iter().map(move |state| row(&path, state)));
            let rows: Vec<_> = rows.collect();
            app.output.result(&output::table(&["credential", "state", "details"], &rows))?;
        }
        match findings {
            0 => app.output.info(format!(
                "No findings: checked {} of profile `{}`.",
                output::credentials(count),
                profile.name()
            )),
            _ if outages == findings => return Err(Failure::silent(Exit::Unavailable)),
            _ => return Err(Failure::silent(Exit::Found)),
        }
        Ok(())
    }
}

const VALID: &str = "valid";

/// The JSON document of a credential: its first finding, and all of them.
fn record(path: &str, states: &[(&str, String)]) -> Value {
    let (state, detail) = states.first().map_or((VALID, ""), |(state, detail)| (*state, detail.as_str()));
    let finding = |(state, detail): &(&str, String)| json!({"state": state, "detail": detail});
    let findings: Vec<_> = states.iter().filter(|(state, _)| *state != VALID).map(finding).collect();
    json!({"path": path, "state": state, "detail": detail, "findings": findings})
}

/// The state and details of each finding, one row each.
fn states(result: ValidationResult) -> Vec<(&'static str, String)> {
    match result {
        // Deleted since it was listed.
        ValidationResult::NotFound => Vec::new(),
        ValidationResult::Valid => vec![(VALID, String::new())],
        ValidationResult::NeedsAttention { findings } => findings.iter().map(state).collect(),
        ValidationResult::Unreadable { error } => {
            vec![("unreadable", Failure::from(error).with_causes())]
        }
        ValidationResult::LookupFailed { error } => {
            vec![("not looked up", Failure::from(error).with_causes())]
        }
        _ => vec![("unknown", String::new())],
    }
}

fn state(finding: &Finding) -> (&'static str, String) {
    match finding {
        Finding::Expired { since } => ("expired", moment::formatted(*since)),
        Finding::Malformed { problem } => ("malformed", problem.to_string()),
        Finding::RotationDue { since } => ("rotation due", moment::formatted(*since)),
        Finding::ExpiringSoon { at } => ("expires soon", moment::formatted(*at)),
        other => ("unknown", other.to_string()),
    }
}
