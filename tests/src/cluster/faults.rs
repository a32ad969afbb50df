//! What a test may do to a running control plane.

use rustix::process::Signal;

use super::Cluster;
use super::component::Component;

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
}
