use super::*;

fn values(text: &str) -> Vec<(String, String)> {
    let assignments = read(text.as_bytes()).unwrap_or_else(|failure| panic!("{text:?}: {failure}"));
    assignments.into_iter().map(|one| (one.name, one.value.to_string())).collect()
}

#[track_caller]
fn refused(text: &str, line: usize) {
    let Err(failure) = read(text.as_bytes()) else { panic!("{text:?} is accepted") };
    let message = failure.to_string();
    assert!(message.starts_with(&format!("line {line} of the ")), "{text:?}: {message}");
    let whole = format!("{message} {:?} {:?}", failure.hint_text(), failure.causes());
    assert!(!whole.contains("hunter2"), "{whole}");
    assert!(failure.hint_text().is_some(), "{text:?}: {message}");
}

#[test]
fn a_written_value_is_read_back_unchanged() {
    for value in [
        "",
        "plain",
        "with space",
        "it's",
        "a\"b",
        "$HOME",
        "line\nline",
        "back\\slash",
        "=\\=",
        "# no comment",
        "ü",
        "`touch x`",
        r#"{"key":"-----BEGIN\nAA\n-----END\n"}"#,
        "it's C:\\Data\u{2028}\u{a0}",
    ] {
        let mut text = Zeroizing::new(Vec::new());
        write("NAME", value, &mut text).unwrap();
        assert_eq!(text.len(), len("NAME", value), "{value:?}");
        assert_eq!(values(std::str::from_utf8(&text).unwrap()), [("NAME".to_owned(), value.to_owned())]);
    }
}

#[test]
fn a_value_that_no_quotes_protect_is_rejected() {
    for value in [
        "a\rb",
        "a\r\nb",
        "${A}",
        "it's $5",
        "'$HOME'",
        "it's `x`",
        "it's \"x\"",
        "a\\\\b",
        "end\\",
        "it's \\n",
        "\0",
    ] {
        assert!(write("NAME", value, &mut Zeroizing::default()).is_err(), "{value:?}");
    }
}

#[test]
fn lines_that_all_readers_read_the_same_are_accepted() {
    let pair = |name: &str, value: &str| vec![(name.to_owned(), value.to_owned())];
    for (text, value) in [
        ("A=1", "1"),
        ("A=1\r\n", "1"),
        ("\u{feff}A=1\n", "1"),
        ("  export A=1  \n", "1"),
        ("A=\n", ""),
        ("A=''\n", ""),
        ("A= # note\n", ""),
        ("A=1 # don't $x\n", "1"),
        ("A='x # y' # note\n", "x # y"),
        ("A=https://h/?q=[1]*{2,3}!%^@+,-~ü", "https://h/?q=[1]*{2,3}!%^@+,-~ü"),
        ("A=[1,2]", "[1,2]"),
        ("A='{\"id\":\"a-1\"}'", "{\"id\":\"a-1\"}"),
        ("A='$B'", "$B"),
        ("A=\"it's\"", "it's"),
        ("A=\"C:\\Data\"", "C:\\Data"),
        (
            "A=\"-----BEGIN X-----\nab+/=\n-----END X-----\n\"\n",
            "-----BEGIN X-----\nab+/=\n-----END X-----\n",
        ),
    ] {
        assert_eq!(values(text), pair("A", value), "{text:?}");
    }
    assert_eq!(values("# it's $5\n\nA='1\n2'\r\n#\nB=2").len(), 2);
}

#[test]
fn lines_that_readers_read_differently_are_rejected_with_their_number() {
    for line in [
        "hunter2",
        "hunter2 hunter2",
        "A = hunter2",
        "A =hunter2",
        "A= hunter2",
        "2A=hunter2",
        "A-B=hunter2",
        "export  A=hunter2",
        "export\tA=hunter2",
        "\tA=hunter2",
        "A=hunter2\t",
        "A=two hunter2",
        "A={\"id\":\"hunter2\"}",
        "A=pa\"hunter2\"wd",
        "A=hunter2\\",
        "A=hunter2$",
        "A=`hunter2`",
        "A=hunter2#x",
        "A=#hunter2",
        "A=hunter2;x",
        "A=postgres://u:hunter2@h:5432/db?a=b&c=d",
        "A=~/hunter2",
        "A=hunter2:~/x",
        "export A=hunter2{a,b}",
        "A=hunter2\u{a0}",
        "A=hunter2\rB=1",
        "A=hunter2\r\r",
        "A='hunter2",
        "A='hunter2' x",
        "A='hunter2'#x",
        "A='hunter2'\"x\"",
        "A='hunter2\\'",
        "A='hunter2\\\\x'",
        "A='${hunter2}'",
        "A='hunter2\rx'",
        "A=\"hunter2$x\"",
        "A=\"hunter2\\n\"",
        "A=\"hunter2\\\"x\"",
        "A=\"hunter2`x`\"",
        "A=1 # \u{2028}B=hunter2",
        "# hunter2\rB=1",
        "   ",
        "  # hunter2",
    ] {
        refused(&format!("X=1\nY='2\n3'\n{line}\nZ=4\n"), 4);
        refused(&format!("\u{feff}X=1\r\n# x\r\n\r\n{line}"), 4);
    }
    refused("A='1\n2\n${hunter2}'", 3);
    let failure = read(b"A=1\nB=\xff").err().unwrap();
    assert!(failure.to_string().starts_with("line 2 "), "{failure}");
}

#[test]
fn the_hint_names_the_right_quotes() {
    for (text, hint) in [
        ("A={\"id\":1}", "in single quotes"),
        ("A=it's", "in double quotes"),
        ("A=it's\\n", "cred set --file"),
    ] {
        let failure = read(text.as_bytes()).err().unwrap();
        assert!(failure.hint_text().is_some_and(|text| text.contains(hint)), "{text}");
    }
}
