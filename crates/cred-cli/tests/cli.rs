//! Tests of the program on local files, as users and scripts run it.
#![cfg(all(unix, feature = "local"))]
#![cfg(test)]

#[path = "cli/broken.rs"]
mod broken;
#[path = "cli/canary.rs"]
mod canary;
#[path = "cli/completing.rs"]
mod completing;
#[path = "cli/config.rs"]
mod config;
#[path = "cli/ending.rs"]
mod ending;
#[path = "cli/files.rs"]
mod files;
#[path = "cli/health.rs"]
mod health;
#[path = "cli/keys.rs"]
mod keys;
#[path = "cli/machine.rs"]
mod machine;
#[path = "cli/moving.rs"]
mod moving;
#[path = "cli/pseudo_terminal.rs"]
mod pseudo_terminal;
#[path = "cli/recovering.rs"]
mod recovering;
#[path = "cli/running.rs"]
mod running;
#[path = "cli/terminal.rs"]
mod terminal;
#[path = "cli/trust.rs"]
mod trust;
#[path = "cli/values.rs"]
mod values;
#[path = "cli/variables.rs"]
mod variables;
#[path = "cli/world.rs"]
mod world;
