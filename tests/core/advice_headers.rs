//! What is advised of the buffers that headers are read into, case by case.

use crate::advised::{follow, follow_server, refusal};
use crate::case::*;
use ngx_http_smart_module::core::advice::{of_location, of_server, State};
use ngx_http_smart_module::core::report::buffers::{Chain, Location, Protocol, Server};

#[test]
fn all_buffers_but_one_hold_the_header() {
    let mut location = passes(Protocol::Proxy, &[(3000, 5000)]);
    location.measured.upstream.header = of(&[(15_000, 5000)]);
    let all = [
        ("proxy_buffer_size", "20k"),
        ("proxy_busy_buffers_size", "28k"),
        ("proxy_temp_file_write_size", "40k"),
    ];
    assert_advised(&of_location(&location, &host()), &all);
    // Two of 24k would hold the answers, in what the budget allows; but not the header.
    let mut location = passes(Protocol::Proxy, &[(19_000, 5000)]);
    location.measured.upstream.header = of(&[(21_000, 5000)]);
    location.budget = 84 * K;
    let advice = of_location(&location, &host());
    assert_eq!(named(&advice, "proxy_buffer_size").advised, "28k");
    assert_eq!(named(&advice, "proxy_buffers").advised, "2 28k");
}

#[test]
fn the_buffer_of_a_header_has_a_margin_and_is_not_made_smaller_for_little() {
    // The largest header, what is set, and what is advised.
    let table = [
        (400, 4 * K, None),
        (3000, 4 * K, None),
        // One more cookie, and every request fails.
        (4000, 4 * K, Some("8k")),
        (4000, 8 * K, None),
        (4000, 16 * K, None),
        (4000, 20 * K, Some("8k")),
        (400, 8 * K, None),
        (400, 12 * K, Some("4k")),
        (11_000, 8 * K, Some("16k")),
        (11_000, 32 * K, None),
        (11_000, 33 * K, Some("16k")),
        // No multiple of 4k, but it serves.
        (400, 5000, None),
    ];
    for (largest, size, expected) in table {
        let mut location = passes(Protocol::Proxy, &[(3000, 5000)]);
        location.measured.upstream.header = of(&[(200, 4000), (largest, 1000)]);
        let upstream = location.settings.upstream.as_mut().expect("set");
        (upstream.buffer_size, upstream.buffers.number) = (size, 40);
        let advice = of_location(&location, &host());
        let advised = advice.directives.iter().find(|it| it.name == "proxy_buffer_size");
        assert_eq!(advised.map(|it| it.advised.as_str()), expected, "{largest} {size}");
        assert_fine(&of_location(&follow(&location, &advice), &host()));
    }
    // Where the others change it stays, unless the budget has no room for both.
    for (budget, expected) in [(M, None), (24 * K, None), (20 * K, Some("4k"))] {
        let mut location = passes(Protocol::Proxy, &[(11_900, 5000)]);
        location.settings.upstream.as_mut().expect("set").buffer_size = 8 * K;
        location.budget = budget;
        let advice = of_location(&location, &host());
        assert!(advice.directives.iter().any(|it| it.name == "proxy_buffers"), "{advice:#?}");
        let advised = advice.directives.iter().find(|it| it.name == "proxy_buffer_size");
        assert_eq!(advised.map(|it| it.advised.as_str()), expected, "{budget}");
    }
}

#[test]
fn headers_of_upstreams_that_are_too_big_get_twice_as_much() {
    let mut location = passes(Protocol::Proxy, &[(3000, 5000)]);
    location.measured.upstream.header_too_big = 3;
    location.measured.upstream.header_too_big_for = 4096;
    let advice = of_location(&location, &host());
    assert_eq!(named(&advice, "proxy_buffer_size").advised, "8k");
    assert!(named(&advice, "proxy_buffer_size")
        .reason
        .contains("3 were too big for a buffer of 4k (inferred)"));
    assert_fine(&of_location(&follow(&location, &advice), &host()));
    // What has been measured since says how big they are.
    location.measured.upstream.header = of(&[(400, 5000), (11_000, 1)]);
    assert_eq!(named(&of_location(&location, &host()), "proxy_buffer_size").advised, "16k");
    // Where none is whole, the buffer that was too small is all that is known.
    let mut failing = passes(Protocol::Uwsgi, &[]);
    let upstream = &mut failing.measured.upstream;
    upstream.by_protocol[Protocol::Uwsgi as usize] = 5000;
    (upstream.header_too_big, upstream.header_too_big_for) = (5000, 4096);
    let advice = of_location(&failing, &host());
    let all = [
        ("uwsgi_buffer_size", "8k"),
        ("uwsgi_busy_buffers_size", "16k"),
        ("uwsgi_temp_file_write_size", "16k"),
    ];
    assert_advised(&advice, &all);
    assert_eq!(
        named(&advice, "uwsgi_buffer_size").reason,
        "no header was whole; 5,000 were too big for a buffer of 4k (inferred): at least twice that"
    );
    assert_fine(&of_location(&follow(&failing, &advice), &host()));
    // Below a thousand there is no advice, but it is said.
    location.measured.upstream.header = of(&[(400, 900)]);
    let advice = of_location(&location, &host());
    assert_eq!((advice.state, advice.directives.len()), (State::TooFewSamples, 0));
    assert_remark(&advice, "3 of them were too big for proxy_buffer_size (inferred)");
}

#[test]
fn answers_that_are_buffered_otherwise_than_is_set_are_not_advised_on() {
    let mut location = passes(Protocol::Proxy, &[]);
    location.measured.upstream.header = of(&[(300, 1100)]);
    location.measured.upstream.buffered_otherwise = 1100;
    let advice = of_location(&location, &host());
    assert_fine(&advice);
    assert_remark(
        &advice,
        "1,100 more answers had X-Accel-Buffering: no and used no proxy_buffers: they are left out",
    );
    // What gzip reads then is the buffer that they passed through.
    let upstream = location.settings.upstream.as_mut().expect("set");
    (upstream.buffer_size, upstream.buffers.size) = (128 * K, 32 * K);
    location.settings.gzip = Some(true);
    location.measured.gzip_ratio = of(&[(340, 1100)]);
    let reason = |location: &Location| {
        let advice = of_location(location, &host());
        named(&advice, "gzip_buffers").reason.clone()
    };
    assert!(
        reason(&location).contains("proxy_buffer_size of 128k become"),
        "{}",
        reason(&location)
    );

    location.settings.upstream.as_mut().expect("set").buffering = false;
    let advice = of_location(&location, &host());
    assert_remark(
        &advice,
        "proxy_buffering is off: proxy_buffers are used only for answers with X-Accel-Buffering: yes; there were \
         1,100, which are left out",
    );
    assert!(reason(&location).contains("proxy_buffers of 256k become"), "{}", reason(&location));
}

#[test]
fn without_buffering_only_the_buffer_of_the_header_counts() {
    let mut location = passes(Protocol::Proxy, &[(20 * M, 5000)]);
    location.settings.upstream.as_mut().expect("set").buffering = false;
    let advice = of_location(&location, &host());
    assert_fine(&advice);
    assert_remark(&advice, "proxy_buffering is off: proxy_buffers are not used");
    location.measured.upstream.header = of(&[(400, 5000), (11_000, 1)]);
    // nginx judges the others by it, used or not.
    let advice = of_location(&location, &host());
    assert_eq!(named(&advice, "proxy_buffer_size").advised, "16k");
    let after = follow(&location, &advice).settings.upstream.expect("set");
    assert_eq!((refusal(&after), after.buffers.number), (None, 8));
    // Also where what it judges them by is the same, but of nginx's own making.
    let mut judged = location.clone();
    let upstream = judged.settings.upstream.as_mut().expect("set");
    (upstream.buffers.number, upstream.temp_file_write_size) = (3, 16 * K);
    judged.measured.upstream.header = of(&[(6000, 5000)]);
    assert_eq!(named(&of_location(&judged, &host()), "proxy_busy_buffers_size").advised, "8k");
    // It is not made smaller: the answer passes through it.
    location.settings.upstream.as_mut().expect("set").buffer_size = 28 * K;
    assert_fine(&of_location(&location, &host()));
}

#[test]
fn grpc_has_one_buffer() {
    let mut location = passes(Protocol::Grpc, &[(20 * M, 5000)]);
    assert_fine(&of_location(&location, &host()));
    location.measured.upstream.header = of(&[(400, 5000), (30_000, 1)]);
    assert_advised(&of_location(&location, &host()), &[("grpc_buffer_size", "40k")]);
}

#[test]
fn headers_of_requests_get_a_buffer_that_nine_of_ten_fit() {
    let server = |header: &[(u64, u64)]| Server {
        header: of(header),
        client_header_buffer_size: Some(1024),
        large_client_header_buffers: Some(Chain { number: 4, size: 8 * K }),
        ..Server::default()
    };
    assert_fine(&of_server(&server(&[(700, 5000), (3000, 100)])));
    let advice = of_server(&server(&[(700, 2000), (2500, 3000)]));
    assert_advised(&advice, &[("client_header_buffer_size", "4k")]);

    let mut refusing = server(&[(700, 5000)]);
    (refusing.header_too_big, refusing.header_too_big_for) = (50, 8 * K);
    let advice = of_server(&refusing);
    assert_advised(&advice, &[("large_client_header_buffers", "4 16k")]);
    assert!(named(&advice, "large_client_header_buffers")
        .reason
        .starts_with("50 of 5,050 headers were too big for buffers of 8k (inferred): twice that"));
    assert_fine(&of_server(&follow_server(&refusing, &advice)));
    // A few strangers get no room, and nobody more than 64k.
    refusing.header_too_big = 5;
    let advice = of_server(&refusing);
    assert_fine(&advice);
    assert_remark(&advice, "too few to make room for");
    (refusing.header_too_big, refusing.header_too_big_for) = (50, 48 * K);
    assert_advised(&of_server(&refusing), &[("large_client_header_buffers", "4 64k")]);

    let none = of_server(&server(&[]));
    assert_eq!((none.state, none.directives.len()), (State::TooFewSamples, 0));
    assert_eq!(none.remarks.len(), 1);
    assert_remark(&none, "no header of an HTTP/1 request has been measured");
    let few = of_server(&server(&[(9000, 999)]));
    assert_eq!((few.state, few.samples, few.directives.len()), (State::TooFewSamples, 999, 0));
    let unknown = Server { header: of(&[(3000, 5000)]), ..Server::default() };
    let expected = [("client_header_buffer_size", "4k"), ("large_client_header_buffers", "4 8k")];
    assert_advised(&of_server(&unknown), &expected);
}
