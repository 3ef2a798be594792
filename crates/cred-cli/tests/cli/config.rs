//! The choice of files and profiles, and errors that do not repeat secrets.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use crate::world::{World, files};

/// A value that no error may repeat.
const SECRET: &str = "hunter2-hunter2-hunter2";

#[test]
fn a_project_file_precedes_the_users_and_is_found_in_parent_folders() {
    let world = World::empty();
    world.run(&["list"]).exits_with(3).stderr_has("run `cred init`");
    world.run(&["init", "--user", "--name", "mine"]).success();
    world.store("a", "of the user");
    world.run(&["init"]).success();
    world.run(&["get", "a"]).exits_with(4);
    world.run(&["get", "a", "-p", "mine"]).success();
    fs::create_dir_all(world.path("project/deep/er")).unwrap();
    let mut below = world.command(&["get", "a", "-p", "mine"]);
    assert!(below.current_dir(world.path("project/deep/er")).output().unwrap().status.success());
    let mut chosen = world.command(&["get", "a"]);
    assert!(chosen.env("CRED_PROFILE", "mine").output().unwrap().status.success());
    world
        .run(&["get", "a", "-p", "absent"])
        .exits_with(3)
        .stderr_has("unknown profile `absent`")
        .stderr_has("dev, mine");
    world.run(&["init"]).exits_with(2).stderr_has("already exists");
}

#[test]
fn an_invalid_configuration_is_rejected_with_line_and_field() {
    let world = World::empty();
    let head = "profile = \"p\"\n\n[profiles.p]\n";
    let cases = [
        (
            "backend = \"local\"\nbase_bath = \"/x\"\n",
            "cred.toml:5: `profiles.p.base_bath` is not a field of this table, which has backend, ring, created_by, base_path",
        ),
        ("backend = \"local\"\nbase_path = 7316\n", "cred.toml:5: `profiles.p.base_path` must be"),
        (
            "backend = \"local\"\n\noperation_timeout = \"7316\"\n",
            "cred.toml:6: `profiles.p.operation_timeout`",
        ),
        ("backend = \"lokal\"\n", "cred.toml:4: `profiles.p.backend` is not a backend; use one of local"),
        ("base_path = \"/x\"\n", "cred.toml:3: `profiles.p` needs the field `backend`"),
        ("backend = \"local\"\nbase_path = \"/x\n", "is not valid TOML at line 5"),
        ("backend = \"local\"\n[keys]\n", "cred.toml:5: `keys` is not known here"),
    ];
    for (text, expected) in cases {
        world.write("project/cred.toml", &format!("{head}{text}"));
        let output = world.run(&["list"]).exits_with(3).stderr_has(expected);
        assert!(!output.err.contains("7316"), "{}", output.err);
    }
}

#[test]
fn a_secret_in_the_wrong_place_is_not_repeated() {
    let world = World::empty();
    let texts = [
        format!("profile = \"{SECRET}\n"),
        format!("[profiles.p]\nbackend = \"local\"\nbase_path = {SECRET}\n"),
        format!("[profiles.p]\nbackend = \"{SECRET}\"\n"),
        format!("[profiles.p]\nbackend = \"local\"\noperation_timeout = \"{SECRET}\"\n"),
        format!("[profiles.p]\nbackend = \"local\"\ncreate_dir = \"{SECRET}\"\n"),
        format!(
            "[profiles.p]\nbackend = \"local\"\nbase_path = \"/x\"\n[rings.main]\nactive = \"k\"\nkeys.k = \"{SECRET}\"\n"
        ),
        format!(
            "[profiles.p]\nbackend = \"local\"\nbase_path = \"/x\"\n[rings.main]\nactive = \"k\"\nkeys.k = {{ passphrase = \"{SECRET}\" }}\n"
        ),
        format!(
            "[profiles.p]\nbackend = \"local\"\nbase_path = \"/x\"\n[rings.main]\nactive = \"k\"\nkeys.k = {{ key = \"{SECRET}\" }}\n"
        ),
        format!(
            "[profiles.p]\nbackend = \"local\"\nbase_path = \"/x\"\n[rings.main]\nactive = \"k\"\nkeys.k = {{ env = \"{SECRET}\" }}\n"
        ),
        format!(
            "[profiles.p]\nbackend = \"local\"\nbase_path = \"/x\"\n[rings.main]\nactive = \"{SECRET} \"\nkeys.k = {{ env = \"K\" }}\n"
        ),
        format!(
            "[profiles.p]\nbackend = \"local\"\nbase_path = \"/x\"\n[rings.main]\nactive = \"k\"\nkeys.k = {{ passphrase = \"prompt\", kdf_salt = \"{SECRET}\" }}\n"
        ),
        format!(
            "[profiles.p]\nbackend = \"local\"\nbase_path = \"/x\"\n[rings.main]\nactive = \"k\"\nkeys.k = {{ passphrase = \"prompt\", kdf_salt = \"00112233445566778899aabbccddeeff\", check = \"{SECRET}\" }}\n"
        ),
    ];
    for text in texts {
        world.write("project/cred.toml", &text);
        for args in [&["get", "a"][..], &["doctor"], &["get", "a", "--json"]] {
            let output = world.run(args);
            assert_ne!(output.code, 0, "{text}");
            assert!(
                !output.err.contains(SECRET) && !output.out.contains(SECRET),
                "{text}: {} {}",
                output.out,
                output.err
            );
        }
    }
}

#[test]
fn a_key_in_place_of_its_file_or_variable_is_not_repeated() {
    const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";
    let world = World::empty();
    let forms = [
        format!("{{ file = \"{KEY}\" }}"),
        format!("{{ env = \"{KEY}\" }}"),
        format!("{{ passphrase = {{ file = \"{KEY}\" }} }}"),
        format!("{{ passphrase = {{ env = \"{KEY}\" }} }}"),
    ];
    for form in forms {
        let head = "[profiles.p]\nbackend = \"local\"\nbase_path = \"/x\"\n[rings.main]\nactive = \"k\"\n";
        world.write("project/cred.toml", &format!("{head}keys.k = {form}\n"));
        let output = world
            .run(&["get", "a"])
            .exits_with(8)
            .stderr_has("cred.toml:6: `keys.k` of ring `main` names a ");
        assert!(!output.err.contains(KEY), "{}", output.err);
        let output = world.run(&["doctor"]).exits_with(9);
        assert!(!output.err.contains(KEY) && !output.out.contains(KEY), "{} {}", output.out, output.err);
    }
}

#[test]
fn projects_with_the_same_name_have_separate_stores() {
    let world = World::empty();
    let run = |place: &str, args: &[&str]| {
        let output = world.command(args).current_dir(world.path(place)).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    for place in ["project/one/app", "project/two/app"] {
        fs::create_dir_all(world.path(place)).unwrap();
        run(place, &["init"]);
    }
    run("project/one/app", &["set", "a", "--generate"]);
    assert_eq!(run("project/one/app", &["list", "--flat"]), "a\n");
    assert_eq!(run("project/two/app", &["list", "--flat"]), "");
    let mode = fs::metadata(world.path("home/.local/share/cred/app-2")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
}

#[test]
fn a_missing_store_is_an_error() {
    let world = World::new();
    world.store("a", "1");
    let store = world.path("home/.local/share/cred/project");
    fs::rename(&store, world.path("home/elsewhere")).unwrap();
    for command in ["list", "validate"] {
        let output =
            world.run(&[command]).exits_with(3).stderr_has("`base_path` of profile `dev` does not exist");
        assert!(!output.err.contains("create_dir"), "{}", output.err);
    }
    world.run(&["doctor"]).exits_with(9);
    world.run_with(&["set", "b"], "2").exits_with(3);
    assert!(!store.exists());
    fs::rename(world.path("home/elsewhere"), &store).unwrap();
    assert_eq!(world.value("a"), "1");
}

#[test]
fn a_failed_init_leaves_no_files() {
    let world = World::empty();
    let nothing = || {
        assert!(files(&world.path("home")).is_empty(), "{:?}", files(&world.path("home")));
        assert!(!world.path("home/.local/share/cred/project").exists());
        assert!(!world.path("project/store").exists());
    };
    world.write("project/other.key", "of another user");
    world.run(&["init", "--key-file", "other.key"]).exits_with(8);
    world.run(&["init", "--key-file", "other.key", "--store", "store"]).exits_with(8);
    nothing();
    std::os::unix::fs::symlink(world.path("project/nowhere/cred.toml"), world.path("project/cred.toml"))
        .unwrap();
    world.run(&["init"]).exits_with(2).stderr_has("already exists");
    nothing();
    fs::remove_file(world.path("project/cred.toml")).unwrap();
    assert_eq!(world.read("project/other.key"), "of another user");
    world.run(&["init"]).success();
}

#[test]
fn an_invalid_name_is_rejected_before_anything_is_created() {
    let world = World::empty();
    for name in ["my dev", "a.b", "", "a\nb = 1", "\"a\""] {
        world.run(&["init", "--name", name]).exits_with(2).stderr_has("letters, digits");
        assert!(files(world.root()).is_empty(), "{name}");
    }
    world.run(&["init", "--name", "My-dev_2"]).success();
    world.store("a", "1");
}

#[test]
fn a_path_is_relative_to_the_file_and_a_tilde_is_the_home_folder() {
    let world = World::new();
    let text = world.read("project/cred.toml");
    let with_path = |path: &str| {
        let line = |line: &str| match line.starts_with("base_path") {
            true => format!("base_path = {path}\n"),
            false => format!("{line}\n"),
        };
        world.write("project/cred.toml", &text.lines().map(line).collect::<String>());
    };
    fs::create_dir_all(world.path("project/deep/er")).unwrap();
    for (path, store) in [("\"store\"", "project/store"), ("\"~/of-mine\"", "home/of-mine")] {
        with_path(path);
        fs::create_dir(world.path(store)).unwrap();
        fs::set_permissions(world.path(store), fs::Permissions::from_mode(0o700)).unwrap();
        let mut below = world.command(&["set", "a", "--generate"]);
        assert!(below.current_dir(world.path("project/deep/er")).output().unwrap().status.success());
        assert!(files(&world.path(store)).iter().any(|(path, _)| path.ends_with("a.enc.json")), "{store}");
    }
}

#[test]
fn every_field_that_is_not_secret_can_come_from_a_variable() {
    let mut world = World::new();
    let text = world.read("project/cred.toml");
    let store = world.path("home/elsewhere");
    let line = |line: &str| match line.starts_with("base_path") || line.starts_with("create_dir") {
        true => String::new(),
        false => format!("{line}\n"),
    };
    let fields = "base_path = { env = \"STORE\" }\ncreate_dir = { env = \"CREATE\" }\n\
                  operation_timeout = { env = \"LIMIT\" }\nmax_payload_len = { env = \"MOST\" }\n\n[rings.main]";
    let text = text.lines().map(line).collect::<String>().replace("[rings.main]", fields);
    world.write("project/cred.toml", &text);
    world.run(&["list"]).exits_with(3).stderr_has("names a variable that is not set");
    for (name, value) in
        [("STORE", store.to_str().unwrap()), ("CREATE", "true"), ("LIMIT", "9s"), ("MOST", "9999")]
    {
        world.set(name, value);
    }
    world.store("a", "1");
    assert!(store.exists());
    // These variables are not secret, so the command gets them too.
    assert_eq!(world.run(&["run", "--env", "A=a", "--", "printenv", "LIMIT"]).success().out, "9s\n");
    world.set("MOST", SECRET);
    let output = world.run(&["list"]).exits_with(3).stderr_has("max_payload_len");
    assert!(!output.err.contains(SECRET), "{}", output.err);
}

#[test]
fn line_ends_and_a_byte_order_mark_survive_an_edit() {
    let world = World::new();
    let text = format!("\u{feff}{}", world.read("project/cred.toml").replace('\n', "\r\n"));
    world.write("project/cred.toml", &text);
    world.run(&["key", "add", "next"]).success();
    let after = world.read("project/cred.toml");
    assert!(after.starts_with('\u{feff}') && !after.replace("\r\n", "").contains('\n'), "{after:?}");
    world.store("a", "1");
}

#[test]
fn a_file_that_other_users_can_write_is_rejected() {
    let world = World::new();
    fs::set_permissions(world.path("project/cred.toml"), fs::Permissions::from_mode(0o666)).unwrap();
    world.run(&["list"]).exits_with(3).stderr_has("chmod go-w");
}

#[cfg(feature = "vault")]
#[test]
fn backend_secrets_come_only_from_files_and_variables() {
    let mut world = World::empty();
    let profile = |auth: &str| {
        format!(
            "[profiles.p]\nbackend = \"vault\"\naddress = \"http://127.0.0.1:1\"\nauth_method = {auth}\noperation_timeout = \"1s\"\n"
        )
    };
    let inline = format!("{{ token = {{ token = \"{SECRET}\" }} }}");
    world.write("project/cred.toml", &profile(&inline));
    let output = world
        .run(&["list"])
        .exits_with(3)
        .stderr_has("cred.toml:4: `profiles.p.auth_method.token.token` is secret");
    assert!(!output.err.contains(SECRET), "{}", output.err);
    world.write("project/cred.toml", &profile("{ token = { token = { env = \"TOKEN\" } } }"));
    world.run(&["list"]).exits_with(3).stderr_has("names a variable that is not set");
    world.set("TOKEN", SECRET);
    // The configuration is accepted, and nothing listens on the address.
    let output = world.run(&["list"]).exits_with(6).stderr_has("could not be reached");
    assert!(!output.err.contains(SECRET), "{}", output.err);
    world.write("project/secret-id", "id\n");
    world.write(
        "project/cred.toml",
        &profile("{ app_role = { role_id = \"r\", secret_id = { file = \"secret-id\" } } }"),
    );
    fs::set_permissions(world.path("project/secret-id"), fs::Permissions::from_mode(0o644)).unwrap();
    world.run(&["list"]).exits_with(3).stderr_has("chmod 600");
    fs::set_permissions(world.path("project/secret-id"), fs::Permissions::from_mode(0o600)).unwrap();
    world.run(&["list"]).exits_with(6);
    world.write("project/cred.toml", &profile("{ kerberos = {} }"));
    world.run(&["list"]).exits_with(3).stderr_has("must be one of token, app_role");
}
