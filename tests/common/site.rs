//! The files that IDs stand for: a name and a content of its own for each.

use std::ops::Range;
use std::path::Path;

/// The path, below the root of the files, of the file of `id`.
pub fn path_of(id: u64) -> String {
    format!("{:02x}/{id}.dat", id % 256)
}

/// The file's content: no two IDs share it, nor do any two of its prefixes that hold a line.
pub fn content_of(id: u64) -> Vec<u8> {
    let lines = usize::try_from(1 + id % 97).expect("a small number");
    format!("file {id}\n").repeat(lines).into_bytes()
}

/// Writes the files of `ids` below `root`.
pub fn write_files(root: &Path, ids: Range<u64>) {
    for id in ids {
        write_file(root, path_of(id), &content_of(id));
    }
}

/// Writes one file below `root`, with the directories on its way.
pub fn write_file(root: &Path, path: impl AsRef<Path>, content: &[u8]) {
    let path = root.join(path);
    std::fs::create_dir_all(path.parent().expect("a file has a directory")).expect("a directory");
    std::fs::write(&path, content).expect("a file");
}
