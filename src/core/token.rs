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

use std::error::Error;
use std::fmt;
use std::num::NonZeroU64;

use base64::prelude::{Engine, BASE64_URL_SAFE_NO_PAD};
use hmac::{Hmac, Mac};
use sha2::Sha256;
use siphasher::sip::SipHasher13;

/// The layout of a token.
const VERSION: u8 = 1;

/// The last second that a token can name: 34,000 years from now.
const TIME_MAX: u64 = (1 << 40) - 1;

/// How far in the future a token may have been signed, in seconds: what the clocks of two machines with the
/// same secret may differ by.
const AHEAD_MAX: u64 = 60;

/// The fewest bytes of a secret.
const SECRET_MIN: usize = 16;

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

/// A signed token, as the value of a cookie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenText([u8; Self::LENGTH]);

impl TokenText {
    /// The bytes of each token's text.
    pub const LENGTH: usize = 64;

    /// The text: letters, digits, `-` and `_`.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    fn encode(words: &[[u8; 16]; 3]) -> Self {
        let mut text = [0; Self::LENGTH];
        let written = BASE64_URL_SAFE_NO_PAD.encode_slice(words.as_flattened(), &mut text);
        debug_assert_eq!(written, Ok(Self::LENGTH));
        Self(text)
    }

    fn decode(text: &[u8]) -> Option<[[u8; 16]; 3]> {
        let text: &[u8; Self::LENGTH] = text.try_into().ok()?;
        let mut words = [[0; 16]; 3];
        BASE64_URL_SAFE_NO_PAD.decode_slice(text, words.as_flattened_mut()).ok()?;
        Some(words)
    }
}

/// A secret cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecretError {
    /// It has fewer than 16 bytes.
    TooShort {
        /// How many it has.
        length: usize,
    },
    /// There is no memory for one more.
    NoMemory,
}

impl fmt::Display for SecretError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooShort { length } => {
                write!(
                    f,
                    "a secret must have at least {SECRET_MIN} bytes, and this one has {length}"
                )
            }
            Self::NoMemory => f.write_str("there is no memory for one more secret"),
        }
    }
}

impl Error for SecretError {}

/// An HMAC that has taken in its secret already.
type Key = Hmac<Sha256>;

/// What tokens are signed with: of one or more secrets the first signs, and all verify. So a secret is
/// replaced by putting the new one before it, and taking the old one away when its tokens have expired.
pub struct Keys {
    first: Key,
    others: Vec<Key>,
}

impl Keys {
    /// The key of the secret that signs: any bytes, at least 16.
    pub fn new(secret: &[u8]) -> Result<Self, SecretError> {
        Ok(Self { first: key(secret)?, others: Vec::new() })
    }

    /// Adds a secret whose tokens are verified too.
    pub fn add(&mut self, secret: &[u8]) -> Result<(), SecretError> {
        let key = key(secret)?;
        self.others.try_reserve(1).map_err(|_| SecretError::NoMemory)?;
        self.others.push(key);
        Ok(())
    }

    /// A token's text, for a room.
    pub fn sign(&self, room: &[u8], token: &Token) -> TokenText {
        let (times, nonce) = (token.times(), token.nonce.0);
        let mut signature = [0; 16];
        let whole = mac(&self.first, &times, &nonce, room).finalize().into_bytes();
        signature.iter_mut().zip(whole).for_each(|(byte, of_whole)| *byte = of_whole);
        TokenText::encode(&[times, nonce, signature])
    }

    /// The token of a text that somebody has sent. `None`: it is not one that a secret of ours has signed for
    /// this room, or it has expired, or was signed more than a minute in the future.
    pub fn verify(&self, room: &[u8], text: &[u8], now: u64) -> Option<Token> {
        let [times, nonce, signature] = TokenText::decode(text)?;
        let is_of = |key| mac(key, &times, &nonce, room).verify_truncated_left(&signature).is_ok();
        let is_genuine = is_of(&self.first) || self.others.iter().any(is_of);
        let token = Token::of_words(times, Nonce(nonce)).filter(|_| is_genuine)?;
        token.is_valid(now).then_some(token)
    }
}

fn key(secret: &[u8]) -> Result<Key, SecretError> {
    match Key::new_from_slice(secret) {
        Ok(key) if secret.len() >= SECRET_MIN => Ok(key),
        _ => Err(SecretError::TooShort { length: secret.len() }),
    }
}

/// What is signed. All before the room's name is of one length, so that no two tokens are the same bytes. With a
/// name of up to 23 bytes it is one block of SHA-256, and so is what HMAC makes of it.
fn mac(key: &Key, times: &[u8; 16], nonce: &[u8; 16], room: &[u8]) -> Key {
    key.clone().chain_update(times).chain_update(nonce).chain_update(room)
}
