//! Addresses in bytes, as `$binary_remote_addr` gives them.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What IPv4 addresses begin with that a socket of IPv6 reports (RFC 4291, 2.5.5.2).
const MAPPED: [u8; 12] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff];

/// The network of an IPv6 address: its first `prefix` bits, the others zero. `None`: the address is not one
/// of IPv6, or stands for one of IPv4, which is a network of its own.
pub fn network(address: &[u8], prefix: u8) -> Option<[u8; 16]> {
    let address: [u8; 16] = address.try_into().ok()?;
    if address.starts_with(&MAPPED) {
        return None;
    }
    let host = u128::MAX.checked_shr(prefix.into()).unwrap_or(0);
    Some((u128::from_be_bytes(address) & !host).to_be_bytes())
}

/// An address that is a key, or the network that makes one of all its addresses. Displayed as text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Address {
    /// One of IPv4.
    V4([u8; 4]),
    /// One of IPv6, or so many of its first bits.
    V6([u8; 16], Option<u8>),
}

impl Address {
    /// From its bytes. Of an IPv6 address, the first `ipv6_prefix` bits count, as [`network`] says. `None`: they
    /// are no address.
    pub fn new(bytes: &[u8], ipv6_prefix: Option<u8>) -> Option<Self> {
        if let Ok(bytes) = bytes.try_into() {
            return Some(Self::V4(bytes));
        }
        let whole = bytes.try_into().ok()?;
        let network = ipv6_prefix.and_then(|prefix| Some((network(bytes, prefix)?, prefix)));
        Some(network.map_or(Self::V6(whole, None), |(bits, prefix)| Self::V6(bits, Some(prefix))))
    }

    /// From text: an address, or a network as it is displayed.
    pub fn parse(text: &[u8], ipv6_prefix: Option<u8>) -> Option<Self> {
        let text = std::str::from_utf8(text).ok()?;
        let (address, prefix) = match text.split_once('/') {
            None => (text, None),
            Some((address, prefix)) => (address, Some(prefix.parse::<u8>().ok()?)),
        };
        let address = match address.parse().ok()? {
            IpAddr::V4(address) => Self::V4(address.octets()),
            IpAddr::V6(address) => Self::new(&address.octets(), ipv6_prefix)?,
        };
        Some(address).filter(|address| prefix.is_none() || prefix == address.prefix())
    }

    /// Its bytes, as `$binary_remote_addr` has them: four or sixteen.
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::V4(bytes) => bytes,
            Self::V6(bytes, _) => bytes,
        }
    }

    fn prefix(&self) -> Option<u8> {
        match self {
            Self::V4(_) => None,
            Self::V6(_, prefix) => *prefix,
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::V4(bytes) => Ipv4Addr::from(*bytes).fmt(f),
            Self::V6(bytes, None) => Ipv6Addr::from(*bytes).fmt(f),
            Self::V6(bytes, Some(prefix)) => write!(f, "{}/{prefix}", Ipv6Addr::from(*bytes)),
        }
    }
}

/// Whose a client's address is, as far as can be told: an IPv4 address, or the first half of an IPv6 address,
/// whose second half its owner picks at will.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Network {
    /// An IPv4 address.
    V4([u8; 4]),
    /// The `/64` of an IPv6 address.
    V6([u8; 8]),
}

impl Network {
    /// The network of an IPv6 address, or of the IPv4 address that it stands for.
    pub fn of_ipv6(address: [u8; 16]) -> Self {
        let [front @ .., a, b, c, d] = address;
        if front == MAPPED {
            return Self::V4([a, b, c, d]);
        }
        let [a, b, c, d, e, f, g, h, ..] = address;
        Self::V6([a, b, c, d, e, f, g, h])
    }

    /// Its bytes: four or eight.
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::V4(bytes) => bytes,
            Self::V6(bytes) => bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network_of(address: &str, prefix: u8) -> Option<String> {
        let address: Ipv6Addr = address.parse().unwrap();
        network(&address.octets(), prefix).map(|network| Ipv6Addr::from(network).to_string())
    }

    #[test]
    fn a_network_is_the_first_bits() {
        let address = "2001:db8:1:2:3:4:5:6";
        for (prefix, expected) in [
            (64, "2001:db8:1:2::"),
            (48, "2001:db8:1::"),
            (128, address),
            (127, address),
            (31, "2001:db8::"),
            (1, "::"),
        ] {
            assert_eq!(network_of(address, prefix).as_deref(), Some(expected), "/{prefix}");
        }
    }

    #[test]
    fn an_address_of_ipv4_stays_whole() {
        assert_eq!(network_of("::ffff:192.0.2.1", 64), None);
        assert_eq!(network(&[192, 0, 2, 1], 64), None);
        assert_eq!(network(b"", 64), None);
    }

    #[test]
    fn an_address_is_text_and_bytes() {
        for (text, prefix, expected) in [
            ("192.0.2.1", None, Some("192.0.2.1")),
            ("192.0.2.1", Some(64), Some("192.0.2.1")),
            ("2001:DB8:0::1", None, Some("2001:db8::1")),
            ("2001:db8:1:2:3::1", Some(64), Some("2001:db8:1:2::/64")),
            ("2001:db8:1:2::/64", Some(64), Some("2001:db8:1:2::/64")),
            ("::ffff:192.0.2.1", Some(64), Some("::ffff:192.0.2.1")),
            ("2001:db8:1:2::/48", Some(64), None),
            ("2001:db8:1:2::/64", None, None),
            ("192.0.2.1/32", None, None),
            ("unix:", None, None),
            ("192.0.2.1 ", None, None),
            ("\u{ff11}", None, None),
        ] {
            let address = Address::parse(text.as_bytes(), prefix);
            assert_eq!(address.map(|address| address.to_string()).as_deref(), expected, "{text}");
            let again = address.and_then(|address| Address::new(address.as_bytes(), prefix));
            assert_eq!(again, address, "{text}: its bytes are the same address");
        }
        assert_eq!(Address::parse(b"192.0.2.\xff", None), None);
        assert_eq!(Address::new(b"unix:", None), None);
        assert_eq!(Address::parse(b"::1", None).unwrap().as_bytes().len(), 16);
        assert_eq!(Address::parse(b"192.0.2.1", None).unwrap().as_bytes(), [192, 0, 2, 1]);
    }

    #[test]
    fn the_network_of_a_client_is_what_its_owner_cannot_vary() {
        let of = |address: &str| Network::of_ipv6(address.parse::<Ipv6Addr>().unwrap().octets());
        assert_eq!(of("2001:db8:1:2:3:4:5:6"), of("2001:db8:1:2::9"));
        assert_eq!(of("2001:db8:1:2::9").as_bytes(), [0x20, 1, 0xd, 0xb8, 0, 1, 0, 2]);
        assert_ne!(of("2001:db8:1:2::"), of("2001:db8:1:3::"));
        assert_eq!(of("::ffff:192.0.2.1"), Network::V4([192, 0, 2, 1]));
        assert_eq!(of("::ffff:192.0.2.1").as_bytes(), [192, 0, 2, 1]);
    }
}
