//! Faults of memory: a word of what workers share changes, as by a broken module or a cosmic ray.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;

use super::process::Id;

/// Bytes of a word.
const WORD: usize = 8;

/// Finds the structure that begins with `magic` in the memory that a worker shares, and changes one of its words.
#[track_caller]
pub fn change_word(worker: Id, magic: [u8; WORD], word: usize, value: u64) {
    let memory = File::options().read(true).write(true).open(format!("/proc/{worker}/mem"));
    let memory = memory.expect("the memory of a process that the test has started");
    for (start, end) in shared(worker) {
        let mut bytes = vec![0; (end - start) as usize];
        if memory.read_exact_at(&mut bytes, start).is_err() {
            continue;
        }
        if let Some(place) = bytes.chunks_exact(WORD).position(|part| part == magic) {
            let address = start + ((place + word) * WORD) as u64;
            memory.write_all_at(&value.to_ne_bytes(), address).expect("to change a word");
            return;
        }
    }
    panic!("no structure that begins with {magic:?} in the shared memory of {worker}");
}

/// The regions of memory that a process shares with others.
fn shared(id: Id) -> Vec<(u64, u64)> {
    let maps = fs::read_to_string(format!("/proc/{id}/maps")).expect("a running process");
    let shared = maps.lines().filter(|line| line.contains(" rw-s "));
    let bounds = shared.filter_map(|line| {
        let (start, end) = line.split(' ').next()?.split_once('-')?;
        Some((u64::from_str_radix(start, 16).ok()?, u64::from_str_radix(end, 16).ok()?))
    });
    bounds.collect()
}
