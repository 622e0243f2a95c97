//! What is advised of buffers, case by case.

use crate::advised::{chain, follow};
use crate::case::*;
use ngx_http_smart_module::core::advice::{of_location, Directive, State, SAMPLES_MIN};
use ngx_http_smart_module::core::report::buffers::{Chain, Host, Protocol, Settings};

#[test]
fn short_replies_take_one_allocation() {
    let location = passes(Protocol::Proxy, &[(2000, 10_000), (11_900, 28_000), (60_000, 211)]);
    let advice = of_location(&location, &host());
    assert_eq!((advice.state, advice.samples), (State::Change, 38_211));
    let all = [
        ("proxy_buffers", "8 12k"),
        ("proxy_busy_buffers_size", "24k"),
        ("proxy_temp_file_write_size", "24k"),
    ];
    assert_advised(&advice, &all);
    let buffers = named(&advice, "proxy_buffers");
    assert_eq!(buffers.current.as_deref(), Some("8 4k"));
    assert!(
        buffers.reason.starts_with(
            "p90 of 38,211 responses is 11.9k; now proxy_buffers 8 4k (3 allocations), advised \
             proxy_buffers 8 12k (1 allocation); p99 is 11.9k; less than what the sockets hold, 10m \
             (the maxima of tcp_rmem and tcp_wmem)"
        ),
        "{}",
        buffers.reason
    );
    let effect = advice.effect.expect("of answers");
    assert_eq!((effect.memory_before, effect.memory_after), (Some(16 * K), 16 * K));
    assert_eq!((effect.one_buffer_before, effect.one_buffer_after), (Some(261), 994));
    assert_eq!((effect.spilled_before, effect.spilled_after), (Some(6), 0));
    assert_fine(&of_location(&follow(&location, &advice), &host()));
}

#[test]
fn what_nginx_sets_is_fine_for_what_fits() {
    let location = passes(Protocol::Fastcgi, &[(3000, 20_000), (7000, 100)]);
    assert_fine(&of_location(&location, &host()));
    // One step more than would do is fine too; two are not.
    for (size, state) in [(8 * K, State::Fine), (12 * K, State::Change)] {
        let mut larger = location.clone();
        larger.settings.upstream.as_mut().expect("set").buffers.size = size;
        assert_eq!(of_location(&larger, &host()).state, state, "{size}");
    }
}

#[test]
fn the_p90_is_the_size_and_the_p99_the_chain() {
    let responses = [(11_900, 9200), (50_000, 600), (150_000, 150), (400_000, 50)];
    let mut location = passes(Protocol::Proxy, &responses);
    let advice = of_location(&location, &host());
    assert_eq!(named(&advice, "proxy_buffers").advised, "14 12k");
    // A chain that is too short, or that the budget does not allow, is no good, be each buffer as it should.
    for (number, state) in
        [(12, State::Change), (14, State::Fine), (80, State::Fine), (90, State::Change)]
    {
        location.settings.upstream.as_mut().expect("set").buffers = Chain { number, size: 12 * K };
        assert_eq!(of_location(&location, &host()).state, state, "{number}");
    }
    // The 18k of the bucket's end are not known to have been there.
    let mut location = passes(Protocol::Proxy, &[(16 * K, 5000)]);
    location.settings.upstream.as_mut().expect("set").buffers.size = 16 * K;
    assert_fine(&of_location(&location, &host()));
    // Most are long: the few that are short are not what counts.
    let location = passes(Protocol::Proxy, &[(3000, 3000), (20 * M, 7000)]);
    assert_eq!(named(&of_location(&location, &published()), "proxy_buffers").advised, "8 40k");
}

#[test]
fn what_fits_the_present_buffers_fits_those_that_are_advised() {
    let told = |responses: &[(u64, u64)], present: &str, budget: u64| {
        let mut location = passes(Protocol::Proxy, responses);
        location.settings.upstream.as_mut().expect("set").buffers = chain(present);
        location.budget = budget;
        let advice = of_location(&location, &host());
        assert_fine(&of_location(&follow(&location, &advice), &host()));
        let effect = advice.effect.expect("of answers");
        let Directive { advised, reason, .. } = named(&advice, "proxy_buffers").clone();
        (advised, effect.spilled_before.expect("known"), effect.spilled_after, reason)
    };
    let table = [
        (11_900, 500_000, "200 4k", "43 12k"),
        (11_900, 500_000, "4 256k", "43 12k"),
        // Larger ones would be taken by the short answers too.
        (3000, 300_000, "400 1k", "80 4k"),
        (3000, 300_000, "2 200k", "80 4k"),
    ];
    for (short, long, present, expected) in table {
        let (advised, before, after, reason) = told(&[(short, 1190), (long, 10)], present, M);
        assert_eq!((advised.as_str(), before, after), (expected, 0, 0), "{reason}");
        assert!(
            reason.contains(" fit the present buffers; less than what the sockets"),
            "{reason}"
        );
    }
    // What goes to a file anyhow, or cannot but do so, is no reason to have more than the p99 needs.
    let responses = [(11_900, 1190), (500_000, 10)];
    for (present, budget, spilled) in [("100 4k", M, 9), ("200 4k", 400 * K, 0)] {
        let (advised, before, after, reason) = told(&responses, present, budget);
        assert_eq!((advised.as_str(), before, after), ("8 12k", spilled, 9), "{reason}");
    }
}

#[test]
fn long_replies_take_as_much_as_the_sockets_hold() {
    let location = passes(Protocol::Uwsgi, &[(5 * M, 5000), (30 * M, 5000)]);
    let advice = of_location(&location, &published());
    assert_eq!(named(&advice, "uwsgi_buffers").advised, "8 40k");
    let reason = &named(&advice, "uwsgi_buffers").reason;
    assert!(reason.contains(
        "the chain holds no more than what the sockets hold, 320k (rmem_max and wmem_max)"
    ));
    // Whatever is autotuned counts first, if both can be read; what cannot is assumed, and that is said.
    let sources = [
        (Some(100 * K), Some(60 * K), "160k (the maxima of tcp_rmem and tcp_wmem)", "8 20k"),
        (Some(100 * K), None, "320k (rmem_max and wmem_max)", "8 40k"),
        (None, Some(100 * K), "320k (rmem_max and wmem_max)", "8 40k"),
    ];
    for (tcp_rmem_max, tcp_wmem_max, told, expected) in sources {
        let host = Host { tcp_rmem_max, tcp_wmem_max, ..published() };
        let advice = of_location(&location, &host);
        let buffers = named(&advice, "uwsgi_buffers");
        assert!(buffers.reason.contains(told), "{}", buffers.reason);
        assert_eq!(buffers.advised, expected);
    }
    let unknown = of_location(&location, &Host::default());
    assert!(named(&unknown, "uwsgi_buffers").reason.contains("416k (Linux's defaults, because"));
    assert_eq!(named(&unknown, "uwsgi_buffers").advised, "8 52k");
}

#[test]
fn the_published_examples_come_out() {
    // Sums of 163,840 + 163,840: eight buffers of 40k, for long replies and for short ones of that size.
    for responses in [&[(20 * M, 2000)][..], &[(38_000, 9000), (3 * M, 1000)]] {
        let advice = of_location(&passes(Protocol::Proxy, responses), &published());
        assert_eq!(named(&advice, "proxy_buffers").advised, "8 40k");
    }
    // Mostly up to 128k, with some of dozens of megabytes: between 2 160k and 4 80k.
    let largest = [128 * K - 1, 128 * K, 110 * K, 100 * K, 75 * K];
    let expected = ["2 160k", "2 160k", "2 160k", "3 104k", "4 80k"];
    for (largest, expected) in largest.into_iter().zip(expected) {
        let location =
            passes(Protocol::Proxy, &[(largest / 2, 4000), (largest, 5000), (40 * M, 600)]);
        let advice = of_location(&location, &published());
        assert_eq!(named(&advice, "proxy_buffers").advised, expected, "{largest}");
        let Chain { number, size } = chain(expected);
        assert!((2..=4).contains(&number) && (80 * K..=160 * K).contains(&size));
    }
    // A ratio of 3.4: four of 25k, rounded up.
    let mut location = passes(Protocol::Proxy, &[(38_000, 9000), (3 * M, 1000)]);
    location.settings.gzip = Some(true);
    location.measured.gzip_ratio = of(&[(340, 9000)]);
    let advice = of_location(&location, &published());
    assert_eq!(named(&advice, "proxy_buffers").advised, "8 40k");
    let gzip = named(&advice, "gzip_buffers");
    assert_eq!((gzip.current.as_deref(), gzip.advised.as_str()), (Some("32 4k"), "4 28k"));
    assert!(gzip
        .reason
        .contains("became 3.2 times smaller or more: proxy_buffers of 320k become 100k"));
    assert_fine(&of_location(&follow(&location, &advice), &published()));
}

#[test]
fn a_mixture_should_be_split() {
    let location = passes(Protocol::Scgi, &[(3000, 8000), (20 * M, 2000)]);
    let advice = of_location(&location, &published());
    assert_remark(
        &advice,
        "2,000 of 10,000 responses (20%) take more than 8 scgi_buffers, 64k, though 80% fit one of 8k: split the \
         location",
    );
    // Sixty-four at most: the short ones could do with less.
    assert_eq!(named(&advice, "scgi_buffers").advised, "40 8k");
    for rare in [&[(3000, 9700), (20 * M, 300)][..], &[(20 * M, 2000)], &[(3000, 2000)]] {
        let advice = of_location(&passes(Protocol::Scgi, rare), &published());
        assert!(!advice.remarks.iter().any(|it| it.contains("split")), "{advice:#?}");
    }
}

#[test]
fn a_buffer_of_a_mixture_is_for_the_short_kind() {
    // Of ten thousand: how many are how short, how long the others are, what is advised, and how many should have
    // a location of their own.
    let table = [
        // One of half a megabyte would be taken by each of 4k.
        (6000, 4000, 800_000, "52 16k", Some("4,000 of 10,000 responses (40%)")),
        (8900, 4000, 400_000, "52 8k", Some("1,100 of 10,000 responses (11%)")),
        (6000, 4000, 200_000, "52 4k", Some("4,000 of 10,000 responses (40%)")),
        (5100, 4000, 200_000, "52 4k", Some("4,900 of 10,000 responses (49%)")),
        (8900, 20_000, 3_000_000, "51 20k", Some("1,100 of 10,000 responses (11%)")),
        // Few are long: those take several.
        (9700, 4000, 200_000, "52 4k", None),
        // Not so different that one for both would be much too large.
        (6000, 4000, 30_000, "8 32k", None),
        // Most are long, but no buffer is for one that long.
        (4000, 4000, 800_000, "8 124k", None),
        (0, 4000, 400_000, "8 124k", None),
        (0, 4000, 200_000, "4 208k", None),
    ];
    for (times, short, long, expected, split) in table {
        let location = passes(Protocol::Proxy, &[(short, times), (long, 10_000 - times)]);
        let advice = of_location(&location, &host());
        let told = format!("{times} of {short}, else {long}: {advice:#?}");
        let buffers = named(&advice, "proxy_buffers");
        assert_eq!(buffers.advised, expected, "{told}");
        let remark = advice.remarks.iter().find(|it| it.contains("split the location"));
        assert_eq!(remark.is_some(), split.is_some(), "{told}");
        assert!(
            remark.zip(split).is_none_or(|(remark, start)| remark.starts_with(start)),
            "{told}"
        );
        let again = of_location(&follow(&location, &advice), &host());
        assert_fine(&again);
        assert_eq!(again.remarks, advice.remarks);
    }
    let location = passes(Protocol::Proxy, &[(4000, 6000), (200_000, 4000)]);
    let reason = named(&of_location(&location, &host()), "proxy_buffers").reason.clone();
    let expected = "p90 of the 6,000 of 10,000 responses that are no longer than 32k is 3.9k; now proxy_buffers 8 4k";
    assert!(reason.starts_with(expected), "{reason}");
}

#[test]
fn streams_of_events_need_no_buffers() {
    let location = passes(Protocol::Proxy, &[(12 * M, 5000)]);
    let remark = "most of 5,000 responses are longer than 256k: if they are streams of events, such as \
                  text/event-stream, set proxy_buffering off in their location in place of these buffers, of which \
                  each connection takes at least one of";
    assert_remark(&of_location(&location, &host()), remark);
    let short = of_location(&passes(Protocol::Proxy, &[(12_000, 5000)]), &host());
    assert_eq!(short.remarks, [""; 0]);
}

#[test]
fn bodies_that_go_to_a_file_get_a_buffer() {
    let mut location = serves(&[]);
    location.measured.body = of(&[(1000, 4850), (70_000, 150), (20 * M, 10)]);
    location.measured.bodies_spilled = 160;
    let advice = of_location(&location, &host());
    assert_advised(&advice, &[("client_body_buffer_size", "72k")]);
    let reason = &named(&advice, "client_body_buffer_size").reason;
    assert!(
        reason.contains("and 160 went to a file; now 3.2% exceed 16k, then 0.2% would exceed 72k"),
        "{reason}"
    );
    assert_fine(&of_location(&follow(&location, &advice), &host()));
    // A larger one costs nothing; one that the budget does not allow is too large.
    for (size, state) in [(256 * K, State::Fine), (M, State::Change)] {
        location.settings.client_body_buffer_size = Some(size);
        assert_eq!(of_location(&location, &host()).state, state);
    }
    // Where hardly any fits, none of the buffers that may be would help.
    location.measured.body = of(&[(20 * M, 4000)]);
    location.settings.client_body_buffer_size = Some(16 * K);
    let advice = of_location(&location, &host());
    assert_fine(&advice);
    assert_remark(&advice, "more than half of smart_buffers_budget, 512k");
}

#[test]
fn too_few_samples_are_no_advice() {
    for count in [0, 1, SAMPLES_MIN - 1, SAMPLES_MIN] {
        let mut location = passes(Protocol::Proxy, &[(30_000, count)]);
        location.measured.body = of(&[(300_000, count)]);
        let advice = of_location(&location, &host());
        let expected = match count {
            SAMPLES_MIN => State::Change,
            _ => State::TooFewSamples,
        };
        assert_eq!((advice.state, advice.samples), (expected, count));
        assert_eq!(advice.directives.is_empty(), count < SAMPLES_MIN);
        assert_eq!(advice.remarks.is_empty(), count == SAMPLES_MIN, "{advice:#?}");
    }
}

#[test]
fn unknown_settings_are_advised_whole() {
    let mut location = passes(Protocol::Fastcgi, &[(3000, 5000)]);
    location.settings = Settings::default();
    location.measured.body = of(&[(3000, 5000)]);
    location.measured.gzip_ratio = of(&[(340, 5000)]);
    let advice = of_location(&location, &host());
    let all = [
        ("client_body_buffer_size", "4k"),
        ("fastcgi_buffer_size", "4k"),
        ("fastcgi_buffers", "2 4k"),
        ("fastcgi_busy_buffers_size", "4k"),
        ("fastcgi_temp_file_write_size", "8k"),
        ("gzip_buffers", "4 4k"),
    ];
    assert_advised(&advice, &all);
    assert!(advice.directives.iter().all(|it| it.current.is_none()));
    assert!(named(&advice, "fastcgi_buffers")
        .reason
        .contains("the current fastcgi_buffers are not known"));
    let effect = advice.effect.expect("of answers");
    assert_eq!((effect.memory_before, effect.spilled_before), (None, None));
}

#[test]
fn the_budget_binds() {
    let mut location = passes(Protocol::Proxy, &[(100 * K, 5000)]);
    location.budget = 64 * K;
    let advice = of_location(&location, &host());
    assert_eq!(named(&advice, "proxy_buffers").advised, "15 4k");
    assert_remark(&advice, "smart_buffers_budget, 64k, limits proxy_buffers to");
    // What gzip makes of it, 1.92 times smaller, has to fit as well.
    location.settings.gzip = Some(true);
    location.measured.gzip_ratio = of(&[(200, 5000)]);
    let advice = of_location(&location, &host());
    assert_eq!(named(&advice, "proxy_buffers").advised, "7 4k");
    assert_eq!(named(&advice, "gzip_buffers").advised, "4 4k");
    location.measured.gzip_ratio = of(&[]);
    location.budget = 8 * K;
    let advice = of_location(&location, &host());
    assert_fine(&advice);
    assert_remark(
        &advice,
        "smart_buffers_budget is 8k, of which 8k are left for proxy_buffer_size and",
    );
}

#[test]
fn a_file_smaller_than_the_largest_buffer_is_made_larger() {
    let mut location = passes(Protocol::Proxy, &[(30_000, 5000)]);
    location.settings.upstream.as_mut().expect("set").max_temp_file_size = 8 * K;
    assert_eq!(named(&of_location(&location, &host()), "proxy_max_temp_file_size").advised, "64k");
    location.settings.upstream.as_mut().expect("set").max_temp_file_size = 0;
    let advice = of_location(&location, &host());
    assert!(!advice.directives.iter().any(|it| it.name == "proxy_max_temp_file_size"));
}
