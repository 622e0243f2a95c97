//! What the status interface says, as far as it is shown. Members that are not known are passed over: the interface
//! may gain some without another version.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use anyhow::{bail, Context, Result};
use serde::de::{DeserializeOwned, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::clean::Text;

/// The version of the interface that is understood.
const VERSION: u64 = 1;

/// Reads an answer.
pub fn parse<T: DeserializeOwned>(json: &[u8]) -> Result<T> {
    #[derive(Deserialize)]
    struct Versioned {
        version: u64,
    }
    let versioned: Versioned =
        serde_json::from_slice(json).context("this is not the status interface of ngx-smart")?;
    if versioned.version != VERSION {
        bail!(
            "the status interface is of version {}, and this tool understands {VERSION}: take the \
             tool that came with the module",
            versioned.version
        );
    }
    serde_json::from_slice(json).context("the status interface gave an answer of another form")
}

/// Why a request was refused.
#[derive(Deserialize)]
pub struct Refusal {
    pub error: Reason,
}

#[derive(Deserialize)]
pub struct Reason {
    pub text: Text,
}

/// Members of an object in their order, also where two have the same name, as those may that are no UTF-8.
#[derive(Clone, Debug)]
pub struct Named<T>(pub Vec<(Text, T)>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Named<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Members<T> {
            type Value = Named<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Named<T>, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Named(members))
            }
        }
        deserializer.deserialize_map(Members(PhantomData))
    }
}

/// `status.json`.
#[derive(Clone, Debug, Deserialize)]
pub struct Status {
    pub ngx_smart: Text,
    pub nginx: Text,
    /// Seconds since 1970, as are all times of day.
    pub time: u64,
    pub configured: u64,
    pub process: u32,
    pub workers: u64,
    pub panics: u64,
    pub sendfile: Option<Sendfile>,
    pub limits: Named<Limit>,
    pub rooms: Named<Room>,
    pub buffers: Option<Buffers>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Sendfile {
    pub lookups: Lookups,
    pub in_flight: u64,
    pub latency: Quantiles,
    pub servers: Vec<Server>,
    pub caches: Named<Cache>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Lookups {
    pub hit: Ended,
    pub found: Ended,
    pub miss: Ended,
    pub miss_cached: Ended,
    pub stale: Ended,
    pub error: Ended,
    pub timeout: Ended,
    pub invalid: Ended,
}

impl Lookups {
    /// All, in the order of [`super::rates::OUTCOMES`].
    pub fn all(&self) -> [Ended; 8] {
        let Self { hit, found, miss, miss_cached, stale, error, timeout, invalid } = *self;
        [hit, found, miss, miss_cached, stale, error, timeout, invalid]
    }
}

/// Lookups that ended alike.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Ended {
    pub count: u64,
    pub seconds: f64,
}

/// Of times, of sizes, or of ratios.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Quantiles {
    pub count: u64,
    #[serde(alias = "p50_seconds")]
    pub p50: Option<f64>,
    #[serde(alias = "p90_seconds")]
    pub p90: Option<f64>,
    #[serde(alias = "p99_seconds")]
    pub p99: Option<f64>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Server {
    pub address: Text,
    pub connections: u64,
    pub in_flight: u64,
    pub questions: u64,
    pub reconnects: u64,
    pub failures: u64,
    pub timeouts: u64,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Cache {
    pub size_bytes: u64,
    pub entries: u64,
    pub misses: u64,
    pub evicted: u64,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Limit {
    pub key: Text,
    pub rate: Text,
    pub passed: u64,
    pub delayed: u64,
    pub rejected: u64,
    pub delayed_dry_run: u64,
    pub rejected_dry_run: u64,
    pub keys: u64,
    pub capacity: u64,
    pub evicted: u64,
    pub evicted_in_debt: u64,
}

impl Limit {
    /// How many requests it has delayed or refused, or would have.
    pub fn held_back(&self) -> u64 {
        let Self { delayed, rejected, delayed_dry_run, rejected_dry_run, .. } = *self;
        [delayed, rejected, delayed_dry_run, rejected_dry_run]
            .iter()
            .fold(0, |sum, count| sum.saturating_add(*count))
    }
}

#[derive(Clone, Debug, Deserialize)]
pub struct Room {
    pub waiting: u64,
    pub max_waiting: u64,
    pub active: u64,
    pub max_active: u64,
    pub provisional: u64,
    pub estimated_wait_seconds: Option<f64>,
    pub entered: u64,
    pub admitted: u64,
    pub absent: u64,
    pub expired: u64,
    pub refused: u64,
    pub passed: u64,
    pub waiting_dry_run: u64,
    pub full_dry_run: u64,
    pub rebuilt: u64,
    pub wait: Quantiles,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Buffers {
    pub unmeasured: u64,
    pub locations: Vec<Location>,
    pub servers: Vec<ListeningServer>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Location {
    pub server: Text,
    pub location: Text,
    pub requests: u64,
    pub measured: Measured,
    pub advice: Advice,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Measured {
    pub request_body: Quantiles,
    pub request_bodies_spilled: u64,
    pub upstream: Upstream,
    pub response: Quantiles,
    pub gzip_ratio: Quantiles,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Upstream {
    pub header: Quantiles,
    pub response: Quantiles,
    pub spilled: u64,
    pub header_too_big: u64,
}

#[derive(Clone, Debug, Deserialize)]
pub struct ListeningServer {
    pub server: Text,
    pub header: Quantiles,
    pub header_too_big: u64,
    pub advice: Advice,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Advice {
    pub state: State,
    pub samples: u64,
    pub needed: u64,
    pub directives: Vec<Directive>,
    pub remarks: Vec<Text>,
    pub effect: Option<Effect>,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum State {
    TooFewSamples,
    Fine,
    Change,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Directive {
    pub directive: Text,
    pub current: Option<Text>,
    pub advised: Text,
    pub reason: Text,
}

/// What an advice would change.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Effect {
    pub memory_before_bytes: Option<u64>,
    pub memory_after_bytes: u64,
    pub one_buffer_before: Option<f64>,
    pub one_buffer_after: f64,
    pub spilled_before: Option<f64>,
    pub spilled_after: f64,
}

/// `limits/NAME?top=N`.
#[derive(Clone, Debug, Deserialize)]
pub struct Top {
    pub top: Vec<Key>,
}

/// A key of a limit.
#[derive(Clone, Debug, Deserialize)]
pub struct Key {
    pub key: Text,
    pub count: u64,
    pub excess: Option<f64>,
    pub idle_seconds: Option<f64>,
}

/// The keys of limits, by the limits' names, that were delayed or refused most often.
pub type Heaviest = BTreeMap<Text, Vec<Key>>;

/// `history.json`.
#[derive(Clone, Debug, Deserialize)]
pub struct History {
    pub interval_seconds: f64,
    pub time: u64,
    pub series: Vec<Series>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Series {
    pub kind: Text,
    pub name: Text,
    pub columns: Vec<Text>,
    pub samples: Vec<Option<Vec<Option<f64>>>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_version_and_what_is_no_status_are_refused_with_a_sentence() {
        for (json, sentence) in [
            (
                "{\"version\":2,\"future\":true}",
                "the status interface is of version 2, and this tool",
            ),
            ("{\"status\":\"ok\"}", "this is not the status interface of ngx-smart"),
            ("<html>", "this is not the status interface of ngx-smart"),
            ("", "this is not the status interface of ngx-smart"),
            ("{\"version\":1}", "the status interface gave an answer of another form"),
        ] {
            let error = parse::<Status>(json.as_bytes()).expect_err(json);
            assert!(error.to_string().starts_with(sentence), "{json}: {error}");
        }
    }

    #[test]
    fn members_that_are_not_known_are_passed_over_and_names_may_be_hostile_and_equal() {
        let json = r#"{"version":1,"new":[1],"error":{"status":404,"text":"no\u001b[2J"}}"#;
        let refusal: Refusal = parse(json.as_bytes()).expect("an answer");
        assert_eq!(refusal.error.text.as_str(), "no\\u{1b}[2J");
        let named: Named<u64> =
            serde_json::from_str(r#"{"z\u0000":1,"a":2,"z\u0000":3}"#).expect("an object");
        let named: Vec<_> = named.0.iter().map(|(name, value)| (name.as_str(), *value)).collect();
        assert_eq!(named, [("z\\u{0}", 1), ("a", 2), ("z\\u{0}", 3)]);
    }
}
