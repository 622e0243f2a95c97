//! What nginx's buffers were measured to need, as the status interface tells it.

use serde_json::Value;

use super::client::Response;
use super::nginx::Nginx;
use super::port::Port;
use super::setup::Setup;
use super::wait_until;

/// Where the status interface is.
const INTERFACE: &str = "/smart/";

impl Setup {
    /// Measures all locations but that of the status interface.
    pub fn measured(self) -> Self {
        self.http("smart_buffers_zone 1m; smart_buffers on;\n").interface()
    }

    /// A status interface, which is not measured.
    pub fn interface(self) -> Self {
        self.location(INTERFACE, "smart_api; smart_buffers off;")
    }
}

impl Nginx {
    /// All that was measured.
    #[track_caller]
    pub fn buffers(&self) -> Value {
        let answer = self.get(&format!("{INTERFACE}buffers"));
        assert_eq!(answer.status, 200, "{}", answer.text());
        serde_json::from_slice(&answer.body).expect("JSON")
    }

    /// What was measured of a location, `server` being the first name of its server.
    #[track_caller]
    pub fn location_of(&self, server: &str, location: &str) -> Value {
        let buffers = self.buffers();
        let locations = buffers["locations"].as_array().expect("locations");
        let wanted = |one: &&Value| one["server"] == server && one["location"] == location;
        let found: Vec<&Value> = locations.iter().filter(wanted).collect();
        assert_eq!(found.len(), 1, "{server:?} {location:?} among {locations:#?}");
        found[0].clone()
    }

    /// What was measured of a location of the nameless server.
    #[track_caller]
    pub fn location(&self, location: &str) -> Value {
        self.location_of("", location)
    }

    /// The same, when so many requests have ended: nginx measures one after it has answered it.
    #[track_caller]
    pub fn location_after(&self, location: &str, requests: u64) -> Value {
        let mut measured = Value::Null;
        wait_until(&format!("{requests} requests of {location}"), || {
            measured = self.location(location);
            let counted = measured["requests"].as_u64().expect("a number");
            assert!(counted <= requests, "{requests} requests, not {measured:#}");
            counted == requests
        });
        measured
    }

    /// What was measured of the headers that a server has read.
    #[track_caller]
    pub fn server(&self, name: &str) -> Value {
        let buffers = self.buffers();
        let servers = buffers["servers"].as_array().expect("servers");
        let found: Vec<&Value> = servers.iter().filter(|one| one["server"] == name).collect();
        assert_eq!(found.len(), 1, "{name:?} among {servers:#?}");
        found[0].clone()
    }

    /// The same, when so many headers have been read.
    #[track_caller]
    pub fn server_after(&self, name: &str, headers: u64) -> Value {
        let mut told = Value::Null;
        wait_until(&format!("{headers} headers"), || {
            told = self.server(name);
            told["header"]["count"].as_u64() >= Some(headers)
        });
        told
    }

    /// The advice for a location as directives.
    #[track_caller]
    pub fn snippet(&self, server: &str, location: &str) -> Response {
        let (server, location) = (encoded(server), encoded(location));
        self.get(&format!("{INTERFACE}buffers.conf?server={server}&location={location}"))
    }
}

/// A server on a port of its own, which answers 204 where `server` says nothing else.
pub fn listening(port: &Port, server: &str) -> String {
    format!("server {{ listen {}; {server} location / {{ return 204; }} }}\n", port.address())
}

/// A text as a part of a query.
pub fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

/// The histogram must be that of exactly these values: the mean is exact, a quantile at most an eighth too high.
#[track_caller]
pub fn assert_sizes(histogram: &Value, values: &[u64]) {
    assert_eq!(histogram["count"], values.len(), "{histogram} of {values:?}");
    let Some(mean) = values.iter().sum::<u64>().checked_div(values.len() as u64) else {
        assert!(histogram["mean"].is_null(), "{histogram}");
        return;
    };
    assert_eq!(histogram["mean"], mean, "{histogram} of {values:?}");
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    for (name, percent) in [("p50", 50), ("p90", 90), ("p99", 99)] {
        let exact = sorted[(values.len() * percent).div_ceil(100) - 1];
        let told = histogram[name].as_u64().expect("a number");
        assert!(told >= exact && told - exact <= exact / 8, "{name} is {exact}, not {told}");
    }
}
