//! Eight processes on the same ids: the history must be linearizable, and no call waits long.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use cred_core::{CredentialPath, StorageProvider as _};
use cred_store_local::LocalStorageProvider;
use rustix::time::{ClockId, clock_gettime};

use crate::linear::{Outcome, Record, violation};
use crate::sized;
use crate::worker::{Process, context, open, read_versioned, report, runtime, store, store_if};

const PROCESSES: usize = 8;
/// Threads per process, which share one provider.
const THREADS: u64 = 2;
const PATHS: [&str; 8] = [
    "key",
    "KEY",
    "org:a/key",
    "org:a/other",
    "org:a/team:b/key",
    "org:b/key",
    "org:b/team:b/key",
    "org:c/team:d/key",
];

#[test]
fn the_history_of_eight_processes_is_linearizable() {
    let seconds = sized(3, 60);
    let wanted = sized(1_600, 100_000);
    let folder = tempfile::tempdir().unwrap();
    let base = folder.path().join("base");
    let seconds_text = seconds.to_string();
    // A busy machine takes longer to make this many calls, which is not under test.
    let least = (wanted as u64).div_ceil(PROCESSES as u64 * THREADS).to_string();
    let start = |client: usize| {
        let (client, out) = (client.to_string(), folder.path().join(format!("history-{client}")));
        let more = [
            ("CRED_FIRE_CLIENT", &*client),
            ("CRED_FIRE_SECONDS", &*seconds_text),
            ("CRED_FIRE_LEAST", &*least),
            ("CRED_FIRE_OUT", out.to_str().unwrap()),
        ];
        Process::start("client", &base, &more)
    };
    let clients: Vec<_> = (0..PROCESSES).map(start).collect();
    for client in clients {
        std::thread::sleep(Duration::from_millis(10));
        client.expect("ready");
        while let Some(word) = client.next() {
            assert!(word == "working" || word == "end", "{word}");
        }
        let (_, stderr) = client.wait();
        assert!(!stderr.contains("panicked"), "{stderr}");
    }

    let mut histories: BTreeMap<String, Vec<Record>> = BTreeMap::new();
    let mut waits: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
    for client in 0..PROCESSES {
        let text = std::fs::read_to_string(folder.path().join(format!("history-{client}"))).unwrap();
        for line in text.lines() {
            let (path, record) = parse_line(line);
            waits.entry(kind(record.outcome)).or_default().push(record.ended - record.began);
            histories.entry(path.to_owned()).or_default().push(record);
        }
    }
    let calls: usize = histories.values().map(Vec::len).sum();
    for (path, history) in &histories {
        assert_eq!(violation(history).map(|record| format!("{record:?}")), None, "{path}");
    }
    assert_eq!(histories.len(), PATHS.len());
    assert!(calls >= wanted, "only {calls} calls");
    println!(
        "register: {PROCESSES} processes of {THREADS} threads, {seconds} s, {calls} calls, 0 violations; latency in milliseconds:"
    );
    for (kind, times) in &mut waits {
        times.sort_unstable();
        let at = |part: usize| {
            Duration::from_nanos(times[(times.len() - 1) * part / 1_000]).as_secs_f64() * 1_000.0
        };
        println!(
            "  {kind}: {} calls, half within {:.2}, 99% within {:.2}, worst {:.1}",
            times.len(),
            at(500),
            at(990),
            at(1_000)
        );
    }
}

fn kind(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Read(_) => "reads",
        Outcome::Store(_) | Outcome::Delete | Outcome::Swapped { .. } | Outcome::Conflict { .. } => "writes",
    }
}

/// The `client` role: a few threads make random calls with one provider, and record the times of
/// each call until the end.
pub(crate) fn client() {
    let setting = |name: &str| std::env::var(name).expect("another test starts this one");
    let base = setting("CRED_FIRE_BASE");
    let client: u64 = setting("CRED_FIRE_CLIENT").parse().unwrap();
    let seconds: u64 = setting("CRED_FIRE_SECONDS").parse().unwrap();
    let least: u64 = setting("CRED_FIRE_LEAST").parse().unwrap();
    let provider = open(Path::new(&base));
    runtime().block_on(provider.connect()).unwrap();
    report("ready");
    let end = now() + seconds * 1_000_000_000;
    let histories = std::thread::scope(|scope| {
        let thread = |thread: u64| {
            let (provider, first) = (provider.clone(), (client * THREADS + thread) * 100_000_000);
            scope.spawn(move || runtime().block_on(calls(&provider, first, end, least)))
        };
        let threads: Vec<_> = (0..THREADS).map(thread).collect();
        while threads.iter().any(|thread| !thread.is_finished()) {
            std::thread::sleep(Duration::from_millis(100));
            report("working");
        }
        threads.into_iter().map(|thread| thread.join().unwrap()).collect::<String>()
    });
    std::fs::write(setting("CRED_FIRE_OUT"), histories).unwrap();
    report("end");
}

/// Makes calls until `end`, and at least `least` calls.
async fn calls(provider: &LocalStorageProvider, first: u64, end: u64, least: u64) -> String {
    let paths: Vec<CredentialPath> = PATHS.iter().map(|path| path.parse().unwrap()).collect();
    let mut history = String::new();
    // The value and revision of each path when it was last read.
    let mut known = vec![None; paths.len()];
    let mut number = first;
    while now() < end || number < first + least {
        number += 1;
        let at = fastrand::usize(..paths.len());
        let path = &paths[at];
        let began = now();
        let outcome = match fastrand::u8(..100) {
            0..70 => {
                let found = read_versioned(provider, path).await.unwrap();
                known[at].clone_from(&found);
                format!("read {}", value_text(found.map(|(number, _)| number)))
            }
            70..82 => {
                store(provider, path, number).await.unwrap();
                format!("store {number}")
            }
            82..95 => {
                let expected = known[at].clone();
                let revision = expected.as_ref().map(|(_, revision)| revision);
                let word = match store_if(provider, path, number, revision).await.unwrap() {
                    true => "swapped",
                    false => "conflict",
                };
                format!("{word} {} {number}", value_text(expected.as_ref().map(|(number, _)| *number)))
            }
            _ => {
                provider.delete(&path.id, &context(path)).await.unwrap();
                "delete".to_owned()
            }
        };
        writeln!(history, "{began} {} {path} {outcome}", now()).unwrap();
    }
    history
}

fn value_text(value: Option<u64>) -> String {
    value.map_or_else(|| "nothing".to_owned(), |number| number.to_string())
}

/// Nanoseconds of the clock that all processes of the machine share.
fn now() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    u64::try_from(time.tv_sec).unwrap() * 1_000_000_000 + u64::try_from(time.tv_nsec).unwrap()
}

fn parse_line(line: &str) -> (&str, Record) {
    let words: Vec<_> = line.split(' ').collect();
    let value = |at: usize| words[at].parse::<u64>().ok();
    let outcome = match words[3] {
        "read" => Outcome::Read(value(4)),
        "store" => Outcome::Store(value(4).unwrap()),
        "delete" => Outcome::Delete,
        "swapped" => Outcome::Swapped { expected: value(4), new: value(5).unwrap() },
        "conflict" => Outcome::Conflict { expected: value(4) },
        other => panic!("unknown call {other}"),
    };
    (words[2], Record { began: words[0].parse().unwrap(), ended: words[1].parse().unwrap(), outcome })
}
