//! The hash of a limiter's keys: keyed with what no client knows, so that none can choose keys that
//! meet in one place.
//!
//! A key of up to 16 bytes (an address, a number, most names) is two words, folded twice with secret words:
//! the upper half of a product of 128 bits on its lower half, as wyhash and foldhash do. Longer keys
//! are the client's to compose, and go through SipHash-1-3 (Aumasson, Bernstein 2012).

use siphasher::sip::SipHasher13;

/// A secret: random words.
pub type Secret = [u64; 4];

/// The hash of a key.
#[inline(always)]
pub fn hash(key: &[u8], secret: &Secret) -> u64 {
    let [a, b, c, d] = *secret;
    match words_of(key) {
        // The length goes in after the words, so that no difference of words makes up for one of lengths.
        Some((first, last)) => {
            let length = (key.len() as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            fold(fold(first ^ a, last ^ b) ^ c, d.wrapping_add(length))
        }
        None => SipHasher13::new_with_keys(a, b).hash(key),
    }
}

/// A short key's first and last bytes, which overlap if it is shorter than both. With its length they tell all
/// of it. `None`: it is long.
#[inline(always)]
fn words_of(key: &[u8]) -> Option<(u64, u64)> {
    if let (Some(first), Some(last), 8..=16) = (key.first_chunk(), key.last_chunk(), key.len()) {
        return Some((u64::from_le_bytes(*first), u64::from_le_bytes(*last)));
    }
    if let (Some(first), Some(last), 4..=7) = (key.first_chunk(), key.last_chunk(), key.len()) {
        return Some((u32::from_le_bytes(*first).into(), u32::from_le_bytes(*last).into()));
    }
    match *key {
        [] => Some((0, 0)),
        [a] => Some((a.into(), 0)),
        [a, b] => Some((a.into(), b.into())),
        [a, b, c] => Some((a.into(), u64::from(b) << 8 | u64::from(c))),
        _ => None,
    }
}

/// Both halves of a product, on each other.
#[inline]
fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a).wrapping_mul(u128::from(b));
    product as u64 ^ (product >> 64) as u64
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    const SECRET: Secret = [
        0x1234_5678_9abc_def1,
        0x0fed_cba9_8765_4321,
        0x5ac3_96e1_77d2_0b4f,
        0xc0ff_ee11_d15e_a5e5,
    ];

    #[test]
    fn all_bytes_and_the_length_count() {
        let mut seen = HashSet::new();
        let text: Vec<u8> = (101..=140).collect();
        for length in 0..=text.len() {
            for byte in 0..length {
                for bit in 0..8 {
                    let mut key = text[..length].to_vec();
                    key[byte] ^= 1 << bit;
                    assert!(seen.insert(hash(&key, &SECRET)), "{key:?}");
                }
            }
            assert!(seen.insert(hash(&vec![0; length], &SECRET)), "{length} zeroes");
        }
    }

    #[test]
    fn each_bit_of_a_short_key_turns_half_of_the_hash() {
        for length in 1..=16 {
            let key = vec![0x5a; length];
            for bit in 0..8 * length {
                let mut other = key.clone();
                other[bit / 8] ^= 1 << (bit % 8);
                let turned = (hash(&key, &SECRET) ^ hash(&other, &SECRET)).count_ones();
                assert!((12..=52).contains(&turned), "bit {bit} of {length} bytes turns {turned}");
            }
        }
    }

    #[test]
    fn another_secret_is_another_hash() {
        for word in 0..4 {
            let mut secret = SECRET;
            secret[word] ^= 1 << 40;
            assert_ne!(hash(b"192.0.2.1", &secret), hash(b"192.0.2.1", &SECRET), "word {word}");
        }
    }

    #[test]
    fn keys_in_a_row_spread_evenly() {
        // 65,536 keys on 4,096 places, 16 on each: the sum of squares is near that of chance.
        for stride in [1_u32, 256, 65_537, 0x0101_0101] {
            let mut places = vec![0_i64; 4096];
            for number in 0..65_536_u32 {
                let key = number.wrapping_mul(stride).to_be_bytes();
                places[(hash(&key, &SECRET) >> 52) as usize] += 1;
            }
            let chi: f64 = places.iter().map(|count| ((count - 16).pow(2) as f64) / 16.0).sum();
            assert!((3600.0..4600.0).contains(&chi), "stride {stride}: {chi}");
        }
    }
}
