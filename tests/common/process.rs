//! Processes as /proc shows them, and signals to them.

use std::fs;
use std::path::Path;

pub use rustix::process::Signal;

/// The id of a process.
pub type Id = i32;

/// Sends `signal`; false if the process is gone.
pub fn signal(id: Id, signal: Signal) -> bool {
    let id = rustix::process::Pid::from_raw(id).expect("the id of a process");
    rustix::process::kill_process(id, signal).is_ok()
}

/// Stops a process, and returns when each of its threads has stopped.
#[track_caller]
pub fn stop(id: Id) {
    assert!(signal(id, Signal::STOP), "a running process");
    super::wait_until("every thread to stop", || {
        let tasks = fs::read_dir(format!("/proc/{id}/task")).expect("a running process");
        tasks.filter_map(Result::ok).all(|task| {
            fs::read_to_string(task.path().join("stat"))
                .is_ok_and(|stat| after_name(&stat).next() == Some("T"))
        })
    });
}

/// True while the process runs (a zombie does not).
pub fn runs(id: Id) -> bool {
    fs::read_to_string(format!("/proc/{id}/stat"))
        .is_ok_and(|stat| !matches!(after_name(&stat).next(), Some("Z" | "X")))
}

/// Waits until none of these runs.
#[track_caller]
pub fn wait_for_end(ids: &[Id]) {
    super::wait_until("the end of processes", || !ids.iter().any(|&id| runs(id)));
}

/// The processes whose working directory is `directory`: a server that was started there and all
/// its descendants, whoever their parent is by now.
pub fn living_in(directory: &Path) -> Vec<Id> {
    all()
        .filter(|id| fs::read_link(format!("/proc/{id}/cwd")).is_ok_and(|cwd| cwd == directory))
        .collect()
}

/// The children of `parent` that are running.
pub fn children(parent: Id) -> Vec<Id> {
    all()
        .filter(|&id| {
            fs::read_to_string(format!("/proc/{id}/stat")).is_ok_and(|stat| {
                let mut fields = after_name(&stat);
                fields.next() != Some("Z") && fields.next() == Some(&parent.to_string())
            })
        })
        .collect()
}

/// The process's title or command line.
pub fn title(id: Id) -> String {
    let line = fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&line).replace('\0', " ").trim_end().to_owned()
}

/// The number of descriptors that the process has open.
pub fn descriptors(id: Id) -> usize {
    fs::read_dir(format!("/proc/{id}/fd")).map_or(0, Iterator::count)
}

/// The process's resident memory in KiB.
pub fn resident_kib(id: Id) -> u64 {
    let status = fs::read_to_string(format!("/proc/{id}/status")).expect("a running process");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("VmRSS");
    line.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).expect("a number of KiB")
}

fn all() -> impl Iterator<Item = Id> {
    let entries = fs::read_dir("/proc").expect("/proc");
    entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
}

/// The fields of /proc/PID/stat after the name, which may hold spaces: state, parent, ….
fn after_name(stat: &str) -> impl Iterator<Item = &str> {
    stat.rsplit_once(") ").map_or("", |(_, rest)| rest).split(' ')
}
