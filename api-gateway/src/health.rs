//! Figures of the machine and of the gateway's own process.
//!
//! Comes in: what the system says at this moment. Goes out: plain numbers (bytes, seconds, percent). It blocks for some
//! milliseconds: call it off the runtime.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use serde::Serialize;
use sysinfo::{Disks, Networks, ProcessRefreshKind, ProcessesToUpdate, System};
use utoipa::ToSchema;

/// Memory, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub struct Memory {
    /// Of the machine.
    pub total: u64,
    /// In use.
    pub used: u64,
    /// What can be had without swapping.
    pub available: u64,
    /// Resident memory of the gateway's process.
    pub rss: u64,
}

/// Processors.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Cpu {
    /// How many.
    pub count: usize,
    /// Name of the first.
    pub model: String,
    /// Use since the last time this was asked, percent of all of them.
    pub usage: f32,
}

/// The volume of the data directory, in bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Disk {
    /// Where it is mounted.
    pub mount: String,
    /// Its size.
    pub total: u64,
    /// What can still be written.
    pub available: u64,
}

/// All network interfaces together, in bytes since they came up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct Network {
    /// Received.
    pub received: u64,
    /// Sent.
    pub transmitted: u64,
}

/// A network interface.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Interface {
    /// Its name.
    pub name: String,
    /// Bytes received since it came up.
    pub received: u64,
    /// Bytes sent since it came up.
    pub transmitted: u64,
}

/// The gateway's process.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Process {
    /// Its id.
    pub pid: u32,
    /// Version of the gateway.
    pub version: &'static str,
    /// Use since the last time this was asked, percent of one processor.
    pub cpu: f32,
    /// Virtual memory, in bytes.
    pub virtual_memory: u64,
}

/// Everything.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Figures {
    /// Processors.
    pub cpu: Cpu,
    /// Memory.
    pub memory: Memory,
    /// The data directory's volume, when it can be told.
    pub disk: Option<Disk>,
    /// Load over 1, 5 and 15 minutes.
    #[schema(example = json!([0.4, 0.3, 0.2]))]
    pub loadavg: [f64; 3],
    /// Network.
    pub network: Network,
    /// Each interface.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interfaces: Option<Vec<Interface>>,
    /// The gateway's process.
    pub process: Process,
}

/// Asks the system.
pub struct Probe {
    system: Mutex<System>,
    data_dir: PathBuf,
}

impl Probe {
    /// A probe that looks at the volume of this directory.
    pub fn new(data_dir: &Path) -> Result<Self, sysinfo::Error> {
        let mut system = System::new()?;
        system.refresh_cpu_all();
        refresh_own(&mut system);
        Ok(Self { system: Mutex::new(system), data_dir: data_dir.to_owned() })
    }

    /// Memory only.
    pub fn memory(&self) -> Memory {
        let mut system = self.system.lock().unwrap_or_else(PoisonError::into_inner);
        system.refresh_memory();
        refresh_own(&mut system);
        memory(&system)
    }

    /// Everything; each interface by itself if `full`.
    pub fn figures(&self, full: bool) -> Figures {
        let interfaces = interfaces();
        let network = interfaces.iter().fold(Network::default(), |sum, one| Network {
            received: sum.received + one.received,
            transmitted: sum.transmitted + one.transmitted,
        });
        let mut system = self.system.lock().unwrap_or_else(PoisonError::into_inner);
        system.refresh_cpu_all();
        system.refresh_memory();
        refresh_own(&mut system);
        Figures {
            cpu: cpu(&system),
            memory: memory(&system),
            disk: disk(&self.data_dir),
            loadavg: loadavg(),
            network,
            interfaces: full.then_some(interfaces),
            process: process(&system),
        }
    }
}

/// Load over 1, 5 and 15 minutes; zeros where the system has none.
pub fn loadavg() -> [f64; 3] {
    System::load_average().map_or([0.0; 3], |load| [load.one, load.five, load.fifteen])
}

fn own_pid() -> sysinfo::Pid {
    sysinfo::Pid::from_u32(std::process::id())
}

fn refresh_own(system: &mut System) {
    let kind = ProcessRefreshKind::nothing().with_cpu().with_memory();
    system.refresh_processes_specifics(ProcessesToUpdate::Some(&[own_pid()]), true, kind);
}

fn memory(system: &System) -> Memory {
    Memory {
        total: system.total_memory(),
        used: system.used_memory(),
        available: system.available_memory(),
        rss: system.process(own_pid()).map_or(0, sysinfo::Process::memory),
    }
}

fn cpu(system: &System) -> Cpu {
    let model = system.cpus().first().map(|cpu| cpu.brand().trim().to_owned()).unwrap_or_default();
    Cpu { count: system.cpus().len(), model, usage: system.global_cpu_usage() }
}

fn process(system: &System) -> Process {
    let own = system.process(own_pid());
    Process {
        pid: std::process::id(),
        version: env!("CARGO_PKG_VERSION"),
        cpu: own.map_or(0.0, sysinfo::Process::cpu_usage),
        virtual_memory: own.map_or(0, sysinfo::Process::virtual_memory),
    }
}

/// The volume that holds a directory: the one with the longest mount point above it.
fn disk(folder: &Path) -> Option<Disk> {
    let folder = folder.canonicalize().ok()?;
    let disks = Disks::new_with_refreshed_list().ok()?;
    let above = disks.iter().filter(|disk| folder.starts_with(disk.mount_point()));
    let nearest = above.max_by_key(|disk| disk.mount_point().as_os_str().len())?;
    Some(Disk {
        mount: nearest.mount_point().to_string_lossy().into_owned(),
        total: nearest.total_space(),
        available: nearest.available_space(),
    })
}

fn interfaces() -> Vec<Interface> {
    let Ok(networks) = Networks::new_with_refreshed_list() else { return Vec::new() };
    let mut all: Vec<_> = networks
        .iter()
        .map(|(name, data)| Interface {
            name: name.to_string_lossy().into_owned(),
            received: data.total_received(),
            transmitted: data.total_transmitted(),
        })
        .collect();
    all.sort_by(|a, b| a.name.cmp(&b.name));
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_real() {
        let folder = tempfile::tempdir().unwrap();
        let probe = Probe::new(folder.path()).unwrap();
        let figures = probe.figures(true);
        assert!(figures.memory.total > figures.memory.available && figures.memory.rss > 1024 * 1024);
        assert!(figures.cpu.count > 0 && figures.cpu.usage >= 0.0);
        assert!(figures.interfaces.is_some() && probe.figures(false).interfaces.is_none());
        assert_eq!(figures.process.pid, std::process::id());
        assert!(probe.memory().rss > 1024 * 1024);
    }
}
