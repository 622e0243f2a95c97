//! Stored values: a path that is read is exactly what is stored, and is a valid one.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ngx_http_smart_module::core::path;
use ngx_http_smart_module::core::value::{
    marshal_string, path_of, Encoding, MarshalError, ValueError, MAX_STORED,
};

fuzz_target!(|value: &[u8]| {
    let read = path_of(value, Encoding::Marshal);
    let raw = path::check(value).map(|()| value).map_err(ValueError::Path);
    assert_eq!(path_of(value, Encoding::Raw), raw);
    assert_eq!(
        path_of(value, Encoding::Auto),
        if value.starts_with(b"\x04\x08") { read } else { raw }
    );
    assert_eq!(path_of(&marshal_string(value), Encoding::Marshal), raw);

    if let Ok(path) = read {
        assert_eq!(path::check(path), Ok(()));
        assert!(value.len() <= MAX_STORED);
        assert_stands_where_a_string_has_it(value, path);
        // Nothing before its end, and nothing after it, is a String.
        for end in 2..value.len() {
            assert_eq!(
                path_of(&value[..end], Encoding::Marshal),
                Err(ValueError::Marshal(MarshalError::Truncated))
            );
        }
        assert_eq!(
            path_of(&[value, b"x"].concat(), Encoding::Marshal),
            Err(ValueError::Marshal(MarshalError::Trailing { length: 1 }))
        );
    }
});

/// The path is the stored bytes after the letter and the length, and what follows it is nothing or
/// one of the two ways to name an encoding.
fn assert_stands_where_a_string_has_it(value: &[u8], path: &[u8]) {
    let start = path.as_ptr() as usize - value.as_ptr() as usize;
    let (before, after) = (&value[..start], &value[start + path.len()..]);
    let (length, bare) = match before {
        [4, 8, b'"', length @ ..] => (length, true),
        [4, 8, b'I', b'"', length @ ..] => (length, false),
        _ => panic!("{}", before.escape_ascii()),
    };
    let length = match length {
        [0] => 0,
        [byte @ 5..=0x7f] => usize::from(*byte) - 5,
        [size, digits @ ..] if usize::from(*size) == digits.len() => {
            digits.iter().rfold(0, |length, &digit| length * 256 + usize::from(digit))
        }
        _ => panic!("{}", length.escape_ascii()),
    };
    assert_eq!(length, path.len());
    assert_eq!(after.is_empty(), bare);
    let has = |name: &[u8]| after.windows(name.len()).any(|window| window == name);
    assert!(bare || has(b"ET") || has(b"EF") || has(b"encoding\""));
}
