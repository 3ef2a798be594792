//! What other programs read.

use serde_json::json;

use crate::world::{World, files};

#[test]
fn what_fails_is_one_document() {
    let world = World::new();
    world.store("a", "1");
    let answer = world.run(&["rm", "--yes", "--json", "a", "b", "c"]).ends(10);
    assert_eq!(answer.json(), json!({"profile": "dev", "deleted": ["a"], "failed": ["b", "c"]}));
    let error = answer.error();
    assert_eq!(error["code"], 10);
    let failures = error["failures"].as_array().unwrap();
    assert_eq!(failures.iter().map(|one| &one["path"]).collect::<Vec<_>>(), ["b", "c"]);
    assert!(failures.iter().all(|one| one["code"] == 4 && one["error"].is_string()), "{error}");
    let answer = world.run(&["rm", "--yes", "--json", "b"]).ends(4);
    assert_eq!(answer.json()["failed"], json!(["b"]));
    assert_eq!(answer.error()["code"], 4);

    world.store("a", "1");
    world.store("b", "1");
    for (path, _) in files(&world.path("home/.local")) {
        if path.to_string_lossy().ends_with(".enc.json") {
            std::fs::write(path, "garbage").unwrap();
        }
    }
    let error = world.run(&["rekey", "--json"]).ends(10).error();
    assert_eq!(error["failures"].as_array().map(Vec::len), Some(2), "{error}");
}
