//! The key ring, from the first key to the next.

use crate::world::World;

#[test]
fn a_key_is_replaced_without_losing_anything() {
    let world = World::new();
    world.fill(30);
    world.write("project/cred.toml", &format!("# my comment\n{}", world.read("project/cred.toml")));
    let first = world.run(&["key", "list", "--json"]).good().json()[0]["id"].as_str().unwrap().to_owned();
    world.run(&["key", "add", "next"]).good().says("seals with it from now on");
    assert!(world.read("project/cred.toml").starts_with("# my comment\n"), "comments are kept");
    let counts = |world: &World| {
        let json = world.run(&["key", "list", "--count", "--json"]).good().json();
        json.as_array()
            .unwrap()
            .iter()
            .map(|key| (key["id"].as_str().unwrap().to_owned(), key["credentials"].as_u64().unwrap()))
            .collect::<Vec<_>>()
    };
    assert_eq!(counts(&world), [(first.clone(), 30), ("next".into(), 0)]);
    world.run(&["key", "retire", &first]).ends(8).says("30 credentials of dev are sealed under");
    world.run(&["rekey", "--dry-run"]).good().says("30 of 30");
    assert_eq!(counts(&world)[0].1, 30);
    world.run(&["rekey"]).good().says("30 of 30 credentials sealed under next");
    world.run(&["rekey"]).good().says("0 of 30");
    world.run(&["key", "retire", "next"]).ends(2).says("is the key that seals");
    world.run(&["key", "retire", &first]).good();
    assert_eq!(counts(&world), [("next".into(), 30)]);
    assert_eq!(world.value("org:acme/team:t3/credential-3"), "value of 3");
    world.run(&["key", "retire", &first]).ends(2).says("has no key");
}

#[test]
fn an_id_names_one_key_for_ever() {
    let world = World::new();
    world.run(&["key", "add", "next", "--inactive"]).good();
    world.run(&["key", "add", "next"]).ends(2).says("already");
    let list = world.run(&["key", "list"]).good().out;
    assert!(
        list.contains("next") && list.lines().filter(|line| line.contains("seals")).count() == 1,
        "{list}"
    );
}

#[test]
fn a_wrong_or_missing_key_is_told_apart() {
    let world = World::new();
    world.store("a", "1");
    let config = world.read("project/cred.toml");
    let file =
        config.lines().find_map(|line| line.strip_prefix("keys.")?.split('"').nth(1)).unwrap().to_owned();
    std::fs::remove_file(&file).unwrap();
    world.run(&["get", "a"]).ends(8).says("could not be read");
    world.run(&["key", "add", "other", "--file", &file]).ends(0);
    world.run(&["get", "a"]).ends(8).says("was not sealed under the key that the ring knows");
}
