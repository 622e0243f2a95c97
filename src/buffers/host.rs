//! What the host allows of sockets, which Linux tells in files.

use std::fs;

use crate::core::report::buffers::Host;

/// Reads it. It takes files, so it is for the master, when a configuration has been accepted.
pub fn read() -> Host {
    Host {
        page_size: crate::nginx::page_size(),
        tcp_rmem_max: last("/proc/sys/net/ipv4/tcp_rmem"),
        tcp_wmem_max: last("/proc/sys/net/ipv4/tcp_wmem"),
        rmem_max: last("/proc/sys/net/core/rmem_max"),
        wmem_max: last("/proc/sys/net/core/wmem_max"),
    }
}

/// The last number in a file. `None`: it cannot be read, or there is none.
fn last(file: &str) -> Option<u64> {
    fs::read_to_string(file).ok()?.split_ascii_whitespace().last()?.parse().ok()
}
