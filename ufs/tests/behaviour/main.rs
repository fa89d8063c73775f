//! One behaviour, every store: each case runs on `file://`, on our in-process S3 server without and with TLS, and on the S3 endpoint named by
//! `FOREBAY_TEST_S3_ENDPOINT` (with `_ACCESS_KEY` and `_SECRET_KEY`), which CI points at a Ceph RGW.

mod fixture;
mod listing;
mod multipart;
mod reading;
mod refusals;
mod writing;

macro_rules! on_every_store {
    ($($module:ident: $($case:ident)+;)+) => {
        on_every_store!(@store local_directory, Kind::File, $($module: $($case)+;)+);
        on_every_store!(@store in_process_s3, Kind::InProcess, $($module: $($case)+;)+);
        on_every_store!(@store in_process_s3_with_tls, Kind::Tls, $($module: $($case)+;)+);
        on_every_store!(@store real_s3, Kind::Endpoint, $($module: $($case)+;)+);
    };
    (@store $store:ident, $kind:expr, $($module:ident: $($case:ident)+;)+) => {
        mod $store {
            use crate::fixture::{Fixture, Kind};
            $(mod $module {
                use super::*;
                $(#[tokio::test]
                async fn $case() {
                    if let Some(fixture) = Fixture::start($kind).await {
                        crate::$module::$case(&fixture).await;
                        fixture.clean().await;
                    }
                })+
            })+
        }
    };
}

on_every_store! {
    reading: stat_tells_what_put_told ranges_are_exact_at_all_edges bytes_outside_are_refused
        empty_objects_have_no_bytes_to_read another_version_is_refused readers_never_see_two_versions_mixed;
    listing: children_are_objects_and_directories recursion_gives_every_object odd_keys_survive
        many_keys_come_in_pages start_after_shares_a_directory markers_are_empty_directories
        a_missing_directory_is_told_or_empty lanes_list_what_recursion_lists
        sizes_and_versions_equal_those_of_stat;
    writing: conditions_hold_or_nothing_is_written put_replaces_and_makes_parents copy_gives_the_same_bytes
        delete_is_idempotent rename_is_atomic_or_unsupported attributes_come_back
        too_many_attributes_are_refused_or_kept symlinks_keep_their_target copies_are_bound_to_versions
        a_delete_can_be_bound_to_a_version directories_are_made_and_removed;
    multipart: parts_become_one_object an_upload_is_resumed_from_its_list an_aborted_upload_is_gone
        a_condition_guards_completion parts_are_copied_from_a_version;
    refusals: a_missing_store_is_named wrong_keys_are_denied a_dead_endpoint_is_told_in_time;
}
