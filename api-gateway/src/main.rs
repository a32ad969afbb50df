//! The gateway's program: settings, data directory or cluster, port, sessions, signal, end.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use anyhow::Context as _;
use api_gateway::app::{AppState, Shared, app};
use api_gateway::boot::parts::{Parts, Prepared};
use api_gateway::closing::Closing;
use api_gateway::config::{Config, ConfigError};
use api_gateway::health::Probe;
use api_gateway::metrics::Metrics;
use api_gateway::monitor::Monitor;
use api_gateway::pod_client::PodClient;
use api_gateway::{boot, serve, socketio};

/// Exit code for settings that cannot be used.
const BAD_CONFIGURATION: u8 = 64;

#[tokio::main]
async fn main() -> ExitCode {
    let config = match Config::read(std::env::args_os()) {
        Ok(config) => config,
        Err(ConfigError::CommandLine(error)) => {
            let _shown = error.print();
            return if error.use_stderr() { ExitCode::from(BAD_CONFIGURATION) } else { ExitCode::SUCCESS };
        }
        Err(error) => return boot::say_and_exit(&error.to_string(), BAD_CONFIGURATION),
    };
    if let Some(url) = &config.check {
        let checked = boot::check::check(url).await;
        return checked.map_or_else(|why| boot::say_and_exit(&why, 1), |()| ExitCode::SUCCESS);
    }
    boot::log(&config);
    boot::raise_file_limit();
    match run(config).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => boot::say_and_exit(&boot::whole(&error), boot::exit_code(&error)),
    }
}

async fn run(config: Config) -> anyhow::Result<()> {
    let mut signals = boot::StopSignals::listen()?;
    let prepared = Prepared::new(&config).await?;
    let metrics = Arc::new(Metrics::default());
    let probe = Probe::new(&config.data_dir).context("cannot read the machine's figures")?;
    let pods = PodClient::new().context("cannot make an HTTP client")?;
    let listener = boot::listen(config.listen).await?;
    let Parts { keys, settings, directory, board } = prepared.start(&config, &metrics)?;
    let (monitor, told) = Monitor::new(Arc::clone(&directory), pods.clone());
    let following = tokio::spawn(Arc::clone(&monitor).follow());
    let (started, origins, sessions) = (Instant::now(), config.origins, Arc::clone(&directory));
    let (ring, closing, patience) = (keys.clone(), Closing::default(), config.patience);
    let shared = Shared {
        keys,
        settings,
        board,
        directory,
        pods,
        monitor,
        metrics,
        probe,
        origins,
        started,
        closing: closing.clone(),
    };
    let (router, io) = app(AppState::new(shared));
    let speaking = tokio::spawn(socketio::speak(io.clone(), told));
    let revoking = tokio::spawn(socketio::revoke(io.clone(), ring));
    boot::announce(&listener, config.address_file.as_deref())?;
    serve::serve(listener, router, patience.grace, async {
        signals.next().await;
        closing.begin();
        tracing::info!(drain = ?patience.drain, "stopping: not ready any more, requests are still answered");
        // Who is told twice is in a hurry.
        let _hurried = tokio::time::timeout(patience.drain, signals.next()).await;
        // Its clients connect anew, elsewhere: from here on nobody is led to this one.
        io.close().await;
    })
    .await;
    sessions.shutdown().await;
    following.abort();
    speaking.abort();
    revoking.abort();
    Ok(())
}
