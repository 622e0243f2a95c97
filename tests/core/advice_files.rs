//! What is advised of the buffers that files are read into, and of those that gzip writes to, case by case.

use crate::advised::follow;
use crate::case::*;
use ngx_http_smart_module::core::advice::{of_location, State};
use ngx_http_smart_module::core::report::buffers::{Chain, Protocol};

#[test]
fn what_gzip_does_not_make_smaller_gets_no_buffers() {
    for (ratio, is_worth) in [(98, false), (100, false), (103, false), (130, true)] {
        let mut location = passes(Protocol::Proxy, &[(3000, 5000)]);
        location.settings.gzip = Some(true);
        location.settings.gzip_buffers = Some(Chain { number: 2, size: 1024 });
        location.measured.gzip_ratio = of(&[(ratio, 5000)]);
        let advice = of_location(&location, &host());
        assert_eq!(advice.state == State::Change, is_worth, "{advice:#?}");
        if !is_worth {
            assert_fine(&advice);
            assert_remark(&advice, "gzip makes half of 5,000 answers hardly smaller");
        }
    }
}

#[test]
fn gzip_takes_what_is_left_of_the_chain() {
    let mut location = passes(Protocol::Proxy, &[(3000, 5000)]);
    location.measured.gzip_ratio = of(&[(250, 2000), (420, 3000)]);
    assert_fine(&of_location(&location, &host()));
    location.settings.gzip = Some(true);
    assert_fine(&of_location(&location, &host()));
    location.settings.gzip_buffers = Some(Chain { number: 2, size: 1024 });
    // 32k at 4.16, the least of the median's bucket, or at 3.84.
    let advice = of_location(&location, &host());
    assert_advised(&advice, &[("gzip_buffers", "4 4k")]);
    assert!(advice.effect.is_some_and(|it| it.memory_after > it.memory_before.expect("known")));
    // One step less is fine too; two are not. 320k become 77k, four of 20k.
    location.settings.upstream.as_mut().expect("set").buffers = Chain { number: 40, size: 8 * K };
    for (size, state) in [(16 * K, State::Fine), (12 * K, State::Change)] {
        location.settings.gzip_buffers = Some(Chain { number: 8, size });
        assert_eq!(of_location(&location, &host()).state, state, "{size}");
    }
    location.settings.gzip = Some(false);
    assert_fine(&of_location(&location, &host()));
    location.settings.gzip = Some(true);
    location.measured.gzip_ratio = of(&[(340, 999)]);
    let advice = of_location(&location, &host());
    assert_fine(&advice);
    assert_remark(
        &advice,
        "999 compressed answers have been measured: no advice for gzip_buffers below 1,000",
    );
}

#[test]
fn static_files_with_sendfile_take_no_buffers() {
    let advice = of_location(&serves(&[(200 * K, 5000)]), &host());
    assert_fine(&advice);
    assert_remark(&advice, "are not used, but for what gzip compresses or TLS encrypts");
}

#[test]
fn static_files_without_sendfile_should_have_it() {
    let mut location = serves(&[(10_000, 3000), (90_000, 5000)]);
    location.settings.sendfile = Some(false);
    let advice = of_location(&location, &host());
    assert_advised(&advice, &[("sendfile", "on"), ("output_buffers", "2 88k")]);
    assert_eq!(named(&advice, "sendfile").current.as_deref(), Some("off"));
    assert!(named(&advice, "sendfile").reason.ends_with("a copy in nginx, except over TLS"));
    let reason = &named(&advice, "output_buffers").reason;
    assert!(reason.contains("for what gzip compresses or TLS encrypts"), "{reason}");
    assert!(reason.contains("the worker waits for the disk"), "{reason}");
    let effect = advice.effect.expect("of answers");
    assert_eq!((effect.memory_before, effect.memory_after), (Some(64 * K), 0));
    assert_fine(&of_location(&follow(&location, &advice), &host()));
    // What gzip compresses it cannot send; and large files have a bound.
    location.measured.gzip_ratio = of(&[(300, 8000)]);
    location.measured.response = of(&[(30 * M, 8000)]);
    location.settings.gzip = Some(true);
    let advice = of_location(&location, &host());
    assert_advised(&advice, &[("output_buffers", "2 128k"), ("gzip_buffers", "4 24k")]);
    assert_fine(&of_location(&follow(&location, &advice), &host()));
    // Small ones take as much as they need of what there is.
    location.measured.response = of(&[(5000, 8000)]);
    let advice = of_location(&location, &host());
    assert!(!advice.directives.iter().any(|it| it.name == "output_buffers"), "{advice:#?}");
    location.settings.output_buffers = Some(Chain { number: 1, size: 32 * K });
    assert_eq!(named(&of_location(&location, &host()), "output_buffers").advised, "2 32k");
    // Redirections are not sent from files.
    let mut location = serves(&[(169, 5000)]);
    location.settings.sendfile = Some(false);
    let advice = of_location(&location, &host());
    assert_fine(&advice);
    assert_remark(&advice, "p90 of 5,000 answers without an upstream is 175 bytes: too short for");
}

#[test]
fn a_file_is_read_before_it_is_compressed() {
    let mut location = serves(&[(40_000, 8000)]);
    (location.settings.sendfile, location.settings.gzip) = (Some(false), Some(true));
    location.measured.gzip_ratio = of(&[(600, 8000)]);
    let advice = of_location(&location, &host());
    assert_advised(&advice, &[("output_buffers", "2 40k")]);
    let effect = advice.effect.expect("of answers");
    assert_eq!((effect.one_buffer_before, effect.one_buffer_after), (Some(0), 1000));
    // The file, and two of gzip's buffers for the sixth of it.
    let memory = 40 * K - 1 + 8 * K;
    assert_eq!((effect.memory_before, effect.memory_after), (Some(memory), memory));
    assert_fine(&of_location(&follow(&location, &advice), &host()));
}

#[test]
fn what_few_compressed_answers_take_is_not_typical() {
    let table = [
        (passes(Protocol::Proxy, &[(11_900, 38_000)]), 4 * K + 12 * K),
        (serves(&[(20_000, 38_000)]), 0),
    ];
    for (mut location, memory) in table {
        // Something to change: bodies, of which none is typical.
        location.measured.body = of(&[(40, 36_000), (30_000, 2000)]);
        location.settings.gzip = Some(true);
        let mut told = |compressed| {
            location.measured.gzip_ratio = of(&[(400, compressed)]);
            let effect = of_location(&location, &host()).effect.expect("of answers");
            (effect.memory_before.expect("known"), effect.memory_after)
        };
        let few = (memory + 43, memory + 43);
        assert_eq!((told(0), told(5), told(18_999)), (few, few, few));
        let (before, after) = told(19_000);
        assert!(before > few.0 && after > few.1, "{before} {after}");
    }
}
