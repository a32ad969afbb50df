//! For tests: how to build a client whose WhatsApp cannot be reached.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::{EngineConfig, client_config};
use crate::metrics::Metrics;

/// A client of this data directory that dials an address on which nobody listens.
pub(crate) fn nowhere(data_dir: &Path, metrics: &Arc<Metrics>) -> EngineConfig {
    EngineConfig {
        data_dir: data_dir.to_owned(),
        url: "ws://127.0.0.1:9/ws/chat".parse().unwrap(),
        tls: client_config(None).unwrap(),
        proxy: None,
        no_proxy: String::new(),
        device_name: "test".into(),
        client_version: Some((2, 3000, 1)),
        auto_reply: Arc::new(AtomicBool::new(false)),
        metrics: Arc::clone(metrics),
    }
}
