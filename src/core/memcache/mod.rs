//! memcached's classic text protocol, as far as a lookup needs it: `get` of one key.
//!
//! Sans-IO: bytes in, a reply or "more, please" out. Nothing is copied and nothing allocated. The
//! classic protocol because everything speaks it: memcached of any age, and the proxies.
//!
//! Not in scope: several keys in one `get`, `gets` (its fifth field is an error here), the meta
//! and binary protocols. The client's flags of a value are read and not interpreted.

mod error;
mod reply;

pub use error::ProtocolError;
pub use reply::{parse_get_reply, Parsed, Reply};

/// Appends the request for `key`, which [`key::check`](super::key::check) has accepted.
pub fn encode_get(key: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(b"get ");
    out.extend_from_slice(key);
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::encode_get;

    #[test]
    fn requests_are_appended() {
        let mut out = Vec::new();
        encode_get(b"297887", &mut out);
        encode_get(b"file:\xff", &mut out);
        assert_eq!(out, b"get 297887\r\nget file:\xff\r\n");
    }
}
