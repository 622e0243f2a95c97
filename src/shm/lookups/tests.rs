use super::*;

fn memory() -> Vec<Word> {
    (0..WORDS).map(|_| Word::new(u64::MAX / 3)).collect()
}

/// The report of a process that all but some others outlive.
fn report_without(lookups: &Lookups<'_>, dead: &[u32]) -> Sendfile {
    lookups.report(1, |process| !dead.contains(&process))
}

fn server<'a>(report: &'a Sendfile, address: &str) -> &'a Server {
    let mut servers = report.servers.iter();
    servers.find(|server| server.address == address.as_bytes()).expect("the server")
}

#[test]
fn outcomes_are_summed_over_workers() {
    let words = memory();
    let lookups = Lookups::create(&words).unwrap();
    for worker in 0..40 {
        lookups.count(Outcome::Hit, worker);
        lookups.count_timed(Outcome::Found, 1000, worker);
    }
    lookups.count_timed(Outcome::Invalid, 7, 3);
    let report = report_without(&Lookups::open(&words).unwrap(), &[]);
    let of = |outcome: Outcome| report.outcomes[outcome as usize];
    assert_eq!(of(Outcome::Hit), Outcomes { outcome: Outcome::Hit, count: 40, time: 0 });
    assert_eq!(of(Outcome::Found), Outcomes { outcome: Outcome::Found, count: 40, time: 40_000 });
    assert_eq!(of(Outcome::Invalid), Outcomes { outcome: Outcome::Invalid, count: 1, time: 7 });
    assert_eq!(report.outcomes.iter().map(|outcomes| outcomes.count).sum::<u64>(), 81);
    assert_eq!((report.latency.count(), report.latency.sum()), (41, 40_007), "hits have none");
}

#[test]
fn memory_of_another_layout_is_refused() {
    let words = memory();
    assert!(Lookups::open(&words).is_none());
    assert!(Lookups::create(&words[1..]).is_none());
    Lookups::create(&words).unwrap().count(Outcome::Hit, 0);
    assert!(Lookups::open(&words).is_some());
    words[1].store(1, Relaxed);
    assert!(Lookups::open(&words).is_none());
}

#[test]
fn a_server_has_one_place_and_its_own_counters() {
    let words = memory();
    let lookups = Lookups::create(&words).unwrap();
    let longest = format!("unix:{}", "p".repeat(107));
    let (one, other) = (lookups.server(b"127.0.0.1:11211"), lookups.server(longest.as_bytes()));
    assert_eq!(lookups.server(b"127.0.0.1:11211"), one);
    assert_ne!(one, other);
    for worker in 0..20 {
        lookups.count_event(one, Event::Question, worker);
    }
    for event in [Event::Connect, Event::Reconnect, Event::Failure, Event::Timeout] {
        lookups.count_event(other, event, event as usize);
    }
    let report = report_without(&lookups, &[]);
    assert_eq!(server(&report, "127.0.0.1:11211").questions, 20);
    let other = server(&report, &longest);
    let counts = [other.connects, other.reconnects, other.failures, other.timeouts];
    assert_eq!((other.questions, counts), (0, [1; 4]));
    assert_eq!(report.servers.len(), 2);
}

#[test]
fn a_name_that_its_writer_did_not_finish_is_not_told_and_is_finished_by_the_next() {
    let words = memory();
    let lookups = Lookups::create(&words).unwrap();
    let number = lookups.server(b"127.0.0.1:11211");
    let place =
        LINE + STRIPES * STRIPE + number.place() * (servers::WORDS / (servers::SERVERS + 1));
    words[place + 1..place + 16].iter().for_each(|word| word.store(0, Relaxed));
    assert_eq!(report_without(&lookups, &[]).servers.len(), 0);
    assert_eq!(lookups.server(b"127.0.0.1:11211"), number);
    assert_eq!(server(&report_without(&lookups, &[]), "127.0.0.1:11211").questions, 0);
}

#[test]
fn servers_for_which_there_is_no_place_are_counted_together() {
    let words = memory();
    let lookups = Lookups::create(&words).unwrap();
    let process = lookups.join(7, |_| true).unwrap();
    for number in 0..servers::SERVERS + 3 {
        let server = lookups.server(format!("10.0.0.{number}:11211").as_bytes());
        lookups.count_event(server, Event::Question, 0);
        lookups.gauges(process).change(server, [0, 0], [1, 2]);
    }
    let report = report_without(&lookups, &[]);
    assert_eq!(report.servers.len(), servers::SERVERS + 1);
    let other = server(&report, "other");
    assert_eq!((other.questions, other.connections, other.in_flight), (3, 3, 6));
}

#[test]
fn what_is_so_now_ends_with_its_process() {
    let words = memory();
    let lookups = Lookups::create(&words).unwrap();
    let address = "127.0.0.1:11211";
    let number = lookups.server(address.as_bytes());
    let begin = |process: u32, waiting: u64| {
        let place = lookups.join(process, |_| true).unwrap();
        lookups.gauges(place).set_in_flight(waiting);
        lookups.gauges(place).change(number, [0, 0], [1, waiting]);
        place
    };
    let now = |dead: &[u32]| {
        let report = report_without(&lookups, dead);
        let server = server(&report, address);
        (report.in_flight, server.connections, server.in_flight)
    };
    let first = begin(10, 5);
    begin(20, 7);
    assert_eq!(now(&[]), (12, 2, 12));
    lookups.gauges(first).change(number, [1, 5], [0, 0]);
    assert_eq!(now(&[]), (12, 1, 7));
    assert_eq!(now(&[20]), (5, 0, 0), "20 was killed");
    assert_eq!(now(&[]), (5, 0, 0), "and another may have its number now");
    lookups.leave(first);
    assert_eq!(now(&[]), (0, 0, 0));
    begin(30, 1);
    begin(30, 2);
    assert_eq!(now(&[]), (2, 1, 2), "the first 30 must have died");
}

#[test]
fn places_of_the_dead_are_free_again() {
    let words = memory();
    let lookups = Lookups::create(&words).unwrap();
    let mut joined = 0;
    while lookups.join(100 + joined, |_| true).is_some() {
        joined += 1;
    }
    assert_eq!(joined, 256);
    assert!(lookups.join(1000, |process| process != 177).is_some());
    assert!(lookups.join(1001, |_| true).is_none());
}
