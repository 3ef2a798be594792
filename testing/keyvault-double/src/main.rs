//! Runs a double until it is killed:
//! `cargo run -p cred-keyvault-double -- --port 8443 --ca-file ca.pem`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use cred_keyvault_double::{Double, Settings};

const USAGE: &str = "usage: cred-keyvault-double [--port PORT] [--ca-file FILE] [--host NAME] [--tenant-id GUID] \
                     [--client-id GUID] [--deletion-ms N] [--recovery-ms N] [--purge-ms N] [--purge-protection]\n\
                     The environment variable KEYVAULT_DOUBLE_CLIENT_SECRET sets the client secret, because other users \
                     of the machine can read arguments.";

#[tokio::main]
#[expect(clippy::print_stderr, reason = "a program reports its error")]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::print_stdout, reason = "a program reports its address")]
async fn run() -> Result<(), Box<dyn std::error::Error>> {
    let (settings, ca_file) = settings(std::env::args().skip(1))?;
    let mut double = Double::start(settings).await?;
    if let Some(file) = ca_file {
        std::fs::write(&file, double.authority_pem())?;
    }
    println!("a test double of Azure Key Vault listens at {}", double.url());
    double.ended().await;
    Ok(())
}

fn settings(
    mut words: impl Iterator<Item = String>,
) -> Result<(Settings, Option<PathBuf>), Box<dyn std::error::Error>> {
    let mut settings = Settings::default();
    let mut ca_file = None;
    if let Ok(secret) = std::env::var("KEYVAULT_DOUBLE_CLIENT_SECRET") {
        settings.client_secret = secret;
    }
    while let Some(word) = words.next() {
        if word == "--purge-protection" {
            settings.purge_protection = true;
            continue;
        }
        let value = words.next().ok_or(USAGE)?;
        let millis = || value.parse().map(Duration::from_millis);
        match word.as_str() {
            "--port" => settings.port = value.parse()?,
            "--ca-file" => ca_file = Some(PathBuf::from(value)),
            "--host" => settings.hosts.push(value),
            "--tenant-id" => settings.tenant_id = value,
            "--client-id" => settings.client_id = value,
            "--deletion-ms" => settings.deletion = millis()?,
            "--recovery-ms" => settings.recovery = millis()?,
            "--purge-ms" => settings.purge = millis()?,
            _ => return Err(USAGE.into()),
        }
    }
    Ok((settings, ca_file))
}
