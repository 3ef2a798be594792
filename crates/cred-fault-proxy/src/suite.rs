//! The macro that makes tests of the checks.

/// One test for each check, in the module where it stands.
///
/// `suite!(remote, offers: [])`: an expression that makes a [`Remote`](crate::Remote), evaluated
/// for each check inside a tokio runtime (it may `.await`). Attributes before it go to every test,
/// such as the reason for which it is ignored without a server. `offers: []` for a provider without
/// compare-and-set, else `offers: [compare_and_set]`.
#[macro_export]
macro_rules! suite {
    // An expression may begin with an attribute as well, so it is taken before one is parsed.
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
            latency_below_the_timeout_is_borne
            a_stalled_read_ends_in_its_time
            a_stalled_write_ends_in_its_time_and_in_doubt
            an_answer_that_stalls_in_its_middle_ends_in_its_time
            an_answer_that_is_reset_in_its_middle_is_asked_for_again
            an_answer_that_is_cut_short_is_asked_for_again
            answers_that_are_always_cut_short_are_no_corruption
            too_many_requests_is_waited_out_as_long_as_the_server_says
            a_pause_beyond_the_deadline_is_not_begun
            an_unavailable_server_is_asked_again
            a_definite_refusal_is_not_asked_for_again
            a_server_that_cannot_be_reached_leaves_no_doubt
            a_store_whose_answer_is_lost_is_done_by_another_attempt
            a_store_whose_answers_are_all_lost_is_in_doubt
            a_store_whose_answer_is_lost_and_that_is_refused_then_is_in_doubt
            a_delete_whose_answer_is_lost_is_done
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
            a_conditional_store_whose_answer_is_lost_is_found_to_be_done
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
