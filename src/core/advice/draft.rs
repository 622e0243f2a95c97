//! An advice in the making.

use super::size::{least_of, round_down, Grouped, Written, STEP};
use super::{Advice, Directive, Effect, State, SAMPLES_MIN};
use crate::core::report::buffers::{Chain, Host, Location, Protocol, Settings, UpstreamSettings};

/// How many buffers nginx allows an upstream's answer if nothing is set; each is a page.
const UPSTREAM_BUFFERS: u64 = 8;

/// The bytes of all `gzip_buffers` if nothing is set.
const GZIP_BUFFERS_TOTAL: u64 = 128 << 10;

/// What is said of a location or a server.
#[derive(Default)]
pub struct Sheet {
    samples: u64,
    directives: Vec<Directive>,
    remarks: Vec<String>,
}

impl Sheet {
    /// Whether there are samples enough of a figure to advise from; a remark says where there are some, but too few.
    pub fn suffices(&mut self, samples: u64, figure: &str, directive: &str) -> bool {
        self.samples = self.samples.max(samples);
        if samples > 0 && samples < SAMPLES_MIN {
            self.remark(format!(
                "{} {figure} have been measured: no advice for {directive} below {}",
                Grouped(samples),
                Grouped(SAMPLES_MIN)
            ));
        }
        samples >= SAMPLES_MIN
    }

    /// Advises to set a directive.
    pub fn advise(&mut self, name: &str, current: Option<String>, advised: String, reason: String) {
        self.directives.push(Directive { name: name.to_owned(), current, advised, reason });
    }

    /// Says something else.
    pub fn remark(&mut self, remark: String) {
        self.remarks.push(remark);
    }

    /// Says whose settings are told, where some of one name are set otherwise.
    pub fn remark_others(&mut self, others: u64, what: &str) {
        if others > 0 {
            self.remark(format!(
                "{others} more of this name {} set otherwise: told are the settings of the first {what} that answers \
                 requests itself, or else of the first",
                if others == 1 { "is" } else { "are" }
            ));
        }
    }

    /// Whether anything is to be changed.
    pub fn is_change(&self) -> bool {
        !self.directives.is_empty()
    }

    /// The advice.
    pub fn finish(mut self, requests: u64, effect: Option<Effect>) -> Advice {
        let state = match self.samples >= SAMPLES_MIN {
            true if self.is_change() => State::Change,
            true => State::Fine,
            false => State::TooFewSamples,
        };
        if state == State::TooFewSamples && self.remarks.is_empty() {
            self.remarks.push(format!(
                "{} requests have been measured: no advice below {} of a figure",
                Grouped(requests),
                Grouped(SAMPLES_MIN)
            ));
        }
        let Self { samples, directives, remarks } = self;
        Advice { state, samples, directives, remarks, effect }
    }
}

/// The advice for a location, in the making.
pub struct Draft<'a> {
    /// The location.
    pub location: &'a Location,
    /// The host.
    pub host: &'a Host,
    /// What is said.
    pub sheet: Sheet,
    /// What is set, and where something else is advised, that.
    pub after: Settings,
}

impl<'a> Draft<'a> {
    /// Nothing is advised yet.
    pub fn new(location: &'a Location, host: &'a Host) -> Self {
        Self { location, host, sheet: Sheet::default(), after: location.settings.clone() }
    }

    /// The protocol that most answers of upstreams come by.
    pub fn protocol(&self) -> Option<Protocol> {
        let set = || self.location.settings.upstream.map(|settings| settings.protocol);
        self.location.measured.upstream.protocol().or_else(set)
    }

    /// The current settings of that protocol.
    pub fn upstream(&self) -> Option<UpstreamSettings> {
        let protocol = self.protocol()?;
        self.location.settings.upstream.filter(|settings| settings.protocol == protocol)
    }

    /// The bytes of a page, which nginx makes its defaults of.
    pub fn page(&self) -> u64 {
        self.host.page_size.max(STEP)
    }

    /// What nginx sets of itself.
    pub fn defaults(&self, protocol: Protocol) -> UpstreamSettings {
        let page = self.page();
        UpstreamSettings {
            protocol,
            buffering: protocol != Protocol::Grpc,
            buffer_size: page,
            buffers: Chain { number: UPSTREAM_BUFFERS, size: page },
            busy_buffers_size: page.saturating_mul(2),
            temp_file_write_size: page.saturating_mul(2),
            max_temp_file_size: 1 << 30,
        }
    }

    /// The part of the budget that the request's body takes.
    pub fn body(&self) -> u64 {
        match self.location.measured.body.count() {
            0 => 0,
            _ => self.after.client_body_buffer_size.unwrap_or(self.page().saturating_mul(2)),
        }
    }

    /// The part of the budget that the request's body and the upstream's header leave.
    pub fn left(&self) -> u64 {
        let header = self.after.upstream.map_or(0, |settings| settings.buffer_size);
        self.location.budget.saturating_sub(self.body()).saturating_sub(header)
    }

    /// How many times smaller half of all compressed answers are made at least, in hundredths. `None`: too little was
    /// compressed to tell.
    pub fn ratio(&self) -> Option<u64> {
        let ratio = &self.location.measured.gzip_ratio;
        let is_off = self.location.settings.gzip == Some(false);
        let median = ratio.quantile(500).filter(|_| !is_off && ratio.count() >= SAMPLES_MIN)?;
        Some(least_of(median).max(100))
    }

    /// How much of what is left buffers may take that gzip may have to read from, and write into others.
    pub fn before_gzip(&self, left: u64) -> u64 {
        let has_compressed = self.location.measured.gzip_ratio.count() > 0;
        let share = match self.ratio() {
            Some(ratio) => {
                // gzip's buffers hold a ratio-th of them, and each of the four is rounded up.
                let left = u128::from(left.saturating_sub(STEP.saturating_mul(4)));
                let share = left.saturating_mul(ratio.into());
                let share = share.checked_div(u128::from(ratio).saturating_add(100));
                share.and_then(|share| u64::try_from(share).ok()).unwrap_or(0)
            }
            None if has_compressed && self.location.settings.gzip != Some(false) => {
                let gzip = self.after.gzip_buffers.map_or(GZIP_BUFFERS_TOTAL, Chain::total);
                left.saturating_sub(gzip)
            }
            None => left,
        };
        round_down(share)
    }

    /// Says that the budget has no room for something.
    pub fn no_room(&mut self, left: u64, directive: &str) {
        self.sheet.remark(format!(
            "smart_buffers_budget is {}, of which {} are left for {directive}: too little to advise any",
            Written(self.location.budget),
            Written(left)
        ));
    }
}
