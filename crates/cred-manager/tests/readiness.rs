//! Whether the backend can be read, for a readiness probe.
#![cfg(test)]

mod doubles;

use std::time::Duration;

use cred_core::{Consistency, ErrorClass, Operation, StorageErrorKind};
use cred_manager::ManagerError;
use doubles::backend::Backend;
use doubles::metered::Metered;
use doubles::{keys, manager, over};
use tokio::time::Instant;

#[tokio::test]
async fn an_empty_store_is_ready_and_it_takes_one_read() {
    let provider = Metered::new(true, Duration::ZERO);
    provider.refuse(|operation, _| {
        (operation != Operation::Retrieve).then(|| StorageErrorKind::InvalidRequest { reason: "".into() })
    });
    let manager = over(provider.clone(), &keys());
    manager.check_ready().await.unwrap();
    assert_eq!(provider.calls(), 1);
}

#[tokio::test]
async fn a_refused_read_is_not_ready_and_names_the_scope_of_the_handle() {
    let provider = Metered::new(true, Duration::ZERO);
    provider.refuse(|_, _| Some(StorageErrorKind::PermissionDenied { reason: "no right to read".into() }));
    let tenant = over(provider, &keys()).scoped("org:acme".parse().unwrap()).unwrap();
    let error = tenant.check_ready().await.unwrap_err();
    let ManagerError::Storage(refused) = &error else { panic!("{error}") };
    assert_eq!(refused.path().unwrap().scope.as_ref().unwrap().as_str(), "org:acme");
    assert_eq!(error.class(), ErrorClass::Denied);
}

#[tokio::test]
async fn a_store_with_damaged_data_is_not_ready() {
    let provider = Metered::new(true, Duration::ZERO);
    provider.refuse(|_, _| Some(StorageErrorKind::Corrupted { reason: "not JSON".into() }));
    let error = over(provider, &keys()).check_ready().await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::Broken, "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_backend_that_does_not_answer_is_not_ready_in_time() {
    let backend = Backend::new(Consistency::Strong);
    backend.behave(|behaviour| behaviour.read_takes = Duration::from_secs(3_600));
    let manager = manager(backend);
    let start = Instant::now();
    let error = manager.check_ready().await.unwrap_err();
    assert!(error.is_transient(), "{error}");
    // The provider's operation timeout, and a second to deliver its answer.
    assert_eq!(start.elapsed(), Duration::from_secs(11));
    manager.shutdown().await.unwrap();
    assert!(matches!(manager.check_ready().await, Err(ManagerError::ShutDown)));
}
