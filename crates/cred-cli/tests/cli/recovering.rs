//! Deleted credentials, where the backend keeps none.

use crate::world::World;

#[test]
fn local_files_keep_nothing_that_is_deleted() {
    let world = World::new();
    world.store("org:acme/a", "1");
    world.run(&["rm", "--yes", "org:acme/a"]).good();
    for args in [
        &["recover", "org:acme/a"][..],
        &["purge", "--yes", "org:acme/a"],
        // Nothing is asked first.
        &["purge", "org:acme/a"],
        &["list", "--deleted"],
        &["list", "--deleted", "org:acme", "--flat"],
    ] {
        let answer =
            world.run(args).ends(1).says("the backend of profile `dev` keeps nothing that is deleted");
        assert!(answer.err.contains("delete_mode = \"soft\""), "{}", answer.err);
        assert_eq!(answer.out, "");
        let error = world.run(&[args, &["--json"]].concat()).ends(1).error();
        assert_eq!(error["code"], 1, "{error}");
    }
}

#[test]
fn wrong_usage_is_refused() {
    let world = World::new();
    world.run(&["recover"]).ends(2);
    world.run(&["purge"]).ends(2);
    world.run(&["list", "--deleted", "--tag", "env=prod"]).ends(2).says("cannot be used with");
    world.run(&["list", "--deleted", "--created-after", "1h"]).ends(2);
}

#[test]
fn completions_offer_nothing_where_nothing_deleted_is_kept() {
    let world = World::new();
    world.store("a", "1");
    let answer = world.run(&["complete-paths", "--deleted"]).good();
    assert_eq!((answer.out.as_str(), answer.err.as_str()), ("", ""));
}
