//! Instructions in user space of a call of the limiter's handler, with all that it calls.

use anyhow::{ensure, Result};

use crate::callgrind::{Profile, Profiled};
use crate::common::client::Client;
use crate::common::Numbers;
use crate::limit::{Key, Limiter, Plan};
use crate::limit_client::{ask_each, status};
use crate::report::thousands;
use crate::site::Site;

/// Requests that are counted.
const REQUESTS: usize = 1_000;
/// Keys that are put into the zone of 1 MB to fill it: more than either limiter can hold.
const MORE_THAN_FULL: u64 = 80_000;
/// The target for what this module does beyond its floor.
const BEYOND_FLOOR_MAX: f64 = 150.0;

/// What is asked, in a zone that holds some keys; in the order of the report.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Case {
    /// A request that its own key lets bypass the limiter: what any request costs that has one. The
    /// guard against panics, the mark that a request is limited once, the key's evaluation.
    Floor,
    /// A request without a key, which is not limited.
    NoKey,
    /// Known keys, let through.
    Pass,
    /// Keys that the zone does not know, let through.
    New,
    /// Known keys, refused; nothing is logged at this level.
    Refuse,
    /// The same, without the header `Retry-After`.
    Bare,
    /// Known keys, refused; a line each in the error log.
    Logged,
    /// Known keys, let through with the headers `RateLimit` and `RateLimit-Policy`.
    Draft,
}

impl Case {
    /// The name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Floor => "bypassed (the floor)",
            Self::NoKey => "no key",
            Self::Pass => "pass",
            Self::New => "pass, a new key",
            Self::Refuse => "refuse, not logged",
            Self::Bare => "refuse, not logged, no `Retry-After`",
            Self::Logged => "refuse, logged",
            Self::Draft => "pass, headers of the draft",
        }
    }

    /// Only this module can do it.
    fn is_ours_alone(self) -> bool {
        matches!(self, Self::Floor | Self::Bare | Self::Draft)
    }

    /// Its location's directives beside the limit itself; `limit_req` is what they are called.
    fn directives(self, key: Key) -> String {
        match self {
            Self::Floor => format!("limit_req_bypass {};", key.variable()),
            Self::NoKey | Self::Pass | Self::New | Self::Logged => String::new(),
            Self::Refuse => "limit_req_log_level info;".to_owned(),
            Self::Bare => "limit_req_log_level info; limit_req_headers off;".to_owned(),
            Self::Draft => "limit_req_headers draft;".to_owned(),
        }
    }

    fn status(self) -> u16 {
        match self {
            Self::Refuse | Self::Logged | Self::Bare => 503,
            _ => 200,
        }
    }
}

/// A zone.
struct Zone {
    name: String,
    key: Key,
    held: u64,
    is_full: bool,
    /// The first lets everything through: with it the zone is filled.
    cases: Vec<Case>,
}

impl Zone {
    fn new(key: Key, held: u64) -> Self {
        let mut cases = vec![Case::Pass, Case::Refuse, Case::Logged];
        match held {
            1 => cases.extend([Case::Floor, Case::Bare, Case::Draft]),
            _ => cases.push(Case::New),
        }
        // Only an argument can be missing.
        if held == 1 && key == Key::Argument {
            cases.push(Case::NoKey);
        }
        Self { name: format!("{key:?}{held}"), key, held, is_full: false, cases }
    }

    fn full(key: Key) -> Self {
        let name = format!("{key:?}full");
        Self { name, key, held: MORE_THAN_FULL, is_full: true, cases: vec![Case::New] }
    }

    fn definition(&self) -> String {
        let size = if self.is_full { "1m" } else { "16m" };
        format!("limit_req_zone {} zone={}:{size} rate=1r/m;\n", self.key.variable(), self.name)
    }

    fn location(&self, case: Case) -> String {
        format!("/{}/{case:?}", self.name)
    }

    fn configuration(&self, case: Case) -> String {
        let burst = if case.status() == 200 { "burst=1000000 nodelay" } else { "" };
        format!(
            "location = {} {{\nlimit_req zone={} {burst};\n{}\nempty_gif;\n}}\n",
            self.location(case),
            self.name,
            case.directives(self.key),
        )
    }
}

/// Instructions of one kind of call.
pub struct Row {
    pub key: Key,
    /// Keys in the zone; none where it is full.
    pub held: Option<u64>,
    pub case: Case,
    /// Not a number where `limit_req` cannot do it.
    pub limit_req: f64,
    pub smart_limit: f64,
    /// Where this module's go, function by function.
    pub functions: Vec<(String, f64)>,
}

impl Row {
    /// How many keys are in the zone, for tables.
    pub fn among(&self) -> String {
        self.held.map_or("full".to_owned(), |held| thousands(held as f64))
    }
}

/// Instructions of all kinds of calls.
pub struct Instructions(pub Vec<Row>);

impl Instructions {
    /// What this module does for any request that has such a key.
    pub fn floor(&self, key: Key) -> f64 {
        let floor = self.0.iter().find(|row| row.case == Case::Floor && row.key == key);
        floor.map_or(f64::NAN, |row| row.smart_limit)
    }

    /// The most that a call may take, if there is a target for it.
    pub fn target(&self, row: &Row) -> Option<f64> {
        let beyond_floor = self.floor(row.key) + BEYOND_FLOOR_MAX;
        match (row.case, row.key, row.held) {
            (Case::Pass, Key::Address, Some(1)) => Some(beyond_floor.max(260.0)),
            (Case::Pass, Key::Address, Some(100_000)) => Some(beyond_floor.max(300.0)),
            (Case::Pass, ..) => Some(beyond_floor),
            (Case::New, Key::Address, _) => Some(400.0),
            (Case::Refuse, Key::Address, _) => Some(300.0),
            _ => None,
        }
    }
}

/// Counts everything, for both limiters.
pub fn measure(plan: &Plan) -> Result<Instructions> {
    let site = Site::make(0)?;
    let mut zones: Vec<Zone> = [Key::Address, Key::Argument]
        .into_iter()
        .flat_map(|key| {
            let held = std::iter::once(1).chain(plan.held.iter().copied());
            held.map(move |held| Zone::new(key, held))
        })
        .collect();
    zones.extend([Key::Address, Key::Argument].map(Zone::full));
    eprintln!("counting the instructions of limit_req");
    let theirs = profiles(&site, Limiter::LimitReq, &zones)?;
    eprintln!("counting the instructions of smart_limit");
    let ours = profiles(&site, Limiter::SmartLimit, &zones)?;
    let kinds = zones.iter().flat_map(|zone| zone.cases.iter().map(move |&case| (zone, case)));
    let rows = kinds.zip(theirs).zip(ours).map(|(((zone, case), theirs), ours)| {
        let ours = ours.expect("this module does everything");
        let functions = ours.ranking().into_iter();
        Row {
            key: zone.key,
            held: (!zone.is_full).then_some(zone.held),
            case,
            limit_req: theirs.map_or(f64::NAN, |profile| profile.total),
            smart_limit: ours.total,
            functions: functions.map(|(name, count)| (name.to_owned(), count)).collect(),
        }
    });
    let mut rows: Vec<Row> = rows.collect();
    // A full zone comes last.
    rows.sort_by_key(|row| (row.key, row.case, row.held.unwrap_or(u64::MAX)));
    Ok(Instructions(rows))
}

/// The profiles of all cases of all zones; none for what this limiter cannot do.
fn profiles(site: &Site, limiter: Limiter, zones: &[Zone]) -> Result<Vec<Option<Profile>>> {
    let can = |case: Case| limiter == Limiter::SmartLimit || !case.is_ours_alone();
    let mut http = "set_real_ip_from 127.0.0.1;\nreal_ip_header X-Real-IP;\n".to_owned();
    let mut server = String::new();
    for zone in zones {
        http += &zone.definition();
        let cases = zone.cases.iter().filter(|case| can(**case));
        server.extend(cases.map(|&case| zone.configuration(case)));
    }
    let configuration = limiter.configuration("instructions", 1, &http, &server)?;
    let options =
        ["--instr-atstart=no".to_owned(), format!("--toggle-collect={}", limiter.handler())];
    let mut nginx = Profiled::start(site, &configuration, &options)?;
    for zone in zones {
        let all: Vec<u64> = (0..zone.held).collect();
        ask_each(nginx.port(), &zone.location(zone.cases[0]), zone.key, &all)?;
    }
    nginx.instrument()?;
    let kinds = zones.iter().flat_map(|zone| zone.cases.iter().map(move |&case| (zone, case)));
    let profiles = kinds
        .map(|(zone, case)| can(case).then(|| profile(&mut nginx, zone, case)).transpose())
        .collect::<Result<_>>()?;
    nginx.end();
    Ok(profiles)
}

fn profile(nginx: &mut Profiled, zone: &Zone, case: Case) -> Result<Profile> {
    let mut numbers = Numbers::new(1);
    let mut requests = (0..).map(|i| match case {
        Case::New => zone.held + i,
        _ => numbers.below(zone.held),
    });
    let location = zone.location(case);
    let mut client = Client::connect(nginx.port());
    let mut ask = || {
        let number = requests.next().expect("there is no last number");
        let status = match case {
            Case::NoKey => client.get(&location).status,
            _ => status(&mut client, &location, zone.key, number),
        };
        ensure!(status == case.status(), "{location} is answered with status {status}");
        Ok(())
    };
    // The first call also finds the functions of shared objects.
    ask()?;
    nginx.count(REQUESTS, || (0..REQUESTS).try_for_each(|_| ask()))
}
