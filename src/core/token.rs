//! Who a visitor of a room is: a random nonce, in a token that only the site can make.
//!
//! A token is the value of a cookie, and so the client's to keep, copy, change or throw away. It says nothing
//! but who it is and how old, and is believed only if its signature is right: HMAC-SHA-256 (RFC 2104),
//! cut to 128 bits, over times, nonce and the name of the room.
//!
//! The text is base64url (RFC 4648) of three words of 16 bytes, 64 characters without padding: so there is one
//! text for a token, and none with bits to spare.
//!
//! | bytes | |
//! |---|---|
//! | 1 | version |
//! | 3 × 5 | when it was issued, when it was signed, when it expires: seconds since 1970, big-endian |
//! | 16 | nonce |
//! | 16 | signature |

mod keys;

use std::fmt;
use std::num::NonZeroU64;

use siphasher::sip::SipHasher13;

pub use keys::{Keys, SecretError, TokenText};

/// The layout of a token.
const VERSION: u8 = 1;

/// The last second that a token can name: 34,000 years from now.
const TIME_MAX: u64 = (1 << 40) - 1;

/// How far in the future a token may have been signed, in seconds: what the clocks of two machines with the
/// same secret may differ by.
const AHEAD_MAX: u64 = 60;

/// 128 random bits: who a visitor is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Nonce(pub [u8; 16]);

/// What a nonce is called in tables, logs and variables: a number that tells sessions apart, but from which
/// no token can be made. Displayed as 16 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Session(NonZeroU64);

impl Session {
    /// The session of a nonce: its SipHash. As long as a zone lives, so long it must stay the same.
    pub fn of(nonce: &Nonce) -> Self {
        Self(NonZeroU64::new(SipHasher13::new().hash(&nonce.0)).unwrap_or(NonZeroU64::MIN))
    }

    /// The number, which is never zero.
    pub fn number(self) -> u64 {
        self.0.get()
    }
}

impl fmt::Display for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// What a token says. Times are seconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token {
    nonce: Nonce,
    /// When the nonce was drawn.
    issued: u64,
    /// When this text was made: `issued`, or the last renewal.
    signed: u64,
    expires: u64,
}

impl Token {
    /// A token for a new nonce, which lives for `life` seconds.
    pub fn new(nonce: Nonce, now: u64, life: u64) -> Self {
        let now = now.min(TIME_MAX);
        let expires = now.saturating_add(life).min(TIME_MAX);
        Self { nonce, issued: now, signed: now, expires }
    }

    /// The same session with a new life, of `life` seconds. It keeps its age.
    pub fn renewed(self, now: u64, life: u64) -> Self {
        // It was issued in the future if the clock has been set back a little since.
        Self { issued: self.issued, ..Self::new(self.nonce, now.max(self.issued), life) }
    }

    /// Who it is.
    pub fn nonce(&self) -> Nonce {
        self.nonce
    }

    /// The seconds since the nonce was drawn, over all renewals.
    pub fn age(&self, now: u64) -> u64 {
        now.saturating_sub(self.issued)
    }

    /// The seconds that are left until it expires.
    pub fn life_left(&self, now: u64) -> u64 {
        self.expires.saturating_sub(now)
    }

    /// Whether less than half is left of the life that it was given last.
    pub fn is_half_over(&self, now: u64) -> bool {
        self.life_left(now).saturating_mul(2) < self.life_left(self.signed)
    }

    /// Version and times, as they are signed and sent.
    fn times(&self) -> [u8; 16] {
        let times = u128::from(VERSION) << 120
            | u128::from(self.issued) << 80
            | u128::from(self.signed) << 40
            | u128::from(self.expires);
        times.to_be_bytes()
    }

    /// The token of these words. `None`: another version.
    fn of_words(times: [u8; 16], nonce: Nonce) -> Option<Self> {
        let times = u128::from_be_bytes(times);
        let time = |shift: u32| (times >> shift) as u64 & TIME_MAX;
        let token = Self { nonce, issued: time(80), signed: time(40), expires: time(0) };
        ((times >> 120) as u8 == VERSION).then_some(token)
    }

    /// Whether it may be believed now, if it is genuine.
    fn is_valid(&self, now: u64) -> bool {
        self.issued <= self.signed
            && self.signed <= now.saturating_add(AHEAD_MAX)
            && self.signed < self.expires
            && now < self.expires
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONCE: Nonce = Nonce([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]);
    const NOW: u64 = 1_795_348_800;

    #[test]
    fn a_session_is_the_same_in_every_worker_and_after_every_upgrade() {
        let session = Session::of(&NONCE);
        assert_eq!(session.number(), 0x8972_1884_33a5_c5b7);
        assert_eq!(session.to_string(), "8972188433a5c5b7");
        assert_eq!(Session(NonZeroU64::MIN).to_string(), "0000000000000001");
    }

    #[test]
    fn half_a_life_is_over_to_the_second() {
        for (life, at_half) in [(3600, 1800), (3601, 1800), (2, 1), (1, 0)] {
            let token = Token::new(NONCE, NOW, life);
            assert!(!token.is_half_over(NOW - 60) && !token.is_half_over(NOW + at_half), "{life}");
            assert!(token.is_half_over(NOW + at_half + 1), "{life}");
            assert!(token.is_half_over(u64::MAX), "{life}");
        }
    }

    #[test]
    fn a_renewal_is_a_new_life_of_the_same_age() {
        let first = Token::new(NONCE, NOW, 1000);
        let second = first.renewed(NOW + 600, 2000);
        assert_eq!(second.nonce(), NONCE);
        assert_eq!((first.age(NOW + 700), second.age(NOW + 700)), (700, 700));
        assert_eq!((first.life_left(NOW + 700), second.life_left(NOW + 700)), (300, 1900));
        // The half of the life it was given last: not of the time since it was issued.
        assert!(first.is_half_over(NOW + 601) && !second.is_half_over(NOW + 1600));
        assert!(second.is_half_over(NOW + 1601));
        let third = second.renewed(NOW + 2599, 10);
        assert_eq!((third.age(NOW + 2599), third.life_left(NOW + 2599)), (2599, 10));
    }

    #[test]
    fn a_clock_that_was_set_back_makes_nobody_younger_than_nothing() {
        let token = Token::new(NONCE, NOW, 1000).renewed(NOW - 30, 500);
        assert_eq!((token.age(NOW - 30), token.age(NOW + 1)), (0, 1));
        assert!(
            token.is_valid(NOW - 30) && token.is_valid(NOW + 499) && !token.is_valid(NOW + 500)
        );
    }

    #[test]
    fn times_end_where_40_bits_do() {
        for token in [
            Token::new(NONCE, u64::MAX, u64::MAX),
            Token::new(NONCE, NOW, u64::MAX),
            Token::new(NONCE, NOW, 1).renewed(u64::MAX, u64::MAX),
        ] {
            assert_eq!(token.expires, TIME_MAX);
            assert_eq!(Token::of_words(token.times(), NONCE), Some(token));
        }
    }

    #[test]
    fn another_version_is_no_token() {
        let mut times = Token::new(NONCE, NOW, 1000).times();
        for version in 0..=255 {
            times[0] = version;
            assert_eq!(Token::of_words(times, NONCE).is_some(), version == VERSION);
        }
    }

    #[test]
    fn times_that_contradict_each_other_are_not_valid() {
        let valid = Token { nonce: NONCE, issued: NOW, signed: NOW + 20, expires: NOW + 50 };
        assert!(valid.is_valid(NOW + 20));
        let contradictions = [
            Token { issued: NOW + 21, ..valid },
            Token { expires: NOW + 20, ..valid },
            Token { signed: NOW + 51, ..valid },
            Token { issued: NOW + 60, signed: NOW + 60, expires: NOW + 59, ..valid },
        ];
        for token in contradictions {
            for now in NOW - 1..NOW + 70 {
                assert!(!token.is_valid(now), "{token:?} at {now}");
            }
        }
    }
}
