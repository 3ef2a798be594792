//! Every lint is silent on a clean tree, and finds a sample that is put into it.

use super::*;

const MANIFEST: &str = "[package]\nname = \"cred-store-x\"\ndescription = \"A\"\n\
    rust-version.workspace = true\n[package.metadata.docs.rs]\nall-features = true\n\
    [lints]\nworkspace = true\n";

const UNPUBLISHED: &str = "[package]\nname = \"double\"\ndescription = \"A\"\nrust-version = \"1.85\"\n\
    publish = false\n[lints]\nworkspace = true\n";

const LIB: &str = "//! Not in code: fn main() {}\n/// ```no_run\n/// ignore\nmod a; // not fn a()\n\
    #[cfg(doctest)]\n#[doc = include_str!(\"../README.md\")]\nstruct Readme;\n";

const README: &str = "```rust,no_run\nlet a = 1;\n```\n\
    ```sh\n\
    cargo xtask ci\n\
    cargo xtask servers run vault -- sh -c x\n\
    A=x cargo xtask quickstart # a comment\n\
    cargo add cred-manager\n\
    vault server -dev\n\
    # cargo xtask nothing\n\
    ```\n\
    ```console\n$ cargo xtask test \\\n  cred-core\ncargo xtask output\n```\n\
    ```toml\ncargo xtask toml\n```\ncargo xtask text\n";

const SERVER: &str =
    "suite!(#[ignore = \"needs a real server: cargo xtask test-integration vault (with vault-tls)\"] x())";

/// A tree that breaks no rule, and comes close to breaking some.
fn clean() -> Tree {
    let files = [
        ("README.md", README.to_owned()),
        ("docs/testing.md", SERVER.to_owned()),
        ("crates/cred-store-x/Cargo.toml", MANIFEST.to_owned()),
        ("crates/cred-store-x/README.md", README.to_owned()),
        ("crates/cred-store-x/src/lib.rs", "//! fn\n".repeat(200) + LIB + &"mod b;\n".repeat(74)),
        ("crates/cred-store-x/src/config.rs", "fn a() {}\n".repeat(600)),
        ("crates/cred-store-x/src/client/mod.rs", String::new()),
        ("crates/cred-store-x/src/provider.rs", "#[ignore = \"needs a moon\"]".to_owned()),
        ("crates/cred-store-x/src/error.rs", String::new()),
        ("crates/cred-store-x/tests/integration/tls.rs", SERVER.to_owned()),
        ("crates/cred-store-x/tests/order.rs", "fn in_order() {}\nclause!(reads_too);\n".repeat(601)),
        ("testing/double/Cargo.toml", UNPUBLISHED.to_owned()),
        ("testing/double/README.md", "# No example\n".to_owned()),
        ("testing/double/src/lib.rs", LIB.to_owned()),
        (
            "docs/architecture.md",
            format!(
                "`testing` test: this, `test: {0}::in_order`,\n`test: {0}::reads_too`",
                "crates/cred-store-x/tests/order.rs"
            ),
        ),
    ];
    Tree(files.into_iter().map(|(path, text)| (path.to_owned(), text)).collect())
}

#[test]
fn code_and_marked_lines_are_not_prose() {
    let wide = "x".repeat(101);
    // not prose: samples
    for text in [
        "fn told() { nobody(\"{}\") }".to_owned(),
        "/// `told` and `it is none of them`".to_owned(),
        "/// ```\n/// // told anew\n/// ```".to_owned(),
        "// It is\n\n// none.".to_owned(),
        "// # What it does\n//\n// It stores values.".to_owned(),
        "// A `wrapped\n// told` span.".to_owned(),
        "// not prose: quotes a server\n// told anew\nlet a = \"nobody\";".to_owned(),
        format!("let a = \"{wide}\";\n// https://{wide}\n/// | {wide} |"),
    ] {
        let mut tree = clean();
        tree.0.insert("crates/cred-store-x/src/a.rs".to_owned(), text.clone());
        assert_eq!(findings(&tree), Vec::<String>::new(), "{text}");
    }
}

#[test]
fn a_habit_may_be_as_frequent_as_elsewhere() {
    let mut tree = clean();
    let mut found = |hits: usize| {
        let text = format!("| {}{}", "word ".repeat(18_000), ["to", "ld "].concat().repeat(hits));
        tree.0.insert("docs/a.md".to_owned(), text);
        findings(&tree).len()
    };
    assert_eq!((found(1), found(4)), (0, 4));
}

#[test]
fn a_clean_tree_passes() {
    assert_eq!(findings(&clean()), Vec::<String>::new());
}

#[test]
fn each_lint_finds_a_file_that_is_missing() {
    for (path, message) in [
        ("crates/cred-store-x/Cargo.toml", "no Cargo.toml"),
        ("crates/cred-store-x/README.md", "no README.md"),
        ("testing/double/README.md", "no README.md"),
        ("crates/cred-store-x/src/client/mod.rs", "no module `client`"),
        ("crates/cred-store-x/src/error.rs", "no module `error`"),
        ("crates/cred-store-x/tests/order.rs", "does not exist"),
    ] {
        let mut tree = clean();
        tree.0.remove(path);
        let found = findings(&tree);
        assert!(!found.is_empty() && found.iter().any(|one| one.contains(message)), "{path}: {found:?}");
    }
}

#[test]
fn each_lint_finds_its_sample() {
    let lines = |line: &str, count| line.repeat(count);
    let command = |command: &str| format!("```sh\n{command}\n```\n");
    let guard = |guard: &str| format!("\n`test: {guard}`");
    let file = "crates/cred-store-x/tests/order.rs";
    let [lib, source] = ["lib", "a"].map(|name| format!("crates/cred-store-x/src/{name}.rs"));
    let [manifest, architecture] = ["crates/cred-store-x/Cargo.toml", "docs/architecture.md"];
    // not prose: samples
    for (path, text, message) in [
        (&*lib, LIB.to_owned() + &lines("mod a;\n", 75), "81 lines without the docs"),
        (&lib, LIB.to_owned() + "pub async fn a() {}", ":8: a function in lib.rs"),
        (&lib, LIB.replace("README", "readme"), "no `#[doc = include_str!"),
        (&source, lines("\n", 601), "601 lines, more than 600"),
        ("crates/cred-store-x/src/utils.rs", String::new(), "name the module"),
        ("crates/cred-store-x/tests/common/mod.rs", String::new(), "name the module"),
        (&source, SERVER.to_owned(), ":1: a test that needs a real server only runs"),
        (
            "examples/provider-redis/tests/b.rs",
            SERVER.to_owned(),
            ":1: a test that needs a real server only runs",
        ),
        (&source, "#[ignore = \"needs a real server: valt\"]".to_owned(), ":1: `needs a real server: valt`"),
        ("crates/new/README.md", String::new(), "no Cargo.toml"),
        (manifest, MANIFEST.replace("description", "x"), "no `package.description`"),
        (manifest, MANIFEST.replace("rust-version", "x"), "no `package.rust-version`"),
        (manifest, MANIFEST.replace("docs.rs", "x"), "no `package.metadata.docs.rs`"),
        (manifest, MANIFEST.replace("lints", "x"), "no `lints.workspace`"),
        ("testing/double/Cargo.toml", UNPUBLISHED.replace("description", "x"), "no `package.description`"),
        ("crates/cred-store-x/README.md", "# x\n".to_owned(), "no example in Rust"),
        ("docs/a.md", command("cargo xtask nothing"), "`cargo xtask nothing`: xtask does not accept it"),
        ("docs/a.md", command("A=1 cargo xtask deps --nothing"), "xtask does not accept it"),
        (architecture, guard(&format!("{file}::in_ord")), ":2: the guard"),
        (architecture, guard(&format!("{file}::reads")), "`reads` does not occur"),
        (architecture, guard("crates/gone.rs::in_order"), "the file crates/gone.rs does not exist"),
        (&source, "// It is told\n//! to wait.".to_owned(), ":1: `told`: write report"),
        (&source, "// Nobody waits.".to_owned(), ":1: `Nobody`: write no process"),
        (&source, "//! What it has\n/// is read.".to_owned(), ":1: `What it has is read.`"),
        (&source, "fn a() {\n    b(\"it is\\\n        doubtful\");".to_owned(), ":3: `doubtful`"),
        (&source, "fn it_waits_its_turn() {}".to_owned(), ":1: `its turn`"),
        (&source, "// What it has\n// (see a) is read.".to_owned(), ":1: `What it has (see a) is read.`"),
        (&source, "fn what_it_has_is_read() {}".to_owned(), ":1: `What it has is read|`"),
        (&source, "// A `wrapped\n// span` is told.".to_owned(), ":2: `told`"),
        ("docs/a.md", "One of\ntheir own.".to_owned(), ":1: `of their own`"),
        ("crates/cred-store-x/a.toml", "a = 1 # made anew".to_owned(), ":1: `anew`"),
        (&source, format!("\n// {}", lines("ab ", 33)), ":2: 102 columns, more than 100"),
        ("docs/a.md", lines("ab ", 34), ":1: 102 columns, more than 100"),
        (architecture, guard("order"), "write it as"),
        (architecture, guard(&format!("{file}::")), "`` does not occur"),
    ] {
        let mut tree = clean();
        tree.0.insert(path.to_owned(), text);
        let found = findings(&tree);
        assert!(matches!(&*found, [one] if one.contains(message)), "{path}: {message}: {found:#?}");
    }
}
