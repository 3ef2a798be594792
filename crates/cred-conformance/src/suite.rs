//! The macro, and the functions that its tests call.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use tokio::runtime::Builder;
use tokio::task::{JoinError, JoinSet};

use crate::clauses::CLAUSES;
use crate::trial::Trial;
use crate::{Harness, Offers, rule};

/// Generates one test for each clause, in the module that calls the macro.
///
/// Usage: `suite!(harness, offers: [words])`.
///
/// - `harness` is an expression that creates a new [`Harness`](crate::Harness). It is evaluated for
///   each clause inside a tokio runtime, so it may `.await`.
/// - `words` are fields of [`Offers`](crate::Offers). Clauses that need another word become
///   `#[ignore = "not offered"]`.
///
/// Attributes before the harness are added to every test, so a suite that needs a server can be
/// ignored by default:
///
/// ```
/// # struct VaultHarness(cred_conformance::doubles::Reference);
/// # impl VaultHarness {
/// #     async fn start() -> Self { Self(cred_conformance::doubles::Reference::new()) }
/// # }
/// # #[cred_core::async_trait]
/// # impl cred_conformance::Harness for VaultHarness {
/// #     async fn open(&self) -> std::sync::Arc<dyn cred_conformance::Subject> { std::sync::Arc::new(self.0.clone()) }
/// # }
/// cred_conformance::suite!(
///     #[ignore = "needs Vault"]
///     VaultHarness::start().await,
///     offers: [compare_and_set]
/// );
/// # fn main() {}
/// ```
///
/// Tests are named after the clauses in the documentation of
/// [`StorageProvider`](cred_core::StorageProvider): `store_1_a_stored_value_is_returned_unchanged`
/// proves clause store-1. The generated code needs no other dependency than this crate. Each test
/// creates its own runtime, which is multi-threaded except in the clauses that stall the backend:
/// those look for a provider that blocks its thread.
#[macro_export]
macro_rules! suite {
    (#[$($attribute:tt)*] $($rest:tt)*) => {
        $crate::__suite_with!([#[$($attribute)*]] $($rest)*);
    };
    ($harness:expr, offers: [$($offer:ident),* $(,)?] $(,)?) => {
        $crate::__suite!(($) [] $harness, [$($offer)*]);
    };
}

/// Collects the attributes. An expression may also begin with an attribute, so they have to be
/// matched before the expression is parsed.
#[doc(hidden)]
#[macro_export]
macro_rules! __suite_with {
    ([$($taken:tt)*] #[$($attribute:tt)*] $($rest:tt)*) => {
        $crate::__suite_with!([$($taken)* #[$($attribute)*]] $($rest)*);
    };
    ([$($taken:tt)*] $harness:expr, offers: [$($offer:ident),* $(,)?] $(,)?) => {
        $crate::__suite!(($) [$($taken)*] $harness, [$($offer)*]);
    };
}

/// `$d` is a dollar sign, which a macro needs to define a macro. `__cred_clause` matches the
/// offered words as literals.
#[doc(hidden)]
#[macro_export]
macro_rules! __suite {
    (($d:tt) [$($attribute:tt)*] $harness:expr, [$($offer:ident)*]) => {
        macro_rules! __cred_clause {
            $(([$offer $d($rest:ident)*] $d name:ident) => { __cred_clause!([$d($rest)*] $d name); };)*
            ([] $d name:ident) => {
                $($attribute)*
                #[test]
                fn $d name() {
                    #[allow(unused_mut, reason = "a provider may offer nothing")]
                    let mut offers = $crate::Offers::NONE;
                    $(offers.$offer = true;)*
                    $crate::__run(stringify!($d name), offers, async { $harness });
                }
            };
            ([$d($need:ident)+] $d name:ident) => {
                // The first `ignore` counts: a clause that is not offered never runs, with or
                // without a server.
                #[ignore = "not offered"]
                #[allow(unused_attributes, reason = "the suite itself may be ignored as well")]
                $($attribute)*
                #[test]
                fn $d name() {
                    panic!("this clause needs {}", stringify!($d($need),+));
                }
            };
        }
        macro_rules! __cred_clauses {
            ($d([$d($need:ident)*] $d module:ident::$d name:ident;)*) => {
                $d(__cred_clause!([$d($need)*] $d name);)*
            };
        }
        $crate::__each_clause!(__cred_clauses);
    };
}

/// One rule of the contract, as a test that runs against any provider.
#[derive(Debug, Clone, Copy)]
pub struct Clause {
    pub(crate) name: &'static str,
    pub(crate) needs: Offers,
    pub(crate) check: fn(Trial) -> Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl Clause {
    /// Returns every clause, in the order of the contract.
    ///
    /// ```
    /// use cred_conformance::Clause;
    ///
    /// let rules: Vec<String> = Clause::all().iter().map(Clause::rule).collect();
    /// assert!(rules.contains(&"store-1".to_owned()));
    /// ```
    #[must_use]
    pub fn all() -> &'static [Self] {
        CLAUSES
    }

    /// Returns the name, such as `store_1_a_stored_value_is_returned_unchanged`.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// Returns the rule that it proves, such as `store-1`, as named in the docs of
    /// [`StorageProvider`](cred_core::StorageProvider) and its abilities. A rule without a number
    /// in the docs is a single word: `offers`, `metrics`.
    #[must_use]
    pub fn rule(&self) -> String {
        rule::of(self.name)
    }

    /// Returns the item whose docs contain the rule, such as `cred_core::StorageProvider::store`.
    #[must_use]
    pub fn documented_at(&self) -> &'static str {
        rule::documented_at(&self.rule()).unwrap_or("cred_core::StorageProvider")
    }

    /// Returns the optional features that it needs. Without them it is not run.
    #[must_use]
    pub const fn needs(&self) -> Offers {
        self.needs
    }

    /// Runs the clause over a new harness and closes the harness.
    ///
    /// [`suite!`](crate::suite) calls it for you. Call it from your own test runner, on any tokio
    /// runtime with time enabled.
    ///
    /// # Panics
    /// If the provider breaks the clause. The message contains the problem and a fix.
    #[expect(clippy::panic, reason = "this is how a test reports")]
    pub async fn check(&self, harness: Arc<dyn Harness>, offers: Offers) {
        let (check, opened) = (self.check, Arc::clone(&harness));
        // It runs as a task, so that a panic does not skip closing the harness. The task is in a
        // set, so that it ends with this future.
        let mut clause = JoinSet::new();
        clause.spawn(async move { check(Trial::open(opened, offers).await).await });
        let outcome = clause.join_next().await;
        harness.close().await;
        match outcome.map(|ended| ended.map_err(JoinError::try_into_panic)) {
            None | Some(Ok(())) => {}
            Some(Err(Ok(payload))) => panic!("{}", rule::message(self.name, &*payload)),
            Some(Err(Err(error))) => panic!("{} did not finish: {error}", self.name),
        }
    }
}

/// The body of each test of a suite. A clause that stalls the backend runs on a single-threaded
/// runtime, where a provider that blocks its thread is detected. The tasks of the harness, such as
/// a server, run on a separate runtime.
#[doc(hidden)]
#[expect(clippy::panic, reason = "it reports to the test runner")]
pub fn run<H: Harness + 'static>(name: &str, offers: Offers, harness: impl Future<Output = H>) {
    let Some(clause) = Clause::all().iter().find(|clause| clause.name == name) else {
        panic!("unknown clause `{name}`");
    };
    let built = || {
        let several = Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let single = Builder::new_current_thread().enable_all().build()?;
        Ok::<_, std::io::Error>((several, single))
    };
    match built() {
        Ok((several, single)) => {
            let harness = Arc::new(several.block_on(harness));
            let runtime = if clause.needs.stall { &single } else { &several };
            runtime.block_on(clause.check(harness, offers));
        }
        Err(error) => panic!("could not build a tokio runtime: {error}"),
    }
}
