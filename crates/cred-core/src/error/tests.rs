use super::*;

fn path() -> CredentialPath {
    "org:a/id".parse().unwrap()
}

#[test]
fn the_first_context_is_kept() {
    let error = StorageError::corrupted("not JSON").at("vault", Operation::Retrieve, path()).at(
        "wrapper",
        Operation::List,
        Target::Backend,
    );
    assert_eq!(error.provider(), Some("vault"));
    assert_eq!(error.operation(), Some(Operation::Retrieve));
    assert_eq!(error.path(), Some(&path()));
}

#[test]
fn every_target_forms_a_sentence() {
    let error = || StorageError::from(StorageErrorKind::DiskFull);
    let message = |error: StorageError| error.to_string();
    assert!(
        message(error().at("local", Operation::Store, path()))
            .starts_with("could not store credential `org:a/id` in local: no space")
    );
    let scope = Target::Scope(Some("org:a".parse().unwrap()));
    assert!(
        message(error().at("local", Operation::RetrieveMany, scope.clone()))
            .starts_with("could not retrieve credentials of scope `org:a` in local: ")
    );
    assert!(
        message(error().at("local", Operation::List, scope))
            .starts_with("could not list the credentials of scope `org:a` in local: ")
    );
    assert!(
        message(error().at("local", Operation::ListTree, Target::Scope(None)))
            .starts_with("could not list the tree of the root scope in local: ")
    );
    assert!(
        message(error().at("local", Operation::Connect, Target::Backend))
            .starts_with("could not connect to local: ")
    );
}

#[test]
fn display_does_not_repeat_the_cause() {
    let error =
        StorageError::other("rename failed").with_source(Arc::new(std::io::Error::other("EXDEV")) as Arc<_>);
    assert!(!error.to_string().contains("EXDEV"));
    assert_eq!(error.source().unwrap().to_string(), "EXDEV");
    assert!(format!("{error:?}").contains("EXDEV"));
}

#[test]
fn a_failed_read_has_written_nothing() {
    let error = || StorageError::from(StorageErrorKind::Timeout { limit: Duration::ZERO });
    assert!(error().may_have_written(), "an unknown operation counts as a write");
    assert!(error().at("vault", Operation::Store, path()).may_have_written());
    assert!(!error().at("vault", Operation::Retrieve, path()).may_have_written());
}

#[test]
fn each_kind_has_its_class_and_http_status() {
    let reason = || Cow::Borrowed("");
    let table = [
        (StorageErrorKind::NotFound, false, false, 404),
        (StorageErrorKind::TooLarge { size: 2, limit: 1 }, false, false, 413),
        (StorageErrorKind::PermissionDenied { reason: reason() }, false, false, 502),
        (StorageErrorKind::AuthenticationFailed { reason: reason() }, false, false, 502),
        (StorageErrorKind::Throttled { retry_after: None }, true, false, 503),
        (StorageErrorKind::Unavailable { reason: reason(), retry_after: None }, true, true, 503),
        (StorageErrorKind::Busy { reason: reason(), retry_after: None }, true, false, 409),
        (StorageErrorKind::Unreachable { reason: reason() }, true, false, 503),
        (StorageErrorKind::Timeout { limit: Duration::ZERO }, true, true, 503),
        (StorageErrorKind::InDoubt { reason: reason() }, false, true, 504),
        (StorageErrorKind::Conflict { reason: reason() }, false, false, 409),
        (StorageErrorKind::Corrupted { reason: reason() }, false, true, 500),
        (StorageErrorKind::DiskFull, false, false, 500),
        (StorageErrorKind::ReadOnly { reason: reason() }, false, false, 500),
        (StorageErrorKind::InvalidRequest { reason: reason() }, false, false, 400),
        (StorageErrorKind::RecoveredNotWritten { reason: reason() }, false, true, 504),
        (StorageErrorKind::NotDurable { reason: reason() }, false, true, 504),
        (StorageErrorKind::Unsupported { what: reason() }, false, false, 501),
        (StorageErrorKind::ShutDown, false, false, 503),
        (StorageErrorKind::Other { reason: reason() }, false, true, 500),
    ];
    for (kind, transient, wrote, status) in table {
        assert_eq!((kind.is_transient(), kind.may_have_written()), (transient, wrote), "{kind:?}");
        let error = StorageError::from(kind);
        assert_eq!(error.http_status_hint(), status, "{error:?}");
        assert_eq!(error.class() == ErrorClass::Transient, transient, "{error:?}");
        assert_eq!(error.is_corrupted(), error.to_string().contains("corrupted"), "{error:?}");
    }
    let busy = StorageError::busy_for("a write may still take effect", Duration::from_secs(300));
    assert_eq!(busy.retry_after(), Some(Duration::from_secs(300)));
    assert!(busy.to_string().ends_with("nothing was written, try again in 300s"), "{busy}");
}
