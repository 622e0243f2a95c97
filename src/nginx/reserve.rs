//! Memory for when there is no more.
//!
//! What every request comes by asks for memory in ways that can fail, and answers 500 then. A report for operators is
//! put together by code that cannot bear that, from texts and lists: Rust would end the worker with all its requests.
//! So while one is made, a reserve stands behind the allocator. Whoever needed it has no report, but a worker.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::UnsafeCell;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};

use crate::core::NoMemory;

/// The bytes of the reserve: more than a report of hundreds of locations takes. They are not resident before they are
/// used.
const LENGTH: usize = 4 << 20;

/// Runs `work`, whose allocations do not fail before the reserve is used up too.
///
/// # Errors
/// The reserve was needed. What `work` has made is dropped, and nothing else that it has made may be used.
pub fn with<T>(work: impl FnOnce() -> T) -> Result<T, NoMemory> {
    let _open = Open::new();
    let made = work();
    match RESERVE.used.load(Relaxed) {
        0 => Ok(made),
        _ => Err(NoMemory),
    }
}

/// That the reserve is open; also if `work` panics it is closed.
struct Open;

impl Open {
    fn new() -> Self {
        RESERVE.used.store(0, Relaxed);
        RESERVE.is_open.store(true, Relaxed);
        Self
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        RESERVE.is_open.store(false, Relaxed);
    }
}

/// The allocator of the module: the system's, with the reserve behind it.
struct Reserve {
    bytes: UnsafeCell<[u8; LENGTH]>,
    is_open: AtomicBool,
    used: AtomicUsize,
}

// SAFETY: a process of nginx has one thread that runs the module; what is given of the bytes is given once.
unsafe impl Sync for Reserve {}

#[global_allocator]
static RESERVE: Reserve = Reserve {
    bytes: UnsafeCell::new([0; LENGTH]),
    is_open: AtomicBool::new(false),
    used: AtomicUsize::new(0),
};

impl Reserve {
    fn start(&self) -> *mut u8 {
        self.bytes.get().cast()
    }

    fn has(&self, place: *mut u8) -> bool {
        (self.start().addr()..self.start().addr() + LENGTH).contains(&place.addr())
    }

    /// A piece of the reserve, if it is open; null if not, or if it is used up. No piece is given twice while it is
    /// open, and what has been made of it is not used any more when it is opened anew.
    #[cold]
    fn give(&self, layout: Layout) -> *mut u8 {
        if !self.is_open.load(Relaxed) {
            return ptr::null_mut();
        }
        let used = self.used.load(Relaxed);
        let skipped = self.start().wrapping_add(used).align_offset(layout.align());
        let end = used.checked_add(skipped).and_then(|place| place.checked_add(layout.size()));
        match end.filter(|end| *end <= LENGTH) {
            Some(end) => {
                self.used.store(end, Relaxed);
                self.start().wrapping_add(end - layout.size())
            }
            None => ptr::null_mut(),
        }
    }
}

// SAFETY: what is given is the system's, or a piece of the reserve that is as large and as aligned as asked for and
// that nobody else has. Nothing here panics.
unsafe impl GlobalAlloc for Reserve {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller vouches for the layout.
        let place = unsafe { System.alloc(layout) };
        if place.is_null() {
            return self.give(layout);
        }
        place
    }

    #[inline]
    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        if !self.has(place) {
            // SAFETY: the system has given it; the caller vouches for the layout.
            unsafe { System.dealloc(place, layout) }
        }
    }

    #[inline]
    unsafe fn realloc(&self, place: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if !self.has(place) {
            // SAFETY: the system has given it; the caller vouches for layout and size.
            let moved = unsafe { System.realloc(place, layout, size) };
            if !moved.is_null() {
                return moved;
            }
        }
        // SAFETY: the caller vouches for a size that makes a layout with this alignment.
        let layout_then = unsafe { Layout::from_size_align_unchecked(size, layout.align()) };
        let moved = self.give(layout_then);
        if !moved.is_null() {
            // SAFETY: both places are as large as the smaller of the two sizes, and apart. The old one is freed as it was
            // allocated.
            unsafe {
                ptr::copy_nonoverlapping(place, moved, layout.size().min(size));
                self.dealloc(place, layout);
            }
        }
        moved
    }
}
