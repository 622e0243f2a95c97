//! nginx's error log.

use std::fmt;
use std::mem::MaybeUninit;

use nginx_sys::{ngx_cycle, ngx_log_t, ngx_uint_t, NGX_LOG_ALERT};
use ngx::log::{log_error, write_fmt, LOG_BUFFER_SIZE};

/// The most of a foreign text that is written to the log, in bytes.
const SHOWN: usize = 256;

/// Bytes from outside, made fit for a line of the log: what is not printable ASCII is written as
/// `\xHH`, and what is too long is cut.
pub struct Shown<'a>(pub &'a [u8]);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in self.0.iter().take(SHOWN) {
            match byte {
                b' '..=b'~' => write!(f, "{}", char::from(*byte))?,
                _ => write!(f, "\\x{byte:02X}")?,
            }
        }
        f.write_str(if self.0.len() > SHOWN { "..." } else { "" })
    }
}

/// A log that is valid for as long as what it was taken from: a request, a connection, the cycle.
#[derive(Clone, Copy)]
pub struct Log(pub(super) *mut ngx_log_t);

impl Log {
    /// The log of the running configuration.
    pub fn cycle() -> Self {
        // SAFETY: nginx sets its cycle and the log in it before it loads a module.
        Self(unsafe { (*ngx_cycle).log })
    }

    /// Writes a line at `level`, one of nginx's `NGX_LOG_…`.
    pub fn write(self, level: u32, message: fmt::Arguments<'_>) {
        self.write_errno(level, 0, message);
    }

    /// Whether lines at `level` are written.
    #[inline]
    pub fn writes(self, level: u32) -> bool {
        // SAFETY: the log is valid, see above.
        level as ngx_uint_t <= unsafe { (*self.0).log_level }
    }

    /// The same as [`Self::write`], with the system's reason, which nginx puts behind the message.
    pub fn write_errno(self, level: u32, errno: i32, message: fmt::Arguments<'_>) {
        if self.writes(level) {
            let mut buffer = [const { MaybeUninit::uninit() }; LOG_BUFFER_SIZE];
            let message = write_fmt(&mut buffer, message);
            // SAFETY: the log is valid, see above; nginx reads the bytes before the call returns.
            unsafe { log_error(level as ngx_uint_t, self.0, errno, message) }
        }
    }
}

/// Writes a line at `alert` to the log of the running configuration.
pub fn alert(message: fmt::Arguments<'_>) {
    Log::cycle().write(NGX_LOG_ALERT, message);
}
