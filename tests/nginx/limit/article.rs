//! The experiments by which the leaky bucket of `limit_req` is usually explained, made with both
//! limiters: which of several requests at once pass, wait, and are refused.

use std::thread;
use std::time::Duration;

use crate::common::limited::{ask_at_once, each_limiter, renamed_for, Answer, TICK};
use crate::common::nginx::Nginx;
use crate::common::setup::Setup;

const SECOND: Duration = Duration::from_secs(1);

/// A server that lets one request a second through.
fn start(limiter: &str, parameters: &str) -> Nginx {
    let directives = renamed_for(
        limiter,
        &format!(
            "limit_req_zone $binary_remote_addr zone=one:1m rate=1r/s;
            limit_req zone=one {parameters};"
        ),
    );
    Setup::new().http(&directives).document("page", b"a page\n").start()
}

/// The answers to so many requests at once.
fn ask(nginx: &Nginx, count: usize) -> Vec<Answer> {
    ask_at_once(nginx, &vec!["/page"; count])
}

/// How many of the answers have this status and came at once.
fn at_once(answers: &[Answer], status: u16) -> usize {
    answers.iter().filter(|answer| answer.status == status && answer.after < SECOND - TICK).count()
}

#[test]
fn smoke_of_three_at_once_one_passes_and_a_second_later_one_of_two() {
    each_limiter(|limiter| {
        let nginx = start(limiter, "");
        let three = ask(&nginx, 3);
        assert_eq!((at_once(&three, 200), at_once(&three, 503)), (1, 2), "{limiter}: {three:?}");
        // What is tested is what a second does.
        thread::sleep(SECOND + TICK);
        let two = ask(&nginx, 2);
        assert_eq!((at_once(&two, 200), at_once(&two, 503)), (1, 1), "{limiter}: {two:?}");
    });
}

#[test]
fn with_a_burst_five_wait_one_second_each() {
    each_limiter(|limiter| {
        let answers = ask(&start(limiter, "burst=5"), 10);
        assert_eq!((at_once(&answers, 200), at_once(&answers, 503)), (1, 4), "{answers:?}");
        let mut waited: Vec<Duration> = answers
            .iter()
            .filter(|answer| answer.status == 200)
            .map(|answer| answer.after)
            .collect();
        waited.sort();
        assert_eq!(waited.len(), 6, "{limiter}: {answers:?}");
        for (seconds, waited) in waited.into_iter().enumerate().skip(1) {
            let due = SECOND * seconds as u32;
            assert!(
                waited > due - TICK && waited < due + 5 * SECOND,
                "{limiter}: {waited:?}, not {due:?}"
            );
        }
    });
}

#[test]
fn with_a_burst_and_nodelay_six_pass_at_once() {
    each_limiter(|limiter| {
        let answers = ask(&start(limiter, "burst=5 nodelay"), 10);
        assert_eq!((at_once(&answers, 200), at_once(&answers, 503)), (6, 4), "{answers:?}");
    });
}
