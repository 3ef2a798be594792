//! How a clause reports a failure: the problem, the fix, and where the rule is documented.

use std::any::Any;
use std::fmt;
use std::panic::resume_unwind;

use cred_core::StorageError;

/// A broken rule that a clause found. It is the payload of a panic that prints nothing. The panic
/// passes through the clause's tasks to [`Clause::check`](crate::Clause::check), which knows the
/// name of the clause.
struct Failure {
    problem: String,
    advice: String,
}

/// Fails the clause with a problem and advice for the author of the provider. If the problem begins
/// with a rule (`describe-3: ...`), that rule is broken, else the clause's own.
pub(crate) fn fail(problem: &str, advice: &str) -> ! {
    resume_unwind(Box::new(Failure { problem: problem.to_owned(), advice: advice.to_owned() }))
}

/// Returns the value of an operation that must succeed. Otherwise fails with `problem`, followed by
/// the error.
pub(crate) fn expect_ok<T>(result: Result<T, StorageError>, problem: impl fmt::Display, advice: &str) -> T {
    result.unwrap_or_else(|error| fail(&format!("{problem}: {error}"), advice))
}

/// The message for the author of a provider.
pub(crate) fn message(clause: &str, payload: &(dyn Any + Send)) -> String {
    let (problem, advice) = match payload.downcast_ref::<Failure>() {
        Some(failure) => (failure.problem.clone(), failure.advice.as_str()),
        None => (
            format!("the provider or its harness panicked: {}", text(payload)),
            "if the provider panics, return an error instead; if the harness panics, its message gives the cause",
        ),
    };
    let own = of(clause);
    let (rule, problem) = match problem.split_once(": ") {
        Some((rule, rest)) if documented_at(rule).is_some() => (rule.to_owned(), rest),
        _ => (own, problem.as_str()),
    };
    let item = documented_at(&rule).unwrap_or("cred_core::StorageProvider");
    format!(
        "{rule} is broken: {problem}\n  what to do: {advice}\n  the rule: {rule}, in the docs of `{item}`\n  the \
         clause: {clause}"
    )
}

fn text(payload: &(dyn Any + Send)) -> &str {
    let owned = payload.downcast_ref::<String>().map(String::as_str);
    owned.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or("(no message)")
}

/// Returns the rule that a clause is named after: `store-1`, or a single word if the docs do not
/// number the rule.
pub(crate) fn of(clause: &str) -> String {
    let mut words = clause.split('_');
    let word = words.next().unwrap_or_default();
    match words.next().filter(|number| number.bytes().all(|byte| byte.is_ascii_digit())) {
        Some(number) => format!("{word}-{number}"),
        None => word.to_owned(),
    }
}

/// Returns the item whose docs contain the rule; `None` if `rule` is not a rule.
pub(crate) fn documented_at(rule: &str) -> Option<&'static str> {
    let (word, number) = rule.split_once('-').unwrap_or((rule, ""));
    if !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some(match (word, number) {
        ("offers", "") => "cred_conformance::Offers",
        ("metrics", "") => "cred_core::StorageProvider::metrics",
        (_, "") => return None,
        ("scope" | "error" | "cancel", _) | ("describe", "1") => "cred_core::StorageProvider",
        ("describe", _) => "cred_core::StorageProvider::describe",
        ("store", _) => "cred_core::StorageProvider::store",
        ("retrieve", _) => "cred_core::StorageProvider::retrieve",
        ("delete", _) => "cred_core::StorageProvider::delete",
        ("exists", _) => "cred_core::StorageProvider::exists",
        ("list", _) => "cred_core::StorageProvider::list",
        ("tree", _) => "cred_core::StorageProvider::list_tree",
        ("many", _) => "cred_core::StorageProvider::retrieve_many",
        ("shutdown", _) => "cred_core::StorageProvider::shutdown",
        ("ability", _) => "cred_core::StorageProvider::compare_and_set",
        ("cas", "1" | "2") => "cred_core::CompareAndSet::retrieve_versioned",
        ("cas", _) => "cred_core::CompareAndSet::store_if",
        ("soft", "1" | "2") => "cred_core::SoftDelete::recover",
        ("soft", "3" | "4") => "cred_core::SoftDelete::purge",
        ("soft", _) => "cred_core::SoftDelete::list_deleted",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

    use super::*;

    fn reported(clause: &str, report: impl FnOnce() + std::panic::UnwindSafe) -> String {
        message(clause, &*std::panic::catch_unwind(report).unwrap_err())
    }

    #[test]
    fn a_message_contains_the_problem_the_fix_and_the_rule() {
        assert_eq!(
            reported("store_2_a_reader", || fail("a reader saw none", "replace in one step")),
            "store-2 is broken: a reader saw none\n  what to do: replace in one step\n  the rule: store-2, in the docs \
             of `cred_core::StorageProvider::store`\n  the clause: store_2_a_reader"
        );
    }

    #[test]
    fn a_rule_named_in_the_problem_takes_precedence_over_the_clauses_own() {
        let message = reported("store_2_a_reader", || fail("describe-3: it hangs", "give it a deadline"));
        assert!(message.starts_with("describe-3 is broken: it hangs\n"), "{message}");
        assert!(message.contains("`cred_core::StorageProvider::describe`"), "{message}");
        let message = reported("store_2_a_reader", || fail("`a` fails: it hangs", "x"));
        assert!(message.starts_with("store-2 is broken: `a` fails: it hangs\n"), "{message}");
    }

    #[test]
    fn a_panic_of_the_provider_is_reported_as_a_panic() {
        let message = reported("shutdown_1_twice", || resume_unwind(Box::new("already shut down")));
        assert!(message.contains("panicked: already shut down"), "{message}");
    }
}
