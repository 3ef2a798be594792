//! A durable store compared with SQLite.

use std::path::Path;

use cred_benches::cache::timed;
use cred_benches::files::Files;
use cred_benches::ratio::compare;
use rusqlite::{Connection, params};

/// One row per credential. Each store is its own transaction, with SQLite's default journal and
/// full sync.
fn database(folder: &Path) -> Connection {
    let connection = Connection::open(folder.join("peer.sqlite")).unwrap();
    connection.execute_batch("PRAGMA journal_mode = DELETE; PRAGMA synchronous = FULL;").unwrap();
    connection
        .execute_batch("CREATE TABLE credentials (path TEXT PRIMARY KEY, sealed BLOB NOT NULL);")
        .unwrap();
    connection
}

pub fn run() {
    let folder = tempfile::tempdir().unwrap();
    let files = Files::new(folder.path());
    let connection = database(folder.path());
    let mut statement = connection.prepare("INSERT OR REPLACE INTO credentials VALUES (?1, ?2)").unwrap();
    // Runs on the calling thread. A service would need a blocking thread, so this favours SQLite.
    let mut by_sqlite = || assert_eq!(statement.execute(params!["stripe-api-key", files.bytes]).unwrap(), 1);
    compare(
        "durable store 1 KiB / SQLite, journal DELETE, synchronous FULL",
        0.6,
        600,
        || timed(|| files.store()),
        || timed(&mut by_sqlite),
    );
    // The floor for any store that syncs the file before the rename and the directory after it.
    compare(
        "the bare safe protocol / SQLite, the same",
        0.6,
        600,
        || timed(|| files.bare_store()),
        || timed(&mut by_sqlite),
    );
}
