//! The table of clauses: every test of the kit, what it needs and where it is.

mod basics;
mod cancel;
mod compare;
mod corrupt;
mod describe;
mod error;
mod limits;
mod list;
mod many;
mod names;
mod outage;
mod scope;
mod soft;
mod stall;
mod store;
mod tree;

pub(crate) use describe::alive_tasks;

use crate::{Clause, Offers};

macro_rules! table {
    ($([$($need:ident)*] $module:ident::$name:ident;)*) => {
        /// Every clause, in the order of the contract.
        pub(crate) static CLAUSES: &[Clause] = &[$(Clause {
            name: stringify!($name),
            needs: Offers { $($need: true,)* ..Offers::NONE },
            check: |trial| Box::pin($module::$name(trial)),
        },)*];
    };
}
crate::__each_clause!(table);

/// Calls a macro with all clauses: `[what it needs] file::name;`.
#[doc(hidden)]
#[macro_export]
macro_rules! __each_clause {
    ($call:ident) => {
        $call! {
            [] describe::offers_what_is_declared_is_what_is_there;
            [outage reopen] outage::describe_1_a_constructor_touches_no_network;
            [] describe::describe_2_the_description_never_changes;
            [] describe::describe_3_every_operation_ends_in_its_time;
            [stall] stall::describe_3_in_a_stall_every_operation_ends_in_its_time;
            [stall] stall::describe_4_in_a_stall_the_runtime_goes_on;
            [] describe::ability_1_whether_an_ability_is_there_never_changes;
            [] describe::shutdown_1_it_can_be_called_twice;
            [] describe::shutdown_2_dropping_the_provider_leaks_no_task;
            [] describe::shutdown_3_after_it_every_operation_is_refused;
            [metrics] describe::metrics_every_operation_is_counted_once;
            [] scope::scope_1_the_same_id_in_two_scopes_is_two_credentials;
            [] scope::scope_1_a_credential_without_a_scope_is_no_tenants;
            [] scope::scope_2_a_read_never_shows_another_scopes_credential;
            [] scope::scope_2_a_list_never_shows_another_scopes_credential;
            [] scope::scope_2_a_store_changes_no_other_scope;
            [] scope::scope_2_a_delete_changes_no_other_scope;
            [] names::scope_3_names_that_differ_only_in_case_are_apart;
            [] names::scope_3_names_that_differ_only_in_punctuation_are_apart;
            [] names::scope_3_long_names_that_differ_only_at_their_ends_are_apart;
            [] names::scope_3_a_scope_and_an_id_never_run_together;
            [] names::scope_3_names_that_look_like_encodings_of_others_are_apart;
            [] names::scope_3_a_physical_name_taken_as_an_id_is_another_credential;
            [] names::scope_4_names_that_backends_reserve_can_be_used;
            [] names::scope_4_ids_of_every_length_can_be_used;
            [] names::scope_4_every_character_of_an_id_can_stand_anywhere;
            [] names::scope_4_every_character_of_a_scope_can_stand_anywhere;
            [] names::scope_4_scopes_up_to_their_full_length_can_be_used;
            [] store::store_1_what_was_stored_is_given_back_exactly;
            [] store::store_1_every_byte_and_length_of_a_ciphertext_is_kept;
            [] store::store_1_an_absent_field_is_not_an_empty_one;
            [] store::store_1_numbers_are_kept_to_the_last_bit;
            [] store::store_1_unknown_fields_are_kept;
            [] store::store_1_the_names_of_keys_are_kept;
            [] store::store_1_the_names_of_creators_are_kept;
            [] store::store_1_tags_are_kept_to_the_letter_or_refused;
            [reopen] store::store_1_what_was_stored_outlives_the_client;
            [] store::store_2_a_reader_sees_the_old_or_the_new_value;
            [] store::store_2_a_list_never_misses_what_is_being_replaced;
            [] store::store_3_of_concurrent_writers_one_value_remains_whole;
            [] store::store_3_concurrent_writers_of_different_ids_all_remain;
            [] store::store_4_after_a_delete_a_store_of_the_same_id_works;
            [] store::store_7_storing_the_same_value_twice_is_no_error;
            [payload_limit] limits::store_5_a_payload_of_exactly_the_limit_is_taken;
            [payload_limit] limits::store_5_one_byte_more_is_too_large_and_the_old_value_remains;
            [] limits::store_6_tags_at_the_limits_are_taken;
            [tag_limits] limits::store_6_a_tag_that_does_not_fit_is_refused;
            [] basics::retrieve_1_absence_is_not_found;
            [] basics::retrieve_2_the_latest_value_is_read;
            [reopen] basics::retrieve_2_another_client_reads_the_latest_value;
            [] basics::retrieve_3_a_read_changes_nothing;
            [] basics::delete_1_afterwards_it_is_gone_everywhere;
            [] basics::delete_2_deleting_what_is_not_there_is_ok;
            [] basics::delete_2_concurrent_deletes_are_all_ok;
            [] basics::delete_3_other_credentials_remain;
            [] basics::exists_1_it_is_true_after_a_store_and_false_otherwise;
            [] basics::exists_2_it_changes_nothing_and_tells_nothing_of_other_scopes;
            [] list::list_1_it_gives_each_id_once_and_nothing_of_other_scopes;
            [] list::list_2_a_scope_never_used_is_an_empty_list;
            [] list::list_3_a_long_list_is_complete;
            [] list::list_3_it_is_complete_while_others_write;
            [] list::list_4_tags_are_anded;
            [] list::list_4_tags_are_compared_to_the_letter;
            [] list::list_4_bounds_are_exclusive;
            [] list::list_4_a_filter_follows_the_stored_metadata;
            [] tree::tree_1_it_gives_each_path_once_and_exactly;
            [] tree::tree_2_a_scope_contains_another_on_a_slash_only;
            [] tree::tree_3_without_a_scope_it_holds_everything;
            [] tree::tree_4_a_long_tree_is_complete;
            [] tree::tree_4_filters_are_those_of_list;
            [] many::many_1_it_gives_the_answers_in_the_order_of_the_ids;
            [] many::many_1_no_ids_get_no_answers;
            [] many::many_1_it_answers_more_than_one_batch;
            [] many::many_2_an_id_that_is_given_twice_is_answered_twice;
            [] many::many_3_one_that_is_missing_fails_alone;
            [] error::error_1_an_absence_names_provider_operation_and_path;
            [payload_limit] error::error_1_a_refusal_of_size_names_provider_operation_and_path;
            [compare_and_set] error::error_1_a_conflict_names_provider_operation_and_path;
            [soft_delete] error::error_1_a_failed_recovery_names_provider_operation_and_path;
            [payload_limit] error::error_2_a_refused_store_says_truly_that_nothing_was_written;
            [] error::error_4_nothing_prints_what_is_kept;
            [backend_secrets] error::error_4_nothing_prints_the_backend_credentials;
            [raw_edit] corrupt::error_3_what_is_broken_is_corrupted_and_names_the_path;
            [raw_edit] corrupt::error_3_a_flipped_bit_is_never_told_as_something_else;
            [raw_edit] corrupt::error_3_no_error_prints_the_broken_bytes;
            [raw_edit] corrupt::error_3_what_is_broken_can_be_stored_anew;
            [raw_edit] corrupt::delete_4_a_corrupted_credential_can_be_deleted;
            [raw_edit] corrupt::exists_3_a_corrupted_credential_exists;
            [raw_edit] corrupt::list_5_a_corrupted_credential_is_listed_by_name;
            [raw_edit] corrupt::list_5_a_filter_that_meets_a_corrupted_credential_names_it;
            [raw_edit] corrupt::tree_4_a_corrupted_credential_is_in_the_tree_by_name;
            [raw_edit] corrupt::many_3_one_that_is_broken_fails_alone;
            [compare_and_set raw_edit] corrupt::cas_1_a_broken_credential_is_corrupted;
            [outage] outage::retrieve_1_an_outage_is_not_told_as_absence;
            [outage] outage::list_3_an_outage_is_not_told_as_an_empty_list;
            [outage] outage::error_1_an_outage_names_provider_operation_and_path;
            [outage] outage::error_2_what_fails_in_an_outage_tells_truly_whether_it_wrote;
            [stall] stall::error_2_what_was_refused_in_a_stall_is_never_written;
            [] cancel::cancel_1_a_dropped_store_leaves_the_old_or_the_new_value;
            [] cancel::cancel_1_a_dropped_first_store_leaves_nothing_or_the_whole_value;
            [] cancel::cancel_1_a_dropped_delete_leaves_the_value_or_nothing;
            [] cancel::cancel_1_a_dropped_read_leaves_everything_as_it_was;
            [compare_and_set] cancel::cancel_1_a_dropped_conditional_store_leaves_the_old_or_the_new_value;
            [soft_delete] cancel::cancel_1_a_dropped_recovery_leaves_it_recovered_or_recoverable;
            [stall] stall::cancel_2_what_was_given_up_in_a_stall_is_not_written_later;
            [compare_and_set] compare::cas_1_it_reads_what_retrieve_reads;
            [compare_and_set] compare::cas_2_every_store_makes_another_revision;
            [compare_and_set] compare::cas_3_with_the_stored_revision_it_writes;
            [compare_and_set] compare::cas_4_with_another_revision_it_conflicts_and_writes_nothing;
            [compare_and_set] compare::cas_4_of_something_new_it_conflicts_where_something_is_stored;
            [compare_and_set] compare::cas_5_with_a_revision_where_nothing_is_stored_it_conflicts;
            [compare_and_set] compare::cas_6_something_new_is_written_where_nothing_is_stored;
            [compare_and_set soft_delete] compare::cas_6_a_soft_deleted_name_counts_as_nothing_stored;
            [compare_and_set] compare::cas_7_of_concurrent_calls_with_one_revision_exactly_one_succeeds;
            [compare_and_set] compare::cas_7_of_concurrent_calls_for_something_new_exactly_one_succeeds;
            [compare_and_set reopen] compare::cas_7_of_concurrent_clients_exactly_one_succeeds;
            [compare_and_set] compare::cas_7_a_counter_under_contention_loses_nothing;
            [compare_and_set] compare::scope_2_a_conditional_store_changes_no_other_scope;
            [soft_delete] soft::soft_1_a_recovered_credential_is_as_it_was;
            [soft_delete] soft::soft_2_what_is_not_deleted_cannot_be_recovered;
            [soft_delete] soft::soft_3_what_was_purged_is_gone_for_good;
            [soft_delete] soft::soft_4_a_purge_is_idempotent_and_spares_what_is_not_deleted;
            [soft_delete] soft::soft_5_the_deleted_are_listed_once_and_completely;
            [soft_delete reopen] soft::soft_5_what_was_deleted_outlives_the_client;
            [soft_delete] soft::scope_2_recovery_and_purge_reach_no_other_scope;
            [soft_delete] soft::store_4_a_store_over_a_deleted_name_hides_the_old_value_for_good;
        }
    };
}
