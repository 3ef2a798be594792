//! The table of clauses: every test of the suite, with the offers that it needs and its function.

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

/// Calls a macro with all clauses: `[needed offers] file::name;`.
#[doc(hidden)]
#[macro_export]
macro_rules! __each_clause {
    ($call:ident) => {
        $call! {
            [] describe::offers_match_the_provider_and_the_harness;
            [outage reopen] outage::describe_1_the_constructor_does_no_network_io;
            [] describe::describe_2_the_description_never_changes;
            [] describe::describe_3_every_operation_ends_within_the_operation_timeout;
            [stall] stall::describe_3_operations_on_a_stalled_backend_end_within_the_operation_timeout;
            [stall] stall::describe_4_a_stalled_backend_does_not_block_the_runtime;
            [] describe::ability_1_the_set_of_abilities_never_changes;
            [] describe::shutdown_1_shutdown_can_be_called_twice;
            [] describe::shutdown_2_dropping_the_provider_leaks_no_task;
            [] describe::shutdown_3_every_operation_after_shutdown_is_refused;
            [metrics] describe::metrics_every_operation_is_counted_once;
            [] scope::scope_1_the_same_id_in_two_scopes_is_two_credentials;
            [] scope::scope_1_scoped_and_unscoped_credentials_are_separate;
            [] scope::scope_2_a_read_never_returns_a_credential_of_another_scope;
            [] scope::scope_2_a_list_never_returns_a_credential_of_another_scope;
            [] scope::scope_2_a_store_changes_no_other_scope;
            [] scope::scope_2_a_delete_changes_no_other_scope;
            [] names::scope_3_names_that_differ_only_in_case_are_distinct;
            [] names::scope_3_names_that_differ_only_in_punctuation_are_distinct;
            [] names::scope_3_long_names_that_differ_only_at_their_ends_are_distinct;
            [] names::scope_3_the_boundary_between_scope_and_id_is_unambiguous;
            [] names::scope_3_names_that_look_like_encodings_of_others_are_distinct;
            [] names::scope_3_a_physical_name_used_as_an_id_is_a_different_credential;
            [] names::scope_4_names_that_backends_reserve_can_be_used;
            [] names::scope_4_ids_of_every_length_can_be_used;
            [] names::scope_4_every_id_character_can_be_used_in_any_position;
            [] names::scope_4_every_scope_character_can_be_used_in_any_position;
            [] names::scope_4_scopes_up_to_the_maximum_length_can_be_used;
            [] store::store_1_a_stored_value_is_returned_unchanged;
            [] store::store_1_ciphertexts_of_any_bytes_and_length_are_preserved;
            [] store::store_1_absent_fields_stay_distinct_from_empty_ones;
            [] store::store_1_numbers_are_preserved_exactly;
            [] store::store_1_unknown_fields_are_preserved;
            [] store::store_1_key_ids_are_preserved;
            [] store::store_1_creator_names_are_preserved;
            [] store::store_1_tags_are_preserved_exactly_or_refused;
            [reopen] store::store_1_stored_values_outlive_the_client;
            [] store::store_2_a_reader_sees_the_old_or_the_new_value;
            [] store::store_2_a_list_never_omits_a_credential_that_is_being_replaced;
            [] store::store_3_concurrent_stores_leave_one_complete_value;
            [] store::store_3_concurrent_stores_of_different_ids_all_persist;
            [] store::store_4_an_id_can_be_stored_again_after_a_delete;
            [] store::store_7_storing_the_same_value_twice_succeeds;
            [payload_limit] limits::store_5_a_payload_of_exactly_the_limit_is_accepted;
            [payload_limit] limits::store_5_one_byte_over_the_limit_is_too_large_and_the_old_value_remains;
            [] limits::store_6_tags_at_the_limits_are_accepted;
            [tag_limits] limits::store_6_a_tag_over_the_limits_is_refused;
            [] basics::retrieve_1_an_absent_credential_is_reported_as_not_found;
            [] basics::retrieve_2_a_read_returns_the_latest_value;
            [reopen] basics::retrieve_2_another_client_reads_the_latest_value;
            [] basics::retrieve_3_a_read_changes_nothing;
            [] basics::delete_1_a_deleted_credential_is_gone_from_reads_and_lists;
            [] basics::delete_2_deleting_an_absent_credential_succeeds;
            [] basics::delete_2_concurrent_deletes_all_succeed;
            [] basics::delete_3_other_credentials_remain;
            [] basics::exists_1_exists_is_true_after_a_store_and_false_otherwise;
            [] basics::exists_2_exists_changes_nothing_and_ignores_other_scopes;
            [] list::list_1_each_id_is_listed_once_and_only_in_its_own_scope;
            [] list::list_2_an_unused_scope_gives_an_empty_list;
            [] list::list_3_a_long_list_is_complete;
            [] list::list_3_a_list_is_complete_during_concurrent_writes;
            [] list::list_4_a_credential_must_match_all_tags_of_the_filter;
            [] list::list_4_tags_are_compared_exactly;
            [] list::list_4_time_bounds_are_exclusive;
            [] list::list_4_a_filter_uses_the_latest_stored_metadata;
            [] tree::tree_1_each_path_is_listed_once_and_unchanged;
            [] tree::tree_2_a_scope_contains_others_only_at_a_slash_boundary;
            [] tree::tree_3_without_a_scope_the_tree_lists_everything;
            [] tree::tree_4_a_long_tree_is_complete;
            [] tree::tree_4_filters_work_as_in_list;
            [] many::many_1_results_are_in_the_order_of_the_ids;
            [] many::many_1_no_ids_give_no_results;
            [] many::many_1_more_than_one_batch_of_ids_is_answered;
            [] many::many_2_a_duplicate_id_is_answered_twice;
            [] many::many_3_a_missing_credential_fails_only_its_own_result;
            [] error::error_1_a_not_found_error_names_provider_operation_and_path;
            [payload_limit] error::error_1_a_too_large_error_names_provider_operation_and_path;
            [compare_and_set] error::error_1_a_conflict_names_provider_operation_and_path;
            [soft_delete] error::error_1_a_failed_recovery_names_provider_operation_and_path;
            [payload_limit] error::error_2_a_refused_store_correctly_reports_that_nothing_was_written;
            [] error::error_4_debug_and_errors_never_print_stored_data;
            [backend_secrets] error::error_4_debug_and_errors_never_print_backend_credentials;
            [raw_edit] corrupt::error_3_broken_bytes_are_reported_as_corrupted_with_the_path;
            [raw_edit] corrupt::error_3_a_flipped_bit_fails_only_as_corrupted;
            [raw_edit] corrupt::error_3_no_error_prints_the_broken_bytes;
            [raw_edit] corrupt::error_3_a_corrupted_credential_can_be_overwritten;
            [raw_edit] corrupt::delete_4_a_corrupted_credential_can_be_deleted;
            [raw_edit] corrupt::exists_3_a_corrupted_credential_exists;
            [raw_edit] corrupt::list_5_a_corrupted_credential_is_listed_by_name;
            [raw_edit] corrupt::list_5_a_filtered_list_fails_on_a_corrupted_credential_and_names_it;
            [raw_edit] corrupt::tree_4_a_corrupted_credential_is_listed_in_the_tree_by_name;
            [raw_edit] corrupt::many_3_a_corrupted_credential_fails_only_its_own_result;
            [compare_and_set raw_edit] corrupt::cas_1_broken_bytes_are_reported_as_corrupted;
            [outage] outage::retrieve_1_an_outage_is_not_reported_as_absence;
            [outage] outage::list_3_an_outage_is_not_reported_as_an_empty_list;
            [outage] outage::error_1_an_error_in_an_outage_names_provider_operation_and_path;
            [outage] outage::error_2_writes_in_an_outage_correctly_report_whether_they_took_effect;
            [stall] stall::error_2_a_write_refused_in_a_stall_never_takes_effect;
            [] cancel::cancel_1_a_dropped_store_leaves_the_old_or_the_new_value;
            [] cancel::cancel_1_a_dropped_first_store_leaves_nothing_or_the_whole_value;
            [] cancel::cancel_1_a_dropped_delete_leaves_the_value_or_nothing;
            [] cancel::cancel_1_a_dropped_read_changes_nothing;
            [compare_and_set] cancel::cancel_1_a_dropped_conditional_store_leaves_the_old_or_the_new_value;
            [soft_delete] cancel::cancel_1_a_dropped_recovery_leaves_the_credential_recovered_or_recoverable;
            [stall] stall::cancel_2_a_write_abandoned_in_a_stall_does_not_take_effect_later;
            [compare_and_set] compare::cas_1_retrieve_versioned_returns_what_retrieve_returns;
            [compare_and_set] compare::cas_2_every_store_makes_a_new_revision;
            [compare_and_set] compare::cas_3_a_store_with_the_current_revision_succeeds;
            [compare_and_set] compare::cas_4_a_store_with_another_revision_conflicts_and_writes_nothing;
            [compare_and_set] compare::cas_4_creating_an_existing_credential_conflicts;
            [compare_and_set] compare::cas_5_a_store_with_a_revision_conflicts_when_nothing_is_stored;
            [compare_and_set] compare::cas_6_creating_an_absent_credential_succeeds;
            [compare_and_set soft_delete] compare::cas_6_a_soft_deleted_credential_counts_as_absent;
            [compare_and_set] compare::cas_7_exactly_one_concurrent_store_with_the_same_revision_succeeds;
            [compare_and_set] compare::cas_7_exactly_one_concurrent_create_succeeds;
            [compare_and_set reopen] compare::cas_7_exactly_one_store_across_concurrent_clients_succeeds;
            [compare_and_set] compare::cas_7_a_counter_under_contention_loses_no_increment;
            [compare_and_set] compare::scope_2_a_conditional_store_changes_no_other_scope;
            [soft_delete] soft::soft_1_a_recovered_credential_is_unchanged;
            [soft_delete] soft::soft_2_only_a_deleted_credential_can_be_recovered;
            [soft_delete] soft::soft_3_a_purged_credential_is_permanently_gone;
            [soft_delete] soft::soft_4_a_purge_is_idempotent_and_keeps_live_credentials;
            [soft_delete] soft::soft_5_deleted_credentials_are_listed_once_and_completely;
            [soft_delete reopen] soft::soft_5_deleted_credentials_outlive_the_client;
            [soft_delete] soft::scope_2_recovery_and_purge_affect_no_other_scope;
            [soft_delete] soft::store_4_a_store_after_a_soft_delete_hides_the_old_value_permanently;
        }
    };
}
