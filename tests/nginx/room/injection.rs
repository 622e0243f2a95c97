//! Memory that is not there, and calls that carry a few bytes only, while a room decides.

use crate::common::client::Client;
use crate::common::nginx::Nginx;
use crate::common::preload::Preload;
use crate::common::room::{counts, rooms, seated, Visitor, ROOM_TYPE};

/// A room with two seats, in an nginx with the library loaded, and every form in which it answers.
fn start() -> Option<(Preload, Nginx)> {
    let room = "max_active=2 session=1h absent=1h per_net=off";
    let setup = rooms()
        .http(&format!("smart_limit_room r 1m {room};\n"))
        .http("smart_limit_room full 64k max_active=1 max_waiting=1 session=1h absent=1h;\n")
        .http("smart_limit_zone $smart_limit_session zone=session:1m rate=1000r/s;\n")
        // Small pools, so that nearly everything that a request needs is an allocation.
        .server("request_pool_size 256; connection_pool_size 256;\n")
        .limit("/", "smart_limit room=r;")
        .limit("/counts", "smart_limit zone=site burst=1000 nodelay room=r;")
        .limit("/over", "smart_limit zone=key room=r; smart_limit zone=session;")
        .limit("/file", "smart_limit room=r; smart_limit_room_page /page?of=$smart_limit_position;")
        .limit("/named", "smart_limit room=r; smart_limit_room_page @named;")
        .limit("/full", "smart_limit room=full;")
        .location("= /page", "internal; try_files /page.html =404;")
        .location("@named", "try_files /page.html =404;")
        .document("page.html", b"an own page\n");
    let (preload, setup) = Preload::into(setup)?;
    Some((preload, setup.start()))
}

/// Who asks for what: somebody inside, somebody with a place, and somebody new.
struct People {
    inside: Visitor,
    waiting: Visitor,
    late: Visitor,
    newcomer: Visitor,
}

impl People {
    fn gather(nginx: &Nginx) -> Self {
        let visitor = || Visitor::new(nginx);
        let inside = seated(nginx);
        seated(nginx);
        let [mut waiting, mut late] = [(); 2].map(|()| visitor());
        assert_eq!(waiting.join("/")["position"], 1);
        assert_eq!(visitor().join("/full")["status"], "admitted");
        assert_eq!(visitor().join("/full")["position"], 1);
        assert_eq!(late.join("/full")["status"], "full");
        Self { inside, waiting, late, newcomer: visitor() }
    }

    /// All requests, as bytes, and the statuses that each may have where memory is there.
    fn requests(&self, number: u64) -> Vec<(Vec<u8>, u16)> {
        let newcomer = &self.newcomer;
        let mut all = Vec::new();
        let mut add = |visitor: &Visitor, path: &str, accept: &str, status| {
            let headers = [("Accept", accept)];
            all.push((visitor.text("GET", path, &headers, b""), status));
        };
        for accept in ["text/html", "application/json", ROOM_TYPE] {
            add(&self.waiting, "/", accept, 503);
            add(newcomer, "/", accept, 503);
            add(&self.late, "/full", accept, 503);
            add(&self.inside, "/", accept, 200);
        }
        for path in ["/file", "/named"] {
            add(&self.waiting, path, "text/html", 503);
            add(newcomer, path, "text/html", 503);
        }
        add(&self.inside, &format!("/over?k={number}"), "text/html", 200);
        all.push((newcomer.text("GET", "/", &[("Sec-Fetch-Dest", "image")], b""), 503));
        all.push((self.waiting.text("POST", "/", &[], &[b'x'; 5_000]), 503));
        all
    }
}

/// Sends a request and returns the status, if there is an answer.
fn status_of(nginx: &Nginx, bytes: &[u8]) -> Option<u16> {
    let mut client = Client::try_connect(nginx.port()).ok()?;
    client.try_send(bytes).ok()?;
    Some(client.try_read("GET").ok()?.status)
}

#[test]
fn the_failure_of_any_allocation_is_survived() {
    let Some((preload, nginx)) = start() else {
        return;
    };
    // nginx's own words for memory that it does not get.
    nginx.allow("(12: Cannot allocate memory)");
    let worker = nginx.worker();
    let mut people = People::gather(&nginx);
    let mut errors = 0;
    for number in 1..=50 {
        for (bytes, status) in people.requests(number) {
            preload.fail_allocation(number);
            // No answer at all is right for a request that nginx could not even allocate.
            let seen = status_of(&nginx, &bytes);
            preload.fail_allocation(0);
            let text = String::from_utf8_lossy(&bytes).into_owned();
            assert!(seen.is_none_or(|seen| seen == status || seen == 500), "{seen:?}: {text}");
            errors += usize::from(seen == Some(500));
            assert_eq!(nginx.worker(), worker, "the worker lives: {text}");
        }
        // Places and seats are as they were, and the lock is open.
        assert_eq!(people.waiting.poll("/")["position"], 1, "allocation {number}");
        assert_eq!(people.inside.get("/").verdict(), "200 ADMITTED", "allocation {number}");
        assert_eq!(counts(&nginx), (1, 2), "allocation {number}");
    }
    assert!(preload.failed() > 200, "{} allocations failed", preload.failed());
    assert!(errors > 20, "{errors} requests failed with them");
}

#[test]
fn whom_a_failure_hits_on_his_way_in_gets_in_the_next_time() {
    let Some((preload, nginx)) = start() else {
        return;
    };
    nginx.allow("(12: Cannot allocate memory)");
    let mut people = People::gather(&nginx);
    for number in 1..=50 {
        // A newcomer takes a place; what he was told may be lost, but not the place, and it is not doubled.
        let mut newcomer = Visitor::new(&nginx);
        assert_eq!(newcomer.get("/").verdict(), "503 WAITING");
        preload.fail_allocation(number);
        let seen = status_of(&nginx, &newcomer.text("GET", "/", &[], b""));
        preload.fail_allocation(0);
        assert!(seen.is_none_or(|seen| [500, 503].contains(&seen)), "{seen:?}");
        assert_eq!(newcomer.poll("/")["position"], 1 + number, "allocation {number}");
        assert_eq!(counts(&nginx), (1 + number, 2), "allocation {number}");
    }
    assert_eq!(people.waiting.poll("/")["position"], 1);
}

#[test]
fn short_reads_and_writes_change_nothing() {
    let Some((preload, nginx)) = start() else {
        return;
    };
    let people = People::gather(&nginx);
    let ask = |number| {
        let requests = people.requests(number).into_iter();
        requests.map(|(bytes, status)| {
            let mut client = nginx.connect();
            client.send(&bytes);
            let response = client.read("GET");
            assert_eq!(response.status, status, "{}", String::from_utf8_lossy(&bytes));
            response.body.len()
        })
    };
    let lengths: Vec<usize> = ask(0).collect();
    preload.shorten();
    for number in 1..=10 {
        assert!(ask(number).eq(lengths.iter().copied()), "{number}");
    }
    assert!(preload.shortened() > 300, "{} cuts", preload.shortened());
}
