//! An HTTP service that keeps the credentials of its tenants in the backend that `cred.toml` names.
//! Usage: `service [FILE]`. The variable `LISTEN` sets the address.

mod api;
mod failure;
mod rotation;

use std::env;
use std::time::Duration;

use metrics_exporter_prometheus::PrometheusBuilder;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// How long a value that another process has replaced may still be used.
const CACHE_TTL: Duration = Duration::from_secs(60);
/// How long requests may run on after a signal. Kubernetes kills a process after 30 s.
const GRACE: Duration = Duration::from_secs(10);

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    tracing_subscriber::fmt::init();
    // Before the manager, which describes its metrics to the installed recorder.
    let metrics = PrometheusBuilder::new().install_recorder()?;
    let file = env::args_os().nth(1).unwrap_or_else(|| "cred.toml".into());
    let manager = cred::configure(file, None).await?.cache_ttl(CACHE_TTL).build();

    let signals = [signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?];
    let listener = TcpListener::bind(env::var("LISTEN").as_deref().unwrap_or("127.0.0.1:8080")).await?;
    tracing::info!(address = %listener.local_addr()?, "listening");

    let stop = CancellationToken::new();
    let mut tasks = JoinSet::new();
    tasks.spawn(rotation::run(manager.clone(), stop.clone()));
    tasks.spawn(stop_on(signals, stop.clone()));

    let server = axum::serve(listener, api::router(manager.clone(), metrics))
        .with_graceful_shutdown(stop.clone().cancelled_owned());
    tokio::select! {
        ended = server.into_future() => ended?,
        () = async { stop.cancelled().await; tokio::time::sleep(GRACE).await } => {
            tracing::warn!("some requests did not end in time");
        }
    }
    while tasks.join_next().await.is_some() {}
    // Last, since it completes the writes that have begun and refuses all further operations.
    manager.shutdown().await?;
    tracing::info!("stopped");
    Ok(())
}

async fn stop_on([mut terminate, mut interrupt]: [Signal; 2], stop: CancellationToken) {
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::info!("stopping");
    stop.cancel();
}
