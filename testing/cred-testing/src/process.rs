//! Tests that need an environment of their own.

use std::process::Command;

/// Runs a test again in a child process that has these environment variables too, and returns
/// whether this is that process. A test cannot change its own environment, which it shares with the
/// tests beside it.
///
/// `test` is the test's whole name, as `cargo test` prints it.
///
/// ```no_run
/// use cred_testing::process::has_env;
///
/// fn the_address_is_read() {
///     if !has_env("config::tests::the_address_is_read", &[("ADDRESS", "https://a")]) {
///         return;
///     }
///     assert_eq!(std::env::var("ADDRESS").unwrap(), "https://a");
/// }
/// ```
///
/// # Panics
/// If the child fails, or does not run exactly that test.
#[must_use]
pub fn has_env(test: &str, variables: &[(&str, &str)]) -> bool {
    const CHILD: &str = "CRED_TESTING_CHILD";
    if std::env::var_os(CHILD).is_some() {
        return true;
    }
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", test]).env(CHILD, "").envs(variables.iter().copied());
    let output = child.output().unwrap();
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && printed.contains("1 passed"), "{printed}");
    false
}
