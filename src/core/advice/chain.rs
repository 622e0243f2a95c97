//! How many buffers of which size hold an upstream's answers.

use super::draft::Draft;
use super::size::{predominant, round_down, round_up, serves, times, About, STEP};
use crate::core::histogram::Histogram;
use crate::core::report::buffers::Chain;

/// The most buffers that are advised, unless an answer that fits the present ones needs more: nginx reads into, and
/// writes from, no more than 64 at once (`NGX_IOVS_PREALLOCATE`).
const NUMBER_MAX: u64 = 64;

/// Buffers of nginx's default, which are kept where they do no harm, and those of a stream of long answers.
const NUMBER: u64 = 8;

/// An answer that is longer is not short: a buffer that holds it would be taken by the shortest too.
const SHORT_MAX: u64 = 256 << 10;

/// Nor is one that takes more buffers than these, each of which holds the median answer.
pub const SHORT_BUFFERS: u64 = 8;

/// What Linux gives a socket that nobody has asked otherwise: its default of both limits.
const SOCKET: u64 = 212_992;

/// The most that buffers may hold, and why.
pub struct Limit {
    /// In bytes, a multiple of a step.
    pub size: u64,
    /// The bytes of the sockets' buffers.
    pub sockets: u64,
    /// What these were taken from.
    pub source: &'static str,
    /// Whether it is the budget that allows no more.
    pub is_budget: bool,
}

impl Limit {
    /// Of a location, beside a buffer for the header. `None`: the budget leaves too little for it.
    pub fn of(draft: &Draft, left: u64, header: u64) -> Option<Self> {
        let host = draft.host;
        let least = header.max(STEP).saturating_mul(2);
        let sources = [
            (host.tcp_rmem_max.zip(host.tcp_wmem_max), "the maxima of tcp_rmem and tcp_wmem"),
            (host.rmem_max.zip(host.wmem_max), "rmem_max and wmem_max"),
        ];
        let known = sources.into_iter().find_map(|(both, source)| Some((both?, source)));
        let (sum, source) = match known {
            Some(((receive, send), source)) => (receive.saturating_add(send), source),
            None => (2 * SOCKET, "Linux's defaults, because the host's limits could not be read"),
        };
        let sockets = round_down(sum).max(least);
        let budget = draft.before_gzip(left);
        let size = sockets.min(budget);
        (size >= least).then_some(Self { size, sockets: sum, source, is_budget: budget < sockets })
    }
}

/// The short answers, if they predominate: one buffer is for these.
pub struct Short {
    /// None is longer.
    pub bound: u64,
    /// How many there are.
    pub count: u64,
    /// Their p90.
    pub p90: u64,
}

impl Short {
    /// Of all answers. Where they are of two kinds, such as pages and pictures, those of the shorter kind.
    fn of(responses: &Histogram, bound: u64) -> Option<Self> {
        let short = predominant(responses, bound)?;
        let kind = round_up(short.quantile(500)?).saturating_mul(SHORT_BUFFERS);
        let (bound, short) = match short.quantile(900)? > kind {
            true => (kind, short.limited_to(kind)),
            false => (bound, short),
        };
        Some(Self { bound, count: short.count(), p90: short.quantile(900)? })
    }
}

/// Buffers for answers.
pub struct Target {
    /// How many, of which size.
    pub chain: Chain,
    /// What no short answer exceeds.
    pub bound: u64,
    /// The short answers. `None`: most are long.
    pub short: Option<Short>,
    /// The p99 of all.
    pub p99: u64,
    /// The longest that fits the present buffers, and the limit.
    held: u64,
    /// Whether the answers would need more than the limit.
    pub is_limited: bool,
    /// The bytes that all must hold.
    goal: u64,
}

impl Target {
    /// Of answers whose header takes a buffer of its own. The limit is at least twice that. Because nginx takes each
    /// buffer only when it is needed, as many as are `present` stay, up to its default, and as many as hold every
    /// answer that fits those.
    pub fn of(responses: &Histogram, header: u64, present: Chain, limit: &Limit) -> Self {
        let p99 = responses.quantile(990).unwrap_or(0);
        let held = responses.limited_to(present.total().min(limit.size));
        let held = held.quantile(1000).unwrap_or(0);
        let half = round_down(limit.size / 2);
        let bound = limit.size.min(SHORT_MAX);
        let short = Short::of(responses, bound);
        let size = match &short {
            Some(short) => round_up(short.p90).min(half),
            None => round_down(limit.size / NUMBER).max(STEP),
        };
        let wanted = p99.max(size.saturating_mul(2)).max(header.saturating_add(size));
        let goal = wanted.min(limit.size);
        let mut chain = divide(goal, size, limit.size);
        // All but one must be able to hold the header's buffer, or else nginx refuses the configuration.
        if chain.total().saturating_sub(chain.size) < header {
            chain = divide(goal.max(header.saturating_mul(2)), header, limit.size);
        }
        let kept = present.number.min(NUMBER).max(times(held, chain.size));
        let fitting = limit.size.checked_div(chain.size).unwrap_or(0);
        chain.number = chain.number.max(kept.min(fitting));
        Self { chain, bound, short, p99, held, is_limited: wanted > limit.size, goal }
    }

    /// Whether buffers serve as well as these.
    pub fn is_met_by(&self, chain: Chain, limit: &Limit) -> bool {
        let is_size_good = match &self.short {
            Some(short) => {
                let wanted = round_up(short.p90).min(self.chain.size);
                serves(chain.size, short.p90, wanted)
                    && chain.size <= self.chain.size.saturating_add(STEP)
            }
            // Any that is neither too many nor too few for answers that take them all.
            None => chain.size >= times(self.goal, NUMBER_MAX) && chain.size <= (limit.size / 2),
        };
        let goal = self.goal.min(self.chain.total());
        is_size_good && chain.total() <= limit.size && chain.total().saturating_add(STEP) >= goal
    }

    /// Why: `p99 is 24m, …`.
    pub fn reason(&self, limit: &Limit) -> String {
        let bound = match (self.is_limited, limit.is_budget) {
            (false, _) => "less than",
            (true, true) => "smart_buffers_budget allows no more than this of",
            (true, false) => "the chain holds no more than",
        };
        let held = match self.held > self.p99 {
            true => format!(", and answers of up to {} fit the present buffers", About(self.held)),
            false => String::new(),
        };
        format!(
            "p99 is {}{held}; {bound} what the sockets hold, {} ({})",
            About(self.p99),
            About(limit.sockets),
            limit.source
        )
    }
}

/// Buffers that hold a goal: of a size, or larger where it would be too many, or more than the limit. The size, which
/// is a multiple of a step, must fit the limit, as the goal does, twice.
fn divide(goal: u64, size: u64, limit: u64) -> Chain {
    let size = match times(goal, size) > NUMBER_MAX {
        true => round_up(times(goal, NUMBER_MAX)),
        false => size,
    };
    let number = times(goal, size).max(2);
    if number.saturating_mul(size) <= limit {
        return Chain { number, size };
    }
    let number = limit.checked_div(size).unwrap_or(0).max(2);
    let share = round_down(limit.checked_div(number).unwrap_or(limit));
    Chain { number, size: size.max(round_up(times(goal, number)).min(share)) }
}
