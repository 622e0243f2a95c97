//! What holds of every advice about buffers, and of how it is written.

use crate::advised::{self, chain, follow, follow_server, refusal, size};
use crate::case::{host, of, passes};
use crate::numbers::Numbers;
use ngx_http_smart_module::core::advice::{
    of_location, of_server, write_snippet, Advice, Directive, State,
};
use ngx_http_smart_module::core::report::buffers::{
    Buffers, Chain, Filter, Location, Protocol, Server,
};
use proptest::prelude::*;

/// What one answer takes at most of what is advised.
fn advised_memory(advice: &Advice) -> u64 {
    let sum = |ends: &[&str]| -> u64 {
        let directives = advice.directives.iter();
        let fit = directives.filter(|it| ends.iter().any(|end| it.name.ends_with(end)));
        fit.map(|it| {
            if it.advised.contains(' ') {
                chain(&it.advised).total()
            } else {
                size(&it.advised)
            }
        })
        .sum()
    };
    let passed = ["proxy_buffers", "fastcgi_buffers", "uwsgi_buffers", "scgi_buffers"];
    sum(&["_buffer_size"]) + sum(&passed).max(sum(&["output_buffers"])) + sum(&["gzip_buffers"])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_advice_holds(seed: u64, protocol in 0..6_usize) {
        let mut numbers = Numbers::new(seed);
        let protocol = Protocol::ALL.get(protocol).copied();
        let location = advised::some_location(&mut numbers, protocol);
        let host = advised::some_host(&mut numbers);
        let advice = of_location(&location, &host);
        let after = follow(&location, &advice);
        for directive in &advice.directives {
            let Directive { name, advised, reason, .. } = directive;
            prop_assert!(!reason.is_empty());
            if name != "sendfile" {
                let size = size(advised.split(' ').next_back().expect("a size"));
                prop_assert!(size >= 4096 && size % 4096 == 0, "{name} {advised}");
            }
        }
        if let Some(upstream) = after.settings.upstream {
            prop_assert_eq!(refusal(&upstream), None, "{:#?}", advice);
        }
        let is_unused = after.settings.upstream.is_some_and(|it| !it.buffering);
        if !is_unused && advice.state == State::Change {
            prop_assert!(advised_memory(&advice) <= location.budget, "{:#?}", advice);
        }
        prop_assert_eq!(advice.state == State::Change, !advice.directives.is_empty());
        let again = of_location(&after, &host);
        prop_assert!(again.directives.is_empty(), "{advice:#?} again {again:#?}");
        prop_assert_eq!(again.state == State::Fine, advice.state != State::TooFewSamples);
        if let Some(effect) = advice.effect {
            let shares = [effect.one_buffer_after, effect.spilled_after];
            let before = [effect.one_buffer_before, effect.spilled_before];
            prop_assert!(shares.into_iter().chain(before.into_iter().flatten()).all(|it| it <= 1000));
        }
    }

    #[test]
    fn nothing_goes_to_a_file_that_need_not(
        seed: u64, number in 2..400_u64, size in 1..40_u64, budget in 16..4096_u64
    ) {
        let mut numbers = Numbers::new(seed);
        let mut location = passes(Protocol::Proxy, &[]);
        let upstream = &mut location.measured.upstream;
        for bits in [13, 17, 22] {
            upstream.response.add(numbers.below(1 << bits), numbers.below(2000));
        }
        upstream.header = of(&[(numbers.below(20_000), 5000)]);
        upstream.by_protocol[Protocol::Proxy as usize] = 5000;
        location.budget = budget * 1024;
        let before = Chain { number, size: size * 1024 };
        location.settings.upstream.as_mut().expect("set").buffers = before;
        let host = advised::some_host(&mut numbers);
        let advice = of_location(&location, &host);
        let after = follow(&location, &advice).settings.upstream.expect("set");
        // Unless the sockets hold no more, or the budget allows no other buffer.
        let both = host.tcp_rmem_max.zip(host.tcp_wmem_max).or(host.rmem_max.zip(host.wmem_max));
        let sockets = both.map_or(2 * 212_992, |(receive, send)| receive + send);
        let left = location.budget.saturating_sub(after.buffer_size);
        let limit = sockets.max(2 * after.buffer_size).min(left) / 4096 * 4096;
        let responses = &location.measured.upstream.response;
        let held = |total: u64| responses.up_to(total.min(limit));
        let is_full = after.buffers.total() + after.buffers.size > limit;
        prop_assert!(is_full || held(after.buffers.total()) >= held(before.total()), "{limit} {advice:#?}");
        let again = of_location(&follow(&location, &advice), &host);
        prop_assert!(again.directives.is_empty(), "{advice:#?} again {again:#?}");
    }

    #[test]
    fn no_buffer_is_for_answers_of_another_kind(
        short in 1..100_000_u64, share in 520..1000_u64, longer in 16..400_u64
    ) {
        // Buckets tell an eighth more; and no more than 64 buffers are advised.
        let long = short.next_multiple_of(4096) * longer;
        let location = passes(Protocol::Proxy, &[(short, share * 10), (long, 10_000 - share * 10)]);
        let told = of_location(&location, &host());
        let after = follow(&location, &told).settings.upstream.expect("set");
        let most = (short + short / 8).next_multiple_of(4096).max((1 << 20) / 64);
        prop_assert!(after.buffers.size <= most, "{} of {short}, else {long}: {told:#?}", share * 10);
    }

    #[test]
    fn every_advice_of_a_server_holds(seed: u64) {
        let server = advised::some_server(&mut Numbers::new(seed));
        let advice = of_server(&server);
        let after = follow_server(&server, &advice);
        prop_assert!(of_server(&after).directives.is_empty(), "{advice:#?}");
        for directive in &advice.directives {
            let size = size(directive.advised.split(' ').next_back().expect("a size"));
            prop_assert!(size >= 4096 && size % 4096 == 0);
        }
    }

    #[test]
    fn no_name_ends_a_comment(name: Vec<u8>, seed: u64) {
        let mut numbers = Numbers::new(seed);
        let mut location = advised::some_location(&mut numbers, Some(Protocol::Proxy));
        let mut server = advised::some_server(&mut numbers);
        location.server = name.clone();
        location.location = name.repeat(40);
        server.server = name;
        let buffers = Buffers { locations: vec![location], servers: vec![server], ..Buffers::default() };
        let mut text = Vec::new();
        write_snippet(&buffers, &mut text).expect("memory");
        let advised = of_location(&buffers.locations[0], &buffers.host).directives;
        let advised = advised.into_iter().chain(of_server(&buffers.servers[0]).directives);
        let expected: Vec<_> = advised.map(|it| format!("{} {};", it.name, it.advised)).collect();
        let text = String::from_utf8(text).expect("ASCII");
        prop_assert!(text.lines().all(|line| line.len() < 110 && !line.contains('\r')));
        let told = text.lines().filter(|line| !line.starts_with("# ") && !line.is_empty());
        prop_assert_eq!(told.map(str::to_owned).collect::<Vec<_>>(), expected);
    }
}

#[test]
fn a_snippet_tells_of_what_is_asked_for() {
    let mut buffers = Buffers { host: host(), ..Buffers::default() };
    for (server, path) in [("a", "/"), ("a", "~ \\.x$"), ("b", "/")] {
        let location = passes(Protocol::Proxy, &[(11_900, 5000)]);
        buffers.locations.push(Location {
            server: server.into(),
            location: path.into(),
            ..location
        });
    }
    buffers.servers.push(Server {
        server: "a".into(),
        header: of(&[(3000, 5000)]),
        ..Server::default()
    });
    let sections = |server: Option<&str>, location: Option<&str>| {
        let filter = Filter { server: server.map(Into::into), location: location.map(Into::into) };
        let mut text = Vec::new();
        write_snippet(&buffers.clone().only(&filter)?, &mut text).expect("memory");
        let text = String::from_utf8(text).expect("ASCII");
        let places = text.lines().filter(|line| line.starts_with("# server "));
        Some(places.map(str::to_owned).collect::<Vec<_>>())
    };
    let all = sections(None, None).expect("all");
    let expected =
        [r#""a", location "/""#, r#""a", location "~ \.x$""#, r#""b", location "/""#, r#""a""#];
    assert_eq!(all, expected.map(|place| format!("# server {place}")));
    let some = |places: &[usize]| Some(places.iter().map(|place| all[*place].clone()).collect());
    assert_eq!(sections(Some("a"), None), some(&[0, 1, 3]));
    assert_eq!(sections(Some("a"), Some("/")), some(&[0]));
    assert_eq!(sections(None, Some("/")), some(&[0, 2]));
    // Without a location's name: what belongs into the server.
    assert_eq!(sections(Some("a"), Some("")), some(&[3]));
    for (server, location) in [("c", None), ("a", Some("/x")), ("b", Some(""))] {
        assert_eq!(sections(Some(server), location), None);
    }

    let mut text = Vec::new();
    let filter = Filter { server: Some(b"b".into()), location: Some(b"/".into()) };
    write_snippet(&buffers.only(&filter).expect("one"), &mut text).expect("memory");
    let text = String::from_utf8(text).expect("ASCII");
    assert!(text.contains("\n# 5,000 samples: to be changed\n"), "{text}");
    assert!(text.contains("\n# Now 8 4k: p90 of 5,000 responses is 11.9k;"), "{text}");
    assert!(text.contains("\nproxy_buffers 8 12k;\n"), "{text}");
}
