//! The files on the disk, and reading them back.

use crate::place::*;
use cred_core::{CredentialContext, CredentialFilter, StorageErrorKind, StorageProvider as _, Timestamp};
use cred_store_local::{LocalStorageConfig, LocalStorageProvider};

#[tokio::test]
async fn stored_values_are_retrieved_and_deleted() {
    let (store, provider) = TestStore::with_provider();
    for at in ["key", "org:a/key", "org:a/team:b/key", "org:b/key"] {
        assert!(get(&provider, at).await.unwrap_err().is_not_found(), "{at}");
    }
    for (number, at) in ["key", "org:a/key", "org:a/team:b/key", "org:b/key"].into_iter().enumerate() {
        let number = u8::try_from(number).unwrap();
        put(&provider, at, value(number)).await.unwrap();
        put(&provider, at, value(number + 10)).await.unwrap();
    }
    assert_eq!(tree(&provider).await, ["key", "org:a/key", "org:a/team:b/key", "org:b/key"]);
    delete(&provider, "org:a/key").await.unwrap();
    delete(&provider, "org:a/key").await.unwrap();
    delete(&provider, "org:never/key").await.unwrap();
    assert!(get(&provider, "org:a/key").await.unwrap_err().is_not_found());
    // Another provider, as after a restart.
    let again = store.open();
    assert_eq!(get(&again, "key").await.unwrap(), value(10));
    assert_eq!(get(&again, "org:a/team:b/key").await.unwrap(), value(12));
    assert_eq!(get(&again, "org:b/key").await.unwrap(), value(13));
}

#[tokio::test]
async fn files_have_readable_names_and_only_the_owner_may_read_them() {
    let (store, provider) = TestStore::with_provider();
    assert!(!store.base.exists(), "nothing is created before the first use");
    for at in ["stripe-api-key", "DB_PASSWORD", "org:acme/team:x/nul"] {
        put(&provider, at, value(1)).await.unwrap();
    }
    assert_eq!(
        names(&store.base),
        ["+db_password.enc.json", ".lock", ".tmp", "org=acme", "stripe-api-key.enc.json"]
    );
    assert_eq!(names(&store.base.join("org=acme/team=x")), ["%6eul.enc.json"]);
    assert!(names(&store.base.join(".tmp")).is_empty(), "the written files were renamed");
    for file in ["stripe-api-key.enc.json", ".lock", "org=acme/team=x/%6eul.enc.json"] {
        assert_eq!(mode(&store.base.join(file)), 0o600, "{file}");
    }
    for directory in ["", ".tmp", "org=acme", "org=acme/team=x"] {
        assert_eq!(mode(&store.base.join(directory)), 0o700, "{directory}");
    }
}

#[tokio::test]
async fn connect_creates_the_directory_and_its_parents() {
    let store = TestStore::new();
    let deep = store.base.join("a/b");
    let provider = LocalStorageProvider::new(store.config().with_base_path(&deep)).unwrap();
    provider.connect().await.unwrap();
    assert_eq!((mode(&store.base), mode(&deep)), (0o700, 0o700));
    assert!(tree(&provider).await.is_empty());
}

#[tokio::test]
async fn similar_paths_have_distinct_files() {
    let (store, provider) = TestStore::with_provider();
    let alike = ["key", "KEY", "Key", "k-ey", "k_ey", "org:a/key", "org:A/key", "org:ab/key", "ORG:a/key"];
    for (number, at) in alike.into_iter().enumerate() {
        put(&provider, at, value(u8::try_from(number).unwrap())).await.unwrap();
    }
    for (number, at) in alike.into_iter().enumerate() {
        assert_eq!(get(&provider, at).await.unwrap(), value(u8::try_from(number).unwrap()), "{at}");
    }
    // As they appear on a file system that ignores case.
    let mut folded: Vec<_> = names(&store.base).iter().map(|name| name.to_lowercase()).collect();
    folded.sort();
    folded.dedup();
    assert_eq!(folded.len(), names(&store.base).len(), "{folded:?}");
    let ids = provider.list(None, &context(&path("org:a/key"))).await.unwrap();
    assert_eq!(ids.len(), 1, "{ids:?}");
    let under = provider.list_tree(None, &context(&path("org:a/key"))).await.unwrap();
    assert_eq!(under, [path("org:a/key")]);
}

#[tokio::test]
async fn the_longest_ids_and_scopes_are_listed_unchanged() {
    let (_place, provider) = TestStore::with_provider();
    let long = [
        "x".repeat(255),
        "X".repeat(255),
        format!("org:{}/key", "y".repeat(508)),
        format!("org:{}/team:b/{}", "y".repeat(300), "z".repeat(255)),
        format!("org:a/{}", "q".repeat(247)),
        "aB".repeat(127),
    ];
    for (number, at) in long.iter().enumerate() {
        put(&provider, at, value(u8::try_from(number).unwrap())).await.unwrap();
    }
    for (number, at) in long.iter().enumerate() {
        assert_eq!(get(&provider, at).await.unwrap(), value(u8::try_from(number).unwrap()), "{at}");
        let ids = provider.list(None, &context(&path(at))).await.unwrap();
        assert!(ids.contains(&path(at).id), "{at}");
        let under = provider.list_tree(None, &context(&path(at))).await.unwrap();
        assert!(under.contains(&path(at)), "{at}");
    }
    let mut expected = long.to_vec();
    expected.sort();
    assert_eq!(tree(&provider).await, expected);
}

#[tokio::test]
async fn a_filter_is_applied_to_the_contents() {
    let (_place, provider) = TestStore::with_provider();
    for (number, at) in ["org:a/one", "org:a/two", "org:a/team:b/one", "one"].into_iter().enumerate() {
        put(&provider, at, value(u8::try_from(number).unwrap())).await.unwrap();
    }
    let ctx = context(&path("org:a/x"));
    let tagged = CredentialFilter::new().with_tag("number", "1");
    assert_eq!(provider.list(Some(&tagged), &ctx).await.unwrap(), [path("two").id]);
    let late = CredentialFilter::new().with_created_after(Timestamp::from_unix_millis(1_001));
    assert_eq!(provider.list_tree(Some(&late), &ctx).await.unwrap(), [path("org:a/team:b/one")]);
    let all = provider.list_tree(Some(&late), &CredentialContext::unscoped()).await.unwrap();
    assert_eq!(all.len(), 2);
}

#[tokio::test]
async fn foreign_files_are_neither_changed_nor_listed() {
    let (store, _provider) = TestStore::with_value("key", value(1)).await;
    let foreign =
        ["README", "Key.enc.json", "a b.enc.json", "key.json", ".hidden", "org=a.enc.json", "+a+.enc.json"];
    for name in foreign {
        std::fs::write(store.base.join(name), "theirs").unwrap();
    }
    for name in ["photos", "Org=a", "x.enc.json", ".git"] {
        std::fs::create_dir(store.base.join(name)).unwrap();
        std::fs::write(store.base.join(name).join("key.enc.json"), "theirs").unwrap();
    }
    std::fs::write(store.base.join(".tmp/notes"), "theirs").unwrap();
    let again = store.open();
    assert_eq!(tree(&again).await, ["key"]);
    assert_eq!(again.list(None, &CredentialContext::unscoped()).await.unwrap(), [path("key").id]);
    let filter = CredentialFilter::new().with_tag("number", "1");
    assert_eq!(again.list_tree(Some(&filter), &CredentialContext::unscoped()).await.unwrap().len(), 1);
    for name in foreign.into_iter().chain([".tmp/notes", "photos/key.enc.json"]) {
        assert_eq!(std::fs::read(store.base.join(name)).unwrap(), b"theirs", "{name}");
    }
}

#[tokio::test]
async fn the_error_for_a_corrupted_file_names_the_credential_and_prints_no_contents() {
    let (store, provider) = TestStore::with_value("org:a/key", value(1)).await;
    let file = store.base.join("org=a/key.enc.json");
    std::fs::write(&file, "hunter2 hunter2").unwrap();
    let error = get(&provider, "org:a/key").await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "could not retrieve credential `org:a/key` in local: the stored data is corrupted: it is not an envelope of a \
         sealed credential; restore it from a backup, or store the credential again if you \
         still have its value"
    );
    assert!(!format!("{error:?}").contains("hunter2"));
    assert_eq!(tree(&provider).await, ["org:a/key"]);
    let filter = CredentialFilter::new().with_tag("number", "1");
    let error = provider.list_tree(Some(&filter), &CredentialContext::unscoped()).await.unwrap_err();
    assert_eq!(error.path(), Some(&path("org:a/key")));
    put(&provider, "org:a/key", value(2)).await.unwrap();
    assert_eq!(get(&provider, "org:a/key").await.unwrap(), value(2));
}

#[tokio::test]
async fn a_file_that_was_copied_to_another_hashed_name_is_corrupted() {
    let (store, provider) = TestStore::with_provider();
    let (one, other) = ("a".repeat(255), "b".repeat(255));
    put(&provider, &one, value(1)).await.unwrap();
    put(&provider, &other, value(2)).await.unwrap();
    let hashed: Vec<_> = names(&store.base).into_iter().filter(|name| name.starts_with("%h")).collect();
    std::fs::copy(store.base.join(&hashed[0]), store.base.join(&hashed[1])).unwrap();
    let answers = [get(&provider, &one).await, get(&provider, &other).await];
    let corrupted = answers.iter().filter(|answer| {
        answer.as_ref().is_err_and(|error| matches!(error.kind(), StorageErrorKind::Corrupted { .. }))
    });
    assert_eq!(corrupted.count(), 1);
    assert!(provider.list_tree(None, &CredentialContext::unscoped()).await.is_err());
}

#[test]
fn the_recommended_size_is_1_mib_or_a_lower_limit() {
    let store = TestStore::new();
    let recommended = |config: LocalStorageConfig| {
        LocalStorageProvider::new(config).unwrap().describe().limits.recommended_payload_len
    };
    assert_eq!(recommended(store.config()), Some(1_024 * 1_024));
    assert_eq!(recommended(store.config().with_max_payload_len(64 * 1_024)), Some(64 * 1_024));
}

#[tokio::test]
async fn a_file_at_the_limit_is_accepted_and_a_longer_one_is_not_read() {
    let store = TestStore::new();
    let provider = LocalStorageProvider::new(store.config().with_max_payload_len(64 * 1_024)).unwrap();
    let limit = provider.describe().limits.max_payload_len.unwrap();
    put(&provider, "key", value(1)).await.unwrap();
    // Three bytes take four in base64, and the rest of the file is less than 1 KiB.
    put(&provider, "key", sized(2, (limit - 1_024) / 4 * 3)).await.unwrap();
    let error = put(&provider, "key", sized(3, limit / 4 * 3)).await.unwrap_err();
    assert!(matches!(error.kind(), StorageErrorKind::TooLarge { .. }), "{error}");
    assert_eq!(get(&provider, "key").await.unwrap(), sized(2, (limit - 1_024) / 4 * 3));
    let small = LocalStorageProvider::new(store.config().with_max_payload_len(4 * 1_024)).unwrap();
    assert_eq!(
        get(&small, "key").await.unwrap(),
        sized(2, (limit - 1_024) / 4 * 3),
        "a file above a lowered limit can still be read"
    );
    let file = std::fs::File::options().write(true).open(store.base.join("key.enc.json")).unwrap();
    file.set_len(1 << 40).unwrap();
    let error = get(&provider, "key").await.unwrap_err();
    assert!(matches!(error.kind(), StorageErrorKind::Corrupted { .. }), "{error}");
}
