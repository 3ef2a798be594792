//! Runs tests that need environment variables.

use std::process::Command;

/// Runs a test again in a child process with these additional environment variables, and returns
/// whether the current process is that child. A test cannot change its own environment, because
/// other tests in the same process share it.
///
/// `test` is the full name of the test, as `cargo test` prints it.
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
/// If the child process fails, or does not run exactly that test.
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
