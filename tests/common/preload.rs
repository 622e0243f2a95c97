//! The library `tests/preload/preload.c`, built on first use, and the file through which a test
//! commands the copy that nginx has loaded.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use super::sanitized;
use super::setup::Setup;

/// The words of the file, in the order of `struct control` in `preload.c`.
#[derive(Clone, Copy)]
enum Word {
    AllocationsLeft,
    Failed,
    ShortIo,
    Shortened,
}

/// Commands a loaded library.
pub struct Preload {
    file: File,
}

impl Preload {
    /// Makes the nginx of `setup` load the library. `None`: this one cannot.
    pub fn into(setup: Setup) -> Option<(Self, Setup)> {
        if sanitized() {
            eprintln!("not run: AddressSanitizer brings its own allocator and wrappers");
            return None;
        }
        let path = setup.prefix().join("preload.control");
        fs::write(&path, [0; 64]).expect("a file");
        let file = File::options().read(true).write(true).open(&path).expect("the file");
        let setup = setup
            .preload(library())
            .environment("NGX_SMART_PRELOAD_CONTROL", &path.display().to_string());
        Some((Self { file }, setup))
    }

    /// The worker's `number`th allocation from now on fails; with 0, none does.
    pub fn fail_allocation(&self, number: u64) {
        self.write(Word::AllocationsLeft, number);
    }

    /// How many allocations workers make while `work` is done.
    pub fn allocations_of(&self, work: impl FnOnce()) -> u64 {
        const ALL: u64 = 1 << 40;
        self.fail_allocation(ALL);
        work();
        let left = self.read(Word::AllocationsLeft);
        self.fail_allocation(0);
        ALL - left
    }

    /// How many allocations have failed on demand.
    pub fn failed(&self) -> u64 {
        self.read(Word::Failed)
    }

    /// From now on every other read and write of a socket carries a few bytes only.
    pub fn shorten(&self) {
        self.write(Word::ShortIo, 1);
    }

    /// How many reads and writes have been cut.
    pub fn shortened(&self) -> u64 {
        self.read(Word::Shortened)
    }

    fn write(&self, word: Word, value: u64) {
        self.file.write_all_at(&value.to_ne_bytes(), word as u64 * 8).expect("to write a word");
    }

    fn read(&self, word: Word) -> u64 {
        let mut bytes = [0; 8];
        self.file.read_exact_at(&mut bytes, word as u64 * 8).expect("to read a word");
        u64::from_ne_bytes(bytes)
    }
}

fn library() -> &'static Path {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY.get_or_init(|| build("preload"))
}

/// Builds `tests/preload/NAME.c`. The library appears whole: another run of the tests may be loading it.
pub(super) fn build(name: &str) -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let library = directory.join(format!("lib{name}.so"));
    let unfinished = directory.join(format!("lib{name}.so.{}", std::process::id()));
    let target = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let compiler = cc::Build::new()
        .target(&target)
        .host(&target)
        .opt_level(2)
        .out_dir(directory)
        .cargo_metadata(false)
        .get_compiler();
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/preload/{name}.c"));
    let output = compiler
        .to_command()
        .args(["-shared", "-fPIC", "-Wall", "-Wextra", "-fno-builtin", "-o"])
        .arg(&unfinished)
        .arg(source)
        .arg("-ldl")
        .output()
        .expect("a C compiler");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    fs::rename(unfinished, &library).expect("the library in its place");
    library
}
