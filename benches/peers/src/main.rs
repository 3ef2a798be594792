//! Compares cred with its peers: `cargo run --release --manifest-path benches/peers/Cargo.toml`.

mod caches;
mod files;

fn main() {
    cred_benches::ratio::head();
    caches::run();
    files::run();
}
