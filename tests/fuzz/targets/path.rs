//! The rules for paths, against what the operating system would make of them.
#![no_main]

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use libfuzzer_sys::fuzz_target;
use ngx_http_smart_module::core::path::{self, PathError};

fuzz_target!(|path: &[u8]| {
    let checked = path::check(path);
    assert_eq!(checked.is_ok(), is_plain(path));
    match checked {
        Err(PathError::ControlByte { byte, offset }) => {
            assert_eq!(path[offset], byte);
            assert!(byte.is_ascii_control());
        }
        Err(PathError::Backslash { offset }) => assert_eq!(path[offset], b'\\'),
        Err(PathError::TooLong { length }) => assert_eq!(path.len(), length),
        _ => {}
    }
});

/// Whether the path consists of names alone, and is written in the one way in which these can be.
fn is_plain(bytes: &[u8]) -> bool {
    let path = Path::new(OsStr::from_bytes(bytes));
    let names: PathBuf =
        path.components().filter(|part| matches!(part, Component::Normal(_))).collect();
    names.as_os_str() == path.as_os_str()
        && (1..=4096).contains(&bytes.len())
        && !bytes.iter().any(|byte| byte.is_ascii_control() || *byte == b'\\')
}
