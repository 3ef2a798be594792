//! The commands: one file each, with its arguments, help and implementation.

pub(crate) mod completions;
pub(crate) mod diff;
pub(crate) mod doctor;
pub(crate) mod export;
pub(crate) mod get;
pub(crate) mod import;
pub(crate) mod init;
pub(crate) mod key;
pub(crate) mod list;
pub(crate) mod migrate;
pub(crate) mod purge;
pub(crate) mod recover;
pub(crate) mod rekey;
pub(crate) mod remove;
pub(crate) mod rotate;
pub(crate) mod run;
pub(crate) mod set;
pub(crate) mod trust;
pub(crate) mod validate;
