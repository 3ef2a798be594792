//! `cred doctor`.

mod backend;
mod probe;

use std::pin::pin;
use std::time::Duration;

use clap::Args;
use cred_config::model::{Config, Profile};
use cred_core::{
    Consistency, CredentialMetadata, CredentialPath, Sealer as _, StorageError, StorageProvider, Timestamp,
};
use cred_crypto::KeyRing;
use serde::Serialize;

use self::backend::{contents, permissions, reach};
use self::probe::Probe;
use crate::app::App;
use crate::config::{self, effects, ring, trust};
use crate::escape::escaped;
use crate::failure::{Exit, Failure};
use crate::moment;
use crate::output::{BAD, GOOD, WARN};

/// Tries everything that the configuration says, and tells what to do
#[derive(Args)]
#[command(after_help = "Examples:
  cred doctor
  cred doctor --profile production --read-only
  cred doctor --offline                          before you trust a project

It writes, reads, replaces and deletes a credential of its own, with a new name in the scope `cred:doctor`. Where it is
interrupted it still deletes it, within 10 seconds; what a killed one has left there, a later one removes once it is 10 minutes old.
Exit code 9 if something is wrong.

The clock is judged by this program's age and by the times of what is stored: no backend is asked for its own.")]
pub(crate) struct Doctor {
    /// Writes nothing
    #[arg(long)]
    read_only: bool,
    /// Only show which files count and what they would use; read no key and ask no backend
    #[arg(long, conflicts_with = "read_only")]
    offline: bool,
}

/// How long is waited, after a signal, until the probe is taken away.
const LAST_WAIT: Duration = Duration::from_secs(10);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    Good,
    Warn,
    Bad,
}

/// One line: what was looked at, what was found, and what to do about it.
#[derive(Serialize)]
struct Line {
    what: &'static str,
    verdict: Verdict,
    found: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    to_do: Option<String>,
}

#[derive(Default)]
struct Findings(Vec<Line>);

impl Findings {
    fn good(&mut self, what: &'static str, found: impl Into<String>) {
        self.0.push(Line { what, verdict: Verdict::Good, found: found.into(), to_do: None });
    }

    fn warn(&mut self, what: &'static str, found: impl Into<String>, to_do: impl Into<String>) {
        self.0.push(Line { what, verdict: Verdict::Warn, found: found.into(), to_do: Some(to_do.into()) });
    }

    fn bad(&mut self, what: &'static str, failure: &Failure) {
        let to_do = failure.hint_text().map(str::to_owned);
        self.0.push(Line { what, verdict: Verdict::Bad, found: failure.with_causes(), to_do });
    }

    fn tried<T>(&mut self, what: &'static str, result: Result<T, StorageError>) -> Option<T> {
        match result {
            Ok(answer) => {
                self.good(what, "allowed");
                Some(answer)
            }
            Err(error) => {
                self.bad(what, &error.into());
                None
            }
        }
    }
}

impl Doctor {
    pub(crate) fn run(self, app: &App) -> Result<(), Failure> {
        let mut findings = Findings::default();
        let result = self.examine(app, &mut findings);
        match result {
            Err(failure) if failure.is_signal() || failure.effects().is_some() => return Err(failure),
            Err(failure) => findings.bad("configuration", &failure),
            Ok(()) => {}
        }
        if app.output.json {
            app.output.document(&findings.0)?;
        } else {
            let lines: Vec<String> = findings.0.iter().map(shown).collect();
            app.output.result(&lines.join("\n"))?;
        }
        match findings.0.iter().any(|line| line.verdict == Verdict::Bad) {
            true => Err(Failure::said(Exit::Found)),
            false => Ok(()),
        }
    }

    /// What ends it early is wrong with the configuration.
    fn examine(&self, app: &App, findings: &mut Findings) -> Result<(), Failure> {
        let config = app.untrusted_config()?;
        files(&config, self.offline, findings)?;
        if !self.offline {
            config::require_trust(&config)?;
            #[cfg(unix)]
            crate::process::protect();
        }
        let profile = app.chosen(&config)?;
        let fields = profile.fields().join(", ");
        findings.good(
            "profile",
            format!(
                "{}, chosen by {}: backend {}, which sets {fields}",
                profile.name(),
                profile.chosen_by(),
                profile.backend().name()
            ),
        );
        if self.offline {
            return Ok(());
        }
        if let Some(name) = profile.created_by()? {
            findings.good("creator", format!("{name} is recorded with what is first stored"));
        }
        clock(findings);
        let keys = keys(app, &profile, findings)?;
        let provider = app.provider(&profile)?;
        limits(&*provider, findings);
        // After the keys, which may be asked for.
        let progress = app.output.waiting("trying");
        let probe = Probe::new()?;
        let mut work = pin!(async {
            if reach(&*provider, &probe, findings).await {
                if self.read_only {
                    findings.good("write", "not tried");
                } else {
                    permissions(&*provider, keys.as_ref(), &probe, findings).await?;
                }
                if !probe.is_ended() {
                    probe::leftovers(&*provider, self.read_only, findings).await?;
                    contents(&provider, keys.as_ref(), findings).await;
                }
            }
            Ok(())
        });
        let result = app.wait(work.as_mut());
        drop(progress);
        let ended = result.as_ref().is_err_and(Failure::is_signal);
        if ended && probe.is_there() {
            // The operation that runs goes to its end, so that no write comes after the deletion.
            probe.end();
            // Whether it is gone, the probe says.
            let _ = app.wait(async { Ok(tokio::time::timeout(LAST_WAIT, work).await) });
            if probe.is_there() {
                app.output.warn(format!(
                    "`{}` may be left; a later `cred doctor` removes it once it is 10 minutes old",
                    probe.path
                ));
            }
        }
        result
    }
}

fn shown(line: &Line) -> String {
    let mark = match line.verdict {
        Verdict::Good => format!("{GOOD}ok{GOOD:#}  "),
        Verdict::Warn => format!("{WARN}warn{WARN:#}"),
        Verdict::Bad => format!("{BAD}bad{BAD:#} "),
    };
    let to_do = line.to_do.as_ref().map(|to_do| format!("\n      to do: {}", escaped(to_do)));
    format!("{mark}  {}: {}{}", line.what, escaped(&line.found), to_do.unwrap_or_default())
}

/// The files that count, in their order; where no more is done, also what they would use.
fn files(config: &Config, with_effects: bool, findings: &mut Findings) -> Result<(), Failure> {
    for file in config.files() {
        let found = format!("{} ({})", file.path().display(), file.origin().as_str());
        match trust::is_trusted(file)? {
            true => findings.good("file", found),
            false => findings.warn(
                "file",
                format!("{found}, not trusted with its present contents"),
                "read it, then run `cred trust`",
            ),
        }
        if with_effects {
            effects::of(file).into_iter().for_each(|effect| findings.good("it would use", effect));
        }
    }
    Ok(())
}

fn clock(findings: &mut Findings) {
    let now = Timestamp::now();
    // When this program was not yet written.
    match "2026-01-01".parse().is_ok_and(|begin: Timestamp| now < begin) {
        true => findings.warn(
            "clock",
            format!("this machine thinks that it is {}", moment::shown(now)),
            "set the clock, and let NTP keep it: expiry and rotation are judged by it",
        ),
        false => findings.good("clock", moment::shown(now)),
    }
}

/// Each key that can be loaded, and the ring if all can.
fn keys(app: &App, profile: &Profile<'_>, findings: &mut Findings) -> Result<Option<KeyRing>, Failure> {
    let ring = profile.keys()?;
    let mut complete = true;
    // A passphrase is asked for once, below.
    for key in ring.keys().iter().filter(|key| !key.is_asked_for()) {
        if let Err(failure) = key.load(ring::ask) {
            findings.bad("key", &failure);
            complete = false;
        }
    }
    if !complete {
        return Ok(None);
    }
    let loaded = ring.load(ring::ask)?;
    let ids = ring.keys().iter().map(|key| key.id().as_str()).collect::<Vec<_>>().join(", ");
    let tried = app.wait(async {
        let path = CredentialPath::new(None, "doctor".parse()?);
        let metadata = CredentialMetadata::new(Timestamp::now());
        let sealed = loaded.seal(path.as_path_ref(), &metadata, b"doctor").await?;
        Ok(loaded.open(path.as_path_ref(), &sealed, &metadata).await?)
    });
    match tried {
        Ok(_) => {
            findings.good("keys", format!("ring {}: {ids}; {} seals and opens", ring.name(), ring.active()));
            for key in ring.keys().iter().filter(|key| key.is_unchecked()) {
                findings.warn(
                    "keys",
                    format!("`{}` has no `check`, so a mistyped passphrase would be taken, and seal", key.id()),
                    "`cred key add ID --passphrase` makes a key that has one; then run `cred rekey`, and retire this one",
                );
            }
            Ok(Some(loaded))
        }
        Err(failure) => {
            findings.bad("keys", &failure);
            Ok(None)
        }
    }
}

fn limits(provider: &dyn StorageProvider, findings: &mut Findings) {
    let description = provider.describe();
    let bytes = description
        .limits
        .max_payload_len
        .map_or("any size".to_owned(), |bytes| format!("up to {bytes} bytes"));
    let recommended = description
        .limits
        .recommended_payload_len
        .map_or(String::new(), |bytes| format!(", at most {bytes} recommended"));
    let tags = description.limits.max_tags.map_or(String::new(), |tags| format!(", {tags} tags"));
    let shows = match description.consistency {
        Consistency::Strong => "at once".to_owned(),
        other => format!("after {:?}, in lists after {:?}", other.point(), other.list()),
    };
    findings.good(
        "limits",
        format!(
            "values of {bytes} sealed and encoded{recommended}{tags}; a write shows {shows}; an operation ends within {:?}",
            description.operation_timeout
        ),
    );
}
