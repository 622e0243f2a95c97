//! Tokens are signed, and verified.

use std::error::Error;
use std::fmt;

use base64::prelude::{Engine, BASE64_URL_SAFE_NO_PAD};
use hmac::{Hmac, Mac};
use sha2::Sha256;

use super::{Nonce, Token};

/// The fewest bytes of a secret.
const SECRET_MIN: usize = 16;

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
        // 48 bytes are 64 characters: it cannot fail.
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
#[derive(Clone)]
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_hmac_sha_256() {
        // RFC 4231, test cases 3, 4, 6 and 7: the first 128 bits.
        let counted: Vec<u8> = (1..=25).collect();
        let short = b"Test Using Larger Than Block-Size Key - Hash Key First";
        let long = b"This is a test using a larger than block-size key and a larger than block-size data. \
            The key needs to be hashed before being used by the HMAC algorithm.";
        let cases: [(&[u8], &[u8], u128); 4] = [
            (&[0xaa; 20], &[0xdd; 50], 0x773e_a91e_3680_0e46_854d_b8eb_d091_81a7),
            (&counted, &[0xcd; 50], 0x8255_8a38_9a44_3c0e_a4cc_8198_99f2_083a),
            (&[0xaa; 131], short, 0x60e4_3159_1ee0_b67f_0d8a_26aa_cbf5_b77f),
            (&[0xaa; 131], long, 0x9b09_ffa7_1b94_2fcb_2763_5fbc_d5b0_e944),
        ];
        for (secret, data, expected) in cases {
            let (times, data) = data.split_first_chunk().unwrap();
            let (nonce, room) = data.split_first_chunk().unwrap();
            let code = mac(&key(secret).unwrap(), times, nonce, room).finalize().into_bytes();
            assert_eq!(code[..16], expected.to_be_bytes());
        }
    }

    #[test]
    fn what_contradicts_itself_is_refused_although_it_is_signed() {
        let keys = Keys::new(b"0123456789abcdef").unwrap();
        let nonce = Nonce([7; 16]);
        let is_verified =
            |token, now| keys.verify(b"r", keys.sign(b"r", &token).as_bytes(), now).is_some();
        let valid = Token { nonce, issued: 1000, signed: 1010, expires: 1040 };
        assert!(is_verified(valid, 1020));
        assert!(!is_verified(Token { expires: 1010, ..valid }, 1000));
        assert!(!is_verified(Token { issued: 1011, ..valid }, 1020));

        let mut times = valid.times();
        times[0] += 1;
        let code = mac(&keys.first, &times, &nonce.0, b"r").finalize().into_bytes();
        let text = TokenText::encode(&[times, nonce.0, *code.first_chunk().unwrap()]);
        assert_eq!(keys.verify(b"r", text.as_bytes(), 1020), None);
    }
}
