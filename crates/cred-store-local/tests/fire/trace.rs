//! Parses the system calls that strace records.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The system calls that change files, and `write`, which also carries the reports of workers.
pub(crate) const CALLS: &str = "openat,mkdir,mkdirat,flock,write,pwrite64,ftruncate,fsync,fdatasync,rename,renameat,\
                                renameat2,unlink,unlinkat,linkat";

/// The command line of `strace` with additional arguments, recording to a file.
pub(crate) fn strace(record: &Path, calls: &str, more: &[String]) -> Vec<String> {
    let words = ["strace", "-f", "-y", "-s", "100000", "-o", record.to_str().unwrap(), "-e"];
    let mut words: Vec<_> = words.map(str::to_owned).into();
    words.push(format!("trace={calls}"));
    words.extend_from_slice(more);
    words
}

/// One call of one thread. Its times are line numbers of the record.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) thread: u32,
    pub(crate) name: String,
    pub(crate) arguments: Vec<String>,
    /// As strace writes it: `0`, `7</a/b>`, `-1 EIO (...)`. Empty if the thread was killed during
    /// the call.
    pub(crate) result: String,
    pub(crate) began: usize,
    pub(crate) ended: usize,
}

/// The effect of a call on files, or a report of a worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Effect {
    Directory(PathBuf),
    /// A new file.
    Created(PathBuf),
    Wrote(PathBuf, Vec<u8>),
    Synced(PathBuf),
    Renamed(PathBuf, PathBuf),
    Removed(PathBuf),
    Locked(PathBuf),
    Reported(String),
}

pub(crate) fn read(record: &Path) -> Vec<Call> {
    parse(&std::fs::read_to_string(record).unwrap())
}

fn parse(text: &str) -> Vec<Call> {
    let mut calls = Vec::new();
    let mut open: BTreeMap<u32, (usize, String)> = BTreeMap::new();
    for (line_number, line) in text.lines().enumerate() {
        let Some((thread, rest)) = line.split_once(' ') else { continue };
        let (thread, rest) = (thread.parse::<u32>().unwrap(), rest.trim_start());
        if let Some(start) = rest.strip_suffix("<unfinished ...>") {
            open.insert(thread, (line_number, start.trim_end().to_owned()));
        } else if let Some((_, end)) =
            rest.strip_prefix("<... ").and_then(|rest| rest.split_once(" resumed>"))
        {
            if let Some((began, start)) = open.remove(&thread) {
                calls.extend(call(thread, &format!("{start}{end}"), began, line_number));
            }
        } else {
            calls.extend(call(thread, rest, line_number, line_number));
        }
    }
    // Killed during the call, which may have taken effect or not.
    for (thread, (began, start)) in open {
        calls.extend(call(thread, &format!("{start}) = ?"), began, usize::MAX));
    }
    calls.sort_by_key(|call| call.ended);
    calls
}

/// Returns `None` for a signal or the end of a process.
fn call(thread: u32, text: &str, began: usize, ended: usize) -> Option<Call> {
    let (name, rest) = text.split_once('(')?;
    let (arguments, result) = rest.rsplit_once(" = ")?;
    let known = name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
    let arguments = split(arguments.trim_end().strip_suffix(')')?);
    known.then(|| Call {
        thread,
        name: name.to_owned(),
        arguments,
        result: result.trim_start_matches('?').to_owned(),
        began,
        ended,
    })
}

/// Splits at commas outside of quotes and brackets.
fn split(text: &str) -> Vec<String> {
    let (mut parts, mut quoted, mut escaped, mut depth) = (vec![String::new()], false, false, 0_u32);
    for letter in text.chars() {
        match letter {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            '<' | '{' | '[' if !quoted => depth += 1,
            '>' | '}' | ']' if !quoted => depth = depth.saturating_sub(1),
            ',' if !quoted && depth == 0 => {
                parts.push(String::new());
                continue;
            }
            _ => {}
        }
        parts.last_mut().unwrap().push(letter);
    }
    parts.iter().map(|part| part.trim().to_owned()).collect()
}

/// The bytes of a quoted string such as `"a\"b"`.
fn unquoted(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut letters =
        text.trim_start_matches('"').trim_end_matches("...").strip_suffix('"').unwrap().bytes().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            b'\\' => match letters.next().unwrap() {
                b'n' => bytes.push(b'\n'),
                b't' => bytes.push(b'\t'),
                b'r' => bytes.push(b'\r'),
                digit @ b'0'..=b'7' => {
                    let mut code = u32::from(digit - b'0');
                    while let Some(digit @ b'0'..=b'7') = letters.peek().copied() {
                        code = code * 8 + u32::from(digit - b'0');
                        letters.next();
                    }
                    bytes.push(u8::try_from(code).unwrap());
                }
                other => bytes.push(other),
            },
            other => bytes.push(other),
        }
    }
    bytes
}

/// The path in `5</a/b>`.
fn descriptor(text: &str) -> PathBuf {
    let path = text.split_once('<').map_or("", |(_, rest)| rest.strip_suffix('>').unwrap_or(rest));
    PathBuf::from(path.strip_suffix("(deleted)").unwrap_or(path).trim_end())
}

impl Call {
    /// The same call, moved this many lines later.
    pub(crate) fn later(mut self, lines: usize) -> Self {
        (self.began, self.ended) = (self.began + lines, self.ended.saturating_add(lines));
        self
    }

    pub(crate) fn succeeded(&self) -> bool {
        !self.result.is_empty() && !self.result.starts_with('-')
    }

    fn at(&self, directory: usize, name: usize) -> PathBuf {
        let name = String::from_utf8(unquoted(&self.arguments[name])).unwrap();
        descriptor(&self.arguments[directory]).join(name)
    }

    /// The path, the flags and the mode of a call that creates a file.
    pub(crate) fn creation(&self) -> Option<(PathBuf, &str, &str)> {
        let creates = self.name == "openat" && self.arguments[2].contains("O_CREAT");
        creates.then(|| (self.at(0, 1), &*self.arguments[2], &*self.arguments[3]))
    }

    /// Returns `None` if the call failed or changed nothing.
    pub(crate) fn effect(&self) -> Option<Effect> {
        if !self.succeeded() {
            return None;
        }
        let arguments = &self.arguments;
        let named = |at: usize| PathBuf::from(String::from_utf8(unquoted(&arguments[at])).unwrap());
        match self.name.as_str() {
            "openat" => self.creation().map(|(path, ..)| Effect::Created(path)),
            "mkdirat" => Some(Effect::Directory(self.at(0, 1))),
            "mkdir" => Some(Effect::Directory(named(0))),
            "write" => {
                let path = descriptor(&arguments[0]);
                let length: usize = self.result.split(' ').next().unwrap().parse().unwrap();
                let mut bytes = unquoted(&arguments[1]);
                bytes.truncate(length);
                match String::from_utf8_lossy(&bytes).split_once('@') {
                    Some((_, word)) if path.starts_with("pipe:") || !path.is_absolute() => {
                        Some(Effect::Reported(word.trim_end().to_owned()))
                    }
                    _ => path.is_absolute().then_some(Effect::Wrote(path, bytes)),
                }
            }
            "fsync" | "fdatasync" => Some(Effect::Synced(descriptor(&arguments[0]))),
            "flock" => Some(Effect::Locked(descriptor(&arguments[0]))),
            "renameat" | "renameat2" => Some(Effect::Renamed(self.at(0, 1), self.at(2, 3))),
            "rename" => Some(Effect::Renamed(named(0), named(1))),
            "unlinkat" => Some(Effect::Removed(self.at(0, 1))),
            "unlink" => Some(Effect::Removed(named(0))),
            other => panic!("unexpected system call {other}"),
        }
    }
}

#[test]
fn a_strace_record_is_parsed() {
    let text = "\
7 openat(5</b/.tmp>, \"00aa\", O_WRONLY|O_CREAT|O_EXCL, 0600) = 6</b/.tmp/00aa>
7 write(6</b/.tmp/00aa>, \"{\\\"a\\\":\\\"b, c\\\"}\\n\", 14 <unfinished ...>
8 write(1<pipe:[9]>, \"test w ... @ok\\n\", 14) = 14
7 <... write resumed>) = 13
7 fsync(6</b/.tmp/00aa>) = -1 EIO (Input/output error) (INJECTED)
7 renameat(5</b/.tmp>, \"00aa\", 4</b>, \"key\") = 0
7 --- SIGCHLD {si_signo=SIGCHLD} ---
7 fsync(4</b>
7 +++ killed by SIGKILL +++
";
    let effects: Vec<_> = parse(text).iter().map(Call::effect).collect();
    let expected = [
        Some(Effect::Created("/b/.tmp/00aa".into())),
        Some(Effect::Reported("ok".into())),
        Some(Effect::Wrote("/b/.tmp/00aa".into(), b"{\"a\":\"b, c\"}\n".to_vec())),
        None,
        Some(Effect::Renamed("/b/.tmp/00aa".into(), "/b/key".into())),
    ];
    assert_eq!(effects, expected);
}
