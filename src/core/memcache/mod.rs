//! memcached's classic text protocol, as far as lookups need it: `get` of one or more keys.
//!
//! Sans-IO: bytes in, a reply or "more, please" out. Nothing is copied and nothing allocated. The
//! classic protocol because everything speaks it: memcached of any age, and the proxies. Several
//! keys in one `get` because the server answers them in one write, where it would make one system
//! call for each `get` of its own.
//!
//! Not in scope: `gets` (its fifth field is an error here), the meta and binary protocols. The
//! client's flags of a value are read and not interpreted.

mod error;
mod reply;

pub use error::ProtocolError;
pub use reply::{parse_get_reply, Parsed, Reply};

const LINE_END: &[u8] = b"\r\n";

/// Appends the request for `key`, which [`key::check`](super::key::check) has accepted.
pub fn encode_get(key: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(b"get ");
    out.extend_from_slice(key);
    out.extend_from_slice(LINE_END);
}

/// Appends one more key to the request that `out` ends with.
pub fn extend_get(key: &[u8], out: &mut Vec<u8>) {
    out.truncate(out.len().saturating_sub(LINE_END.len()));
    out.push(b' ');
    out.extend_from_slice(key);
    out.extend_from_slice(LINE_END);
}

#[cfg(test)]
mod tests {
    use super::{encode_get, extend_get};

    #[test]
    fn requests_are_appended_and_extended() {
        let mut out = Vec::new();
        encode_get(b"297887", &mut out);
        encode_get(b"file:\xff", &mut out);
        extend_get(b"8", &mut out);
        assert_eq!(out, b"get 297887\r\nget file:\xff 8\r\n");
    }
}
