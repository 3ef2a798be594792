//! An HTTP service that keeps the credentials of its tenants in the backend that `cred.toml` names.
//! Usage: `service [FILE]`. The variable `LISTEN` sets the address.

mod api;
mod failure;
mod rotation;

use std::env;
use std::time::Duration;

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// How long a value that another process has replaced may still be used.
const CACHE_TTL: Duration = Duration::from_secs(60);

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
    tasks.spawn(watch(signals, metrics.clone(), stop.clone()));

    let server = axum::serve(listener, api::router(manager.clone(), metrics))
        .with_graceful_shutdown(stop.clone().cancelled_owned());
    tokio::select! {
        ended = server.into_future() => ended?,
        // Kubernetes kills a process 30 s after the signal.
        () = async { stop.cancelled().await; tokio::time::sleep(Duration::from_secs(10)).await } => {
            tracing::warn!("some requests did not end in time");
        }
    }
    while tasks.join_next().await.is_some() {}
    // Last, since it completes the writes that have begun and refuses all further operations.
    manager.shutdown().await?;
    tracing::info!("stopped");
    Ok(())
}

/// Waits for a signal. Meanwhile it drains samples, which accumulate if no client reads the
/// metrics.
async fn watch(
    [mut terminate, mut interrupt]: [Signal; 2],
    metrics: PrometheusHandle,
    stop: CancellationToken,
) {
    let mut upkeep = tokio::time::interval(Duration::from_secs(5));
    loop {
        tokio::select! {
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            _ = upkeep.tick() => metrics.run_upkeep(),
        }
    }
    tracing::info!("stopping");
    stop.cancel();
}
