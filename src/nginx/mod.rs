//! The glue to nginx, and the home of FFI and `unsafe`. Capabilities see what is exported here and
//! write no `unsafe` of their own.
//!
//! nginx runs a worker in one thread and calls back into this module; every callback goes through
//! [`guard::guard`]. Handles such as [`request::Request`] are as good as the pointer inside: they
//! are not kept past a call that can finalise what they name, and whoever waits registers a
//! cleanup that forgets them.

pub mod answer;
pub mod conf;
pub mod content;
pub mod event;
pub mod filter;
pub mod finished;
pub mod guard;
pub mod header;
pub mod level;
pub mod log;
pub mod module;
pub mod note;
pub mod peer;
pub mod phase;
pub mod preaccess;
pub mod record;
pub mod request;
pub mod reserve;
pub mod socket;
pub mod suspend;
pub mod value;
pub mod variable;
pub mod zone;

use nginx_sys::ngx_msec_t;

/// nginx's clock, in milliseconds since the machine's start: the time at which this turn of the event loop
/// began, without a system call.
#[inline]
pub fn now() -> u64 {
    // SAFETY: nginx updates this word in the worker's only thread.
    let now: ngx_msec_t = unsafe { nginx_sys::ngx_current_msec };
    now as u64
}

/// The time of day by nginx's clock, in seconds since 1970: as coarse as [`now`].
#[inline]
pub fn time_of_day() -> u64 {
    // SAFETY: nginx has set up its cached time before it reads a configuration, and updates it in the process's
    // only thread.
    let seconds = unsafe { (*nginx_sys::ngx_cached_time).sec };
    u64::try_from(seconds).unwrap_or(0)
}

/// Bytes that nobody can guess, from the kernel. `None`: it gives none.
pub fn random<const LENGTH: usize>() -> Option<[u8; LENGTH]> {
    let mut bytes = [0; LENGTH];
    getrandom::fill(&mut bytes).ok()?;
    Some(bytes)
}

/// Words that nobody can guess, for the hashes of a zone. `None`: the kernel gives none.
pub fn random_words<const COUNT: usize>() -> Option<[u64; COUNT]> {
    let mut words = [0; COUNT];
    for word in &mut words {
        *word = u64::from_ne_bytes(random()?);
    }
    Some(words)
}

/// The bytes of a page of memory.
pub fn page_size() -> u64 {
    // SAFETY: nginx sets the number when it starts, and changes it no more.
    unsafe { nginx_sys::ngx_pagesize as u64 }
}

/// Whether this worker has been told to go and only finishes its requests.
pub fn exiting() -> bool {
    // SAFETY: nginx sets the flag in the worker's only thread.
    unsafe { nginx_sys::ngx_exiting != 0 || nginx_sys::ngx_terminate != 0 }
}

/// This worker's number; it is that of another worker too while a reload's old workers finish.
#[inline]
pub fn worker() -> usize {
    // SAFETY: nginx sets the number when it starts a worker.
    unsafe { nginx_sys::ngx_worker }
}

/// How many workers the configuration asks for; one where nginx runs without a master.
pub fn worker_count() -> u64 {
    // SAFETY: a process that has started has a cycle, in which nginx's core has its own configuration; it sets the kind
    // of process when it starts one.
    unsafe {
        if nginx_sys::ngx_process as u32 == nginx_sys::NGX_PROCESS_SINGLE {
            return 1;
        }
        let core = *(*nginx_sys::ngx_cycle).conf_ctx.add(nginx_sys::ngx_core_module.index);
        u64::try_from((*core.cast::<nginx_sys::ngx_core_conf_t>()).worker_processes).unwrap_or(0)
    }
}

/// nginx's version, as it calls itself: `nginx/1.28.3`. It is that of the nginx that runs, because no other loads the
/// module.
pub fn version() -> &'static str {
    nginx_sys::NGINX_VER.to_str().unwrap_or_default()
}

/// This process's number in the system.
pub fn process() -> u32 {
    // SAFETY: nginx sets the number when a process starts.
    unsafe { nginx_sys::ngx_pid as u32 }
}

/// Whether this process serves requests: it is a worker, or nginx runs without a master.
pub fn serves() -> bool {
    // SAFETY: nginx sets the kind when it starts a process.
    let kind = unsafe { nginx_sys::ngx_process } as u32;
    matches!(kind, nginx_sys::NGX_PROCESS_WORKER | nginx_sys::NGX_PROCESS_SINGLE)
}
