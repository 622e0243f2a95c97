//! Tokens: those that somebody would try, and any bytes.

use ngx_http_smart_module::core::token::{Keys, Nonce, SecretError, Session, Token};
use proptest::prelude::*;

const NOW: u64 = 1_795_348_800;
const LIFE: u64 = 86_400;
const ROOM: &[u8] = b"shop";

fn keys(secret: &[u8]) -> Keys {
    Keys::new(secret).expect("a secret")
}

fn token() -> Token {
    Token::new(Nonce(*b"\x00\xff0123456789abcd"), NOW, LIFE)
}

/// A token's text, and the keys that verify it for `ROOM` at `NOW`.
fn signed() -> (Keys, Vec<u8>) {
    let keys = keys(b"the secret of the site");
    let text = keys.sign(ROOM, &token()).as_bytes().to_vec();
    assert_eq!(keys.verify(ROOM, &text, NOW), Some(token()));
    (keys, text)
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// base64url without padding, bit by bit (RFC 4648).
fn text_of(bytes: &[u8]) -> Vec<u8> {
    let bit = |place: usize| usize::from(bytes[place / 8] >> (7 - place % 8) & 1);
    let value = |start: usize| (start..start + 6).fold(0, |value, place| value << 1 | bit(place));
    (0..8 * bytes.len()).step_by(6).map(|start| ALPHABET[value(start)]).collect()
}

/// The bytes of such a text.
fn bytes_of(text: &[u8]) -> Vec<u8> {
    let value = |byte: &u8| ALPHABET.iter().position(|known| known == byte).expect("a character");
    let bit = |place: usize| value(&text[place / 6]) >> (5 - place % 6) & 1;
    let byte =
        |start: usize| (start..start + 8).fold(0, |byte, place| byte << 1 | bit(place) as u8);
    (0..6 * text.len()).step_by(8).map(byte).collect()
}

#[test]
fn the_format_does_not_change() {
    // Reckoned with openssl and coreutils. Another format, and all who wait lose their places.
    let text = b"AQBrAtlAAGsC2ggAawLoGAABAgMEBQYHCAkKCwwNDg9xK0VF8kaFC1Jvl57kOWBr";
    let nonce = Nonce(std::array::from_fn(|number| number as u8));
    let token = Token::new(nonce, NOW, LIFE).renewed(NOW + 200, 3600);
    let keys = keys(b"0123456789abcdef");
    assert_eq!(keys.sign(ROOM, &token).as_bytes(), text);
    assert_eq!(keys.verify(ROOM, text, NOW + 200), Some(token));
}

#[test]
fn no_bit_can_be_turned() {
    let (keys, text) = signed();
    for bit in 0..8 * text.len() {
        let mut turned = text.clone();
        turned[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(keys.verify(ROOM, &turned, NOW), None, "bit {bit}");
    }
}

#[test]
fn no_character_can_be_another() {
    let (keys, text) = signed();
    for place in 0..text.len() {
        for byte in 0..=255 {
            let mut changed = text.clone();
            changed[place] = byte;
            let is_same = changed == text;
            assert_eq!(keys.verify(ROOM, &changed, NOW).is_some(), is_same, "{byte} at {place}");
        }
    }
}

#[test]
fn nothing_can_be_cut_off_or_added() {
    let (keys, text) = signed();
    for length in 0..text.len() {
        assert_eq!(keys.verify(ROOM, &text[..length], NOW), None, "the first {length}");
        assert_eq!(keys.verify(ROOM, &text[text.len() - length..], NOW), None, "the last {length}");
    }
    for byte in 0..=255 {
        for place in 0..=text.len() {
            let mut longer = text.clone();
            longer.insert(place, byte);
            assert_eq!(keys.verify(ROOM, &longer, NOW), None, "{byte} at {place}");
        }
    }
    for padding in ["=", "==", "===", "===="] {
        assert_eq!(keys.verify(ROOM, &[&text, padding.as_bytes()].concat(), NOW), None);
    }
    assert_eq!(keys.verify(ROOM, &text.repeat(2), NOW), None);
    assert_eq!(keys.verify(ROOM, &text.repeat(128), NOW), None);
}

#[test]
fn a_token_is_of_one_room() {
    let (keys, text) = signed();
    for room in ["", "s", "sho", "hop", "shop2", "Shop", "shop\0", "shopshop"] {
        assert_eq!(keys.verify(room.as_bytes(), &text, NOW), None, "{room:?}");
    }
}

/// Also where names are of more than one block, and where they look like the padding of a hash, or like
/// the nonce that stands before them.
#[test]
fn a_room_is_not_another_one_whose_name_begins_alike() {
    let keys = keys(b"the secret of the site");
    for byte in [b'a', 0, 0x80] {
        let name = [byte; 80];
        let token = Token::new(Nonce([byte; 16]), NOW, LIFE);
        for length in 0..=name.len() {
            let text = keys.sign(&name[..length], &token);
            for other in 0..=name.len() {
                let verified = keys.verify(&name[..other], text.as_bytes(), NOW);
                assert_eq!(verified.is_some(), length == other, "{length}, {other}");
            }
        }
    }
}

/// The times of one token, the nonce of a second one and the signature of a third one, in all mixtures.
#[test]
fn parts_of_several_tokens_make_none() {
    let keys = keys(b"the secret of the site");
    let words = [(1, 0, ROOM), (2, 1, ROOM), (3, 2, b"sale")].map(|(nonce, before, room)| {
        let token = Token::new(Nonce([nonce; 16]), NOW - before, LIFE);
        bytes_of(keys.sign(room, &token).as_bytes())
    });
    for mixture in 0..27 {
        let parts = [mixture / 9, mixture / 3 % 3, mixture % 3];
        let mixed: Vec<u8> =
            (0..3).flat_map(|part| words[parts[part]][16 * part..][..16].to_vec()).collect();
        let is_whole = parts == [0; 3] || parts == [1; 3];
        assert_eq!(keys.verify(ROOM, &text_of(&mixed), NOW).is_some(), is_whole, "{parts:?}");
    }
}

#[test]
fn a_token_is_of_one_secret() {
    let (_, text) = signed();
    let others: [&[u8]; 4] =
        [b"the secret of the Site", b"the secret of the site2", b"the secret of the sit", &[0; 64]];
    for secret in others {
        assert_eq!(keys(secret).verify(ROOM, &text, NOW), None, "{}", secret.escape_ascii());
    }
}

#[test]
fn secrets_are_replaced_one_after_another() {
    let secrets: [&[u8]; 3] = [b"the oldest secret", b"the older secret", b"the newest secret"];
    let of = |numbers: &[usize]| {
        let (first, others) = numbers.split_first().expect("a secret");
        let mut all = keys(secrets[*first]);
        for number in others {
            all.add(secrets[*number]).expect("one more secret");
        }
        all
    };
    let texts = [0, 1, 2].map(|number| of(&[number]).sign(ROOM, &token()));
    for numbers in [&[0][..], &[1, 0], &[2, 1, 0], &[2, 1], &[2]] {
        let keys = of(numbers);
        assert_eq!(keys.sign(ROOM, &token()), texts[numbers[0]], "{numbers:?}");
        for (number, text) in texts.iter().enumerate() {
            let expected = numbers.contains(&number).then(token);
            assert_eq!(
                keys.verify(ROOM, text.as_bytes(), NOW),
                expected,
                "{number} of {numbers:?}"
            );
        }
    }
}

#[test]
fn short_secrets_are_refused() {
    let mut keys = keys(&[0; 16]);
    for length in 0..16 {
        let error = SecretError::TooShort { length };
        assert_eq!(Keys::new(&vec![b'x'; length]).err(), Some(error));
        assert_eq!(keys.add(&vec![b'x'; length]), Err(error));
    }
    assert_eq!(
        SecretError::TooShort { length: 7 }.to_string(),
        "a secret must have at least 16 bytes, and this one has 7"
    );
    for length in [16, 64, 65, 4096] {
        assert_eq!(keys.add(&vec![b'x'; length]), Ok(()), "{length}");
    }
}

#[test]
fn a_token_lives_to_the_second() {
    let (keys, text) = signed();
    let is_verified = |now| keys.verify(ROOM, &text, now).is_some();
    assert!(is_verified(NOW + LIFE - 1));
    for now in [NOW + LIFE, NOW + LIFE + 1, u64::MAX] {
        assert!(!is_verified(now), "{now}");
    }
    assert!(is_verified(NOW - 60));
    for now in [NOW - 61, NOW - LIFE, 0] {
        assert!(!is_verified(now), "{now}");
    }
}

#[test]
fn a_renewed_token_lives_from_its_renewal_on() {
    let (keys, _) = signed();
    let renewed = token().renewed(NOW + 50_000, 1000);
    let text = keys.sign(ROOM, &renewed);
    for (now, expected) in
        [(49_939, None), (49_940, Some(renewed)), (50_999, Some(renewed)), (51_000, None)]
    {
        assert_eq!(keys.verify(ROOM, text.as_bytes(), NOW + now), expected, "{now}");
    }
}

#[test]
fn long_values_are_refused_unread() {
    let (keys, text) = signed();
    let kind = text[0];
    for length in [0, 1, 63, 65, 128, 8192, 1 << 20] {
        assert_eq!(keys.verify(ROOM, &vec![kind; length], NOW), None, "{length}");
    }
}

#[test]
fn sessions_differ_as_their_nonces_do() {
    let mut seen = std::collections::HashSet::new();
    for bit in 0..128 {
        let session = Session::of(&Nonce((1_u128 << bit).to_be_bytes()));
        assert_ne!(session.number(), 0);
        assert_eq!(session.to_string(), format!("{:016x}", session.number()));
        assert!(seen.insert(session.number()), "bit {bit}");
    }
}

proptest! {
    #[test]
    fn what_is_signed_is_verified(
        secret in prop::collection::vec(any::<u8>(), 16..200),
        room in prop::collection::vec(any::<u8>(), 0..100),
        nonce in any::<[u8; 16]>(),
        issued in 0..1_u64 << 40,
        (renewal, life) in (0..10_000_000_u64, 1..100_000_000_u64),
    ) {
        prop_assume!(issued + renewal + life < 1 << 40);
        let keys = keys(&secret);
        let now = issued + renewal;
        for token in [Token::new(Nonce(nonce), issued, renewal + life), Token::new(Nonce(nonce), issued, 1).renewed(now, life)] {
            let text = keys.sign(&room, &token);
            prop_assert!(text.as_bytes().iter().all(|byte| ALPHABET.contains(byte)));
            prop_assert_eq!(text_of(&bytes_of(text.as_bytes())), text.as_bytes());
            let verified = keys.verify(&room, text.as_bytes(), now).expect("a token");
            prop_assert_eq!(verified, token);
            prop_assert_eq!((verified.nonce(), verified.age(now)), (Nonce(nonce), renewal));
            prop_assert_eq!(verified.life_left(now), life);
            prop_assert_eq!(keys.verify(&room, text.as_bytes(), now + life), None);
        }
    }

    #[test]
    fn nobody_guesses_a_token(
        text in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..200),
            prop::collection::vec(any::<u8>(), 64),
            prop::collection::vec(prop::sample::select(&ALPHABET[..]), 64),
            prop::collection::vec(any::<u8>(), 32)
                .prop_map(|rest| text_of(&[bytes_of(&signed().1)[..16].to_vec(), rest].concat())),
        ],
    ) {
        prop_assert_eq!(keys(b"the secret of the site").verify(ROOM, &text, NOW), None);
    }

    #[test]
    fn renewals_keep_who_and_how_old(steps in prop::collection::vec((0..100_000_u64, 1..100_000_u64), 1..20)) {
        let keys = keys(b"the secret of the site");
        let (mut token, mut now) = (token(), NOW);
        for (step, life) in steps {
            now += step;
            token = token.renewed(now, life);
            let text = keys.sign(ROOM, &token);
            prop_assert_eq!(keys.verify(ROOM, text.as_bytes(), now), Some(token));
            prop_assert_eq!((token.nonce(), token.age(now)), (self::token().nonce(), now - NOW));
            prop_assert_eq!(token.life_left(now), life);
            prop_assert!(!token.is_half_over(now + life / 2));
            prop_assert!(token.is_half_over(now + life / 2 + 1));
        }
    }
}
