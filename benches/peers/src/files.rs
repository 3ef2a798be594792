//! A durable store beside the embedded database that most would take.

use std::path::Path;

use cred_benches::cache::timed;
use cred_benches::files::Files;
use cred_benches::ratio::compare;
use rusqlite::{Connection, params};

/// One row per credential, each store a transaction of its own with the journal that SQLite has unless told otherwise,
/// synced in full.
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
    // Without the hop to another thread that a service would need: that is in SQLite's favour.
    let mut by_sqlite = || assert_eq!(statement.execute(params!["stripe-api-key", files.bytes]).unwrap(), 1);
    compare(
        "durable store 1 KiB / SQLite, journal DELETE, synchronous FULL",
        0.6,
        600,
        || timed(|| files.store()),
        || timed(&mut by_sqlite),
    );
    // What is left to any store that syncs a file before its rename and a directory after it.
    compare(
        "the bare safe protocol / SQLite, the same",
        0.6,
        600,
        || timed(|| files.bare_store()),
        || timed(&mut by_sqlite),
    );
}
