//! Stored values against what a real Ruby writes (`tests/data/marshal`), and against any bytes.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use ngx_http_smart_module::core::path::{self, PathError};
use ngx_http_smart_module::core::value::{
    marshal_string, path_of, Encoding, MarshalError, ValueError, MAX_STORED,
};
use proptest::prelude::*;

const LENGTHS: [usize; 11] = [0, 1, 122, 123, 255, 256, 257, 4096, 4097, 65_535, 65_536];

/// Files of Strings that name a path.
const PATHS: [(&str, &[u8]); 8] = [
    ("encoding-utf-8", "写真/猫.jpg".as_bytes()),
    ("encoding-us-ascii", b"aa/aa.dat"),
    ("encoding-ascii-8bit", b"aa/\xff\xfe.dat"),
    ("encoding-iso-8859-1", b"gr\xfcn.jpg"),
    ("encoding-shift_jis", b"\x8e\xca\x90\x5e/\x94\x4c.jpg"),
    ("encoding-windows-31j", b"\x8e\xca\x90\x5e/\x94\x4c.jpg"),
    ("encoding-euc-jp", b"\xbc\xcc\xbf\xbf/\xc7\xad.jpg"),
    ("encoding-stateless-iso-2022-jp-kddi", b"a.jpg"),
];

/// Files of Strings whose bytes are no path to serve.
const UNSAFE_PATHS: [(&str, PathError); 2] = [
    ("encoding-shift_jis-backslash", PathError::Backslash { offset: 1 }),
    ("encoding-utf-16le", PathError::ControlByte { byte: 0, offset: 1 }),
];

/// Files of anything else, and what the log says.
const NO_STRINGS: [(&str, &str); 23] = [
    ("string-subclass", "no String but an object of a subclass of String, Array, Hash or Regexp"),
    ("string-extended", "no String but an object extended by a module"),
    ("string-variable", "a String with instance variables"),
    ("string-variable-only", "a String with instance variables"),
    ("other-nil", "no String but nil"),
    ("other-true", "no String but true"),
    ("other-false", "no String but false"),
    ("other-integer", "no String but an Integer"),
    ("other-integer-big", "no String but an Integer"),
    ("other-float", "no String but a Float"),
    ("other-symbol", "no String but a Symbol"),
    ("other-symbol-encoded", "no String but a Symbol"),
    ("other-array", "no String but an Array"),
    ("other-hash", "no String but a Hash"),
    ("other-hash-default", "no String but a Hash"),
    ("other-regexp", "no String but a Regexp"),
    ("other-struct", "no String but a Struct"),
    ("other-class", "no String but a Class or Module"),
    ("other-module", "no String but a Class or Module"),
    ("other-object", "no String but an object, such as an ActiveSupport::Cache entry"),
    ("other-object-dump", "no String but an object, such as an ActiveSupport::Cache entry"),
    ("other-object-marshal_dump", "no String but an object, such as an ActiveSupport::Cache entry"),
    ("other-cache-entry", "no String but an object, such as an ActiveSupport::Cache entry"),
];

fn directory() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/marshal")
}

fn file(name: &str) -> Vec<u8> {
    let path = directory().join(format!("{name}.bin"));
    fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn strings_of_each_length() {
    for length in LENGTHS {
        let stored = file(&format!("length-{length}"));
        let string = vec![b'a'; length];
        let expected = match length {
            0 => Err(ValueError::Path(PathError::Empty)),
            1..=path::MAX_LEN => Ok(&string[..]),
            _ => Err(ValueError::Path(PathError::TooLong { length })),
        };
        assert_eq!(path_of(&stored, Encoding::Auto), expected, "{length}");
        assert_eq!(path_of(&stored, Encoding::Marshal), expected, "{length}");
        assert_eq!(marshal_string(&string), stored, "{length}");
        assert!(length > path::MAX_LEN || stored.len() <= MAX_STORED);
    }
}

#[test]
fn strings_of_each_encoding() {
    for (name, path) in PATHS {
        assert_eq!(path_of(&file(name), Encoding::Auto), Ok(path), "{name}");
        assert_eq!(path_of(&file(name), Encoding::Marshal), Ok(path), "{name}");
    }
    for (name, error) in UNSAFE_PATHS {
        assert_eq!(path_of(&file(name), Encoding::Auto), Err(ValueError::Path(error)), "{name}");
    }
}

#[test]
fn everything_else_is_refused_with_a_reason() {
    for (name, reason) in NO_STRINGS {
        let stored = file(name);
        let error = path_of(&stored, Encoding::Auto).expect_err(name);
        assert_eq!(error.to_string(), format!("the Marshal data holds {reason}"), "{name}");
    }
}

#[test]
fn every_file_is_tested() {
    let present: BTreeSet<_> = fs::read_dir(directory())
        .expect("the directory")
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("a name"))
        .filter_map(|name| Some(name.strip_suffix(".bin")?.to_owned()))
        .collect();
    let names = PATHS.iter().map(|(name, _)| name);
    let names = names.chain(UNSAFE_PATHS.iter().map(|(name, _)| name));
    let names = names.chain(NO_STRINGS.iter().map(|(name, _)| name)).map(|name| name.to_string());
    let tested = names.chain(LENGTHS.iter().map(|length| format!("length-{length}"))).collect();
    assert_eq!(present, tested);
}

#[test]
fn every_string_cut_short_or_made_longer_is_refused() {
    for (name, _) in PATHS {
        let stored = file(name);
        for end in 2..stored.len() {
            assert_eq!(
                path_of(&stored[..end], Encoding::Auto),
                Err(ValueError::Marshal(MarshalError::Truncated)),
                "{name} cut at {end}"
            );
        }
        let longer = [&stored[..], b"\0"].concat();
        assert_eq!(
            path_of(&longer, Encoding::Auto),
            Err(ValueError::Marshal(MarshalError::Trailing { length: 1 })),
            "{name}"
        );
    }
}

/// A relative path of characters of which some are hostile.
fn any_path() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(prop_oneof![Just(b'/'), Just(b'.'), Just(b'\\'), any::<u8>()], 0..300)
}

proptest! {
    #[test]
    fn what_is_marshalled_is_read_back(path in any_path()) {
        let expected = path::check(&path).map(|()| &path[..]).map_err(ValueError::Path);
        let stored = marshal_string(&path);
        prop_assert_eq!(path_of(&stored, Encoding::Marshal), expected);
        prop_assert_eq!(path_of(&stored, Encoding::Auto), expected);
        prop_assert_eq!(path_of(&path, Encoding::Raw), expected);
    }

    #[test]
    fn of_any_bytes_only_a_part_is_taken_and_that_is_a_valid_path(
        tail in prop::collection::vec(any::<u8>(), 0..64),
        kind in prop::sample::select(&["\x04\x08\"", "\x04\x08I\"", "\x04\x08", ""][..]),
    ) {
        let stored = [kind.as_bytes(), &tail].concat();
        for encoding in [Encoding::Auto, Encoding::Raw, Encoding::Marshal] {
            if let Ok(path) = path_of(&stored, encoding) {
                prop_assert_eq!(path::check(path), Ok(()));
                prop_assert!(stored.as_ptr_range().contains(&path.as_ptr()));
                prop_assert!(path.len() <= stored.len());
            }
        }
    }

    #[test]
    fn a_changed_byte_never_makes_a_path_longer_than_what_is_stored(
        path in "[a-z]{1,40}",
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let mut stored = marshal_string(path.as_bytes());
        let at = at.index(stored.len());
        stored[at] = byte;
        if let Ok(found) = path_of(&stored, Encoding::Marshal) {
            prop_assert_eq!(found.len(), path.len());
        }
    }
}
