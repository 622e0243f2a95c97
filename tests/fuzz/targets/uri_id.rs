//! IDs of paths, and which of them memcached takes as a key.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ngx_http_smart_module::core::key::{self, KeyError};
use ngx_http_smart_module::core::{id, memcache};

fuzz_target!(|uri: &[u8]| {
    match id::trailing(uri) {
        Some(id) => {
            assert!(!id.is_empty() && id.iter().all(u8::is_ascii_digit));
            let before = uri.strip_suffix(id).expect("the end of the path");
            assert!(!before.last().is_some_and(u8::is_ascii_digit));
            assert_eq!(key::check(id).is_ok(), id.len() <= key::MAX_LEN);
        }
        None => assert!(!uri.last().is_some_and(u8::is_ascii_digit)),
    }

    // As a key it is taken if the server would see one command, with it as the one argument.
    let mut sent = Vec::new();
    memcache::encode_get(uri, &mut sent);
    let line = sent.strip_suffix(b"\r\n").expect("a line");
    let words: Vec<_> = line.split(|byte| *byte <= b' ' || *byte == 0x7f).collect();
    let whole = words == [b"get", uri] && (1..=250).contains(&uri.len());
    match key::check(uri) {
        Ok(()) => assert!(whole),
        Err(error) => {
            assert!(!whole);
            if let KeyError::Forbidden { byte, offset } = error {
                assert_eq!(uri[offset], byte);
            }
        }
    }
});
