//! Microsoft's Python client against the vault. It checks that the double behaves like Key Vault.

use cred_testing::value::variable;

/// Runs one of the checks of the referee.
async fn check(name: &str) {
    let url = format!("{}/check/{name}", variable("CRED_TEST_KEYVAULT_REFEREE_ADDR"));
    // A check may wait for deletions and recoveries.
    let http = reqwest::Client::builder().no_proxy().tls_certs_only([]).build().unwrap();
    let response = http.get(url).send().await.unwrap();
    let (status, body) = (response.status(), response.text().await.unwrap());
    assert!(status.is_success(), "{body}");
}

macro_rules! checks {
    ($($name:ident)*) => {
        $(
            #[tokio::test]
            #[ignore = "needs a real server: cargo xtask test-integration azure (with keyvault-referee)"]
            async fn $name() {
                check(stringify!($name)).await;
            }
        )*
    };
}

checks! {
    sets_and_gets
    versions
    properties
    lists_page_by_page
    deletes_and_recovers
    purges
    refuses_a_deleted_name
    refuses_a_wrong_secret
    reports_absence
}
