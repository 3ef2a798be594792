//! How a clause reports: what is wrong, what to do, and where the rule stands.

use std::any::Any;
use std::fmt;
use std::panic::resume_unwind;

use cred_core::StorageError;

/// What a clause found. It travels as the payload of a panic that prints nothing, through the
/// clause's own tasks, to the one place that knows which clause it was.
struct Failure {
    problem: String,
    advice: String,
}

/// Ends the clause: what is wrong, and what its author can do. Where the problem begins with a rule
/// (`describe-3: ...`) it breaks that one, else the clause's own.
pub(crate) fn fail(problem: &str, advice: &str) -> ! {
    resume_unwind(Box::new(Failure { problem: problem.to_owned(), advice: advice.to_owned() }))
}

/// The answer to what must succeed; `what` says so where it did not, and the error follows.
pub(crate) fn good<T>(answer: Result<T, StorageError>, what: impl fmt::Display, advice: &str) -> T {
    answer.unwrap_or_else(|error| fail(&format!("{what}: {error}"), advice))
}

/// The message for the author of a provider.
pub(crate) fn message(clause: &str, payload: &(dyn Any + Send)) -> String {
    let (problem, advice) = match payload.downcast_ref::<Failure>() {
        Some(failure) => (failure.problem.clone(), failure.advice.as_str()),
        None => (
            format!("the provider or its harness panicked: {}", text(payload)),
            "answer an error where the provider panics; where the harness does, its own message says why",
        ),
    };
    let own = of(clause);
    let (rule, problem) = match problem.split_once(": ") {
        Some((rule, rest)) if place(rule).is_some() => (rule.to_owned(), rest),
        _ => (own, problem.as_str()),
    };
    let place = place(&rule).unwrap_or("cred_core::StorageProvider");
    format!(
        "{rule} is broken: {problem}\n  what to do: {advice}\n  the rule: {rule}, in the docs of `{place}`\n  the \
         clause: {clause}"
    )
}

fn text(payload: &(dyn Any + Send)) -> &str {
    let owned = payload.downcast_ref::<String>().map(String::as_str);
    owned.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or("(no message)")
}

/// The rule that a clause is named after: `store-1`, or a word alone where the docs have no number.
pub(crate) fn of(clause: &str) -> String {
    let mut words = clause.split('_');
    let word = words.next().unwrap_or_default();
    match words.next().filter(|number| number.bytes().all(|byte| byte.is_ascii_digit())) {
        Some(number) => format!("{word}-{number}"),
        None => word.to_owned(),
    }
}

/// Whose docs hold the rule; `None`: it is none.
pub(crate) fn place(rule: &str) -> Option<&'static str> {
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

    fn told(clause: &str, report: impl FnOnce() + std::panic::UnwindSafe) -> String {
        message(clause, &*std::panic::catch_unwind(report).unwrap_err())
    }

    #[test]
    fn a_message_says_what_is_wrong_what_to_do_and_which_rule_it_is() {
        assert_eq!(
            told("store_2_a_reader", || fail("a reader saw none", "replace in one step")),
            "store-2 is broken: a reader saw none\n  what to do: replace in one step\n  the rule: store-2, in the docs \
             of `cred_core::StorageProvider::store`\n  the clause: store_2_a_reader"
        );
    }

    #[test]
    fn a_rule_that_the_problem_names_counts_for_more_than_the_clauses_own() {
        let message = told("store_2_a_reader", || fail("describe-3: it hangs", "give it a deadline"));
        assert!(message.starts_with("describe-3 is broken: it hangs\n"), "{message}");
        assert!(message.contains("`cred_core::StorageProvider::describe`"), "{message}");
        let message = told("store_2_a_reader", || fail("`a` fails: it hangs", "x"));
        assert!(message.starts_with("store-2 is broken: `a` fails: it hangs\n"), "{message}");
    }

    #[test]
    fn a_panic_of_the_provider_is_told_as_one() {
        let message = told("shutdown_1_twice", || resume_unwind(Box::new("already shut down")));
        assert!(message.contains("panicked: already shut down"), "{message}");
    }
}
