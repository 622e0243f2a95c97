//! Tokens from outside, of which one is genuine; and any tokens of our own, signed, renewed and changed.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use ngx_http_smart_module::core::token::{Keys, Nonce, Session, Token};

const ROOM: &[u8] = b"shop";

/// The one text that the fuzzer can know, and a second at which it is valid.
const GENUINE: &[u8] = b"AQBrAtlAAGsC2ggAawLoGAABAgMEBQYHCAkKCwwNDg9xK0VF8kaFC1Jvl57kOWBr";
const NOW: u64 = 1_795_349_100;

/// The last second that a token can name.
const TIME_MAX: u64 = (1 << 40) - 1;

static KEYS: LazyLock<Keys> = LazyLock::new(|| Keys::new(b"0123456789abcdef").expect("16 bytes"));

fuzz_target!(|input: &[u8]| {
    let verified = KEYS.verify(ROOM, input, NOW);
    assert_eq!(verified.is_some(), input == GENUINE);
    if let Some(token) = verified {
        assert_eq!(KEYS.sign(ROOM, &token).as_bytes(), input);
    }
    if let Some((numbers, room)) = input.split_first_chunk::<51>() {
        is_kept(numbers, room);
    }
});

/// A token of these numbers is what it was when it has been signed, and no other text is it.
fn is_kept(numbers: &[u8; 51], room: &[u8]) {
    let nonce = Nonce(*numbers.first_chunk().expect("16 bytes"));
    assert_ne!(Session::of(&nonce).number(), 0);
    let number = |start: usize| {
        let bytes = numbers[start..].first_chunk().expect("8 bytes");
        u64::from_le_bytes(*bytes)
    };
    let (issued, renewed, [life, longer]) = (number(16), number(24), [32, 40].map(number));

    let first = Token::new(nonce, issued, life);
    for (token, signed, life) in
        [(first, issued, life), (first.renewed(renewed, longer), renewed.max(issued), longer)]
    {
        let signed = signed.min(TIME_MAX);
        let expires = signed.saturating_add(life).min(TIME_MAX);
        assert_eq!((token.nonce(), token.life_left(signed)), (nonce, expires - signed));
        assert_eq!(token.age(TIME_MAX), TIME_MAX - issued.min(TIME_MAX));
        assert_eq!(token.is_half_over(renewed), 2 * token.life_left(renewed) < expires - signed);

        let mut text = *KEYS.sign(room, &token).as_bytes().first_chunk::<64>().expect("64 bytes");
        for now in [0, issued, renewed, signed.saturating_sub(61), signed.saturating_sub(60)]
            .into_iter()
            .chain([signed, expires.saturating_sub(1), expires, u64::MAX])
        {
            let is_now = signed < expires && (signed.saturating_sub(60)..expires).contains(&now);
            assert_eq!(KEYS.verify(room, &text, now), is_now.then_some(token));
        }
        let (place, byte) = (usize::from(numbers[48] % 64), numbers[49]);
        text[place] ^= byte;
        let is_same = byte == 0 && signed < expires;
        assert_eq!(KEYS.verify(room, &text, signed).is_some(), is_same);
        let other_room = [room, &numbers[50..]].concat();
        assert_eq!(KEYS.verify(&other_room, &text, signed), None);
    }
}
