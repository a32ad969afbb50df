//! What a test may do to a running control plane.

use reqwest::Method;
use rustix::process::Signal;
use serde_json::json;

use super::Cluster;
use super::component::Component;
use crate::http;

impl Cluster {
    /// Kills the API server. What it stored stays in etcd.
    ///
    /// # Panics
    /// When another thread failed while it held the programs.
    pub fn stop_api_server(&self) {
        self.components.lock().unwrap().api_server.kill();
    }

    /// Starts the API server again and waits until it is ready.
    ///
    /// # Panics
    /// When it does not become ready.
    pub async fn start_api_server(&self) {
        self.components.lock().unwrap().api_server.run();
        self.ready().await;
    }

    /// Halts the API server where it is: connections stay open and nothing answers.
    ///
    /// # Panics
    /// When it does not run.
    pub fn pause_api_server(&self) {
        self.components.lock().unwrap().api_server.signal(Signal::STOP);
    }

    /// Lets the API server go on.
    ///
    /// # Panics
    /// When it does not run.
    pub fn resume_api_server(&self) {
        self.components.lock().unwrap().api_server.signal(Signal::CONT);
    }

    /// Stops the scheduler and the controller manager: nothing is bound, collected or evicted any more.
    ///
    /// # Panics
    /// When another thread failed while it held the programs.
    pub fn stop_controllers(&self) {
        let mut components = self.components.lock().unwrap();
        let components = &mut *components;
        components.scheduler.iter_mut().chain(&mut components.controller_manager).for_each(Component::kill);
    }

    /// Starts the scheduler and the controller manager again.
    ///
    /// # Panics
    /// When one cannot be started.
    pub fn start_controllers(&self) {
        let mut components = self.components.lock().unwrap();
        let components = &mut *components;
        components.scheduler.iter_mut().chain(&mut components.controller_manager).for_each(Component::run);
    }

    /// Makes etcd forget every revision but the latest, as it does every five minutes in a real cluster. Gives that revision.
    ///
    /// # Panics
    /// When etcd refuses.
    pub async fn compact_etcd(&self) -> u64 {
        let layout = &self.shared.layout;
        let url = |call: &str| format!("http://{}:{}/v3/kv/{call}", layout.address, layout.etcd);
        // A key of one zero byte: nobody has it.
        let range = http::json(Method::POST, &url("range"), &json!({"key": "AA=="})).await.ok();
        let revision = range["header"]["revision"].as_str().expect("a revision").to_owned();
        let compaction = json!({"revision": revision, "physical": true});
        http::json(Method::POST, &url("compaction"), &compaction).await.ok();
        revision.parse().expect("a number")
    }
}
