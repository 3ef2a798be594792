//! The macro that generates tests from the checks.

/// Generates one test for each check, in the module that calls the macro.
///
/// Usage: `suite!(remote, offers: [])`.
///
/// - `remote` is an expression that creates a [`Remote`](crate::Remote). It is evaluated for each
///   check inside a tokio runtime, so it may `.await`.
/// - Write `offers: [compare_and_set]` for a provider with compare-and-set, else `offers: []`.
///
/// Attributes before `remote` are added to every test, for example an `#[ignore = "..."]` for tests
/// that need a server.
#[macro_export]
macro_rules! suite {
    // An expression may also begin with an attribute, so attributes are matched before it is
    // parsed.
    (#[$($attribute:tt)*] $($rest:tt)*) => {
        $crate::__suite! { [#[$($attribute)*]] $($rest)* }
    };
    ($($rest:tt)*) => {
        $crate::__suite! { [] $($rest)* }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __suite {
    ($attributes:tt $remote:expr, offers: [$($offer:ident)?] $(,)?) => {
        $crate::__tests! {
            $attributes [$remote]
            latency_below_the_timeout_is_tolerated
            a_stalled_read_times_out
            a_stalled_write_times_out_with_an_unknown_outcome
            an_answer_that_stalls_midway_times_out
            an_answer_that_is_reset_midway_is_retried
            a_truncated_answer_is_retried
            truncated_answers_are_not_reported_as_corruption
            a_retry_after_header_is_respected
            a_retry_after_beyond_the_deadline_fails_at_once
            an_unavailable_server_is_retried
            a_permanent_refusal_is_not_retried
            an_unreachable_server_means_nothing_was_written
            a_store_whose_answer_is_lost_is_retried
            a_store_whose_answers_are_all_lost_has_an_unknown_outcome
            a_store_refused_after_a_lost_answer_has_an_unknown_outcome
            a_delete_whose_answer_is_lost_succeeds
        }
        $($crate::__conditional! { $offer $attributes [$remote] })?
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __conditional {
    (compare_and_set $attributes:tt $remote:tt) => {
        $crate::__tests! {
            $attributes $remote
            a_conditional_store_whose_answer_is_lost_succeeds
        }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __tests {
    ($attributes:tt $remote:tt $($name:ident)*) => {
        $($crate::__test! { $attributes $remote $name })*
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __test {
    ([$(#[$attribute:meta])*] [$remote:expr] $name:ident) => {
        $(#[$attribute])*
        #[test]
        fn $name() {
            $crate::__run(stringify!($name), async { $remote });
        }
    };
}
