//! The operator's program.

use std::process::ExitCode;

use clap::Parser as _;
use operator::config::Config;
use operator::run::{self, RunError};

fn main() -> ExitCode {
    let config = match Config::try_parse() {
        Ok(config) => config,
        Err(error) => {
            let _closed = error.print();
            return if error.use_stderr() {
                ExitCode::from(run::BAD_CONFIGURATION)
            } else {
                ExitCode::SUCCESS
            };
        }
    };
    run::log(config.log_format);
    match run::run(config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error}");
            ExitCode::from(if matches!(error, RunError::Configuration(_)) {
                run::BAD_CONFIGURATION
            } else {
                run::FAILED
            })
        }
    }
}
