//! Addresses in bytes, as `$binary_remote_addr` gives them.

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
    use std::net::Ipv6Addr;

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
    fn the_network_of_a_client_is_what_its_owner_cannot_vary() {
        let of = |address: &str| Network::of_ipv6(address.parse::<Ipv6Addr>().unwrap().octets());
        assert_eq!(of("2001:db8:1:2:3:4:5:6"), of("2001:db8:1:2::9"));
        assert_eq!(of("2001:db8:1:2::9").as_bytes(), [0x20, 1, 0xd, 0xb8, 0, 1, 0, 2]);
        assert_ne!(of("2001:db8:1:2::"), of("2001:db8:1:3::"));
        assert_eq!(of("::ffff:192.0.2.1"), Network::V4([192, 0, 2, 1]));
        assert_eq!(of("::ffff:192.0.2.1").as_bytes(), [192, 0, 2, 1]);
    }
}
