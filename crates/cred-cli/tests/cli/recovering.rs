//! Deleted credentials, on a backend that keeps none.

use crate::world::World;

#[test]
fn local_files_keep_no_deleted_credentials() {
    let world = World::new();
    world.store("org:acme/a", "1");
    world.run(&["rm", "--yes", "org:acme/a"]).success();
    for args in [
        &["recover", "org:acme/a"][..],
        &["purge", "--yes", "org:acme/a"],
        // The error comes before the confirmation.
        &["purge", "org:acme/a"],
        &["list", "--deleted"],
        &["list", "--deleted", "org:acme", "--flat"],
    ] {
        let output = world
            .run(args)
            .exits_with(1)
            .stderr_has("the backend of profile `dev` does not keep deleted credentials");
        assert!(output.err.contains("delete_mode = \"soft\""), "{}", output.err);
        assert_eq!(output.out, "");
        let error = world.run(&[args, &["--json"]].concat()).exits_with(1).error();
        assert_eq!(error["code"], 1, "{error}");
    }
}

#[test]
fn wrong_usage_is_rejected() {
    let world = World::new();
    world.run(&["recover"]).exits_with(2);
    world.run(&["purge"]).exits_with(2);
    world.run(&["list", "--deleted", "--tag", "env=prod"]).exits_with(2).stderr_has("cannot be used with");
    world.run(&["list", "--deleted", "--created-after", "1h"]).exits_with(2);
}

#[test]
fn completions_offer_nothing_on_a_backend_without_recovery() {
    let world = World::new();
    world.store("a", "1");
    let output = world.run(&["complete-paths", "--deleted"]).success();
    assert_eq!((output.out.as_str(), output.err.as_str()), ("", ""));
}
