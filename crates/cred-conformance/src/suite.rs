//! The macro, and what its tests call.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use tokio::runtime::Builder;
use tokio::task::{JoinError, JoinSet};

use crate::clauses::CLAUSES;
use crate::trial::Trial;
use crate::{Harness, Offers, rule};

/// One test for each clause, in the module where it stands.
///
/// `suite!(harness, offers: [words])`: the first part is an expression that makes a new
/// [`Harness`](crate::Harness), evaluated for each clause inside a tokio runtime (it may `.await`).
/// The words are those of [`Offers`](crate::Offers); clauses that need another one become
/// `#[ignore = "not offered"]`. Attributes before the harness go to every test, so that a suite
/// that needs a server can be ignored by default:
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
/// [`StorageProvider`](cred_core::StorageProvider): `store_1_what_was_stored_is_given_back_exactly`
/// proves clause store-1. The caller's crate needs no dependency but this one: each test brings its
/// own runtime, multi-threaded except where a provider that blocks is looked for.
#[macro_export]
macro_rules! suite {
    (#[$($attribute:tt)*] $($rest:tt)*) => {
        $crate::__suite_with!([#[$($attribute)*]] $($rest)*);
    };
    ($harness:expr, offers: [$($offer:ident),* $(,)?] $(,)?) => {
        $crate::__suite!(($) [] $harness, [$($offer)*]);
    };
}

/// Collects the attributes: an expression may begin with one as well, so they have to be taken
/// before it is parsed.
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

/// `$d` is a dollar sign, which a macro needs to write a macro: `__cred_clause` knows the offered
/// words as literals.
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
                // The first reason counts: what is not offered is never run, be there a server or
                // not.
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
    /// Every clause, in the order of the contract.
    #[must_use]
    pub fn all() -> &'static [Self] {
        CLAUSES
    }

    /// Its name, such as `store_1_what_was_stored_is_given_back_exactly`.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// The rule that it proves, such as `store-1`: its name in the docs of
    /// [`StorageProvider`](cred_core::StorageProvider) and its abilities. A word without a number
    /// where the docs give none: `offers`, `metrics`.
    #[must_use]
    pub fn rule(&self) -> String {
        rule::of(self.name)
    }

    /// Whose docs hold the rule, such as `cred_core::StorageProvider::store`.
    #[must_use]
    pub fn documented_at(&self) -> &'static str {
        rule::place(&self.rule()).unwrap_or("cred_core::StorageProvider")
    }

    /// What it needs; without it, it is not run.
    #[must_use]
    pub const fn needs(&self) -> Offers {
        self.needs
    }

    /// Runs it over a fresh harness and closes that. For runners of your own, on any tokio runtime
    /// with time enabled; [`suite!`](crate::suite) does it for you.
    ///
    /// # Panics
    /// If the provider breaks the clause; the message says how and what to do.
    #[expect(clippy::panic, reason = "this is how a test reports")]
    pub async fn check(&self, harness: Arc<dyn Harness>, offers: Offers) {
        let (check, opened) = (self.check, Arc::clone(&harness));
        // A task, so that a panic does not pass the harness's end by; in a set, so that it ends
        // with this future.
        let mut clause = JoinSet::new();
        clause.spawn(async move { check(Trial::open(opened, offers).await).await });
        let outcome = clause.join_next().await;
        harness.close().await;
        match outcome.map(|ended| ended.map_err(JoinError::try_into_panic)) {
            None | Some(Ok(())) => {}
            Some(Err(Ok(payload))) => panic!("{}", rule::message(self.name, &*payload)),
            Some(Err(Err(error))) => panic!("{} did not end: {error}", self.name),
        }
    }
}

/// What each test of a suite does. Whether a provider blocks its thread shows where that is the
/// only one; the tasks of the harness, such as a server, go on in a runtime of their own.
#[doc(hidden)]
#[expect(clippy::panic, reason = "it reports to the test runner")]
pub fn run<H: Harness + 'static>(name: &str, offers: Offers, harness: impl Future<Output = H>) {
    let Some(clause) = Clause::all().iter().find(|clause| clause.name == name) else {
        panic!("there is no clause `{name}`");
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
        Err(error) => panic!("no tokio runtime could be built: {error}"),
    }
}
