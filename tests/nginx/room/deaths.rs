//! Workers that die at any moment, with the lock of a room too: order, places and seats are kept, nobody
//! has two, no more are inside than may be, and whoever asks is answered.

use std::fs::{self, File};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{mknodat, FileType, Mode, CWD};

use crate::common::clock::Clock;
use crate::common::death::Death;
use crate::common::limit::QUIET;
use crate::common::nginx::Nginx;
use crate::common::process::{self, Signal};
use crate::common::room::{counts, queue, room, seated, Visitor, PAUSE, ROOM_TYPE};
use crate::common::{dose, wait_until, Numbers};

/// The moments at which a worker is to die that does this.
fn moments(death: &Death, work: impl FnOnce()) -> Vec<u64> {
    let all = death.measure(work);
    assert!(all > 500, "{all} instructions");
    let count = dose(16, 500) as u64;
    (0..count).map(|number| 1 + number * all / count).collect()
}

/// Somebody inside, and those who wait in their order, while workers die.
struct Scene {
    clock: Clock,
    death: Death,
    nginx: Nginx,
    inside: Visitor,
    waiting: Vec<Visitor>,
    deaths: usize,
}

/// How many seconds one who is absent keeps his place after his interval.
const ABSENT: u64 = 1_000;
/// Longer than any test.
const FOR_LONG: &str = "session=365d token=365d";

impl Scene {
    /// One seat, which is taken, and five who wait.
    fn set(session: &str) -> Option<Self> {
        let rules = format!("max_active=1 {session} absent={ABSENT}s refresh=5s:5s");
        let (death, setup) = Death::into(room(&rules).workers(2))?;
        let (clock, setup) = Clock::into(setup);
        let nginx = setup.start();
        nginx.allow_deaths();
        let (inside, waiting) = (seated(&nginx), queue(&nginx, "/", 5));
        Some(Self { clock, death, nginx, inside, waiting, deaths: 0 })
    }

    /// Somebody takes the last place.
    #[track_caller]
    fn join(&mut self, mut visitor: Visitor) {
        assert_eq!(visitor.join("/")["position"], self.waiting.len() + 1);
        self.waiting.push(visitor);
    }

    /// Everybody is where he should be, and nobody has two places.
    #[track_caller]
    fn check(&mut self) {
        assert_eq!(self.inside.get("/").verdict(), "200 ADMITTED");
        for (place, visitor) in self.waiting.iter_mut().enumerate() {
            assert_eq!(visitor.poll("/")["position"], place + 1);
        }
        assert_eq!(counts(&self.nginx), (self.waiting.len() as u64, 1));
    }

    /// The moments of one poll of a visitor.
    fn moments(&self, visitor: &mut Visitor) -> Vec<u64> {
        moments(&self.death, || drop(visitor.poll("/")))
    }

    /// A visitor polls, and the worker dies at this moment. Then he asks again, and is answered.
    fn poll_and_die(&mut self, visitor: &mut Visitor, moment: u64) -> serde_json::Value {
        self.death.strike_after(moment);
        let _ = visitor.try_get("/", &[("Accept", ROOM_TYPE)]);
        self.deaths += usize::from(self.death.spare());
        let told = visitor.poll("/");
        wait_until("two workers", || self.nginx.workers().len() == 2);
        told
    }

    /// Most of the moments were such that a worker died, and often with the lock.
    #[track_caller]
    fn assert_deaths(&self, moments: usize) {
        assert!(self.deaths * 2 > moments, "{} of {moments} died", self.deaths);
        let with_lock = self.nginx.deaths_with_lock();
        assert!(with_lock * 2 > self.deaths, "{with_lock} of {} with the lock", self.deaths);
    }
}

#[test]
fn a_worker_may_die_at_any_moment_of_a_poll() {
    let Some(mut scene) = Scene::set(FOR_LONG) else { return };
    let mut visitor = scene.waiting[2].clone();
    let moments = scene.moments(&mut visitor);
    for moment in &moments {
        assert_eq!(scene.poll_and_die(&mut visitor, *moment)["position"], 3, "{moment}");
        scene.check();
    }
    scene.assert_deaths(moments.len());
}

#[test]
fn a_worker_may_die_at_any_moment_of_an_arrival() {
    let Some(mut scene) = Scene::set(FOR_LONG) else { return };
    let newcomer = |scene: &Scene| {
        let mut visitor = Visitor::new(&scene.nginx);
        assert_eq!(visitor.get("/").verdict(), "503 WAITING");
        visitor
    };
    let mut first = newcomer(&scene);
    let moments = scene.moments(&mut first);
    scene.waiting.push(first);
    for moment in &moments {
        let mut visitor = newcomer(&scene);
        let told = scene.poll_and_die(&mut visitor, *moment);
        assert_eq!(told["position"], scene.waiting.len() + 1, "{moment}");
        scene.waiting.push(visitor);
        scene.check();
    }
    scene.assert_deaths(moments.len());
}

#[test]
fn a_worker_may_die_at_any_moment_of_an_admission() {
    const SESSION: u64 = 100;
    let Some(mut scene) = Scene::set(&format!("session={SESSION}s")) else { return };
    scene.clock.advance_seconds(SESSION);
    let mut first = scene.waiting.remove(0);
    let moments = scene.moments(&mut first);
    let mut outside = std::mem::replace(&mut scene.inside, first);
    for moment in &moments {
        scene.join(outside);
        scene.check();
        scene.clock.advance_seconds(SESSION);
        let mut next = scene.waiting.remove(0);
        assert_eq!(scene.poll_and_die(&mut next, *moment)["status"], "admitted", "{moment}");
        outside = std::mem::replace(&mut scene.inside, next);
        scene.check();
    }
    scene.assert_deaths(moments.len());
}

#[test]
fn a_worker_may_die_at_any_moment_while_an_absentee_loses_his_place() {
    let Some(mut scene) = Scene::set(FOR_LONG) else { return };
    let make_first_absent = |scene: &mut Scene| {
        scene.clock.advance_seconds(ABSENT / 2);
        scene.waiting[1..].iter_mut().for_each(|visitor| drop(visitor.poll("/")));
        scene.clock.advance_seconds(ABSENT / 2 + 7);
        let absent = scene.waiting.remove(0);
        (absent, scene.waiting[0].clone())
    };
    let (absent, mut next) = make_first_absent(&mut scene);
    let moments = scene.moments(&mut next);
    scene.join(absent);
    for moment in &moments {
        scene.check();
        let (absent, mut next) = make_first_absent(&mut scene);
        assert_eq!(scene.poll_and_die(&mut next, *moment)["position"], 1, "{moment}");
        scene.check();
        scene.join(absent);
    }
    scene.assert_deaths(moments.len());
}

#[test]
fn a_worker_may_die_at_any_moment_while_it_gives_a_seat_on_a_first_visit() {
    let rules = "max_active=2 session=1h absent=10s";
    let Some((death, setup)) = Death::into(room(rules).workers(2)) else { return };
    let (clock, setup) = Clock::into(setup);
    let nginx = setup.start();
    nginx.allow_deaths();
    let visit = || Visitor::new(&nginx).try_get("/", &[]).map(|response| response.verdict());
    let moments = moments(&death, || assert_eq!(visit().as_deref(), Some("200 ADMITTED")));
    let mut deaths = 0;
    for moment in &moments {
        // Nobody comes with the cookie of such a seat, and so it is soon free again.
        clock.advance_seconds(11);
        assert_eq!(counts(&nginx), (0, 0), "{moment}");
        death.strike_after(*moment);
        let first = visit();
        deaths += usize::from(death.spare());
        let given = counts(&nginx).1;
        assert!(given == 1 || first.is_none() && given == 0, "{moment}: {first:?}, {given} given");
        let second = if given == 0 { "200 ADMITTED" } else { "503 WAITING" };
        assert_eq!(visit().as_deref(), Some(second), "{moment}: half of the seats may be given so");
        wait_until("two workers", || nginx.workers().len() == 2);
    }
    assert!(deaths * 2 > moments.len(), "{deaths} of {} died", moments.len());
}

/// Waits until the master does something else than to wait for signals: then it takes none.
fn wait_until_busy(master: process::Id) {
    let blocked = || {
        let status = fs::read_to_string(format!("/proc/{master}/status")).unwrap_or_default();
        let line =
            status.lines().find_map(|line| line.strip_prefix("SigBlk:\t").map(str::to_owned));
        u64::from_str_radix(&line.expect("the signals that are blocked"), 16).expect("a number")
    };
    wait_until("the master at work", || blocked() & 1 << (Signal::CHILD.as_raw() - 1) != 0);
}

#[test]
fn a_worker_may_die_with_the_lock_while_the_master_reads_a_configuration() {
    let Some(mut scene) = Scene::set(FOR_LONG) else { return };
    let mut visitor = scene.waiting[2].clone();
    let moments = scene.moments(&mut visitor);
    // Whoever opens this waits until somebody opens it at its other end.
    let fifo = scene.nginx.prefix().join("fifo");
    mknodat(CWD, &fifo, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).expect("a fifo");
    let include = format!("include {};\nevents {{", fifo.display());
    scene.nginx.reconfigure(|text| text.replace("events {", &include));
    let old = scene.nginx.workers();
    process::signal(scene.nginx.master(), Signal::HUP);
    wait_until_busy(scene.nginx.master());
    scene.death.strike_after(moments[moments.len() / 2]);
    assert!(visitor.try_get("/", &[]).is_none());
    assert!(scene.death.spare(), "it has died");
    drop(File::options().write(true).open(&fifo).expect("the other end"));
    wait_until("the workers of the new configuration", || {
        let now = scene.nginx.workers();
        now.len() == 2 && now.iter().all(|worker| !old.contains(worker))
    });
    wait_until("its death in the log", || scene.nginx.deaths_with_lock() == 1);
    scene.check();
}

/// Has some join who never come again; the room becomes empty if somebody sweeps.
fn leave_to_the_sweep(nginx: &Nginx, meanwhile: impl FnOnce()) {
    for _ in 0..20 {
        Visitor::new(nginx).join("/");
    }
    assert_eq!(counts(nginx).0, 20);
    meanwhile();
    wait_until("an empty room", || counts(nginx).0 == 0);
}

#[test]
fn another_worker_sweeps_when_one_is_killed_or_hangs() {
    let rules = "max_active=1 session=1h absent=5s refresh=1s:1s";
    let nginx = room(rules).workers(2).start();
    nginx.allow_deaths();
    seated(&nginx);
    // One of the two does it: each in turn is killed, and each in turn stopped.
    for place in 0..2 {
        leave_to_the_sweep(&nginx, || nginx.kill_worker(nginx.workers()[place]));
    }
    for worker in nginx.workers() {
        leave_to_the_sweep(&nginx, || process::stop(worker));
        assert!(process::signal(worker, Signal::CONT));
    }
}

/// When somebody was surely inside: from an answer of the site to the last request that it answered.
#[derive(Clone, Copy)]
struct Stay {
    from: Instant,
    until: Instant,
}

/// What one visitor does until he is told to stop: he waits, is inside until his session ends, and waits again.
fn come_and_go(visitor: &mut Visitor, stop: &AtomicBool, stays: &Mutex<Vec<Stay>>, seats: u64) {
    let mut position = u64::MAX;
    let mut stay: Option<Stay> = None;
    while !stop.load(Ordering::Relaxed) {
        let asked = Instant::now();
        thread::sleep(PAUSE);
        let Some(response) = visitor.try_get("/", &[("Accept", "application/json")]) else {
            continue;
        };
        if response.verdict() == "200 ADMITTED" {
            let from = stay.map_or_else(Instant::now, |stay| stay.from);
            stay = Some(Stay { from, until: asked.max(from) });
            position = u64::MAX;
            continue;
        }
        stays.lock().expect("no panic").extend(stay.take());
        assert_eq!(response.verdict(), "503 WAITING");
        let told = response.json();
        assert!(told["active"].as_u64().expect("a number") <= seats, "{told}");
        // It never grows. Without one he has lost nothing: he has only just come back.
        if let Some(now) = told["position"].as_u64() {
            assert!(now <= position, "{now} after {position}");
            position = now;
        } else {
            assert_eq!(position, u64::MAX, "a place is lost");
        }
    }
    stays.lock().expect("no panic").extend(stay);
}

/// The most who were inside at one time.
fn most_at_once(stays: &[Stay]) -> usize {
    let at = |time: Instant| {
        stays.iter().filter(move |stay| stay.from <= time && time <= stay.until).count()
    };
    stays.iter().map(|stay| at(stay.from)).max().unwrap_or_default()
}

fn survive_kills(workers: usize) {
    const SEATS: u64 = 2;
    let rules = "max_active=2 session=1s absent=8s refresh=1s:1s";
    let nginx = room(rules).http(QUIET).workers(workers).start();
    nginx.allow_deaths();
    let (stop, stays) = (AtomicBool::new(false), Mutex::default());
    let mut numbers = Numbers::new(workers as u64);
    thread::scope(|scope| {
        let (stop, stays) = (&stop, &stays);
        let visitors: Vec<_> = (0..8)
            .map(|_| Visitor::new(&nginx))
            .map(|mut visitor| scope.spawn(move || come_and_go(&mut visitor, stop, stays, SEATS)))
            .collect();
        for _ in 0..dose(20, 500) {
            thread::sleep(Duration::from_micros(numbers.below(50_000)));
            let workers = nginx.workers();
            nginx.kill_worker(workers[numbers.below(workers.len() as u64) as usize]);
        }
        let admitted = || stays.lock().expect("no panic").len();
        let before = admitted();
        wait_until("more to get in after the last death", || admitted() >= before + 4);
        stop.store(true, Ordering::Relaxed);
        visitors.into_iter().for_each(|visitor| visitor.join().expect("a visitor"));
    });
    let stays = stays.into_inner().expect("no panic");
    assert!(most_at_once(&stays) <= SEATS as usize, "{} inside", most_at_once(&stays));
    // The crowd has gone: the room closes.
    wait_until("an empty room", || counts(&nginx) == (0, 0));
    assert_eq!(Visitor::new(&nginx).poll("/counts")["status"], "passed");
}

#[test]
fn a_room_survives_the_deaths_of_two_workers_under_load() {
    survive_kills(2);
}

#[test]
fn a_room_survives_the_deaths_of_four_workers_under_load() {
    survive_kills(4);
}
