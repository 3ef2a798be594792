//! Which file and profile count, and what is refused without being repeated.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use crate::world::{World, files};

/// What a file may never make the program say.
const SECRET: &str = "hunter2-hunter2-hunter2";

#[test]
fn a_project_comes_before_the_user_and_above_counts_too() {
    let world = World::empty();
    world.run(&["list"]).ends(3).says("run `cred init`");
    world.run(&["init", "--user", "--name", "mine"]).good();
    world.store("a", "of the user");
    world.run(&["init"]).good();
    world.run(&["get", "a"]).ends(4);
    world.run(&["get", "a", "-p", "mine"]).good();
    fs::create_dir_all(world.path("project/deep/er")).unwrap();
    let mut below = world.command(&["get", "a", "-p", "mine"]);
    assert!(below.current_dir(world.path("project/deep/er")).output().unwrap().status.success());
    let mut chosen = world.command(&["get", "a"]);
    assert!(chosen.env("CRED_PROFILE", "mine").output().unwrap().status.success());
    world.run(&["get", "a", "-p", "nobody"]).ends(3).says("there is no profile `nobody`").says("dev, mine");
    world.run(&["init"]).ends(2).says("exists already");
}

#[test]
fn what_does_not_fit_is_refused_with_line_and_field() {
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
        ("backend = \"local\"\nbase_path = \"/x\n", "is not valid TOML in line 5"),
        ("backend = \"local\"\n[keys]\n", "cred.toml:5: `keys` is not known here"),
    ];
    for (text, expected) in cases {
        world.write("project/cred.toml", &format!("{head}{text}"));
        let answer = world.run(&["list"]).ends(3).says(expected);
        assert!(!answer.err.contains("7316"), "{}", answer.err);
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
            let answer = world.run(args);
            assert_ne!(answer.code, 0, "{text}");
            assert!(
                !answer.err.contains(SECRET) && !answer.out.contains(SECRET),
                "{text}: {} {}",
                answer.out,
                answer.err
            );
        }
    }
}

#[test]
fn a_key_in_the_place_of_its_file_or_variable_is_not_repeated() {
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
        let answer = world.run(&["get", "a"]).ends(8).says("cred.toml:6: `keys.k` of ring `main` names a ");
        assert!(!answer.err.contains(KEY), "{}", answer.err);
        let answer = world.run(&["doctor"]).ends(9);
        assert!(!answer.err.contains(KEY) && !answer.out.contains(KEY), "{} {}", answer.out, answer.err);
    }
}

#[test]
fn projects_of_one_name_have_stores_of_their_own() {
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
fn a_store_that_is_gone_is_no_empty_one() {
    let world = World::new();
    world.store("a", "1");
    let store = world.path("home/.local/share/cred/project");
    fs::rename(&store, world.path("home/elsewhere")).unwrap();
    for command in ["list", "validate"] {
        let answer = world.run(&[command]).ends(3).says("`base_path` of profile `dev` does not exist");
        assert!(!answer.err.contains("create_dir"), "{}", answer.err);
    }
    world.run(&["doctor"]).ends(9);
    world.run_with(&["set", "b"], "2").ends(3);
    assert!(!store.exists());
    fs::rename(world.path("home/elsewhere"), &store).unwrap();
    assert_eq!(world.value("a"), "1");
}

#[test]
fn an_init_that_fails_leaves_nothing_behind() {
    let world = World::empty();
    let nothing = || {
        assert!(files(&world.path("home")).is_empty(), "{:?}", files(&world.path("home")));
        assert!(!world.path("home/.local/share/cred/project").exists());
        assert!(!world.path("project/store").exists());
    };
    world.write("project/other.key", "of somebody");
    world.run(&["init", "--key-file", "other.key"]).ends(8);
    world.run(&["init", "--key-file", "other.key", "--store", "store"]).ends(8);
    nothing();
    std::os::unix::fs::symlink(world.path("project/nowhere/cred.toml"), world.path("project/cred.toml"))
        .unwrap();
    world.run(&["init"]).ends(2).says("exists already");
    nothing();
    fs::remove_file(world.path("project/cred.toml")).unwrap();
    assert_eq!(world.read("project/other.key"), "of somebody");
    world.run(&["init"]).good();
}

#[test]
fn a_name_that_is_none_is_refused_before_anything_is_made() {
    let world = World::empty();
    for name in ["my dev", "a.b", "", "a\nb = 1", "\"a\""] {
        world.run(&["init", "--name", name]).ends(2).says("letters, digits");
        assert!(files(world.root()).is_empty(), "{name}");
    }
    world.run(&["init", "--name", "My-dev_2"]).good();
    world.store("a", "1");
}

#[test]
fn a_path_counts_from_the_file_and_a_tilde_is_the_home_folder() {
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
fn every_plain_field_can_be_in_a_variable() {
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
    world.run(&["list"]).ends(3).says("names a variable that is not set");
    for (name, value) in
        [("STORE", store.to_str().unwrap()), ("CREATE", "true"), ("LIMIT", "9s"), ("MOST", "9999")]
    {
        world.set(name, value);
    }
    world.store("a", "1");
    assert!(store.exists());
    // They are not secret, so a command gets them too.
    assert_eq!(world.run(&["run", "--env", "A=a", "--", "printenv", "LIMIT"]).good().out, "9s\n");
    world.set("MOST", SECRET);
    let answer = world.run(&["list"]).ends(3).says("max_payload_len");
    assert!(!answer.err.contains(SECRET), "{}", answer.err);
}

#[test]
fn line_ends_and_a_byte_order_mark_survive_an_edit() {
    let world = World::new();
    let text = format!("\u{feff}{}", world.read("project/cred.toml").replace('\n', "\r\n"));
    world.write("project/cred.toml", &text);
    world.run(&["key", "add", "next"]).good();
    let after = world.read("project/cred.toml");
    assert!(after.starts_with('\u{feff}') && !after.replace("\r\n", "").contains('\n'), "{after:?}");
    world.store("a", "1");
}

#[test]
fn a_file_that_others_may_write_is_refused() {
    let world = World::new();
    fs::set_permissions(world.path("project/cred.toml"), fs::Permissions::from_mode(0o666)).unwrap();
    world.run(&["list"]).ends(3).says("chmod go-w");
}

#[cfg(feature = "vault")]
#[test]
fn a_backends_own_fields_are_read_and_its_secrets_only_from_elsewhere() {
    let mut world = World::empty();
    let profile = |auth: &str| {
        format!(
            "[profiles.p]\nbackend = \"vault\"\naddress = \"http://127.0.0.1:1\"\nauth_method = {auth}\noperation_timeout = \"1s\"\n"
        )
    };
    let inline = format!("{{ token = {{ token = \"{SECRET}\" }} }}");
    world.write("project/cred.toml", &profile(&inline));
    let answer =
        world.run(&["list"]).ends(3).says("cred.toml:4: `profiles.p.auth_method.token.token` is secret");
    assert!(!answer.err.contains(SECRET), "{}", answer.err);
    world.write("project/cred.toml", &profile("{ token = { token = { env = \"TOKEN\" } } }"));
    world.run(&["list"]).ends(3).says("names a variable that is not set");
    world.set("TOKEN", SECRET);
    // It got so far that it tried the address, where nobody is.
    let answer = world.run(&["list"]).ends(6).says("could not be reached");
    assert!(!answer.err.contains(SECRET), "{}", answer.err);
    world.write("project/secret-id", "id\n");
    world.write(
        "project/cred.toml",
        &profile("{ app_role = { role_id = \"r\", secret_id = { file = \"secret-id\" } } }"),
    );
    fs::set_permissions(world.path("project/secret-id"), fs::Permissions::from_mode(0o644)).unwrap();
    world.run(&["list"]).ends(3).says("chmod 600");
    fs::set_permissions(world.path("project/secret-id"), fs::Permissions::from_mode(0o600)).unwrap();
    world.run(&["list"]).ends(6);
    world.write("project/cred.toml", &profile("{ kerberos = {} }"));
    world.run(&["list"]).ends(3).says("must be one of token, app_role");
}
