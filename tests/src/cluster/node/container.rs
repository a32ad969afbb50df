//! One container of a pod: started, probed, restarted and stopped.
//!
//! Comes in: what the pod should be, and the wish to stop. Goes out: a [`View`] whenever it changes.
//! It must not write to the API: the pod does, for all of its containers.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::environment::Facts;
use super::files::{Content, content};
use super::inner::{Inner, identity};
use super::opens::Open;
use super::plan::{ContainerPlan, PlanError, plan};
use super::probe::{Finding, follow};
use super::sandbox::{self, Bind, Running};
use super::status::{Ended, Place, State, View, restart_policy, restarts};
use super::{disk, sources};

/// Between two attempts to start.
const RETRY: Duration = Duration::from_millis(500);

/// How long a container must run for its next failure to be its first.
const STEADY: Duration = Duration::from_mins(10);

/// What a container stands in.
#[derive(Debug)]
pub(super) struct Container {
    pub(super) node: Arc<Inner>,
    pub(super) index: usize,
    pub(super) name: String,
    pub(super) place: Place,
    pub(super) pod: watch::Receiver<Arc<Pod>>,
    /// When to be gone at last, once it shall stop.
    pub(super) stop: watch::Receiver<Option<Instant>>,
    pub(super) view: View,
    pub(super) views: mpsc::UnboundedSender<(usize, View)>,
}

impl Container {
    /// Runs it until it shall stop, or is over by its policy.
    pub(super) async fn run(mut self) {
        let mut failures = 0;
        loop {
            let Some((plan, mut running)) = self.begin().await else { return };
            let since = self.node.now();
            let code = self.attend(&plan, &mut running).await;
            let reason = if code == 0 { "Completed" } else { "Error" };
            let ended = Ended { code, reason, message: String::new(), since, at: self.node.now() };
            self.view =
                View { state: State::Ended(ended.clone()), ready: false, started: false, ..self.view };
            self.show();
            if self.stopping() || !restarts(restart_policy(&self.pod.borrow()), code) {
                return;
            }
            failures = if running.since.elapsed() > STEADY { 0 } else { failures };
            if !self.back_off(failures, ended).await {
                return;
            }
            failures += 1;
        }
    }

    /// Waits before a restart; false when it shall stop instead.
    async fn back_off(&mut self, failures: u32, ended: Ended) -> bool {
        let delay = back_off(self.node.config.restart_backoff, failures);
        self.view.last = Some(ended.clone());
        if delay > Duration::ZERO {
            let message = format!("back-off {}s restarting failed container={}", delay.as_secs(), self.name);
            self.wait_as("CrashLoopBackOff", message);
            if self.stops_within(delay).await {
                self.view.state = State::Ended(ended);
                self.show();
                return false;
            }
        }
        self.view.restarts += 1;
        true
    }

    /// Starts the process, as often as it takes; nothing when it shall stop.
    async fn begin(&mut self) -> Option<(ContainerPlan, Running)> {
        let mut attempt = 0;
        while !self.stopping() {
            match self.start().await {
                Ok((plan, running)) => {
                    self.view.state = State::Running { since: self.node.now() };
                    self.view.started = plan.startup.is_none();
                    self.view.ready = plan.startup.is_none() && plan.readiness.is_none();
                    self.show();
                    return Some((plan, running));
                }
                Err(error) => {
                    let (reason, message) = error.waiting(attempt);
                    self.wait_as(reason, message);
                }
            }
            attempt += 1;
            if self.stops_within(RETRY).await {
                break;
            }
        }
        None
    }

    async fn start(&self) -> Result<(ContainerPlan, Running), PlanError> {
        let pod = Arc::clone(&self.pod.borrow());
        let sources = sources::read(&self.node.client, &pod).await?;
        let basics = self.node.basics(&pod);
        let facts = Facts {
            pod: &pod,
            pod_ip: self.place.pod_ip,
            host_ip: self.place.host_ip,
            basics: &basics,
            overrides: &self.node.config.environment,
            sources: &sources,
        };
        let plan = plan(&self.name, &self.node.programs(), &facts)?;
        let (binds, claims) = self.binds(&plan, &facts)?;
        let running = self.spawn(&pod, &plan, &binds, claims);
        running
            .map(|running| (plan, running))
            .map_err(|error| PlanError::Config(format!("cannot be started: {error}")))
    }

    /// Writes the volumes; gives what to mount and the UIDs of the claims among it.
    fn binds(&self, plan: &ContainerPlan, facts: &Facts<'_>) -> Result<(Vec<Bind>, Vec<String>), PlanError> {
        let failed = |error| PlanError::Volume(format!("a volume cannot be written: {error}"));
        let spec = facts.pod.spec.as_ref();
        let group = spec.and_then(|spec| spec.security_context.as_ref()?.fs_group);
        let group = group.and_then(|group| u32::try_from(group).ok());
        let (mut binds, mut claims) = (Vec::new(), Vec::new());
        for mount in &plan.mounts {
            let mut volumes = spec.iter().flat_map(|spec| spec.volumes.iter().flatten());
            let volume = volumes.find(|volume| volume.name == mount.volume);
            let volume =
                volume.ok_or_else(|| PlanError::Config(format!("no volume \"{}\"", mount.volume)))?;
            let content = content(volume, facts)?;
            let folder = self.node.pod_folder(facts.pod).join("volumes").join(&volume.name);
            let folder = disk::write(&content, &folder, &self.node.volumes(), group).map_err(failed)?;
            binds.push(disk::bind(mount, &content, &folder, group).map_err(failed)?);
            if let Content::Claim { uid, .. } = content {
                claims.push(uid);
            }
        }
        claims.dedup();
        let shown = self.node.config.files.iter().map(|path| Bind {
            source: path.clone(),
            target: path.to_string_lossy().into_owned(),
            read_only: true,
        });
        binds.extend(shown);
        Ok((binds, claims))
    }

    fn spawn(
        &self,
        pod: &Pod,
        plan: &ContainerPlan,
        binds: &[Bind],
        claims: Vec<String>,
    ) -> std::io::Result<Running> {
        let root = self.node.pod_folder(pod).join("roots").join(&self.name);
        std::fs::create_dir_all(&root)?;
        let log = self.node.log_file(pod, &self.name, self.view.restarts)?;
        let started = std::time::Instant::now();
        let node = Arc::clone(&self.node);
        let (opened, to_close) = std::sync::mpsc::channel::<Vec<usize>>();
        let running = sandbox::start(plan, binds, &root, &log, move |pid, at| {
            to_close.recv().unwrap_or_default().into_iter().for_each(|index| node.opens().ended(index, at));
            node.reaped(pid);
        })?;
        let open = |claim| {
            let (uid, name) = identity(pod);
            let node = self.node.name.clone();
            let open = Open { claim, pod: uid, name, node, pid: running.pid, started, ended: None };
            self.node.opens().started(open)
        };
        let opens = claims.into_iter().map(open).collect();
        self.node.started(&running);
        // The end is recorded after the start, however short the process lives.
        let _ = opened.send(opens);
        Ok(running)
    }

    /// Follows a running process to its end; gives its exit code.
    async fn attend(&mut self, plan: &ContainerPlan, running: &mut Running) -> i32 {
        let (sender, mut findings) = mpsc::unbounded_channel();
        // They end with this.
        let mut probing = JoinSet::new();
        probing.spawn(follow(plan.clone(), sender));
        loop {
            tokio::select! {
                code = running.ended() => break code,
                deadline = stop(&mut self.stop) => break self.end(plan, running, deadline).await,
                Some(finding) = findings.recv() => match finding {
                    Finding::Unhealthy => {
                        let grace = super::pod::grace_seconds(&self.pod.borrow());
                        break self.end(plan, running, Instant::now() + grace).await;
                    }
                    Finding::Started => {
                        self.view.started = true;
                        self.view.ready = plan.readiness.is_none();
                        self.show();
                    }
                    Finding::Ready(ready) if ready != self.view.ready => {
                        self.view.ready = ready;
                        self.show();
                    }
                    Finding::Ready(_) => {}
                },
            }
        }
    }

    /// Asks the process to end, and makes it at the deadline (which may move nearer).
    async fn end(&mut self, plan: &ContainerPlan, running: &mut Running, mut deadline: Instant) -> i32 {
        let mut hook = Some(Instant::now() + Duration::from_secs(plan.pre_stop_seconds));
        loop {
            let next = hook.map_or(deadline, |hook| hook.min(deadline));
            tokio::select! {
                code = running.ended() => return code,
                () = tokio::time::sleep_until(next) => {
                    if hook.take().is_none() {
                        running.kill();
                        return running.ended().await;
                    }
                    running.terminate();
                }
                Ok(()) = self.stop.changed() => {
                    deadline = self.stop.borrow().map_or(deadline, |sooner| sooner.min(deadline));
                }
            }
        }
    }

    fn stopping(&self) -> bool {
        self.stop.borrow().is_some()
    }

    /// Lets time pass; true when it shall stop.
    async fn stops_within(&mut self, time: Duration) -> bool {
        tokio::time::timeout(time, stop(&mut self.stop)).await.is_ok()
    }

    fn wait_as(&mut self, reason: &'static str, message: String) {
        self.view.state = State::Waiting { reason, message };
        self.show();
    }

    fn show(&self) {
        // Nobody listens once the pod is gone.
        let _ = self.views.send((self.index, self.view.clone()));
    }
}

async fn stop(stop: &mut watch::Receiver<Option<Instant>>) -> Instant {
    let deadline = stop.wait_for(Option::is_some).await.ok().and_then(|deadline| *deadline);
    match deadline {
        Some(deadline) => deadline,
        None => Instant::now(),
    }
}

/// Delay before the restart after `failures` earlier ones: none, then doubling up to five minutes.
fn back_off(base: Duration, failures: u32) -> Duration {
    match failures {
        0 => Duration::ZERO,
        _ => base.saturating_mul(1 << (failures - 1).min(16)).min(Duration::from_mins(5)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_restart_is_at_once_and_later_ones_wait_longer() {
        let seconds = |failures| back_off(Duration::from_secs(1), failures).as_secs();
        assert_eq!([0, 1, 2, 3, 30].map(seconds), [0, 1, 2, 4, 300]);
    }
}
