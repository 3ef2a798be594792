//! cred beside its peers: `cargo run --release --manifest-path benches/peers/Cargo.toml`.

mod caches;

fn main() {
    cred_benches::ratio::head();
    caches::run();
}
