//! `cred doctor`.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use cred_core::{
    Consistency, CredentialContext, CredentialId, CredentialMetadata, CredentialPath, EncryptedData, KeyId,
    Sealer as _, StorageError, StorageErrorKind, StorageProvider, Stored, Timestamp,
};
use cred_crypto::KeyRing;
use serde::Serialize;
use tokio::time::{Instant, sleep};

use crate::app::App;
use crate::compare;
use crate::config::{Profile, ring};
use crate::failure::{Exit, Failure};
use crate::output::{BAD, GOOD, WARN};
use crate::{input, moment};

/// Tries everything that the configuration says, and tells what to do
#[derive(Args)]
#[command(after_help = "Examples:
  cred doctor
  cred doctor --profile production --read-only

It writes, reads, replaces and deletes a credential of its own, with a new name in the scope `cred:doctor`. Exit code 9 if
something is wrong.")]
pub(crate) struct Doctor {
    /// Writes nothing
    #[arg(long)]
    read_only: bool,
}

/// How many stored credentials are looked at.
const SAMPLE: usize = 100;

/// How far clocks may be apart before a version or an expiry is misjudged by people.
const CLOCKS_APART: Duration = Duration::from_secs(5 * 60);

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
        let causes = failure.causes();
        let found = std::iter::once(failure.to_string()).chain(causes).collect::<Vec<_>>().join(": ");
        let to_do = failure.hint_text().map(str::to_owned);
        self.0.push(Line { what, verdict: Verdict::Bad, found, to_do });
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
            Err(failure) if matches!(failure.exit, Exit::Interrupted | Exit::Terminated) => {
                return Err(failure);
            }
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
        let config = app.config()?;
        for file in config.files() {
            findings.good("configuration", format!("{} ({})", file.path.display(), file.origin.as_str()));
        }
        let profile = config.chosen()?;
        let fields = profile.fields().join(", ");
        findings.good(
            "profile",
            format!(
                "{}, chosen by {}: backend {}, which sets {fields}",
                profile.name, profile.chosen_by, profile.backend.name
            ),
        );
        clock(findings);
        let keys = keys(app, &profile, findings)?;
        let provider = app.provider(&profile)?;
        limits(&*provider, findings);
        // After the keys, which may be asked for.
        let _progress = app.output.waiting("trying");
        app.wait(async {
            if reach(&*provider, findings).await {
                if self.read_only {
                    findings.good("write", "not tried");
                } else {
                    permissions(&*provider, keys.as_ref(), findings).await?;
                }
                contents(&provider, keys.as_ref(), findings).await;
            }
            Ok(())
        })
    }
}

fn shown(line: &Line) -> String {
    let mark = match line.verdict {
        Verdict::Good => format!("{GOOD}ok{GOOD:#}  "),
        Verdict::Warn => format!("{WARN}warn{WARN:#}"),
        Verdict::Bad => format!("{BAD}bad{BAD:#} "),
    };
    let to_do = line.to_do.as_ref().map_or_else(String::new, |to_do| format!("\n      to do: {to_do}"));
    format!("{mark}  {}: {}{to_do}", line.what, line.found)
}

fn clock(findings: &mut Findings) {
    let now = Timestamp::now();
    // When this program was not yet written.
    match moment::at("2026-01-01").is_some_and(|begin| now < begin) {
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
    for key in &ring.keys {
        // A passphrase is asked for once, below.
        let asked =
            matches!(&key.source, ring::KeySource::Passphrase { from: ring::PassphraseFrom::Prompt, .. });
        if asked {
            continue;
        }
        if let Err(failure) = key.load(&ring.name) {
            findings.bad("key", &failure);
            complete = false;
        }
    }
    if !complete {
        return Ok(None);
    }
    let loaded = ring.load()?;
    let ids = ring.keys.iter().map(|key| key.id.as_str()).collect::<Vec<_>>().join(", ");
    let tried = app.wait(async {
        let path = CredentialPath::new(None, "doctor".parse()?);
        let metadata = CredentialMetadata::new(Timestamp::now());
        let sealed = loaded.seal(path.as_ref(), &metadata, b"doctor").await?;
        Ok(loaded.open(path.as_ref(), &sealed, &metadata).await?)
    });
    match tried {
        Ok(_) => {
            findings.good("keys", format!("ring {}: {ids}; {} seals and opens", ring.name, ring.active));
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
    let tags = description.limits.max_tags.map_or(String::new(), |tags| format!(", {tags} tags"));
    let shows = match description.consistency {
        Consistency::Strong => "at once".to_owned(),
        other => format!("after {:?}, in lists after {:?}", other.point(), other.list()),
    };
    findings.good(
        "limits",
        format!(
            "values of {bytes} sealed and encoded{tags}; a write shows {shows}; an operation ends within {:?}",
            description.operation_timeout
        ),
    );
}

/// Whether the backend answers and accepts who asks.
async fn reach(provider: &dyn StorageProvider, findings: &mut Findings) -> bool {
    let Ok(path) = probe() else { return false };
    let (id, ctx) = (path.id, CredentialContext::from(path.scope));
    let error = match provider.exists(&id, &ctx).await {
        Ok(_) => {
            findings.good("backend", "it answers, and accepts who asks");
            findings.good("read", "allowed");
            return true;
        }
        Err(error) => error,
    };
    let (what, goes_on) = match error.kind() {
        StorageErrorKind::AuthenticationFailed { .. } => ("login", false),
        StorageErrorKind::PermissionDenied { .. } => ("read", true),
        _ => ("backend", false),
    };
    findings.bad(what, &error.into());
    goes_on
}

/// Each operation, on a name that nobody else has.
async fn permissions(
    provider: &dyn StorageProvider,
    keys: Option<&KeyRing>,
    findings: &mut Findings,
) -> Result<(), Failure> {
    let path = probe()?;
    let (id, ctx) = (path.id.clone(), CredentialContext::from(path.scope.clone()));
    let (data, metadata) = sealed(&path, keys).await?;
    let stored = provider.store(&id, data.clone(), metadata.clone(), &ctx).await;
    let may_be_there = stored.as_ref().err().is_none_or(StorageError::may_have_written);
    if findings.tried("write", stored).is_some() {
        let shown = Instant::now() + provider.describe().consistency.point();
        let back = loop {
            match provider.retrieve(&id, &ctx).await {
                Err(error) if error.is_not_found() && Instant::now() < shown => {
                    sleep(Duration::from_millis(250)).await
                }
                answer => break answer,
            }
        };
        match back {
            Ok(back) if back == (data.clone(), metadata.clone()) => {
                findings.good("read back", "it is what was written")
            }
            Ok(_) => findings.warn(
                "read back",
                "it is not what was written",
                "find out what stands between this program and the backend and changes what is written",
            ),
            Err(error) => findings.bad("read back", &error.into()),
        }
        replace(provider, &id, (data, metadata), &ctx, findings).await;
        findings.tried("list", provider.list(None, &ctx).await);
    }
    if may_be_there {
        findings.tried("delete", provider.delete(&id, &ctx).await);
    }
    Ok(())
}

async fn replace(
    provider: &dyn StorageProvider,
    id: &CredentialId,
    (data, metadata): Stored,
    ctx: &CredentialContext,
    findings: &mut Findings,
) {
    let Some(conditional) = provider.compare_and_set() else {
        findings
            .good("replace if unchanged", "this backend cannot: concurrent writers may overwrite each other");
        return;
    };
    let swapped = async {
        let (_, _, revision) = conditional.retrieve_with_revision(id, ctx).await?;
        conditional.store_if(id, data, metadata, Some(&revision), ctx).await
    };
    findings.tried("replace if unchanged", swapped.await);
}

/// What is stored already: whether its keys are here, and its clocks right.
async fn contents(provider: &Arc<dyn StorageProvider>, keys: Option<&KeyRing>, findings: &mut Findings) {
    let paths = match provider.list_tree(None, &CredentialContext::unscoped()).await {
        Ok(paths) => paths,
        Err(error) => return findings.bad("list", &error.into()),
    };
    let count = paths.len();
    let known: BTreeSet<&KeyId> = keys.map(|keys| keys.key_ids().collect()).unwrap_or_default();
    let (mut strangers, mut early, mut broken) = (BTreeSet::new(), 0, 0);
    let tomorrow = Timestamp::now().saturating_add(CLOCKS_APART);
    for path in paths.iter().take(SAMPLE) {
        match compare::stored(&**provider, path).await {
            Ok(Some((data, metadata))) => {
                early += usize::from(metadata.last_modified > tomorrow);
                if keys.is_some() && !known.contains(&data.key_id) {
                    strangers.insert(data.key_id);
                }
            }
            Ok(None) => {}
            Err(error) => {
                broken += 1;
                findings.bad("stored", &error.into());
            }
        }
    }
    let looked = count.min(SAMPLE);
    if !strangers.is_empty() {
        let ids = strangers.iter().map(KeyId::as_str).collect::<Vec<_>>().join(", ");
        findings.warn(
            "keys in use",
            format!("of {looked} credentials some are sealed under {ids}, which the ring lacks"),
            "add that key with `cred key add ID --file FILE --inactive`, or delete what is sealed under it",
        );
    }
    if early > 0 {
        findings.warn(
            "clock",
            format!(
                "{early} of {looked} credentials were stored in the future, as this machine's clock sees it"
            ),
            "compare this machine's clock with those that write, and let NTP keep them",
        );
    }
    if strangers.is_empty() && early == 0 && broken == 0 {
        findings.good("stored", format!("{count} credentials; {looked} were looked at"));
    }
}

/// Something to write: sealed under the ring, or under a key that is thrown away where the ring cannot be had.
async fn sealed(
    path: &CredentialPath,
    keys: Option<&KeyRing>,
) -> Result<(EncryptedData, CredentialMetadata), Failure> {
    let throwaway;
    let keys = match keys {
        Some(keys) => keys,
        None => {
            throwaway = KeyRing::generate("doctor".parse()?)?;
            &throwaway
        }
    };
    let metadata = CredentialMetadata::new(Timestamp::now());
    let data = keys.seal(path.as_ref(), &metadata, b"written by cred doctor").await?;
    Ok((data, metadata))
}

/// A name that nobody else has.
fn probe() -> Result<CredentialPath, Failure> {
    let mark = ring::to_hex(&*input::random::<8>()?);
    Ok(CredentialPath::new(Some("cred:doctor".parse()?), format!("probe-{mark}").parse()?))
}
