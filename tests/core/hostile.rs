//! IDs, keys and paths: those that somebody would try, and any bytes.

use ngx_http_smart_module::core::path::PathError;
use ngx_http_smart_module::core::value::{marshal_string, path_of, Encoding, ValueError};
use ngx_http_smart_module::core::{id, key, path};
use proptest::prelude::*;

#[test]
fn hostile_paths_are_refused_however_they_are_stored() {
    let mebibyte = vec![b'a'; 1 << 20];
    let long = vec![b'a'; 4097];
    let refused: [(&[u8], PathError); 19] = [
        (b"", PathError::Empty),
        (&long, PathError::TooLong { length: 4097 }),
        (&mebibyte, PathError::TooLong { length: 1 << 20 }),
        (b"../x", PathError::DotSegment),
        (b"..", PathError::DotSegment),
        (b".", PathError::DotSegment),
        (b"a/../../b", PathError::DotSegment),
        (b"a/./b", PathError::DotSegment),
        (b"a/..", PathError::DotSegment),
        (b"//x", PathError::Absolute),
        (b"/x", PathError::Absolute),
        (b"/etc/passwd", PathError::Absolute),
        (b"a//b", PathError::EmptySegment),
        (b"a/", PathError::EmptySegment),
        (b"..\\x", PathError::Backslash { offset: 2 }),
        (b"a\0.jpg", PathError::ControlByte { byte: 0, offset: 1 }),
        (b"a\r\nb", PathError::ControlByte { byte: b'\r', offset: 1 }),
        (b"a\nb", PathError::ControlByte { byte: b'\n', offset: 1 }),
        (b"a\x7f", PathError::ControlByte { byte: 0x7f, offset: 1 }),
    ];
    for (path, error) in refused {
        let refusal = Err(ValueError::Path(error));
        let shown = path[..path.len().min(20)].escape_ascii();
        assert_eq!(path_of(path, Encoding::Auto), refusal, "{shown}");
        assert_eq!(path_of(path, Encoding::Raw), refusal, "{shown}");
        assert_eq!(path_of(&marshal_string(path), Encoding::Auto), refusal, "{shown}");
        assert_eq!(path_of(&marshal_string(path), Encoding::Marshal), refusal, "{shown}");
    }
}

#[test]
fn odd_paths_are_taken_as_they_are() {
    let longest = vec![b'a'; 4096];
    let taken: [&[u8]; 8] =
        [b"%2e%2e%2f", b"%00", b"?x", b"#x", b"@name", b"\xff\xfe/\x80", b"...", &longest];
    for path in taken {
        assert_eq!(path_of(path, Encoding::Auto), Ok(path));
        assert_eq!(path_of(&marshal_string(path), Encoding::Auto), Ok(path));
    }
}

#[test]
fn hostile_ids() {
    let digits = |count| [&b"/file/"[..], &vec![b'7'; count]].concat();
    let key_of = |uri: &[u8]| id::trailing(uri).map(|id| (id.len(), key::check(id).is_ok()));
    assert_eq!(key_of(b"/file/0"), Some((1, true)));
    assert_eq!(key_of(b"/file/0000007"), Some((7, true)));
    assert_eq!(key_of(&digits(250)), Some((250, true)));
    assert_eq!(key_of(&digits(251)), Some((251, false)));
    assert_eq!(key_of(b"/file/7.pdf"), None);
    assert_eq!(key_of(b"/file/7 "), None);
    assert_eq!(key_of(b"/file/7\0"), None);
}

/// Bytes of which many are those that the rules are about.
fn bytes(length: impl Into<prop::collection::SizeRange>) -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![
        2 => prop::sample::select(&b"/.\\ \0\n\x7f"[..]),
        2 => b'0'..=b'9',
        3 => any::<u8>(),
    ];
    prop::collection::vec(byte, length)
}

proptest! {
    #[test]
    fn an_id_is_all_of_the_digits_at_the_end(uri in bytes(0..40)) {
        match id::trailing(&uri) {
            Some(id) => {
                prop_assert!(!id.is_empty() && id.iter().all(u8::is_ascii_digit));
                let before = uri.strip_suffix(id).expect("the end of the path");
                prop_assert!(!before.last().is_some_and(u8::is_ascii_digit));
            }
            None => prop_assert!(!uri.last().is_some_and(u8::is_ascii_digit)),
        }
    }

    #[test]
    fn an_accepted_key_leaves_the_command_as_it_is(key in bytes(0..300)) {
        let mut sent = Vec::new();
        ngx_http_smart_module::core::memcache::encode_get(&key, &mut sent);
        let words: Vec<_> = sent
            .strip_suffix(b"\r\n")
            .expect("a line")
            .split(|byte| *byte == 0x7f || *byte <= b' ')
            .collect();
        let whole = words == [b"get", &key[..]] && !key.is_empty() && key.len() <= 250;
        prop_assert_eq!(key::check(&key).is_ok(), whole);
    }

    #[test]
    fn an_accepted_path_stays_below_its_root(path in bytes(0..40)) {
        use std::os::unix::ffi::OsStrExt;
        use std::path::{Component, Path};

        if path::check(&path).is_ok() {
            let root = Path::new("/root");
            let file = root.join(Path::new(std::ffi::OsStr::from_bytes(&path)));
            let below = file.strip_prefix(root).expect("below the root");
            prop_assert!(below.components().all(|part| matches!(part, Component::Normal(_))));
            prop_assert_eq!(below.as_os_str().as_bytes(), &path);
        }
    }
}
