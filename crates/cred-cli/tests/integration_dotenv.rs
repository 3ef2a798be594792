//! Compares `.env` files with other readers: sh, `node --env-file`, npm's dotenv and python-dotenv.
#![cfg(all(unix, feature = "local"))]
#![cfg(test)]

#[path = "cli/world.rs"]
#[allow(dead_code, reason = "these tests use a small part of it")]
mod world;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use base64ct::{Base64, Encoding as _};
use cred_testing::value::variable;
use fastrand::Rng;

use crate::world::World;

/// Names and values.
type Values = BTreeMap<String, String>;

/// Parts of values that some reader changes in some context.
const PARTS: [&str; 44] = [
    "'",
    "\"",
    "`",
    "\\",
    "\\\\",
    "\\n",
    "\\t",
    "\\'",
    "\\\"",
    "\\$",
    "$",
    "$A",
    "${A}",
    "${",
    "$(touch ran)",
    "`touch ran`",
    "\n",
    "\r",
    "\r\n",
    "\n\n",
    " ",
    "  ",
    "\t",
    "#",
    " # ",
    "=",
    "~",
    "~/",
    ":~",
    "!",
    "%",
    "&",
    ";",
    "*",
    "{a,b}",
    "[1,2]",
    "{\"a\":1}",
    "export A=1",
    "a",
    "B7",
    "ü",
    "\u{2028}",
    "\u{a0}",
    "\u{feff}",
];

fn value(random: &mut Rng) -> String {
    // With more parts, hardly any value could be quoted.
    (0..random.usize(0..7)).map(|_| random.choice(PARTS).unwrap()).collect()
}

/// A random generator. Prints the seed that repeats the test.
fn seeded() -> Rng {
    let seed =
        std::env::var("CRED_TEST_SEED").ok().map_or_else(|| fastrand::u64(..), |seed| seed.parse().unwrap());
    println!("to repeat this run: CRED_TEST_SEED={seed}");
    Rng::with_seed(seed)
}

/// The values that each reader finds in a file for these names.
fn readers(text: &[u8], names: &[&str]) -> BTreeMap<String, Values> {
    let address = variable("CRED_TEST_DOTENV_REFEREE_ADDR");
    let mut stream = TcpStream::connect(address.strip_prefix("http://").unwrap()).unwrap();
    let head = format!("POST /read?{} HTTP/1.0\r\nContent-Length: {}\r\n\r\n", names.join(","), text.len());
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(text).unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).unwrap();
    let (head, body) = response.split_once("\r\n\r\n").unwrap();
    assert!(head.lines().next().unwrap().contains(" 200 "), "{body}\n{}", String::from_utf8_lossy(text));
    let mut found: BTreeMap<String, Values> = serde_json::from_str(body).unwrap();
    for value in found.values_mut().flat_map(Values::values_mut) {
        *value = String::from_utf8(Base64::decode_vec(value).unwrap()).unwrap();
    }
    assert_eq!(found.len(), 5, "{:?}", found.keys());
    found
}

/// Asserts that all readers except `but` find exactly these values.
#[track_caller]
fn all_read(text: &[u8], names: &[&str], expected: &Values, but: &str) {
    for (reader, found) in readers(text, names).into_iter().filter(|(reader, _)| reader != but) {
        for name in names {
            let (expected, found) = (expected.get(*name), found.get(*name));
            assert_eq!(found, expected, "{reader} reads {name}\n{}", String::from_utf8_lossy(text));
        }
    }
}

#[test]
#[ignore = "needs a real server: cargo xtask test-integration dotenv"]
fn every_reader_reads_an_export_the_same() {
    let mut random = seeded();
    let mut expected: Values = (0..300).map(|number| (format!("V{number}"), value(&mut random))).collect();
    expected.retain(|_, value| !value.is_empty());
    expected.insert("LONG".to_owned(), "it's {long: [\n, 'x'".repeat(70_000));
    let total = expected.len();
    let world = World::new();
    world
        .run_with(
            &["import", "-", "--format", "json", "--scope", "t:x", "-q"],
            &serde_json::to_string(&expected).unwrap(),
        )
        .success();
    let export = ["export", "--scope", "t:x", "--format", "env"];
    // Values that .env cannot represent are reported, and removed here.
    let refusal = world.run(&export).exits_with(2).stderr_has("--format env cannot represent ").err;
    let (message, _) = refusal.split_once("hint").unwrap();
    let paths: Vec<&str> = message.split('`').filter(|part| part.starts_with("t:x/")).collect();
    world.run(&[&["rm", "--yes", "-q"], &paths[..]].concat()).success();
    for path in paths {
        expected.remove(path.strip_prefix("t:x/").unwrap()).unwrap();
    }
    let text = world.run(&export).success().out;
    println!("{} of {total} values can be represented", expected.len());
    assert!(expected.len() * 3 > total && expected.contains_key("LONG"), "most values are rejected");
    let names: Vec<&str> = expected.keys().map(String::as_str).collect();
    all_read(text.as_bytes(), &names, &expected, "");
    // And by `cred import`.
    world.run_with(&["import", "-", "--scope", "t:y", "-q"], &text).success();
    assert_eq!(flat(&world, "t:y"), expected);
}

fn flat(world: &World, scope: &str) -> Values {
    let output = world.run(&["export", "--scope", scope, "--format", "json-flat"]).success();
    serde_json::from_str(&output.out).unwrap()
}

/// A random entry of a file, valid or invalid.
fn entry(name: &str, random: &mut Rng) -> String {
    let begin = random.choice([
        "",
        "",
        "",
        "",
        "export ",
        "export  ",
        "  ",
        "\t",
        "# c\n",
        " \n",
        "\n",
        "# it's \"\n",
    ]);
    let equals = random.choice(["=", "=", "=", "=", "=", " = ", "= "]);
    let quote = random.choice(["", "'", "'", "\"", "\"", "`"]).unwrap();
    let end = random.choice([
        "\n",
        "\n",
        "\n",
        "\n",
        "\r\n",
        "  \n",
        " # it's\n",
        "# c\n",
        "\t# \"c\n",
        " \n\n",
        "\r",
    ]);
    format!("{}{name}{}{quote}{}{quote}{}", begin.unwrap(), equals.unwrap(), value(random), end.unwrap())
}

#[test]
#[ignore = "needs a real server: cargo xtask test-integration dotenv"]
fn import_accepts_only_what_every_reader_reads_the_same() {
    let mut random = seeded();
    let mut kept = 0;
    for round in 0..4 {
        let world = World::new();
        let mut entries: Vec<(String, String)> = (0..150)
            .map(|number| format!("V{number}"))
            .map(|name| (name.clone(), entry(&name, &mut random)))
            .collect();
        let import = ["import", "-", "--format", "env", "--scope", "t:x", "--json"];
        let (text, output) = loop {
            let text = entries.iter().fold(String::new(), |mut text, (_, entry)| {
                let _ = write!(text, "{entry}");
                text
            });
            let output = world.run_with(&import, &text);
            if output.code == 0 {
                break (text, output);
            }
            // Remove the entry of the rejected line, and try again.
            let message = output.exits_with(2).error()["error"].as_str().unwrap().to_owned();
            let line: usize = message.split(' ').nth(1).unwrap().parse().unwrap();
            let mut lines = 1;
            let rejected = entries.iter().position(|(_, entry)| {
                let first = lines;
                lines += entry.matches('\n').count();
                (first..=lines - usize::from(entry.ends_with('\n'))).contains(&line)
            });
            entries.remove(rejected.unwrap_or_else(|| panic!("no entry has line {line}: {message}\n{text}")));
        };
        let mut expected = if entries.is_empty() { Values::new() } else { flat(&world, "t:x") };
        for empty in output.json()["empty"].as_array().unwrap() {
            let name = empty.as_str().unwrap().strip_prefix("t:x/").unwrap();
            expected.insert(name.to_owned(), String::new());
        }
        kept += expected.len();
        println!("round {round}: {} of 150 lines are accepted", expected.len());
        let names: Vec<&str> = entries.iter().map(|(name, _)| name.as_str()).collect();
        // A shell accepts CR LF only after a conversion.
        all_read(text.as_bytes(), &names, &expected, "sh");
        all_read(text.replace("\r\n", "\n").as_bytes(), &names, &expected, "");
    }
    assert!(kept > 30, "most lines are rejected");
}
