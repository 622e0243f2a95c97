//! The limiter against a model of limit_req's, on more than a million arrivals.

use std::collections::HashMap;

use crate::numbers::Numbers;
use ngx_http_smart_module::core::bucket::{Bucket, Limit, Offer, BURST_MAX};
use ngx_http_smart_module::core::rate::{Rate, REQUEST};
use ngx_http_smart_module::core::verdict::{decisive, Vote};
use ngx_http_smart_module::shm::limiter::{Limiter, Tag, Turn};
use ngx_http_smart_module::shm::Word;

const DAY: u64 = 86_400_000;

/// What a limiter does with a request: which limit decides, and by which excess.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    Passed,
    Delayed { milliseconds: i64, limit: usize, excess: i64 },
    Refused { limit: usize, excess: i64 },
}

/// What `limit_req` and `limit_req_zone` say, in its units: rate in thousandths of a request per
/// second, burst and delay in thousandths of a request.
#[derive(Clone, Copy, Debug)]
struct Settings {
    rate: i64,
    burst: i64,
    delay: i64,
}

/// What limit_req holds of a key.
#[derive(Clone, Copy)]
struct Node {
    excess: i64,
    last: i64,
}

/// A limit as `ngx_http_limit_req_module.c` has it: a request adds one to the excess of its key after
/// the first, time takes the rate away, and what would go over the burst is not added.
struct Model {
    settings: Settings,
    nodes: HashMap<u8, Node>,
}

impl Model {
    fn new(settings: Settings) -> Self {
        Self { settings, nodes: HashMap::new() }
    }

    /// The node of a key as a request makes it.
    fn with_request(&self, key: u8, now: i64) -> Node {
        let Some(node) = self.nodes.get(&key) else {
            return Node { excess: 0, last: now };
        };
        let elapsed = match now - node.last {
            // The clock was set, and not only by a little.
            elapsed if elapsed < -60_000 => 1,
            elapsed => elapsed.max(0),
        };
        let leaks = self.settings.rate.saturating_mul(elapsed) / 1000;
        let last = if elapsed > 0 { now } else { node.last };
        Node { excess: (node.excess - leaks + 1000).max(0), last }
    }

    /// For how long a request is held back that makes such an excess.
    fn delay(&self, excess: i64) -> i64 {
        (excess - self.settings.delay).max(0) * 1000 / self.settings.rate
    }
}

/// A request that has a key for each of these limits: the first that refuses it ends the matter, and
/// nothing is charged; else the longest delay counts, of equal ones the last.
fn ask_models(models: &mut [Model], keys: &[u8], now: i64) -> Answer {
    let nodes: Vec<Node> =
        models.iter().zip(keys).map(|(model, key)| model.with_request(*key, now)).collect();
    let over = |(model, node): (&Model, &Node)| node.excess > model.settings.burst;
    if let Some(limit) = models.iter().zip(&nodes).position(over) {
        return Answer::Refused { limit, excess: nodes[limit].excess };
    }
    let delays = models.iter().zip(&nodes).map(|(model, node)| model.delay(node.excess));
    let (limit, milliseconds) =
        delays.enumerate().max_by_key(|(_, delay)| *delay).expect("a limit");
    for ((model, key), node) in models.iter_mut().zip(keys).zip(&nodes) {
        model.nodes.insert(*key, *node);
    }
    match milliseconds {
        0 => Answer::Passed,
        _ => Answer::Delayed { milliseconds, limit, excess: nodes[limit].excess },
    }
}

/// How often each kind of answer was given.
#[derive(Default, Debug)]
struct Tally {
    passed: usize,
    delayed: usize,
    refused: usize,
}

impl Tally {
    fn add(&mut self, answer: Answer) {
        *match answer {
            Answer::Passed => &mut self.passed,
            Answer::Delayed { .. } => &mut self.delayed,
            Answer::Refused { .. } => &mut self.refused,
        } += 1;
    }

    /// Asserts that so many requests were made, and that each kind had a good part.
    fn assert_all_kinds_of(&self, requests: usize) {
        let kinds = [self.passed, self.delayed, self.refused];
        assert_eq!(kinds.iter().sum::<usize>(), requests);
        assert!(kinds.iter().all(|count| *count > requests / 10), "{self:?}");
    }
}

/// What one limit of ours says.
fn answer_of(offer: Offer) -> Answer {
    match offer {
        Offer::Passes { delay: 0, .. } => Answer::Passed,
        Offer::Passes { excess, delay, .. } => {
            Answer::Delayed { milliseconds: delay as i64, limit: 0, excess: excess.into() }
        }
        Offer::Refused { excess, .. } => Answer::Refused { limit: 0, excess: excess.into() },
    }
}

/// What several limits of ours say, asked as the handler asks them.
fn ask_limiters(limiters: &[(Limiter, Limit)], keys: &[u8], turn: Turn) -> Answer {
    let tags: Vec<Tag> =
        limiters.iter().zip(keys).map(|((limiter, _), key)| limiter.tag(&[*key])).collect();
    if let ([(limiter, limit)], [tag]) = (limiters, &tags[..]) {
        // A limit alone has a way of its own for who passes at once.
        if limiter.pass(*tag, *limit, turn.now).is_ok() {
            return Answer::Passed;
        }
    }
    let read = |((limiter, limit), tag): (&(Limiter, Limit), &Tag)| {
        answer_of(limiter.bucket(*tag).offer(limit, turn.now))
    };
    let answers = limiters.iter().zip(&tags).map(read);
    for (limit, answer) in answers.enumerate() {
        if let Answer::Refused { excess, .. } = answer {
            return Answer::Refused { limit, excess };
        }
    }
    let votes: Vec<Vote> = limiters
        .iter()
        .zip(tags)
        .map(|((limiter, limit), tag)| {
            let (offer, _) = limiter.charge(tag, *limit, turn);
            Vote { limit: *limit, offer, is_dry: false }
        })
        .collect();
    let limit = decisive(votes.iter().copied()).expect("a limit");
    match answer_of(votes[limit].offer) {
        Answer::Delayed { milliseconds, excess, .. } => {
            Answer::Delayed { milliseconds, limit, excess }
        }
        answer => answer,
    }
}

/// A limit at random, of a rate that is exact in thousandths of a request per second.
fn limit(numbers: &mut Numbers) -> (Limit, Settings) {
    let (text, rate) = match numbers.below(4) {
        0 => {
            let third = 1 + numbers.below(40);
            (format!("{}r/m", third * 3), third * 50)
        }
        other => {
            let requests = 1 + numbers.below([20, 10_000, 2_000_000][other as usize - 1]);
            (format!("{requests}r/s"), requests * 1000)
        }
    };
    let largest = u64::from(BURST_MAX);
    let (few, some) = (1 + numbers.below(5), numbers.below(100));
    let burst = numbers.one_of(&[0, few, some, largest - 1, largest]);
    // `delay=N`; without it all are delayed, and with `nodelay` none.
    let some = 1 + numbers.below(50);
    let delay = numbers.one_of(&[0, some, (u32::MAX / REQUEST).into()]);
    let [burst, delay] = [burst, delay].map(|requests| requests as u32 * REQUEST);
    let rate_of_ours = Rate::parse(text.as_bytes()).expect("a rate");
    (
        Limit { rate: rate_of_ours, burst, delay },
        Settings { rate: rate as i64, burst: burst.into(), delay: delay.into() },
    )
}

/// The clock when the first request arrives: also where its 32 bits come round.
fn start(numbers: &mut Numbers) -> i64 {
    let round = 1_i64 << 32;
    let some = numbers.below(40 * DAY) as i64;
    numbers.one_of(&[100_000 + some, round - some, round - some % 100_000, round - some % 100])
}

/// When requests arrive, in milliseconds: at once, soon, days later; and the clock may be set back.
struct Arrivals {
    now: i64,
    latest: i64,
    with_steps: bool,
}

impl Arrivals {
    fn starting_at(now: i64, with_steps: bool) -> Self {
        Self { now, latest: now, with_steps }
    }

    fn next(&mut self, numbers: &mut Numbers) -> u64 {
        let gap = match numbers.below(100) {
            0..30 => 0,
            30..60 => 1 + numbers.below(20) as i64,
            60..80 => 1 + numbers.below(2_000) as i64,
            80..95 => 1 + numbers.below(120_000) as i64,
            95..96 => 1 + numbers.below(40 * DAY) as i64,
            _ if self.with_steps => -(numbers.below(60_000) as i64),
            _ => 0,
        };
        // A clock that is further behind than this is another matter.
        self.now = (self.now + gap).max(self.latest - 60_000);
        self.latest = self.latest.max(self.now);
        self.now as u64
    }
}

#[test]
fn a_bucket_answers_as_limit_req() {
    let mut tally = Tally::default();
    for seed in 0..1_000 {
        let numbers = &mut Numbers::new(seed);
        let (limit, settings) = limit(numbers);
        let mut arrivals = Arrivals::starting_at(start(numbers), true);
        let (mut models, mut bucket) = ([Model::new(settings)], Bucket::EMPTY);
        if numbers.below(2) == 0 {
            // Full to some degree, as no number of requests here could make a large one.
            let excess = numbers.below(u64::from(limit.burst) + 1);
            bucket = Bucket { level: excess as u32 + REQUEST, last: arrivals.now as u32 };
            models[0].nodes.insert(0, Node { excess: excess as i64, last: arrivals.now });
        }
        for _ in 0..1_100 {
            let now = arrivals.next(numbers);
            let offer = bucket.offer(&limit, now);
            if let Offer::Passes { charged, .. } = offer {
                bucket = charged;
            }
            let expected = ask_models(&mut models, &[0], now as i64);
            assert_eq!(answer_of(offer), expected, "seed {seed}, {limit:?}, at {now}");
            tally.add(expected);
        }
    }
    tally.assert_all_kinds_of(1_100_000);
}

#[test]
fn a_table_answers_as_limit_req() {
    let mut tally = Tally::default();
    for seed in 0..200 {
        let numbers = &mut Numbers::new(seed);
        let limits: Vec<_> = (0..=numbers.below(3)).map(|_| limit(numbers)).collect();
        let mut arrivals = Arrivals::starting_at(start(numbers), seed % 2 == 0);
        let mut models: Vec<_> = limits.iter().map(|(_, settings)| Model::new(*settings)).collect();
        let zones = [(); 3].map(|()| memory());
        let limiters: Vec<_> = zones
            .iter()
            .zip(&limits)
            .map(|(words, (limit, _))| {
                (Limiter::create(words, [3, 4, 5, seed]).expect("room"), *limit)
            })
            .collect();
        for _ in 0..1_000 {
            let now = arrivals.next(numbers);
            // A clock that is set back does not bring back what was swept as empty.
            if numbers.below(50) == 0 && !arrivals.with_steps {
                limiters.iter().for_each(|(limiter, limit)| limiter.sweep(Some(limit.rate), now));
            }
            let keys = [2, 3, 5].map(|bound| numbers.below(bound) as u8);
            let answer = ask_limiters(&limiters, &keys, Turn { now, worker: 0 });
            let expected = ask_models(&mut models, &keys, now as i64);
            assert_eq!(answer, expected, "seed {seed}, {limits:?}, keys {keys:?} at {now}");
            tally.add(expected);
        }
    }
    tally.assert_all_kinds_of(200_000);
}

/// A small zone.
fn memory() -> Vec<Word> {
    (0..2 * 1024).map(|_| Word::new(0)).collect()
}

/// A limiter with a key whose bucket is full, idle for so many days, during which the zone is swept as
/// a worker does it; then it must be as good as new.
fn idle(rate: &str, burst: u32, start: u64, days: u64) {
    let words = memory();
    let limiter = Limiter::create(&words, [3, 4, 5, 6]).expect("room");
    let leak = Rate::parse(rate.as_bytes()).expect("a rate");
    let limit = Limit { rate: leak, burst: burst * REQUEST, delay: u32::MAX };
    let passed = |now| {
        let turn = Turn { now, worker: 0 };
        let pass = |_: &usize| limiter.charge(limiter.tag(b"key"), limit, turn).1.is_some();
        (0..2 * burst as usize + 5).filter(pass).count()
    };
    let full = burst as usize + 1;
    assert_eq!(passed(start), full, "{rate} from {start}");
    assert_eq!(passed(start), 0, "{rate} from {start}");
    for day in 1..=days {
        // So small a zone is swept at once.
        limiter.sweep(Some(leak), start + day * DAY);
    }
    assert_eq!(passed(start + days * DAY), full, "{rate} from {start}, {days} days later");
}

#[test]
fn who_was_idle_for_weeks_is_as_good_as_new() {
    for days in [1, 20, 25, 49, 50, 100] {
        for start in [1, DAY, 1 << 31, (1 << 32) - 1, 1 << 32, (1 << 32) - 25 * DAY, 1 << 40] {
            idle("1r/s", 0, start, days);
            idle("1r/m", 5, start, days);
            idle("10r/d", 9, start, days);
        }
    }
}

#[test]
fn without_a_sweep_too_an_idle_key_is_forgotten_until_the_clock_comes_round() {
    let limit = Limit { rate: Rate::DEFAULT, burst: 0, delay: 0 };
    for start in [1, 1 << 31, (1 << 32) - 1, 1 << 40] {
        let Offer::Passes { charged, .. } = Bucket::EMPTY.offer(&limit, start) else {
            panic!("an empty bucket refuses");
        };
        for days in [1, 20, 24, 25, 40, 49] {
            let offer = charged.offer(&limit, start + days * DAY);
            assert!(matches!(offer, Offer::Passes { excess: 0, .. }), "{days} days: {offer:?}");
        }
    }
}
