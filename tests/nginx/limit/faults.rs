//! Counts stay right whatever happens: workers that are killed, many workers at one key, a zone
//! with more keys than it holds. And no memory is lost by it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use crate::common::clock::Clock;
use crate::common::limit::{
    add, hammer, hammer_at_once, limited, passed, passed_at_once, statuses_at_once, Counts, QUIET,
};
use crate::common::nginx::Nginx;
use crate::common::{dose, process, Numbers};

/// How many requests of each key pass at once at `/many` and at `/once`.
const MANY: usize = 100;

/// How many workers are killed under each of two loads; a longer one would fill the zone.
const KILLS: usize = 10;

/// How many requests of a key pass at once at `/hot`.
const HOT: usize = 20_000;

/// The keys that are asked for again and again.
const KEYS: u64 = 50;

/// Two limits of one request a second, under a clock that stands still.
fn start(workers: usize) -> (Clock, Nginx) {
    let (clock, setup) = Clock::into(
        limited()
            .workers(workers)
            .http("smart_limit_zone $uri$arg_k zone=one:4m rate=1r/s;\n")
            .http(QUIET)
            .limit("/many", &format!("smart_limit zone=one burst={} nodelay;", MANY - 1))
            // As little else to do as can be: then workers meet at the limit most often.
            .location(
                "/hot",
                &format!(
                    "smart_limit zone=one burst={} nodelay; empty_gif; access_log off;",
                    HOT - 1
                ),
            )
            .limit("/once", "smart_limit zone=one;"),
    );
    (clock, setup.start())
}

/// Asks for old keys and new ones, over connections that come and go, until told to stop.
fn hammer_until(stop: &AtomicBool, port: u16, client: u64) -> Counts {
    let mut counts = Counts::new();
    let mut numbers = Numbers::new(client + 1);
    let mut fresh = 0;
    while !stop.load(Ordering::Relaxed) {
        let paths = (0..24).flat_map(|_| {
            fresh += 1;
            let old = format!("/many?k={}", numbers.below(KEYS));
            let new = format!("/once?k={client}.{fresh}");
            [old, new.clone(), new]
        });
        hammer(port, paths.collect::<Vec<_>>(), &mut counts);
    }
    counts
}

/// Kills workers at random moments of a load, and returns what came of the load's requests.
fn kill_under_load(nginx: &Nginx, seed: u64) -> Counts {
    let stop = AtomicBool::new(false);
    let mut counts = Counts::new();
    let mut numbers = Numbers::new(seed);
    thread::scope(|scope| {
        let stop = &stop;
        let port = nginx.port();
        let clients: Vec<_> = (0..6)
            .map(|client| scope.spawn(move || hammer_until(stop, port, seed * 100 + client)))
            .collect();
        for _ in 0..KILLS {
            thread::sleep(Duration::from_micros(numbers.below(10_000)));
            let workers = nginx.workers();
            nginx.kill_worker(workers[numbers.below(workers.len() as u64) as usize]);
        }
        stop.store(true, Ordering::Relaxed);
        for client in clients {
            add(&mut counts, client.join().expect("a client"));
        }
    });
    counts
}

/// Asks until no more passes: what was not asked for before is now.
fn use_up(nginx: &Nginx, counts: &mut Counts) {
    for key in 0..KEYS {
        let paths = vec![format!("/many?k={key}"); MANY + 1];
        hammer(nginx.port(), paths, counts);
    }
    let broken: Vec<String> =
        counts.iter().filter(|(_, count)| count.broken > 0).map(|(path, _)| path.clone()).collect();
    for path in broken {
        hammer(nginx.port(), vec![path; 2], counts);
    }
}

/// Each key has had its number and no more. A request whose worker was killed may have been counted
/// or not.
#[track_caller]
fn assert_exact(counts: &Counts, many: usize) {
    for (path, count) in counts {
        let allowed = if path.starts_with("/many") { many } else { 1 };
        assert!(count.passed <= allowed, "{path}: {count:?}, allowed {allowed}");
        assert!(count.passed + count.broken >= allowed, "{path}: {count:?}, allowed {allowed}");
    }
}

fn survive_kills(workers: usize) {
    let (clock, nginx) = start(workers);
    let mut counts = kill_under_load(&nginx, 1);
    let broken: usize = counts.values().map(|count| count.broken).sum();
    assert!(broken > 0, "the killed workers were at work");
    use_up(&nginx, &mut counts);
    assert_exact(&counts, MANY);
    // And what the rate allows passes again, through more of the same.
    clock.advance_seconds(10);
    let mut counts = kill_under_load(&nginx, 2);
    use_up(&nginx, &mut counts);
    assert_exact(&counts, 10);
    clock.advance_seconds(1);
    for key in 0..KEYS {
        assert_eq!(passed(&nginx, &format!("/many?k={key}"), 3), 1, "key {key}");
    }
}

#[test]
fn counts_stay_right_when_one_of_two_workers_is_killed_again_and_again() {
    for _ in 0..dose(1, 100) {
        survive_kills(2);
    }
}

#[test]
fn counts_stay_right_when_one_of_four_workers_is_killed_again_and_again() {
    for _ in 0..dose(1, 100) {
        survive_kills(4);
    }
}

/// Has `clients` at once do this, each on a connection of its own, and adds up how many of their
/// requests passed. They begin at the same moment.
fn race(clients: usize, requests: impl Fn(usize) -> usize + Sync) -> usize {
    let barrier = Barrier::new(clients);
    thread::scope(|scope| {
        let (barrier, requests) = (&barrier, &requests);
        let client = |number| {
            scope.spawn(move || {
                barrier.wait();
                requests(number)
            })
        };
        let clients: Vec<_> = (0..clients).map(client).collect();
        clients.into_iter().map(|client| client.join().expect("a client")).sum()
    })
}

#[test]
fn four_workers_count_one_key_exactly() {
    let (clock, nginx) = start(4);
    let ask = |batches: usize| {
        race(8, |_| {
            (0..batches).map(|_| passed_at_once(nginx.port(), ["/hot?k=a"; 500].iter())).sum()
        })
    };
    // Nearly all pass, so that nearly every one is a chance to count wrongly.
    assert_eq!(ask(dose(6, 600)), HOT);
    for seconds in [1, 500, 3000] {
        clock.advance_seconds(seconds);
        assert_eq!(ask(1), seconds as usize, "after {seconds} s");
    }
}

/// The new keys of a round.
const NEW: usize = 64;

/// More would fill the zone.
const ROUNDS: usize = 200;

/// Has four clients ask for the same new keys in every round; each passes once.
fn race_for_new_keys(nginx: &Nginx, path: &str) {
    for round in 0..ROUNDS {
        let forwards: Vec<String> = (0..NEW).map(|key| format!("{path}?k={round}.{key}")).collect();
        let backwards: Vec<String> = forwards.iter().rev().cloned().collect();
        // Who come from the other side meet halfway, at a key that neither has found yet.
        let passed = race(4, |client| {
            let paths = [&forwards, &backwards][client % 2];
            passed_at_once(nginx.port(), paths.iter())
        });
        assert_eq!(passed, NEW, "round {round}");
    }
}

#[test]
fn four_workers_insert_each_key_once() {
    for _ in 0..dose(1, 100) {
        let (_clock, nginx) = start(4);
        race_for_new_keys(&nginx, "/once");
    }
}

#[test]
fn whom_a_later_limit_refuses_after_a_race_an_earlier_one_has_not_charged() {
    for _ in 0..dose(1, 100) {
        let burst = ROUNDS * NEW + 99;
        let (_clock, setup) = Clock::into(
            limited()
                .workers(4)
                .http("smart_limit_zone everybody zone=all:1m rate=1r/s;\n")
                .http("smart_limit_zone $arg_k zone=one:4m rate=1r/s;\n")
                .http(QUIET)
                .limit("/all", &format!("smart_limit zone=all burst={burst} nodelay;"))
                .limit(
                    "/both",
                    &format!("smart_limit zone=all burst={burst} nodelay; smart_limit zone=one;"),
                ),
        );
        let nginx = setup.start();
        race_for_new_keys(&nginx, "/both");
        assert_eq!(passed(&nginx, "/all", 110), 100, "each of those that passed was charged once");
    }
}

#[test]
fn a_busy_key_has_its_rate_and_no_more_while_time_goes_on() {
    const RATE: f64 = 200.0;
    const BURST: f64 = 100.0;
    let nginx = limited()
        .workers(4)
        .http("smart_limit_zone $arg_k zone=one:1m rate=200r/s;\n")
        .http(QUIET)
        .limit("/", "smart_limit zone=one burst=100 nodelay;")
        .start();
    let began = Instant::now();
    let mut passed = 0;
    while began.elapsed() < Duration::from_secs(2) {
        let counts = hammer_at_once(nginx.port(), 8, |_| vec!["/?k=hot".into(); 64]);
        passed += counts["/?k=hot"].passed;
    }
    // A millisecond more: nginx's clock has whole ones.
    let most = BURST + 1.0 + RATE * (began.elapsed().as_secs_f64() + 0.001);
    assert!(passed as f64 <= most, "{passed} passed, {most} allowed");
    // A machine that is busy with other things may leave some of the rate unused.
    assert!(passed as f64 >= most * 0.2, "{passed} passed of {most}");
}

/// Asks twice for each of `keys` new keys, one after the other, and returns the two statuses.
fn ask_twice(nginx: &Nginx, client: usize, keys: usize) -> Vec<[u16; 2]> {
    let keys: Vec<usize> = (0..keys).collect();
    let mut answers = Vec::new();
    for keys in keys.chunks(250) {
        let paths = keys.iter().map(|key| format!("/?k={client}.{key}"));
        let statuses = statuses_at_once(nginx.port(), paths.flat_map(|path| [path.clone(), path]));
        answers.extend(statuses.chunks_exact(2).map(|pair| [pair[0], pair[1]]));
    }
    answers
}

/// A zone with room for 2,000 keys or so.
fn start_small(workers: usize) -> Nginx {
    limited()
        .workers(workers)
        .http("smart_limit_zone $arg_k zone=small:32k rate=1r/h;\n")
        .http(QUIET)
        .limit("/", "smart_limit zone=small;")
        .limit("/hot", "smart_limit zone=small burst=9 nodelay;")
        .start()
}

#[test]
fn a_full_zone_admits_every_key_and_limits_it() {
    let nginx = start_small(1);
    assert_eq!(passed(&nginx, "/hot?k=hot", 12), 10);
    let keys = dose(20_000, 1_000_000);
    let answers = ask_twice(&nginx, 0, keys);
    assert_eq!(answers.len(), keys);
    let wrong = answers.iter().position(|statuses| *statuses != [200, 503]);
    assert_eq!(wrong.map(|key| answers[key]), None, "key {wrong:?}");
    // Those that owe most are kept.
    assert_eq!(passed(&nginx, "/hot?k=hot", 2), 0);
    assert_eq!(passed(&nginx, "/?k=0.0", 1), 1, "the first has long been forgotten");
}

#[test]
fn a_full_zone_admits_every_key_of_four_workers() {
    let nginx = start_small(4);
    let keys = dose(5_000, 200_000);
    let limited = race(4, |client| {
        let answers = ask_twice(&nginx, client, keys);
        assert_eq!(answers.len(), keys);
        assert!(answers.iter().all(|[first, _]| *first == 200), "client {client}");
        answers.iter().filter(|[_, second]| *second == 503).count()
    });
    // Between a key's two requests other workers may have needed its place.
    assert!(limited * 100 >= 4 * keys * 99, "{limited} of {}", 4 * keys);
}

#[test]
fn memory_and_descriptors_are_flat() {
    if crate::common::sanitized() {
        eprintln!("not run: AddressSanitizer keeps freed memory");
        return;
    }
    let limits = "smart_limit zone=one burst=5; smart_limit zone=two burst=5 nodelay;";
    let nginx = limited()
        .http("smart_limit_zone $arg_k zone=one:64k rate=1000r/s;\n")
        .http("smart_limit_zone $arg_k zone=two:64k rate=$arg_r:10r/s;\n")
        .http(QUIET)
        .limit("/", &format!("{limits} smart_limit_headers draft;"))
        .start();
    let worker = nginx.worker();
    let ask = |requests: usize| {
        race(4, |client| {
            let mut numbers = Numbers::new(client as u64 + 1);
            let rates = ["", "&r=x", "&r=1000r/s"];
            let mut path = || {
                let key = numbers.below(10_000);
                format!("/?k={key}{}", rates[key as usize % rates.len()])
            };
            let batches = 0..requests / 4 / 500;
            batches.map(|_| passed_at_once(nginx.port(), [(); 500].map(|()| path()).iter())).sum()
        });
        (process::resident_kib(worker), process::descriptors(worker))
    };
    let before = ask(40_000);
    let after = ask(dose(40_000, 1_000_000));
    assert!(after.0 <= before.0 + 1024, "from {} to {} KiB", before.0, after.0);
    assert!(after.1 <= before.1 + 4, "from {} to {} descriptors", before.1, after.1);
    assert_eq!(nginx.worker(), worker);
}
