//! One WhatsApp connection per process: configuration → lock → store → session task → HTTP → stop, drained.
//!
//! Exit codes: 0 stopped gracefully, 1 failed, 64 bad configuration, 75 the data directory belongs to another process.

use std::process::ExitCode;

use rustix::fs::Mode;
use tracing_subscriber::EnvFilter;

mod app;
mod config;
mod disk;
mod http;
mod lock;
mod metrics;
mod random;
mod session;
mod signals;
mod store;
mod whatsapp;

/// Exit code of a bad configuration.
const EXIT_CONFIG: u8 = 64;

fn main() -> ExitCode {
    // Whatever the process writes holds credentials or messages: nobody else reads it.
    rustix::process::umask(Mode::from_raw_mode(0o077));
    let config = match config::parse(std::env::args_os()) {
        Ok(config) => config,
        Err(error) => {
            // Help and version are no failures; both go where clap sends them.
            let _printed = error.print();
            return if error.use_stderr() { EXIT_CONFIG.into() } else { ExitCode::SUCCESS };
        }
    };
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(&config.log))
        .with_writer(std::io::stderr)
        .with_ansi(false)
        // Whoever reads our log may die before us: a line that cannot be written is dropped, and never a panic.
        .log_internal_errors(false)
        .init();
    std::panic::set_hook(Box::new(signals::end_on_panic));
    let directory = match lock::lock(&config.data_dir) {
        Ok(lock) => lock,
        Err(error) => {
            tracing::error!(%error, "cannot start");
            let held = matches!(error, lock::LockError::Held { .. });
            return if held { lock::EXIT_LOCKED.into() } else { EXIT_CONFIG.into() };
        }
    };
    let stdin = config.exit_on_stdin_eof;
    let parts = match app::read(config) {
        Ok(parts) => parts,
        Err(error) => {
            tracing::error!(%error, "cannot start");
            return EXIT_CONFIG.into();
        }
    };
    let result = run(parts, stdin);
    drop(directory);
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error = format!("{error:#}"), "failed");
            ExitCode::FAILURE
        }
    }
}

/// One thread runs everything; a few more come and go for the store.
fn run(parts: app::Parts, stdin: bool) -> anyhow::Result<()> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(4).build()?;
    let result = runtime.block_on(async {
        let stop = signals::watch(stdin)?;
        app::run(parts, stop).await
    });
    runtime.shutdown_background();
    result
}
