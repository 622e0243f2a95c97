//! Further ports of the server, for clients that speak HTTP/2 or TLS.

use super::curl::write_certificate;
use super::port::Port;
use super::setup::{self, Setup};

/// Adds a port to the server, with these parameters, and HTTP/2.
fn listen_with_http2(setup: Setup, port: &Port, parameters: &str) -> Setup {
    assert!(setup::built_with("http_v2_module"), "this nginx has no HTTP/2");
    let address = port.address();
    setup.server(&if setup::version() >= (1, 25, 1) {
        format!("listen {address} {parameters}; http2 on;\n")
    } else {
        format!("listen {address} {parameters} http2;\n")
    })
}

impl Setup {
    /// Another port of the server, where a client may begin with HTTP/2.
    pub fn http2(self, port: &Port) -> Self {
        listen_with_http2(self, port, "")
    }

    /// Another port of the server, with TLS, and HTTP/2 for who wants it.
    pub fn https(self, port: &Port) -> Self {
        assert!(setup::built_with("http_ssl_module"), "this nginx has no TLS");
        let prefix = self.prefix().display().to_string();
        write_certificate(self.prefix());
        listen_with_http2(self, port, "ssl").server(&format!(
            "ssl_certificate {prefix}/certificate.pem;
            ssl_certificate_key {prefix}/key.pem;\n"
        ))
    }
}
