//! What the tests of a running nginx share: a real nginx, a real memcached, a scripted store for
//! the faults that a real one does not produce, a client that sends exact bytes, and load.

pub mod advised;
pub mod application;
pub mod browser;
pub mod buffers;
pub mod client;
pub mod clock;
pub mod configuration;
pub mod curl;
pub mod dashboard;
pub mod death;
pub mod document;
pub mod fault;
pub mod interface;
pub mod level;
pub mod limit;
pub mod limited;
pub mod listen;
pub mod load;
pub mod memcached;
pub mod nginx;
pub mod numbers;
pub mod place;
pub mod port;
pub mod preload;
pub mod process;
pub mod room;
pub mod schema;
pub mod scripted_room;
pub mod scripted_status;
pub mod setup;
pub mod site;
pub mod statuses;
pub mod store;
pub mod strace;
pub mod terminal;
pub mod upstreams;
pub mod uwsgi;

use std::time::{Duration, Instant};

pub use numbers::Numbers;

/// How often something is done: `ci` times, or `chaos` times the factor in `NGX_SMART_CHAOS`,
/// which `scripts/chaos` sets for the long run.
pub fn dose(ci: usize, chaos: usize) -> usize {
    match std::env::var("NGX_SMART_CHAOS") {
        Ok(factor) => {
            let factor: f64 = factor.parse().expect("NGX_SMART_CHAOS is a factor such as 1 or 0.1");
            ((chaos as f64 * factor) as usize).max(ci)
        }
        Err(_) => ci,
    }
}

/// True where nginx and the module were built with AddressSanitizer.
pub fn sanitized() -> bool {
    std::env::var("NGX_SMART_ASAN").is_ok_and(|value| value == "1")
}

/// How long a condition may take that normally holds within milliseconds.
pub fn patience() -> Duration {
    Duration::from_secs(if sanitized() { 60 } else { 20 })
}

/// Waits until `condition` holds; panics, naming `what`, when patience ends before.
#[track_caller]
pub fn wait_until(what: &str, condition: impl FnMut() -> bool) {
    assert!(holds_within(patience(), condition), "waited {:?} in vain: {what}", patience());
}

/// Whether `condition` comes to hold in time. It is tried often at first, then less often: some
/// conditions cost a look at every process.
pub fn holds_within(time: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let started = Instant::now();
    let mut pause = Duration::from_micros(500);
    while !condition() {
        if started.elapsed() > time {
            return false;
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(20));
    }
    true
}
