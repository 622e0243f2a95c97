//! Memory that is not there, and calls that carry a few bytes only, while limits decide.

use crate::common::client::request;
use crate::common::limit::{limited, verdicts};
use crate::common::nginx::Nginx;
use crate::common::preload::Preload;

/// Limits in each of their ways, in an nginx with the library loaded.
fn start() -> Option<(Preload, Nginx)> {
    // More limits than a decision keeps on the stack.
    let many: String =
        (0..6).map(|zone| format!("smart_limit zone=z{zone} burst=1 nodelay; ")).collect();
    let mut setup = limited()
        .http("smart_limit_zone $arg_k zone=one:1m rate=1r/h;\n")
        .http("smart_limit_zone $arg_k zone=fast:1m rate=100r/s;\n")
        .http("smart_limit_zone $arg_k zone=own:1m rate=$arg_r:1r/h;\n")
        .http("smart_limit_zone $binary_remote_addr zone=address:1m ipv6_prefix=64;\n");
    for zone in 0..6 {
        setup = setup.http(&format!("smart_limit_zone $arg_k zone=z{zone}:1m rate=1r/h;\n"));
    }
    let setup = setup
        // Small pools, so that nearly everything that a request needs is an allocation.
        .server("request_pool_size 256; connection_pool_size 256;\n")
        .server("set_real_ip_from 127.0.0.1; real_ip_header X-Real-IP;\n")
        .server("smart_limit_headers draft; smart_limit_bypass \"$arg_a$arg_b\";\n")
        .limit("/one", "smart_limit zone=one;")
        .limit("/many", &many)
        .limit("/waits", "smart_limit zone=fast burst=5;")
        .limit("/own", "smart_limit zone=own;")
        .limit("/address", "smart_limit zone=address;");
    let (preload, setup) = Preload::into(setup)?;
    Some((preload, setup.start()))
}

#[test]
fn the_failure_of_any_allocation_is_survived() {
    let Some((preload, nginx)) = start() else {
        return;
    };
    // nginx's own words for memory that it does not get.
    nginx.allow("(12: Cannot allocate memory)");
    let worker = nginx.worker();
    let mut errors = 0;
    for number in 1..=60 {
        for path in ["/one?k=", "/many?k=", "/waits?k=", "/own?r=x&k=", "/address?k="] {
            let path = format!("{path}{number}");
            let mut client = nginx.connect();
            preload.fail_allocation(number);
            // Three of a key: one passes, one waits or is refused.
            let bytes = request("GET", &path, &[("X-Real-IP", "2001:db8::1")], b"").repeat(3);
            let _ = client.try_send(&bytes);
            for _ in 0..3 {
                // No answer at all is right for a request that nginx could not even allocate.
                let Ok(response) = client.try_read("GET") else {
                    break;
                };
                assert!(matches!(response.status, 200 | 500 | 503), "{path}: {}", response.status);
                errors += usize::from(response.status == 500);
            }
            preload.fail_allocation(0);
            assert_eq!(nginx.worker(), worker, "{path}: the worker lives");
        }
        let after = format!("/many?k=after{number}");
        assert_eq!(
            verdicts(&nginx, &after, 3),
            ["200 PASSED", "200 PASSED", "503 REJECTED"],
            "after the failure of allocation {number}"
        );
    }
    assert!(preload.failed() > 50, "{} allocations failed", preload.failed());
    assert!(errors > 10, "{errors} requests failed with them");
}

#[test]
fn short_reads_and_writes_change_nothing() {
    let Some((preload, nginx)) = start() else {
        return;
    };
    preload.shorten();
    for number in 0..100 {
        let mut client = nginx.connect();
        client.send(request("GET", &format!("/many?k={number}"), &[], b"").repeat(3));
        let answers: Vec<String> = (0..3).map(|_| client.read("GET").verdict()).collect();
        assert_eq!(answers, ["200 PASSED", "200 PASSED", "503 REJECTED"], "key {number}");
        client.send(request("GET", &format!("/waits?k={number}"), &[], b"").repeat(3));
        let passed = (0..3).filter(|_| client.read("GET").status == 200).count();
        assert_eq!(passed, 3, "key {number}");
    }
    assert!(preload.shortened() > 300, "{} cuts", preload.shortened());
}
