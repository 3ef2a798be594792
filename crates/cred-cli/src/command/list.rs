//! `cred list`.

use std::fmt::Write as _;

use clap::Args;
use cred_core::{CredentialContext, CredentialFilter, CredentialPath, ScopeId, SoftDelete, Timestamp};

use super::recover::recovery;
use crate::app::App;
use crate::failure::Failure;
use crate::output::{BOLD, DIM};
use crate::{input, moment};

/// List the stored credentials as a tree of scopes; needs no key
#[derive(Args)]
#[command(after_help = "Examples:
  cred list
  cred list org:acme --tag env=prod
  cred list --created-after 30d --json
  cred list --deleted org:acme")]
pub(crate) struct List {
    /// Only this scope and the scopes below it
    scope: Option<ScopeId>,
    /// Only credentials with this tag; can be repeated
    #[arg(long = "tag", value_name = "KEY=VALUE", value_parser = input::tag)]
    tags: Vec<(String, String)>,
    /// Only credentials created after this date, such as 2027-01-31, or within a duration, such as
    /// 30d
    #[arg(long, value_name = "WHEN", value_parser = moment::past_time)]
    created_after: Option<Timestamp>,
    /// Only credentials created before this date, or longer ago than a duration
    #[arg(long, value_name = "WHEN", value_parser = moment::past_time)]
    created_before: Option<Timestamp>,
    /// Print one full path per line
    #[arg(long)]
    flat: bool,
    /// List deleted credentials that can be recovered, of exactly this scope
    #[arg(long, conflicts_with_all = ["tags", "created_after", "created_before"])]
    deleted: bool,
}

impl List {
    pub(crate) fn run(self, app: &App) -> Result<(), Failure> {
        let profile = app.profile()?;
        let provider = app.provider(&profile)?;
        let mut filter = CredentialFilter::new();
        for (key, value) in self.tags {
            filter = filter.with_tag(key, value);
        }
        filter.created_after = self.created_after;
        filter.created_before = self.created_before;
        let filter = Some(&filter).filter(|filter| !filter.is_empty());
        let progress = app.output.waiting("listing");
        let place = match &self.scope {
            Some(scope) => format!(" in the scope `{scope}`"),
            None if self.deleted => " without a scope".to_owned(),
            None => String::new(),
        };
        let ctx = self.scope.into();
        let mut paths = match self.deleted {
            true => deleted(app, recovery(&*provider, &profile)?, &ctx)?,
            false => app.wait(async { Ok(provider.list_tree(filter, &ctx).await?) })?,
        };
        drop(progress);
        paths.sort_unstable();
        if app.output.json {
            return app.output.document(&paths.iter().map(ToString::to_string).collect::<Vec<_>>());
        }
        match (paths.is_empty(), self.flat) {
            (true, _) => {
                let what = if self.deleted { "recoverable deleted credentials" } else { "credentials" };
                app.output.info(format!("No {what}{place} in profile `{}`.", profile.name()));
                Ok(())
            }
            (false, true) => {
                app.output.result(&paths.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
            }
            (false, false) => app.output.result(&tree(&paths)),
        }
    }
}

/// The deleted credentials of exactly this scope that can be recovered.
pub(super) fn deleted(
    app: &App,
    provider: &dyn SoftDelete,
    ctx: &CredentialContext,
) -> Result<Vec<CredentialPath>, Failure> {
    let ids = app.wait(async { Ok(provider.list_deleted(ctx).await?) })?;
    Ok(ids.iter().map(|id| ctx.path(id).to_path()).collect())
}

/// Formats sorted paths as a tree: each part of a scope is a line, and its contents are indented.
fn tree(paths: &[CredentialPath]) -> String {
    let mut text = String::new();
    let mut above: Vec<String> = Vec::new();
    for path in paths {
        let parts: Vec<String> = path.scope.as_ref().map_or_else(Vec::new, |scope| {
            scope.parts().map(|(level, value)| format!("{level}:{value}")).collect()
        });
        let shared = above.iter().zip(&parts).take_while(|(above, part)| above == part).count();
        for (depth, part) in parts.iter().enumerate().skip(shared) {
            let _ = writeln!(text, "{:1$}{BOLD}{part}{BOLD:#}", "", depth * 2);
        }
        let _ = writeln!(text, "{:1$}{DIM}-{DIM:#} {id}", "", parts.len() * 2, id = path.id);
        above = parts;
    }
    text.truncate(text.trim_end().len());
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_names_each_scope_once() {
        let mut paths: Vec<CredentialPath> = ["b", "org:a/x", "org:a/team:t/y", "org:ab/z", "org:a/w"]
            .map(|path| path.parse().unwrap())
            .into();
        paths.sort_unstable();
        let plain = anstream::adapter::strip_str(&tree(&paths)).to_string();
        assert_eq!(plain, "- b\norg:a\n  - w\n  - x\n  team:t\n    - y\norg:ab\n  - z");
    }
}
