//! How many keys a zone of 1 MB holds.

use anyhow::{bail, Result};

use crate::common::client::Client;
use crate::common::Numbers;
use crate::limit::{Key, Limiter};
use crate::limit_client::{ask_each, status};
use crate::nginx::Nginx;
use crate::site::Site;

/// Different keys that are put in, each once: seven times what `limit_req` holds, less a few.
pub const KEYS: u64 = 56_000;
/// Keys that are asked for again, at random. Asking puts in who is not known, for another: few.
pub const SAMPLE: u64 = 5_000;
/// The target for the share of the sample that is still known.
pub const KNOWN_MIN: f64 = 0.97;

/// What zones of 1 MB know of [`KEYS`] keys.
pub struct Known {
    pub key: Key,
    /// How many keys `limit_req` knows. It drops the oldest, so these are the newest.
    pub limit_req: u64,
    /// The share of a random sample that this module knows.
    pub smart_limit: f64,
}

/// Measures both, for keys of several lengths.
pub fn measure() -> Result<Vec<Known>> {
    eprintln!("filling zones of 1 MB");
    let site = Site::make(0)?;
    let mut known = Vec::new();
    for key in [Key::Address, Key::Argument, Key::Long] {
        let mut theirs = Zone::fill(&site, Limiter::LimitReq, key)?;
        let mut limit_req = 0;
        while limit_req < KEYS && theirs.knows(KEYS - 1 - limit_req)? {
            limit_req += 1;
        }
        let mut ours = Zone::fill(&site, Limiter::SmartLimit, key)?;
        let mut numbers = Numbers::new(3);
        let mut found = 0;
        for _ in 0..SAMPLE {
            found += u32::from(ours.knows(numbers.below(KEYS))?);
        }
        known.push(Known { key, limit_req, smart_limit: f64::from(found) / SAMPLE as f64 });
    }
    Ok(known)
}

/// A zone that every key was put into once.
struct Zone {
    key: Key,
    client: Client,
    _nginx: Nginx,
}

impl Zone {
    fn fill(site: &Site, limiter: Limiter, key: Key) -> Result<Self> {
        // For a minute whoever asks again is refused: long enough for all that is asked here.
        let zone = format!("limit_req_zone {} zone=one:1m rate=1r/m;\n", key.variable());
        let http = format!("set_real_ip_from 127.0.0.1;\nreal_ip_header X-Real-IP;\n{zone}");
        let server = "location / {\nlimit_req zone=one;\nlimit_req_log_level info;\nempty_gif;\n}";
        let name = format!("table-{key:?}");
        let nginx = Nginx::start(site, &limiter.configuration(&name, 1, &http, server)?)?;
        let all: Vec<u64> = (0..KEYS).collect();
        ask_each(nginx.port(), "/", key, &all)?;
        Ok(Self { key, client: Client::connect(nginx.port()), _nginx: nginx })
    }

    /// Whether a key is known: whoever is, is refused.
    fn knows(&mut self, number: u64) -> Result<bool> {
        match status(&mut self.client, "/", self.key, number) {
            200 => Ok(false),
            503 => Ok(true),
            status => bail!("the limiter answers with status {status}"),
        }
    }
}
