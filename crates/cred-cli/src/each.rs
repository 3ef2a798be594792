//! The same change to several credentials: the confirmation before it, and the report after it.

use cred_config::model::Profile;
use cred_core::CredentialPath;
use serde_json::json;

use crate::app::App;
use crate::failure::Failure;
use crate::output::credentials;
use crate::terminal;

/// A change, in the grammatical forms that messages and documents need.
pub(crate) struct Change {
    /// As in "could not delete".
    pub(crate) verb: &'static str,
    /// As in "nothing was deleted"; also the field name in the JSON document.
    pub(crate) done: &'static str,
    /// As in "deleted from".
    pub(crate) place: &'static str,
}

impl Change {
    /// Asks for confirmation, unless `yes` is set. `note` is appended to the question.
    pub(crate) fn confirm(
        &self,
        yes: bool,
        paths: &[CredentialPath],
        profile: &Profile<'_>,
        note: &str,
    ) -> Result<(), Failure> {
        if yes {
            return Ok(());
        }
        if !terminal::stdin_is_terminal() {
            return Err(
                Failure::usage("cannot ask for confirmation: stdin is not a terminal").hint("pass --yes")
            );
        }
        let what = match paths {
            [only] => only.to_string(),
            many => credentials(many.len()),
        };
        let question = format!("{} {what} {} {}{note}?", capital(self.verb), self.place, profile);
        match terminal::confirm(&question)? {
            true => Ok(()),
            false => Err(Failure::usage(format!("not confirmed; nothing was {}", self.done))),
        }
    }

    /// Makes the change to each credential in turn. A failure does not stop the loop; a signal
    /// does.
    pub(crate) fn run(
        &self,
        app: &App,
        profile: &Profile<'_>,
        paths: Vec<CredentialPath>,
        change: impl AsyncFn(&CredentialPath) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let count = paths.len();
        let (mut done, mut failures) = (Vec::new(), Vec::new());
        for path in paths {
            match app.wait(change(&path)) {
                Ok(()) => {
                    app.output.info(format!("{} {path} {} {}.", capital(self.done), self.place, profile));
                    done.push(path.to_string());
                }
                Err(failure) if failure.is_signal() => return Err(failure),
                Err(failure) => failures.push((path, failure)),
            }
        }
        if app.output.json {
            let failed: Vec<_> = failures.iter().map(|(path, _)| path.to_string()).collect();
            app.output.document(&json!({ "profile": profile.name(), self.done: done, "failed": failed }))?;
        }
        let failed = failures.len();
        match (failed, count, failures.pop()) {
            (1, 1, Some((_, failure))) => Err(failure),
            (_, _, Some(last)) => {
                failures.push(last);
                let message = format!("could not {} {failed} of {}", self.verb, credentials(count));
                Err(Failure::partial(message, failures))
            }
            (_, _, None) => Ok(()),
        }
    }
}

fn capital(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(letters).collect()
}
