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

/// Test the configuration, the keys and the backend, and suggest fixes
#[derive(Args)]
#[command(after_help = "Examples:
  cred doctor
  cred doctor --profile production --read-only
  cred doctor --offline                   # before you trust a project

Writes, reads, replaces and deletes a test credential with a new name in the scope `cred:doctor`. If it is interrupted, it \
still deletes the test credential, within 10 seconds. If it was killed, a later run deletes it once it is 10 minutes \
old. Exit code 9 if something is wrong.

Compares the clock of this machine with the age of this program and with the times of stored credentials; no backend is \
asked for its time.")]
pub(crate) struct Doctor {
    /// Write nothing
    #[arg(long)]
    read_only: bool,
    /// Only show the configuration files and what they would use; read no key and contact no
    /// backend
    #[arg(long, conflicts_with = "read_only")]
    offline: bool,
}

/// Maximum time, after a signal, to delete the test credential.
const PROBE_CLEANUP_TIMEOUT: Duration = Duration::from_secs(10);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    Good,
    Warn,
    Bad,
}

/// One line of output: the subject, the result, and what to do about it.
#[derive(Serialize)]
struct Finding {
    what: &'static str,
    verdict: Verdict,
    found: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    to_do: Option<String>,
}

#[derive(Default)]
struct Findings(Vec<Finding>);

impl Findings {
    fn good(&mut self, what: &'static str, found: impl Into<String>) {
        self.0.push(Finding { what, verdict: Verdict::Good, found: found.into(), to_do: None });
    }

    fn warn(&mut self, what: &'static str, found: impl Into<String>, to_do: impl Into<String>) {
        self.0.push(Finding { what, verdict: Verdict::Warn, found: found.into(), to_do: Some(to_do.into()) });
    }

    fn bad(&mut self, what: &'static str, failure: &Failure) {
        let to_do = failure.hint_text().map(str::to_owned);
        self.0.push(Finding { what, verdict: Verdict::Bad, found: failure.with_causes(), to_do });
    }

    /// Adds the result of an operation, and returns its value if it was allowed.
    fn record<T>(&mut self, what: &'static str, result: Result<T, StorageError>) -> Option<T> {
        match result {
            Ok(value) => {
                self.good(what, "allowed");
                Some(value)
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
            let lines: Vec<String> = findings.0.iter().map(text).collect();
            app.output.result(&lines.join("\n"))?;
        }
        match findings.0.iter().any(|line| line.verdict == Verdict::Bad) {
            true => Err(Failure::silent(Exit::Found)),
            false => Ok(()),
        }
    }

    /// A failure is a problem of the configuration, or a signal.
    fn examine(&self, app: &App, findings: &mut Findings) -> Result<(), Failure> {
        let config = app.untrusted_config()?;
        files(&config, self.offline, findings)?;
        if !self.offline {
            config::require_trust(&config)?;
            #[cfg(unix)]
            crate::process::protect();
        }
        let profile = app.profile_of(&config)?;
        let fields = profile.fields().join(", ");
        findings.good(
            "profile",
            format!(
                "{}, chosen by {}: backend {}, with the fields {fields}",
                profile.name(),
                profile.chosen_by(),
                profile.backend().name()
            ),
        );
        if self.offline {
            return Ok(());
        }
        if let Some(name) = profile.created_by()? {
            findings.good(
                "creator",
                format!("{name} is recorded with each credential that is stored for the first time"),
            );
        }
        clock(findings);
        let keys = keys(app, &profile, findings)?;
        let provider = app.provider(&profile)?;
        limits(&*provider, findings);
        // After the keys, which may prompt.
        let progress = app.output.waiting("testing the backend");
        let probe = Probe::new()?;
        let mut work = pin!(async {
            if reach(&*provider, &probe, findings).await {
                if self.read_only {
                    findings.good("write", "not tested (--read-only)");
                } else {
                    permissions(&*provider, keys.as_ref(), &probe, findings).await?;
                }
                if !probe.is_cancelled() {
                    probe::leftovers(&*provider, self.read_only, findings).await?;
                    contents(&provider, keys.as_ref(), findings).await;
                }
            }
            Ok(())
        });
        let result = app.wait(work.as_mut());
        drop(progress);
        let interrupted = result.as_ref().is_err_and(Failure::is_signal);
        if interrupted && probe.may_exist() {
            // The running operation completes first, so that no write follows the deletion.
            probe.cancel();
            // The probe records whether it was deleted.
            let _ = app.wait(async { Ok(tokio::time::timeout(PROBE_CLEANUP_TIMEOUT, work).await) });
            if probe.may_exist() {
                app.output.warn(format!(
                    "the test credential `{}` may still exist; a later `cred doctor` removes it once it is 10 minutes old",
                    probe.path
                ));
            }
        }
        result
    }
}

fn text(line: &Finding) -> String {
    let mark = match line.verdict {
        Verdict::Good => format!("{GOOD}ok{GOOD:#}  "),
        Verdict::Warn => format!("{WARN}warn{WARN:#}"),
        Verdict::Bad => format!("{BAD}bad{BAD:#} "),
    };
    let to_do = line.to_do.as_ref().map(|to_do| format!("\n      to do: {}", escaped(to_do)));
    format!("{mark}  {}: {}{}", line.what, escaped(&line.found), to_do.unwrap_or_default())
}

/// Lists the configuration files in order of precedence. `with_effects` also lists what they would
/// use.
fn files(config: &Config, with_effects: bool, findings: &mut Findings) -> Result<(), Failure> {
    for file in config.files() {
        let found = format!("{} ({})", file.path().display(), file.origin().as_str());
        match trust::is_trusted(file)? {
            true => findings.good("file", found),
            false => findings.warn(
                "file",
                format!("{found}, not trusted with its current contents"),
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
    // Before this program existed.
    match "2026-01-01".parse().is_ok_and(|begin: Timestamp| now < begin) {
        true => findings.warn(
            "clock",
            format!("the clock of this machine is wrong: {}", moment::formatted(now)),
            "synchronize the clock with NTP: expiry and rotation depend on it",
        ),
        false => findings.good("clock", moment::formatted(now)),
    }
}

/// Loads each key, and returns the ring if all of them load.
fn keys(app: &App, profile: &Profile<'_>, findings: &mut Findings) -> Result<Option<KeyRing>, Failure> {
    let ring = profile.keys()?;
    let mut complete = true;
    // Loading the ring below prompts for passphrases, once.
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
    let tested = app.wait(async {
        let path = CredentialPath::new(None, "doctor".parse()?);
        let metadata = CredentialMetadata::new(Timestamp::now());
        let sealed = loaded.seal(path.as_path_ref(), &metadata, b"doctor").await?;
        Ok(loaded.open(path.as_path_ref(), &sealed, &metadata).await?)
    });
    match tested {
        Ok(_) => {
            findings.good("keys", format!("ring {}: {ids}; {} seals and opens", ring.name(), ring.active()));
            for key in ring.keys().iter().filter(|key| key.is_unchecked()) {
                findings.warn(
                    "keys",
                    format!("the key `{}` has no `check`, so a mistyped passphrase would be accepted and used to seal", key.id()),
                    "add a key that has one with `cred key add ID --passphrase`, run `cred rekey`, then retire this key",
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
    let visible = match description.consistency {
        Consistency::Strong => "immediately".to_owned(),
        other => format!("after {:?}, in lists after {:?}", other.point(), other.list()),
    };
    findings.good(
        "limits",
        format!(
            "values of {bytes}, sealed and encoded{recommended}{tags}; a write is visible {visible}; an operation ends within {:?}",
            description.operation_timeout
        ),
    );
}
