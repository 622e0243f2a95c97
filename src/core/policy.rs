//! What an entry of the lookup cache is good for, and what an outcome means.

/// How long the lookup cache may answer, in milliseconds since an entry was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    /// A path answers this long.
    pub valid: u64,
    /// A miss answers this long.
    pub miss: u64,
    /// A path that has expired may still answer this much longer while the store fails.
    pub stale: u64,
}

/// What the lookup cache holds for a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cached {
    /// A path, written so many milliseconds ago.
    Path(u64),
    /// The store's word that it has no such key, so many milliseconds old.
    Miss(u64),
}

/// Whether a cached answer may be given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It may.
    Fresh,
    /// Only if the store fails to answer.
    StaleOnly,
    /// It may not.
    Expired,
}

impl Validity {
    /// Judges what the cache holds.
    pub fn judge(&self, cached: Cached) -> Verdict {
        match cached {
            Cached::Path(age) if age < self.valid => Verdict::Fresh,
            Cached::Path(age) if age < self.valid.saturating_add(self.stale) => Verdict::StaleOnly,
            Cached::Miss(age) if age < self.miss => Verdict::Fresh,
            Cached::Path(_) | Cached::Miss(_) => Verdict::Expired,
        }
    }
}

/// How a lookup ended: the values of `$sendfile_status`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A path from the cache.
    Hit,
    /// A path from the store.
    Found,
    /// The store has no such key.
    Miss,
    /// The cache remembers that the store has no such key.
    MissCached,
    /// An expired path from the cache, because the store failed.
    Stale,
    /// No server of the store gave an answer.
    Error,
    /// The store gave no answer in time.
    Timeout,
    /// The key or the value may not be used.
    Invalid,
}

impl Outcome {
    /// All, each at the place of its number.
    pub const ALL: [Self; 8] = [
        Self::Hit,
        Self::Found,
        Self::Miss,
        Self::MissCached,
        Self::Stale,
        Self::Error,
        Self::Timeout,
        Self::Invalid,
    ];

    /// The text of `$sendfile_status`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Hit => "HIT",
            Self::Found => "FOUND",
            Self::Miss => "MISS",
            Self::MissCached => "MISS_CACHED",
            Self::Stale => "STALE",
            Self::Error => "ERROR",
            Self::Timeout => "TIMEOUT",
            Self::Invalid => "INVALID",
        }
    }

    /// The bit of `http_sendfile_fallback` that leaves this outcome to the location's own handler,
    /// and the status it has otherwise. `None`: there is a file to send.
    pub fn without_file(self) -> Option<(usize, u16)> {
        match self {
            Self::Hit | Self::Found | Self::Stale => None,
            Self::Miss | Self::MissCached => Some((fallback::MISS, 404)),
            Self::Error => Some((fallback::ERROR, 502)),
            Self::Invalid => Some((fallback::INVALID, 502)),
            Self::Timeout => Some((fallback::TIMEOUT, 504)),
        }
    }
}

/// The bits of `http_sendfile_fallback`; the first three are also those of
/// `http_sendfile_next_upstream`.
pub mod fallback {
    /// The store has no such key.
    pub const MISS: usize = 0x0002;
    /// No server gave an answer.
    pub const ERROR: usize = 0x0004;
    /// No answer came in time.
    pub const TIMEOUT: usize = 0x0008;
    /// The key or the value may not be used.
    pub const INVALID: usize = 0x0010;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_fresh_then_stale_then_expired() {
        let validity = Validity { valid: 10, miss: 1, stale: 5 };
        let verdicts = [0, 9, 10, 14, 15].map(|age| validity.judge(Cached::Path(age)));
        use Verdict::{Expired, Fresh, StaleOnly};
        assert_eq!(verdicts, [Fresh, Fresh, StaleOnly, StaleOnly, Expired]);
    }

    #[test]
    fn a_miss_is_never_stale() {
        let validity = Validity { valid: 10, miss: 1, stale: 5 };
        assert_eq!(validity.judge(Cached::Miss(0)), Verdict::Fresh);
        assert_eq!(validity.judge(Cached::Miss(1)), Verdict::Expired);
    }

    #[test]
    fn zero_keeps_nothing() {
        let validity = Validity { valid: 0, miss: 0, stale: 0 };
        assert_eq!(validity.judge(Cached::Path(0)), Verdict::Expired);
        assert_eq!(validity.judge(Cached::Miss(0)), Verdict::Expired);
    }
}
