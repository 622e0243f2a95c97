//! The status interface, asked by HTTP.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{anyhow, bail, ensure, Context, Result};
use serde::de::DeserializeOwned;
use ureq::tls::{Certificate, RootCerts, TlsConfig};
use ureq::{Agent, Error};

use super::clean::Text;
use super::model::{self, Heaviest, History, Refusal, Status, Top};

/// Of one request, from its beginning to the last byte of the answer.
const TIMEOUT: Duration = Duration::from_secs(5);
/// More than an answer for thousands of zones and locations has.
const LONGEST_ANSWER: u64 = 64 << 20;

/// How many of the heaviest keys of a limit are asked for.
const KEYS: usize = 5;

/// Asks one status interface. Each request has a connection of its own: one that was kept may have belonged to a
/// server that has been restarted since.
pub struct Client {
    agent: Agent,
    /// With a slash at its end.
    location: String,
    /// The same, as it may be seen.
    pub shown: Text,
}

impl Client {
    /// For the location of a `smart_api`; `http://` may be left out.
    pub fn new(url: &str) -> Result<Self> {
        let location = location(url)?;
        let mut config = Agent::config_builder()
            .timeout_global(Some(TIMEOUT))
            .http_status_as_error(false)
            .max_redirects(0)
            .max_idle_connections(0)
            .proxy(None)
            .user_agent(concat!("ngx-smart/", env!("CARGO_PKG_VERSION")));
        if location.starts_with("https:") {
            config = config.tls_config(tls()?);
        }
        let shown = shown(&location);
        Ok(Client { agent: config.build().into(), location, shown })
    }

    pub fn status(&self) -> Result<Status> {
        self.get("status.json")
    }

    pub fn history(&self) -> Result<History> {
        self.get("history.json")
    }

    /// The heaviest keys of each limit that has held somebody back. What is not told is left out.
    pub fn heaviest(&self, status: &Status) -> Heaviest {
        let limits = status.limits.0.iter().filter(|(_, limit)| limit.held_back() > 0);
        let keys = limits.filter_map(|(name, _)| {
            let path = format!("limits/{}?top={KEYS}", in_a_path(name.as_str()));
            self.get::<Top>(&path).ok().map(|keys| (name.clone(), keys.top))
        });
        keys.collect()
    }

    fn get<T: DeserializeOwned>(&self, name: &str) -> Result<T> {
        self.ask(&format!("{}{name}", self.location))
            .with_context(|| format!("{}{name}", self.shown))
    }

    fn ask<T: DeserializeOwned>(&self, url: &str) -> Result<T> {
        let mut response = self.agent.get(url).call().map_err(said)?;
        let status = response.status().as_u16();
        let body = response.body_mut().with_config().limit(LONGEST_ANSWER).read_to_vec();
        let body = body.map_err(said)?;
        match status {
            200 => model::parse(&body),
            300..=399 => bail!("answered {status}: it refers to another address"),
            _ => match model::parse::<Refusal>(&body) {
                Ok(refusal) => bail!("answered {status}: {}", refusal.error.text),
                Err(_) => bail!("answered {status}"),
            },
        }
    }
}

fn location(url: &str) -> Result<String> {
    let url = if url.contains("://") { url.to_owned() } else { format!("http://{url}") };
    let is_http = url.starts_with("http://") || url.starts_with("https://");
    ensure!(is_http, "{}: the URL must begin with http:// or https://", shown(&url));
    ensure!(
        !url.contains(['?', '#']),
        "{}: the URL of the location is wanted, without arguments",
        shown(&url)
    );
    // Whoever gives the address of the page's data means the page.
    let url = url.strip_suffix("status.json").unwrap_or(&url);
    Ok(if url.ends_with('/') { url.to_owned() } else { format!("{url}/") })
}

/// A name as it is written in a path.
fn in_a_path(name: &str) -> String {
    let byte = |byte: u8| match byte {
        b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' | b'-' | b'_' | b'.' | b'~' => {
            char::from(byte).to_string()
        }
        other => format!("%{other:02X}"),
    };
    name.bytes().map(byte).collect()
}

/// A URL as a screen or a log may have it: without the password, if it has one. That ends at the last `@`, whatever is
/// in it: of a URL that is malformed rather too much is left out.
fn shown(url: &str) -> Text {
    let authority = url.find("://").map_or(0, |scheme| scheme + "://".len());
    let (scheme, rest) = url.split_at(authority);
    let parts =
        rest.rsplit_once('@').and_then(|(user, host)| Some((user.split_once(':')?.0, host)));
    match parts {
        Some((user, host)) => Text::new(&format!("{scheme}{user}:…@{host}")),
        None => Text::new(url),
    }
}

/// What the system trusts.
fn tls() -> Result<TlsConfig> {
    let found = rustls_native_certs::load_native_certs();
    let certificates: Vec<_> = found
        .certs
        .iter()
        .map(|certificate| Certificate::from_der(certificate).to_owned())
        .collect();
    ensure!(
        !certificates.is_empty(),
        "the system has no certificates to know a server by: install ca-certificates, or ask by http"
    );
    // No other library of this program speaks TLS, so nobody can have been first.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Ok(TlsConfig::builder().root_certs(RootCerts::Specific(Arc::new(certificates))).build())
}

/// What has gone wrong, in the words of an operator.
fn said(error: Error) -> anyhow::Error {
    match error {
        Error::Timeout(_) => anyhow!("no answer within {} s", TIMEOUT.as_secs()),
        Error::HostNotFound => anyhow!("there is no host of this name"),
        Error::BodyExceedsLimit(_) => anyhow!("the answer has no end"),
        Error::Io(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            anyhow!("nothing listens there")
        }
        Error::Io(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            anyhow!("the connection was closed before the answer was complete")
        }
        Error::Protocol(_) => anyhow!("what answers does not speak HTTP"),
        // Its own words have the whole URL in them.
        Error::BadUri(_) => anyhow!("there is no host in the URL"),
        error => error.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_location_may_be_written_in_several_ways() {
        for (written, meant) in [
            ("http://127.0.0.1/smart/", "http://127.0.0.1/smart/"),
            ("http://127.0.0.1/smart", "http://127.0.0.1/smart/"),
            ("127.0.0.1:8080/smart/", "http://127.0.0.1:8080/smart/"),
            ("[::1]/smart/", "http://[::1]/smart/"),
            ("https://www.example.org/smart/status.json", "https://www.example.org/smart/"),
        ] {
            assert_eq!(location(written).expect(written), meant);
        }
        for wrong in ["ftp://127.0.0.1/", "http://127.0.0.1/smart/?a", "unix:///tmp/x"] {
            assert!(location(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_location_is_shown_without_its_password() {
        for (url, seen) in [
            ("http://127.0.0.1/smart/", "http://127.0.0.1/smart/"),
            ("http://[::1]:80/smart/", "http://[::1]:80/smart/"),
            ("http://user@host/smart/", "http://user@host/smart/"),
            ("http://user:secret@host:80/smart/", "http://user:…@host:80/smart/"),
            ("https://:secret@host/", "https://:…@host/"),
            ("http://user:sec:r@et@host/", "http://user:…@host/"),
            ("http://user:sec/r?e#t@host/", "http://user:…@host/"),
            ("user:secret@host/\u{1b}", "user:…@host/\\u{1b}"),
        ] {
            assert_eq!(shown(url).as_str(), seen);
        }
        for wrong in ["ftp://u:secret@host/", "u:secret@host/?a", "http://u:s#ecret@host/"] {
            let error = location(wrong).expect_err(wrong).to_string();
            assert!(error.contains("u:…@host/") && !error.contains("ecret"), "{error}");
        }
    }
    #[test]
    fn a_name_in_a_path_is_no_more_than_a_name() {
        assert_eq!(in_a_path("Per-user_1.0~"), "Per-user_1.0~");
        assert_eq!(in_a_path("../a b?c#d%é"), "..%2Fa%20b%3Fc%23d%25%C3%A9");
    }
}
